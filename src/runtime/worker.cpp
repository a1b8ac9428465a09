// SPDX-License-Identifier: Apache-2.0
#include "runtime/worker.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "platform/call_above.hpp"
#include "platform/fault.hpp"
#include "platform/switch_here.hpp"
#include "platform/thread_trace.hpp"
#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/foreign_wait.hpp"
#include "runtime/hand_off.hpp"
#include "runtime/timers.hpp"
#include "runtime/watchdog.hpp"

namespace coppice::runtime {
namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local void* worker_of_thread = nullptr;
constexpr std::size_t awake_when_simulated = 2;  // few, so that servers go to rest in the middle of everything

}  // namespace

[[gnu::noinline]] void*& this_worker_slot() noexcept {
  void** slot = &worker_of_thread;
  asm volatile("" : "+r"(slot) : : "memory");
  return *slot;
}

[[gnu::noinline]] Worker* this_worker() noexcept {
  void** slot = &worker_of_thread;
  asm volatile("" : "+r"(slot) : : "memory");
  return static_cast<Worker*>(*slot);
}

// The spares of all workers together are a small part of the pool: what one of them keeps, the others cannot have.
Worker::Worker(Core& core, std::uint32_t id)
    : core_(core),
      id_(id),
      timers_(core.timer_shard(id)),
      rests_(core.world().simulated() ? awake_when_simulated : RestList::places,
             core.world().simulated() ? 1 : RestList::places_at_leisure,
             core.world().simulated() ? 1 : RestList::new_places),
      sightings_(core.shard_count()),
      spares_max_(static_cast<std::uint32_t>(
          std::clamp<std::size_t>(core.options().stacks_max / (8 * core.shard_count()), 1, spare_stacks_max))) {}

Worker::~Worker() {
  while (spare_ != nullptr) {
    platform::Stack* stack = spare_;
    spare_ = stack->next;
    core_.stacks().release(stack);
  }
}

void Worker::start() {
  // The stack for the thread to start on is set aside now: workers that run already may use up the pool before.
  if (platform::Stack* first = take_stack(0)) give_back(first);
  thread_ = core_.world().start_thread("coppice." + std::to_string(id_), [this] { thread_main(); });
}
void Worker::join() {
  if (thread_) thread_->join();
  thread_.reset();
}
void Worker::detach() {
  if (thread_) thread_->detach();
  thread_.reset();
}

void Worker::forget() { (void)thread_.release(); }

void Worker::thread_main() {
  this_worker_slot() = this;
  exceptions_ = &platform::exception_state_of_thread();
  native_thread.store(platform::native_thread_id(), std::memory_order_release);
  platform::set_own_exception(typeid(Exit));
  platform::set_record_throws(true);  // the report on a process that dies of an exception shows where it was thrown
  platform::adopt_thread(thread_stack_.context);
  platform::Stack* first = take_stack(0);
  COPPICE_INVARIANT(first != nullptr, "a worker found no stack to start on");
  stack_ = first;
  after_switch_ = {Leaving::nothing, nullptr, nullptr, nullptr};
  platform::switch_context(thread_stack_.context, first->context, this);
  // Back on the thread's own stack: the loop has seen the order to stop.
  finish_switch();
  native_thread.store(0, std::memory_order_release);
  this_worker_slot() = nullptr;
}

void Worker::loop_entry(void* worker) {
  static_cast<Worker*>(worker)->finish_switch();
  run_loop();
  end_loop();
}

void Worker::end_loop() {
  Worker* me = this_worker();
  me->after_switch_ = {Leaving::idle_loop, nullptr, me->stack_, nullptr};
  me->stack_ = nullptr;
  platform::Stack* from = me->after_switch_.stack;
  platform::switch_context(from->context, me->thread_stack_.context, me);
  platform::die("a loop that had ended was resumed");
}

// Runs one turn of `process`: here, on the stack it holds, or on one of the size it asked for. Inlined into the loop, which
// so does the switch itself: see switch_here.hpp.
[[gnu::always_inline]] inline void Worker::run_turn(Process& process) {
  platform::Stack* to = process.stack;
  wake_from_rest(process);
  const std::uint8_t wanted = process.body->size_class;
  count(turns);
  if (to != nullptr) {
    process.stack = nullptr;
    current_ = &process;
  } else if (wanted != 0 && stack_->turn_size != wanted) {
    to = stack_is_withheld(process) ? nullptr : take_stack(wanted);
    if (to != nullptr) {
      next_ = &process;
    } else if (process.body->leaving == Leave::no) {  // its turn, on a stack too small for it, is to end
      process.body->leaving = Leave::by_signal;
      process.body->reason = ExitReason(Atom("system_limit"));
    }
  }
  if (to == nullptr) {
    current_ = &process;
    stack_->owner = &process;
    say_who_runs(process);
    process.body->run(process);
    return;
  }
  platform::Stack* from = stack_;
  from->owner = nullptr;
  say_who_runs(process);
  after_switch_ = {Leaving::idle_loop, nullptr, from, nullptr};
  stack_ = to;
  auto* me = static_cast<Worker*>(platform::switch_here(from->context, to->context, this));
  me->finish_switch();
}

