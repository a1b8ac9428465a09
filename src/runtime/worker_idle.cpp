// SPDX-License-Identifier: Apache-2.0
//
// A worker without work: it spins for a moment, looks after the others if that is its part, and sleeps. The protocol, and
// why nothing is stranded, is told in watch.hpp; here is what a look sees and when it takes.
//
// A process is taken from a worker that does not get on with what it has: docs/internals/scheduler.md has the measurements.
//   - It has been in one turn for `turn_max`, and something stands behind that turn.
//   - Its ring was never empty for `drain_within`: it has more to do than it can.
//   - Its oldest task that has not begun has been that for `drain_within`.
// Who is about to be done with all it has is left alone: two processes that talk to each other, a batch of small ones.
//
// Who runs out of work spins for `spin_least`, since an answer may be on its way. But if it has just slept for long and has
// woken another thread, then the system has probably put that one on this processor, expecting the waker to go to sleep, and
// does not move it while we spin: each of the two waits in vain for the whole time. So it sleeps at once. As soon as
// the two exchange more, their sleeps are short, and they spin.
//
// A theft costs some hundred nanoseconds for each process that is taken away from its data. So a thief judges what it took:
// if it was busy with it for less than `worth_least` for each, it waits twice as long before the next theft, up to
// `reluctance_max` times; if for more than `worth_much`, it is as eager as ever. The root of a tree of tasks pays even if
// each of them is tiny, a thousand tiny ones do not.
#include <algorithm>
#include <utility>

#include "runtime/core.hpp"
#include "runtime/node_pool.hpp"
#include "runtime/timers.hpp"
#include "runtime/watchdog.hpp"
#include "runtime/worker.hpp"

