// SPDX-License-Identifier: Apache-2.0
//
// The handlers that are built in, and what a line looks like.
#include <coppice/logger_handler.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

using namespace coppice;
using namespace std::chrono_literals;
using logger::Event;
using logger::Level;

namespace {

Event event_of(Level level, std::string text) {
  Event event;
  event.level = level;
  event.text = std::move(text);
  event.metadata = {{"time"_atom, std::int64_t{1'715'938'496'789'000}}, {"user"_atom, "ann"}};
  return event;
}

constexpr logger::Layout utc{.utc = true};

// A directory of the test's own.
class LoggerFile : public ::testing::Test {
 protected:
  LoggerFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "coppice_logger_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~LoggerFile() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string path(const char* name) const { return (directory_ / name).string(); }
  static std::string content(const std::string& file) {
    std::ifstream in(file);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

 private:
  std::filesystem::path directory_;
};

struct Recorded {
  std::mutex mutex;
  std::string text;
  int writes = 0;
  int reopened = 0;
  bool broken = false;
};
struct RecordingOutput : logger::Output {
  std::shared_ptr<Recorded> recorded;
  bool terminal = false;
  explicit RecordingOutput(std::shared_ptr<Recorded> to, bool is_a_terminal = false)
      : recorded(std::move(to)), terminal(is_a_terminal) {}
  bool write(std::string_view piece) override {
    const std::lock_guard lock(recorded->mutex);
    ++recorded->writes;
    if (recorded->broken) return false;
    recorded->text += piece;
    return true;
  }
  void reopen() override {
    const std::lock_guard lock(recorded->mutex);
    ++recorded->reopened;
  }
  [[nodiscard]] bool is_terminal() const noexcept override { return terminal; }
};

}  // namespace

// -- layout ---------------------------------------------------------------------------------------------------------------

TEST(LoggerLayout, a_line_shows_time_level_and_text) {
  EXPECT_EQ(logger::format_event(event_of(Level::error, "text"), utc), "09:34:56.789 [error] text\n");
  EXPECT_EQ(logger::format_event(event_of(Level::info, "two\nlines"), utc), "09:34:56.789 [info] two\nlines\n");
}

TEST(LoggerLayout, the_date_and_chosen_metadata_are_shown_on_request) {
  const logger::Layout layout{.metadata = {"user"_atom, "absent"_atom}, .date = true, .utc = true};
  EXPECT_EQ(logger::format_event(event_of(Level::notice, "text"), layout),
            "2024-05-17 09:34:56.789 user=ann [notice] text\n");
}

TEST(LoggerLayout, colours_mark_the_level) {
  const logger::Layout layout{.colours = logger::Colours::always, .utc = true};
  EXPECT_EQ(logger::format_event(event_of(Level::error, "x"), layout), "\x1b[31m09:34:56.789 [error] x\x1b[0m\n");
  EXPECT_TRUE(logger::format_event(event_of(Level::warning, "x"), layout).starts_with("\x1b[33m"));
  EXPECT_TRUE(logger::format_event(event_of(Level::debug, "x"), layout).starts_with("\x1b[36m"));
}

TEST(LoggerLayout, colours_are_automatic_on_a_terminal_only) {
  for (const bool terminal : {false, true}) {
    const auto recorded = std::make_shared<Recorded>();
    logger::WritingHandler handler(std::make_unique<RecordingOutput>(recorded, terminal));
    handler.log(event_of(Level::error, "x"));
    EXPECT_TRUE(handler.flush(1h));
    EXPECT_EQ(recorded->text.find("\x1b[31m") != std::string::npos, terminal);
  }
}

TEST(LoggerLayout, the_console_heeds_no_color) {
  const char* before = std::getenv("NO_COLOR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("NO_COLOR", "1", 1);
  ::testing::internal::CaptureStderr();
  {
    logger::ConsoleHandler handler(utc);
    handler.log(event_of(Level::error, "plain"));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "09:34:56.789 [error] plain\n");
  if (before == nullptr) {
    ::unsetenv("NO_COLOR");
  } else {
    ::setenv("NO_COLOR", kept.c_str(), 1);
  }
}

// -- writing --------------------------------------------------------------------------------------------------------------

TEST(LoggerWriting, events_of_one_thread_come_out_in_order_and_whole) {
  const auto recorded = std::make_shared<Recorded>();
  logger::WritingHandler handler(std::make_unique<RecordingOutput>(recorded), utc,
                                 {.sync_wait_max = 1h, .burst_limit = false});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&handler, t] {
      for (int n = 0; n < 500; ++n) handler.log(event_of(Level::info, std::to_string(t) + ":" + std::to_string(n)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(handler.flush(1h));
  EXPECT_EQ(handler.losses().total(), 0u);
  std::istringstream lines(recorded->text);
  std::vector<int> next(4, 0);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find("[info] ");
    ASSERT_NE(at, std::string::npos) << line;
    const std::size_t thread = static_cast<std::size_t>(line[at + 7] - '0');
    EXPECT_EQ(line.substr(at + 9), std::to_string(next.at(thread)++));
  }
  EXPECT_EQ(next, (std::vector<int>{500, 500, 500, 500}));
}

TEST(LoggerWriting, the_destructor_writes_what_is_queued) {
  const auto recorded = std::make_shared<Recorded>();
  {
    logger::WritingHandler handler(std::make_unique<RecordingOutput>(recorded), utc);
    for (int i = 0; i < 100; ++i) handler.log(event_of(Level::info, "event"));
  }
  EXPECT_EQ(recorded->text.size(), 100 * std::string("09:34:56.789 [info] event\n").size());
}

TEST(LoggerWriting, what_the_output_refuses_is_counted_and_told_when_it_works_again) {
  const auto recorded = std::make_shared<Recorded>();
  recorded->broken = true;
  logger::WritingHandler handler(std::make_unique<RecordingOutput>(recorded), utc);
  for (int i = 0; i < 3; ++i) handler.log(event_of(Level::info, "lost"));
  EXPECT_TRUE(handler.flush(1h));
  EXPECT_EQ(handler.losses().failed, 3u);
  {
    const std::lock_guard lock(recorded->mutex);
    recorded->broken = false;
  }
  handler.log(event_of(Level::info, "kept"));
  EXPECT_TRUE(handler.flush(1h));
  EXPECT_NE(recorded->text.find("kept\n"), std::string::npos);
  EXPECT_NE(recorded->text.find("has lost 3 events: 0 dropped, 0 flushed, 0 in bursts, 3 not written"),
            std::string::npos)
      << recorded->text;
}

TEST(LoggerWriting, the_output_is_reopened_on_request_before_the_next_event) {
  const auto recorded = std::make_shared<Recorded>();
  logger::WritingHandler handler(std::make_unique<RecordingOutput>(recorded), utc);
  handler.log(event_of(Level::info, "one"));
  EXPECT_TRUE(handler.flush(1h));
  handler.reopen();
  handler.log(event_of(Level::info, "two"));
  EXPECT_TRUE(handler.flush(1h));
  EXPECT_EQ(recorded->reopened, 1);
}

// -- files ----------------------------------------------------------------------------------------------------------------

TEST_F(LoggerFile, a_file_is_appended_to) {
  const std::string file = path("log");
  std::ofstream(file) << "before\n";
  {
    logger::FileHandler handler(file, utc);
    handler.log(event_of(Level::info, "one"));
  }
  {
    logger::FileHandler handler(file, utc);
    handler.log(event_of(Level::info, "two"));
  }
  EXPECT_EQ(content(file), "before\n09:34:56.789 [info] one\n09:34:56.789 [info] two\n");
}

TEST_F(LoggerFile, after_reopen_a_file_that_was_moved_away_gets_no_more) {
  const std::string file = path("log");
  logger::FileHandler handler(file, utc);
  handler.log(event_of(Level::info, "one"));
  ASSERT_TRUE(handler.flush(1h));
  std::filesystem::rename(file, path("log.1"));
  handler.reopen();
  handler.log(event_of(Level::info, "two"));
  ASSERT_TRUE(handler.flush(1h));
  EXPECT_EQ(content(path("log.1")), "09:34:56.789 [info] one\n");
  EXPECT_EQ(content(file), "09:34:56.789 [info] two\n");
}

TEST_F(LoggerFile, a_full_disk_and_a_missing_directory_are_counted_and_disturb_nobody) {
  logger::FileHandler full("/dev/full", utc);
  full.log(event_of(Level::info, "text"));
  EXPECT_TRUE(full.flush(1h));
  EXPECT_EQ(full.losses().failed, 1u);

  std::filesystem::create_directory(path("gone"));
  std::filesystem::remove(path("gone"));
  logger::FileHandler missing(path("gone/log"), utc);
  missing.log(event_of(Level::info, "lost"));
  EXPECT_TRUE(missing.flush(1h));
  EXPECT_EQ(missing.losses().failed, 1u);
  std::filesystem::create_directory(path("gone"));
  missing.log(event_of(Level::info, "kept"));  // tries again
  EXPECT_TRUE(missing.flush(1h));
  EXPECT_NE(content(path("gone/log")).find("kept\n"), std::string::npos);
}

TEST_F(LoggerFile, the_child_of_a_fork_writes_at_once) {
  const std::string file = path("log");
  logger::FileHandler handler(file, utc);
  handler.log(event_of(Level::info, "parent"));
  ASSERT_TRUE(handler.flush(1h));
  const pid_t child = ::fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    handler.log(event_of(Level::info, "child"));
    ::_exit(handler.flush(1h) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  handler.log(event_of(Level::info, "parent again"));
  ASSERT_TRUE(handler.flush(1h));
  EXPECT_EQ(content(file), "09:34:56.789 [info] parent\n09:34:56.789 [info] child\n09:34:56.789 [info] parent again\n");
}

// -- memory, filters ------------------------------------------------------------------------------------------------------

TEST(LoggerMemory, it_keeps_the_newest_events) {
  logger::MemoryHandler memory(3);
  for (int i = 0; i < 5; ++i) memory.log(event_of(Level::info, std::to_string(i)));
  EXPECT_EQ(memory.texts(), (std::vector<std::string>{"2", "3", "4"}));
  EXPECT_EQ(memory.take().size(), 3u);
  EXPECT_TRUE(memory.events().empty());
}

TEST(LoggerFilters, a_domain_is_compared_in_five_ways) {
  using logger::Answer;
  using logger::filters::Compare;
  const auto answer = [](Compare compare, const Term& domain) {
    Event event;
    if (!domain.is_nil()) event.metadata = {{"domain"_atom, domain}};
    return logger::filters::domain(Answer::stop, compare, {"otp"_atom, "sasl"_atom})(event).answer();
  };
  const Term super = list("otp"_atom);
  const Term equal = list("otp"_atom, "sasl"_atom);
  const Term sub = list("otp"_atom, "sasl"_atom, "more"_atom);
  const Term other = list("mine"_atom);
  const auto stopped = [&](Compare compare) {
    std::string text;
    for (const Term& domain : {super, equal, sub, other, Term()}) {
      text += answer(compare, domain) == Answer::stop ? '1' : '0';
    }
    return text;
  };
  EXPECT_EQ(stopped(Compare::equal), "01000");
  EXPECT_EQ(stopped(Compare::sub), "01100");
  EXPECT_EQ(stopped(Compare::super), "11000");
  EXPECT_EQ(stopped(Compare::not_equal), "10111");
  EXPECT_EQ(stopped(Compare::undefined), "00001");
}

TEST(LoggerFilters, levels_and_progress_reports) {
  using logger::Answer;
  EXPECT_EQ(logger::filters::level(Answer::stop, Level::info)(event_of(Level::info, "")).answer(), Answer::stop);
  EXPECT_EQ(logger::filters::level(Answer::stop, Level::info)(event_of(Level::error, "")).answer(), Answer::ignore);
  Event progress = event_of(Level::info, "");
  EXPECT_EQ(logger::filters::progress(Answer::stop)(progress).answer(), Answer::ignore);
  progress.report = logger::Report{.label = tuple("supervisor"_atom, "progress"_atom)};
  EXPECT_EQ(logger::filters::progress(Answer::stop)(progress).answer(), Answer::stop);
}
