// SPDX-License-Identifier: Apache-2.0
//
// Log events, filters and handlers: LR-001 to LR-012, LR-036, LR-037. What is reported: logger_reports_test.cpp.
#include <coppice/logger.hpp>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "conformance/logger_support.hpp"

using namespace conformance;

namespace {

Event event_of(Level level, std::string text) {
  Event event;
  event.level = level;
  event.text = std::move(text);
  return event;
}

struct FailingToPrint {
  FailingToPrint() = default;
  FailingToPrint(const FailingToPrint&) {}
  friend std::string to_string(const FailingToPrint&) { throw std::runtime_error("no text"); }
};

}  // namespace

BEHAVIOUR_TEST(Logger, LR_001_an_event_has_a_level_a_message_and_metadata) {
  const Capture capture;
  logger::warning({{"request"_atom, 17}}, "{} of {}", 1, "two");
  logger::text(Level::notice, "plain");
  logger::report(Level::error, {.label = "disk"_atom, .fields = {{"free"_atom, 12}}});
  const auto events = capture.events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].level, Level::warning);
  EXPECT_EQ(events[0].text, "1 of two");
  EXPECT_EQ(events[0].format, "{} of {}");
  EXPECT_EQ(*events[0].find("request"_atom), Term(17));
  EXPECT_EQ(events[0].pid(), self());
  EXPECT_EQ(events[0].group_leader(), group_leader());
  EXPECT_GT(events[0].time(), 0);
  EXPECT_TRUE(contains(to_string(*events[0].find("file"_atom)), "logger_test.cpp"));
  EXPECT_EQ(events[1].level, Level::notice);
  EXPECT_EQ(events[1].message(), "plain");
  EXPECT_TRUE(events[1].format.empty());
  ASSERT_TRUE(events[2].report.has_value());
  EXPECT_EQ(field(events[2], "free"_atom), Term(12));
}

TEST(Logger, LR_002_levels_from_emergency_to_debug_and_the_thresholds_all_and_none) {
  const Capture capture;
  const auto log_all = [] {
    logger::emergency("emergency");
    logger::alert("alert");
    logger::critical("critical");
    logger::error("error");
    logger::warning("warning");
    logger::notice("notice");
    logger::info("info");
    logger::debug("debug");
  };
  const std::vector<std::string> names{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Level level = logger::level_of(names[i]).value();
    EXPECT_EQ(logger::to_string(level), names[i]);
    logger::set_primary_level(level);
    log_all();
    std::vector<std::string> passed;
    for (const Event& event : capture.memory->take()) {
      passed.push_back(event.text);
      EXPECT_EQ(logger::to_string(event.level), event.text);
    }
    EXPECT_EQ(passed, std::vector<std::string>(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i) + 1));
  }
  logger::set_primary_level(Level::all);
  log_all();
  EXPECT_EQ(capture.memory->take().size(), 8u);
  logger::set_primary_level(Level::none);
  log_all();
  EXPECT_TRUE(capture.memory->take().empty());
}

TEST(Logger, LR_003_module_level_or_primary_level_then_primary_filters_then_each_handler) {
  const Capture capture;
  const auto errors = std::make_shared<logger::MemoryHandler>();
  ASSERT_TRUE(logger::add_handler("errors", errors, {.level = Level::error}).has_value());
  logger::set_primary_level(Level::notice);
  logger::set_module_level("Noisy", Level::debug);
  logger::set_module_level("Quiet", Level::error);
  logger::info("below the primary level");
  logger::info({{"module"_atom, "Noisy"_atom}}, "of a module with a lower level");
  logger::warning({{"module"_atom, "Quiet"_atom}}, "of a module with a higher level");
  logger::error({{"module"_atom, "Quiet"_atom}}, "an error of it");
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"of a module with a lower level", "an error of it"}));
  EXPECT_EQ(errors->texts(), (std::vector<std::string>{"an error of it"}));

  std::size_t asked = 0;
  const auto count = [&asked](const Event&) -> logger::FilterAnswer {
    ++asked;
    return Answer::stop;
  };
  ASSERT_TRUE(logger::add_primary_filter("count", count).has_value());
  logger::debug("a filter does not see what the level stops");
  EXPECT_EQ(asked, 0u);
  logger::error("but the rest, and no handler sees what it stops");
  EXPECT_EQ(asked, 1u);
  EXPECT_EQ(capture.texts().size(), 2u);
  ASSERT_TRUE(logger::remove_primary_filter("count").has_value());
  logger::unset_module_level("Noisy");
  logger::unset_module_level("Quiet");
  logger::info({{"module"_atom, "Noisy"_atom}}, "the level is gone");
  EXPECT_EQ(capture.texts().size(), 2u);
}

