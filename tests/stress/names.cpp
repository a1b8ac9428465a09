// SPDX-License-Identifier: Apache-2.0
//
// Names: a few names and keys of a registry for which many processes compete, while they die of it. At any moment a name
// has at most one holder: each holder enters itself in a cell of the name after it got it and leaves the cell before it
// gives the name up, by a destructor when it dies; a cell that is taken is a name with two holders. Who hears of a death
// finds the dead under no name, key or `keys`. Servers are started under the same via name by several at once: one wins,
// the others hear who; calls through it are answered by a holder or fail with a reason that fits.
#include <array>
#include <mutex>
#include <utility>

#include <coppice/gen_server.hpp>
#include <coppice/registry.hpp>
#include <coppice/supervisor.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

constexpr std::uint32_t names = 8;
using Keyed = Registry<std::uint32_t, std::uint64_t>;
constexpr Keyed::Name unique_keys{"stress.unique"};
constexpr Keyed::Name many_keys{"stress.duplicate"};

[[nodiscard]] std::string name_of(std::uint32_t i) { return "stress.name." + std::to_string(i); }

// A process that has been killed is not found any more, and its key is free, although it runs on until it learns of it: then
// it does so here.
void not_killed(const char* what) {
  sleep_for(20s);
  fail(what);
}

// Who stands in a cell is the only one, or those before it have been killed already: a key of a registry is free when its
// holder is no longer alive (RG-010), although that may still be on its way out; a name only when it has gone.
class Cell {
 public:
  explicit Cell(bool of_the_living = false) : of_the_living_(of_the_living) {}
  void enter() {
    if (is_free()) return;
    if (!of_the_living_) return fail("a name has two holders");
    not_killed("a key has two living holders");  // we may have been killed since we got it
  }
  void leave() {
    const std::scoped_lock lock(mutex_);
    std::erase(holders_, self());
  }

 private:
  bool is_free() {
    const std::scoped_lock lock(mutex_);
    for (const Pid& holder : holders_) {
      if (!of_the_living_ || alive(holder)) return false;
    }
    holders_.push_back(self());
    return true;
  }

  bool of_the_living_;
  std::mutex mutex_;
  std::vector<Pid> holders_;
};
// Stands in a cell until it leaves, or its process does.
class Stay {
 public:
  explicit Stay(Cell& cell) : cell_(&cell) { cell.enter(); }
  ~Stay() { leave(); }
  Stay(const Stay&) = delete;
  Stay& operator=(const Stay&) = delete;
  void leave() {
    if (cell_ != nullptr) std::exchange(cell_, nullptr)->leave();
  }

 private:
  Cell* cell_;
};
class KeyCell : public Cell {
 public:
  KeyCell() : Cell(true) {}
};

class Holder : public GenServer<Holder> {
 public:
  struct Who {
    using Reply = Pid;
  };
  Pid handle_call(Who) const { return coppice::self(); }
  struct End {};
  Action handle_cast(End) { return stop(ExitReason::normal()); }

 private:
  Counted<Holder> counted_;
};

