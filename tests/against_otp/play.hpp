// SPDX-License-Identifier: Apache-2.0
//
// Plays the lines of a scenario's blocks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/ets.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/task.hpp>

#include "against_otp/scenario.hpp"
#include "against_otp/stage.hpp"

namespace against_otp {

// What a line sends to a process.
struct Message {
  Term value;
};

// What the lines of a callback end with.
struct Verdict {
  enum class Kind : unsigned char { value, ok, ignore, reply, noreply, stop, next, repeat } kind = Kind::noreply;
  Term value = {};                 // of value, reply and next; the reason of stop
  std::optional<Term> reply = {};  // of stop
  std::optional<coppice::WaitTime> timeout = {};
  bool hibernate = false;
  std::optional<Term> then = {};  // continue
};

// What a state machine is to do besides.
struct Action {
  std::string word;
  std::vector<Term> arguments = {};
};

// Calls that wait for their answer, by the name under which they were kept.
using KeptCalls = std::map<std::string, coppice::From<Term>>;

// Runs lines in the calling process.
class Player {
 public:
  Player(Stage& stage, Environment environment, KeptCalls* calls = nullptr, coppice::From<Term>* from = nullptr)
      : stage_(stage), environment_(std::move(environment)), calls_(calls), from_(from) {}

  // What they end with; none if they just end.
  std::optional<Verdict> run(const std::vector<Line>& lines);
  [[nodiscard]] const Term& state() { return environment_["state"]; }
  [[nodiscard]] const Term& data() { return environment_["data"]; }
  [[nodiscard]] const std::optional<Verdict>& verdict() const noexcept { return verdict_; }
  [[nodiscard]] const std::vector<Action>& actions() const noexcept { return actions_; }

  // What steps that stand elsewhere need.
  [[nodiscard]] Stage& stage() const noexcept { return stage_; }
  [[nodiscard]] Term value(const Expression& expression) const;
  [[nodiscard]] Term argument(const Line& line, std::size_t i) const { return value(line.arguments.at(i)); }
  [[nodiscard]] coppice::Pid process(const Line& line, std::size_t i) const;
  // The time in milliseconds that is argument i; `otherwise` if there is none.
  [[nodiscard]] coppice::WaitTime time(const Line& line, std::size_t i, coppice::WaitTime otherwise) const;
  void tell(const char* what, Term value) { stage_.tell(coppice::tuple(coppice::Atom(what), std::move(value))); }

 private:
  using Step = void (Player::*)(const Line&);
  [[nodiscard]] static const std::map<std::string, Step, std::less<>>& steps();

  // processes
  void log(const Line& line);
  void put(const Line& line);
  void let(const Line& line);
  void send(const Line& line);
  void send_after(const Line& line);
  void spawn(const Line& line);
  void link(const Line& line);
  void unlink(const Line& line);
  void monitor(const Line& line);
  void demonitor(const Line& line);
  void alias(const Line& line);
  void unalias(const Line& line);
  void monitor_alias(const Line& line);
  void trap_exit(const Line& line);
  void exit(const Line& line);
  void exit_signal(const Line& line);
  void raise(const Line& line);
  void receive(const Line& line);
  void flush(const Line& line);
  void wait(const Line& line);
  void sleep(const Line& line);
  void settle(const Line& line);
  void register_name(const Line& line);
  void unregister_name(const Line& line);
  void whereis(const Line& line);
  void alive(const Line& line);
  void links(const Line& line);
  void queue_length(const Line& line);
  void dictionary_put(const Line& line);
  void dictionary_get(const Line& line);
  void if_registered(const Line& line);
  void if_same(const Line& line);
  void try_lines(const Line& line);
  // servers
  void start(const Line& line);
  void call(const Line& line);
  void cast(const Line& line);
  void stop_server(const Line& line);
  void keep_from(const Line& line);
  void reply_to(const Line& line);
  void get_state(const Line& line);
  void suspend(const Line& line);
  void resume(const Line& line);
  // supervisors
  void which_children(const Line& line);
  void count_children(const Line& line);
  void start_child(const Line& line);
  void terminate_child(const Line& line);
  void restart_child(const Line& line);
  void delete_child(const Line& line);
  // tasks
  void async(const Line& line);
  void start_task(const Line& line);
  void await(const Line& line);
  void yield(const Line& line);
  void shutdown_task(const Line& line);
  void ignore_task(const Line& line);
  void start_task_supervisor(const Line& line);
  void supervised_async(const Line& line);
  void supervised_task(const Line& line);
  void task_children(const Line& line);
  // agents
  void start_agent(const Line& line);
  void agent_get(const Line& line);
  void agent_put(const Line& line);
  void agent_cast(const Line& line);
  void agent_swap(const Line& line);
  void agent_exit(const Line& line);
  void agent_raise(const Line& line);
  void agent_slow(const Line& line);
  // registries
  void start_registry(const Line& line);
  void register_key(const Line& line);
  void unregister_key(const Line& line);
  void lookup(const Line& line);
  void keys_of(const Line& line);
  void count_keys(const Line& line);
  void update_value(const Line& line);
  void dispatch(const Line& line);
  void whereis_key(const Line& line);
  // state machines
  void action(const Line& line);
  void set_data(const Line& line);
  void machine_call(const Line& line);
  void machine_cast(const Line& line);
  // verdicts
  void decide(const Line& line);

  // Takes the oldest message that matches and tells it; false if there is none in time.
  bool take(const Expression* pattern, coppice::WaitTime timeout);

  Stage& stage_;
  Environment environment_;
  KeptCalls* calls_;
  coppice::From<Term>* from_;
  std::map<std::string, coppice::TaskHandle<Term>> tasks_;
  std::vector<Action> actions_;
  std::optional<Verdict> verdict_;
};

// Steps about one subject, by their words, which stand in a file of their own.
using Steps = std::map<std::string, void (*)(Player&, const Line&), std::less<>>;
[[nodiscard]] const Steps& table_steps();        // tables.cpp
[[nodiscard]] const Steps& application_steps();  // applications.cpp
[[nodiscard]] const Steps& report_steps();       // reports.cpp
[[nodiscard]] const Steps& partition_steps();    // servers.cpp

// Stops the applications of a scenario that has ended.
void end_of_applications();

// The body of a plain process.
void run_process(Stage& stage, const Line& block);

// The body of a task: what its lines return.
[[nodiscard]] Term run_task(Stage& stage, const Line& block);

// Starts what the block describes, linked to the caller.
[[nodiscard]] coppice::ChildOutcome start_link(Stage& stage, const Line& block);
[[nodiscard]] coppice::ChildOutcome start(Stage& stage, const Line& block);
[[nodiscard]] coppice::ChildOutcome start_machine(Stage& stage, const Line& block, bool linked);
// A name in the registry with unique keys.
[[nodiscard]] coppice::ServerName name_by_key(const Term& key);
// What a process gets when it becomes the owner of a table.
[[nodiscard]] Term term_of_transfer(const coppice::ets::Table<Term, Term>::Transfer& message);
[[nodiscard]] coppice::ChildSpec child_spec(Stage& stage, const Line& line, std::size_t options_from);

// A call to a server of a scenario, or to whatever has the pid or name.
[[nodiscard]] Term call_server(Stage& stage, const Term& server, Term request, coppice::WaitTime timeout);
void cast_server(const Term& server, Term message);
[[nodiscard]] coppice::Pid pid_of(const Term& server);

}  // namespace against_otp