TEST(Logger, LR_004_a_filter_stops_ignores_or_passes_on_and_the_default_decides_the_rest) {
  const Capture capture;
  const auto text_is = [](std::string text, Answer answer) -> logger::Filter {
    return [=](const Event& event) -> logger::FilterAnswer { return event.text == text ? answer : Answer::ignore; };
  };
  const auto change = [](const Event& event) -> logger::FilterAnswer {
    if (event.text != "changed") return Answer::ignore;
    Event other = event;
    other.text = "other";
    return other;
  };
  ASSERT_TRUE(logger::add_primary_filter("stop", text_is("stopped", Answer::stop)).has_value());
  ASSERT_TRUE(logger::add_primary_filter("log", text_is("passed", Answer::log)).has_value());
  ASSERT_TRUE(logger::add_primary_filter("change", change).has_value());
  ASSERT_TRUE(logger::add_primary_filter("late", text_is("other", Answer::log)).has_value());
  const auto log_all = [] {
    logger::info("stopped");
    logger::info("passed");
    logger::info("changed");
    logger::info("no opinion");
  };
  log_all();
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"passed", "other", "no opinion"}));
  capture.memory->take();
  logger::set_primary_filter_default(logger::FilterDefault::stop);
  log_all();
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"passed", "other"}));
  for (const char* id : {"stop", "log", "change", "late"}) {
    EXPECT_TRUE(logger::remove_primary_filter(id).has_value());
  }
  EXPECT_EQ(logger::remove_primary_filter("stop").reason(), "not_found"_atom);
  capture.memory->take();
  logger::info("without any filter the default decides too");
  EXPECT_TRUE(capture.texts().empty());
}

TEST(Logger, LR_005_a_stop_by_a_handlers_filter_affects_that_handler_only) {
  const Capture capture;
  const auto other = std::make_shared<logger::MemoryHandler>();
  const auto stop_all = [](const Event&) -> logger::FilterAnswer { return Answer::stop; };
  const auto rename = [](const Event& event) -> logger::FilterAnswer {
    Event changed = event;
    changed.text = "renamed";
    return changed;
  };
  ASSERT_TRUE(logger::add_handler("other", other, {.filters = {{"rename", rename}}}).has_value());
  ASSERT_TRUE(logger::add_handler_filter("memory", "stop", stop_all).has_value());
  EXPECT_EQ(logger::add_handler_filter("memory", "stop", stop_all).reason(), "already_exists"_atom);
  logger::info("text");
  EXPECT_TRUE(capture.texts().empty());
  EXPECT_EQ(other->texts(), (std::vector<std::string>{"renamed"}));
  ASSERT_TRUE(logger::remove_handler_filter("memory", "stop").has_value());
  logger::info("text");
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"text"}));
}

BEHAVIOUR_TEST(Logger, LR_006_filters_and_handlers_run_in_the_logging_process) {
  struct Noting : logger::Handler {
    std::vector<Pid> callers;
    void log(const Event&) override {
      callers.push_back(self());
      sleep_for(1ms);  // it may wait as the process may
    }
  };
  const Capture capture;
  const auto noting = std::make_shared<Noting>();
  std::vector<Pid> filtered;
  const auto note = [&filtered](const Event&) -> logger::FilterAnswer {
    filtered.push_back(self());
    return Answer::ignore;
  };
  ASSERT_TRUE(logger::add_handler("noting", noting, {.filters = {{"note", note}}}).has_value());
  logger::info("here");
  const auto [pid, reference] = spawn_monitor([] { logger::info("there"); });
  await_end_of(reference);
  EXPECT_EQ(noting->callers, (std::vector<Pid>{self(), pid}));
  EXPECT_EQ(filtered, (std::vector<Pid>{self(), pid}));
}

