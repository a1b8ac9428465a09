// SPDX-License-Identifier: Apache-2.0
//
// A worker: one thread that runs processes.
//
// The scheduling loop itself runs on pooled stacks. `run_loop` picks a process and
//   - calls its turn as a plain function, if the process holds no stack; a turn that never waits costs no switch;
//   - switches to the stack the process holds, if it has one; the loop's own stack is then idle and goes to `spare_`.
// A turn that waits in mid-function (wait.cpp) keeps the stack it stands on, loop frames below it included, and the
// worker goes on on another stack: that of the next process, or a spare one whose loop continues. So every pooled stack
// has a loop at its bottom, and a loop owns nothing with a destructor.
//
// What must happen once the old stack is left (publish it as waiting, queue it, give it back) is done by the *target* of
// the switch, never by the one who leaves: as soon as a process is published as waiting, another thread may make it
// runnable. `after_switch_` says what; finish_switch() does it, first thing on every arrival.
//
// Four queues: processes that hold a stack and must resume here (pinned), processes that others may take (the ring), tasks
// that have not begun (task_deque.hpp), and what is queued for all workers (overflow). Before them comes the run-next slot:
// whoever was woken last, so that a conversation stays in the caches. Going to sleep, and who is woken when something is
// queued, is told in watch.hpp and worker_idle.cpp. The whole in words: docs/internals/scheduler.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "platform/context.hpp"
#include "platform/stack_pool.hpp"
#include "platform/world.hpp"
#include "runtime/in_place.hpp"
#include "runtime/pinned_queue.hpp"
#include "runtime/process.hpp"
#include "runtime/rest.hpp"
#include "runtime/run_queue.hpp"
#include "runtime/task_deque.hpp"
#include "runtime/watch.hpp"

namespace coppice::runtime {

// How a process leaves its stack for a while: what the target of the switch does about it.
enum class Leaving : std::uint8_t {
  nothing,    // the thread's own context, or an abandoned stack
  idle_loop,  // the stack of a loop: becomes spare
  waiting,    // commit the waiting bit; a failed commit reschedules
  call_wait,  // the same with the call bit: only signals wake it
  yielded,    // queue it behind the others
  blocked,    // hand its job to the blocking pool
  foreign,    // a foreign thread will schedule it, unless it has completed the wait already: foreign_wait.hpp
  released    // a stack that is not of the default size, done with: back to the pool
};

struct CallUnderWay;  // by hand-off: hand_off.hpp
struct CallTimes;

class Worker {
 public:
  Worker(Core& core, std::uint32_t id);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  static constexpr std::uint32_t turn_budget = 1000;  // messages a server handles before others run
  static constexpr std::uint32_t run_next_streak_max = 16;
  static constexpr std::uint32_t queues = 4;                              // see pick_from_queues
  static constexpr platform::Nanoseconds oldest_task_after = 20'000'000;  // since the oldest was last picked
  static constexpr std::uint32_t all_stale_every = 8;  // awaited tasks, until stale numbers are dropped
  static constexpr std::uint32_t spare_stacks_max = 64;
  static_assert(spare_stacks_max >= platform::KeptStacks::stacks_max, "see KeptStacks");
  static constexpr std::uint32_t reference_ids_at_once = 256;

  void start();  // starts the thread
  void join();
  void detach();
  void forget();  // in the child of a fork: there is no thread any more

  // -- for the process that runs on this worker
  [[nodiscard]] Process* current() const noexcept { return current_; }
  [[nodiscard]] platform::Stack* stack() const noexcept { return stack_; }
  [[nodiscard]] Core& core() const noexcept { return core_; }
  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
  [[nodiscard]] TimerShard& timers() const noexcept { return timers_; }

  // Leaves the current stack as `how` says and runs others; returns, on whichever worker, when the process is resumed.
  // Returns false, at once, if there is no stack to go on with.
  static bool switch_away(Leaving how, void* job = nullptr);
  // The current process is dead and its stack must not be used again: goes on elsewhere, for ever.
  [[noreturn]] static void abandon_stack();

  // For new references: each worker has a supply of its own, so that workers do not meet at one counter.
  [[nodiscard]] std::uint64_t new_reference_id() noexcept {
    if (reference_ids_left_ == 0) [[unlikely]]
      stock_up_reference_ids();
    --reference_ids_left_;
    return next_reference_id_++;
  }

