// SPDX-License-Identifier: Apache-2.0
#include "runtime/core.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>

#include "platform/fault.hpp"
#include "platform/kept_memory.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/node_pool.hpp"
#include "runtime/watchdog.hpp"

namespace coppice::runtime {
namespace {

std::atomic<std::uint32_t> creations{1};
Reporter the_reporter;

unsigned workers_for(platform::World& world, unsigned asked) {
  const unsigned count = asked == 0 ? world.hardware_threads() : asked;
  return std::clamp(count, 1u, 64u);  // the idle mask is one word
}

// The parts of what a world keeps; null where it keeps nothing.
platform::KeptPages* kept_pages(platform::World& world) noexcept {
  platform::KeptMemory* kept = world.kept_memory();
  return kept == nullptr ? nullptr : &kept->pages;
}
platform::KeptStacks* kept_stacks(platform::World& world) noexcept {
  platform::KeptMemory* kept = world.kept_memory();
  return kept == nullptr ? nullptr : &kept->stacks;
}

}  // namespace

void set_reporter(const Reporter& reporter) noexcept { the_reporter = reporter; }
const Reporter& reporter() noexcept { return the_reporter; }

Core::Core(platform::World& world, const RuntimeOptions& options)
    : world_(world),
      options_(options),
      creation_(creations.fetch_add(1, std::memory_order_relaxed)),
      start_time_(world.now()),
      table_(options.processes_max, workers_for(world, options.schedulers), kept_pages(world)),
      live_(workers_for(world, options.schedulers)),
      names_(creation_),
      stacks_({.default_size = options.stack_size, .stacks_max = options.stacks_max}, kept_stacks(world)),
      watch_(*this) {
  const unsigned count = workers_for(world, options.schedulers);
  for (unsigned i = 0; i < count; ++i) shards_.push_back(std::make_unique<TimerShard>(*this, i, start_time_));
  for (unsigned i = 0; i < count; ++i) workers_.push_back(std::make_unique<Worker>(*this, i));
  blocking_ = std::make_unique<BlockingPool>(*this, options.blocking_threads_max);
  watchdog_ = std::make_unique<Watchdog>(*this);
}

Core::~Core() {
  for (std::size_t kind = annex_kinds; kind-- > 0;) delete annexes_[kind].load(std::memory_order_acquire);
}

Annex& Core::annex(AnnexKind kind, std::unique_ptr<Annex> (*make)(Core&)) {
  std::atomic<Annex*>& place = annexes_[static_cast<std::size_t>(kind)];
  if (Annex* found = place.load(std::memory_order_acquire)) return *found;
  const std::lock_guard lock(annex_mutex_);
  Annex* found = place.load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = make(*this).release();
    place.store(found, std::memory_order_release);
  }
  return *found;
}

// The serial is compared after the flag was set: a pid's number is never used again, so if it still stands there the flag
// was set on that tenant's line.
bool mark_owner(Core& core, const Pid& pid) noexcept {
  if (!core.is_local(pid)) return false;
  Process& line = core.table().line(pid);
  if (line.serial.load(std::memory_order_acquire) != pid.number) return false;
  const std::uint32_t before = line.flags.fetch_or(flag::owns, std::memory_order_seq_cst);
  return (before & flag::closed) == 0 && line.serial.load(std::memory_order_seq_cst) == pid.number;
}

void Core::start_workers() {
  world_.follow_thread_local(&this_worker_slot);
  world_.follow_thread_local(&scope_slot_untyped);
  for (auto& worker : workers_) worker->start();
  watchdog_->start();
}

// -- identity

Pid Core::owner_of_alias(const Reference& alias) const noexcept {
  if (alias.word_count != 4 || alias.creation != creation_) return {};
  return pid_of((std::uint64_t{alias.words[3]} << 32) | alias.words[2]);
}

// -- scheduling

void Core::schedule(Process& process) {
  Worker* here = this_worker();
  schedule(process, here != nullptr && &here->core() == this ? here : nullptr);
}

void Core::schedule(Process& process, Worker* here) {
  const platform::Stack* stack = process.stack;
  if (stack != nullptr && !process.body->migratable) {
    Worker& home = *workers_[stack->home];
    if (here == &home) {
      here->schedule_here(process);
    } else {
      home.schedule_from_outside(process);
    }
    return;
  }
  if (here != nullptr) {
    here->schedule_here(process);
    return;
  }
  spill(process);
}

// Not inlined: else schedule() would save registers for it on its way to the queues of a worker.
[[gnu::noinline]] void Core::spill(Process& process) {
  if (dead_after_fork()) return;  // the queue may be locked for ever, and nobody will come
  overflow_.push(&process);
  watch_.wake_one();
}

void Core::unpark(std::uint32_t worker) { wake_thread(world_, workers_[worker]->parker()); }

void Core::timer_moved_forward(std::uint32_t shard) { watch_.wake(shard); }

// -- reports

