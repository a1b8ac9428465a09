// SPDX-License-Identifier: Apache-2.0
//
// ACTORS. run() stands on the OS thread's own stack, called the scheduler here. Each thread of the world has a stack
// from a pool and starts on it. The runtime above switches among stacks of its own within one thread of the world, so a
// thread may park on a stack that the simulation has never seen; it resumes there.
//
// STATES of a thread: runnable (in `runnable_`), running (one at most: `running_`), parked (with a deadline), joining
// (no deadline), ended. `threads_` holds all that have not ended.
//
// A SWITCH from a thread that parks, joins or interleaves: (1) the next thread is chosen; if nothing is runnable the
// clock first leaps to the earliest deadline. (2) The exception state and the followed thread-locals go into the
// thread's record, and clean ones are left. (3) The machine context is saved in the record and the next thread's is
// entered: directly, without a detour through the scheduler. (4) Whoever is entered takes its own state out of its
// record; a new thread finds clean state. The scheduler is entered only if a thread has ended, so that its stack can be
// taken away from under it, or if nothing can run.
//
// MEMORY ORDER. There is one OS thread, so none is needed; the tokens of parkers are atomics because the real world
// needs them to be, and are used relaxed.
#include "simulation/simulated_world.hpp"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "platform/exception_state.hpp"
#include "platform/fault.hpp"
#include "platform/kept_memory.hpp"
#include "platform/sanitizers.hpp"
#include "platform/stack_pool.hpp"