  // -- calls by hand-off: hand_off.hpp
  // A caller that always finds its servers idle would never let others run: now and then it looks whether there are any,
  // as the run-next slot does. Then it and its server queue behind them.
  [[nodiscard]] bool may_hand_off() { return (hand_off_streak_ += 2) < run_next_streak_max || nobody_else_waits(); }
  // The same for one that is made again through the mailbox if it may not.
  [[nodiscard]] bool may_do_without_envelope() {
    if (may_hand_off()) return true;
    hand_off_streak_ = run_next_streak_max;
    return false;
  }
  // Leaves the current stack, runs the turn of the server, which the caller has claimed, and returns when the caller goes
  // on. Returns false, at once, if there is no stack to go on with.
  bool hand_off(CallUnderWay& call);
  // Nobody's call is under way any more: whoever has made one waits for its answer. By whoever is about to wait, for an
  // answer or otherwise, or to be abandoned.
  void settle_hand_offs() {
    if (under_way_ != nullptr) settle_all();
  }
  // The answer to a call: true if it was the newest one under way, which was given its answer.
  bool answer_hand_off(detail::CallNode* node) noexcept;

  // -- calls without an envelope: in_place.hpp
  // By this worker's process. False: nothing has happened. True: the call is over; it has been answered, or else its outcome
  // is set.
  [[nodiscard]] bool call_without_envelope(const Pid& callee, detail::PlacedCall& call, WaitTime timeout);
  // Above whose frames do those of the running process stand? Null: nobody's.
  [[nodiscard]] Process* buried() const noexcept { return buried_; }
  // Who waits for the handler that run_in_place runs?
  [[nodiscard]] const Process& caller_in_place() const noexcept;

  // For the owner of a process that is about to commit its wait without a stack: see rest.hpp. This worker's thread only.
  void note_idle(Process& process) { rests_.note(core_, process); }

  // Does the process stand in the run-next slot? Then this thread owns it: only the worker itself empties the slot, so
  // senders on it may write to the mailbox as its owner (mailbox.hpp).
  [[nodiscard]] bool will_run_next(const Process& process) const noexcept { return run_next_ == &process; }

  // -- making processes runnable: this worker's thread only
  inline void schedule_here(Process& process);  // the run-next slot by policy; defined in core.hpp
  void schedule_last(Process& process);         // behind what is runnable
  // -- any thread
  void schedule_from_outside(Process& process);
  [[nodiscard]] Inbox& inbox() noexcept { return inbox_; }
  [[nodiscard]] RunRing& ring() noexcept { return ring_; }
  [[nodiscard]] platform::Parker& parker() noexcept { return parker_; }

  [[nodiscard]] bool others_wait() const noexcept;
  void note_wake_up() noexcept { woke_a_thread_ = true; }  // see wake_thread

  // -- tasks that have not begun: task_deque.hpp, worker_tasks.cpp
  // Queues a task for its first turn; its creator's side. Opens its line.
  void schedule_task(Process& task);
  // The caller is about to wait for this task: if it has not begun, it is the next to run. Was it so?
  bool run_task_next(const Pid& task);
  [[nodiscard]] TaskDeque& tasks() noexcept { return tasks_; }

  // -- for the watcher and the watchdog
  std::atomic<std::uint64_t> drains{0};  // how often the ring was found empty
  std::atomic<std::uint64_t> turns{0};
  // Whose turn it is; 0 while looking for one. Who reads it with acquire may look at that process's badge.
  std::atomic<std::uint64_t> running_number{0};
  std::atomic<std::uint64_t> native_thread{0};

