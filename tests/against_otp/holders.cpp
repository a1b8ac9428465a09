// SPDX-License-Identifier: Apache-2.0
//
// Agents, registries and task supervisors of scenarios.
#include <algorithm>
#include <chrono>

#include <coppice/agent.hpp>
#include <coppice/process.hpp>
#include <coppice/registry.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/task_supervisor.hpp>

#include "against_otp/play.hpp"

namespace against_otp {

using namespace coppice;
using std::chrono::milliseconds;

// -- agents ----------------------------------------------------------------------------------------------------------

void Player::start_agent(const Line& line) {
  const std::string name = line.name();
  const auto started = Agent<Term>::start_link([stage = &stage_, name, first = argument(line, 1)] {
    stage->watch(name, coppice::self());
    return first;
  });
  tell("started", tuple(Atom("ok"), started.value().pid()));
}

void Player::agent_get(const Line& line) {
  tell("value", Agent<Term>::Ref(process(line, 0)).get([](const Term& term) { return term; }));
}

void Player::agent_put(const Line& line) {
  Agent<Term>::Ref(process(line, 0)).update([next = argument(line, 1)](Term& term) { term = next; });
}

void Player::agent_cast(const Line& line) {
  Agent<Term>::Ref(process(line, 0)).cast([next = argument(line, 1)](Term& term) { term = next; });
}

void Player::agent_swap(const Line& line) {
  tell("value", Agent<Term>::Ref(process(line, 0)).get_and_update([next = argument(line, 1)](Term& term) {
    return std::exchange(term, next);
  }));
}

void Player::agent_exit(const Line& line) {
  Agent<Term>::Ref(process(line, 0)).get([reason = argument(line, 1)](const Term&) -> Term { throw Exit(reason); });
}

void Player::agent_raise(const Line& line) {
  const std::string text(argument(line, 1).as_text().value());
  Agent<Term>::Ref(process(line, 0)).get([text](const Term&) -> Term { throw std::runtime_error(text); });
}

// Takes longer than the caller waits, and changes the value all the same.
void Player::agent_slow(const Line& line) {
  const WaitTime how_long = time(line, 1, infinity);
  Agent<Term>::Ref(process(line, 0))
      .update(
          [how_long, next = argument(line, 3)](Term& term) {
            sleep_for(how_long);
            term = next;
          },
          time(line, 2, infinity));
}

// -- registries ------------------------------------------------------------------------------------------------------

namespace {

using Names = Registry<Term, Term>;
constexpr Names::Name unique_names{"Scenario.Unique"};
constexpr Names::Name duplicate_names{"Scenario.Duplicate"};

const Names::Name& names_of(const Term& keys) { return keys.is_atom(Atom("unique")) ? unique_names : duplicate_names; }

}  // namespace

void Player::start_registry(const Line& line) {
  const Term keys = argument(line, 0);
  const auto started = Names::start_link(
      {.name = names_of(keys), .keys = keys.is_atom(Atom("unique")) ? Keys::unique : Keys::duplicate});
  stage_.tell(started ? Term(Atom("started")) : tuple(Atom("error"), started.reason()));
}

void Player::register_key(const Line& line) {
  const auto result = names_of(argument(line, 0)).register_key(argument(line, 1), argument(line, 2));
  tell("registered", result ? Term(Atom("ok")) : tuple(Atom("error"), result.reason()));
}

void Player::unregister_key(const Line& line) { names_of(argument(line, 0)).unregister(argument(line, 1)); }

void Player::lookup(const Line& line) {
  std::vector<std::pair<std::string, Term>> found;
  for (const auto& entry : names_of(argument(line, 0)).lookup(argument(line, 1))) {
    const Line* block = stage_.block_of(entry.pid);
    found.emplace_back(block == nullptr ? "" : block->name(), tuple(entry.pid, entry.value));
  }
  std::ranges::stable_sort(found, {}, [](const auto& one) { return one.first; });
  std::vector<Term> terms;
  for (auto& [name, term] : found) terms.push_back(std::move(term));
  tell("entries", Term::list_of(std::move(terms)));
}

void Player::keys_of(const Line& line) {
  std::vector<Term> keys = names_of(argument(line, 0)).keys(process(line, 1));
  std::ranges::sort(keys);
  tell("keys", Term::list_of(std::move(keys)));
}

void Player::count_keys(const Line& line) { tell("count", names_of(argument(line, 0)).count()); }

void Player::update_value(const Line& line) {
  const auto result =
      names_of(argument(line, 0)).update_value(argument(line, 1), [next = argument(line, 2)](const Term&) {
        return next;
      });
  tell("updated", result ? tuple(result->first, result->second) : Term(Atom("error")));
}

void Player::dispatch(const Line& line) {
  names_of(argument(line, 0)).dispatch(argument(line, 1), [message = argument(line, 2)](const auto& entries) {
    for (const auto& entry : entries) coppice::send(entry.pid, Message{message});
  });
}

void Player::whereis_key(const Line& line) {
  const Pid pid = unique_names.pid(argument(line, 0));
  tell("whereis", pid ? Term(pid) : Term());
}

ServerName name_by_key(const Term& key) {
  return ServerName(std::make_shared<detail::RegistryBinding<Term, Term>>(unique_names, key, Term()));
}

// -- task supervisors ------------------------------------------------------------------------------------------------

void Player::start_task_supervisor(const Line& line) {
  const auto started = TaskSupervisor::start_link();
  stage_.watch(line.name(), started.value().pid());
  stage_.tell(Atom("started"));
}

void Player::supervised_async(const Line& line) {
  const Pid supervisor = process(line, 1);
  const Line& block = stage_.block(line.arguments.at(2).name);
  const auto work = [stage = &stage_, block = &block] { return run_task(*stage, *block); };
  const TaskHandle<Term> task = line.word == "async_nolink" ? TaskSupervisor::async_nolink(supervisor, work)
                                                            : TaskSupervisor::async(supervisor, work);
  stage_.watch(block.name(), task.pid());
  tasks_.insert_or_assign(line.name(), task);
}

void Player::supervised_task(const Line& line) {
  const Line& block = stage_.block(line.arguments.at(1).name);
  const auto started = TaskSupervisor::start_child(
      process(line, 0), [stage = &stage_, block = &block] { return run_task(*stage, *block); });
  if (started.is_ok()) stage_.watch(block.name(), started.value());
  tell("start_child", started.is_ok() ? tuple(Atom("ok"), started.value()) : started.to_term());
}

void Player::task_children(const Line& line) {
  std::vector<Term> children;
  for (const auto& [name, pid] : stage_.processes()) {
    const std::vector<Pid> all = TaskSupervisor::children(process(line, 0));
    if (std::ranges::find(all, pid) != all.end()) children.emplace_back(pid);
  }
  tell("children", Term::list_of(std::move(children)));
}

}  // namespace against_otp
