// SPDX-License-Identifier: Apache-2.0
//
// The seam. Clock, randomness, threads, parking and free choices are reached only through a World; there are two:
// the real one (threads.cpp: OS threads, futexes, the monotonic clock) and the simulation (src/simulation: one OS
// thread, virtual time, every choice drawn from a seed). The runtime above is the same code in both.
//
// Rule for the layers above: no mutex may be held across park(), interleave() or a context switch. In the simulation
// all threads are fibers of one OS thread, so a mutex held there would be waited for by nobody but its own holder.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace coppice::platform {

struct KeptMemory;

// Nanoseconds of the world's monotonic clock; `never` is later than every deadline.
using Nanoseconds = std::uint64_t;
inline constexpr Nanoseconds never = ~Nanoseconds{0};

// One token of permission to run, for one sleeping thread. unpark() makes the token available and wakes the sleeper;
// park() waits until it is available and takes it. Several unparks before a park count once. A parker starts without a
// token, belongs to one world and one owner, and may be destroyed by its owner as soon as nobody will call unpark() on
// it any more. Both members are the world's, nobody else's.
class Parker {
 public:
  std::atomic<std::uint32_t> token{0};  // 0 empty; the other values are explained where the world is implemented
  void* simulated_sleeper = nullptr;    // the simulation's
};

// A thread of the world. To destroy it neither joined nor detached ends the program. An exception that leaves the
// thread's body ends the program (std::terminate).
class Thread {
 public:
  virtual ~Thread() = default;
  virtual void join() = 0;    // at most once, from another thread of the world; the simulation runs others meanwhile
  virtual void detach() = 0;  // for a thread that cannot be ended (stuck in user code at shutdown)
};

// The free choices that the production code makes by policy and the simulation by seed.
enum class Choice : std::uint8_t {
  run_next_or_queue,  // does a process made runnable go to the run-next slot?
  which_queue,        // which source does a worker look at first?
  steal_victim,       // whom to steal from, and whether
  placement,          // where a new or foreign-woken process starts
  hand_off,           // call by hand-off or through the mailbox
  in_place,           // a call whose handler never waits: on the caller's stack or not
  turn_budget,        // how many messages a turn may take
  next_thread,        // the simulation's own: which thread runs
  fault,              // faults on request
  user                // testing::Simulation::choose
};

// What the system may run out of.
enum class Scarce : std::uint8_t { stack, process };

class World {
 public:
  virtual ~World() = default;

  // -- time: any thread
  [[nodiscard]] virtual Nanoseconds now() = 0;  // monotonic
  // The same clock as it stood at the system's last tick, for a fraction of the price: never later than now(), as a rule
  // earlier by some milliseconds, by more if the machine itself was stopped. The simulation's is exact.
  [[nodiscard]] virtual Nanoseconds last_tick() = 0;
  [[nodiscard]] virtual std::chrono::system_clock::time_point system_now() = 0;  // wall clock

  // -- randomness: any thread
  [[nodiscard]] virtual std::uint64_t random() = 0;

  // -- choices. `policy` is what the production code would do; the real world returns it at once.
  [[nodiscard]] std::uint32_t choose(Choice what, std::uint32_t alternatives, std::uint32_t policy) {
    return simulated_ ? choose_by_seed(what, alternatives, policy) : policy;
  }
  [[nodiscard]] bool simulated() const noexcept { return simulated_; }

  // -- faults on request, of the simulation: how much later than its deadline a timer that is set now is to fire, and
  // whether the process with this number is told that there is no more of something.
  [[nodiscard]] Nanoseconds timer_lateness() { return simulated_ ? lateness_by_seed() : 0; }
  [[nodiscard]] bool withholds(Scarce what, std::uint64_t process) {
    return simulated_ && withheld_by_seed(what, process);
  }

  // A point at which another thread could run: nothing in the real world; in the simulation a seeded choice.
  // The caller holds no lock.
  void interleave() {
    if (simulated_) interleave_by_seed();
  }

  // -- threads. `name` is for debuggers and reports (Linux shows its first 15 characters). The new thread starts with
  // all asynchronous signals blocked but SIGPROF and that of thread_trace.hpp, and with an alternate signal stack (see
  // fault.hpp): the body makes none, because in the simulation its end would take away another thread's. Throws
  // std::system_error if the system gives no thread.
  [[nodiscard]] virtual std::unique_ptr<Thread> start_thread(std::string name, std::function<void()> body) = 0;
  virtual unsigned hardware_threads() = 0;  // affinity and cgroup quota respected; the simulation says what it was told

  // -- parking: park by the owner of the parker, unpark by anybody. Returns true if a token was taken, false if
  // `deadline` (of now()) passed first; never for no reason. A token that is there is taken even if the deadline has
  // passed, so park(parker, 0) only looks. What was written before unpark() is visible after the park() that takes its
  // token; neither of them orders a write before a later read by the same thread. unpark may be called with a mutex
  // held. It may be called from a thread that the world does not know (a foreign one) in the real world only.
  virtual bool park(Parker& parker, Nanoseconds deadline) = 0;
  virtual void unpark(Parker& parker) = 0;

  // -- thread-local state that must follow a thread of the world. The real world has nothing to do. The simulation,
  // which runs all its threads on one OS thread, saves *slot when it leaves a simulated thread and restores it when it
  // comes back. `slot` is called anew for each access (its address may be a thread-local's). A simulated thread starts
  // with null in each slot. To register the same function again does nothing.
  virtual void follow_thread_local(void*& (*slot)()) = 0;

  // Memory that one runtime of this world leaves to the next; lives as long as the program. Null where there is none to
  // be had: in the real world.
  [[nodiscard]] virtual KeptMemory* kept_memory() noexcept { return nullptr; }

 protected:
  explicit World(bool simulated) noexcept : simulated_(simulated) {}
  // Of the simulation only.
  [[nodiscard]] virtual std::uint32_t choose_by_seed(Choice what, std::uint32_t alternatives, std::uint32_t policy) = 0;
  virtual void interleave_by_seed() = 0;
  [[nodiscard]] virtual Nanoseconds lateness_by_seed() { return 0; }
  [[nodiscard]] virtual bool withheld_by_seed(Scarce /*what*/, std::uint64_t /*process*/) { return false; }

 private:
  const bool simulated_;
};

// The real world: one per program, always there.
[[nodiscard]] World& threads_world();

}  // namespace coppice::platform
