// SPDX-License-Identifier: Apache-2.0
//
// What is reported about processes and servers: PR-011, LR-021 to LR-032, LR-035.
#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>

#include <stdexcept>

#include "conformance/logger_support.hpp"

using namespace conformance;

namespace {

class Counter : public GenServer<Counter> {
 public:
  struct Boom {};
  struct BoomCall {
    using Reply = int;
  };
  struct Stop {
    Term reason;
  };
  struct Leave {
    Term reason;
  };
  struct Unknown {};
  struct Note {
    Term text;
  };
  using Messages = coppice::Messages<Note>;

  explicit Counter(int value = 0) : value_(value) {}
  void handle_cast(Boom) {
    value_ = 7;
    throw std::logic_error("boom");
  }
  int handle_call(BoomCall) { throw std::logic_error("boom in a call"); }
  Action handle_cast(Stop m) { return stop(ExitReason(m.reason)); }
  void handle_cast(Leave m) { exit(ExitReason(m.reason)); }
  void handle_info(Note) {}
  Term format_status() const { return tuple("value"_atom, value_); }

 private:
  int value_;
};

class Picky : public GenServer<Picky> {
 public:
  struct Plan {
    Term init_reason;
    Term terminate_reason;
  };
  explicit Picky(Plan plan) : plan_(std::move(plan)) {
    if (plan_.init_reason == Term("throw"_atom)) throw std::logic_error("in init");
  }
  Init init() {
    if (plan_.init_reason == Term("ignore"_atom)) return ignore();
    if (plan_.init_reason.is_tuple(2) && plan_.init_reason[0].is_atom("error"_atom)) {
      return error(ExitReason(plan_.init_reason[1]));
    }
    if (!plan_.init_reason.is_nil()) return stop(ExitReason(plan_.init_reason));
    return ok();
  }
  struct Stop {
    Term reason;
  };
  Action handle_cast(Stop m) { return stop(ExitReason(m.reason)); }
  void terminate(const ExitReason&) {
    if (plan_.terminate_reason.is_nil()) return;
    throw std::runtime_error("terminate failed");
  }

 private:
  Plan plan_;
};

// Starts a Counter, lets `act` loose on it, and waits for its end.
template <class Act>
std::pair<Pid, ExitReason> end_of_counter(Act act) {
  const auto server = Counter::start(3).value();
  const Reference reference = monitor(server.pid());
  act(server);
  return {server.pid(), await_end_of(reference)};
}

ExitReason end_of_picky(Picky::Plan plan, Term reason) {
  const auto server = Picky::start(std::move(plan)).value();
  const Reference reference = monitor(server.pid());
  server.cast(Picky::Stop{std::move(reason)});
  return await_end_of(reference);
}

const Atom otp{"otp"};
const Atom sasl{"sasl"};

}  // namespace

BEHAVIOUR_TEST(Reports, PR_011_a_bare_process_logs_one_error_for_an_error_or_a_throw_and_nothing_else) {
  const Capture capture;
  logger::set_sasl_reports(true);
  const auto end_of = [](auto function) { return await_end_of(spawn_monitor(std::move(function)).second); };
  const auto [pid, watch] = spawn_monitor([] { throw std::runtime_error("boom"); });
  await_end_of(watch);
  ASSERT_EQ(capture.events().size(), 1u);
  const Event event = capture.memory->take().at(0);
  EXPECT_EQ(event.level, Level::error);
  EXPECT_TRUE(event.message().starts_with("Process " + inspect(pid) + " raised an exception\n** (RuntimeError) boom"))
      << event.message();
  end_of([] { throw 3; });
  ASSERT_EQ(capture.events().size(), 1u);
  EXPECT_TRUE(contains(capture.memory->take().at(0).message(), "int"));
  end_of([] { exit("failed"_atom); });
  end_of([] { throw Exit("failed"_atom); });
  end_of([] { exit(self(), ExitReason::kill()); });
  end_of([] {});
  EXPECT_TRUE(capture.events().empty());
}

