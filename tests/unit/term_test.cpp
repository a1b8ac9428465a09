// SPDX-License-Identifier: Apache-2.0
#include <coppice/term.hpp>

#include <any>
#include <array>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include <gtest/gtest.h>

#include <coppice/exit_reason.hpp>

namespace {

using namespace coppice;
using namespace std::chrono_literals;

// -- what converts, checked by the compiler --

struct Plain {
  int number;
};
// As the message about the end of a process: every field converts, and yet the whole must not.
struct DownLike {
  Reference reference;
  Pid pid;
  ExitReason reason;
};
struct Unconvertible {
  void* pointer;
};
enum class Colour { red };
struct Convertible {
  int number;
  Term to_term() const { return tuple("convertible"_atom, number); }
};
struct ToText {
  operator std::string() const { return "x"; }
};
struct ToInt {
  operator int() const { return 1; }
};

template <class T>
constexpr bool converts = ToTerm<T> && std::is_convertible_v<T, Term>;
template <class T>
constexpr bool refused = !ToTerm<T> && !std::is_convertible_v<T, Term> && !std::is_constructible_v<Term, T>;

static_assert(converts<Atom> && converts<bool> && converts<int> && converts<unsigned long long> && converts<char>);
static_assert(converts<float> && converts<double>);
static_assert(converts<std::string> && converts<std::string_view> && converts<const char*> && converts<char*>);
static_assert(converts<const char (&)[4]> && converts<std::string&> && converts<const std::string&>);
static_assert(converts<Pid> && converts<Reference> && converts<ExitReason> && converts<std::nullopt_t>);
static_assert(converts<std::vector<int>> && converts<std::vector<bool>> && converts<std::deque<Term>>);
static_assert(converts<std::list<std::string>> && converts<std::array<int, 2>> && converts<std::set<int>>);
static_assert(converts<std::initializer_list<int>> && converts<std::optional<int>>);
static_assert(converts<std::pair<int, std::string>> && converts<std::tuple<>> && converts<std::tuple<int, Atom>>);
static_assert(converts<std::map<std::string, int>> && converts<std::unordered_map<int, std::vector<Atom>>>);
static_assert(converts<std::chrono::milliseconds> && converts<std::chrono::duration<double>>);
static_assert(converts<Convertible> && converts<std::vector<Convertible>>);

static_assert(refused<void*> && refused<int*> && refused<const int*> && refused<std::nullptr_t> && refused<void (*)()>);
static_assert(refused<wchar_t*> && refused<int (&)[3]> && refused<std::wstring>);
static_assert(refused<Plain> && refused<DownLike> && refused<Unconvertible> && refused<Colour>);
static_assert(refused<ToText> && refused<ToInt>, "nothing converts through a conversion of its own");
static_assert(refused<std::vector<Plain>> && refused<std::optional<void*>> && refused<std::pair<int, Plain>>);
static_assert(refused<std::map<int, Plain>> && refused<std::any> && refused<std::variant<int, std::string>>);
static_assert(refused<std::unique_ptr<int>> && refused<std::function<void()>> && refused<std::filesystem::path>);
static_assert(refused<long double> && refused<std::chrono::steady_clock::time_point>);

static_assert(sizeof(Term) == 16);
static_assert(std::is_nothrow_copy_constructible_v<Term> && std::is_nothrow_copy_assignable_v<Term>);
static_assert(std::is_nothrow_move_constructible_v<Term> && std::is_nothrow_destructible_v<Term>);

Term big(const char* text) { return Term::integer(text).value(); }

// -- conversions --

TEST(Term, a_default_constructed_term_is_nil) {
  EXPECT_TRUE(Term().is_nil());
  EXPECT_EQ(Term(), "nil"_atom);
  EXPECT_EQ(Term(std::nullopt), Term());
}

TEST(Term, scalars_convert_to_their_kind) {
  EXPECT_EQ(Term(true), "true"_atom);
  EXPECT_EQ(Term(false).as_bool(), false);
  EXPECT_EQ(Term(42).as_int64(), 42);
  EXPECT_EQ(Term('a').as_int64(), 97);
  EXPECT_EQ(Term(1.5F).as_double(), 1.5);
  EXPECT_EQ(Term("text").as_text(), "text");
  EXPECT_EQ(Term(std::string("a\0b", 3)).as_text()->size(), 3U);
  EXPECT_EQ(Term("a"_atom).as_atom(), "a"_atom);
  EXPECT_EQ(Term(Pid{7, 0, 1}).as_pid(), (Pid{7, 0, 1}));
  EXPECT_EQ(Term(Reference::from_id(5, 1)).as_reference(), Reference::from_id(5, 1));
}

TEST(Term, an_accessor_of_another_kind_gives_nothing) {
  EXPECT_FALSE(Term("1").as_int64());
  EXPECT_FALSE(Term(1).as_double());
  EXPECT_FALSE(Term(1).as_text());
  EXPECT_FALSE(Term(1).as_atom());
  EXPECT_FALSE(Term(1).as_bool());
  EXPECT_FALSE(Term("nil"_atom).as_bool());
  EXPECT_FALSE(Term(1).as_pid());
  EXPECT_FALSE(Term(1).as_reference());
  EXPECT_FALSE(Term("x").as_fun());
  EXPECT_FALSE(Term::bitstring("x", 3).as_text());
  EXPECT_EQ(Term(1).size(), 0U);
  EXPECT_EQ(Term(Pid{1}).size(), 0U);
  EXPECT_TRUE(Term("x").elements().empty());
}

TEST(Term, containers_convert_to_lists_tuples_and_maps) {
  EXPECT_EQ(Term(std::vector<int>{1, 2}), list(1, 2));
  EXPECT_EQ(Term(std::vector<bool>{true, false}), list(true, false));
  EXPECT_EQ(Term(std::array<std::string, 2>{"a", "b"}), list("a", "b"));
  EXPECT_EQ(Term(std::set<int>{2, 1}), list(1, 2));
  EXPECT_EQ(Term(std::pair(1, "a"_atom)), tuple(1, "a"_atom));
  EXPECT_EQ(Term(std::tuple(1, 2.5, std::string("x"))), tuple(1, 2.5, "x"));
  EXPECT_EQ(Term(std::tuple<>()), tuple());
  EXPECT_EQ(Term(std::map<std::string, int>{{"a", 1}}), map({{"a", 1}}));
  EXPECT_EQ(Term(std::unordered_map<int, int>{{2, 3}, {1, 2}}), map({{1, 2}, {2, 3}}));
  EXPECT_EQ(Term(std::optional<int>()), Term());
  EXPECT_EQ(Term(std::optional<int>(3)), 3);
  EXPECT_EQ(Term(std::vector<std::optional<int>>{1, std::nullopt}), list(1, Term()));
  EXPECT_EQ(Term(Convertible{5}), tuple("convertible"_atom, 5));
}

TEST(Term, a_duration_is_its_milliseconds) {
  EXPECT_EQ(Term(2s), 2000);
  EXPECT_EQ(Term(1h), 3'600'000);
  EXPECT_EQ(Term(2999us), 2);
  EXPECT_EQ(Term(-1500us), -1);
  EXPECT_EQ(Term(std::chrono::duration<double>(1.5)), 1500);
  EXPECT_EQ(Term((std::chrono::duration<int, std::ratio<1, 30>>(60))), 2000);
}

TEST(Term, a_float_that_is_no_number_becomes_an_atom) {
  EXPECT_EQ(Term(std::numeric_limits<double>::infinity()), "infinity"_atom);
  EXPECT_EQ(Term(-std::numeric_limits<double>::infinity()), "neg_infinity"_atom);
  EXPECT_EQ(Term(std::numeric_limits<double>::quiet_NaN()), "nan"_atom);
}

// -- integers --

TEST(Term, integers_of_any_size_read_and_print) {
  for (const char* text :
       {"0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551616",
        "-340282366920938463463374607431768211456", "1000000000000000000000000000000000000000000000000000001"}) {
    EXPECT_EQ(inspect(big(text)), text);
  }
  EXPECT_EQ(big("+0005"), 5);
  EXPECT_EQ(big("-0"), 0);
  for (const char* text : {"", "-", "+", "1a", " 1", "1 ", "--1", "1.0"}) EXPECT_FALSE(Term::integer(text)) << text;
}

TEST(Term, an_integer_that_fits_stands_in_64_bits_however_it_was_made) {
  EXPECT_EQ(big("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(big("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(big("-9223372036854775808").as_int64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(big("9223372036854775808").as_int64());
  EXPECT_EQ(big("18446744073709551615").as_uint64(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(Term(std::numeric_limits<std::uint64_t>::max()), big("18446744073709551615"));
  EXPECT_FALSE(big("18446744073709551616").as_uint64());
  EXPECT_FALSE(Term(-1).as_uint64());
  EXPECT_FALSE(big("-9223372036854775809").as_uint64());
}

TEST(Term, sign_and_magnitude_lead_back_to_the_integer) {
  for (const char* text :
       {"0", "255", "-256", "-9223372036854775808", "123456789012345678901234567890", "-18446744073709551616"}) {
    const Term integer = big(text);
    EXPECT_EQ(Term::integer(integer.is_negative(), integer.magnitude()), integer) << text;
  }
  EXPECT_EQ(Term(256).magnitude(), (std::vector<std::uint8_t>{0, 1}));
  EXPECT_EQ(Term::integer(true, std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 0}), 0);
}

// -- binaries --

TEST(Term, bits_beyond_the_end_of_a_bitstring_do_not_matter) {
  EXPECT_EQ(Term::bitstring("\xff", 3), Term::bitstring("\xe0", 3));
  EXPECT_NE(Term::bitstring("\xff", 3), Term::bitstring("\xe0", 4));
  EXPECT_EQ(Term::bitstring("ab", 16), Term("ab"));
  EXPECT_EQ(Term::bitstring("\xff\xff", 9).size(), 2U);
  EXPECT_EQ(Term::bitstring("\xff\xff", 9).bit_size(), 9U);
  EXPECT_EQ(Term::bitstring("", 0), "");
  EXPECT_FALSE(Term::bitstring("\xff", 3).is_binary());
  EXPECT_THROW(static_cast<void>(Term::bitstring("a", 9)), std::invalid_argument);
}

// -- containers --

TEST(Term, elements_are_reached_by_index) {
  const Term t = tuple("user"_atom, 42, list("a"));
  EXPECT_EQ(t.size(), 3U);
  EXPECT_TRUE(t.is_tuple(3));
  EXPECT_EQ(t[1], 42);
  EXPECT_EQ(t[2][0], "a");
  EXPECT_THROW(static_cast<void>(t[3]), std::out_of_range);
  EXPECT_THROW(static_cast<void>(Term(1)[0]), std::out_of_range);
  EXPECT_THROW(static_cast<void>(list()[0]), std::out_of_range);
}

TEST(Term, a_tail_that_is_a_list_continues_the_list) {
  EXPECT_EQ(Term::list_of({1}, list(2, 3)), list(1, 2, 3));
  EXPECT_EQ(Term::list_of({1}, Term::list_of({2}, 3)), Term::list_of({1, 2}, 3));
  EXPECT_EQ(Term::list_of({1}, list()), list(1));
  EXPECT_EQ(Term::list_of({}, 5), 5);
  const Term improper = Term::list_of({1, 2}, "end"_atom);
  EXPECT_EQ(improper.size(), 2U);
  EXPECT_EQ(improper.elements().size(), 2U);
  ASSERT_NE(improper.tail(), nullptr);
  EXPECT_EQ(*improper.tail(), "end"_atom);
  EXPECT_TRUE(improper.is_list());
  EXPECT_FALSE(improper.is_proper_list());
  EXPECT_THROW(static_cast<void>(improper[2]), std::out_of_range);
}

TEST(Term, a_map_finds_its_keys_exactly) {
  const Term m = map({{"b"_atom, 1}, {1, 2}, {1.0, 3}, {"b"_atom, 4}, {tuple(), 5}});
  EXPECT_EQ(m.size(), 4U);
  EXPECT_EQ(*m.find("b"_atom), 4);
  EXPECT_EQ(*m.find(1), 2);
  EXPECT_EQ(*m.find(1.0), 3);
  EXPECT_EQ(*m.find(tuple()), 5);
  EXPECT_EQ(m.find(2), nullptr);
  EXPECT_EQ(m.find("b"), nullptr);
  EXPECT_EQ(Term(1).find(1), nullptr);
}

TEST(Term, a_map_is_changed_by_making_another) {
  const Term m = map({{1, "a"}, {3, "c"}});
  EXPECT_EQ(m.with(2, "b"), map({{1, "a"}, {2, "b"}, {3, "c"}}));
  EXPECT_EQ(m.with(3, "z"), map({{1, "a"}, {3, "z"}}));
  EXPECT_EQ(m.with(4, "d").size(), 3U);
  EXPECT_EQ(m.without(1), map({{3, "c"}}));
  EXPECT_EQ(m.without(2), m);
  EXPECT_EQ(map({}).with(1, 2).without(1), map({}));
  EXPECT_EQ(m, map({{3, "c"}, {1, "a"}}));
  EXPECT_THROW(static_cast<void>(Term(1).with(1, 2)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(list(1).without(1)), std::invalid_argument);
}

TEST(Term, a_large_map_finds_every_key) {
  std::vector<TermEntry> entries;
  for (int i = 0; i < 20'000; ++i) entries.push_back({(i * 7919) % 20'000, i});
  const Term m = Term::map_of(std::move(entries));
  ASSERT_EQ(m.size(), 20'000U);
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(*m.find((i * 7919) % 20'000), i);
}

TEST(Term, a_keyword_list_gives_the_first_value_of_a_key) {
  const Term options = keyword({{"name"_atom, "x"}, {"limit"_atom, 1}, {"limit"_atom, 2}});
  EXPECT_EQ(*keyword_find(options, "limit"_atom), 1);
  EXPECT_EQ(keyword_find(options, "other"_atom), nullptr);
  EXPECT_EQ(keyword_find(Term(1), "other"_atom), nullptr);
}

// -- equality, order, hash --

TEST(Term, an_integer_is_not_the_float_of_its_value) {
  EXPECT_NE(Term(1), Term(1.0));
  EXPECT_NE(tuple(1), tuple(1.0));
  EXPECT_EQ(Term(0.0), Term(-0.0));
  EXPECT_EQ(std::hash<Term>()(0.0), std::hash<Term>()(-0.0));
  EXPECT_NE(Term("a"), Term("a"_atom));
  EXPECT_NE(list(), tuple());
  EXPECT_NE(list(), map({}));
}

// Erlang's order, each strictly less than the next.
std::vector<Term> ascending_terms() {
  return {big("-100000000000000000000"),
          -5,
          -4.5,
          0,
          1,
          1.0,
          1.5,
          2,
          9007199254740992,
          9007199254740992.0,
          9007199254740993,
          big("100000000000000000000"),
          1e20,
          big("100000000000000000001"),
          1e300,
          "a"_atom,
          "b"_atom,
          Reference::from_id(1, 0),
          Reference::from_id(2, 0),
          Term::fun("f"),
          Term::fun("g"),
          Pid{1},
          Pid{2},
          tuple(),
          tuple(9),
          tuple(1, 2),
          tuple(1, 3),
          map({}),
          map({{1, "z"}}),
          map({{2, "a"}}),
          map({{1.0, "a"}}),
          map({{1, 1}, {2, 1}}),
          map({{1, 1}, {2, 2}}),
          list(),
          Term::list_of({1}, 2),
          list(1),
          list(1, 1),
          Term::list_of({1}, ""),
          list(2),
          "",
          Term::bitstring(std::string_view("\0", 1), 1),
          "a",
          "ab",
          "b",
          Term::bitstring("\x80", 1)};
}

TEST(Term, the_order_is_that_of_erlang) {
  const std::vector<Term> terms = ascending_terms();
  for (std::size_t i = 0; i < terms.size(); ++i) {
    for (std::size_t j = 0; j < terms.size(); ++j) {
      EXPECT_EQ(terms[i] <=> terms[j], i <=> j) << terms[i] << " and " << terms[j];
      EXPECT_EQ(terms[i] == terms[j], i == j) << terms[i] << " and " << terms[j];
    }
  }
}

TEST(Term, a_bitstring_that_begins_another_is_less) {
  EXPECT_LT(Term::bitstring("\x80", 1), Term::bitstring("\x80", 2));
  EXPECT_LT(Term::bitstring("\x60", 3), Term::bitstring("\x80", 1));
  EXPECT_LT(Term::bitstring("a\x80", 9), "a\x80");
  EXPECT_LT("a", Term::bitstring("a\x80", 9));
}

TEST(Term, among_the_keys_of_a_map_integers_come_before_floats) {
  EXPECT_EQ(inspect(map({{1.0, 0}, {2, 0}, {3.0, 0}, {1, 0}})), "%{1 => 0, 2 => 0, 1.0 => 0, 3.0 => 0}");
}

TEST(Term, equal_terms_have_equal_hashes_and_different_ones_mostly_not) {
  std::unordered_set<Term> set;
  for (const Term& term : ascending_terms()) set.insert(term);
  for (const Term& term : ascending_terms()) EXPECT_TRUE(set.contains(term)) << term;
  EXPECT_EQ(set.size(), ascending_terms().size());
  EXPECT_NE(list(1, list(2)).hash(), list(list(1), 2).hash());
  EXPECT_NE(tuple(1, 2).hash(), list(1, 2).hash());
}

// -- lifetime --

TEST(Term, a_moved_from_term_is_nil) {
  Term a = tuple(1, "x");
  const Term b = std::move(a);
  EXPECT_TRUE(a.is_nil());  // NOLINT: that is what is tested
  EXPECT_EQ(b, tuple(1, "x"));
  Term c = "y";
  c = b;
  EXPECT_EQ(c, b);
  Term& same = c;
  c = same;
  EXPECT_EQ(c, b);
  c = c[1];
  EXPECT_EQ(c, "x");
}

TEST(Term, a_value_nested_a_million_deep_is_copied_compared_hashed_and_destroyed) {
  const auto build = [](int kind) {
    Term term = "end";
    for (int i = 0; i < 1'000'000; ++i) {
      switch ((i + kind) % 4) {
        case 0: term = tuple(std::move(term)); break;
        case 1: term = tuple(1, std::move(term), "tail"); break;
        case 2: term = list(std::move(term), list(1)); break;
        default: term = map({{std::move(term), i}}); break;
      }
    }
    return term;
  };
  const Term term = build(0);
  const Term copy = term;
  const Term again = build(0);
  EXPECT_EQ(copy, again);
  EXPECT_EQ(copy <=> again, std::strong_ordering::equal);
  EXPECT_EQ(copy.hash(), again.hash());
  EXPECT_NE(copy, build(1));
}

TEST(Term, threads_may_share_a_value) {
  const Term shared = list(tuple("a"_atom, "text"), big("123456789012345678901234567890"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([term = shared] {
      for (int i = 0; i < 10'000; ++i) {
        const Term copy = term;
        const Term element = copy[0][1];
        ASSERT_EQ(element, "text");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared[0], tuple("a"_atom, "text"));
}

TEST(Term, values_compare_by_value_whatever_their_kind) {
  EXPECT_TRUE(std::is_eq(compare_values(1, 1.0)));
  EXPECT_TRUE(std::is_eq(compare_values(1.0, 1)));
  EXPECT_TRUE(std::is_lt(compare_values(1, 1.5)));
  EXPECT_TRUE(std::is_gt(compare_values(2, 1.5)));
  EXPECT_TRUE(std::is_eq(compare_values(tuple(1, list(2.0)), tuple(1.0, list(2)))));
  // What follows decides, where operator< stops at the integer.
  EXPECT_TRUE(std::is_gt(compare_values(tuple(1, 2), tuple(1.0, 1))));
  EXPECT_LT(tuple(1, 2), tuple(1.0, 1));
  // Keys of maps are compared exactly, values are not.
  EXPECT_TRUE(std::is_lt(compare_values(map({{1, 0}}), map({{1.0, 0}}))));
  EXPECT_TRUE(std::is_eq(compare_values(map({{1, 2}}), map({{1, 2.0}}))));
}

}  // namespace
