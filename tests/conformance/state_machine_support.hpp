// SPDX-License-Identifier: Apache-2.0
//
// Machine: a state machine that does what a test tells it in each event, and tells the test which event it saw in which
// state: "cast one a". Entering is the same with enter calls: "enter b from a".
#pragma once

#include <functional>
#include <string>
#include <utility>

#include <coppice/state_machine.hpp>

#include "conformance/gen_server_probe.hpp"

namespace conformance {

enum class St { a, b, c };
inline std::string name_of(St state) { return std::string(1, static_cast<char>('a' + static_cast<int>(state))); }

template <bool Enters>
class MachineOf : public StateMachine<MachineOf<Enters>, St> {
 public:
  using Base = StateMachine<MachineOf<Enters>, St>;
  using Base::enter_again;
  using Base::entered;
  using Base::ignore;
  using Base::keep_state;
  using Base::next_state;
  using Base::ok;
  using Base::repeat_state;
  using Base::stop;
  using Base::stop_entering;
  using typename Base::Entered;
  using typename Base::Init;
  using typename Base::Transition;

  using Work = std::function<Transition(MachineOf&)>;
  struct Do {
    std::string name;
    Work work = {};
  };
  struct Note {
    std::string text;
  };
  struct Ask {
    using Reply = std::string;
    std::string name;
    std::function<Transition(MachineOf&, From<std::string>&)> work;
  };
  struct Get {
    using Reply = std::string;
  };
  using Messages = coppice::Messages<Note>;

  struct Plan {
    Pid watcher = {};
    std::function<Init(MachineOf&)> init = {};
    std::function<Entered(MachineOf&, St now, St old)> enter = {};
    std::function<void(MachineOf&)> terminate = {};
  };

  explicit MachineOf(Plan plan) : plan_(std::move(plan)) {}

  Init init() { return plan_.init ? plan_.init(*this) : ok(St::a); }
  Entered handle_enter(St now, St old)
    requires Enters
  {
    tell("enter " + name_of(now) + " from " + name_of(old));
    return plan_.enter ? plan_.enter(*this, now, old) : entered();
  }
  Transition handle_cast(St now, const Do& event) { return run("cast", now, event); }
  Transition handle_internal(St now, const Do& event) { return run("internal", now, event); }
  Transition handle_info(St now, const Do& event) { return run("info", now, event); }
  void handle_info(St now, const Note& note) { tell("info " + note.text + " " + name_of(now)); }
  void handle_info(St now, const ExitMessage& message) {
    tell("exit " + to_string(message.reason) + " " + name_of(now));
  }
  Transition handle_call(St now, const Ask& event, From<std::string>& from) {
    tell("call " + event.name + " " + name_of(now));
    return event.work(*this, from);
  }
  std::string handle_call(St now, Get) { return name_of(now); }
  Transition handle_state_timeout(St now, const Do& event) { return run("state_timeout", now, event); }
  Transition handle_timeout(St now, const Do& event) { return run("timeout", now, event); }
  Transition handle_named_timeout(St now, const Do& event) { return run("named_timeout", now, event); }
  void terminate(const ExitReason& reason) {
    tell("terminate " + (reason.is_exception() ? std::string(reason.exception_message()) : to_string(reason)) + " " +
         name_of(this->state()));
    if (plan_.terminate) plan_.terminate(*this);
  }

  void tell(std::string text) const {
    if (plan_.watcher) send(plan_.watcher, Heard{std::move(text)});
  }

 private:
  Transition run(const char* type, St now, const Do& event) {
    tell(std::string(type) + " " + event.name + " " + name_of(now));
    return event.work ? event.work(*this) : keep_state();
  }
  Plan plan_;
};

using Machine = MachineOf<false>;
using Entering = MachineOf<true>;

template <class M>
ServerRef<M> start_machine(typename M::Plan plan = {}) {
  if (!plan.watcher) plan.watcher = self();
  return M::start(std::move(plan)).value();
}
// An event whose handler returns what `make` makes.
template <class M, class F>
typename M::Do does(std::string name, F make) {
  return {std::move(name), [make = std::move(make)](M&) { return make(); }};
}
template <class M>
typename M::Do goes_to(std::string name, St state) {
  return does<M>(std::move(name), [state] { return M::next_state(state); });
}
template <class M>
typename M::Do postpones(std::string name) {
  // Put aside in state a; handled in the others.
  return {std::move(name), [](M& m) { return M::keep_state().postpone(m.state() == St::a); }};
}
template <class M>
typename M::Do plain_event(std::string name) {
  return {std::move(name), {}};
}
// Ends the machine and returns all that it told.
template <class M>
Texts ended(const ServerRef<M>& machine) {
  machine.stop();
  Texts all = all_heard();
  if (!all.empty()) all.pop_back();  // "terminate :normal"
  return all;
}

}  // namespace conformance
