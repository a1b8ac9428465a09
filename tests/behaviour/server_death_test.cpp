// SPDX-License-Identifier: Apache-2.0
//
// How servers die: in which order, in whatever they are doing, however they resist.
#include <atomic>
#include <stdexcept>

#include "conformance/gen_server_probe.hpp"

using namespace conformance;

namespace {

// Sends `to` a Heard when its scope is left.
struct Scope {
  Pid to;
  const char* text;
  ~Scope() { send(to, Heard{text}); }
};

// Waits in a handler until it is released or dies.
void wait_here(const Pid& watcher) {
  const Scope scope{watcher, "unwound"};
  send(watcher, Held{self()});
  receive<Release>();
}

}  // namespace

// -- terminate -------------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(ServerDeath, when_terminate_throws_everybody_sees_the_new_reason) {
  trap_exit(true);
  const ProbeRef probe = start_linked_probe({.terminate = [](Probe&) { throw std::logic_error("in terminate"); }});
  const Reference gone = monitor(probe);
  const auto caller = spawn_monitor([probe] {
    probe.call(Probe::Ask{[](Probe&) -> Probe::Answer<Term> { return Probe::stop("original"_atom); }}, infinity);
  });
  EXPECT_EQ(await_reason(gone).exception_message(), "in terminate");
  EXPECT_EQ(receive<ExitMessage>().reason.exception_message(), "in terminate");
  EXPECT_EQ(ExitReason(await_reason(caller.second).term()[0]).exception_message(), "in terminate");
  EXPECT_EQ(all_heard(), (Texts{"terminate :original", "destroyed"}));
}

BEHAVIOUR_TEST(ServerDeath, a_kill_that_finds_it_waiting_in_terminate_ends_it_there) {
  const Pid me = self();
  const ProbeRef probe = start_probe({.terminate = [me](Probe&) { wait_here(me); }});
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{[](Probe&) { return Probe::stop("original"_atom); }});
  receive<Held>();
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
  EXPECT_EQ(all_heard(), (Texts{"terminate :original", "unwound", "destroyed"}));
}

BEHAVIOUR_TEST(ServerDeath, an_exit_signal_that_finds_it_waiting_in_terminate_ends_it_there) {
  const Pid me = self();
  const ProbeRef probe = start_probe({.terminate = [me](Probe&) { wait_here(me); }});
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{[](Probe&) { return Probe::stop("original"_atom); }});
  receive<Held>();
  exit(probe, "signal"_atom);
  EXPECT_EQ(await_reason(gone), "signal"_atom);
  EXPECT_EQ(all_heard(), (Texts{"terminate :original", "unwound", "destroyed"}));
}

BEHAVIOUR_TEST(ServerDeath, terminate_may_wait_call_and_receive) {
  const ProbeRef helper = start_probe();
  const ProbeRef probe = start_probe({.terminate = [helper](Probe& p) {
    sleep_for(1ms);
    p.tell("answer " + inspect(helper.call(get_value())));
  }});
  probe.stop(ExitReason::shutdown());
  EXPECT_EQ(all_heard(), (Texts{"terminate :shutdown", "answer 0", "destroyed"}));
  helper.stop();
}

BEHAVIOUR_TEST(ServerDeath, stop_with_a_value_replies_after_terminate_and_before_the_down) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  const Term value = probe.call(Probe::Ask{[](Probe&) { return Probe::stop("enough"_atom, Term(7)); }});
  EXPECT_EQ(value, Term(7));
  EXPECT_EQ(heard(), "terminate :enough");  // is here already
  EXPECT_EQ(await_reason(gone), "enough"_atom);
}

BEHAVIOUR_TEST(ServerDeath, stop_with_a_value_replies_also_if_terminate_throws) {
  const ProbeRef probe = start_probe({.terminate = [](Probe&) { throw Exit("thrown"_atom); }});
  const Reference gone = monitor(probe);
  EXPECT_EQ(probe.call(Probe::Ask{[](Probe&) { return Probe::stop("enough"_atom, Term(8)); }}), Term(8));
  EXPECT_EQ(await_reason(gone), "thrown"_atom);
}

