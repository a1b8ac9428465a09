// SPDX-License-Identifier: Apache-2.0
//
// State machines of scenarios. A block `machine` has lines `on KIND, EVENT[, STATE]` and, if it wants enter calls,
// `enter OLD, NEW`; in them `phase` is the current state and `data` the data.
#include <algorithm>
#include <chrono>

#include <coppice/state_machine.hpp>

#include "against_otp/play.hpp"

namespace against_otp {

using namespace coppice;
using std::chrono::milliseconds;

namespace {

struct Phase {
  Term name;
  friend bool operator==(const Phase&, const Phase&) = default;
};

struct Content {
  Term value;
};
struct Question {
  using Reply = Term;
  Term value;
};

WaitTime time_of(const Term& term) {
  if (term.is_atom(Atom("infinity"))) return infinity;
  return milliseconds(term.as_int64().value());
}

template <bool Enters>
class MachineOf : public StateMachine<MachineOf<Enters>, Phase> {
 public:
  using Base = StateMachine<MachineOf<Enters>, Phase>;
  using typename Base::Entered;
  using typename Base::Init;
  using typename Base::Transition;
  using Messages = coppice::Messages<Message>;

  MachineOf(Stage* stage, const Line* block) : stage_(stage), block_(block) {
    stage->watch(block->name(), coppice::self());
  }
  MachineOf(const MachineOf&) = delete;
  MachineOf& operator=(const MachineOf&) = delete;

  Init init() {
    Player player(*stage_, {}, &calls_);
    for (const Line& line : block_->body) {
      if (line.word == "init") (void)player.run(line.body);
    }
    const Verdict verdict = player.verdict().value();
    if (verdict.kind == Verdict::Kind::ignore) return Base::ignore();
    if (verdict.kind == Verdict::Kind::stop) return Base::stop(verdict.value);
    data_ = player.data();
    return with_actions(Base::ok(Phase{verdict.value}), player.actions(), nullptr);
  }

  Transition handle_call(const Phase& phase, const Question& question, From<Term>& from) {
    return handle("call", phase, question.value, &from);
  }
  Transition handle_cast(const Phase& phase, const Content& content) { return handle("cast", phase, content.value); }
  Transition handle_info(const Phase& phase, const Message& message) { return handle("info", phase, message.value); }
  Transition handle_info(const Phase& phase, const ExitMessage& exit) {
    return handle("info", phase, tuple(Atom("EXIT"), exit.pid, exit.reason));
  }
  Transition handle_internal(const Phase& phase, const Content& content) {
    return handle("internal", phase, content.value);
  }
  Transition handle_state_timeout(const Phase& phase, const Content& content) {
    return handle("state_timeout", phase, content.value);
  }
  Transition handle_timeout(const Phase& phase, const Content& content) {
    return handle("timeout", phase, content.value);
  }
  Transition handle_named_timeout(const Phase& phase, const Content& content) {
    return handle("named_timeout", phase, content.value);
  }
  Entered handle_enter(const Phase& now, const Phase& old)
    requires Enters
  {
    const Processes processes = stage_->processes();
    for (const Line& line : block_->body) {
      Environment environment{{"data", data_}};
      if (line.word != "enter" || !match(line.arguments.at(0), old.name, environment, processes) ||
          !match(line.arguments.at(1), now.name, environment, processes)) {
        continue;
      }
      environment["phase"] = now.name;
      Player player(*stage_, std::move(environment), &calls_);
      const std::optional<Verdict> verdict = player.run(line.body);
      data_ = player.data();
      Entered entered = Base::entered();
      if (verdict && verdict->kind == Verdict::Kind::stop) entered = Base::stop_entering(verdict->value);
      if (verdict && verdict->kind == Verdict::Kind::repeat) entered = Base::enter_again();
      for (const Action& action : player.actions()) add_timeout(entered, action);
      return entered;
    }
    throw Exit(tuple(Atom("no_clause"), "enter"));
  }
  void terminate(const ExitReason& reason) {
    for (const Line& line : block_->body) {
      if (line.word != "terminate") continue;
      Environment environment{{"data", data_}, {"phase", Base::state().name}, {"reason", reason.term()}};
      (void)Player(*stage_, std::move(environment), &calls_).run(line.body);
    }
  }