namespace coppice::simulation {
namespace {

using platform::Choice;
using platform::die;
using platform::Nanoseconds;
using platform::never;

// Scheduling steps that detached threads get after the last other thread has ended.
constexpr std::uint32_t detached_steps_max = 10'000;

// Every OS thread has its own marker, whose address tells it from all others that exist at the same time.
const void* this_os_thread() noexcept {
  thread_local const char marker = 0;
  return &marker;
}

// Stacks are kept from world to world: seeds are run by the thousand.
platform::StackPool& stack_pool() {
  thread_local platform::StackPool pool({.default_size = std::size_t{1} << 20, .stacks_max = 10'000});
  return pool;
}

// Gives the OS thread, if it has none, the alternate signal stack on which a stack overflow is reported. It serves all
// simulated threads, and is kept from run to run because mapping it costs more than a small run does.
void provide_alternate_signal_stack() {
  stack_t present{};
  if (sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0) return;
  thread_local std::optional<platform::AlternateSignalStack> kept;
  kept.emplace();
}

// A context into which the running one can be switched away, on whatever stack it stands: AddressSanitizer's bounds are
// learnt at the switch, and ThreadSanitizer's fiber is the one that runs.
platform::Context running_context() noexcept {
  platform::Context context;
#if COPPICE_TSAN
  context.fiber = __tsan_get_current_fiber();
#endif
  return context;
}

}  // namespace

struct SimulatedWorld::SimulatedThread {
  enum class State : std::uint8_t { runnable, running, parked, joining, ended };

  SimulatedWorld* world = nullptr;
  std::uint32_t number = 0;
  std::string name;
  std::function<void()> body;
  State state = State::runnable;
  bool is_main = false;
  bool detached = false;
  bool forgotten = false;  // the run was over before the thread was
  bool in_on_step = false;
  Nanoseconds deadline = never;         // while parked
  SimulatedThread* joiner = nullptr;    // who waits for the end of this thread
  SimulatedThread* joins = nullptr;     // whose end this thread waits for
  platform::Stack* stack = nullptr;     // the one on which it began
  platform::Context suspended;          // where it is, on whatever stack, once it has been switched away from
  platform::Context* resume = nullptr;  // the stack's context before the first run, `suspended` after
  platform::ExceptionState exceptions;  // these two while it does not run
  std::vector<void*> slots;
};

// -- handles ----------------------------------------------------------------------------------------------------------

class SimulatedWorld::Handle final : public platform::Thread {
 public:
  explicit Handle(std::shared_ptr<SimulatedThread> thread) noexcept : thread_(std::move(thread)) {}

  ~Handle() override {
    COPPICE_INVARIANT(done_ || thread_->forgotten,
                      "A simulated thread was destroyed that was neither joined nor detached.");
  }

  void join() override {
    COPPICE_INVARIANT(!done_, "A simulated thread was joined that had been joined or detached before.");
    if (thread_->state != SimulatedThread::State::ended) thread_->world->join_thread(*thread_);
    done_ = true;
  }

  void detach() override {
    COPPICE_INVARIANT(!done_, "A simulated thread was detached that had been joined or detached before.");
    thread_->detached = true;
    done_ = true;
  }

 private:
  std::shared_ptr<SimulatedThread> thread_;
  bool done_ = false;
};

// -- construction and run ---------------------------------------------------------------------------------------------

SimulatedWorld::SimulatedWorld(SimulatedWorldOptions options)
    : World(true),
      options_(std::move(options)),
      os_thread_(this_os_thread()),
      schedule_(options_.seed),
      numbers_(base::mix64(options_.seed ^ 0x6E756D62657273U)) {}

SimulatedWorld::~SimulatedWorld() {
  COPPICE_INVARIANT(!in_run_, "A simulated world was destroyed by one of its own threads.");
}

void SimulatedWorld::run(std::function<void()> main) {
  check_os_thread("run");
  COPPICE_INVARIANT(!in_run_, "run() of a simulated world was called by one of its own threads.");

  // What the caller had on this OS thread is put aside for the run and comes back however the run ends.
  struct Scope {
    SimulatedWorld& world;
    std::vector<void*> slots{};

    explicit Scope(SimulatedWorld& of) : world(of) {
      for (const auto slot : world.slots_) slots.push_back(std::exchange(slot(), nullptr));
      world.in_run_ = true;
    }
    ~Scope() {
      world.forget_threads();
      world.in_run_ = false;
      for (std::size_t i = 0; i < world.slots_.size(); ++i) {
        world.slots_[i]() = i < slots.size() ? slots[i] : nullptr;
      }
    }
  };
  provide_alternate_signal_stack();
  const platform::ExceptionState exceptions = platform::take_exception_state();
  std::exception_ptr failure;
  try {
    const Scope scope(*this);
    add_thread("main", std::move(main))->is_main = true;
    schedule();
    failure = std::exchange(main_failure_, nullptr);
  } catch (...) {
    failure = std::current_exception();
  }
  platform::put_exception_state(exceptions);
  if (failure) std::rethrow_exception(failure);
}

// -- the life of a thread ---------------------------------------------------------------------------------------------

std::shared_ptr<SimulatedWorld::SimulatedThread> SimulatedWorld::add_thread(std::string name,
                                                                            std::function<void()> body) {
  auto thread = std::make_shared<SimulatedThread>();
  thread->world = this;
  thread->number = threads_started_++;
  thread->name = std::move(name);
  thread->body = std::move(body);
  thread->stack = stack_pool().acquire(options_.stack_size);
  COPPICE_INVARIANT(thread->stack != nullptr, "The system gives no memory for the stack of a simulated thread.");
  thread->stack->name = thread->name.c_str();
  platform::make_context(thread->stack->context, thread->stack->low, thread->stack->size, &thread_entry);
  thread->resume = &thread->stack->context;
  threads_.push_back(thread);
  make_runnable(*thread);
  record(Decision::Kind::thread_started, Choice{}, 0, thread->number);
  return thread;
}

std::unique_ptr<platform::Thread> SimulatedWorld::start_thread(std::string name, std::function<void()> body) {
  running("start_thread");
  return std::make_unique<Handle>(add_thread(std::move(name), std::move(body)));
}

void SimulatedWorld::thread_entry(void* argument) {
  auto& self = *static_cast<SimulatedThread*>(argument);
  self.state = SimulatedThread::State::running;
  self.world->running_ = &self;
  if (self.is_main) {
    try {
      self.body();
    } catch (...) {
      self.world->main_failure_ = std::current_exception();
    }
  } else {
    self.body();  // an exception that leaves it ends the program, as with an OS thread
  }
  self.body = nullptr;  // what it holds is destroyed by the thread itself
  self.world->end_thread(self);
}

void SimulatedWorld::end_thread(SimulatedThread& self) {
  self.state = SimulatedThread::State::ended;
  record(Decision::Kind::thread_ended, Choice{}, 0, self.number);
  if (self.joiner != nullptr) make_runnable(*self.joiner);
  running_ = nullptr;
  ended_ = &self;
  for (const auto slot : slots_) slot() = nullptr;
  platform::switch_context(self.stack->context, scheduler_, nullptr);
  die("A simulated thread was continued after its end.");
}

void SimulatedWorld::join_thread(SimulatedThread& target) {
  SimulatedThread& self = running("join");
  COPPICE_INVARIANT(&self != &target, "A simulated thread cannot join itself.");
  target.joiner = &self;
  self.joins = &target;
  self.state = SimulatedThread::State::joining;
  leave(self, next_thread());
  self.joins = nullptr;
}

void SimulatedWorld::release_stack(SimulatedThread& thread) noexcept {
  platform::destroy_context(thread.suspended);
  platform::destroy_context(thread.stack->context);
  stack_pool().release(std::exchange(thread.stack, nullptr));
}

void SimulatedWorld::forget_threads() noexcept {
  for (const auto& thread : threads_) {
    thread->state = SimulatedThread::State::ended;
    thread->forgotten = true;
    release_stack(*thread);
  }
  threads_.clear();
  runnable_.clear();
  running_ = nullptr;
  next_deadline_ = never;
}

bool SimulatedWorld::only_detached_left() const noexcept {
  return std::all_of(threads_.begin(), threads_.end(), [](const auto& thread) { return thread->detached; });
}

// -- scheduling -------------------------------------------------------------------------------------------------------

void SimulatedWorld::schedule() {
  while (!threads_.empty() && !main_failure_) {
    const bool finishing_before = std::exchange(finishing_, only_detached_left());
    if (finishing_ && !finishing_before) detached_steps_left_ = detached_steps_max;
    SimulatedThread* const next = next_thread();
    if (next == nullptr) {
      if (finishing_) return;
      resolve_stuck();
      continue;
    }
    scheduler_ = running_context();
    platform::switch_context(scheduler_, *next->resume, next);
    if (ended_ != nullptr) {
      SimulatedThread* const ended = std::exchange(ended_, nullptr);
      release_stack(*ended);
      std::erase_if(threads_, [ended](const auto& thread) { return thread.get() == ended; });
    }
  }
}

void SimulatedWorld::resolve_stuck() {
  const std::string sentences = "Every simulated thread waits, and nothing will wake any of them. " + report();
  if (options_.on_stuck) options_.on_stuck(sentences);
  if (runnable_.empty()) die(sentences.c_str());
}

void SimulatedWorld::make_runnable(SimulatedThread& thread) {
  thread.state = SimulatedThread::State::runnable;
  thread.deadline = never;
  runnable_.push_back(&thread);
}

SimulatedWorld::SimulatedThread* SimulatedWorld::take_runnable(std::size_t index) {
  SimulatedThread* const thread = runnable_[index];
  runnable_.erase(runnable_.begin() + static_cast<std::ptrdiff_t>(index));
  return thread;
}

// Chooses who goes on when the running thread cannot; null if that is for the scheduler to decide.
SimulatedWorld::SimulatedThread* SimulatedWorld::next_thread() {
  step();
  if (finishing_) {
    if (runnable_.empty() || detached_steps_left_ == 0) return nullptr;
    --detached_steps_left_;
  }
  if (runnable_.empty()) {
    const Nanoseconds deadline = earliest_deadline();
    if (deadline == never) return nullptr;
    advance_to(deadline);
  }
  return take_runnable(decide(Choice::next_thread, static_cast<std::uint32_t>(runnable_.size()), 0));
}

// Switches from the running thread to `next`, or to the scheduler if that is null. Returns when `self` is continued.
void SimulatedWorld::leave(SimulatedThread& self, SimulatedThread* next) {
  if (next != &self) {
    self.exceptions = platform::take_exception_state();
    self.slots.clear();
    for (const auto slot : slots_) self.slots.push_back(std::exchange(slot(), nullptr));
    self.suspended = running_context();
    self.resume = &self.suspended;
    running_ = nullptr;
    platform::switch_context(self.suspended, next == nullptr ? scheduler_ : *next->resume, next);
    platform::put_exception_state(self.exceptions);
    // A slot that was registered meanwhile is null for this thread.
    for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i]() = i < self.slots.size() ? self.slots[i] : nullptr;
  }
  self.state = SimulatedThread::State::running;
  running_ = &self;
}

void SimulatedWorld::interleave_by_seed() {
  check_os_thread("interleave");
  if (running_ == nullptr) return;
  if (options_.on_step) call_on_step();
  SimulatedThread& self = *running_;
  step();
  if (finishing_) {
    make_runnable(self);
    leave(self, next_thread());
    return;
  }
  if (runnable_.empty()) return;
  const std::uint32_t chosen = decide_interleave(static_cast<std::uint32_t>(runnable_.size()));
  if (chosen == 0) return;
  SimulatedThread* const next = take_runnable(chosen - 1);
  make_runnable(self);
  leave(self, next);
}

void SimulatedWorld::call_on_step() {
  SimulatedThread& self = *running_;
  if (finishing_ || std::exchange(self.in_on_step, true)) return;
  options_.on_step();
  self.in_on_step = false;
}

void SimulatedWorld::end_run(std::exception_ptr why) {
  SimulatedThread& self = running("end_run");
  main_failure_ = std::move(why);
  leave(self, nullptr);
  die("A simulated thread was continued after the end of its run.");
}

bool SimulatedWorld::park(platform::Parker& parker, Nanoseconds deadline) {
  SimulatedThread& self = running("park");
  interleave();  // between the caller's last look for work and its sleep, anything may happen
  if (parker.token.exchange(0, std::memory_order_relaxed) != 0) return true;
  if (deadline <= now_) return false;
  COPPICE_INVARIANT(parker.simulated_sleeper == nullptr, "Two simulated threads park on one parker.");
  parker.simulated_sleeper = &self;
  self.state = SimulatedThread::State::parked;
  self.deadline = deadline;
  next_deadline_ = std::min(next_deadline_, deadline);
  leave(self, next_thread());
  parker.simulated_sleeper = nullptr;
  return parker.token.exchange(0, std::memory_order_relaxed) != 0;
}

void SimulatedWorld::unpark(platform::Parker& parker) {
  check_os_thread("unpark");
  parker.token.store(1, std::memory_order_relaxed);
  // A sleeper that has been woken already, by its deadline or by another unpark(), still stands in the parker until it
  // runs.
  auto* const sleeper = static_cast<SimulatedThread*>(parker.simulated_sleeper);
  if (sleeper != nullptr && sleeper->state == SimulatedThread::State::parked) make_runnable(*sleeper);
}

void SimulatedWorld::follow_thread_local(void*& (*slot)()) {
  check_os_thread("follow_thread_local");
  if (std::find(slots_.begin(), slots_.end(), slot) == slots_.end()) slots_.push_back(slot);
}

// AddressSanitizer is to see who uses what a runtime has left, and what leaks: on a stack that is kept, what stood there
// would still count as a reference. ThreadSanitizer's fibers belong to the stacks of one runtime.
platform::KeptMemory* SimulatedWorld::kept_memory() noexcept {
  if constexpr (COPPICE_ASAN != 0 || COPPICE_TSAN != 0) return nullptr;
  if (options_.fresh_memory) return nullptr;
  // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new): without memory for this the program is to end
  static auto* const kept = new platform::KeptMemory;  // outlives every runtime
  return kept;
}

SimulatedWorld::SimulatedThread& SimulatedWorld::running(const char* call) const noexcept {
  check_os_thread(call);
  if (running_ == nullptr) {
    std::array<char, 200> sentence{};
    std::snprintf(sentence.data(), sentence.size(),
                  "%s() of a simulated world was called outside its run(), where there is no thread to do it.", call);
    die(sentence.data());
  }
  return *running_;
}

// -- steps and time ---------------------------------------------------------------------------------------------------

void SimulatedWorld::step() {
  if (++steps_ > options_.steps_max) {
    die(("The simulation took more than " + std::to_string(options_.steps_max) +
         " scheduling steps and is taken for a livelock. " + report())
            .c_str());
  }
  if (options_.drift_max != 0) {
    const auto bound = static_cast<std::uint32_t>(std::min<Nanoseconds>(options_.drift_max, ~std::uint32_t{0} - 1) + 1);
    advance_to(now_ + (options_.decide ? options_.drift_max / 2 : schedule_.below(bound)));
  } else if (now_ >= next_deadline_) {
    wake_late_sleepers();
  }
}

void SimulatedWorld::advance_to(Nanoseconds time) {
  now_ = time;
  record(Decision::Kind::time, Choice{}, 0, time);
  if (now_ >= next_deadline_) wake_late_sleepers();
}

Nanoseconds SimulatedWorld::earliest_deadline() const noexcept {
  Nanoseconds earliest = never;
  for (const auto& thread : threads_) earliest = std::min(earliest, thread->deadline);
  return earliest;
}

void SimulatedWorld::wake_late_sleepers() {
  for (const auto& thread : threads_) {
    if (thread->deadline <= now_) make_runnable(*thread);
  }
  next_deadline_ = earliest_deadline();
}

Nanoseconds SimulatedWorld::now() {
  check_os_thread("now");
  if (options_.drift_max != 0) now_ += clock_read_cost;
  return now_;
}

std::chrono::system_clock::time_point SimulatedWorld::system_now() {
  const auto since_epoch = std::chrono::nanoseconds(now() - start_time) + start_of_wall_clock;
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(since_epoch));
}

// -- the record -----------------------------------------------------------------------------------------------------

std::uint32_t SimulatedWorld::record_choice(Choice what, std::uint32_t alternatives, std::uint32_t policy,
                                            std::uint32_t result) {
  const std::uint64_t number = choice_count_++;
  if (options_.on_choice) {
    const std::uint32_t thread = running_ == nullptr ? 0 : running_->number;
    options_.on_choice(number, {Decision::Kind::choice, what, thread, alternatives, policy, result});
  }
  record(Decision::Kind::choice, what, alternatives, result, policy);
  return result;
}

void SimulatedWorld::record(Decision::Kind kind, Choice choice, std::uint32_t alternatives, std::uint64_t result,
                            std::uint32_t policy) {
  const std::uint32_t thread = running_ == nullptr ? 0 : running_->number;
  const std::uint64_t what = (static_cast<std::uint64_t>(kind) << 56) | (static_cast<std::uint64_t>(choice) << 48) |
                             (static_cast<std::uint64_t>(thread & 0xFFFFU) << 32) | alternatives;
  hash_ = base::mix64(base::mix64(hash_ + 0x9E3779B97F4A7C15U + what) ^ result);
  ++decision_count_;
  if (options_.record_decisions) decisions_.push_back({kind, choice, thread, alternatives, policy, result});
}

// -- reports and refusals ---------------------------------------------------------------------------------------------

std::string SimulatedWorld::report() const {
  const auto doing = [](const SimulatedThread& thread) -> std::string {
    if (thread.state == SimulatedThread::State::runnable) return "can run.";
    if (thread.state == SimulatedThread::State::running) return "runs.";
    if (thread.state == SimulatedThread::State::joining) return "waits for the end of " + thread.joins->name + ".";
    if (thread.state == SimulatedThread::State::ended) return "has ended.";
    if (thread.deadline == never) return "is parked without a deadline.";
    return "is parked until " + std::to_string(thread.deadline - start_time) + " ns after the start.";
  };
  std::string text = "The seed is " + std::to_string(options_.seed) + ", the step " + std::to_string(steps_) +
                     ", the time " + std::to_string(now_ - start_time) + " ns after the start.";
  for (const auto& thread : threads_) {
    text += " Thread " + std::to_string(thread->number) + " (" + thread->name + ") " + doing(*thread);
  }
  return text;
}

void SimulatedWorld::check_os_thread(const char* call) const noexcept {
  if (os_thread_ == this_os_thread()) return;
  std::array<char, 300> sentence{};
  std::snprintf(sentence.data(), sentence.size(),
                "%s() of a simulated world was called by an OS thread that is not the one which made the world. The "
                "simulation controls one OS thread only, and what it cannot control would make runs differ.",
                call);
  die(sentence.data());
}

}  // namespace coppice::simulation
