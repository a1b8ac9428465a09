// SPDX-License-Identifier: Apache-2.0
//
// Servers and supervisors of scenarios.
#include <algorithm>
#include <chrono>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/partition_supervisor.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/sys.hpp>

#include "against_otp/play.hpp"

namespace against_otp {

using namespace coppice;
using std::chrono::milliseconds;

namespace {

// A server whose callbacks are lines.
class Server : public GenServer<Server> {
 public:
  struct Request {
    using Reply = Term;
    Term value;
  };
  // To a server that keeps the address of its caller.
  struct LateRequest {
    using Reply = Term;
    Term value;
  };
  struct Cast {
    Term value;
  };
  struct Continue {
    Term value;
  };
  using Messages = coppice::Messages<Message>;

  Server(Stage* stage, const Line* block) : stage_(stage), block_(block) {
    stage->watch(block->name(), coppice::self());
  }
  // Copied for sys::get_state only: a copy has no calls to answer.
  Server(const Server& other) : stage_(other.stage_), block_(other.block_), state_(other.state_) {}
  Server& operator=(const Server&) = delete;

  [[nodiscard]] const Term& state() const { return state_; }

  Init init() {
    const Line* lines = nullptr;
    for (const Line& line : block_->body) {
      if (line.word == "init") lines = &line;
    }
    if (lines == nullptr) return ok();
    Player player(*stage_, {{"state", Term()}}, &calls_);
    const std::optional<Verdict> verdict = player.run(lines->body);
    state_ = player.state();
    if (!verdict) return ok();
    if (verdict->kind == Verdict::Kind::ignore) return ignore();
    if (verdict->kind == Verdict::Kind::stop) return stop(verdict->value);
    Init answer = ok();
    if (verdict->timeout) answer = std::move(answer).timeout(*verdict->timeout);
    if (verdict->hibernate) answer = std::move(answer).hibernate();
    if (verdict->then) answer = std::move(answer).then(Continue{*verdict->then});
    return answer;
  }

  Answer<Term> handle_call(const Request& request) {
    const std::optional<Verdict> verdict = handle("call", request.value, nullptr);
    if (verdict && verdict->kind == Verdict::Kind::reply) return with_options(Answer<Term>(verdict->value), *verdict);
    if (verdict && verdict->kind == Verdict::Kind::stop && verdict->reply) {
      return stop(verdict->value, Term(*verdict->reply));
    }
    return action(verdict);
  }
  Action handle_call(const LateRequest& request, From<Term> from) {
    const std::optional<Verdict> verdict = handle("call", request.value, &from);
    if (verdict && verdict->kind == Verdict::Kind::reply) from.reply(verdict->value);
    return action(verdict);
  }
  Action handle_cast(const Cast& cast) { return action(handle("cast", cast.value, nullptr)); }
  Action handle_continue(const Continue& what) { return action(handle("continue", what.value, nullptr)); }
  Action handle_info(const Message& message) { return action(handle("info", message.value, nullptr)); }
  Action handle_info(Timeout) { return action(handle("info", Atom("timeout"), nullptr)); }
  Action handle_info(const ExitMessage& exit) {
    return action(handle("info", tuple(Atom("EXIT"), exit.pid, exit.reason), nullptr));
  }
  Action handle_info(const Down& down) {
    return action(handle("info", tuple(Atom("DOWN"), down.reference, Atom("process"), down.pid, down.reason), nullptr));
  }
  void terminate(const ExitReason& reason) {
    for (const Line& line : block_->body) {
      if (line.word != "terminate") continue;
      (void)Player(*stage_, {{"state", state_}, {"reason", reason.term()}}, &calls_).run(line.body);
    }
  }

 private:
  std::optional<Verdict> handle(const char* callback, const Term& message, From<Term>* from) {
    const Processes processes = stage_->processes();
    for (const Line& line : block_->body) {
      Environment environment{{"state", state_}};
      if (line.word != callback || !match(line.arguments.at(0), message, environment, processes)) continue;
      Player player(*stage_, std::move(environment), &calls_, from);
      std::optional<Verdict> verdict = player.run(line.body);
      state_ = player.state();
      return verdict;
    }
    throw Exit(tuple(Atom("no_clause"), callback));
  }

  template <class A>
  static A with_options(A answer, const Verdict& verdict) {
    if (verdict.timeout) answer = std::move(answer).timeout(*verdict.timeout);
    if (verdict.hibernate) answer = std::move(answer).hibernate();
    if (verdict.then) answer = std::move(answer).then(Continue{*verdict.then});
    return answer;
  }
  static Action action(const std::optional<Verdict>& verdict) {
    if (!verdict) return noreply();
    if (verdict->kind == Verdict::Kind::stop) return stop(verdict->value);
    return with_options(noreply(), *verdict);
  }

