// SPDX-License-Identifier: Apache-2.0
//
// Core: everything that one Runtime owns, shared by its workers and by foreign threads in its Scope.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <coppice/runtime.hpp>

#include "platform/stack_pool.hpp"
#include "platform/world.hpp"
#include "runtime/annex.hpp"
#include "runtime/blocking_pool.hpp"
#include "runtime/live_count.hpp"
#include "runtime/names.hpp"
#include "runtime/process.hpp"
#include "runtime/process_table.hpp"
#include "runtime/run_queue.hpp"
#include "runtime/timers.hpp"
#include "runtime/watch.hpp"
#include "runtime/worker.hpp"

namespace coppice::runtime {

class Watchdog;

// What the runtime tells the layer above, which turns it into log events. Set once, by the logger; called by the process
// or thread in which the thing happens. None is null once there is a core.
struct Reporter {
  // PR-011: a bare process died of an uncaught error.
  void (*process_crashed)(Process& process, const ExitReason& reason) = nullptr;
  // LR-025: a generically started process ends by an uncaught exception; before its death is announced.
  void (*crash_report)(Process& process, const ExitReason& reason) = nullptr;
  void (*high_water_mark)(Process& process, std::size_t length) = nullptr;
  // Free text at warning level: a swallowed leave, a long schedule, a destructor that takes too long.
  void (*warning)(const std::string& text) = nullptr;
};
void set_reporter(const Reporter& reporter) noexcept;
[[nodiscard]] const Reporter& reporter() noexcept;
// Sets the reporter. Defined by the logger, the layer above, and called once, before the first core starts: so a static
// library brings the logger along, and no header of it is needed here.
void install_reports() noexcept;

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(platform::World& world, const RuntimeOptions& options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void start_workers();

  // -- parts
  [[nodiscard]] platform::World& world() noexcept { return world_; }
  [[nodiscard]] const RuntimeOptions& options() const noexcept { return options_; }
  [[nodiscard]] ProcessTable& table() noexcept { return table_; }
  [[nodiscard]] NameTable& names() noexcept { return names_; }
  [[nodiscard]] platform::StackPool& stacks() noexcept { return stacks_; }
  [[nodiscard]] BlockingPool& blocking() noexcept { return *blocking_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Worker>>& workers() const noexcept { return workers_; }
  [[nodiscard]] TimerShard& timer_shard(std::uint32_t index) noexcept { return *shards_[index]; }
  [[nodiscard]] std::size_t shard_count() const noexcept { return shards_.size(); }
  [[nodiscard]] Watchdog& watchdog() noexcept { return *watchdog_; }

  // -- what higher layers keep beside the runtime. Any thread; the first to ask makes it.
  [[nodiscard]] Annex* annex_if_any(AnnexKind kind) const noexcept {
    return annexes_[static_cast<std::size_t>(kind)].load(std::memory_order_acquire);
  }
  [[nodiscard]] Annex& annex(AnnexKind kind, std::unique_ptr<Annex> (*make)(Core&));

  // -- identity
  [[nodiscard]] std::uint32_t creation() const noexcept { return creation_; }
  [[nodiscard]] bool is_local(const Pid& pid) const noexcept {
    return pid.creation == creation_ && pid.node == 0 && pid.number != 0 && table_.in_range(pid);
  }
  [[nodiscard]] Pid pid_of(std::uint64_t number) const noexcept { return {number, 0, creation_}; }
  [[nodiscard]] inline std::uint64_t new_reference_id() noexcept;
  // Several that follow each other; the first of them.
  [[nodiscard]] std::uint64_t new_reference_ids(std::uint32_t count) noexcept {
    return reference_ids_.fetch_add(count, std::memory_order_relaxed);
  }
  // A reference through which a message finds its process: the pid's number stands in its further words.
  [[nodiscard]] inline Reference alias_reference(std::uint64_t id, const Pid& owner) const noexcept;
  [[nodiscard]] Pid owner_of_alias(const Reference& alias) const noexcept;

  // -- scheduling: any thread that has just become the owner of `process` by clearing its waiting bit
  void schedule(Process& process);
  // The same by a caller that knows which of our workers it runs on; null if on none.
  void schedule(Process& process, Worker* here);
  void timer_moved_forward(std::uint32_t shard);
  [[nodiscard]] OverflowQueue& overflow() noexcept { return overflow_; }
  // Queues it where every worker looks: what a full ring spills, and what foreign threads start.
  void spill(Process& process);
  [[nodiscard]] Watch& watch() noexcept { return watch_; }
  // -- what the watch asks of its host
  [[nodiscard]] std::size_t worker_count() const noexcept { return workers_.size(); }
  void unpark(std::uint32_t worker);
  [[nodiscard]] bool stopping_workers() const noexcept { return stop_workers_.load(std::memory_order_acquire); }

  // -- calls
  void end_call_watch(detail::CallNode& node) noexcept;
  void dispose_of_reply(detail::CallNode* node) noexcept;
  std::mutex deadlock_mutex;  // held only by a caller that has found a cycle

  // -- reports
  void report_high_water_mark(Process& process, std::size_t length);
  void warn(const std::string& text);
  [[nodiscard]] std::string describe(const Pid& pid);  // "#PID<0.12.0> (Counter)"

  // -- life
  // By a thread with that worker_number(): counts a process that is to start; false: none is accepted any more.
  [[nodiscard]] inline bool admit_process(std::uint32_t worker) noexcept;
  inline void process_started(const Pid& pid);  // kills it at once if all are being killed
  void kill_at_once(const Pid& pid);
  void start(Process& process);       // queues it for its first turn
  void start_task(Process& process);  // the same for a task, whose line is not open yet
  void start_next(Process& process);  // the same for a starter that waits for it: no other worker is woken
  inline void process_ended(std::uint32_t worker) noexcept;  // the last thing a dying process does
  // By a worker that is about to sleep and has said so (watch.hpp): see process_ended.
  void tell_who_stops() noexcept {
    if (stopping_.load(std::memory_order_seq_cst)) world_.unpark(stop_parker_);
  }
  [[nodiscard]] std::size_t process_count() const noexcept { return live_.alive(); }
  // The calling thread's number among our workers; ProcessTable::no_worker for others.
  [[nodiscard]] inline std::uint32_t worker_number() const noexcept;
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }
  StopReport stop();
  // A foreign thread may start processes until the runtime begins to stop, a process until the workers end: else a thread
  // that knows of nothing could keep stop() from ever finishing.
  [[nodiscard]] bool accepts_processes() const noexcept {
    if (stop_workers_.load(std::memory_order_acquire)) return false;
    return !stopping_.load(std::memory_order_seq_cst) || this_worker() != nullptr;
  }
  [[nodiscard]] bool dead_after_fork() const noexcept { return forked_.load(std::memory_order_relaxed); }
  void mark_forked() noexcept { forked_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] platform::Nanoseconds start_time() const noexcept { return start_time_; }
  // The process that Runtime::run was last given: who is told when the whole node is to end. None before.
  [[nodiscard]] Pid first_process() const noexcept { return pid_of(first_.load(std::memory_order_acquire)); }
  void set_first_process(const Pid& pid) noexcept { first_.store(pid.number, std::memory_order_release); }

 private:
  [[nodiscard]] std::size_t counting_place(std::uint32_t worker) const noexcept {
    return std::min<std::size_t>(worker, workers_.size());
  }
  bool wait_for_no_processes(platform::Nanoseconds deadline);
  void signal_roots(std::vector<Pid>& signalled);
  void kill_all(StopReport& report);
  void end_threads(bool abandon);
  void forget_threads() noexcept;

  platform::World& world_;
  const RuntimeOptions options_;
  const std::uint32_t creation_;
  const platform::Nanoseconds start_time_;
  ProcessTable table_;
  LiveCount live_;
  NameTable names_;
  platform::StackPool stacks_;
  OverflowQueue overflow_;
  std::vector<std::unique_ptr<TimerShard>> shards_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<BlockingPool> blocking_;
  std::unique_ptr<Watchdog> watchdog_;
  std::atomic<std::uint64_t> reference_ids_{1};
  Watch watch_;
  std::atomic<bool> stop_workers_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> killing_{false};  // whoever starts now is killed at once
  std::atomic<bool> forked_{false};
  std::atomic<std::uint64_t> first_{0};  // Pid::number
  platform::Parker stop_parker_;         // of the thread in stop()
  std::mutex stop_mutex_;
  bool stopped_ = false;
  StopReport report_;
  std::recursive_mutex annex_mutex_;  // of making one; that may make another
  std::atomic<Annex*> annexes_[annex_kinds] = {};
};

[[nodiscard]] inline Core& core_of(Process& process) noexcept { return *process.body->core; }

// Makes a core the one in which the calling thread acts, for as long as this lives. The core must outlive it.
class ThreadActsIn {
 public:
  explicit ThreadActsIn(Core& core);
  ~ThreadActsIn();
  ThreadActsIn(const ThreadActsIn&) = delete;
  ThreadActsIn& operator=(const ThreadActsIn&) = delete;

