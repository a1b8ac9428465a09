// SPDX-License-Identifier: Apache-2.0
//
// System requests: calls whose request is a question that runs in the server. Recognised by their behaviour, so that every
// server answers them, whatever its class, also while it is suspended.
#include <coppice/sys.hpp>

#include <coppice/receive.hpp>

#include "otp/server.hpp"
#include "otp/start.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/plain.hpp"
#include "runtime/wait.hpp"

namespace coppice {

namespace otp {
namespace {

struct SystemNode : detail::CallNode {
  std::shared_ptr<detail::SystemQuestion> question;
};

// Thrown by a question that cannot be put to this server.
struct Refused {
  ExitReason reason;
};

constexpr detail::TypeIdentity system_identity{1, &typeid(SystemNode), "system", false};

void answer_system(detail::ServerBody& server, detail::Signal* signal) {
  auto* node = static_cast<SystemNode*>(signal);
  const auto fail = [&](const ExitReason& reason) {
    server.unanswered = nullptr;
    detail::send_failure(node, reason);
  };
  const auto fail_callback = [&](const char* kind, const ExitReason& reason) {
    fail(ExitReason(tuple(Atom("callback_failed"), Atom("sys"), tuple(Atom(kind), reason))));
  };
  server.unanswered = node;  // a question that ends the server leaves it there: the asker gets the server's reason
  try {
    node->question->answer(server);
  } catch (const runtime::LeaveStack&) {
    throw;
  } catch (const Refused& refused) {
    return fail(refused.reason);
  } catch (const Exit& exit) {
    return fail_callback("exit", exit.reason());
  } catch (...) {
    return fail_callback("error", runtime::reason_of_current_exception());
  }
  server.unanswered = nullptr;
  detail::send_reply(node);
}

constexpr detail::SignalTable system_reply_table{detail::SignalKind::reply,         0,       nullptr, nullptr,
                                                 &detail::destroy_node<SystemNode>, nullptr, nullptr, nullptr};
constexpr detail::SignalTable system_table{detail::SignalKind::message,
                                           0,
                                           &system_identity,
                                           &system_behaviour,
                                           &detail::destroy_node<SystemNode>,
                                           &answer_system,
                                           &detail::bounce_call,
                                           [](const void*) { return Term(Atom("system")); }};

struct LoopQuestion final : detail::SystemQuestion {
  std::function<void(ServerLoop&)> function;
  explicit LoopQuestion(std::function<void(ServerLoop&)> f) : function(std::move(f)) {}
  void answer(detail::ServerBody& server) override { function(static_cast<ServerLoop&>(server)); }
};

void ask_loop(const detail::CallTarget& target, std::function<void(ServerLoop&)> function, WaitTime timeout) {
  detail::ask_system(target, std::make_shared<LoopQuestion>(std::move(function)), timeout);
}

}  // namespace

void begin_statistics(ServerLoop& loop) {
  Debug& debug = loop.debug();
  debug.statistics = true;
  debug.counts = {};
  debug.counts.start_time = loop.body().core->world().system_now();
}

namespace {

void drop_if_idle(ServerLoop& loop) {
  if (loop.debug_if_any() != nullptr && loop.debug_if_any()->idle()) loop.drop_debug();
}

sys::ServerStatus status_of(ServerLoop& loop) {
  sys::ServerStatus status;
  const runtime::Body& body = loop.body();
  status.pid = body.pid;
  status.module = loop.table->name;
  if (const runtime::Rarities* rarities = body.rarities_if_any()) {
    for (const auto& [key, value] : rarities->dictionary) status.dictionary.emplace_back(key, value);
  }
  status.status = loop.suspended() ? sys::Status::suspended : sys::Status::running;
  status.parent = body.linked_parent ? body.linked_parent : body.pid;
  if (loop.debug_if_any() != nullptr)
    status.log.assign(loop.debug_if_any()->log.begin(), loop.debug_if_any()->log.end());
  status.state = loop.table->format_state(loop.state);
  return status;
}

// -- stop: GS-087 to GS-091

void stop_in_process(const detail::CallTarget& target, const ExitReason& reason, WaitTime timeout) {
  const auto fail = [&](const ExitReason& cause) {
    Term arguments = Term::list_of({target.shown(), reason.term(), detail::timeout_term(timeout)});
    Term call = tuple(Atom("Elixir.GenServer"), Atom("stop"), std::move(arguments));
    CallFailure facts;
    facts.server = inspect(target.shown());
    facts.pid = target.pid;
    facts.request = "stop";
    throw Exit(ExitReason(tuple(cause, std::move(call))), std::move(facts));
  };
  if (timeout.is_negative()) detail::throw_badarg("stop: the timeout must not be negative");
  if (target.pid == self()) fail(ExitReason(Atom("calling_self")));
  if (!target.pid) fail(ExitReason::noproc());
  const Reference gone = monitor(target.pid);
  auto* node = detail::make_node<SystemNode>();
  node->table = &system_table;
  node->reply_table = &system_reply_table;
  node->caller = self();
  node->question = std::make_shared<LoopQuestion>([reason](ServerLoop& loop) { loop.ask_to_terminate(reason); });
  (void)detail::send(target.pid, node);  // its reply is dropped: nobody awaits it
  ExitReason ended;
  const bool in_time = receive(when([&](const Down& down) { return down.reference == gone; },
                                    [&](const Down& down) {
                                      ended = down.reason;
                                      return true;
                                    }),
                               after(timeout, [] { return false; }));
  if (!in_time) {
    demonitor(gone, {.flush = true});
    fail(ExitReason::timeout());
  }
  if (ended != reason) fail(ended);
}

}  // namespace
}  // namespace otp

inline namespace v1 {
namespace detail {

CallTarget system_target(const ServerName& name, std::string_view function) {
  return {name.whereis(), name.term(), "sys", function};
}
CallTarget system_target(const Pid& pid, std::string_view function) { return {pid, Term(pid), "sys", function}; }

void throw_wrong_server(std::string_view wanted, std::string_view got) {
  throw otp::Refused{ExitReason::badarg("the process runs " + std::string(got) + ", not " + std::string(wanted))};
}

void ask_system(const CallTarget& target, std::shared_ptr<SystemQuestion> question, WaitTime timeout) {
  auto* node = make_node<otp::SystemNode>();
  node->table = &otp::system_table;
  node->reply_table = &otp::system_reply_table;
  node->question = std::move(question);
  CallOutcome outcome = perform_call(target, node, otp::system_identity, timeout);
  if (outcome.node != nullptr) {
    outcome.node->table->destroy(outcome.node);
    return;
  }
  Term call = tuple(Atom("sys"), Atom(target.function), Term::list_of({target.shown()}));
  throw Exit(ExitReason(tuple(outcome.cause, std::move(call))), outcome.failure(target));
}

void stop_server(const CallTarget& target, const ExitReason& reason, WaitTime timeout) {
  if (runtime::current_process() != nullptr) return otp::stop_in_process(target, reason, timeout);
  std::exception_ptr failure;
  const bool ran = runtime::run_in_proxy("stop", [&] {
    try {
      otp::stop_in_process(target, reason, timeout);
    } catch (const Exit&) {
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  if (!ran) throw Exit(ExitReason::shutdown());
}

std::optional<Response> take_response(const Reference& request, WaitTime timeout) {
  std::optional<Response> taken;
  receive(when([&](const Response& response) { return response.request() == request; },
               [&](Response response) { taken.emplace(std::move(response)); }),
          after(timeout, [] {}));
  return taken;
}

}  // namespace detail

namespace sys {
namespace {

template <class Address>
Term state_term(const Address& server, WaitTime timeout) {
  auto term = std::make_shared<Term>();
  const auto read = [term](otp::ServerLoop& loop) { *term = loop.table->format_state(loop.state); };
  otp::ask_loop(detail::system_target(server, "get_state"), read, timeout);
  return *term;
}
template <class Address>
ServerStatus status(const Address& server, WaitTime timeout) {
  auto result = std::make_shared<ServerStatus>();
  const auto read = [result](otp::ServerLoop& loop) { *result = otp::status_of(loop); };
  otp::ask_loop(detail::system_target(server, "get_status"), read, timeout);
  return std::move(*result);
}
template <class Address>
void hold(const Address& server, bool on, WaitTime timeout) {
  otp::ask_loop(
      detail::system_target(server, on ? "suspend" : "resume"), [on](otp::ServerLoop& loop) { loop.suspend(on); },
      timeout);
}

}  // namespace

Term get_state_term(const ServerName& server, WaitTime timeout) { return state_term(server, timeout); }
Term get_state_term(const Pid& server, WaitTime timeout) { return state_term(server, timeout); }
ServerStatus get_status(const ServerName& server, WaitTime timeout) { return status(server, timeout); }
ServerStatus get_status(const Pid& server, WaitTime timeout) { return status(server, timeout); }
void suspend(const ServerName& server, WaitTime timeout) { hold(server, true, timeout); }
void suspend(const Pid& server, WaitTime timeout) { hold(server, true, timeout); }
void resume(const ServerName& server, WaitTime timeout) { hold(server, false, timeout); }
void resume(const Pid& server, WaitTime timeout) { hold(server, false, timeout); }

void statistics(const Pid& server, bool on, WaitTime timeout) {
  const auto change = [on](otp::ServerLoop& loop) {
    if (on) return otp::begin_statistics(loop);
    if (loop.debug_if_any() != nullptr) loop.debug().statistics = false;
    otp::drop_if_idle(loop);
  };
  otp::ask_loop(detail::system_target(server, "statistics"), change, timeout);
}

std::optional<Statistics> get_statistics(const Pid& server, WaitTime timeout) {
  auto result = std::make_shared<std::optional<Statistics>>();
  const auto read = [result](otp::ServerLoop& loop) {
    const otp::Debug* debug = loop.debug_if_any();
    if (debug == nullptr || !debug->statistics) return;
    *result = debug->counts;
    (*result)->current_time = loop.body().core->world().system_now();
    (*result)->reductions = loop.body().reductions;
  };
  otp::ask_loop(detail::system_target(server, "statistics"), read, timeout);
  return *result;
}

void trace(const Pid& server, bool on, WaitTime timeout) {
  const auto change = [on](otp::ServerLoop& loop) {
    if (on || loop.debug_if_any() != nullptr) loop.debug().trace = on;
    otp::drop_if_idle(loop);
  };
  otp::ask_loop(detail::system_target(server, "trace"), change, timeout);
}

void log(const Pid& server, std::size_t size, WaitTime timeout) {
  const auto change = [size](otp::ServerLoop& loop) {
    if (size != 0 || loop.debug_if_any() != nullptr) loop.debug().log_size = size;
    if (size == 0 && loop.debug_if_any() != nullptr) loop.debug().log.clear();
    otp::drop_if_idle(loop);
  };
  otp::ask_loop(detail::system_target(server, "log"), change, timeout);
}

std::vector<Event> get_log(const Pid& server, WaitTime timeout) {
  auto result = std::make_shared<std::vector<Event>>();
  const auto read = [result](otp::ServerLoop& loop) {
    if (const otp::Debug* debug = loop.debug_if_any()) result->assign(debug->log.begin(), debug->log.end());
  };
  otp::ask_loop(detail::system_target(server, "log"), read, timeout);
  return std::move(*result);
}

void install(const Pid& server, const Term& id, DebugFunction function, WaitTime timeout) {
  const auto add = [id, function = std::move(function)](otp::ServerLoop& loop) {
    auto& functions = loop.debug().functions;
    std::erase_if(functions, [&](const auto& entry) { return entry.first == id; });
    functions.emplace_back(id, function);
  };
  otp::ask_loop(detail::system_target(server, "install"), add, timeout);
}

void remove(const Pid& server, const Term& id, WaitTime timeout) {
  const auto drop = [id](otp::ServerLoop& loop) {
    if (loop.debug_if_any() == nullptr) return;
    std::erase_if(loop.debug().functions, [&](const auto& entry) { return entry.first == id; });
    otp::drop_if_idle(loop);
  };
  otp::ask_loop(detail::system_target(server, "remove"), drop, timeout);
}

void no_debug(const Pid& server, WaitTime timeout) {
  otp::ask_loop(
      detail::system_target(server, "no_debug"), [](otp::ServerLoop& loop) { loop.drop_debug(); }, timeout);
}

void terminate(const Pid& server, const ExitReason& reason, WaitTime timeout) {
  otp::ask_loop(
      detail::system_target(server, "terminate"), [reason](otp::ServerLoop& loop) { loop.ask_to_terminate(reason); },
      timeout);
}

}  // namespace sys
}  // namespace v1
}  // namespace coppice