  Stage* stage_;
  const Line* block_;
  Term state_;
  KeptCalls calls_;
};

bool keeps_callers(const std::vector<Line>& lines) {
  return std::ranges::any_of(lines,
                             [](const Line& line) { return line.word == "keep_from" || keeps_callers(line.body); });
}

StartOptions options_of(const Line& block) {
  StartOptions options;
  if (const Expression* name = block.option("name")) options.name = std::string(name->literal.as_atom()->text());
  if (const Expression* key = block.option("key")) options.name = name_by_key(key->literal);
  return options;
}

std::int64_t number_of(const Line& block, const char* key, std::int64_t otherwise) {
  const Expression* given = block.option(key);
  return given == nullptr ? otherwise : given->literal.as_int64().value();
}

std::string_view word_of(const Line& block, const char* key) {
  const Expression* given = block.option(key);
  return given == nullptr ? std::string_view() : given->literal.as_atom()->text();
}

// A supervisor that tells the stage who it is, as its init does in the original.
class Tree : public ModuleSupervisor<Tree> {
 public:
  SupervisorInit init(Stage* stage, const Line* block) {
    stage->watch(block->name(), self());
    std::vector<ChildSpec> children;
    for (const Line& line : block->body) children.push_back(against_otp::child_spec(*stage, line, 1));
    SupervisorFlags flags{.max_restarts = number_of(*block, "max_restarts", 3),
                          .max_seconds = number_of(*block, "max_seconds", 5)};
    const std::string_view strategy = word_of(*block, "strategy");
    if (strategy == "one_for_all") flags.strategy = Strategy::one_for_all;
    if (strategy == "rest_for_one") flags.strategy = Strategy::rest_for_one;
    const std::string_view ending = word_of(*block, "auto_shutdown");
    if (ending == "any_significant") flags.auto_shutdown = AutoShutdown::any_significant;
    if (ending == "all_significant") flags.auto_shutdown = AutoShutdown::all_significant;
    return Supervisor::init(std::move(children), flags);
  }
};

ChildOutcome start_dynamic(Stage& stage, const Line& block) {
  DynamicSupervisorOptions options{.name = options_of(block).name,
                                   .max_restarts = number_of(block, "max_restarts", 3),
                                   .max_seconds = number_of(block, "max_seconds", 5)};
  if (block.option("max_children") != nullptr) options.max_children = number_of(block, "max_children", 0);
  const auto result = DynamicSupervisor::start_link(std::move(options));
  if (result) stage.watch(block.name(), result.outcome().pid);
  return result;
}

// partition_supervisor NAME, name: :n, partitions: N, child: BLOCK
ChildOutcome start_partitions(Stage& stage, const Line& block) {
  const Line& child = stage.block(block.option("child")->name);
  const auto result = PartitionSupervisor::start_link(
      {.name = options_of(block).name,
       .child_spec = coppice::child(Atom(child.name()), [&stage, &child] { return start_link(stage, child); }),
       .partitions = number_of(block, "partitions", 1),
       .max_restarts = number_of(block, "max_restarts", 3),
       .max_seconds = number_of(block, "max_seconds", 5)});
  if (result) stage.watch(block.name(), result.outcome().pid);
  return result;
}

}  // namespace

ChildOutcome start_link(Stage& stage, const Line& block) {
  if (block.word == "server") return Server::start_link_as(options_of(block), &stage, &block);
  if (block.word == "machine") return start_machine(stage, block, true);
  if (block.word == "supervisor") return Tree::start_link_as(options_of(block), &stage, &block);
  if (block.word == "dynamic_supervisor") return start_dynamic(stage, block);
  if (block.word == "partition_supervisor") return start_partitions(stage, block);
  const Pid pid = spawn_link([&stage, &block] { run_process(stage, block); });
  stage.watch(block.name(), pid);
  return pid;
}

ChildOutcome start(Stage& stage, const Line& block) {
  if (block.word == "machine") return start_machine(stage, block, false);
  return Server::start_as(options_of(block), &stage, &block);
}

ChildSpec child_spec(Stage& stage, const Line& line, std::size_t options_from) {
  const Line& block = stage.block(line.arguments.at(options_from - 1).name);
  ChildSpec spec = child(Atom(block.name()), [&stage, &block] { return start_link(stage, block); });
  if (block.word == "supervisor" || block.word == "dynamic_supervisor") {
    spec.type(ChildType::supervisor);
    spec.shutdown(infinity);
  }
  if (const Expression* id = line.option("id")) spec.id(id->literal);
  const std::string_view restart = word_of(line, "restart");
  if (restart == "transient") spec.restart(Restart::transient);
  if (restart == "temporary") spec.restart(Restart::temporary);
  if (const Expression* shutdown = line.option("shutdown")) {
    const Term how = shutdown->literal;
    if (how.is_atom(Atom("brutal_kill"))) spec.shutdown(brutal_kill);
    if (how.is_atom(Atom("infinity"))) spec.shutdown(infinity);
    if (how.is_integer()) spec.shutdown(milliseconds(how.as_int64().value()));
  }
  if (line.option("significant") != nullptr) spec.significant();
  return spec;
}

// -- addressing ------------------------------------------------------------------------------------------------------

Pid pid_of(const Term& server) {
  if (const auto name = server.as_atom()) return whereis(name->text());
  return server.as_pid().value();
}

namespace {

template <class Request>
Term call_as(const Term& server, Term request, WaitTime timeout) {
  if (const auto name = server.as_atom()) {
    const std::string text(name->text());
    return Name<Server>(text.c_str()).call(Request{std::move(request)}, timeout);
  }
  return ServerRef<Server>(server.as_pid().value()).call(Request{std::move(request)}, timeout);
}

}  // namespace

Term call_server(Stage& stage, const Term& server, Term request, WaitTime timeout) {
  const Line* block = stage.block_of(pid_of(server));
  if (block != nullptr && keeps_callers(block->body)) {
    return call_as<Server::LateRequest>(server, std::move(request), timeout);
  }
  return call_as<Server::Request>(server, std::move(request), timeout);
}

void cast_server(const Term& server, Term message) {
  ServerRef<Server>(pid_of(server)).cast(Server::Cast{std::move(message)});
}

void Player::get_state(const Line& line) { tell("state", sys::get_state<Server>(process(line, 0)).state()); }

void Player::stop_server(const Line& line) {
  const ExitReason reason = line.arguments.size() > 1 ? ExitReason(argument(line, 1)) : ExitReason::normal();
  const Term server = argument(line, 0);
  const WaitTime timeout = time(line, 2, infinity);
  if (const auto name = server.as_atom()) {
    const std::string text(name->text());
    Name<Server>(text.c_str()).stop(reason, timeout);
  } else {
    ServerRef<Server>(server.as_pid().value()).stop(reason, timeout);
  }
  tell("stopped", Atom("ok"));
}

// -- supervisors -----------------------------------------------------------------------------------------------------

void Player::which_children(const Line& line) {
  std::vector<Term> children;
  for (const ChildInfo& info : Supervisor::which_children(process(line, 0))) {
    const Term whole = info.to_term();
    children.push_back(tuple(whole[0], whole[1], whole[2]));
  }
  tell("children", Term::list_of(std::move(children)));
}

void Player::count_children(const Line& line) {
  const ChildCounts counts = Supervisor::count_children(process(line, 0));
  stage_.tell(tuple(Atom("counts"), counts.specs, counts.active, counts.supervisors, counts.workers));
}

namespace {

Term term_of(const Result<>& result) { return result ? Term(Atom("ok")) : tuple(Atom("error"), result.reason()); }

bool is_dynamic(const Line* block) { return block != nullptr && block->word == "dynamic_supervisor"; }

}  // namespace

void Player::start_child(const Line& line) {
  const Pid supervisor = process(line, 0);
  ChildSpec spec = child_spec(stage_, line, 2);
  const StartChildResult result = is_dynamic(stage_.block_of(supervisor))
                                      ? DynamicSupervisor::start_child(supervisor, std::move(spec))
                                      : Supervisor::start_child(supervisor, std::move(spec));
  tell("start_child", result.to_term());
}

void Player::terminate_child(const Line& line) {
  const Pid supervisor = process(line, 0);
  const Term whom = argument(line, 1);
  tell("terminate_child", term_of(is_dynamic(stage_.block_of(supervisor))
                                      ? DynamicSupervisor::terminate_child(supervisor, whom.as_pid().value())
                                      : Supervisor::terminate_child(supervisor, whom)));
}

void Player::restart_child(const Line& line) {
  tell("restart_child", Supervisor::restart_child(process(line, 0), argument(line, 1)).to_term());
}

void Player::delete_child(const Line& line) {
  tell("delete_child", term_of(Supervisor::delete_child(process(line, 0), argument(line, 1))));
}

namespace {

ServerName name_of(const Player& player, const Line& line) {
  return std::string(player.argument(line, 0).as_atom().value().text());
}

void partition_call(Player& player, const Line& line) {
  const auto partition = PartitionSupervisor::via<Server>(name_of(player, line), player.argument(line, 1));
  player.tell("reply", partition.call(Server::Request{player.argument(line, 2)}));
}
void partition_cast(Player& player, const Line& line) {
  PartitionSupervisor::via<Server>(name_of(player, line), player.argument(line, 1))
      .cast(Server::Cast{player.argument(line, 2)});
}
void partitions(Player& player, const Line& line) {
  player.tell("partitions", PartitionSupervisor::partitions(name_of(player, line)));
}

}  // namespace

const Steps& partition_steps() {
  static const Steps all{
      {"partition_call", partition_call}, {"partition_cast", partition_cast}, {"partitions", partitions}};
  return all;
}

}  // namespace against_otp