BEHAVIOUR_TEST(Reports, LR_030_an_uncaught_error_of_a_plain_process_is_one_event_of_the_emulator) {
  const Capture capture;
  const auto [pid, reference] = spawn_monitor([] { throw std::runtime_error("boom"); });
  const ExitReason reason = await_end_of(reference);
  const auto events = capture.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].find("domain"_atom), nullptr);
  EXPECT_EQ(*events[0].find("error_logger"_atom)->find("emulator"_atom), Term(true));
  EXPECT_EQ(events[0].pid(), pid);
  EXPECT_EQ(field(events[0], "reason"_atom), reason.term());
}

BEHAVIOUR_TEST(Reports, LR_012_one_crash_of_a_server_shows_as_its_terminate_report_only) {
  const Capture capture;
  end_of_counter([](const auto& server) { server.cast(Counter::Boom{}); });
  ASSERT_EQ(capture.events().size(), 1u);
  EXPECT_EQ(capture.terminate_reports().size(), 1u);
}

BEHAVIOUR_TEST(Reports, LR_021_what_a_servers_terminate_report_holds) {
  const Capture capture;
  const auto [pid, reason] = end_of_counter([](const auto& server) { server.cast(Counter::Boom{}); });
  const auto reports = capture.terminate_reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].level, Level::error);
  EXPECT_EQ(*reports[0].find("domain"_atom), list(otp));
  EXPECT_EQ(field(reports[0], "name"_atom), Term(inspect(pid)));
  EXPECT_EQ(field(reports[0], "last_message"_atom), Term("boom"_atom));
  EXPECT_EQ(field(reports[0], "state"_atom), tuple("value"_atom, 7));
  EXPECT_EQ(field(reports[0], "reason"_atom), reason.term());
  const std::string text = reports[0].message();
  EXPECT_TRUE(contains(text, "GenServer " + inspect(pid) + " terminating\n** (std::logic_error) boom")) << text;
  EXPECT_TRUE(contains(text, "\nLast message: :boom\nState: {:value, 7}")) << text;
}

BEHAVIOUR_TEST(Reports, LR_021_the_report_on_a_call_names_the_client_and_shows_its_stack) {
  const Capture capture;
  const Pid caller = self();
  end_of_counter([](const auto& server) { EXPECT_FALSE(server.try_call(Counter::BoomCall{}).has_value()); });
  const auto reports = capture.terminate_reports();
  ASSERT_EQ(reports.size(), 1u);
  const Term client = field(reports[0], "client_info"_atom);
  EXPECT_EQ(client[0], Term(caller));
  EXPECT_EQ(client[1], Term("alive"_atom));
  EXPECT_FALSE(client[2].empty());
  const std::string text = reports[0].message();
  EXPECT_TRUE(contains(text, "Last message (from " + inspect(Term(caller)) + "): ")) << text;
  EXPECT_TRUE(contains(text, "Client " + inspect(Term(caller)) + " is alive\n    ")) << text;
}

BEHAVIOUR_TEST(Reports, LR_022_the_reason_is_bare_for_a_stop_and_carries_the_stack_for_an_exception) {
  const Capture capture;
  end_of_counter([](const auto& server) { server.cast(Counter::Stop{"failed"_atom}); });
  EXPECT_EQ(field(capture.terminate_reports().at(0), "reason"_atom), Term("failed"_atom));
  EXPECT_TRUE(contains(capture.texts().at(0), "** (stop) :failed"));
  capture.memory->take();
  end_of_counter([](const auto& server) { server.cast(Counter::Boom{}); });
  const ExitReason reason(field(capture.terminate_reports().at(0), "reason"_atom));
  ASSERT_TRUE(reason.is_exception());
  EXPECT_FALSE(reason.stack().empty());
}

