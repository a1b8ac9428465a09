// SPDX-License-Identifier: Apache-2.0
//
// Tables: sets and ordered sets that come, go and change hands while processes on all workers and a foreign thread read and
// write them. Each value says to which key it belongs, so a torn or freed one would show; and each is counted, so that one
// that is not destroyed would too. An owner gives its table away, ends, or is killed; an heir may inherit it. Who uses a
// table that has gone hears badarg.
#include <array>
#include <mutex>
#include <thread>

#include <coppice/ets.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

struct Value {
  std::uint32_t key = 0;
  std::uint64_t number = 0;
  std::string text;
  Counted<Value> counted = {};
};
using Table = ets::Table<std::uint32_t, Value>;
using Counters = ets::Table<std::uint32_t, std::uint64_t>;

constexpr std::uint32_t keys = 512;
constexpr std::uint32_t shelves = 6;

[[nodiscard]] Value value_of(std::uint32_t key, std::uint64_t number) {
  return {key, number, "a text that does not fit into a string itself " + std::to_string(key)};
}
void inspect_value(std::uint32_t key, const Value& value) {
  if (value.key != key || !value.text.ends_with(" " + std::to_string(key))) fail("a value of another key");
}

class Tables final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "tables"; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    for (auto& shelf : shelves_) shelf = Table();
    Crew owners;
    Crew crew;
    const Pid heir = crew.add([this] { inherit(); });
    for (std::uint32_t shelf = 0; shelf < shelves; ++shelf) {
      owners.add(
          [this, shelf, heir, until, r = Random(random.next())]() mutable { raise_owners(shelf, heir, until, r); });
    }
    Crew users;
    const std::uint32_t each = setting.scaled(16, 2);
    for (std::uint32_t i = 0; i < each; ++i) {
      users.add([this, until, r = Random(random.next())]() mutable { write(until, r); });
      users.add([this, until, r = Random(random.next())]() mutable { read(until, r); });
    }
    users.add([this, until, random_ = Random(random.next())]() mutable { count(until, random_); });
    // A foreign thread has nobody to tell of a table that has gone: it is given one that stays.
    const Table steady = Table::create({.access = ets::Access::public_});
    std::thread foreign([this, steady, until, r = Random(random.next())]() mutable {
      while (!over(until)) {
        write_once(steady, r);
        const std::uint32_t key = r.below(keys);
        if (const auto value = steady.lookup(key)) inspect_value(key, *value);
        if (key == 0) steady.for_each(inspect_value);
        operations += 1;
      }
    });
    users.add([this, steady, until, r = Random(random.next())]() mutable {
      while (!over(until)) {
        write_once(steady, r);
        dawdle(r);
      }
    });
    note_peak(processes().size());
    users.wait();
    owners.wait();
    blocking([&] { foreign.join(); });
    send(heir, Stop{});
    crew.wait();
    for (auto& shelf : shelves_) shelf = Table();
  }

  void check() override { none_left<Value>("values"); }

 private:
  struct Stop {};

  [[nodiscard]] Table take_from(std::uint32_t shelf) {
    const std::scoped_lock lock(mutex_);
    return shelves_[shelf];
  }
  void put(std::uint32_t shelf, const Table& table) {
    Table old;  // its destructor runs outside of the lock
    const std::scoped_lock lock(mutex_);
    old = std::exchange(shelves_[shelf], table);
  }

  void raise_owners(std::uint32_t shelf, const Pid& heir, Clock::time_point until, Random& random) {
    while (!over(until)) {
      const Random own(random.next());
      const auto [owner, end] = spawn_monitor([this, shelf, heir, own] { own_table(shelf, heir, own); });
      sleep_for(std::chrono::microseconds(random.below(20'000)));
      exit(owner, "kill"_atom);
      kills += 1;
      (void)receive<Down>();
    }
  }

  void own_table(std::uint32_t shelf, const Pid& heir, Random random) {
    std::optional<ets::Heir> to;
    if (random.below(3) == 0) to = ets::Heir{heir};
    const Table table = Table::create(
        {.type = shelf % 2 == 0 ? ets::Type::set : ets::Type::ordered_set, .access = ets::Access::public_, .heir = to});
    for (std::uint32_t key = 0; key < keys; key += 2) table.insert(key, value_of(key, 0));
    put(shelf, table);
    sleep_for(std::chrono::microseconds(random.below(15'000)));
    switch (random.below(4)) {
      case 0: return;  // the table goes with its owner, or to the heir
      case 1: table.destroy(); return;
      case 2: try { table.give_away(heir);
        } catch (const Exit&) {
          if (alive(heir)) fail("a table cannot be given away by its owner");
        }
        return;
      default: sleep_for(infinity);
    }
  }

  // Gets tables and destroys them after a little use.
  void inherit() {
    for (bool done = false; !done;) {
      receive(
          [&](const Table::Transfer& transfer) {
            transfer.table.for_each(inspect_value);
            transfer.table.insert(1, value_of(1, 1));
            transfer.table.destroy();
            operations += 1;
          },
          [&](Stop) { done = true; });
    }
  }

  void write(Clock::time_point until, Random& random) {
    while (!over(until)) {
      const Table table = take_from(random.below(shelves));
      for (int i = 0; i < 64; ++i) {
        try {
          if (table) write_once(table, random);
        } catch (const Exit&) {
          break;  // it has gone
        }
        operations += 1;
      }
      dawdle(random);
    }
  }
  void write_once(const Table& table, Random& random) {
    const std::uint32_t key = random.below(keys);
    const std::uint64_t number = numbers_.fetch_add(1);
    switch (random.below(8)) {
      case 0: table.remove(key); break;
      case 1:
        for (const auto& object : table.take(key)) inspect_value(object.key, object.value);
        break;
      case 2: table.insert({{key, value_of(key, number)}, {key / 2, value_of(key / 2, number)}}); break;
      case 3: (void)table.insert_new(key, value_of(key, number)); break;
      case 4:
        (void)table.update(key, [&](Value value) {
          inspect_value(key, value);
          return value_of(key, value.number + 1);
        });
        break;
      case 5:
        if (random.below(64) == 0) table.clear();
        break;
      default: table.insert(key, value_of(key, number)); break;
    }
  }

  void read(Clock::time_point until, Random& random) {
    while (!over(until)) {
      const Table table = take_from(random.below(shelves));
      for (int i = 0; i < 64; ++i) {
        try {
          if (table) read_once(table, random);
        } catch (const Exit&) {
          break;
        }
        operations += 1;
      }
      dawdle(random);
    }
  }
  // Fixed, so that the next of a key that has just gone is known.
  static void walk(const Table& table) {
    table.safe_fixtable(true);
    for (auto at = table.first(); at && *at < 64;) at = table.next(*at);
    table.safe_fixtable(false);
  }
  static void read_once(const Table& table, Random& random) {
    const std::uint32_t key = random.below(keys);
    switch (random.below(32)) {
      case 0: table.for_each(inspect_value); break;
      case 1:
        for (const auto& object : table.to_vector()) inspect_value(object.key, object.value);
        break;
      case 2: walk(table); break;
      case 3: (void)table.info(); break;
      default:
        if (const auto value = table.lookup(key)) inspect_value(key, *value);
    }
  }

  // Its own table, which others add to: no addition is lost.
  void count(Clock::time_point until, Random& random) {
    const Counters table = Counters::create({.access = ets::Access::public_});
    Crew adders;
    Count added{0};
    for (int i = 0; i < 3; ++i) {
      adders.add([&added, table, until, r = Random(random.next())]() mutable {
        while (!over(until)) {
          for (int n = 0; n < 32; ++n) (void)table.update_counter(r.below(16), 1, 0);
          added += 32;
          dawdle(r);
        }
      });
    }
    adders.wait();
    std::uint64_t sum = 0;
    table.for_each([&](std::uint32_t, std::uint64_t value) { sum += value; });
    same("additions", sum, added.load());
  }

  std::mutex mutex_;
  std::array<Table, shelves> shelves_;
  Count numbers_{0};
};

}  // namespace

std::unique_ptr<Workload> stress::make_tables() { return std::make_unique<Tables>(); }
