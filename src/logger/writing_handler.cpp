// SPDX-License-Identifier: Apache-2.0
//
// The queue between those who log and the thread that writes, with OTP's overload protection (LR-010).
//
// Actors: any number of callers (processes on workers, foreign threads), and one writer thread, which is started with the
// first event. Everything they share is guarded by one mutex, which nobody holds while writing, parking or formatting.
//
// A caller: (1) is admitted or not: past the burst limit, or with too many waiting, the event is counted and dropped
// before it is even formatted; at flush_at the queue is emptied first. (2) It formats the event, queues the text, and
// wakes the writer. (3) If sync_at or more wait now, it parks until the writer has come past its event: back-pressure at
// the speed of the output. A caller waits at most sync_wait_max. One whose time is over declares the output stalled, and
// until the writer moves on again nobody waits at all: the queue then fills to drop_at, and callers are never blocked.
//
// The writer: (1) takes the whole queue, (2) writes it in one piece, (3) releases the callers whose events are written.
// With nothing to write it reports losses once (those of a burst when its window is over) and parks.
//
// Counts. `taken` is the number of the newest event queued, `settled` that of the newest one that was written or flushed.
// Events in the writer's hands are neither in the queue nor settled, and count as waiting.
//
// Where nobody may be waited for, the caller writes itself: in a simulation, whose threads are all one; in the child of
// a fork, where the writer thread does not exist; and if the system gives no thread.
#include <coppice/logger_handler.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <new>
#include <system_error>

#include "platform/world.hpp"
#include "runtime/core.hpp"

