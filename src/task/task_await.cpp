// SPDX-License-Identifier: Apache-2.0
//
// The owner's side of a task: waiting for its value, asking for it, ending it, giving it up.
//
// A reply comes through the alias that the monitor's reference is; a Down through the monitor. Whoever takes one of the
// two ends the monitor, and with it the alias: nothing of the task arrives afterwards (TK-011, TK-013). Only if the
// monitor had fired already is the mailbox searched for its Down. An owner that waits for a task which has not begun may be
// given the value by hand (tie.hpp): then monitor, alias and Down are gone already.
#include <coppice/task.hpp>

#include <unordered_map>

#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/relations.hpp"
#include "runtime/tie.hpp"
#include "runtime/wait.hpp"
#include "runtime/worker.hpp"
#include "task/task_decision.hpp"

namespace coppice {
namespace otp {
namespace {

using detail::Signal;
using detail::TaskAnswer;
using detail::TaskData;
using detail::TaskSlot;
using detail::TypeIdentity;
using runtime::Process;

// The first base of every TaskResult<T>.
const Reference& reference_of_result(const void* payload) {
  return static_cast<const detail::TaskEnd*>(payload)->reference;
}
bool is_result_of(const void* reference, const void* payload) {
  return reference_of_result(payload) == *static_cast<const Reference*>(reference);
}
bool is_down_of(const void* reference, const void* payload) {
  return static_cast<const Down*>(payload)->reference == *static_cast<const Reference*>(reference);
}

// TK-024, before anything else.
Process& require_owner(const TaskData& task, const char* function) {
  Process& process = runtime::require_process(function);
  if (task.owner != process.body->pid) {
    const std::string text = "task " + inspect(detail::task_term(task)) +
                             " must be queried from the owner but was queried from " + inspect(process.body->pid);
    detail::throw_badarg(text.c_str());
  }
  return process;
}

Signal* take_now(const detail::Pattern& pattern) {
  return detail::receive_match(&pattern, 1, std::chrono::seconds(0)).message;
}

void drop(Signal* message) {
  if (message != nullptr) message->table->destroy(message);
}

// Nothing of the monitor is left afterwards: no alias, no Down. If the monitor is not active any more its Down was taken
// in: it stands in the local queue, unless it was received.
void end_watch(Process& process, const Reference& reference) {
  if (runtime::end_monitor(process, reference.id()) || process.queue == nullptr) return;
  Signal* previous = process.queue;
  do {
    Signal* message = previous->next;
    if (same_type(message->table->type, &detail::type_identity<Down>) &&
        is_down_of(&reference, detail::payload_of(message))) {
      runtime::unlink(process, previous, message);
      drop(message);
      return;
    }
    previous = message;
  } while (previous != process.queue);
}

// Reads what was received for one task, and ends its watch.
TaskAnswer answer_of(Process& process, const Reference& reference, const detail::Match& match,
                     std::size_t down_pattern) {
  TaskAnswer answer;
  if (match.pattern == down_pattern) {
    answer.exit = static_cast<Down*>(detail::payload_of(match.message))->reason;
    match.message->table->destroy(match.message);
  } else {
    answer.reply = match.message;
    end_watch(process, reference);
  }
  return answer;
}

// While this lives the value of the task may be given to its owner by hand.
class Awaiting {
 public:
  Awaiting(Process& process, const TaskData& task, const TypeIdentity& result) noexcept
      : end{task.reference.id(), &result}, body_(*process.body) {
    body_.awaited_end = &end;
  }
  ~Awaiting() {
    body_.awaited_end = nullptr;
    drop(end.value);
  }
  Awaiting(const Awaiting&) = delete;
  Awaiting& operator=(const Awaiting&) = delete;

  runtime::AwaitedEnd end;

