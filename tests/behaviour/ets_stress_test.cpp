// SPDX-License-Identifier: Apache-2.0
//
// Many readers and writers of one table on real threads, processes and foreign threads alike. Each value says which key
// and which round it belongs to, so a torn or freed one would show.
#include <algorithm>
#include <atomic>
#include <functional>
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

// Runs each function in a process of its own, all at once on real threads, and waits for their ends.
void run_together(ets::Type type, int preset, std::vector<std::function<void(const Table&)>> functions) {
  coppice::Runtime runtime({.schedulers = 4});
  const coppice::Runtime::Scope scope(runtime);
  const ExitReason reason = runtime.run([&] {
    const Table table = Table::create({.type = type, .access = ets::Access::public_});
    for (int key = 0; key < preset; ++key) table.insert(key, value_for(key, 0));
    std::vector<Reference> ends;
    for (const auto& function : functions) ends.push_back(spawn_monitor([=] { function(table); }).second);
    for (const Reference& end : ends) {
      receive(when([&](const Down& down) { return down.reference == end; },
                   [](const Down& down) { EXPECT_TRUE(down.reason.is_normal()) << format_exit(down.reason); }));
    }
  });
  EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
}
int round_of(const Value& value) { return std::stoi(value.text.substr(value.text.find(':') + 1)); }

// Each writer has keys of its own, next to those of the others: what it has written last it finds, whatever they do.
void own_keys(ets::Type type) {
  std::vector<std::function<void(const Table&)>> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.push_back([writer](const Table& table) {
      for (int round = 1; round <= 40 * rounds; ++round) {
        const int key = 3 * (round * 7 % 700) + writer;
        if (round % 3 == 0) {
          table.remove(key);
          EXPECT_FALSE(table.member(key));
        } else {
          table.insert(key, value_for(key, round));
          const auto found = table.lookup(key);
          EXPECT_TRUE(found && round_of(*found) == round) << key;
        }
      }
    });
  }
  writers.push_back([](const Table& table) {  // makes the others change beside, from time to time
    for (int round = 0; round < rounds / 4; ++round) {
      for (const auto& object : table.to_vector()) check(object.key, object.value);
      table.insert({{10'000, value_for(10'000, round)}, {10'001, value_for(10'001, round)}});
    }
  });
  run_together(type, 0, std::move(writers));
}
TEST(EtsStress, a_writer_of_a_set_finds_what_it_wrote) { own_keys(ets::Type::set); }
TEST(EtsStress, a_writer_of_an_ordered_set_finds_what_it_wrote) { own_keys(ets::Type::ordered_set); }

// Rounds are written upwards, key by key; whoever looks, sees no key go back, and of many that are inserted at once no
// part.
void never_backwards(ets::Type type) {
  const auto one_by_one = [](const Table& table) {
    for (int round = 1; round <= rounds; ++round) {
      for (int key = 0; key < 8; ++key) table.insert(key, value_for(key, round));
    }
  };
  const auto together = [](const Table& table) {
    for (int round = 1; round <= rounds; ++round) {
      std::vector<Table::Object> objects;
      for (int key = 8; key < 16; ++key) objects.push_back({key, value_for(key, round)});
      table.insert(std::move(objects));
    }
  };
  const auto look = [](const Table& table) {
    std::vector<int> seen(16, 0);
    const auto note = [&](int key, const Value& value) {
      const int round = round_of(value);
      EXPECT_GE(round, seen[static_cast<std::size_t>(key)]);
      seen[static_cast<std::size_t>(key)] = round;
    };
    for (int i = 0; i < 2 * rounds; ++i) {
      note(i % 8, *table.lookup(i % 8));
      const int before = round_of(*table.lookup(8 + i % 8));
      EXPECT_GE(round_of(*table.lookup(8 + (i + 3) % 8)), before);
    }
  };
  // As they were at one moment: of keys that are written one after another, each is as far as the one behind it or one
  // round further.
  const auto snapshots = [](const Table& table) {
    for (int i = 0; i < rounds / 2; ++i) {
      std::vector<int> at(16, -1);
      for (const auto& object : table.to_vector()) at[static_cast<std::size_t>(object.key)] = round_of(object.value);
      for (std::size_t key = 1; key < 8; ++key) EXPECT_TRUE(at[key - 1] == at[key] || at[key - 1] == at[key] + 1);
      EXPECT_LE(at[0] - at[7], 1);
      for (std::size_t key = 9; key < 16; ++key) EXPECT_EQ(at[key], at[8]);
    }
  };
  run_together(type, 16, {one_by_one, together, look, look, snapshots});
}
TEST(EtsStress, no_key_of_a_set_goes_back_and_a_snapshot_is_of_one_moment) { never_backwards(ets::Type::set); }
TEST(EtsStress, no_key_of_an_ordered_set_goes_back_and_a_snapshot_is_of_one_moment) {
  never_backwards(ets::Type::ordered_set);
}

// Every pass meets what stands there all the time once, while all around it nodes grow, split and go.
void passes(ets::Type type) {
  const auto churn = [](const Table& table) {
    for (int round = 0; round < 3; ++round) {
      for (int key = 2000; key < 6000; ++key) table.insert(key, value_for(key, round));
      for (int key = 2000; key < 6000; ++key) table.remove(key);
      for (int key = 0; key < 2000; key += 2) table.remove(key);
      for (int key = 0; key < 2000; key += 2) table.insert(key, value_for(key, round));
    }
  };
  const auto pass = [](const Table& table) {
    for (int i = 0; i < 12; ++i) {
      std::vector<int> seen;
      table.for_each([&](int key, const Value& value) {
        check(key, value);
        if (key < 2000 && key % 2 == 1) seen.push_back(key);
      });
      std::sort(seen.begin(), seen.end());
      EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
      EXPECT_EQ(seen.size(), 1000u);
    }
  };
  run_together(type, 2000, {churn, pass, pass});
}
TEST(EtsStress, a_pass_over_a_set_meets_what_stays_once) { passes(ets::Type::set); }
TEST(EtsStress, a_pass_over_an_ordered_set_meets_what_stays_once) { passes(ets::Type::ordered_set); }

// Counters that many add to: no addition is lost.
TEST(EtsStress, no_addition_is_lost) {
  for (const ets::Type type : {ets::Type::set, ets::Type::ordered_set}) {
    using Counters = ets::Table<int, int>;
    coppice::Runtime runtime({.schedulers = 4});
    const coppice::Runtime::Scope scope(runtime);
    const ExitReason reason = runtime.run([&] {
      const Counters table = Counters::create({.type = type, .access = ets::Access::public_});
      std::vector<Reference> ends;
      for (int writer = 0; writer < 4; ++writer) {
        ends.push_back(spawn_monitor([table] {
                         for (int i = 0; i < 20 * rounds; ++i) (void)table.update_counter(i % 40, 1, 0);
                       }).second);
      }
      for (std::size_t i = 0; i < ends.size(); ++i) receive<Down>();
      for (int key = 0; key < 40; ++key) EXPECT_EQ(table.lookup(key), 4 * 20 * rounds / 40);
    });
    EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
  }
}

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
