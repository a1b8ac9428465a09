// SPDX-License-Identifier: Apache-2.0
//
// Many readers and writers of one table on real threads, processes and foreign threads alike. Each value says which key
// and which round it belongs to, so a torn or freed one would show.
#include <atomic>
#include <thread>
#include <vector>

#include <coppice/ets.hpp>

#include "behaviour/behaviour.hpp"

namespace {

using namespace coppice;

struct Value {
  int key = 0;
  std::string text;
  friend bool operator==(const Value&, const Value&) = default;
};
using Table = ets::Table<int, Value>;

constexpr int keys = 64;
constexpr int rounds = 300;

void check(int key, const Value& value) {
  EXPECT_EQ(value.key, key);
  EXPECT_EQ(value.text.substr(0, value.text.find(':')),
            "a text that does not fit into a string itself " + std::to_string(key));
}
Value value_for(int key, int round) {
  return {key, "a text that does not fit into a string itself " + std::to_string(key) + ":" + std::to_string(round)};
}

void write(const Table& table, int seed) {
  for (int round = 0; round < rounds; ++round) {
    const int key = (round * 7 + seed * 13) % keys;
    switch (round % 5) {
      case 0: table.remove(key); break;
      case 1:
        table.insert({{key, value_for(key, round)}, {(key + 1) % keys, value_for((key + 1) % keys, round)}});
        break;
      case 2: (void)table.take(key); break;
      case 3: (void)table.select_delete([&](int k, const Value&) { return k % 8 == seed; }); break;
      default: table.insert(key, value_for(key, round));
    }
  }
}

void read(const Table& table) {
  for (int round = 0; round < rounds; ++round) {
    const int key = round % keys;
    if (const auto value = table.lookup(key)) check(key, *value);
    if (round % 16 == 0) table.for_each(check);
    if (round % 32 == 0) {
      for (const auto& object : table.to_vector()) check(object.key, object.value);
    }
  }
}

void stress(ets::Type type) {
  coppice::Runtime runtime({.schedulers = 4});
  const coppice::Runtime::Scope scope(runtime);
  const ExitReason reason = runtime.run([&] {
    const Table table = Table::create({.type = type, .access = ets::Access::public_});
    std::vector<Reference> ends;
    for (int seed = 0; seed < 3; ++seed) ends.push_back(spawn_monitor([=] { write(table, seed); }).second);
    for (int i = 0; i < 3; ++i) ends.push_back(spawn_monitor([=] { read(table); }).second);
    std::thread foreign([&] {
      const coppice::Runtime::Scope inner(runtime);
      read(table);
      write(table, 5);
    });
    for (const Reference& end : ends) {
      receive(when([&](const Down& down) { return down.reference == end; },
                   [](const Down& down) { EXPECT_TRUE(down.reason.is_normal()) << format_exit(down.reason); }));
    }
    blocking([&] { foreign.join(); });
  });
  EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
}

TEST(EtsStress, a_set) { stress(ets::Type::set); }
TEST(EtsStress, an_ordered_set) { stress(ets::Type::ordered_set); }
TEST(EtsStress, a_duplicate_bag) { stress(ets::Type::duplicate_bag); }

// Tables come and go by name while others look them up.
TEST(EtsStress, a_named_table_that_comes_and_goes) {
  behaviour::on_threads([] {
    static constexpr Table::Name name{"coming_and_going"};
    (void)spawn_monitor([] {
      for (int i = 0; i < 2000; ++i) {
        try {
          if (const auto value = name.lookup(1)) check(1, *value);
        } catch (const Exit&) {
          checkpoint();
        }
      }
    });
    for (int i = 0; i < 200; ++i) {
      const Table table = Table::create({.name = name});
      table.insert(1, value_for(1, i));
      checkpoint();
      table.destroy();
    }
    receive<Down>();
  });
}

// An owner dies while others read and write its public table: they get badarg, nobody sees freed memory.
TEST(EtsStress, an_owner_that_dies_while_others_use_its_table) {
  behaviour::on_threads([] {
    for (int round = 0; round < 50; ++round) {
      const Pid test = self();
      const Pid owner = spawn([test] {
        const Table table = Table::create({.access = ets::Access::public_});
        send(test, table);
        sleep_for(infinity);
      });
      const Table table = receive<Table>();
      (void)spawn_monitor([table] {
        for (int i = 0;; ++i) {
          table.insert(i % keys, value_for(i % keys, i));
          if (const auto value = table.lookup(i % keys)) check(i % keys, *value);
          checkpoint();
        }
      });
      yield();
      exit(owner, ExitReason::kill());
      const ExitReason why = receive<Down>().reason;
      EXPECT_EQ(why.term()[0], Term(Atom("badarg")));
    }
  });
}

}  // namespace