BEHAVIOUR_TEST(ServerDeath, stop_with_a_value_fails_the_call_if_terminate_is_killed) {
  const Pid me = self();
  const ProbeRef probe = start_probe({.terminate = [me](Probe&) { wait_here(me); }});
  const auto caller = spawn_monitor(
      [probe] { probe.call(Probe::Ask{[](Probe&) { return Probe::stop("enough"_atom, Term(9)); }}, infinity); });
  receive<Held>();
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(caller.second).term()[0], Term("killed"_atom));
}

// -- the order -------------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(ServerDeath, the_state_is_destroyed_after_terminate_and_before_name_and_down) {
  struct Ordered : GenServer<Ordered> {
    Pid watcher;
    explicit Ordered(Pid pid) : watcher(pid) {}
    ~Ordered() {
      const bool has_name = coppice::whereis("server_death_ordered") == coppice::self();
      send(watcher, Heard{has_name ? "destroyed with its name" : "destroyed"});
      sleep_for(1h);  // returns at once
    }
    void terminate(const ExitReason&) { send(watcher, Heard{"terminated"}); }
  };
  const auto ordered = Ordered::start_as({.name = "server_death_ordered"}, self());
  const Reference gone = monitor(ordered.value());
  exit(ordered.value(), ExitReason::kill());
  const auto first = receive<Heard, Down>();
  ASSERT_TRUE(std::holds_alternative<Heard>(first));
  EXPECT_EQ(std::get<Heard>(first).text, "destroyed with its name");
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
  EXPECT_EQ(whereis("server_death_ordered"), Pid());

  const ServerRef<Ordered> again = Ordered::start_as({.name = "server_death_ordered"}, self()).value();
  again.stop();
  EXPECT_EQ(all_heard(), (Texts{"terminated", "destroyed with its name"}));
}

BEHAVIOUR_TEST(ServerDeath, an_exit_in_a_handler_unwinds_it_then_runs_terminate) {
  const Pid me = self();
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{plain([me](Probe&) {
    const Scope scope{me, "unwound"};
    exit("left"_atom);
  })});
  EXPECT_EQ(await_reason(gone), "left"_atom);
  EXPECT_EQ(all_heard(), (Texts{"unwound", "terminate :left", "destroyed"}));
}

// -- a kill in every callback ---------------------------------------------------------------------------------------------

namespace {

// Starts a probe that will wait in some callback; kills it there.
void kill_in(const std::function<ProbeRef(Pid)>& start, const Texts& expected) {
  const ProbeRef probe = start(self());
  const Reference gone = monitor(probe);
  receive<Held>();
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
  EXPECT_EQ(all_heard(), expected);
}

}  // namespace

BEHAVIOUR_TEST(ServerDeath, a_kill_in_each_handler) {
  const Texts unwound{"unwound", "destroyed"};
  const auto waiting = [](Pid me) { return plain([me](Probe&) { wait_here(me); }); };
  kill_in(
      [&](Pid me) {
        const ProbeRef probe = start_probe();
        probe.cast(Probe::Do{waiting(me)});
        return probe;
      },
      unwound);
  kill_in(
      [&](Pid me) {
        const ProbeRef probe = start_probe();
        probe.send(Probe::Inform{waiting(me)});
        return probe;
      },
      unwound);
  kill_in(
      [&](Pid me) {
        const ProbeRef probe = start_probe();
        probe.cast(Probe::Do{[work = waiting(me)](Probe&) { return Probe::noreply().then(Probe::Continue{work}); }});
        return probe;
      },
      unwound);
  kill_in(
      [&](Pid me) {
        const ProbeRef probe = start_probe({.timeout = waiting(me)});
        probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().timeout(1ms); }});
        EXPECT_EQ(heard(), "timeout");
        return probe;
      },
      unwound);
}