namespace coppice {
inline namespace v1 {
namespace logger {
namespace {

using platform::Nanoseconds;

Nanoseconds nanoseconds(std::chrono::milliseconds duration) {
  return static_cast<Nanoseconds>(std::chrono::nanoseconds(duration).count());
}

// A caller that waits on its stack: guarded by the handler's mutex.
struct Waiter {
  std::uint64_t number = 0;  // released when this event is settled
  bool for_idle = false;     // released when the writer has nothing left to do
  bool released = false;
  platform::Parker parker;
};

std::atomic<bool> forked_child{false};

bool acts_in_simulation() {
  if (const runtime::Worker* worker = runtime::this_worker()) return worker->core().world().simulated();
  const auto core = runtime::current_core();
  return core != nullptr && core->world().simulated();
}

}  // namespace

struct WritingHandler::State {
  State(std::unique_ptr<Output> made, const Layout& shown, const OverloadProtection& limits);
  ~State();

  bool admit();
  void enqueue(std::string text);
  void write_now(std::string_view text);
  [[nodiscard]] bool start_thread(const std::shared_ptr<State>& self);
  void run();
  void release(bool idle);
  bool wait(Waiter& waiter, Nanoseconds deadline, std::unique_lock<std::mutex>& lock);
  void report_losses(std::unique_lock<std::mutex>& lock);
  bool write_whole(std::string_view text);
  [[nodiscard]] Nanoseconds report_time() const;
  void reset_after_fork();

  const std::unique_ptr<Output> output;
  Layout layout;
  const OverloadProtection protection;
  platform::World& world = platform::threads_world();
  platform::Parker writer;

  std::atomic<bool> reopen_asked{false};
  std::mutex output_mutex;  // held while writing
  std::mutex mutex;         // guards all below
  std::vector<std::string> queue;
  std::uint64_t taken = 0;
  std::uint64_t settled = 0;
  std::size_t dropped_meanwhile = 0;  // since the queue was last empty
  std::vector<Waiter*> waiters;
  Nanoseconds window_begin = 0;
  std::size_t window_count = 0;
  Losses losses;
  Losses reported;
  bool report_due = false;  // there are losses that no line has told yet, and nothing failed since
  bool stalled = false;
  bool stopping = false;
  bool no_thread = false;
  std::unique_ptr<platform::Thread> thread;
};

namespace {

// All queues of the program, so that a fork finds them.
struct Queues {
  std::mutex mutex;
  std::vector<void*> states;
};
Queues& queues() {
  static Queues* const instance = new Queues;
  return *instance;
}

}  // namespace

WritingHandler::State::State(std::unique_ptr<Output> made, const Layout& shown, const OverloadProtection& limits)
    : output(std::move(made)), layout(shown), protection(limits) {
  if (layout.colours == Colours::automatic) {
    layout.colours = output->is_terminal() ? Colours::always : Colours::never;
  }
  static const int once = ::pthread_atfork([] { queues().mutex.lock(); }, [] { queues().mutex.unlock(); },
                                           [] {
                                             forked_child.store(true, std::memory_order_relaxed);
                                             for (void* state : queues().states) {
                                               static_cast<State*>(state)->reset_after_fork();
                                             }
                                             queues().mutex.unlock();
                                           });
  static_cast<void>(once);
  const std::lock_guard lock(queues().mutex);
  queues().states.push_back(this);
}

WritingHandler::State::~State() {
  const std::lock_guard lock(queues().mutex);
  std::erase(queues().states, static_cast<void*>(this));
}

// The child has one thread, the one that forked. Another may have been in the middle of anything here: its locks and its
// half-changed queue are replaced, not touched. What was queued is the parent's to write.
void WritingHandler::State::reset_after_fork() {
  ::new (&output_mutex) std::mutex;
  ::new (&mutex) std::mutex;
  ::new (&queue) std::vector<std::string>;
  ::new (&waiters) std::vector<Waiter*>;
  if (thread != nullptr) thread.release();  // NOLINT(bugprone-unused-return-value): there is no such thread here
  taken = settled = 0;
}

// -- callers ------------------------------------------------------------------------------------------------------------

// Whether the event may be queued; if not it is counted.
bool WritingHandler::State::admit() {
  const Nanoseconds now = world.now();
  const std::lock_guard lock(mutex);
  if (protection.burst_limit) {
    if (now - window_begin >= nanoseconds(protection.burst_window)) {
      window_begin = now;
      window_count = 0;
    }
    if (window_count == protection.burst_max) {
      ++losses.burst;
      if (!std::exchange(report_due, true)) world.unpark(writer);
      return false;
    }
    ++window_count;
  }
  const std::uint64_t waiting = taken - settled;
  if (waiting + dropped_meanwhile >= protection.flush_at) {
    losses.flushed += queue.size();
    settled += queue.size();
    queue.clear();
    dropped_meanwhile = 0;
    report_due = true;
    release(false);
  } else if (waiting >= protection.drop_at) {
    ++losses.dropped;
    ++dropped_meanwhile;
    report_due = true;
    return false;
  }
  return true;
}

// Parks the caller until its waiter is released or the deadline has passed.
bool WritingHandler::State::wait(Waiter& waiter, Nanoseconds deadline, std::unique_lock<std::mutex>& lock) {
  waiters.push_back(&waiter);
  bool in_time = true;
  while (!waiter.released && in_time) {
    lock.unlock();
    in_time = world.park(waiter.parker, deadline);
    lock.lock();
  }
  std::erase(waiters, &waiter);
  return waiter.released;
}

void WritingHandler::State::enqueue(std::string text) {
  std::unique_lock lock(mutex);
  queue.push_back(std::move(text));
  Waiter waiter;
  waiter.number = ++taken;
  world.unpark(writer);
  if (stalled || taken - settled < protection.sync_at) return;
  if (!wait(waiter, world.now() + nanoseconds(protection.sync_wait_max), lock)) stalled = true;
}

void WritingHandler::State::write_now(std::string_view text) {
  const bool written = write_whole(text);
  const std::lock_guard lock(mutex);
  if (!written) ++losses.failed;
}

bool WritingHandler::State::write_whole(std::string_view text) {
  const std::lock_guard lock(output_mutex);
  if (reopen_asked.exchange(false, std::memory_order_relaxed)) output->reopen();
  return output->write(text);
}

// At the first event; false if the system gives no thread.
bool WritingHandler::State::start_thread(const std::shared_ptr<State>& self) {
  const std::lock_guard lock(mutex);
  if (thread != nullptr || no_thread) return thread != nullptr;
  try {
    thread = world.start_thread("coppice.logger", [self] { self->run(); });
  } catch (const std::system_error&) {
    no_thread = true;
  }
  return !no_thread;
}

// -- the writer -----------------------------------------------------------------------------------------------------------

// The mutex is held.
void WritingHandler::State::release(bool idle) {
  for (Waiter* waiter : waiters) {
    if (waiter->released || waiter->number > settled || (waiter->for_idle && !idle)) continue;
    waiter->released = true;
    world.unpark(waiter->parker);
  }
}

// When the losses are to be told: a burst's when its window is over, others at once; `never` if there are none.
Nanoseconds WritingHandler::State::report_time() const {
  if (!report_due) return platform::never;
  const bool only_burst = losses.burst != reported.burst && losses.dropped == reported.dropped &&
                          losses.flushed == reported.flushed && losses.failed == reported.failed;
  const bool is_awaited = std::ranges::any_of(waiters, [](const Waiter* waiter) { return waiter->for_idle; });
  return only_burst && !stopping && !is_awaited ? window_begin + nanoseconds(protection.burst_window) : 0;
}

void WritingHandler::State::report_losses(std::unique_lock<std::mutex>& lock) {
  const Losses now = losses;
  report_due = false;
  Event event;
  event.level = Level::warning;
  event.metadata = {
      {"time"_atom,
       std::chrono::duration_cast<std::chrono::microseconds>(world.system_now().time_since_epoch()).count()}};
  event.text = "The log handler has lost " + std::to_string(now.total() - reported.total()) +
               " events: " + std::to_string(now.dropped - reported.dropped) + " dropped, " +
               std::to_string(now.flushed - reported.flushed) + " flushed, " +
               std::to_string(now.burst - reported.burst) + " in bursts, " +
               std::to_string(now.failed - reported.failed) + " not written";
  lock.unlock();
  const bool written = write_whole(format_event(event, layout));
  lock.lock();
  if (written) reported = now;
}

void WritingHandler::State::run() {
  std::vector<std::string> batch;
  std::string whole;
  std::unique_lock lock(mutex);
  for (;;) {
    if (queue.empty()) {
      dropped_meanwhile = 0;
      const Nanoseconds due = report_time();
      if (due <= world.now()) {
        report_losses(lock);
        continue;
      }
      release(true);
      if (stopping) return;
      lock.unlock();
      world.park(writer, due);
      lock.lock();
      continue;
    }
    batch.swap(queue);
    const std::uint64_t count = batch.size();
    lock.unlock();
    whole.clear();
    for (const std::string& text : batch) whole += text;
    batch.clear();
    const bool written = write_whole(whole);
    lock.lock();
    settled += count;
    if (!written) losses.failed += count;
    report_due = written && losses.total() != reported.total();
    stalled = false;
    release(false);
  }
}

// -- the handler ----------------------------------------------------------------------------------------------------------

WritingHandler::WritingHandler(std::unique_ptr<Output> output, const Layout& layout,
                               const OverloadProtection& protection)
    : state_(std::make_shared<State>(std::move(output), layout, protection)) {}

// A writer that does not come back from its output keeps the state and is left behind.
WritingHandler::~WritingHandler() {
  const bool idle = flush(std::chrono::milliseconds(1000));
  std::unique_ptr<platform::Thread> thread;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    thread = std::move(state_->thread);
    state_->world.unpark(state_->writer);
  }
  if (thread == nullptr) return;
  if (idle) {
    thread->join();
  } else {
    thread->detach();
  }
}

void WritingHandler::log(const Event& event) {
  State& state = *state_;
  if (forked_child.load(std::memory_order_relaxed) || acts_in_simulation()) {
    state.write_now(format_event(event, state.layout));
    return;
  }
  if (!state.admit()) return;
  std::string text = format_event(event, state.layout);
  if (state.start_thread(state_)) {
    state.enqueue(std::move(text));
  } else {
    state.write_now(text);
  }
}

bool WritingHandler::flush(std::chrono::milliseconds patience) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  if (state.thread == nullptr || forked_child.load(std::memory_order_relaxed)) return true;
  Waiter waiter;
  waiter.number = state.taken;
  waiter.for_idle = true;
  state.world.unpark(state.writer);
  return state.wait(waiter, state.world.now() + nanoseconds(patience), lock);
}

void WritingHandler::reopen() { state_->reopen_asked.store(true, std::memory_order_relaxed); }

Losses WritingHandler::losses() const {
  const std::lock_guard lock(state_->mutex);
  return state_->losses;
}

}  // namespace logger
}  // namespace v1
}  // namespace coppice
