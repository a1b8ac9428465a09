// SPDX-License-Identifier: Apache-2.0
//
// Calls. The caller publishes an edge (caller -> callee), looks whether it closes a cycle, pushes the envelope and waits
// for signals. The envelope comes back as a `reply` signal, with its reply or with a failure: a dying server bounces what
// is in its mailbox, a dropped From bounces its own, and a server that defers a reply promises, by a CallWatch in its
// list, to tell the caller of its own death. So no monitor is needed.
//
// Deadlocks. `Sight::callee` of a blocked process names the server it waits for. The edge is cleared by whoever answers,
// before the answer is pushed, so a process that runs again never has one. A caller stores its edge (seq_cst) before it
// walks; of several that close a cycle together at least the last to store sees the whole of it. Whoever sees a cycle
// takes the runtime's mutex, walks again, and if it still stands clears its own edge and fails; the next one, under the
// mutex, finds the cycle open. So exactly one fails.
//
// An idle server is claimed, and then the call may go by hand-off: hand_off.hpp. The edge to it is noted with release only:
// the walks that it must be seen by follow an edge of the server itself. Before the server gets one the caller's edge is
// confirmed (seq_cst), so the argument above holds for all edges that are part of a cycle.
#include <coppice/call.hpp>
#include <coppice/server_name.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <exception>
#include <new>
#include <typeinfo>
#include <utility>

#include "platform/fault.hpp"
#include "runtime/call_wait.hpp"
#include "runtime/core.hpp"
#include "runtime/hand_off.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/plain.hpp"
#include "runtime/wait.hpp"