BEHAVIOUR_TEST(ServerDeath, a_kill_in_a_call_fails_the_call) {
  const Pid me = self();
  const ProbeRef first = start_probe();
  const auto caller = spawn_monitor([first, me] {
    first.call(Probe::Ask{[me](Probe&) {
                 wait_here(me);
                 return Probe::Answer<Term>(Term(1));
               }},
               infinity);
  });
  receive<Held>();
  exit(first, ExitReason::kill());
  EXPECT_EQ(await_reason(caller.second).term()[0], Term("killed"_atom));
  const ProbeRef second = start_probe();
  const auto deferred = spawn_monitor([second, me] {
    second.call(Probe::Defer{[me](Probe&, From<Term> from) {
                  wait_here(me);
                  from.reply(Term(1));
                }},
                infinity);
  });
  receive<Held>();
  exit(second, ExitReason::kill());
  EXPECT_EQ(await_reason(deferred.second).term()[0], Term("killed"_atom));
}

BEHAVIOUR_TEST(ServerDeath, a_kill_in_init_fails_the_start) {
  const Pid me = self();
  const auto starter = spawn_monitor([me] {
    const auto started = Probe::start(Probe::Plan{.watcher = me, .init = [me](Probe&) {
                                                    wait_here(me);
                                                    return Probe::ok();
                                                  }});
    EXPECT_TRUE(started.is_error());
    EXPECT_EQ(started.reason(), ExitReason::killed());
  });
  exit(receive<Held>().pid, ExitReason::kill());
  EXPECT_EQ(await_reason(starter.second), ExitReason::normal());
  EXPECT_EQ(all_heard(), (Texts{"unwound", "destroyed"}));
}

BEHAVIOUR_TEST(ServerDeath, a_kill_in_the_constructor_fails_the_start) {
  struct Slow : GenServer<Slow> {
    Scope member;
    explicit Slow(Pid watcher) : member{watcher, "member"} { wait_here(watcher); }
  };
  const Pid me = self();
  const auto starter = spawn_monitor([me] {
    const auto started = Slow::start(me);
    EXPECT_EQ(started.reason(), ExitReason::killed());
  });
  exit(receive<Held>().pid, ExitReason::kill());
  EXPECT_EQ(await_reason(starter.second), ExitReason::normal());
  EXPECT_EQ(all_heard(), (Texts{"unwound", "member"}));
}

BEHAVIOUR_TEST(ServerDeath, a_kill_in_a_system_request_fails_the_request) {
  const Pid me = self();
  const ProbeRef probe = start_probe();
  const auto asker = spawn_monitor([probe, me] {
    sys::replace_state<Probe>(
        probe, [me](Probe&) { wait_here(me); }, infinity);
  });
  receive<Held>();
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(asker.second).term()[0], Term("killed"_atom));
  EXPECT_EQ(all_heard(), (Texts{"unwound", "destroyed"}));
}

BEHAVIOUR_TEST(ServerDeath, a_kill_in_a_debug_function) {
  kill_in(
      [](Pid me) {
        const ProbeRef probe = start_probe();
        sys::install(probe, "waiting"_atom, [me](const sys::Event&) {
          wait_here(me);
          return true;
        });
        probe.cast(note("not handled"));
        return probe;
      },
      {"unwound", "destroyed"});
}

BEHAVIOUR_TEST(ServerDeath, an_exit_in_a_debug_function_ends_the_server) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  sys::install(probe, "leaving"_atom, [](const sys::Event&) -> bool { exit("left"_atom); });
  probe.cast(note("handled or not"));
  EXPECT_EQ(await_reason(gone), "left"_atom);
}

BEHAVIOUR_TEST(ServerDeath, a_kill_while_continuations_follow_each_other) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  struct Chain {
    static Probe::Action next(Probe&) { return Probe::noreply().then(Probe::Continue{&Chain::next}); }
  };
  probe.cast(Probe::Do{&Chain::next});
  sleep_for(1ms);
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
  EXPECT_EQ(all_heard(), Texts{"destroyed"});
}

