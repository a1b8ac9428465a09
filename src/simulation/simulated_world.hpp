// SPDX-License-Identifier: Apache-2.0
//
// SimulatedWorld: the second world behind the seam (platform/world.hpp). One OS thread, virtual time, and every choice
// drawn from a seed: the same seed gives the same run, step by step.
//
// The threads of the world are fibers of the OS thread that calls run(). One runs at a time, until it parks, joins,
// ends or reaches interleave(); then the seed says who goes on. Between two such points nothing else happens, so races
// that need two threads inside one such stretch are not found here (ThreadSanitizer and the stress tests look for
// those). What a run can be compared by is decision_hash(): every decision and every advance of the clock goes into it.
//
//   SimulatedWorld world({.seed = 17});
//   world.run([&] {
//     auto worker = world.start_thread("worker", [&] { world.park(parker, never); });
//     world.unpark(parker);
//     worker->join();
//   });
//
// What the simulation cannot control ends the program with a full sentence: a call from another OS thread, parking
// outside run(), threads that wait for each other for ever, and a run that takes too many steps.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "platform/context.hpp"
#include "platform/world.hpp"
#include "simulation/decision.hpp"

namespace coppice::simulation {

struct SimulatedWorldOptions {
  std::uint64_t seed = 0;
  unsigned hardware_threads = 4;  // what the world answers when asked

  // One mode for each platform::Choice. For `next_thread` the policy is: go on at interleave(), and otherwise run the
  // thread that has been runnable for longest.
  std::array<ChoiceMode, choice_count> choices{};

  // How often interleave() goes to another thread if one is runnable, of 1000.
  std::uint32_t interleave_permille = 500;

  // Besides its leaps, the clock advances by a seeded amount of at most this much at each scheduling step, and by
  // `clock_read_cost` whenever it is read, so that code which waits in a loop for a moment to come gets there. With a
  // `drift_max` of 0 time stands still while anything can run.
  platform::Nanoseconds drift_max = 2'000;

  // Scheduling steps (parks, joins, ends of threads, calls of interleave) after which the run is taken for a livelock.
  std::uint64_t steps_max = 50'000'000;

  std::size_t stack_size = std::size_t{1} << 20;  // address space of a thread's stack

  // Runtimes of the world map their memory anew. Else they use that of runtimes which have ended before, of this world or
  // of another; no decision may depend on which. Builds with a sanitizer always map it anew, to see more.
  bool fresh_memory = false;

  bool record_decisions = false;  // keep every decision for decisions(): 32 bytes each

  // Makes the choices in place of the seed; they are numbered from 0 in the order in which they are made. At
  // interleave() policy is 0: go on; n is the n-th thread that could run. The clock then drifts by half of drift_max
  // at each step.
  std::function<std::uint32_t(std::uint64_t number, platform::Choice what, std::uint32_t alternatives,
                              std::uint32_t policy)>
      decide;

  // Told of each choice with its number.
  std::function<void(std::uint64_t number, const Decision& made)> on_choice;

  // Called at each interleave(), on the thread that runs, which may do there what it could do at that point: park, for
  // one. Not called again on a thread that is in it.
  std::function<void()> on_step;

  // Faults on request, asked whenever a timer is set or a process asks for a stack or for another process.
  std::function<platform::Nanoseconds()> on_timer;
  std::function<bool(platform::Scarce what, std::uint64_t process)> on_request;