 private:
  runtime::Body& body_;
};

// For a task that had not begun until now: nothing of it stands before `previous`, the newest message of that moment, so
// the search begins behind it, however many messages wait for their turn. Else this is detail::receive_match. No message,
// and `awaited.value`: that was given by hand, and nothing of the task is left.
detail::Match receive_of_new(Process& process, const detail::Pattern (&patterns)[2], runtime::AwaitedEnd& awaited,
                             Signal* previous, WaitTime timeout) {
  const platform::Nanoseconds deadline = runtime::deadline_of(process, timeout);
  for (bool in_time = true;;) {
    if ((process.flags.load(std::memory_order_relaxed) & runtime::flag::bounded) != 0) previous = nullptr;
    while (process.queue != nullptr && previous != process.queue) {
      Signal* before = previous == nullptr ? process.queue : previous;
      Signal* message = before->next;
      for (std::size_t i = 0; i < 2; ++i) {
        if (!same_type(patterns[i].type, message->table->type)) continue;
        if (!patterns[i].accepts(patterns[i].handler, detail::payload_of(message))) continue;
        runtime::unlink(process, before, message);
        ++process.body->reductions;
        return {message, i};
      }
      previous = message;
    }
    if (!in_time) return {};
    awaited.newest = previous;
    in_time = runtime::wait_once(process, runtime::WaitFor::messages, deadline);
    if (!in_time && !runtime::must_not_wait(process)) runtime::take_in(process);
    if (awaited.value != nullptr) {
      ++process.body->reductions;
      return {};
    }
  }
}

TaskAnswer wait_for(Process& process, const TaskData& task, const TypeIdentity& result, WaitTime timeout) {
  const detail::Pattern patterns[] = {{&result, is_result_of, &task.reference},
                                      {&detail::type_identity<Down>, is_down_of, &task.reference}};
  if (timeout.nanoseconds() != 0) runtime::end_if_it_must_go_on(process);
  Signal* newest = process.queue;
  detail::Match match;
  if (timeout.nanoseconds() > 0 && runtime::this_worker()->run_task_next(task.pid)) {
    Awaiting awaiting(process, task, result);
    match = receive_of_new(process, patterns, awaiting.end, newest, timeout);
    if (awaiting.end.value != nullptr) return {std::exchange(awaiting.end.value, nullptr)};
  } else {
    match = detail::receive_match(patterns, 2, timeout);
  }
  if (match.message == nullptr) return {};
  return answer_of(process, task.reference, match, 1);
}

[[noreturn]] void fail_await(const ExitReason& reason, const char* function, Term awaited, WaitTime timeout) {
  throw Exit(ExitReason(tuple(reason, tuple(Atom("Elixir.Task"), Atom(function),
                                            Term::list_of({std::move(awaited), detail::timeout_term(timeout)})))));
}

// -- several tasks --------------------------------------------------------------------------------------------------

// Takes answers for many tasks as they come. Which task a message belongs to is looked up by its reference.
class Collector {
 public:
  Collector(Process& process, TaskSlot* slots, std::size_t count) : process_(process), slots_(slots) {
    places_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      places_.emplace(slots[i].task->reference, i);
      bool known = false;
      for (const detail::Pattern& pattern : patterns_) known = known || pattern.type == slots[i].result;
      if (!known) patterns_.push_back({slots[i].result, is_result, this});
    }
    patterns_.push_back({&detail::type_identity<Down>, is_down, this});
  }

  // The slot that was answered; null if the time is over.
  TaskSlot* next(WaitTime timeout) {
    const detail::Match match = detail::receive_match(patterns_.data(), patterns_.size(), timeout);
    if (match.message == nullptr) return nullptr;
    const bool is_death = match.pattern + 1 == patterns_.size();
    const void* payload = detail::payload_of(match.message);
    const auto found =
        places_.find(is_death ? static_cast<const Down*>(payload)->reference : reference_of_result(payload));
    TaskSlot& slot = slots_[found->second];
    places_.erase(found);
    slot.answer = answer_of(process_, slot.task->reference, match, patterns_.size() - 1);
    return &slot;
  }
  // Gives up all that have not answered.
  void end_watches() {
    for (const auto& [reference, index] : places_) end_watch(process_, reference);
  }

 private:
  static bool is_result(const void* self, const void* payload) {
    return static_cast<const Collector*>(self)->places_.contains(reference_of_result(payload));
  }
  static bool is_down(const void* self, const void* payload) {
    return static_cast<const Collector*>(self)->places_.contains(static_cast<const Down*>(payload)->reference);
  }

  Process& process_;
  TaskSlot* slots_;
  std::unordered_map<Reference, std::size_t> places_;
  std::vector<detail::Pattern> patterns_;
};

// Replies that nobody will take, if the wait is left by an exception.
struct SlotGuard {
  TaskSlot* slots;
  std::size_t count;
  ~SlotGuard() {
    for (std::size_t i = 0; i < count; ++i) drop(std::exchange(slots[i].answer.reply, nullptr));
  }
};

Term tasks_term(const TaskSlot* slots, std::size_t count) {
  std::vector<Term> tasks;
  for (std::size_t i = 0; i < count; ++i) tasks.push_back(detail::task_term(*slots[i].task));
  return Term::list_of(tasks);
}

WaitTime left_until(platform::Nanoseconds deadline, Process& process) {
  if (deadline == platform::never) return infinity;
  const platform::Nanoseconds now = runtime::core_of(process).world().now();
  return std::chrono::nanoseconds(deadline > now ? static_cast<std::int64_t>(deadline - now) : 0);
}

Process& require_owner_of_all(const TaskSlot* slots, std::size_t count, const char* function) {
  Process& process = runtime::require_process(function);
  for (std::size_t i = 0; i < count; ++i) require_owner(*slots[i].task, function);
  return process;
}

}  // namespace
}  // namespace otp

