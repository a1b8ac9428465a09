// SPDX-License-Identifier: Apache-2.0
//
// Tables of scenarios: named, of pairs. The original's objects are {key, value}.
#include <algorithm>

#include <coppice/ets.hpp>
#include <coppice/process.hpp>

#include "against_otp/play.hpp"

namespace against_otp {

using namespace coppice;

namespace {

using Pairs = ets::Table<Term, Term>;
using Counters = ets::Table<Term, std::int64_t>;

// The name lives as long as the operation.
template <class Table>
struct Named {
  std::string text;
  explicit Named(const Term& name) : text(name.as_atom().value().text()) {}
  [[nodiscard]] typename Table::Name name() const { return typename Table::Name(text.c_str()); }
};

Named<Pairs> table(const Player& player, const Line& line) { return Named<Pairs>(player.argument(line, 0)); }

std::string_view word(const Player& player, const Expression* expression, std::string_view otherwise) {
  return expression == nullptr ? otherwise : player.value(*expression).as_atom().value().text();
}

ets::Access access(std::string_view text) {
  if (text == "public") return ets::Access::public_;
  return text == "private" ? ets::Access::private_ : ets::Access::protected_;
}

ets::Type type(std::string_view text) {
  if (text == "ordered_set") return ets::Type::ordered_set;
  if (text == "bag") return ets::Type::bag;
  return text == "duplicate_bag" ? ets::Type::duplicate_bag : ets::Type::set;
}

// new_table :t[, type: :set][, access: :protected][, heir: PROCESS]
void create(Player& player, const Line& line) {
  const Named<Pairs> named = table(player, line);
  Pairs::Options options{.name = named.name(),
                         .type = type(word(player, line.option("type"), "set")),
                         .access = access(word(player, line.option("access"), "protected"))};
  if (const Expression* heir = line.option("heir")) {
    options.heir = ets::Heir{player.value(*heir).as_pid().value(), Term(Atom("heritage"))};
  }
  (void)Pairs::create(options);
}

Term terms_of(std::vector<Pairs::Object> objects, bool sorted) {
  std::vector<Term> terms;
  for (auto& object : objects) terms.push_back(tuple(std::move(object.key), std::move(object.value)));
  if (sorted) std::ranges::sort(terms);
  return Term::list_of(std::move(terms));
}

Term or_end(std::optional<Term> key) { return key ? *std::move(key) : Term(Atom("$end_of_table")); }

void insert(Player& player, const Line& line) {
  table(player, line).name().insert(player.argument(line, 1), player.argument(line, 2));
}
void insert_new(Player& player, const Line& line) {
  player.tell("insert_new", table(player, line).name().insert_new(player.argument(line, 1), player.argument(line, 2)));
}
void find(Player& player, const Line& line) {
  player.tell("objects", terms_of(table(player, line).name().lookup_all(player.argument(line, 1)), false));
}
void member(Player& player, const Line& line) {
  player.tell("member", table(player, line).name().member(player.argument(line, 1)));
}
void take(Player& player, const Line& line) {
  player.tell("taken", terms_of(table(player, line).name().take(player.argument(line, 1)), false));
}
void remove(Player& player, const Line& line) { table(player, line).name().remove(player.argument(line, 1)); }
void remove_object(Player& player, const Line& line) {
  table(player, line).name().remove_object(player.argument(line, 1), player.argument(line, 2));
}
void clear(Player& player, const Line& line) { table(player, line).name().clear(); }
void destroy(Player& player, const Line& line) { table(player, line).name().destroy(); }
void size(Player& player, const Line& line) {
  const std::optional<ets::Info> info = table(player, line).name().info();
  player.tell("size", info ? Term(info->size) : Term(Atom("undefined")));
}
void owner(Player& player, const Line& line) {
  const std::optional<ets::Info> info = table(player, line).name().info();
  player.tell("owner", info ? Term(info->owner) : Term(Atom("undefined")));
}
// All objects: of an ordered table in its order, of others sorted.
void all_objects(Player& player, const Line& line) {
  const Named<Pairs> named = table(player, line);
  const bool ordered = named.name().info().value().type == ets::Type::ordered_set;
  player.tell("all", terms_of(named.name().to_vector(), !ordered));
}
void first(Player& player, const Line& line) { player.tell("first", or_end(table(player, line).name().first())); }
void last(Player& player, const Line& line) { player.tell("last", or_end(table(player, line).name().last())); }
void next(Player& player, const Line& line) {
  player.tell("next", or_end(table(player, line).name().next(player.argument(line, 1))));
}
void previous(Player& player, const Line& line) {
  player.tell("previous", or_end(table(player, line).name().prev(player.argument(line, 1))));
}
void give_away(Player& player, const Line& line) {
  table(player, line).name().give_away(player.process(line, 1), player.argument(line, 2));
}
void rename(Player& player, const Line& line) {
  const std::optional<Pairs> found = table(player, line).name().whereis();
  if (!found) throw Exit(Term(Atom("badarg")));
  found->rename(Named<Pairs>(player.argument(line, 1)).name());
}

// -- numbers ---------------------------------------------------------------------------------------------------------

void create_counters(Player& player, const Line& line) {
  const Named<Counters> named(player.argument(line, 0));
  (void)Counters::create({.name = named.name()});
}
// add :t, key, increment[, default: N][, limit: {threshold, set_to}]
void add(Player& player, const Line& line) {
  const Named<Counters> named(player.argument(line, 0));
  const Term key = player.argument(line, 1);
  const std::int64_t increment = player.argument(line, 2).as_int64().value();
  std::optional<std::int64_t> otherwise;
  if (const Expression* given = line.option("default")) otherwise = player.value(*given).as_int64();
  if (const Expression* limit = line.option("limit")) {
    const Term pair = player.value(*limit);
    return player.tell("counter", named.name().update_counter(key, increment, pair[0].as_int64(),
                                                              pair[1].as_int64().value(), otherwise));
  }
  player.tell("counter", named.name().update_counter(key, increment, otherwise));
}

}  // namespace

Term term_of_transfer(const Pairs::Transfer& message) {
  const std::optional<ets::Info> info = message.table.info();
  return tuple(Atom("ETS-TRANSFER"), info ? Term(Atom(info->name)) : Term(), message.from, message.data);
}

const Steps& table_steps() {
  static const Steps steps{{"new_table", create},
                           {"insert_pair", insert},
                           {"insert_new", insert_new},
                           {"find", find},
                           {"member", member},
                           {"take", take},
                           {"remove", remove},
                           {"remove_object", remove_object},
                           {"clear", clear},
                           {"destroy", destroy},
                           {"size", size},
                           {"owner", owner},
                           {"all", all_objects},
                           {"first", first},
                           {"last", last},
                           {"next_key", next},
                           {"previous_key", previous},
                           {"give_away", give_away},
                           {"rename", rename},
                           {"new_counters", create_counters},
                           {"add", add}};
  return steps;
}

}  // namespace against_otp