void Core::report_high_water_mark(Process& process, std::size_t length) {
  the_reporter.high_water_mark(process, length);
}

void Core::warn(const std::string& text) { the_reporter.warning(text); }

std::string Core::describe(const Pid& pid) {
  std::string text = inspect(pid);
  if (!is_local(pid)) return text;
  const Process& process = table_.line(pid);
  const char* name = table_.sight(process).name.load(std::memory_order_acquire);
  const char* kind = table_.badge(process).kind.load(std::memory_order_acquire);
  if (process.serial.load(std::memory_order_acquire) != pid.number) return text;
  if (name != nullptr) return text + " (" + name + ")";
  if (kind != nullptr) return text + " (" + kind + ")";
  return text;
}

// -- life

void Core::kill_at_once(const Pid& pid) { exit_from(*this, {}, pid, ExitReason::kill()); }

void Core::start(Process& process) {
  Worker* here = this_worker();
  const bool ours = here != nullptr && &here->core() == this;
  if (ours && world_.choose(platform::Choice::placement, 2, 0) == 0) {
    here->schedule_last(process);
    return;
  }
  spill(process);
}

void Core::start_task(Process& process) {
  Worker* here = this_worker();
  const bool ours = here != nullptr && &here->core() == this;
  if (ours && world_.choose(platform::Choice::placement, 2, 0) == 0) {
    here->schedule_task(process);
  } else {
    const Pid pid = process.body->pid;
    head::open(process, pid.number);
    process_started(pid);
    spill(process);
  }
}

// By a process that is about to wait, on one of our workers.
void Core::start_next(Process& process) {
  if (world_.choose(platform::Choice::placement, 2, 0) != 0) return start(process);
  this_worker()->schedule_here(process);
}

// -- stopping

bool Core::wait_for_no_processes(platform::Nanoseconds deadline) {
  while (live_.alive() != 0) {
    if (!world_.park(stop_parker_, deadline) && live_.alive() != 0) return false;
  }
  return true;
}

// Sends `shutdown` to each process that has no living parent and has not had it yet: so a supervisor's children are
// left to their supervisor, and orphans follow once their parents are gone.
void Core::signal_roots(std::vector<Pid>& signalled) {
  std::vector<Pid> fresh;
  for (const std::uint64_t number : table_.numbers()) {
    const Pid pid = pid_of(number);
    if (std::binary_search(signalled.begin(), signalled.end(), pid)) continue;
    const Pid parent = pid_of(table_.badge(table_.line(pid)).parent.load(std::memory_order_acquire));
    const bool parent_lives =
        parent.number != 0 && table_.line(parent).serial.load(std::memory_order_acquire) == parent.number;
    if (!parent_lives) fresh.push_back(pid);
  }
  for (const Pid& pid : fresh) exit_from(*this, {}, pid, ExitReason::shutdown());
  signalled.insert(signalled.end(), fresh.begin(), fresh.end());
  std::sort(signalled.begin(), signalled.end());
}

void Core::kill_all(StopReport& report) {
  killing_.store(true, std::memory_order_seq_cst);
  for (const std::uint64_t number : table_.numbers()) {
    const Pid pid = pid_of(number);
    report.killed.push_back(describe(pid));
    exit_from(*this, {}, pid, ExitReason::kill());
  }
}

// In the child of a fork: nothing is locked, since whoever had a lock at the fork is missing. The pool of those that block
// may have been changing, and is left as it is.
void Core::forget_threads() noexcept {
  for (auto& worker : workers_) worker->forget();
  (void)blocking_.release();
  watchdog_->forget();
}

StopReport Core::stop() {
  if (dead_after_fork()) {
    forget_threads();
    return {};
  }
  const std::lock_guard lock(stop_mutex_);
  if (stopped_) return report_;
  stopped_ = true;
  const auto timeout = static_cast<platform::Nanoseconds>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(options_.shutdown_timeout).count());
  const platform::Nanoseconds begin = world_.now();
  stopping_.store(true, std::memory_order_seq_cst);
  std::vector<Pid> signalled;
  const platform::Nanoseconds patience = begin + timeout / 2;
  while (live_.alive() != 0 && world_.now() < patience) {
    signal_roots(signalled);
    // Every end wakes us; new roots are signalled then.
    if (live_.alive() != 0) world_.park(stop_parker_, patience);
  }
  bool ended = live_.alive() == 0;
  if (!ended) {
    kill_all(report_);
    ended = wait_for_no_processes(begin + timeout);
  }
  report_.clean = report_.killed.empty();
  end_threads(!ended);
  for (std::size_t kind = annex_kinds; ended && kind-- > 0;) {
    if (Annex* annex = annex_if_any(static_cast<AnnexKind>(kind))) annex->runtime_ends();
  }
  return report_;
}

