// SPDX-License-Identifier: Apache-2.0
//
// Trees: 100 000 supervised processes under random kills, each of which must be answered by exactly the restarts that the
// rules promise.
//
//   top (Supervisor, one_for_one)
//     group 0..9 (Supervisor; its strategy is drawn)
//       crowd (DynamicSupervisor)      5000 leaves, each with a companion
//       brittle (DynamicSupervisor)    one child; two restarts are allowed, the third ends it
//
// A leaf is a server that starts a companion, another server: linked (they die together), or watched through monitors on
// both sides (the leaf starts another companion; the companion ends when its leaf has ended). Each start of either is told
// to the keeper of the group, a process that alone kills in its group and waits until it has heard of everything that must
// follow: the ends, with their reasons, and the starts. Nothing more may be heard.
//   1. Leaves and companions, many at once: each ends `killed`, its leaf is started again.
//   2. The crowd itself: all leaves end; the group starts an empty crowd, and, but with one_for_one, a brittle too.
//   3. The group: top starts another one.
//   4. The child of brittle, three times: two restarts, then brittle ends with `shutdown`, the group goes by its strategy.
// In the end top is stopped or killed, and all others have to end by themselves.
#include <unordered_map>
#include <unordered_set>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

constexpr auto patience = 90s;
constexpr std::int64_t endless = 1'000'000'000;

struct Born {  // a leaf, or a leaf with another companion, or the child of brittle (slot: none)
  std::uint32_t slot;
  Pid leaf;
  Pid companion;
};
struct CrowdBorn {
  Pid group;
  Pid crowd;
};
struct BrittleBorn {
  Pid brittle;
};
constexpr std::uint32_t brittle_slot = UINT32_MAX;
Count leaves_made{0};

class Companion : public GenServer<Companion> {
 public:
  explicit Companion(const Pid& watched) {
    if (watched) (void)monitor(watched);
  }
  Action handle_info(const Down&) { return stop(ExitReason::normal()); }

 private:
  Counted<Companion> counted_;
};

class Leaf : public GenServer<Leaf> {
 public:
  struct Which {
    using Reply = std::uint32_t;
  };
  Leaf(Pid keeper, std::uint32_t slot) : keeper_(keeper), slot_(slot) {
    leaves_made.fetch_add(1);
    accompany();
  }
  std::uint32_t handle_call(Which) const { return slot_; }
  void handle_info(const Down&) { accompany(); }
  [[nodiscard]] static bool watches(std::uint32_t slot) { return slot % 4 == 3; }

 private:
  void accompany() {
    Pid companion;
    if (watches(slot_)) {
      companion = Companion::start(coppice::self()).value();
      (void)monitor(companion);
    } else {
      companion = Companion::start_link(Pid()).value();
    }
    send(keeper_, Born{slot_, coppice::self(), companion});
  }

  Pid keeper_;
  std::uint32_t slot_;
  Counted<Leaf> counted_;
};

class BrittleChild : public GenServer<BrittleChild> {
 public:
  explicit BrittleChild(const Pid& keeper) { send(keeper, Born{brittle_slot, coppice::self(), Pid()}); }

 private:
  Counted<BrittleChild> counted_;
};

[[nodiscard]] ChildSpec crowd_spec(Pid keeper) {
  return child("crowd"_atom,
               [keeper] {
                 StartResult<DynamicSupervisor> crowd =
                     DynamicSupervisor::start_link({.max_restarts = endless, .max_seconds = 1});
                 if (crowd) send(keeper, CrowdBorn{self(), crowd.value().pid()});
                 return crowd;
               })
      .shutdown(infinity);
}
[[nodiscard]] ChildSpec brittle_spec(Pid keeper) {
  return child("brittle"_atom,
               [keeper] {
                 StartResult<DynamicSupervisor> brittle =
                     DynamicSupervisor::start_link({.max_restarts = 2, .max_seconds = 1'000'000});
                 if (brittle) send(keeper, BrittleBorn{brittle.value().pid()});
                 return brittle;
               })
      .shutdown(infinity);
}
[[nodiscard]] ChildSpec group_spec(Pid keeper, std::uint32_t number, Strategy strategy) {
  return child(Term(number),
               [keeper, strategy] {
                 return Supervisor::start_link({crowd_spec(keeper), brittle_spec(keeper)},
                                               {.strategy = strategy, .max_restarts = endless, .max_seconds = 1});
               })
      .shutdown(infinity);
}