 private:
  static void loop_entry(void* worker);
  static void run_loop();
  [[noreturn]] static void end_loop();
  void thread_main();
  void finish_switch() {
    if (after_switch_.how != Leaving::nothing) finish_leaving();
  }
  void finish_leaving();
  Process* pick();
  Process* pick_from_queues(std::uint32_t first);
  Process* pick_task();
  void drop_stale_tasks(std::uint64_t claimed) noexcept;
  Process* idle();
  Process* end_idle(Process& process, bool slept, bool dozed);
  enum class Look : std::uint8_t { nothing_stands, something_stands, take_it };
  Look look_at(Worker& busy, platform::Nanoseconds now);
  Look look_after_others(Worker*& victim);
  Process* steal_from(Worker& victim);
  void judge_theft(platform::Nanoseconds now) noexcept;
  void sleep(platform::Nanoseconds limit, Watch::Sleep how);
  [[nodiscard]] bool something_stands_elsewhere() const noexcept;
  inline bool stack_is_withheld(const Process& process);  // a fault of the simulation; defined in core.hpp
  platform::Stack* take_stack(std::size_t size_class) {
    if (size_class != 0 || spare_ == nullptr) return acquire_stack(size_class);
    platform::Stack* stack = spare_;
    spare_ = stack->next;
    --spare_count_;
    return stack;
  }
  platform::Stack* acquire_stack(std::size_t size_class);
  void give_back(platform::Stack* stack);
  void run_turn(Process& process);
  void say_who_runs(const Process& process) noexcept {
    running_number.store(process.serial.load(std::memory_order_relaxed), std::memory_order_release);
  }
  void stock_up_reference_ids() noexcept;
  bool nobody_else_waits();
  Worker* enter(CallUnderWay& call, platform::Stack& to);
  bool serve(CallUnderWay& call);
  static void serve_above(void* call) noexcept;
  void serve_from_loop();
  void settle_all();
  void settle(CallUnderWay& call);
  void take_the_stack(Process& process) noexcept {  // its turn begins on the stack on which we stand
    count(turns);
    stack_->owner = &process;
    go_on_with(process);
  }
  void go_on_with(Process& process) noexcept {
    current_ = &process;
    say_who_runs(process);
  }
  InPlace run_in_place(Process& server, detail::PlacedCall& call);
  void end_without_envelope(Process& server, InPlace what);
  detail::CallOutcome await_after_handler(Process& server, detail::PlacedCall& call, CallTimes& times);
  void commit_wait(Process& process, std::uint64_t bits);
  // Written by this thread only, so that it needs no read-modify-write.
  static void count(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  Core& core_;
  const std::uint32_t id_;
  TimerShard& timers_;
  Process* current_ = nullptr;
  platform::Stack* stack_ = nullptr;
  Process* next_ = nullptr;  // for the loop that is switched to
  Process* run_next_ = nullptr;
  std::uint32_t run_next_streak_ = 0;
  CallUnderWay* under_way_ = nullptr;  // the newest
  CallUnderWay* entering_ = nullptr;   // for the loop that is switched to
  Process* buried_ = nullptr;          // the caller of a call in place that is under way
  std::uint32_t hand_off_streak_ = 0;
  std::uint64_t next_reference_id_ = 0;
  std::uint32_t reference_ids_left_ = 0;
  std::uint32_t ticks_ = 0;
  std::uint32_t queue_picks_ = 0;
  platform::Nanoseconds oldest_task_at_ = 0;  // when it was last picked
  std::uint32_t tasks_claimed_ = 0;           // by run_task_next
  RestList rests_;
  PinnedQueue pinned_;
  RunRing ring_;
  TaskDeque tasks_;
  // What this worker saw when it looked after the others, by their number.
  struct Sighting {
    std::uint64_t turns = 0;
    std::uint64_t drains = 0;
    std::uint64_t oldest_task = 0;
    platform::Nanoseconds turn_since = 0;
    platform::Nanoseconds drain_since = 0;
    platform::Nanoseconds task_since = 0;
  };
  std::vector<Sighting> sightings_;
  // Whether it was worth it: see worker_idle.cpp.
  platform::Nanoseconds stole_at_ = 0;  // 0: nothing since it was last judged
  std::uint32_t stolen_ = 0;
  std::uint32_t reluctance_ = 0;
  Inbox inbox_;
  platform::Parker parker_;
  platform::Stack* spare_ = nullptr;
  std::uint32_t spare_count_ = 0;
  const std::uint32_t spares_max_;                   // fewer than spare_stacks_max where the pool is small
  bool woke_a_thread_ = false;                       // since it last ran out of work
  bool slept_long_ = false;                          // when it slept last
  bool gave_stacks_back_ = false;                    // since the pool was last trimmed
  platform::Nanoseconds trim_at_ = platform::never;  // when it is trimmed, if this worker is idle then
  platform::Stack thread_stack_;                     // the thread's own context
  platform::ExceptionState* exceptions_ = nullptr;   // the thread's
  struct {
    Leaving how = Leaving::nothing;
    Process* process = nullptr;
    platform::Stack* stack = nullptr;
    void* job = nullptr;
  } after_switch_;
  std::unique_ptr<platform::Thread> thread_;
};

// Does this task wait to begin? True also of one that began and waits for a message.
[[nodiscard]] bool is_new_task(Core& core, const Pid& pid) noexcept;
// Becomes the owner of a task that has not begun, in order to run it; null if somebody else was faster.
[[nodiscard]] Process* claim_new_task(Core& core, const Pid& pid);

// The worker of the calling thread; null on a foreign thread. Never inlined and never cached across anything that may
// wait: a process may go on on another thread.
[[nodiscard]] Worker* this_worker() noexcept;
[[nodiscard]] void*& this_worker_slot() noexcept;

// Unparks; by any thread. If it is that of a worker, that will know: see worker_idle.cpp.
void wake_thread(platform::World& world, platform::Parker& parker);

}  // namespace coppice::runtime