BEHAVIOUR_TEST(Reports, LR_023_the_report_is_made_after_terminate_and_about_its_own_crash) {
  const Capture capture;
  end_of_picky({{}, "fail"_atom}, "failed"_atom);
  ASSERT_EQ(capture.terminate_reports().size(), 1u);
  EXPECT_TRUE(contains(capture.memory->take().at(0).message(), "terminate failed"));
  for (const Term& reason : {Term("normal"_atom), Term("shutdown"_atom), tuple("shutdown"_atom, 1)}) {
    end_of_picky({}, reason);
    EXPECT_TRUE(capture.events().empty()) << inspect(reason);
  }
}

BEHAVIOUR_TEST(Reports, LR_025_a_generic_process_makes_a_crash_report_unless_it_ends_as_expected) {
  const Capture capture;
  logger::set_sasl_reports(true);
  const auto [pid, reason] = end_of_counter([](const auto& server) { server.cast(Counter::Boom{}); });
  const auto reports = capture.crash_reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].level, Level::error);
  EXPECT_EQ(*reports[0].find("domain"_atom), list(otp, sasl));
  EXPECT_EQ(field(reports[0], "pid"_atom), Term(pid));
  capture.memory->take();
  for (const Term& quiet : {Term("normal"_atom), Term("shutdown"_atom), tuple("shutdown"_atom, 1)}) {
    end_of_counter([&](const auto& server) { server.cast(Counter::Leave{quiet}); });
    EXPECT_TRUE(capture.events().empty()) << inspect(quiet);
  }
}

BEHAVIOUR_TEST(Reports, LR_026_what_a_crash_report_holds) {
  const Capture capture;
  logger::set_sasl_reports(true);
  trap_exit(true);
  const Pid starter = self();
  const auto server = Counter::start_link_as({.name = "reported"}, 3).value();
  const Pid neighbour = spawn([pid = server.pid(), starter] {
    link(pid);
    send(starter, "linked"_atom);
    sleep_for(infinity);
  });
  receive<Atom>();
  const Reference reference = monitor(server.pid());
  const Reference other = monitor(neighbour);
  server.cast(Counter::Boom{});
  const ExitReason reason = await_end_of(reference);
  await_end_of(other);
  const auto reports = capture.crash_reports();
  ASSERT_EQ(reports.size(), 1u);
  const Event& event = reports[0];
  EXPECT_TRUE(contains(to_string(field(event, "initial_call"_atom)), "Counter"));
  EXPECT_EQ(field(event, "pid"_atom), Term(server.pid()));
  EXPECT_EQ(field(event, "registered_name"_atom), Term("reported"_atom));
  EXPECT_EQ(field(event, "error_info"_atom), tuple("error"_atom, reason.term()));
  EXPECT_EQ(field(event, "ancestors"_atom), list(starter));
  EXPECT_EQ(field(event, "message_queue_len"_atom), Term(0));
  EXPECT_EQ(field(event, "messages"_atom), list());
  EXPECT_EQ(field(event, "links"_atom).size(), 2u);
  EXPECT_EQ(field(event, "dictionary"_atom), list());
  EXPECT_EQ(field(event, "trap_exit"_atom), Term(false));
  EXPECT_EQ(field(event, "status"_atom), Term("running"_atom));
  EXPECT_GT(field(event, "reductions"_atom), Term(0));
  const Term neighbours = field(event, "neighbours"_atom);  // not the starter: it traps exits
  ASSERT_EQ(neighbours.size(), 1u) << inspect(neighbours);
  EXPECT_EQ(*keyword_find(neighbours[0], "pid"_atom), Term(neighbour));
  const std::string text = event.message();
  EXPECT_TRUE(contains(text, "Process :reported terminating\n  crasher:\n    initial call: ")) << text;
  EXPECT_TRUE(contains(text, "\n    exception error: ** (std::logic_error) boom")) << text;
  EXPECT_TRUE(contains(text, "\n  neighbours:\n    neighbour:\n      pid: ")) << text;
}