 private:
  Transition handle(const char* kind, const Phase& phase, const Term& event, From<Term>* from = nullptr) {
    const Processes processes = stage_->processes();
    for (const Line& line : block_->body) {
      Environment environment{{"data", data_}};
      if (line.word != "on" || line.arguments.at(0).literal != Term(Atom(kind)) ||
          !match(line.arguments.at(1), event, environment, processes) ||
          (line.arguments.size() > 2 && !match(line.arguments[2], phase.name, environment, processes))) {
        continue;
      }
      environment["phase"] = phase.name;
      Player player(*stage_, std::move(environment), &calls_, from);
      const std::optional<Verdict> verdict = player.run(line.body);
      data_ = player.data();
      return with_actions(transition(verdict), player.actions(), from);
    }
    throw Exit(tuple(Atom("no_clause"), kind));
  }

  static Transition transition(const std::optional<Verdict>& verdict) {
    if (!verdict) return Base::keep_state();
    switch (verdict->kind) {
      case Verdict::Kind::next: return Base::next_state(Phase{verdict->value});
      case Verdict::Kind::repeat: return Base::repeat_state();
      case Verdict::Kind::stop: return Base::stop(verdict->value);
      default: return Base::keep_state();
    }
  }

  template <class T>
  static void add_timeout(T& answer, const Action& action) {
    const std::string& word = action.word;
    const std::vector<Term>& given = action.arguments;
    if (word == "state_timeout") {
      (void)std::move(answer).state_timeout(time_of(given.at(0)), Content{given.at(1)});
    } else if (word == "event_timeout") {
      (void)std::move(answer).timeout(time_of(given.at(0)), Content{given.at(1)});
    } else if (word == "named_timeout") {
      (void)std::move(answer).named_timeout(given.at(0), time_of(given.at(1)), Content{given.at(2)});
    } else if (word == "cancel_state_timeout") {
      (void)std::move(answer).cancel_state_timeout();
    } else if (word == "cancel_named_timeout") {
      (void)std::move(answer).cancel_named_timeout(given.at(0));
    } else if (word == "update_state_timeout") {
      (void)std::move(answer).update_state_timeout(Content{given.at(0)});
    }
  }
  template <class T>
  static T with_actions(T answer, const std::vector<Action>& actions, From<Term>* from) {
    for (const Action& action : actions) {
      if (action.word == "insert") {
        (void)std::move(answer).next_event(Content{action.arguments.at(0)});
      } else if (action.word == "insert_cast") {
        (void)std::move(answer).next_cast(Content{action.arguments.at(0)});
      } else if (action.word == "reply_now" && from != nullptr) {
        (void)std::move(answer).reply(*from, action.arguments.at(0));
      } else if (action.word == "postpone") {
        if constexpr (requires { std::move(answer).postpone(); }) (void)std::move(answer).postpone();
      } else {
        add_timeout(answer, action);
      }
    }
    return answer;
  }

  Stage* stage_;
  const Line* block_;
  Term data_;
  KeptCalls calls_;
};

bool has_enter(const Line& block) {
  return std::ranges::any_of(block.body, [](const Line& line) { return line.word == "enter"; });
}

}  // namespace

ChildOutcome start_machine(Stage& stage, const Line& block, bool linked) {
  if (has_enter(block)) {
    return linked ? ChildOutcome(MachineOf<true>::start_link(&stage, &block))
                  : ChildOutcome(MachineOf<true>::start(&stage, &block));
  }
  return linked ? ChildOutcome(MachineOf<false>::start_link(&stage, &block))
                : ChildOutcome(MachineOf<false>::start(&stage, &block));
}

void Player::action(const Line& line) {
  Action action{.word = line.word};
  for (const Expression& argument : line.arguments) action.arguments.push_back(value(argument));
  actions_.push_back(std::move(action));
}

void Player::set_data(const Line& line) { environment_["data"] = argument(line, 0); }

void Player::machine_call(const Line& line) {
  const Pid pid = process(line, 0);
  const WaitTime timeout = time(line, 2, infinity);
  const Line* block = stage_.block_of(pid);
  Question question{argument(line, 1)};
  tell("reply", block != nullptr && has_enter(*block)
                    ? ServerRef<MachineOf<true>>(pid).call(std::move(question), timeout)
                    : ServerRef<MachineOf<false>>(pid).call(std::move(question), timeout));
}

void Player::machine_cast(const Line& line) {
  const Pid pid = process(line, 0);
  const Line* block = stage_.block_of(pid);
  Content content{argument(line, 1)};
  if (block != nullptr && has_enter(*block)) return ServerRef<MachineOf<true>>(pid).cast(std::move(content));
  ServerRef<MachineOf<false>>(pid).cast(std::move(content));
}

}  // namespace against_otp