// -- resistance ------------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(ServerDeath, a_handler_that_swallows_its_exit_ends_when_it_returns) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{plain([](Probe& p) {
    try {
      exit("left"_atom);
    } catch (...) {
      p.tell("swallowed");
    }
  })});
  EXPECT_EQ(await_reason(gone), "left"_atom);
  EXPECT_EQ(all_heard(), (Texts{"swallowed", "terminate :left", "destroyed"}));
}

namespace {
// With a name of its own for tests/lsan.supp: what is abandoned leaks.
[[gnu::noinline]] ExitReason reason_of_a_server_that_is_abandoned_in_its_init(const Pid& watcher) {
  const auto never_leaves = [](Probe& p) -> Probe::Init {
    p.tell("init " + to_string(coppice::self()));
    for (;;) {
      try {
        sleep_for(infinity);
      } catch (...) {  // again
      }
    }
  };
  return Probe::start(Probe::Plan{.watcher = watcher, .init = never_leaves}).reason();
}
}  // namespace

BEHAVIOUR_TEST(ServerDeath, the_starter_hears_of_a_server_that_is_abandoned_in_its_init) {
  spawn([me = self()] { send(me, reason_of_a_server_that_is_abandoned_in_its_init(me)); });
  const std::string said = heard();
  for (const Pid& pid : processes()) {
    if (said == "init " + to_string(pid)) exit(pid, ExitReason::kill());
  }
  EXPECT_EQ(receive<ExitReason>(), ExitReason::killed());
}

BEHAVIOUR_TEST(ServerDeath, a_handler_that_swallows_a_kill_ends_without_terminate) {
  const Pid me = self();
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  const auto caller = spawn_monitor([probe, me] {
    probe.call(Probe::Ask{[me](Probe&) {
                 try {
                   wait_here(me);
                 } catch (...) {
                 }
                 return Probe::Answer<Term>(Term(1));
               }},
               infinity);
  });
  receive<Held>();
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
  await_reason(caller.second);
  EXPECT_EQ(all_heard(), (Texts{"unwound", "destroyed"}));
}

BEHAVIOUR_TEST(ServerDeath, terminate_that_swallows_a_kill_ends_all_the_same) {
  const Pid me = self();
  const ProbeRef probe = start_probe({.terminate = [me](Probe&) {
    try {
      wait_here(me);
    } catch (...) {
    }
  }});
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{[](Probe&) { return Probe::stop("original"_atom); }});
  receive<Held>();
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
}

BEHAVIOUR_TEST(ServerDeath, a_server_that_is_killed_while_it_is_suspended) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  sys::suspend(probe);
  const auto caller = spawn_monitor([probe] { probe.call(get_value(), infinity); });
  await_queue(probe, 1);
  exit(probe, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
  EXPECT_EQ(await_reason(caller.second).term()[0], Term("killed"_atom));
  EXPECT_EQ(all_heard(), Texts{"destroyed"});
}

BEHAVIOUR_TEST(ServerDeath, an_exit_signal_to_a_suspended_server_that_does_not_trap) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  sys::suspend(probe);
  exit(probe, "signal"_atom);
  EXPECT_EQ(await_reason(gone), "signal"_atom);
  EXPECT_EQ(all_heard(), Texts{"destroyed"});
}

// -- size ------------------------------------------------------------------------------------------------------------------