BEHAVIOUR_TEST(Logger, LR_007_a_filter_or_handler_that_crashes_is_removed) {
  struct Failing : logger::Handler {
    void log(const Event&) override { throw std::runtime_error("handler failed"); }
  };
  const Capture capture;
  ASSERT_TRUE(logger::add_handler("failing", std::make_shared<Failing>()).has_value());
  const auto fail = [](const Event&) -> logger::FilterAnswer { throw Exit("filter_failed"_atom); };
  ASSERT_TRUE(logger::add_handler_filter("memory", "fail_here", fail).has_value());
  ASSERT_TRUE(logger::add_primary_filter("fail", fail).has_value());
  logger::info("first");
  EXPECT_EQ(logger::handlers(), (std::vector<std::string>{"memory"}));
  EXPECT_EQ(logger::remove_primary_filter("fail").reason(), "not_found"_atom);
  EXPECT_EQ(logger::remove_handler_filter("memory", "fail_here").reason(), "not_found"_atom);
  const auto texts = capture.texts();
  ASSERT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts[0], "first");
  EXPECT_TRUE(contains(texts[1], "The primary filter fail was removed")) << texts[1];
  EXPECT_TRUE(contains(texts[2], "The filter fail_here of the log handler memory was removed")) << texts[2];
  EXPECT_TRUE(contains(texts[3], "The log handler failing was removed")) << texts[3];
  EXPECT_TRUE(contains(texts[3], "handler failed")) << texts[3];
  logger::info("second");
  EXPECT_EQ(capture.texts().size(), 5u);
}

BEHAVIOUR_TEST(Logger, LR_007_a_process_killed_in_a_handler_ends_and_the_handler_stays) {
  struct Slow : logger::Handler {
    Pid told;
    void log(const Event&) override {
      send(told, "waiting"_atom);
      sleep_for(infinity);
    }
  };
  const Capture capture;
  const auto slow = std::make_shared<Slow>();
  slow->told = self();
  ASSERT_TRUE(logger::add_handler("slow", slow).has_value());
  const auto [pid, reference] = spawn_monitor([] {
    logger::info("text");
    sleep_for(infinity);
  });
  receive<Atom>();
  exit(pid, ExitReason::kill());
  EXPECT_EQ(await_end_of(reference), ExitReason::killed());
  EXPECT_EQ(logger::handlers(), (std::vector<std::string>{"memory", "slow"}));
}

BEHAVIOUR_TEST(Logger, LR_008_call_metadata_wins_over_the_processs_and_that_over_the_primary) {
  const Capture capture;
  logger::set_primary_metadata({{"a"_atom, 1}, {"b"_atom, 1}, {"c"_atom, 1}});
  logger::metadata({{"b"_atom, 2}, {"c"_atom, 2}, {"d"_atom, 2}});
  logger::info({{"c"_atom, 3}}, "text");
  const Event event = capture.memory->take().at(0);
  EXPECT_EQ(*event.find("a"_atom), Term(1));
  EXPECT_EQ(*event.find("b"_atom), Term(2));
  EXPECT_EQ(*event.find("c"_atom), Term(3));
  EXPECT_EQ(*event.find("d"_atom), Term(2));

  logger::metadata({{"d"_atom, Term()}});  // nil removes a key
  EXPECT_EQ(logger::metadata().size(), 2u);
  const auto [pid, reference] = spawn_monitor([] { logger::info("another process has its own"); });
  await_end_of(reference);
  const Event other = capture.memory->take().at(0);
  EXPECT_EQ(*other.find("b"_atom), Term(1));
  EXPECT_EQ(other.find("d"_atom), nullptr);
  logger::reset_metadata();
  EXPECT_TRUE(logger::metadata().empty());
}

TEST(Logger, LR_009_a_report_carries_a_label_and_a_formatting_function) {
  const Capture capture;
  const auto layout_of = [](const logger::Report& report, const InspectOptions&) {
    return "free: " + inspect(*logger::find(report.fields, "free"_atom)) + " MB";
  };
  logger::report(Level::warning,
                 {.label = tuple("disk"_atom, "low"_atom), .fields = {{"free"_atom, 12}}, .format = layout_of});
  logger::report(Level::warning, {.label = "bare"_atom, .fields = {{"x"_atom, "y"}}});
  const auto events = capture.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].report->label, tuple("disk"_atom, "low"_atom));
  EXPECT_EQ(field(events[0], "free"_atom), Term(12));
  EXPECT_EQ(events[0].message(), "free: 12 MB");
  EXPECT_EQ(events[1].message(), ":bare\n    x: \"y\"");
}

