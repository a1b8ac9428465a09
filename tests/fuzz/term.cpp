// SPDX-License-Identifier: Apache-2.0
//
// Builds a term from the bytes and does with it what can be done: prints, compares, hashes, takes apart. Terms that are
// built alike are equal, compare equal and hash alike; what is printed is text.
#include <bit>
#include <optional>
#include <stdexcept>
#include <vector>

#include <coppice/exit_reason.hpp>
#include <coppice/print.hpp>
#include <coppice/term.hpp>

#include "fuzz/fuzz.hpp"

namespace {

using namespace coppice;
using fuzz::Bytes;
using fuzz::must;

Term build(Bytes& bytes, int depth);

std::vector<Term> build_many(Bytes& bytes, int depth) {
  std::vector<Term> terms;
  for (int i = bytes.byte() % 8; i > 0; --i) terms.push_back(build(bytes, depth + 1));
  return terms;
}

Term build_map(Bytes& bytes, int depth) {
  std::vector<TermEntry> entries;
  for (int i = bytes.byte() % 8; i > 0; --i) {
    Term key = build(bytes, depth + 1);
    entries.push_back({std::move(key), build(bytes, depth + 1)});
  }
  return Term::map_of(std::move(entries));
}

Term build_number(Bytes& bytes) {
  switch (bytes.byte() % 4) {
    case 0: return Term(static_cast<std::int64_t>(bytes.word()));
    case 1: return Term(std::bit_cast<double>(bytes.word()));
    case 2: {
      const std::optional<Term> number = Term::integer(bytes.piece());
      return number ? *number : Term();
    }
    default: {
      const bool negative = bytes.byte() % 2 == 1;
      const std::string_view piece = bytes.piece();
      return Term::integer(negative, {reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size()});
    }
  }
}

Term build(Bytes& bytes, int depth) {
  if (depth > 200) return Term();
  switch (bytes.byte() % 9) {
    case 0: return build_number(bytes);
    case 1: return Term(Atom(bytes.piece()));
    case 2: return Term::binary(bytes.piece());
    case 3: {
      const std::size_t bits = bytes.byte();
      return Term::bitstring(bytes.piece(), bits);
    }
    case 4: return Term::list_of(build_many(bytes, depth));
    case 5: {
      std::vector<Term> elements = build_many(bytes, depth);
      return Term::list_of(std::move(elements), build(bytes, depth + 1));
    }
    case 6: return Term::tuple_of(build_many(bytes, depth));
    case 7: return build_map(bytes, depth);
    default: return Term::fun(bytes.piece());
  }
}

void look_at(const Term& made) {
  InspectOptions options;
  const std::string text = inspect(made, options);
  must(!text.empty(), "a term prints as nothing");
  must(text == inspect(made, options), "a term prints differently the second time");
  (void)to_string(made);
  (void)ExitReason(made).is_shutdown_kind();
  (void)format_exit(ExitReason(made));
  std::size_t walked = 0;
  for (const Term& element : made.elements()) walked += element.hash() & 1;
  must(walked <= made.elements().size(), "a walk is too long");
}

}  // namespace

void fuzz::term(std::string_view input) {
  try {
    Bytes first(input);
    const Term made = build(first, 0);
    Bytes second(input);
    const Term again = build(second, 0);
    must(made == again, "a term does not equal itself");
    must((made <=> again) == 0, "a term does not compare equal with itself");
    must(made.hash() == again.hash(), "equal terms hash differently");
    const Term other = build(first, 0);
    const auto order = made <=> other;
    const auto turned = other <=> made;
    must((order < 0) == (turned > 0) && (order > 0) == (turned < 0), "the order of two terms depends on who asks");
    must((made == other) == (order == 0), "equality and order do not agree");
    look_at(made);
  } catch (const std::invalid_argument&) {  // an atom that is no text, a bitstring that has not so many bits
  }
}
