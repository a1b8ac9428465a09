// SPDX-License-Identifier: Apache-2.0
//
// The untyped half of a state machine: in which order events are handled, and what follows each. Rules SM-031..SM-049.
//
// Where the next event comes from: the queue; then the timeouts of zero, in the order in which they were set; then the
// mailbox, to which we return. What one event leads to, in this order: replies (sent while the handler made its result),
// the enter call, postponing, the postponed events back in front after a change of state, timeouts cancelled, timeouts
// started, inserted events in front of everything.
#include <coppice/state_machine_dispatch.hpp>

#include <algorithm>
#include <iterator>

#include <coppice/process.hpp>
#include <coppice/timer.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

void MachineActions::append_of_enter(MachineActions&& more) {
  std::move(more.timeouts.begin(), more.timeouts.end(), std::back_inserter(timeouts));
}

MachineCore::~MachineCore() { drop_all(); }

void MachineCore::drop_all() noexcept {
  for (const Running& running : timeouts_) {
    if (running.timer) cancel_timer(running.timer, {.async = true, .info = false});
  }
  timeouts_.clear();
  queue_.clear();
  postponed_.clear();
}

void MachineCore::take(ServerBody& body, const MachineTable& table, EventPointer event) {
  handle(body, table, std::move(event));
  drain(body, table);
}

void MachineCore::begin(ServerBody& body, const MachineTable& table, MachineActions actions) {
  MachineOutcome outcome;
  outcome.actions = std::move(actions);
  outcome.enter = true;
  if (settle(body, table, outcome, nullptr)) drain(body, table);
}

void MachineCore::timer_fired(ServerBody& body, const MachineTable& table, const Reference& timer) {
  const auto found =
      std::find_if(timeouts_.begin(), timeouts_.end(), [&](const Running& r) { return r.timer == timer; });
  if (found == timeouts_.end()) return;
  EventPointer event = std::move(found->event);
  timeouts_.erase(found);
  take(body, table, std::move(event));
}

// As long as the machine has not asked to end.
void MachineCore::drain(ServerBody& body, const MachineTable& table) {
  while (body.wish.verdict == Verdict::go_on) {
    EventPointer next;
    if (!queue_.empty()) {
      next = std::move(queue_.front());
      queue_.pop_front();
    } else {
      const auto due = std::find_if(timeouts_.begin(), timeouts_.end(), [](const Running& r) { return !r.timer; });
      if (due == timeouts_.end()) return;
      next = std::move(due->event);
      timeouts_.erase(due);
    }
    checkpoint();  // a machine that feeds itself can be killed all the same
    handle(body, table, std::move(next));
  }
}

void MachineCore::handle(ServerBody& body, const MachineTable& table, EventPointer event) {
  MachineOutcome outcome;
  current_ = event.get();
  event->run(body.state, outcome);
  current_ = nullptr;
  settle(body, table, outcome, std::move(event));
}

// False if the machine is to end.
bool MachineCore::settle(ServerBody& body, const MachineTable& table, MachineOutcome& outcome, EventPointer event) {
  while (outcome.enter && table.enter != nullptr) {
    outcome.enter = false;
    table.enter(body.state, outcome);
  }
  if (outcome.stop) {
    body.wish.verdict = Verdict::stop;
    body.wish.reason = outcome.reason;
    return false;
  }
  if (outcome.actions.postpone) postponed_.push_back(std::move(event));
  if (outcome.changed) {
    queue_.insert(queue_.begin(), std::make_move_iterator(postponed_.begin()),
                  std::make_move_iterator(postponed_.end()));
    postponed_.clear();
    cancel(TimeoutKind::state, {});
  }
  cancel(TimeoutKind::event, {});
  for (TimeoutAction& action : outcome.actions.timeouts) carry_out(std::move(action), table);
  auto& inserted = outcome.actions.inserted;
  queue_.insert(queue_.begin(), std::make_move_iterator(inserted.begin()), std::make_move_iterator(inserted.end()));
  return true;
}

void MachineCore::cancel(TimeoutKind kind, const Term& name) {
  const auto found =
      std::find_if(timeouts_.begin(), timeouts_.end(), [&](const Running& r) { return r.is(kind, name); });
  if (found == timeouts_.end()) return;
  if (found->timer) cancel_timer(found->timer, {.async = true, .info = false});
  timeouts_.erase(found);
}

void MachineCore::carry_out(TimeoutAction action, const MachineTable& table) {
  using Do = TimeoutAction::Do;
  if (action.what == Do::update) {
    for (Running& running : timeouts_) {
      if (running.is(action.kind, action.name)) {
        running.event = std::move(action.event);
        return;
      }
    }
    action.time = std::chrono::nanoseconds(0);  // none is running: due at once (SM-045)
  } else {
    cancel(action.kind, action.name);
    if (action.what == Do::cancel || action.time.is_infinite()) return;
  }
  Running running{action.kind, std::move(action.name), {}, std::move(action.event)};
  if (action.time.nanoseconds() != 0 || action.absolute) {
    running.timer = new_timer_reference();
    start_timer(running.timer, self(), {}, table.timer_message(running.timer), action.time, action.absolute);
  }
  timeouts_.push_back(std::move(running));
}

Term MachineCore::status(Term state, Term data) const {
  const auto terms = [](const auto& events) {
    std::vector<Term> all;
    for (const EventPointer& event : events) all.push_back(event->describe());
    return Term::list_of(std::move(all));
  };
  if (queue_.empty() && postponed_.empty() && timeouts_.empty()) return Term(tuple(std::move(state), std::move(data)));
  std::vector<Term> timed;
  for (const Running& running : timeouts_) timed.push_back(running.event->describe());
  Term more = map({{Atom("queue"), terms(queue_)},
                   {Atom("postponed"), terms(postponed_)},
                   {Atom("timeouts"), Term::list_of(std::move(timed))}});
  return Term(tuple(std::move(state), std::move(data), std::move(more)));
}

void throw_unhandled_event(std::string_view module, std::string_view handler, const Term& content, const Term& state) {
  throw std::runtime_error("no " + std::string(handler) + " of " + std::string(module) + " for " + inspect(content) +
                           " in state " + inspect(state));
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