namespace {

// An output that writes only while its gate is open.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  std::size_t entered = 0;
  std::string text;

  void set_open(bool is_open) {
    const std::lock_guard lock(mutex);
    open = is_open;
    changed.notify_all();
  }
  void await_entered(std::size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return entered >= count; });
  }
  std::string written() {
    const std::lock_guard lock(mutex);
    return text;
  }
};
struct GatedOutput : logger::Output {
  std::shared_ptr<Gate> gate;
  explicit GatedOutput(std::shared_ptr<Gate> given) : gate(std::move(given)) {}
  bool write(std::string_view piece) override {
    std::unique_lock lock(gate->mutex);
    ++gate->entered;
    gate->changed.notify_all();
    gate->changed.wait(lock, [&] { return gate->open; });
    gate->text += piece;
    return true;
  }
};

}  // namespace

TEST(Logger, LR_010_beyond_ten_waiting_events_the_caller_waits_for_its_event_to_be_written) {
  const auto gate = std::make_shared<Gate>();
  logger::WritingHandler handler(std::make_unique<GatedOutput>(gate), {}, {.sync_wait_max = 50ms});
  handler.log(event_of(Level::info, "event 0"));
  gate->await_entered(1);
  for (int i = 1; i < 9; ++i) handler.log(event_of(Level::info, "event " + std::to_string(i)));  // asynchronous
  // The gate is closed, so the tenth waits for as long as it may, and its event is still written later.
  const auto begin = std::chrono::steady_clock::now();
  handler.log(event_of(Level::info, "event 9"));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
  gate->set_open(true);
  handler.flush(10s);
  EXPECT_TRUE(contains(gate->written(), "event 9"));
  EXPECT_EQ(handler.losses().total(), 0u);
}

TEST(Logger, LR_010_beyond_200_it_drops_beyond_1000_it_flushes_and_the_losses_are_told) {
  const auto gate = std::make_shared<Gate>();
  logger::WritingHandler handler(std::make_unique<GatedOutput>(gate), {}, {.sync_wait_max = 0ms, .burst_limit = false});
  handler.log(event_of(Level::info, "the first"));
  gate->await_entered(1);  // the writer holds it, and stands still
  for (int i = 1; i < 200; ++i) handler.log(event_of(Level::info, "old " + std::to_string(i)));
  EXPECT_EQ(handler.losses().total(), 0u);
  for (int i = 0; i < 800; ++i) handler.log(event_of(Level::info, "dropped"));
  EXPECT_EQ(handler.losses().dropped, 800u);
  handler.log(event_of(Level::info, "recent"));
  EXPECT_EQ(handler.losses().flushed, 199u);
  gate->set_open(true);
  EXPECT_TRUE(handler.flush(1h));
  const std::string text = gate->written();
  EXPECT_TRUE(contains(text, "the first"));
  EXPECT_TRUE(contains(text, "recent"));
  EXPECT_FALSE(contains(text, "old"));
  EXPECT_TRUE(contains(text, "has lost 999 events: 800 dropped, 199 flushed, 0 in bursts")) << text;
}

TEST(Logger, LR_010_it_limits_bursts) {
  const auto gate = std::make_shared<Gate>();
  gate->set_open(true);
  logger::WritingHandler handler(std::make_unique<GatedOutput>(gate), {}, {.burst_window = 1h});
  for (int i = 0; i < 600; ++i) handler.log(event_of(Level::info, "event"));
  EXPECT_EQ(handler.losses().burst, 100u);
  EXPECT_EQ(handler.losses().total(), 100u);
  EXPECT_TRUE(handler.flush(1h));
  EXPECT_TRUE(contains(gate->written(), "has lost 100 events: 0 dropped, 0 flushed, 100 in bursts"));
}

TEST(Logger, LR_011_logging_works_without_a_runtime_and_from_foreign_threads) {
  const Capture capture;
  logger::metadata({{"thread"_atom, "main"}});
  logger::info("from a thread");
  std::thread([] { logger::info("from another"); }).join();
  logger::reset_metadata();
  const auto events = capture.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_FALSE(events[0].pid());
  EXPECT_EQ(*events[0].find("thread"_atom), Term("main"));
  EXPECT_EQ(events[1].find("thread"_atom), nullptr);
}