namespace coppice {

namespace runtime {
namespace {

constexpr SignalTable call_watch_signal{SignalKind::call_watch_down,      0,       nullptr, nullptr,
                                        &detail::destroy_node<CallWatch>, nullptr, nullptr, nullptr};
constexpr SignalTable unwatch_signal{SignalKind::call_unwatch,           0,       nullptr, nullptr,
                                     &detail::destroy_node<UnwatchNode>, nullptr, nullptr, nullptr};

// Tells the server that its promise for this call is void.
void end_watch(Core& core, detail::CallNode& node) noexcept {
  if (node.watch == nullptr) return;
  auto* signal = detail::make_node<UnwatchNode>();
  signal->table = &unwatch_signal;
  signal->target = static_cast<CallWatch*>(std::exchange(node.watch, nullptr));
  if (!push(core, node.callee, signal)) signal->table->destroy(signal);
}

void clear_edge(Core& core, const detail::CallNode& node) noexcept {
  if (node.call_id == 0) return;
  const Process& line = core.table().line(node.caller);
  Sight& sight = core.table().sight(line);
  if (line.serial.load(std::memory_order_acquire) != node.caller.number) return;
  if (sight.call_id.load(std::memory_order_relaxed) != node.call_id) return;
  std::uint64_t callee = node.callee.number;
  sight.callee.compare_exchange_strong(callee, 0, std::memory_order_seq_cst, std::memory_order_relaxed);
}

// The core to which the caller of a node belongs: the acting one as a rule.
struct CoreOfCaller {
  std::shared_ptr<Core> held;
  Core* core = nullptr;
  explicit CoreOfCaller(const detail::CallNode& node) noexcept {
    Worker* here = this_worker();
    if (here != nullptr) core = &here->core();
    if (core == nullptr || core->creation() != node.caller.creation) {
      held = core_of_creation(node.caller.creation);
      core = held.get();
    }
  }
};

// A server that answers by itself takes its promise back by itself, and need not be told to. One that is dying has sent its
// promises out already.
void end_own_watch(const Worker& here, detail::CallNode& node) noexcept {
  const Process* process = here.current();
  if (process == nullptr || process->body->pid != node.callee || process->body->dying) return;
  auto* watch = static_cast<CallWatch*>(std::exchange(node.watch, nullptr));
  base::IntrusiveList<CallWatch, &CallWatch::hook>::remove(*watch);
  watch->table->destroy(watch);
}

void send_back(detail::CallNode* node) noexcept {
  if (Worker* here = this_worker()) {
    if (node->watch != nullptr) end_own_watch(*here, *node);
    if (here->answer_hand_off(node)) return;
  }
  const CoreOfCaller caller(*node);
  node->table = node->reply_table;
  if (caller.core == nullptr) {
    node->table->destroy(node);
    return;
  }
  clear_edge(*caller.core, *node);
  if (!push(*caller.core, node->caller, node)) caller.core->dispose_of_reply(node);
}

// The processes from `first` along their edges back to `me`; empty if the walk ends elsewhere.
std::vector<Pid> cycle_through(Core& core, const Pid& me, const Pid& first) {
  std::vector<Pid> path{me};
  Pid at = first;
  while (path.size() < 1000) {
    path.push_back(at);
    if (at == me) return path;
    const Process& line = core.table().line(at);
    const std::uint64_t next = core.table().sight(line).callee.load(std::memory_order_seq_cst);
    if (next == 0 || line.serial.load(std::memory_order_acquire) != at.number) return {};
    at = core.pid_of(next);
  }
  return {};
}

bool has_edge(Core& core, const Pid& pid) {
  return core.table().sight(core.table().line(pid)).callee.load(std::memory_order_seq_cst) != 0;
}

// Publishes the edge. The reason to fail with, if the call would close a cycle.
std::optional<ExitReason> publish_edge(Core& core, Body& body, const Pid& callee) {
  Sight& sight = core.table().sight(*body.line);
  sight.call_id.store(body.call_id, std::memory_order_relaxed);
  sight.callee.store(callee.number, std::memory_order_seq_cst);
  if (!core.options().detect_deadlocks || !has_edge(core, callee)) return std::nullopt;
  if (cycle_through(core, body.pid, callee).empty()) return std::nullopt;
  const std::lock_guard lock(core.deadlock_mutex);
  const std::vector<Pid> path = cycle_through(core, body.pid, callee);
  if (path.empty()) return std::nullopt;
  sight.callee.store(0, std::memory_order_seq_cst);
  return ExitReason(tuple(Atom("deadlock"), path));
}

// Notes the edge to an idle server that the caller has claimed. It closes no cycle: an idle server has no edge, and gets
// one only in a turn that begins after this. The release suffices for as long as the server makes no call itself: see
// confirm_edge.
void note_edge(Core& core, const Body& body, const Pid& callee) {
  Sight& sight = core.table().sight(*body.line);
  sight.call_id.store(body.call_id, std::memory_order_relaxed);
  sight.callee.store(callee.number, std::memory_order_release);
}

void note_facts(Core& core, const detail::CallTarget& target, const detail::TypeIdentity& request,
                detail::CallOutcome& outcome) {
  outcome.request = &request;
  if (!core.is_local(target.pid)) return;
  const Process& line = core.table().line(target.pid);
  const std::uint32_t queue_length = line.queue_length.load(std::memory_order_relaxed);
  const detail::TypeIdentity* handling = line.handling.load(std::memory_order_relaxed);
  if (line.serial.load(std::memory_order_acquire) != target.pid.number) return;
  outcome.queue_length = queue_length;
  outcome.doing = handling;
}

void end_of_call(Process& process, const detail::CallTarget& target, const detail::TypeIdentity& request,
                 const CallTimes& times, detail::CallOutcome& outcome) {
  Core& core = core_of(process);
  Body& body = *process.body;
  // By hand-off the answer is here, and what had arrived before was taken in.
  if (body.reply != nullptr && !body.reply->failed && body.reply->watch == nullptr) [[likely]] {
    outcome.node = std::exchange(body.reply, nullptr);
    return;
  }
  await_outcome(process, times.deadline, outcome);
  if (outcome.node != nullptr) [[likely]]
    return;
  note_facts(core, target, request, outcome);
  const platform::Nanoseconds now = core.world().now();
  outcome.waited = std::chrono::nanoseconds(now > times.begin ? now - times.begin : 0);
}

detail::CallOutcome call_in_process(Worker& here, const detail::CallTarget& target, detail::CallNode* node,
                                    const detail::TypeIdentity& request, WaitTime timeout) {
  Process& process = *here.current();
  Body& body = *process.body;
  Core& core = *body.core;
  detail::CallOutcome outcome;
  struct NodeOwner {
    detail::CallNode* node;
    ~NodeOwner() {
      if (node != nullptr) node->table->destroy(node);
    }
  } owner{node};
  end_if_it_must_go_on(process);
  if (must_not_wait(process)) {
    outcome.request = &request;
    outcome.cause = body.reason;
    return outcome;
  }
  leave_if_due(process);
  if (timeout.is_negative()) detail::throw_badarg("a timeout must not be negative");
  if (!target.pid) {  // nobody has the name
    outcome.cause = ExitReason::noproc();
    outcome.request = &request;
    return outcome;
  }
  if (!timeout.is_infinite()) prepare_wake_timer(process);  // to arm it must not fail once the call is made
  CallTimes times{timeout};
  if (target.pid == body.pid) {
    outcome.cause = ExitReason(Atom("calling_self"));
    note_facts(core, target, request, outcome);
    return outcome;
  }
  const AwaitedCall awaited(process);
  node->caller = body.pid;
  node->callee = target.pid;
  node->call_id = body.call_id;
  // An inspection is no edge: whoever waits, in a call too, answers it at once.
  const bool is_edge = core.is_local(target.pid) && node->table->kind != SignalKind::inspect;
  if (Process* server = is_edge ? claim_waiting(core, target.pid) : nullptr) {
    wake_from_rest(*server);
    note_edge(core, body, target.pid);
    take_at_once(*server, std::exchange(owner.node, nullptr));
    hand_off_or_schedule(here, process, *server, node, times);
    end_of_call(process, target, request, times, outcome);
    return outcome;
  }
  here.settle_hand_offs();  // whoever has called this process must be found by the search for deadlocks
  times.start(core);
  if (is_edge) {
    if (auto deadlock = publish_edge(core, body, target.pid)) {
      outcome.cause = *deadlock;
      note_facts(core, target, request, outcome);
      return outcome;
    }
  }
  if (const Pushed pushed = try_push_message(core, target.pid, node); pushed != Pushed::delivered) {
    outcome.cause = pushed == Pushed::full ? ExitReason(Atom("full")) : ExitReason::noproc();
    note_facts(core, target, request, outcome);
    return outcome;
  }
  owner.node = nullptr;
  end_of_call(process, target, request, times, outcome);
  return outcome;
}

}  // namespace

detail::CallNode* make_awaited_envelope(Process& caller, const Process& server, detail::PlacedCall& call) {
  Body& body = *caller.body;
  detail::CallNode* node = call.make_envelope(call);
  AwaitedCall::begin(body);
  node->caller = body.pid;
  node->callee = server.body->pid;
  node->call_id = body.call_id;
  note_edge(*body.core, body, node->callee);
  return node;
}

detail::CallOutcome await_envelope(Process& process, const Pid& callee, const detail::PlacedCall& call,
                                   const CallTimes& times) {
  const AwaitedCall awaited(process, AwaitedCall::Begun{});
  detail::CallOutcome outcome;
  end_of_call(process, {.pid = callee}, *call.type, times, outcome);
  return outcome;
}

// -- waiting for an answer ---------------------------------------------------------------------------------------------

AwaitedCall::~AwaitedCall() {
  Body& body = *process_.body;
  body.awaited_call = 0;
  // Whoever answered has cleared the edge, as a rule. We alone set it, so a zero that we read is no old one.
  Sight& sight = body.core->table().sight(process_);
  if (sight.callee.load(std::memory_order_relaxed) != 0) sight.callee.store(0, std::memory_order_seq_cst);
  if (body.reply != nullptr) body.core->dispose_of_reply(std::exchange(body.reply, nullptr));
}

namespace {

// Nothing yet: false. Else the outcome is set.
bool take_outcome(Core& core, Process& process, detail::CallOutcome& outcome) {
  Body& body = *process.body;
  if (body.reply != nullptr) {
    detail::CallNode* node = std::exchange(body.reply, nullptr);
    end_watch(core, *node);
    if (!node->failed) {
      outcome.node = node;
      return true;
    }
    outcome.cause = node->failure;
    node->table->destroy(node);
    return true;
  }
  if (body.call_failed) {
    outcome.cause = body.call_failure;
    return true;
  }
  return false;
}

}  // namespace

void await_outcome(Process& process, platform::Nanoseconds deadline, detail::CallOutcome& outcome) {
  Core& core = core_of(process);
  take_in(process);
  bool in_time = true;
  while (!take_outcome(core, process, outcome)) {
    if (!in_time) {
      outcome.cause = must_not_wait(process) ? process.body->reason : ExitReason::timeout();
      return;
    }
    in_time = wait_once(process, WaitFor::signals, deadline);
    if (!in_time) take_in(process);  // GS-043: a last look
  }
}

void CallTimes::start(Core& core) {
  begin = core.world().now();
  const auto length = static_cast<platform::Nanoseconds>(timeout.nanoseconds());
  deadline = timeout.is_infinite() ? platform::never : length == 0 ? passed : begin + length;
}

void confirm_edge(Process& caller, std::uint64_t callee) noexcept {
  std::atomic<std::uint64_t>& edge = core_of(caller).table().sight(caller).callee;
  edge.compare_exchange_strong(callee, callee, std::memory_order_seq_cst, std::memory_order_relaxed);
}

void Core::end_call_watch(detail::CallNode& node) noexcept { end_watch(*this, node); }

void Core::dispose_of_reply(detail::CallNode* node) noexcept {
  end_watch(*this, *node);
  node->table->destroy(node);
}

}  // namespace runtime

inline namespace v1 {
namespace detail {

void send_reply(CallNode* node) noexcept { runtime::send_back(node); }

void send_failure(CallNode* node, const ExitReason& why) noexcept {
  node->failed = true;
  node->failure = why;
  runtime::send_back(node);
}

void release_call(const CallNode* node) noexcept {
  const runtime::CoreOfCaller caller(*node);
  if (caller.core != nullptr) runtime::clear_edge(*caller.core, *node);
}

Reference start_request(const Pid& server, CallNode* node) {
  runtime::Process& process = runtime::require_process("send_request");
  runtime::Body& body = *process.body;
  runtime::Core& core = *body.core;
  const std::uint64_t id = core.new_reference_id();
  node->caller = body.pid;
  node->callee = server;
  node->request = Reference::from_id(id, body.pid.creation);
  const Reference reference = node->request;
  body.extension().rarities().requests.insert(id);
  switch (runtime::try_push_message(core, server, node)) {  // GS-076: a failure is told by the response
    case runtime::Pushed::delivered: break;
    case runtime::Pushed::dead: send_failure(node, ExitReason::noproc()); break;
    case runtime::Pushed::full: send_failure(node, ExitReason(Atom("full"))); break;
  }
  return reference;
}

bool abandon_request(const Reference& request) {
  return runtime::require_process("receive_response").body->extension().rarities().requests.erase(request.id()) != 0;
}

void drop_from(CallNode* node) noexcept {
  const runtime::Process* process = runtime::current_process();
  const bool by_server = process != nullptr && process->body->pid == node->callee;
  if (by_server && (process->body->dying || process->body->leaving != runtime::Leave::no)) {
    send_failure(node, process->body->reason);
  } else if (by_server &&
             (process->body->ending || process->body->handled_call == node || std::uncaught_exceptions() > 0)) {
    // Whether the handler ends the server, and with which reason, is not known yet (GS-061).
    node->next = std::exchange(process->body->orphans, node);
  } else {
    send_failure(node, ExitReason(Atom("no_reply")));
  }
}

void watch_call(CallNode* node) {
  runtime::Process& process = runtime::require_process("watch_call");
  auto* watch = make_node<runtime::CallWatch>();
  watch->table = &runtime::call_watch_signal;
  watch->caller = node->caller;
  watch->call_id = node->call_id;
  watch->request = node->request.id();
  process.body->extension().call_watches.push_back(*watch);
  node->watch = watch;
  process.body->handled_call = node;
}

CallOutcome perform_call(const CallTarget& target, CallNode* node, const TypeIdentity& request, WaitTime timeout) {
  runtime::Worker* here = runtime::this_worker();
  if (here != nullptr && here->current() != nullptr) {
    return runtime::call_in_process(*here, target, node, request, timeout);
  }
  CallOutcome outcome;
  bool started = false;
  if (timeout.is_negative()) {
    node->table->destroy(node);
    platform::die("a call was made with a negative timeout by a thread that is no process");
  }
  const auto core = runtime::require_core("call");
  runtime::run_in_proxy("call", [&] {
    started = true;
    // Should the proxy be killed while it waits, this is what the caller gets.
    outcome.cause = ExitReason::shutdown();
    outcome = runtime::call_in_process(*runtime::this_worker(), target, node, request, timeout);
  });
  if (!started) {
    node->table->destroy(node);
    const bool works = core->accepts_processes() && !core->dead_after_fork();
    outcome.cause = works ? ExitReason(Atom("system_limit")) : ExitReason::noproc();
  }
  return outcome;
}

Term CallTarget::shown() const {
  if (!name.empty()) return Term(Atom(name));
  if (binding != nullptr) return binding->term();
  return address.is_nil() ? Term(pid) : address;
}

Term timeout_term(WaitTime timeout) {
  if (timeout.is_infinite()) return Term(Atom("infinity"));
  return Term(timeout.nanoseconds() / 1'000'000);
}

CallFailure CallOutcome::failure(const CallTarget& target) const {
  CallFailure told;
  const Term shown = target.shown();
  told.server = inspect(shown);
  told.pid = target.pid;
  if (request != nullptr) told.request = request->name;
  told.waited = waited;
  told.queue_length = queue_length;
  if (doing != nullptr) told.doing = doing->name;
  return told;
}

void* make_call_exit(const CallTarget& target, Term request, WaitTime timeout, const CallOutcome& outcome) {
  const Term module = Term(Atom(target.module));
  Term arguments = Term::list_of({target.shown(), std::move(request), timeout_term(timeout)});
  Term call = tuple(module, Atom(target.function), std::move(arguments));
  Exit exit(ExitReason(tuple(outcome.cause, std::move(call))), outcome.failure(target));
  return new (abi::__cxa_allocate_exception(sizeof(Exit))) Exit(std::move(exit));
}

void throw_made(void* exit) {
  abi::__cxa_throw(exit, const_cast<std::type_info*>(&typeid(Exit)),
                   [](void* made) { static_cast<Exit*>(made)->~Exit(); });
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