namespace {

// Casts so many messages to a probe that is busy, then kills it.
void flood(int messages) {
  static std::atomic<int> alive_messages;
  struct Counted {
    Counted() { ++alive_messages; }
    Counted(const Counted&) { ++alive_messages; }
    ~Counted() { --alive_messages; }
  };
  alive_messages = 0;
  {
    const ProbeRef probe = start_probe();
    const Reference gone = monitor(probe);
    probe.cast(hold());
    receive<Held>();
    for (int i = 0; i < messages; ++i) probe.cast(Probe::Do{plain([counted = Counted()](Probe&) {})});
    exit(probe, ExitReason::kill());
    EXPECT_EQ(await_reason(gone), ExitReason::killed());
    EXPECT_EQ(all_heard(), Texts{"destroyed"});
  }
  EXPECT_EQ(alive_messages, 0);  // they are gone before the Down comes
}

}  // namespace

BEHAVIOUR_TEST(ServerDeath, a_thousand_casts_are_queued_and_the_server_is_killed) { flood(1000); }
TEST(ServerDeath, a_million_casts_are_queued_and_the_server_is_killed) {
  behaviour::on_threads([] { flood(1'000'000); });
}

namespace {

// How far the stack has been used below `top`, in bytes.
__attribute__((noinline)) std::size_t descend(const char* top, std::size_t wanted) {
  volatile char room[512];
  room[0] = 1;
  const auto used = static_cast<std::size_t>(top - const_cast<const char*>(room));
  if (used >= wanted) return used + static_cast<std::size_t>(room[0]) - 1;
  const std::size_t deepest = descend(top, wanted);
  return deepest + static_cast<std::size_t>(room[0]) - 1;  // not a tail call
}

struct Deep : GenServer<Deep> {
  static constexpr std::size_t stack_size = 1 << 20;
  struct Descend {
    using Reply = std::size_t;
    std::size_t wanted;
  };
  struct DescendAndThrow {};
  std::size_t handle_call(Descend m) {
    const char top = 0;
    const std::size_t depth = descend(&top, m.wanted);
    yield();  // what was used may go back to the system; the next descent finds it again
    return depth;
  }
  void handle_cast(DescendAndThrow) {
    const char top = 0;
    descend(&top, 700 << 10);
    throw std::logic_error("from above");
  }
};

}  // namespace

BEHAVIOUR_TEST(ServerDeath, a_server_with_a_big_stack_uses_it) {
  const auto deep = Deep::start_monitor();
  for (int i = 0; i < 3; ++i) EXPECT_GE(deep.value().call(Deep::Descend{700 << 10}), 700u << 10);
  deep.value().cast(Deep::DescendAndThrow{});
  EXPECT_EQ(await_reason(deep.monitor()).exception_message(), "from above");
}

namespace {

struct Nomad : GenServer<Nomad> {
  static constexpr bool migratable = true;
  struct Wander {
    using Reply = int;
    int steps;
  };
  explicit Nomad(Pid watcher) : watcher_(watcher) {}
  ~Nomad() { send(watcher_, Heard{"destroyed"}); }
  int handle_call(Wander m) {
    int sum = 0;
    for (int i = 0; i < m.steps; ++i) {
      if (i % 3 == 0) yield();
      if (i % 5 == 0) sleep_for(std::chrono::microseconds(50));
      sum += i;
    }
    return sum;
  }
  Pid watcher_;
};

}  // namespace

BEHAVIOUR_TEST(ServerDeath, migratable_servers_work_and_die_like_others) {
  std::vector<ServerRef<Nomad>> nomads;
  std::vector<Request<int>> requests;
  for (int i = 0; i < 8; ++i) {
    nomads.push_back(Nomad::start(self()).value());
    requests.push_back(nomads.back().send_request(Nomad::Wander{20}));
  }
  for (const Request<int>& request : requests) EXPECT_EQ(wait_response(request, infinity)->value(), 190);
  for (const ServerRef<Nomad>& nomad : nomads) requests.push_back(nomad.send_request(Nomad::Wander{1000}));
  yield();
  for (const ServerRef<Nomad>& nomad : nomads) {
    const Reference gone = monitor(nomad);
    exit(nomad, ExitReason::kill());
    EXPECT_EQ(await_reason(gone), ExitReason::killed());
  }
  EXPECT_EQ(all_heard(), Texts(8, "destroyed"));
}