// -- the keeper of a group --------------------------------------------------------------------------------------------

class Keeper {
 public:
  Keeper(Workload& workload, std::uint32_t slots, Strategy strategy, Random random)
      : workload_(workload), strategy_(strategy), random_(random), slots_(slots) {}

  // The group has been started.
  void settle() {
    await_crowd();
    await_brittle();
  }

  void work(Clock::time_point until) {
    while (!over(until) && !lost_) {
      const std::uint32_t choice = random_.below(100);
      if (choice < 90) {
        kill_leaves();
      } else if (choice < 94) {
        wear_out_brittle();
      } else if (choice < 97) {
        kill_above(crowd_, false);
      } else {
        kill_above(group_, true);
      }
      ask_somebody();
    }
    if (!lost_) nothing_more();
  }

 private:
  struct Slot {
    Pid leaf;
    Pid companion;
  };

  void watch(const Pid& pid) {
    (void)monitor(pid);
    awaited_.insert(pid);
  }

  // All of those that are watched have to end, once, and not otherwise than that.
  void await_ends() {
    while (!awaited_.empty()) {
      const std::optional<Down> down = receive<Down>(patience);
      if (!down) return lose("a process that has to end does not");
      if (awaited_.erase(down->pid) == 0)
        fail("a process ended that should not, or twice: " + format_exit(down->reason));
      const bool as_told =
          is_killed(down->reason) || down->reason.is_normal() || down->reason == ExitReason::shutdown();
      if (!as_told) fail("a process of the tree ended with " + format_exit(down->reason));
    }
  }

  void await_births(std::unordered_set<std::uint32_t> slots) {
    while (!slots.empty()) {
      const std::optional<Born> born = receive<Born>(patience);
      if (!born) return lose("a restart is missing");
      if (slots.erase(born->slot) == 0) fail("a restart too many");
      if (born->slot < slots_.size()) slots_[born->slot] = {born->leaf, born->companion};
      if (born->slot == brittle_slot) brittle_child_ = born->leaf;
    }
  }

  void await_crowd() {
    const std::optional<CrowdBorn> born = receive<CrowdBorn>(patience);
    if (!born) return lose("a crowd is missing");
    group_ = born->group;
    crowd_ = born->crowd;
    std::unordered_set<std::uint32_t> all;
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
      (void)DynamicSupervisor::start_child(crowd_, child<Leaf>(self(), slot)).value();
      all.insert(slot);
    }
    populated_ += slots_.size();
    await_births(std::move(all));
  }
  void await_brittle() {
    const std::optional<BrittleBorn> born = receive<BrittleBorn>(patience);
    if (!born) return lose("a brittle supervisor is missing");
    brittle_ = born->brittle;
    (void)DynamicSupervisor::start_child(brittle_, child<BrittleChild>(self())).value();
    await_births({brittle_slot});
  }

  void kill_leaves() {
    std::unordered_set<std::uint32_t> victims;
    const std::uint32_t count = 1 + random_.below(64);
    for (std::uint32_t i = 0; i < count; ++i) victims.insert(random_.below(static_cast<std::uint32_t>(slots_.size())));
    std::vector<Pid> doomed;
    for (const std::uint32_t number : victims) {
      const Slot& slot = slots_[number];
      const bool companion = random_.below(2) == 0;
      watch(slot.companion);
      if (!companion || !Leaf::watches(number)) {
        watch(slot.leaf);
        restarts_ += 1;
      }
      doomed.push_back(companion ? slot.companion : slot.leaf);
    }
    for (const Pid& pid : doomed) exit(pid, "kill"_atom);
    workload_.kills += doomed.size();
    workload_.restarts += doomed.size();
    await_ends();
    await_births(std::move(victims));
  }

  // The crowd or the group is killed: all below it end, and are started again.
  void kill_above(const Pid& pid, bool with_group) {
    for (const Slot& slot : slots_) watch(slot.leaf);
    const bool brittle_too = with_group || strategy_ != Strategy::one_for_one;
    if (brittle_too) watch(brittle_child_);
    watch(pid);
    exit(pid, "kill"_atom);
    workload_.kills += 1;
    workload_.restarts += 1;
    await_ends();
    if (!lost_) await_crowd();
    if (!lost_ && brittle_too) await_brittle();
  }

  void wear_out_brittle() {
    for (int i = 0; i < 2; ++i) {
      watch(brittle_child_);
      exit(brittle_child_, "kill"_atom);
      await_ends();
      await_births({brittle_slot});
      if (lost_) return;
    }
    watch(brittle_child_);
    watch(brittle_);
    const bool crowd_too = strategy_ == Strategy::one_for_all;
    if (crowd_too) {
      for (const Slot& slot : slots_) watch(slot.leaf);
    }
    exit(brittle_child_, "kill"_atom);
    workload_.kills += 3;
    workload_.restarts += 3;
    await_ends();
    if (!lost_ && crowd_too) await_crowd();
    if (!lost_) await_brittle();
  }

  void ask_somebody() {
    if (lost_) return;
    const std::uint32_t number = random_.below(static_cast<std::uint32_t>(slots_.size()));
    const Result<std::uint32_t> answer = ServerRef<Leaf>(slots_[number].leaf).try_call(Leaf::Which{}, 60s);
    if (!answer) return fail("a leaf does not answer: " + format_exit(answer.reason()));
    same("the slot of a leaf", *answer, number);
    workload_.operations += 1;
  }

  void nothing_more() {
    same("children of a crowd", DynamicSupervisor::count_children(crowd_).active, slots_.size());
    same("children of a group", Supervisor::count_children(group_).active, 2);
    if (receive<Born>(0s) || receive<CrowdBorn>(0s) || receive<BrittleBorn>(0s)) fail("a restart that nobody caused");
    if (receive<Down>(0s)) fail("an end that nobody caused");
  }

  void lose(const char* what) {
    if (!lost_) fail(what);
    lost_ = true;
    awaited_.clear();
  }

 public:
  std::uint64_t populated_ = 0;  // leaves that the keeper had started
  std::uint64_t restarts_ = 0;   // leaves that the crowd had to start again

 private:
  Workload& workload_;
  Strategy strategy_;
  Random random_;
  std::vector<Slot> slots_;
  Pid group_;
  Pid crowd_;
  Pid brittle_;
  Pid brittle_child_;
  bool lost_ = false;
  std::unordered_set<Pid> awaited_;
};