BEHAVIOUR_TEST(Reports, LR_026_the_dictionary_of_a_crash_report_leaves_internal_keys_out) {
  const Capture capture;
  logger::set_sasl_reports(true);
  class Keeper : public GenServer<Keeper> {
   public:
    struct Fail {};
    void handle_cast(Fail) {
      logger::metadata({{"user"_atom, "ann"}});
      dictionary::put("key"_atom, 1);
      send(self().pid(), Term("left behind"));
      throw std::logic_error("boom");
    }
  };
  const auto server = Keeper::start().value();
  const Reference reference = monitor(server.pid());
  server.cast(Keeper::Fail{});
  await_end_of(reference);
  const auto reports = capture.crash_reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(field(reports[0], "dictionary"_atom), list(tuple("key"_atom, 1)));
}

BEHAVIOUR_TEST(Reports, LR_027_an_abnormal_stop_makes_a_terminate_report_and_then_a_crash_report) {
  const Capture capture;
  logger::set_sasl_reports(true);
  end_of_counter([](const auto& server) { server.cast(Counter::Stop{"failed"_atom}); });
  const auto events = capture.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].report->label, tuple("gen_server"_atom, "terminate"_atom));
  EXPECT_EQ(events[1].report->label, tuple("proc_lib"_atom, "crash"_atom));
  EXPECT_EQ(field(events[1], "error_info"_atom), tuple("exit"_atom, "failed"_atom));
}

BEHAVIOUR_TEST(Reports, LR_028_a_process_ended_by_a_signal_makes_no_report) {
  const Capture capture;
  logger::set_sasl_reports(true);
  end_of_counter([](const auto& server) { exit(server.pid(), ExitReason::kill()); });
  end_of_counter([](const auto& server) { exit(server.pid(), "failed"_atom); });
  const auto [pid, reference] = spawn_monitor([] {
    spawn_link([] { exit("failed"_atom); });
    sleep_for(infinity);
  });
  EXPECT_EQ(await_end_of(reference), "failed"_atom);
  EXPECT_TRUE(capture.events().empty()) << capture.texts().at(0);
}

BEHAVIOUR_TEST(Reports, LR_029_which_failures_of_init_are_reported) {
  const Capture capture;
  logger::set_sasl_reports(true);
  trap_exit(true);
  const auto reports_of = [&](Term reason) {
    EXPECT_FALSE(Picky::start(Picky::Plan{std::move(reason), {}}).is_ok());
    EXPECT_EQ(capture.events().size(), capture.crash_reports().size());
    return capture.memory->take().size();
  };
  EXPECT_EQ(reports_of("failed"_atom), 1u);
  EXPECT_EQ(reports_of("throw"_atom), 1u);
  EXPECT_EQ(reports_of("shutdown"_atom), 0u);
  EXPECT_EQ(reports_of("ignore"_atom), 0u);
  EXPECT_EQ(reports_of(tuple("error"_atom, "failed"_atom)), 0u);
}

BEHAVIOUR_TEST(Reports, LR_032_a_missing_handle_info_is_an_error_event) {
  const Capture capture;
  const auto server = Counter::start_as({.name = "deaf"}, 1).value();
  send(server.pid(), Counter::Unknown{});
  server.stop();
  const auto reports = capture.labelled(tuple(Atom("Elixir.GenServer"), "no_handle_info"_atom));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].level, Level::error);
  EXPECT_EQ(*reports[0].find("domain"_atom), list(otp, "elixir"_atom));
  EXPECT_EQ(reports[0].message(), "Counter deaf received unexpected message in handle_info/2: :unknown");
}

BEHAVIOUR_TEST(Reports, LR_035_format_status_is_applied_before_the_state_is_shown) {
  const Capture capture;
  end_of_counter([](const auto& server) { server.cast(Counter::Stop{"failed"_atom}); });
  EXPECT_EQ(field(capture.terminate_reports().at(0), "state"_atom), tuple("value"_atom, 3));
}

BEHAVIOUR_TEST(Reports, LR_003_the_class_of_a_server_is_the_module_of_its_events) {
  const Capture capture;
  logger::set_module_level("Counter", Level::none);
  end_of_counter([](const auto& server) { server.cast(Counter::Boom{}); });
  EXPECT_TRUE(capture.events().empty());
  logger::unset_module_level("Counter");
}