 private:
  std::shared_ptr<Core> core_;
  std::shared_ptr<Core>* previous_;
};

// The core in which the calling thread acts: its worker's, its Scope's, else the first runtime's; null if there is none.
[[nodiscard]] std::shared_ptr<Core> current_core() noexcept;
// The same; ends the program with a sentence that names `function` if there is no runtime.
[[nodiscard]] std::shared_ptr<Core> require_core(const char* function);
// The same without counting for a caller on a worker; `held` keeps a foreign thread's. For paths that are taken often.
[[nodiscard]] Core& core_of_thread(std::shared_ptr<Core>& held, const char* function);
[[nodiscard]] inline Core& acting_core(std::shared_ptr<Core>& held, const char* function) {
  if (Worker* worker = this_worker()) [[likely]]
    return worker->core();
  return core_of_thread(held, function);
}
// Where a thread keeps the std::shared_ptr<Core> of its innermost scope.
[[nodiscard]] void*& scope_slot_untyped();
void register_core(const std::shared_ptr<Core>& core);
// The runtime of that creation in this program, if it still lives.
[[nodiscard]] std::shared_ptr<Core> core_of_creation(std::uint32_t creation) noexcept;

// Sends an exit signal on behalf of `from` (none for a foreign thread or the runtime itself).
void exit_from(Core& core, const Pid& from, const Pid& to, const ExitReason& reason);

inline std::uint64_t Core::new_reference_id() noexcept {
  Worker* here = this_worker();
  return here != nullptr && &here->core() == this ? here->new_reference_id() : new_reference_ids(1);
}

inline Reference Core::alias_reference(std::uint64_t id, const Pid& owner) const noexcept {
  Reference reference = Reference::from_id(id, creation_);
  reference.words[2] = static_cast<std::uint32_t>(owner.number);
  reference.words[3] = static_cast<std::uint32_t>(owner.number >> 32);
  reference.word_count = 4;
  return reference;
}

inline std::uint32_t Core::worker_number() const noexcept {
  const Worker* here = this_worker();
  return here != nullptr && &here->core() == this ? here->id() : ProcessTable::no_worker;
}

// The parker is looked at by stop() only after it has set stopping_; a last process that ends before that is seen by
// stop()'s own look at the count. But the count of a worker may stand in its store buffer still while it looks at the flag,
// so that neither sees the other. If this was the last process the worker has nothing more to run; before it sleeps it
// changes the idle mask, a read-modify-write after which the count is there for all, and looks at the flag again.
inline void Core::process_ended(std::uint32_t worker) noexcept {
  live_.ends(counting_place(worker));
  tell_who_stops();
}

// Counted first, then asked (both seq_cst), while stop() says first that it stops, then looks at the count: so either we
// see that it stops, or it waits for us. A process that spawns is counted itself.
inline bool Core::admit_process(std::uint32_t worker) noexcept {
  if (dead_after_fork()) return false;
  live_.begins(counting_place(worker));
  if (accepts_processes()) return true;
  process_ended(worker);
  return false;
}

inline void Core::process_started(const Pid& pid) {
  if (killing_.load(std::memory_order_seq_cst)) [[unlikely]]
    kill_at_once(pid);
}

inline bool Worker::stack_is_withheld(const Process& process) {
  return core_.world().withholds(platform::Scarce::stack, process.serial.load(std::memory_order_relaxed));
}

inline void Worker::schedule_here(Process& process) {
  if (core_.world().choose(platform::Choice::run_next_or_queue, 2, 0) != 0) {
    schedule_last(process);
    return;
  }
  if (Process* displaced = std::exchange(run_next_, &process)) schedule_last(*displaced);
}

// The calling process's line; null on a foreign thread, and on a worker between processes.
[[nodiscard]] inline Process* current_process() noexcept {
  const Worker* worker = this_worker();
  return worker == nullptr ? nullptr : worker->current();
}
// The calling process; a foreign thread ends the program with a sentence that names `function`.
[[noreturn]] void die_without_a_process(const char* function);
[[nodiscard]] inline Process& require_process(const char* function) {
  Process* process = current_process();
  if (process == nullptr) [[unlikely]]
    die_without_a_process(function);
  return *process;
}

}  // namespace coppice::runtime