  // Called when every thread waits and no deadline will end it, with a report in full sentences that names the threads.
  // It runs on the stack of run() and may unpark threads, in which case the run goes on. It may throw: the exception
  // leaves run(), and the threads are forgotten without unwinding. If it is empty, or returns and nothing can run, the
  // program ends with the report.
  std::function<void(const std::string& report)> on_stuck;
};

class SimulatedWorld final : public platform::World {
 public:
  // Virtual time begins here: late enough for code that subtracts a few seconds from now().
  static constexpr platform::Nanoseconds start_time = 1'000'000'000;
  // The wall clock begins on 1 January 2026, 00:00 UTC.
  static constexpr std::chrono::seconds start_of_wall_clock{1'767'225'600};
  static constexpr platform::Nanoseconds clock_read_cost = 20;

  // The calling OS thread is the only one that may use the world.
  explicit SimulatedWorld(SimulatedWorldOptions options = {});
  ~SimulatedWorld() override;
  SimulatedWorld(const SimulatedWorld&) = delete;
  SimulatedWorld& operator=(const SimulatedWorld&) = delete;

  // Runs `main` as a thread of the world (the first one has number 0) and returns when it and every thread that is not
  // detached have ended. Detached threads that can still run then are given a short while to end; after it they are
  // forgotten without unwinding. An exception that leaves `main` leaves run() at once, and the other threads are
  // forgotten without unwinding. May be called again.
  void run(std::function<void()> main);

  // -- the seam ---------------------------------------------------------------------------------------------------
  [[nodiscard]] platform::Nanoseconds now() override;
  [[nodiscard]] platform::Nanoseconds last_tick() override { return now(); }
  [[nodiscard]] std::chrono::system_clock::time_point system_now() override;
  [[nodiscard]] std::uint64_t random() override;
  [[nodiscard]] std::unique_ptr<platform::Thread> start_thread(std::string name, std::function<void()> body) override;
  unsigned hardware_threads() override { return options_.hardware_threads; }
  bool park(platform::Parker& parker, platform::Nanoseconds deadline) override;
  void unpark(platform::Parker& parker) override;
  void follow_thread_local(void*& (*slot)()) override;
  [[nodiscard]] platform::KeptMemory* kept_memory() noexcept override;

 protected:
  [[nodiscard]] std::uint32_t choose_by_seed(platform::Choice what, std::uint32_t alternatives,
                                             std::uint32_t policy) override;
  void interleave_by_seed() override;  // does nothing outside run()
  [[nodiscard]] platform::Nanoseconds lateness_by_seed() override {
    return options_.on_timer ? options_.on_timer() : 0;
  }
  [[nodiscard]] bool withheld_by_seed(platform::Scarce what, std::uint64_t process) override {
    return options_.on_request && options_.on_request(what, process);
  }

 public:
  // -- what a run can be compared by --------------------------------------------------------------------------------
  [[nodiscard]] std::uint64_t seed() const noexcept { return options_.seed; }
  [[nodiscard]] std::uint64_t decision_hash() const noexcept { return hash_; }
  [[nodiscard]] std::uint64_t decision_count() const noexcept { return decision_count_; }
  [[nodiscard]] std::uint64_t step_count() const noexcept { return steps_; }
  [[nodiscard]] const std::vector<Decision>& decisions() const noexcept { return decisions_; }  // if recorded

  [[nodiscard]] platform::Nanoseconds time_since_start() const noexcept { return now_ - start_time; }

  // A fault on request: true so many times of 1000. Counts as a choice, whose policy is no.
  [[nodiscard]] bool chance(std::uint32_t permille);
  // One of so many, evenly, for what a fault is to do.
  [[nodiscard]] std::uint32_t pick(std::uint32_t alternatives);
  // By a thread of the world: the run ends here with this exception, which run() throws. All threads are forgotten
  // without unwinding.
  [[noreturn]] void end_run(std::exception_ptr why);

  // The threads that have not ended, what each is doing, the seed, the step and the time, in full sentences.
  [[nodiscard]] std::string report() const;

 private:
  struct SimulatedThread;
  class Handle;

  // -- the life of a thread
  static void thread_entry(void* argument);
  std::shared_ptr<SimulatedThread> add_thread(std::string name, std::function<void()> body);
  void join_thread(SimulatedThread& target);
  [[noreturn]] void end_thread(SimulatedThread& self);
  void release_stack(SimulatedThread& thread) noexcept;
  void forget_threads() noexcept;
  [[nodiscard]] bool only_detached_left() const noexcept;

  // -- scheduling
  void schedule();
  void resolve_stuck();
  void make_runnable(SimulatedThread& thread);
  SimulatedThread* next_thread();
  SimulatedThread* take_runnable(std::size_t index);
  void leave(SimulatedThread& self, SimulatedThread* next);
  SimulatedThread& running(const char* call) const noexcept;

  // -- steps and time
  void step();
  void advance_to(platform::Nanoseconds time);
  [[nodiscard]] platform::Nanoseconds earliest_deadline() const noexcept;
  void wake_late_sleepers();

  // -- decisions
  std::uint32_t decide(platform::Choice what, std::uint32_t alternatives, std::uint32_t policy);
  std::uint32_t decide_interleave(std::uint32_t others);
  std::uint32_t decide_by_other(platform::Choice what, std::uint32_t alternatives, std::uint32_t policy);
  std::uint32_t record_choice(platform::Choice what, std::uint32_t alternatives, std::uint32_t policy,
                              std::uint32_t result);
  void record(Decision::Kind kind, platform::Choice choice, std::uint32_t alternatives, std::uint64_t result,
              std::uint32_t policy = 0);
  void call_on_step();
  void check_os_thread(const char* call) const noexcept;

  SimulatedWorldOptions options_;
  const void* const os_thread_;  // identifies the OS thread that made the world

  base::Xoshiro256 schedule_;  // draws of choices and drift
  base::Xoshiro256 numbers_;   // draws of random()
  platform::Nanoseconds now_ = start_time;
  platform::Nanoseconds next_deadline_ = platform::never;  // no sleeper's deadline is earlier
  std::uint64_t steps_ = 0;
  std::uint64_t hash_ = 0;
  std::uint64_t decision_count_ = 0;
  std::uint64_t choice_count_ = 0;
  std::vector<Decision> decisions_;

  std::vector<std::shared_ptr<SimulatedThread>> threads_;  // those that have not ended, in the order of their starts
  std::vector<SimulatedThread*> runnable_;                 // longest runnable first; never holds the running one
  SimulatedThread* running_ = nullptr;
  SimulatedThread* ended_ = nullptr;  // has just ended; run() takes its stack away
  std::uint32_t threads_started_ = 0;
  std::uint32_t detached_steps_left_ = 0;  // while only detached threads are left
  bool finishing_ = false;                 // only detached threads are left
  bool in_run_ = false;
  std::exception_ptr main_failure_;
  platform::Context scheduler_;  // run(), while a thread of the world runs
  std::vector<void*& (*)()> slots_;
};

}  // namespace coppice::simulation
