// SPDX-License-Identifier: Apache-2.0
//
// Probe: a server that does what a test tells it, in any of its callbacks, and tells the test what happened to it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>
#include <coppice/sys.hpp>

#include "conformance/processes_support.hpp"

// A test about durations: in virtual time only, where work takes none.
#define BEHAVIOUR_TEST_IN_SIMULATION(suite, name)                                        \
  static void suite##_##name##_body();                                                   \
  TEST(suite, name##_in_simulation) { behaviour::in_simulation(suite##_##name##_body); } \
  static void suite##_##name##_body()

namespace conformance {

// What a Probe tells its watcher.
struct Heard {
  std::string text;
};

class Probe : public GenServer<Probe> {
 public:
  using Base = GenServer<Probe>;
  using Base::Action;
  using Base::Answer;
  using Base::ignore;
  using Base::Init;
  using Base::noreply;
  using Base::ok;
  using Base::reply;
  using Base::self;
  using Base::stop;

  using Work = std::function<Action(Probe&)>;
  struct Do {
    Work work;
  };
  struct Ask {
    using Reply = Term;
    std::function<Answer<Term>(Probe&)> work;
  };
  struct Defer {
    using Reply = Term;
    std::function<void(Probe&, From<Term>)> work;
  };
  struct Inform {
    Work work;
  };
  struct Continue {
    Work work;
  };
  struct Note {
    std::string text;
  };
  using Messages = coppice::Messages<Note>;

  // What it does beyond reporting. `watcher` hears everything.
  struct Plan {
    Pid watcher = {};
    std::function<Init(Probe&)> init = {};
    std::function<void(Probe&)> terminate = {};
    std::function<Action(Probe&)> timeout = {};
  };

  explicit Probe(Plan plan) : plan_(std::move(plan)) {}
  Probe(const Probe& other) : value(other.value), plan_(other.plan_) { plan_.watcher = {}; }  // a copy is silent
  Probe& operator=(const Probe&) = delete;
  ~Probe() { tell("destroyed"); }

  Init init() { return plan_.init ? plan_.init(*this) : ok(); }
  Action handle_cast(Do m) { return m.work(*this); }
  Answer<Term> handle_call(Ask m) { return m.work(*this); }
  void handle_call(Defer m, From<Term> from) { m.work(*this, std::move(from)); }
  Action handle_continue(Continue m) { return m.work(*this); }
  Action handle_info(Inform m) { return m.work(*this); }
  void handle_info(Note m) { tell("note " + m.text); }
  void handle_info(Down m) { tell("down " + to_string(m.reason)); }
  void handle_info(ExitMessage m) { tell("exit " + to_string(m.reason)); }
  Action handle_info(Timeout) {
    tell("timeout");
    return plan_.timeout ? plan_.timeout(*this) : noreply();
  }
  void terminate(const ExitReason& reason) {
    tell("terminate " + (reason.is_exception() ? std::string(reason.exception_message()) : to_string(reason)));
    if (plan_.terminate) plan_.terminate(*this);
  }
  Term format_status() const { return Term(value); }

  void tell(std::string text) const {
    if (plan_.watcher) send(plan_.watcher, Heard{std::move(text)});
  }

  int value = 0;
  std::vector<From<Term>> held;  // calls not answered yet

 private:
  Plan plan_;
};

using ProbeRef = ServerRef<Probe>;

// Work that ends with noreply().
template <class F>
Probe::Work plain(F function) {
  return [function = std::move(function)](Probe& probe) mutable {
    function(probe);
    return Probe::noreply();
  };
}
// A note that the probe writes when it handles this cast.
inline Probe::Do note(std::string text) {
  return {plain([text = std::move(text)](Probe& probe) { probe.tell(text); })};
}
// Answers once everything before it has been handled.
inline Probe::Ask get_value() {
  return {[](Probe& probe) { return Probe::Answer<Term>(Term(probe.value)); }};
}

inline ProbeRef start_probe(Probe::Plan plan = {}) {
  if (!plan.watcher) plan.watcher = self();
  return Probe::start(std::move(plan)).value();
}
// Linked to the caller, its parent.
inline ProbeRef start_linked_probe(Probe::Plan plan = {}) {
  if (!plan.watcher) plan.watcher = self();
  return Probe::start_link(std::move(plan)).value();
}
// A plan for a server that traps exits.
inline Probe::Plan trapping() {
  return {.init = [](Probe&) {
    trap_exit(true);
    return Probe::ok();
  }};
}

// The next thing that a probe has told; waits for it.
inline std::string heard() {
  const std::optional<Heard> next = receive<Heard>(60s);
  return next ? next->text : "nothing";
}
// All that has been told until now. Complete for a probe whose end was seen.
inline std::vector<std::string> all_heard() {
  std::vector<std::string> all;
  while (const std::optional<Heard> next = receive<Heard>(0s)) all.push_back(next->text);
  return all;
}
using Texts = std::vector<std::string>;

// Waits until the mailbox of `pid`, which waits in a handler, holds so many messages.
inline void await_queue(const Pid& pid, std::size_t length) {
  for (;;) {
    const std::optional<ProcessInfo> info = process_info(pid);
    if (!info || info->message_queue_len >= length) return;
    sleep_for(1ms);
  }
}

// Keeps a probe in a handler until it gets a Release.
struct Release {};
struct Held {
  Pid pid;
};
inline Probe::Do hold() {
  return {plain([me = self()](Probe&) {
    send(me, Held{coppice::self()});
    receive<Release>();
  })};
}

// The Exit that `function` throws; `normal` if it throws none.
template <class F>
ExitReason exit_reason_of(F function) {
  try {
    function();
  } catch (const Exit& exit) {
    return exit.reason();
  }
  return {};
}

}  // namespace conformance