class Trees final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "trees"; }
  // Three for each leg: memory is compared from the second one on.
  [[nodiscard]] std::uint64_t rounds_min(const Setting&) const override { return 12; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    leaves_made = 0;
    expected_ = 0;
    trap_exit(true);
    const Pid top = Supervisor::start_link({}, {.max_restarts = endless, .max_seconds = 1}).value().pid();
    constexpr std::uint32_t groups = 10;
    const std::uint32_t slots = setting.scaled(100'000 / groups / 2, 20);
    std::vector<Pid> keepers;
    Crew crew;
    for (std::uint32_t number = 0; number < groups; ++number) {
      const auto strategy = static_cast<Strategy>(random.below(3));
      const Random own(random.next());
      const Pid keeper = crew.add([this, slots, strategy, own, until] {
        (void)receive<Start>();
        Keeper group(*this, slots, strategy, own);
        group.settle();
        ready_.fetch_add(1);
        group.work(until);
        expected_ += group.populated_ + group.restarts_;
      });
      (void)Supervisor::start_child(top, group_spec(keeper, number, strategy)).value();
      send(keeper, Start{});
    }
    while (ready_.load() < groups && !over(until)) sleep_for(5ms);
    note_peak(processes().size());
    crew.wait();
    ready_ = 0;
    same("leaves that were started", leaves_made.load(), expected_.load());
    end(top, random.below(2) == 0);
  }

  void check() override {
    none_left<Leaf>("leaves");
    none_left<Companion>("companions");
    none_left<BrittleChild>("brittle children");
  }

 private:
  struct Start {};

  static void end(const Pid& top, bool gently) {
    const Reference gone = monitor(top);
    if (gently) {
      Supervisor::stop(top);
    } else {
      exit(top, "kill"_atom);
    }
    const ExitReason reason = receive(
        when([&](const Down& down) { return down.reference == gone; }, [](const Down& down) { return down.reason; }));
    if (gently ? !reason.is_normal() : !is_killed(reason)) fail("top ended with " + format_exit(reason));
  }

  Count expected_{0};
  Count ready_{0};
};

}  // namespace

std::unique_ptr<Workload> stress::make_trees() { return std::make_unique<Trees>(); }