class Names final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "names"; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    trap_exit(true);
    const Pid registries =
        Supervisor::start_link({child<Keyed>({.name = unique_keys, .partitions = 2}),
                                child<Keyed>({.name = many_keys, .keys = Keys::duplicate, .partitions = 2})})
            .value()
            .pid();
    Crew crew;
    const std::uint32_t each = setting.scaled(40, 3);
    for (std::uint32_t i = 0; i < each; ++i) {
      crew.add([this, until, r = Random(random.next())]() mutable { raise_contenders(until, r); });
      crew.add([this, until, r = Random(random.next())]() mutable { look(until, r); });
      crew.add([this, until, r = Random(random.next())]() mutable { start_servers(until, r); });
    }
    note_peak(processes().size());
    crew.wait();
    same("entries of the unique registry", unique_keys.count(), 0);
    same("entries of the other registry", many_keys.count(), 0);
    for (std::uint32_t i = 0; i < names; ++i) {
      if (whereis(name_of(i))) fail("a name is left");
    }
    Supervisor::stop(registries);
  }

  void check() override { none_left<Holder>("holders"); }

 private:
  // Has a name, a key, and some of the other kind for a while; then returns, exits, or is killed wherever it is.
  void contend(Random random) {
    const std::uint32_t turns = 1 + random.below(6);
    for (std::uint32_t turn = 0; turn < turns; ++turn) {
      const std::uint32_t i = random.below(names);
      (void)many_keys.register_key(i, turn);
      if (random.below(2) == 0) {
        have_name(i, random);
      } else {
        have_key(i, random);
      }
      if (random.below(2) == 0) many_keys.unregister(i);
      operations += 1;
    }
    if (random.below(4) == 0) coppice::exit("done"_atom);
  }

  void have_name(std::uint32_t i, Random& random) {
    try {
      register_name(self(), name_of(i));
    } catch (const Exit&) {
      return;  // taken
    }
    Stay stay(names_[i]);
    if (whereis(name_of(i)) != self()) fail("who has a name is not found under it");
    dawdle(random);
    if (random.below(3) == 0) coppice::exit("gone with its name"_atom);
    if (whereis(name_of(i)) != self()) fail("who has a name is not found under it any more");
    stay.leave();
    unregister_name(name_of(i));
  }

  void have_key(std::uint32_t i, Random& random) {
    const auto result = unique_keys.register_key(i, random.next());
    if (!result) return;
    Stay stay(keys_[i]);
    found_under_key(i);
    const auto more = [](std::uint64_t value) { return value + 1; };
    if (!unique_keys.update_value(i, more)) not_killed("a value is not its holder's");
    dawdle(random);
    if (random.below(3) == 0) coppice::exit("gone with its key"_atom);
    found_under_key(i);
    stay.leave();
    unique_keys.unregister(i);
  }

  static void found_under_key(std::uint32_t i) {
    if (unique_keys.pid(i) != self()) not_killed("who has a key is not found under it");
  }

  // Starts contenders, kills some of them, and looks whether the dead are gone from everywhere.
  void raise_contenders(Clock::time_point until, Random& random) {
    while (!over(until)) {
      const Random own(random.next());
      const auto [pid, end] = spawn_monitor([this, own] { contend(own); });
      if (random.below(2) == 0) {
        dawdle(random);
        exit(pid, "kill"_atom);
        kills += 1;
      }
      (void)receive<Down>();
      for (std::uint32_t i = 0; i < names; ++i) {
        if (whereis(name_of(i)) == pid) fail("the dead has a name");
        if (unique_keys.pid(i) == pid) fail("the dead has a key");
      }
      if (!unique_keys.keys(pid).empty() || !many_keys.keys(pid).empty()) fail("the dead has keys");
    }
  }

  // Readers: whoever they find may be gone, and messages to nobody vanish.
  void look(Clock::time_point until, Random& random) {
    while (!over(until)) {
      const std::uint32_t i = random.below(names);
      if (const Pid pid = whereis(name_of(i))) send(pid, Poke{});
      if (const Pid pid = unique_keys.pid(i)) send(pid, Poke{});
      many_keys.dispatch(i, [](const auto& entries) {
        for (const auto& entry : entries) send(entry.pid, Poke{});
      });
      try {
        send(name_of(i), Poke{});
      } catch (const Exit&) {  // nobody has it
      }
      if (random.below(32) == 0) (void)registered();
      if (random.below(32) == 0) (void)unique_keys.count();
      operations += 1;
      dawdle(random);
    }
  }

  // Many start a server under one of the same names.
  void start_servers(Clock::time_point until, Random& random) {
    while (!over(until)) {
      const std::uint32_t i = names + random.below(names);
      const auto address = via<Holder>(unique_keys, i);
      const StartResult<Holder> started = Holder::start_as({.name = address});
      if (started) {
        if (unique_keys.pid(i) != started.value().pid()) fail("a server that has started is not found under its name");
      } else if (!started.reason().term().is_tuple()) {
        fail("a start under a name that is taken says " + format_exit(started.reason()));
      }
      ask(address);
      if (!started) continue;
      dawdle(random);
      const Reference end = monitor(started.value());
      if (random.below(2) == 0) {
        exit(started.value(), "kill"_atom);
        kills += 1;
      } else {
        started.value().cast(Holder::End{});
      }
      receive(when([&](const Down& down) { return down.reference == end; }, [](const Down&) {}));
      if (unique_keys.pid(i) == started.value().pid()) fail("the dead has a name in the registry");
      restarts += 1;
    }
  }
  void ask(const RegisteredAs<Holder>& address) {
    operations += 1;
    const Result<Pid> who = address.try_call(Holder::Who{}, 60s);
    if (who) return;
    const bool fits = who.reason() == ExitReason("noproc"_atom) || who.reason() == ExitReason("killed"_atom) ||
                      who.reason().is_normal();
    if (!fits) fail("a call through the registry failed with " + format_exit(who.reason()));
  }

  struct Poke {};
  std::array<Cell, names> names_;
  std::array<KeyCell, names> keys_;
};

}  // namespace

std::unique_ptr<Workload> stress::make_names() { return std::make_unique<Names>(); }