inline namespace v1 {
namespace detail {

Signal* await_task(const TaskData& task, const TypeIdentity& result, WaitTime timeout) {
  runtime::Process& process = otp::require_owner(task, "await");
  otp::TaskAnswer answer = otp::wait_for(process, task, result, timeout);
  if (answer.reply != nullptr) return answer.reply;
  if (runtime::must_not_wait(process)) leave_endless_receive();
  if (answer.exit) otp::fail_await(*answer.exit, "await", task_term(task), timeout);
  otp::end_watch(process, task.reference);
  otp::fail_await(ExitReason::timeout(), "await", task_term(task), timeout);
}

TaskAnswer yield_task(const TaskData& task, const TypeIdentity& result, WaitTime timeout) {
  return otp::wait_for(otp::require_owner(task, "yield"), task, result, timeout);
}

// The end is watched by a monitor of its own, because the task's may have been used up (TK-048).
TaskAnswer shutdown_task(const TaskData& task, const TypeIdentity& result, const Shutdown& how) {
  runtime::Process& process = otp::require_owner(task, "shutdown");
  if (!task.pid) return ignore_task(task, result);
  const platform::Nanoseconds deadline =
      how.is_brutal_kill() ? platform::never : runtime::deadline_of(process, how.time());
  const auto form = how.is_brutal_kill() ? otp::TaskEnding::killed : otp::TaskEnding::asked;
  const Reference gone = monitor(task.pid);
  // Nothing between the two lets a kill of the caller take effect (TK-050).
  runtime::unlink_from(process, task.pid);
  runtime::exit_from(*process.body->core, process.body->pid, task.pid,
                     how.is_brutal_kill() ? ExitReason::kill() : ExitReason::shutdown());
  const Pattern pattern{&type_identity<Down>, otp::is_down_of, &gone};
  Match match = receive_match(&pattern, 1, otp::left_until(deadline, process));
  if (match.message == nullptr) {
    coppice::exit(task.pid, ExitReason::kill());
    match = receive_match(&pattern, 1, infinity);
    if (match.message == nullptr) return {};  // the caller is leaving and cannot wait
  }
  ExitReason reason = static_cast<Down*>(payload_of(match.message))->reason;
  match.message->table->destroy(match.message);
  TaskAnswer answer;
  if (Signal* down = otp::take_now({&type_identity<Down>, otp::is_down_of, &task.reference})) {
    reason = static_cast<Down*>(payload_of(down))->reason;  // of one that had ended before (TK-046)
    down->table->destroy(down);
  }
  runtime::end_monitor(process, task.reference.id());
  answer.reply = otp::take_now({&result, otp::is_result_of, &task.reference});
  if (answer.reply == nullptr && !otp::ended_by_us(form, reason)) answer.exit = reason;
  return answer;
}

TaskAnswer ignore_task(const TaskData& task, const TypeIdentity& result) {
  runtime::Process& process = otp::require_owner(task, "ignore");
  TaskAnswer answer = otp::wait_for(process, task, result, std::chrono::seconds(0));
  if (answer.exit) return answer;
  if (task.pid) runtime::unlink_from(process, task.pid);
  otp::end_watch(process, task.reference);
  return answer;
}

void await_tasks(TaskSlot* slots, std::size_t count, WaitTime timeout) {
  runtime::Process& process = otp::require_owner_of_all(slots, count, "await_many");
  const platform::Nanoseconds deadline = runtime::deadline_of(process, timeout);
  if (deadline != runtime::passed) runtime::end_if_it_must_go_on(process);
  otp::Collector collector(process, slots, count);
  otp::SlotGuard guard{slots, count};
  for (std::size_t answered = 0; answered < count; ++answered) {
    const TaskSlot* slot = collector.next(otp::left_until(deadline, process));
    if (slot != nullptr && slot->answer.reply != nullptr) continue;
    if (runtime::must_not_wait(process)) leave_endless_receive();
    const ExitReason reason = slot == nullptr ? ExitReason::timeout() : *slot->answer.exit;
    collector.end_watches();
    otp::fail_await(reason, "await_many", otp::tasks_term(slots, count), timeout);
  }
  guard.count = 0;
}

void yield_tasks(TaskSlot* slots, std::size_t count, const YieldManyOptions& options) {
  runtime::Process& process = otp::require_owner_of_all(slots, count, "yield_many");
  const platform::Nanoseconds deadline = runtime::deadline_of(process, options.timeout);
  if (deadline != runtime::passed) runtime::end_if_it_must_go_on(process);
  const std::size_t wanted = otp::answers_wanted(count, options.limit);
  otp::SlotGuard guard{slots, count};
  bool in_time = true;
  {
    otp::Collector collector(process, slots, count);
    for (std::size_t answered = 0; answered < wanted && in_time; ++answered) {
      in_time = collector.next(otp::left_until(deadline, process)) != nullptr;
    }
  }
  if (!in_time && options.on_timeout != OnYieldTimeout::nothing) {  // not if the limit was reached (TK-040)
    for (std::size_t i = 0; i < count; ++i) {
      TaskSlot& slot = slots[i];
      if (slot.answer.reply != nullptr || slot.answer.exit) continue;
      slot.answer = options.on_timeout == OnYieldTimeout::ignore
                        ? ignore_task(*slot.task, *slot.result)
                        : shutdown_task(*slot.task, *slot.result, Shutdown(brutal_kill));
    }
  }
  guard.count = 0;
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