// Workers end between two turns. One that is stuck in user code never comes there: its thread is left behind, and with
// it the memory of the runtime.
void Core::end_threads(bool abandon) {
  watchdog_->stop();
  stop_workers_.store(true, std::memory_order_seq_cst);
  const std::vector<Pid> blocked = blocking_->stop();
  for (const Pid& pid : blocked) report_.abandoned.push_back(describe(pid));
  bool left_behind = !blocked.empty();
  for (auto& worker : workers_) {
    const std::uint64_t number = worker->running_number.load(std::memory_order_acquire);
    world_.unpark(worker->parker());
    if (abandon && number != 0) {
      report_.abandoned.push_back(describe(pid_of(number)));
      worker->detach();
      left_behind = true;
    } else {
      worker->join();
    }
  }
  if (left_behind) {
    static std::mutex kept_mutex;
    static auto* kept = new std::vector<std::shared_ptr<Core>>;  // never freed: a thread may come back to it
    const std::lock_guard lock(kept_mutex);
    kept->push_back(shared_from_this());
  }
  if (!report_.abandoned.empty()) report_.clean = false;
}

// -- which core

namespace {

std::mutex registry_mutex;
std::vector<std::weak_ptr<Core>>& registry() {
  static auto* cores = new std::vector<std::weak_ptr<Core>>;
  return *cores;
}

// Around a fork. What belongs to one runtime is not held: in the child it is left alone.
void hold_what_the_child_needs() {
  registry_mutex.lock();
  hold_node_pool();
}
void let_it_go() {
  let_node_pool_go();
  registry_mutex.unlock();
}

// In the child of a fork only the forking thread is left: no runtime works any more.
void mark_cores_forked() {
  for (auto& weak : registry()) {
    if (auto core = weak.lock()) core->mark_forked();
  }
  let_node_pool_go();
  registry_mutex.unlock();
}

void describe_running(char* buffer, std::size_t size) noexcept {
  buffer[0] = '\0';
  const Worker* worker = this_worker();
  if (worker == nullptr || worker->current() == nullptr) return;
  const Process& process = *worker->current();
  const std::uint64_t number = process.serial.load(std::memory_order_relaxed);
  ProcessTable& table = worker->core().table();
  const char* name = table.sight(process).name.load(std::memory_order_relaxed);
  if (name == nullptr) name = table.badge(process).kind.load(std::memory_order_relaxed);
  const Pid pid{number, 0, 0};
  std::snprintf(buffer, size, "process #PID<0.%llu.%llu>%s%s%s", static_cast<unsigned long long>(pid.slot()),
                static_cast<unsigned long long>(pid.use()), name != nullptr ? " (" : "", name != nullptr ? name : "",
                name != nullptr ? ")" : "");
}

}  // namespace

void register_core(const std::shared_ptr<Core>& core) {
  static const bool once = [] {
    ::pthread_atfork(hold_what_the_child_needs, let_it_go, mark_cores_forked);
    ::signal(SIGPIPE, SIG_IGN);
    platform::set_describe_running(describe_running);
    platform::install_fault_handlers();
    install_reports();
    return true;
  }();
  (void)once;
  const std::lock_guard lock(registry_mutex);
  std::erase_if(registry(), [](const auto& weak) { return weak.expired(); });
  registry().push_back(core);
}

std::shared_ptr<Core> core_of_creation(std::uint32_t creation) noexcept {
  const std::lock_guard lock(registry_mutex);
  for (auto& weak : registry()) {
    if (auto core = weak.lock(); core != nullptr && core->creation() == creation) return core;
  }
  return nullptr;
}

[[gnu::noinline]] void*& scope_slot_untyped() {
  static thread_local constinit void* scope = nullptr;
  void** slot = &scope;
  asm volatile("" : "+r"(slot) : : "memory");
  return *slot;
}

ThreadActsIn::ThreadActsIn(Core& core)
    : core_(core.shared_from_this()), previous_(static_cast<std::shared_ptr<Core>*>(scope_slot_untyped())) {
  scope_slot_untyped() = &core_;
}
ThreadActsIn::~ThreadActsIn() { scope_slot_untyped() = previous_; }

std::shared_ptr<Core> current_core() noexcept {
  if (Worker* worker = this_worker()) return worker->core().shared_from_this();
  if (void* scope = scope_slot_untyped()) return *static_cast<std::shared_ptr<Core>*>(scope);
  const std::lock_guard lock(registry_mutex);
  for (auto& weak : registry()) {
    if (auto core = weak.lock()) return core;
  }
  return nullptr;
}

void die_without_a_process(const char* function) {
  const std::string text = std::string(function) + " was called by a thread that is no process of coppice";
  platform::die(text.c_str());
}

Core& core_of_thread(std::shared_ptr<Core>& held, const char* function) {
  held = require_core(function);
  return *held;
}

std::shared_ptr<Core> require_core(const char* function) {
  auto core = current_core();
  if (core == nullptr) {
    const std::string text = std::string(function) + " was called while there is no Runtime in the program";
    platform::die(text.c_str());
  }
  return core;
}

}  // namespace coppice::runtime