void Worker::run_loop() {
  Worker* me = this_worker();
  for (;;) {
    if (!platform::can_call_above && me->entering_ != nullptr) {
      me->serve_from_loop();
      me = this_worker();
      continue;
    }
    Process* process = std::exchange(me->next_, nullptr);
    if (process == nullptr) process = me->pick();
    if (process == nullptr) process = me->idle();
    if (process == nullptr) return;
    me->run_turn(*process);
    me = this_worker();
    me->current_ = nullptr;
    me->running_number.store(0, std::memory_order_relaxed);
    if (me->stack_->turn_size != 0) {  // made for one process's turn only
      platform::Stack* from = me->stack_;
      platform::Stack* to = me->take_stack(0);
      if (to == nullptr) continue;  // go on here until there is one
      me->after_switch_ = {Leaving::released, nullptr, from, nullptr};
      me->stack_ = to;
      platform::switch_context(from->context, to->context, me);
      platform::die("a released stack was resumed");
    }
  }
}

bool Worker::switch_away(Leaving how, void* job) {
  Worker* me = this_worker();
  COPPICE_INVARIANT(me->buried() == nullptr, "a process was about to wait on the stack of its caller");
  me->settle_hand_offs();
  Process* process = me->current_;
  platform::Stack* from = me->stack_;
  Process* next = me->pick();
  platform::Stack* to = nullptr;
  if (next != nullptr && next->stack != nullptr) {
    to = next->stack;
    next->stack = nullptr;
    me->current_ = next;
    me->say_who_runs(*next);
    me->count(me->turns);
  } else {
    to = me->stack_is_withheld(*process) ? nullptr : me->take_stack(0);
    if (to == nullptr) {
      if (next != nullptr) me->schedule_last(*next);
      return false;
    }
    me->next_ = next;
    me->current_ = nullptr;
    me->running_number.store(0, std::memory_order_relaxed);
  }
  from->exceptions = std::exchange(*me->exceptions_, {});
  from->home = me->id_;
  from->owner = process;
  process->stack = from;
  me->after_switch_ = {how, process, from, job};
  me->stack_ = to;
  me = static_cast<Worker*>(platform::switch_here(from->context, to->context, me));
  me->finish_switch();
  *me->exceptions_ = from->exceptions;
  return true;
}

void Worker::abandon_stack() {
  Worker* me = this_worker();
  me->buried_ = nullptr;
  me->settle_hand_offs();
  (void)platform::take_exception_state();
  platform::Stack* from = me->stack_;
  platform::Stack* to = me->take_stack(0);
  COPPICE_INVARIANT(to != nullptr, "no stack was left to go on with after a process had to be abandoned");
  me->current_ = nullptr;
  me->running_number.store(0, std::memory_order_relaxed);
  me->after_switch_ = {Leaving::nothing, nullptr, nullptr, nullptr};
  me->stack_ = to;
  platform::switch_context(from->context, to->context, me);
  platform::die("an abandoned stack was resumed");
}

// The commit of a wait. Until it succeeds nobody else can own the process: its head says running. The release half of
// the compare-and-swap publishes the saved context and everything the process wrote.
void Worker::finish_leaving() {
  const auto done = after_switch_;
  after_switch_.how = Leaving::nothing;
  switch (done.how) {
    case Leaving::nothing: return;
    case Leaving::idle_loop: give_back(done.stack); return;
    case Leaving::released: core_.stacks().release(done.stack); return;
    case Leaving::yielded: schedule_last(*done.process); return;
    case Leaving::blocked: core_.blocking().submit(*done.process, done.job); return;
    case Leaving::foreign:
      if (!static_cast<detail::ForeignWaitState*>(done.job)->park()) schedule_last(*done.process);
      return;
    case Leaving::waiting: commit_wait(*done.process, head::waiting); return;
    case Leaving::call_wait: commit_wait(*done.process, head::waiting | head::call_wait); return;
  }
}