namespace coppice::runtime {
namespace {

using platform::Nanoseconds;

constexpr int spins_before_look = 400;
constexpr Nanoseconds spin_least = 30'000;  // by who just ran out of work: what it woke may answer, or ask again
constexpr Nanoseconds spin_after_waking = 2'000;
constexpr Nanoseconds long_sleep = 1'000'000;
constexpr Nanoseconds turn_max = 20'000;
constexpr Nanoseconds drain_within = 200'000;
constexpr Nanoseconds second_look = 25'000;  // whether something that stands stays: longer than turn_max
constexpr Nanoseconds pause_min = 50'000;    // between looks; doubled each time
constexpr Nanoseconds pause_max = 1'000'000;
constexpr Nanoseconds doze = 20'000'000;
constexpr int looks_in_vain_max = 8;
constexpr Nanoseconds worth_least = 4'000;
constexpr Nanoseconds worth_much = 20'000;
constexpr std::uint32_t reluctance_max = 6;
constexpr Nanoseconds reluctant_within_max = 2'000'000;
constexpr Nanoseconds trim_after = 200'000'000;  // stacks that were given back: so many may be needed again
constexpr std::size_t trimmed_at_once = 64;      // less than 100 us
constexpr std::size_t sorted_at_once = 16;       // magazines of nodes, the same
constexpr std::size_t slots_at_once = 512;       // of the table of processes, the same
constexpr std::size_t servers_at_once = 256;     // to rest, the same

template <class T>
void note(T& value, Nanoseconds& since, T current, Nanoseconds now) {
  if (value == current) return;
  value = current;
  since = now;
}

}  // namespace

// Reads what belongs to the other worker, no more often than it must: each word costs that worker a cache line.
Worker::Look Worker::look_at(Worker& busy, Nanoseconds now) {
  Sighting& seen = sightings_[busy.id_];
  const bool ring_stands = !busy.ring_.empty();
  std::uint64_t task = busy.tasks_.oldest();
  for (int i = 0; task != 0 && i < 8 && !is_new_task(core_, core_.pid_of(task)); ++i) {
    busy.tasks_.drop_oldest(task);
    task = busy.tasks_.oldest();
  }
  note(seen.oldest_task, seen.task_since, task, now);
  note(seen.drains, seen.drain_since, busy.drains.load(std::memory_order_relaxed), now);
  if (!ring_stands) seen.drain_since = now;
  if (!ring_stands && task == 0) return Look::nothing_stands;
  note(seen.turns, seen.turn_since, busy.turns.load(std::memory_order_relaxed), now);
  const Nanoseconds turn = turn_max << reluctance_;
  const Nanoseconds drain = std::min(drain_within << reluctance_, reluctant_within_max);
  const bool worth = now - seen.turn_since >= turn || (ring_stands && now - seen.drain_since >= drain) ||
                     (task != 0 && now - seen.task_since >= drain);
  const bool taken = core_.world().choose(platform::Choice::steal_victim, 2, worth ? 1 : 0) != 0;
  return taken ? Look::take_it : Look::something_stands;
}

Worker::Look Worker::look_after_others(Worker*& victim) {
  const Nanoseconds now = core_.world().now();
  const std::size_t count = core_.workers().size();
  Look result = Look::nothing_stands;
  for (std::size_t i = 1; i < count; ++i) {
    Worker& other = *core_.workers()[(id_ + i) % count];
    const Look look = look_at(other, now);
    if (look <= result) continue;
    result = look;
    victim = &other;
  }
  return result;
}

void Worker::judge_theft(Nanoseconds now) noexcept {
  if (stole_at_ == 0) return;
  const Nanoseconds each = (now - std::exchange(stole_at_, 0)) / stolen_;
  if (each < worth_least) {
    reluctance_ = std::min(reluctance_ + 1, reluctance_max);
  } else if (each >= worth_much) {
    reluctance_ = 0;
  }
}

Process* Worker::steal_from(Worker& victim) {
  std::array<Process*, RunRing::capacity / 2> processes;
  if (const std::uint32_t got = victim.ring_.steal(processes)) {
    for (std::uint32_t i = 1; i < got; ++i) {
      if (!ring_.push(processes[i])) core_.spill(*processes[i]);
    }
    stole_at_ = core_.world().now();
    stolen_ = got;
    return processes[0];
  }
  std::array<std::uint64_t, TaskDeque::stolen_max> numbers;
  const std::uint32_t got = victim.tasks_.steal(numbers);
  Process* first = nullptr;
  for (std::uint32_t i = 0; i < got; ++i) {
    if (first == nullptr) {
      first = claim_new_task(core_, core_.pid_of(numbers[i]));
    } else {
      tasks_.add(numbers[i]);  // there is room: it was empty
    }
  }
  if (first != nullptr) {
    stole_at_ = core_.world().now();
    stolen_ = got;
  }
  return first;
}

bool Worker::something_stands_elsewhere() const noexcept {
  return std::ranges::any_of(core_.workers(), [this](const auto& other) {
    return other.get() != this && (!other->ring_.empty() || !other->tasks_.empty());
  });
}

void wake_thread(platform::World& world, platform::Parker& parker) {
  world.unpark(parker);
  if (Worker* here = this_worker()) here->note_wake_up();
}

// Steps 3 and 4 of a worker without work.
void Worker::sleep(Nanoseconds limit, Watch::Sleep how) {
  platform::World& world = core_.world();
  Watch& watch = core_.watch();
  const bool looked_after = watch.announce(id_, how, [this] { return something_stands_elsewhere(); });
  core_.tell_who_stops();
  if (looked_after && inbox_.empty() && core_.overflow().empty() && !core_.stopping_workers()) {
    // The nodes belong to all runtimes of the program: in a simulation what another has left must change nothing.
    const bool nodes = !world.simulated() && trim_at_ == platform::never && nodes_to_spare();
    const bool slots = trim_at_ == platform::never && core_.table().to_spare(id_);
    const bool servers = rests_.holds_more_than_at_leisure();
    if ((gave_stacks_back_ || nodes || slots || servers) && trim_at_ == platform::never) {
      trim_at_ = world.now() + trim_after;
      watch_spare_nodes();
      core_.table().watch_spare();
    }
    if (trim_at_ <= world.now()) {
      gave_stacks_back_ = core_.stacks().trim(spare_stacks_max, trimmed_at_once);
      const bool more_nodes = !world.simulated() && sort_spare_nodes(sorted_at_once);
      const bool more_slots = core_.table().sort_spare(id_, slots_at_once);
      const bool more_servers = rests_.relieve(core_, servers_at_once);
      if (!gave_stacks_back_ && !more_nodes && !more_slots && !more_servers) trim_at_ = platform::never;
    } else {
      const Nanoseconds since = world.now();
      world.park(parker_, std::min({limit, trim_at_, timers_.next_deadline()}));
      slept_long_ = world.now() - since >= long_sleep;
    }
  }
  watch.awake(id_);
  timers_.fire(world.now());
}

Process* Worker::end_idle(Process& process, bool slept, bool dozed) {
  Watch& watch = core_.watch();
  if (slept) core_.watchdog().worker_woke();
  if (watch.is_watcher(id_)) {
    watch.hand_over(id_);
  } else if (dozed && something_stands_elsewhere()) {
    watch.call();
  }
  return &process;
}

// Until there is something to run; null when the workers are to end.
Process* Worker::idle() {
  platform::World& world = core_.world();
  Watch& watch = core_.watch();
  bool slept = false;
  bool dozes = false;
  bool watches = false;
  int looks_in_vain = looks_in_vain_max;  // if we were not appointed, one is enough
  Nanoseconds pause = pause_min;
  Nanoseconds looks_since = 0;
  const Nanoseconds begin = world.now();
  const bool woke = std::exchange(woke_a_thread_, false);
  const Nanoseconds spin_until = begin + (woke && slept_long_ ? spin_after_waking : spin_least);
  judge_theft(begin);
  for (;;) {
    for (int spin = world.simulated() ? 1 : spins_before_look; spin > 0; --spin) {
      if (core_.stopping_workers()) return nullptr;
      if (Process* process = pick()) return end_idle(*process, slept, dozes);
      if (spin % 8 != 0) continue;
      const Nanoseconds now = world.now();
      timers_.fire(now);
      if (now < spin_until && spin < 16) spin += 16;
    }
    const bool appointed = !watches && watch.is_watcher(id_);
    watches = watch.take_role(id_);
    if (appointed) {
      looks_in_vain = 0;
      pause = pause_min;
    }
    if (watches) {
      Worker* victim = nullptr;
      const Look look = look_after_others(victim);
      if (look == Look::take_it) {
        if (Process* process = steal_from(*victim)) return end_idle(*process, slept, dozes);
        continue;
      }
      if (look == Look::something_stands) {
        looks_in_vain = 0;
        if (looks_since == 0) looks_since = world.now();
        if (world.now() - looks_since < second_look) continue;
      } else if (++looks_in_vain > looks_in_vain_max) {
        watch.give_up(id_);
        watches = false;
      }
    }
    looks_since = 0;
    const Watch::Sleep how = watch.how_to_sleep(id_, watches);
    dozes = how == Watch::Sleep::dozes;
    if (!pinned_.empty() || run_next_ != nullptr || !ring_.empty() || !tasks_.empty()) continue;
    if (watches) {
      sleep(world.now() + pause, how);
    } else if (dozes) {
      sleep(world.now() + doze, how);
    } else {
      sleep(platform::never, how);
    }
    pause = std::min(pause * 2, pause_max);
    slept = true;
  }
}

}  // namespace coppice::runtime