BEHAVIOUR_TEST(Logger, LR_011_an_argument_that_cannot_be_formatted_does_not_disturb_the_caller) {
  const Capture capture;
  logger::info("value {}", FailingToPrint());
  const auto texts = capture.texts();
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_EQ(texts[0], "value {} (an argument could not be formatted: no text)");
  logger::set_primary_level(Level::none);
  logger::info("value {}", FailingToPrint());  // not even asked
  EXPECT_EQ(capture.texts().size(), 1u);
}

BEHAVIOUR_TEST(Logger, LR_011_a_handler_that_logs_does_not_call_itself) {
  struct Logging : logger::Handler {
    int events = 0;
    void log(const Event&) override {
      ++events;
      logger::info("from within");
    }
  };
  const Capture capture;
  const auto logging = std::make_shared<Logging>();
  ASSERT_TRUE(logger::add_handler("logging", logging).has_value());
  logger::info("from outside");
  EXPECT_EQ(logging->events, 1);
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"from outside", "from within"}));
}

TEST(Logger, LR_012_a_program_starts_with_elixirs_defaults) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a program of its own, whose logger nobody has used yet
  const auto log_some = [] {
    if (logger::handlers() != std::vector<std::string>{"default"}) std::exit(1);
    logger::debug("lowest");
    logger::error({{"domain"_atom, list("otp"_atom)}}, "of otp");
    logger::error({{"domain"_atom, list("otp"_atom, "sasl"_atom)}}, "of sasl");
    std::exit(0);
  };
  EXPECT_EXIT(
      {
        ::unsetenv("COPPICE_LOG");
        log_some();
      },
      ::testing::ExitedWithCode(0), "^[0-9:.]+ \\[debug\\] lowest\n[0-9:.]+ \\[error\\] of otp\n$");
  EXPECT_EXIT(
      {
        ::setenv("COPPICE_LOG", "error", 1);
        log_some();
      },
      ::testing::ExitedWithCode(0), "^[0-9:.]+ \\[error\\] of otp\n$");
}

TEST(Logger, LR_012_reports_of_otp_and_sasl_can_be_switched_on_and_off) {
  const Capture capture;
  const Term otp = list("otp"_atom);
  const Term sasl = list("otp"_atom, "sasl"_atom);
  logger::error({{"domain"_atom, otp}}, "otp");
  logger::error({{"domain"_atom, sasl}}, "sasl");
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"otp"}));
  capture.memory->take();
  logger::set_sasl_reports(true);
  logger::error({{"domain"_atom, sasl}}, "sasl");
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"sasl"}));
  logger::set_otp_reports(false);
  logger::error({{"domain"_atom, otp}}, "otp");
  logger::error({{"domain"_atom, sasl}}, "sasl");
  logger::error("the user's own");
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"sasl", "the user's own"}));
}

TEST(Logger, LR_036_the_formatter_limits_large_terms_and_the_report_keeps_them_whole) {
  const Capture capture;
  std::vector<int> numbers(1000, 1);
  logger::report(Level::info, {.label = "numbers"_atom, .fields = {{"all"_atom, numbers}}});
  const Event event = capture.events().at(0);
  EXPECT_EQ(field(event, "all"_atom).size(), 1000u);
  EXPECT_TRUE(contains(event.message({.limit = 2}), "[1, 1, ...]")) << event.message({.limit = 2});
  EXPECT_TRUE(contains(logger::format_event(event, {.inspect = {.limit = 3}}), "[1, 1, 1, ...]"));
  EXPECT_FALSE(contains(event.message({.limit = InspectOptions::infinity}), "..."));
}

BEHAVIOUR_TEST(Logger, LR_037_reports_of_remote_groups_can_be_filtered_by_the_group_leaders_node) {
  const Capture capture;
  const auto filter = logger::filters::remote_group_leader(Answer::stop);
  ASSERT_TRUE(logger::add_handler_filter("memory", "remote", filter).has_value());
  logger::info("of this node");
  Pid remote = self();
  remote.node = 3;
  logger::info({{"gl"_atom, remote}}, "of another");
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"of this node"}));
}