// A message that has come meanwhile does not end a call wait, and the process has looked at it already or will when it is
// woken; but a signal hidden below it would: so any news fails the commit.
void Worker::commit_wait(Process& process, std::uint64_t bits) {
  if (!head::wait_if_empty(process, bits)) schedule_last(process);
}

// -- stacks

platform::Stack* Worker::acquire_stack(std::size_t size_class) {
  platform::Stack* stack = core_.stacks().acquire(size_class == 0 ? 0 : std::size_t{1} << size_class);
  if (stack == nullptr) return nullptr;
  stack->turn_size = static_cast<std::uint32_t>(size_class);
  platform::make_context(stack->context, stack->low, stack->size, &Worker::loop_entry);
  return stack;
}

void Worker::give_back(platform::Stack* stack) {
  stack->owner = nullptr;
  if (stack->worn) [[unlikely]] {
    stack->worn = false;
    platform::make_context(stack->context, stack->low, stack->size, &Worker::loop_entry);
  }
  if (stack->turn_size != 0 || spare_count_ >= spares_max_) {
    core_.stacks().release(stack);
    gave_stacks_back_ = true;
    return;
  }
  stack->next = spare_;
  spare_ = stack;
  ++spare_count_;
}

// -- queues

void Worker::schedule_last(Process& process) {
  if (process.stack != nullptr && !process.body->migratable) {
    pinned_.push(&process);
    return;
  }
  if (ring_.push(&process)) {
    core_.watch().call();
  } else {
    core_.spill(process);
  }
}

void Worker::schedule_from_outside(Process& process) {
  inbox_.push(&process);
  core_.watch().wake(id_);
}

void Worker::stock_up_reference_ids() noexcept {
  next_reference_id_ = core_.new_reference_ids(reference_ids_at_once);
  reference_ids_left_ = reference_ids_at_once;
}

bool Worker::others_wait() const noexcept {
  const bool answered = under_way_ != nullptr && under_way_->is_answered();
  return answered || run_next_ != nullptr || !pinned_.empty() || !ring_.empty() || !tasks_.empty() || !inbox_.empty() ||
         !core_.overflow().empty();
}

// From that queue, else from the first in their order that has one.
Process* Worker::pick_from_queues(std::uint32_t first) {
  for (std::uint32_t i = 0; i <= queues; ++i) {
    Process* process = nullptr;
    switch (i == 0 ? first : i - 1) {
      case 0: process = pinned_.pop(); break;
      case 1:
        process = ring_.pop();
        if (process == nullptr) count(drains);
        break;
      case 2: process = pick_task(); break;
      default: process = core_.overflow().pop(); break;
    }
    if (process != nullptr) return process;
  }
  return nullptr;
}

// The next process to run; null if nothing is runnable here. Run-next first, but only so often in a row; then the
// queues, beginning with another one each time, so that none of them starves.
Process* Worker::pick() {
  platform::World& world = core_.world();
  world.interleave();
  ++ticks_;
  if (!inbox_.empty()) inbox_.take_all(pinned_);
  if (timers_.next_deadline() != base::TimerWheel::never && (ticks_ % 16 == 0 || world.simulated())) {
    timers_.fire(world.now());
  }
  if (run_next_ != nullptr) {
    Process* process = std::exchange(run_next_, nullptr);
    if (++run_next_streak_ < run_next_streak_max) return process;
    run_next_streak_ = 0;
    schedule_last(*process);
  } else {
    run_next_streak_ = 0;
  }
  // Counted by itself: the ticks have a beat of their own when two processes talk to each other.
  ++queue_picks_;
  std::uint32_t policy = queue_picks_ % 4 == 3 ? queue_picks_ / 4 % queues : 0;
  // Rarely the tasks: a new one that comes before what stands there already is one more piece of work that has been begun.
  if (policy == 2 && queue_picks_ / 16 % 4 != 0) policy = 0;
  if (!world.simulated()) [[likely]]
    return pick_from_queues(policy);
  // Only queues that hold something are alternatives: an empty one leads to the process that another would have led to.
  const std::array<bool, queues> holds{!pinned_.empty(), !ring_.empty(), !tasks_.empty(), !core_.overflow().empty()};
  std::array<std::uint32_t, queues> alternatives{};
  std::uint32_t count = 0;
  std::uint32_t wanted = 0;
  for (std::uint32_t i = 0; i < queues; ++i) {
    if (!holds[i]) continue;
    if (i == policy) wanted = count;
    alternatives[count++] = i;
  }
  return pick_from_queues(count < 2 ? policy
                                    : alternatives[world.choose(platform::Choice::which_queue, count, wanted)]);
}

}  // namespace coppice::runtime
