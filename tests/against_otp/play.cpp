// SPDX-License-Identifier: Apache-2.0
#include "against_otp/play.hpp"

#include <algorithm>
#include <chrono>

#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/sys.hpp>
#include <coppice/timer.hpp>

namespace against_otp {

using namespace coppice;
using std::chrono::milliseconds;

const std::map<std::string, Player::Step, std::less<>>& Player::steps() {
  static const std::map<std::string, Step, std::less<>> all{
      {"log", &Player::log},
      {"put", &Player::put},
      {"let", &Player::let},
      {"send", &Player::send},
      {"send_after", &Player::send_after},
      {"spawn", &Player::spawn},
      {"spawn_link", &Player::spawn},
      {"spawn_monitor", &Player::spawn},
      {"link", &Player::link},
      {"unlink", &Player::unlink},
      {"monitor", &Player::monitor},
      {"demonitor", &Player::demonitor},
      {"alias", &Player::alias},
      {"unalias", &Player::unalias},
      {"monitor_alias", &Player::monitor_alias},
      {"trap_exit", &Player::trap_exit},
      {"exit", &Player::exit},
      {"exit_signal", &Player::exit_signal},
      {"raise", &Player::raise},
      {"receive", &Player::receive},
      {"flush", &Player::flush},
      {"wait", &Player::wait},
      {"sleep", &Player::sleep},
      {"settle", &Player::settle},
      {"register", &Player::register_name},
      {"unregister", &Player::unregister_name},
      {"whereis", &Player::whereis},
      {"alive", &Player::alive},
      {"links", &Player::links},
      {"queue_length", &Player::queue_length},
      {"dictionary_put", &Player::dictionary_put},
      {"dictionary_get", &Player::dictionary_get},
      {"try", &Player::try_lines},
      {"if_registered", &Player::if_registered},
      {"if_same", &Player::if_same},
      {"start", &Player::start},
      {"start_link", &Player::start},
      {"call", &Player::call},
      {"cast", &Player::cast},
      {"stop_server", &Player::stop_server},
      {"keep_from", &Player::keep_from},
      {"reply_to", &Player::reply_to},
      {"get_state", &Player::get_state},
      {"suspend", &Player::suspend},
      {"resume", &Player::resume},
      {"which_children", &Player::which_children},
      {"count_children", &Player::count_children},
      {"start_child", &Player::start_child},
      {"terminate_child", &Player::terminate_child},
      {"restart_child", &Player::restart_child},
      {"delete_child", &Player::delete_child},
      {"async", &Player::async},
      {"start_task", &Player::start_task},
      {"await", &Player::await},
      {"yield", &Player::yield},
      {"shutdown_task", &Player::shutdown_task},
      {"ignore_task", &Player::ignore_task},
      {"return", &Player::decide},
      {"ok", &Player::decide},
      {"ignore", &Player::decide},
      {"reply", &Player::decide},
      {"noreply", &Player::decide},
      {"stop", &Player::decide},
      {"next", &Player::decide},
      {"keep", &Player::decide},
      {"repeat", &Player::decide},
      {"data", &Player::set_data},
      {"postpone", &Player::action},
      {"insert", &Player::action},
      {"insert_cast", &Player::action},
      {"reply_now", &Player::action},
      {"state_timeout", &Player::action},
      {"event_timeout", &Player::action},
      {"named_timeout", &Player::action},
      {"cancel_state_timeout", &Player::action},
      {"cancel_named_timeout", &Player::action},
      {"update_state_timeout", &Player::action},
      {"machine_call", &Player::machine_call},
      {"machine_cast", &Player::machine_cast},
      {"start_agent", &Player::start_agent},
      {"agent_get", &Player::agent_get},
      {"agent_put", &Player::agent_put},
      {"agent_cast", &Player::agent_cast},
      {"agent_swap", &Player::agent_swap},
      {"agent_exit", &Player::agent_exit},
      {"agent_raise", &Player::agent_raise},
      {"agent_slow", &Player::agent_slow},
      {"start_registry", &Player::start_registry},
      {"register_key", &Player::register_key},
      {"unregister_key", &Player::unregister_key},
      {"lookup", &Player::lookup},
      {"keys_of", &Player::keys_of},
      {"count_keys", &Player::count_keys},
      {"update_value", &Player::update_value},
      {"dispatch", &Player::dispatch},
      {"whereis_key", &Player::whereis_key},
      {"start_task_supervisor", &Player::start_task_supervisor},
      {"supervised_async", &Player::supervised_async},
      {"async_nolink", &Player::supervised_async},
      {"supervised_task", &Player::supervised_task},
      {"task_children", &Player::task_children},
  };
  return all;
}

namespace {

Steps::mapped_type other_step(const std::string& word, int number) {
  for (const Steps* steps : {&table_steps(), &report_steps(), &partition_steps(), &application_steps()}) {
    if (const auto step = steps->find(word); step != steps->end()) return step->second;
  }
  throw ParseError("line " + std::to_string(number) + ": nobody knows how to " + word);
}

}  // namespace

std::optional<Verdict> Player::run(const std::vector<Line>& lines) {
  for (const Line& line : lines) {
    if (const auto step = steps().find(line.word); step != steps().end()) {
      (this->*step->second)(line);
    } else {
      other_step(line.word, line.number)(*this, line);
    }
    if (verdict_) return verdict_;
  }
  return std::nullopt;
}

Term Player::value(const Expression& expression) const {
  return against_otp::value(expression, environment_, stage_.processes());
}

Pid Player::process(const Line& line, std::size_t i) const { return pid_of(argument(line, i)); }

WaitTime Player::time(const Line& line, std::size_t i, WaitTime otherwise) const {
  if (line.arguments.size() <= i) return otherwise;
  const Term given = argument(line, i);
  if (given.is_atom(Atom("infinity"))) return infinity;
  return milliseconds(given.as_int64().value());
}

// -- processes -------------------------------------------------------------------------------------------------------

void Player::log(const Line& line) { stage_.tell(argument(line, 0)); }
void Player::put(const Line& line) { environment_["state"] = argument(line, 0); }
void Player::let(const Line& line) { environment_[line.name()] = argument(line, 1); }

void Player::send(const Line& line) {
  const Term to = argument(line, 0);
  Message message{argument(line, 1)};
  if (const auto alias = to.as_reference()) return coppice::send(*alias, std::move(message));
  if (const auto name = to.as_atom()) return coppice::send(name->text(), std::move(message));
  coppice::send(to.as_pid().value(), std::move(message));
}

void Player::send_after(const Line& line) {
  (void)coppice::send_after(process(line, 0), Message{argument(line, 1)}, time(line, 2, infinity));
}

void Player::spawn(const Line& line) {
  const Line& block = stage_.block(line.name());
  const auto body = [stage = &stage_, block = &block] { run_process(*stage, *block); };
  Pid pid;
  if (line.word == "spawn_monitor") {
    auto [made, reference] = coppice::spawn_monitor(body);
    pid = made;
    environment_[line.arguments.at(1).name] = reference;
  } else {
    pid = line.word == "spawn" ? coppice::spawn(body) : coppice::spawn_link(body);
  }
  stage_.watch(block.name(), pid);
}

void Player::link(const Line& line) { coppice::link(process(line, 0)); }
void Player::unlink(const Line& line) { coppice::unlink(process(line, 0)); }

void Player::monitor(const Line& line) {
  const Term whom = argument(line, 0);
  const Reference reference =
      whom.is_atom() ? coppice::monitor(whom.as_atom()->text()) : coppice::monitor(whom.as_pid().value());
  if (line.arguments.size() > 1) environment_[line.arguments[1].name] = reference;
}

void Player::demonitor(const Line& line) {
  const std::vector<Expression>& given = line.arguments;
  const auto has = [&](const char* option) {
    return std::ranges::any_of(given, [&](const Expression& e) { return e.literal == Term(Atom(option)); });
  };
  const bool info = has("info");
  const bool answer =
      coppice::demonitor(argument(line, 0).as_reference().value(), {.flush = has("flush"), .info = info});
  if (info) tell("demonitor", answer);
}

void Player::alias(const Line& line) {
  const bool reply = line.arguments.size() > 1 && argument(line, 1).is_atom(Atom("reply"));
  environment_[line.name()] = coppice::alias({.reply = reply});
}

void Player::unalias(const Line& line) { tell("unalias", coppice::unalias(argument(line, 0).as_reference().value())); }

void Player::monitor_alias(const Line& line) {
  const Term mode = argument(line, 1);
  const AliasMode alias = mode.is_atom(Atom("demonitor"))         ? AliasMode::demonitor
                          : mode.is_atom(Atom("reply_demonitor")) ? AliasMode::reply_demonitor
                                                                  : AliasMode::explicit_unalias;
  environment_[line.arguments.at(2).name] = coppice::monitor(process(line, 0), {.tag = {}, .alias = alias});
}

void Player::trap_exit(const Line& line) { coppice::trap_exit(argument(line, 0).as_bool().value()); }
void Player::exit(const Line& line) { throw Exit(argument(line, 0)); }
void Player::exit_signal(const Line& line) { coppice::exit(process(line, 0), argument(line, 1)); }
void Player::raise(const Line& line) { throw std::runtime_error(std::string(argument(line, 0).as_text().value())); }

namespace {

using Transfer = ets::Table<Term, Term>::Transfer;

Term term_of(const Message& message) { return message.value; }
Term term_of(const Transfer& message) { return term_of_transfer(message); }
Term term_of(const ExitMessage& message) { return tuple(Atom("EXIT"), message.pid, message.reason); }
Term term_of(const TaskResult<Term>& message) { return tuple(message.reference(), *message); }
Term term_of(const Down& message) {
  const Term whom = message.name.empty() ? Term(message.pid) : tuple(Atom(message.name), Atom("<node>"));
  return tuple(Atom("DOWN"), message.reference, Atom("process"), whom, message.reason);
}

}  // namespace

bool Player::take(const Expression* pattern, WaitTime timeout) {
  const Processes processes = stage_.processes();
  const auto fits = [&](const auto& message) {
    Environment unused = environment_;
    return pattern == nullptr || match(*pattern, term_of(message), unused, processes);
  };
  std::optional<Term> got;
  const auto got_it = [&](const auto& message) { got = term_of(message); };
  coppice::receive(
      when([&](const Message& m) { return fits(m); }, [&](const Message& m) { got_it(m); }),
      when([&](const Down& m) { return fits(m); }, [&](const Down& m) { got_it(m); }),
      when([&](const ExitMessage& m) { return fits(m); }, [&](const ExitMessage& m) { got_it(m); }),
      when([&](const TaskResult<Term>& m) { return fits(m); }, [&](const TaskResult<Term>& m) { got_it(m); }),
      when([&](const Transfer& m) { return fits(m); }, [&](const Transfer& m) { got_it(m); }), after(timeout, [] {}));
  if (!got) return false;
  if (pattern != nullptr) (void)match(*pattern, *got, environment_, processes);
  tell("got", *got);
  return true;
}

void Player::receive(const Line& line) {
  const Expression* pattern = line.arguments.empty() ? nullptr : line.arguments.data();
  if (!take(pattern, time(line, 1, infinity))) stage_.tell(Atom("timeout"));
}

void Player::flush(const Line&) {
  while (take(nullptr, milliseconds(0))) {
  }
}

void Player::wait(const Line&) { sleep_for(infinity); }
void Player::sleep(const Line& line) { sleep_for(time(line, 0, infinity)); }
// In virtual time: until all others wait.
void Player::settle(const Line&) { sleep_for(milliseconds(2)); }

void Player::register_name(const Line& line) {
  coppice::register_name(process(line, 0), argument(line, 1).as_atom()->text());
}
void Player::unregister_name(const Line& line) { coppice::unregister_name(argument(line, 0).as_atom()->text()); }

void Player::whereis(const Line& line) {
  const Pid pid = coppice::whereis(argument(line, 0).as_atom()->text());
  tell("whereis", pid ? Term(pid) : Term());
}

void Player::alive(const Line& line) { tell("alive", coppice::alive(process(line, 0))); }

void Player::links(const Line&) {
  std::vector<Term> linked;
  const std::optional<ProcessInfo> info = process_info(self());
  for (const auto& [name, pid] : stage_.processes()) {
    if (std::ranges::find(info->links, pid) != info->links.end()) linked.emplace_back(pid);
  }
  tell("links", Term::list_of(std::move(linked)));
}

void Player::queue_length(const Line& line) {
  tell("queue_length", process_info(process(line, 0)).value().message_queue_len);
}

void Player::dictionary_put(const Line& line) {
  tell("previous", dictionary::put(argument(line, 0), argument(line, 1)));
}
void Player::dictionary_get(const Line& line) { tell("value", dictionary::get(argument(line, 0))); }

void Player::if_registered(const Line& line) {
  if (coppice::whereis(argument(line, 0).as_atom()->text())) (void)run(line.body);
}

void Player::if_same(const Line& line) {
  if (argument(line, 0) == argument(line, 1)) (void)run(line.body);
}

void Player::try_lines(const Line& line) {
  Term caught;
  try {
    (void)run(line.body);
    return;
  } catch (const Exit& exit) {
    caught = exit.reason().term();
    if (caught.is_tuple(2) && caught[0].is_atom(Atom("badarg"))) caught = Atom("badarg");
  } catch (const std::exception& error) {
    caught = tuple(Atom("error"), error.what());
  }
  tell("caught", caught);
}

void run_process(Stage& stage, const Line& block) {
  stage.watch(block.name(), self());
  (void)Player(stage, {}).run(block.body);
}

// -- servers ---------------------------------------------------------------------------------------------------------

void Player::start(const Line& line) {
  const Line& block = stage_.block(line.name());
  const ChildOutcome result = line.word == "start" ? against_otp::start(stage_, block) : start_link(stage_, block);
  switch (result.outcome.kind) {
    case StartOutcome::Kind::ok: return tell("started", tuple(Atom("ok"), result.outcome.pid));
    case StartOutcome::Kind::ignore: return tell("started", Atom("ignore"));
    case StartOutcome::Kind::error: return tell("started", tuple(Atom("error"), result.outcome.reason));
  }
}

void Player::call(const Line& line) {
  tell("reply", call_server(stage_, argument(line, 0), argument(line, 1), time(line, 2, std::chrono::seconds(5))));
}

void Player::cast(const Line& line) { cast_server(argument(line, 0), argument(line, 1)); }

void Player::keep_from(const Line& line) { calls_->insert_or_assign(line.name(), std::move(*from_)); }

void Player::reply_to(const Line& line) {
  From<Term> from = std::move(calls_->at(line.name()));
  calls_->erase(line.name());
  from.reply(argument(line, 1));
}

void Player::suspend(const Line& line) { sys::suspend(process(line, 0)); }
void Player::resume(const Line& line) { sys::resume(process(line, 0)); }

void Player::decide(const Line& line) {
  static const std::map<std::string, Verdict::Kind> kinds{
      {"return", Verdict::Kind::value}, {"ok", Verdict::Kind::ok},           {"ignore", Verdict::Kind::ignore},
      {"reply", Verdict::Kind::reply},  {"noreply", Verdict::Kind::noreply}, {"stop", Verdict::Kind::stop},
      {"next", Verdict::Kind::next},    {"keep", Verdict::Kind::noreply},    {"repeat", Verdict::Kind::repeat}};
  Verdict verdict{.kind = kinds.at(line.word)};
  using Kind = Verdict::Kind;
  const bool bare = verdict.kind == Kind::ignore || verdict.kind == Kind::noreply || verdict.kind == Kind::repeat;
  if (!bare) verdict.value = argument(line, 0);
  if (verdict.kind == Verdict::Kind::ok) environment_["state"] = verdict.value;
  if (const Expression* reply = line.option("reply")) verdict.reply = value(*reply);
  if (const Expression* timeout = line.option("timeout")) {
    verdict.timeout = milliseconds(value(*timeout).as_int64().value());
  }
  if (line.option("hibernate") != nullptr) verdict.hibernate = true;
  if (const Expression* then = line.option("continue")) verdict.then = value(*then);
  verdict_ = std::move(verdict);
}

Term run_task(Stage& stage, const Line& block) {
  stage.watch(block.name(), self());
  const std::optional<Verdict> verdict = Player(stage, {}).run(block.body);
  return verdict ? verdict->value : Term();
}

// -- tasks -----------------------------------------------------------------------------------------------------------

namespace {

Term term_of(const std::optional<TaskResult<Term>>& result) {
  if (!result) return {};
  return *result ? tuple(Atom("ok"), **result) : tuple(Atom("exit"), result->reason());
}

}  // namespace

void Player::async(const Line& line) {
  const Line& block = stage_.block(line.arguments.at(1).name);
  const TaskHandle<Term> task = Task::async([stage = &stage_, block = &block] { return run_task(*stage, *block); });
  stage_.watch(block.name(), task.pid());
  tasks_.insert_or_assign(line.name(), task);
}

void Player::start_task(const Line& line) {
  const Line& block = stage_.block(line.name());
  stage_.watch(block.name(), Task::start([stage = &stage_, block = &block] { return run_task(*stage, *block); }));
}

void Player::await(const Line& line) {
  tell("awaited", tasks_.at(line.name()).await(time(line, 1, std::chrono::seconds(5))));
}
void Player::yield(const Line& line) {
  tell("yielded", term_of(tasks_.at(line.name()).yield(time(line, 1, std::chrono::seconds(5)))));
}
void Player::shutdown_task(const Line& line) {
  const TaskHandle<Term>& task = tasks_.at(line.name());
  if (line.arguments.size() > 1 && argument(line, 1).is_atom(Atom("brutal_kill"))) {
    return tell("shut_down", term_of(task.shutdown(brutal_kill)));
  }
  const WaitTime how_long = time(line, 1, std::chrono::seconds(5));
  tell("shut_down", term_of(task.shutdown(std::chrono::nanoseconds(how_long.nanoseconds()))));
}
void Player::ignore_task(const Line& line) { tell("ignored", term_of(tasks_.at(line.name()).ignore())); }

}  // namespace against_otp
