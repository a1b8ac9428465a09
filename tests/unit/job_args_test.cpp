// SPDX-License-Identifier: Apache-2.0
//
// Arguments of jobs as text, and what becomes of a job after an attempt.
#if __has_include(<sqlite3.h>)
#include <gtest/gtest.h>

#include <coppice/job_args.hpp>

#include <limits>

#include "jobs/job_decision.hpp"

using namespace coppice;
using namespace coppice::jobs;

namespace {
namespace job_args_probe {

enum class Colour : std::uint8_t { red, blue };
struct Point {
  int x = 0;
  int y = 0;
};
struct Everything {
  bool yes = false;
  std::int64_t number = 0;
  double real = 0;
  std::string text;
  std::optional<int> perhaps;
  std::vector<Point> points;
  std::map<std::string, int> counts;
  Colour colour = Colour::red;
  std::chrono::milliseconds time{0};
};
struct Mail {
  std::string to;
  int copies = 1;
  static constexpr auto fields = names("to", "copies");
};

template <class T>
std::string refused(std::string_view text) {
  try {
    (void)read_job_args<T>(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "taken";
}

}  // namespace job_args_probe
}  // namespace

using namespace job_args_probe;

TEST(JobArgs, every_kind_of_field_comes_back_as_it_was) {
  const Everything all{true,
                       INT64_MIN,
                       0.1,
                       "quote \" slash \\ line \n \xC3\xA9",
                       7,
                       {{1, 2}, {3, 4}},
                       {{"a", 1}},
                       Colour::blue,
                       std::chrono::milliseconds(5)};
  const std::string text = write_job_args(all);
  EXPECT_EQ(
      text,
      "[true,-9223372036854775808,0.1,\"quote \\\" slash \\\\ line \\u000a \xC3\xA9\",7,[[1,2],[3,4]],{\"a\":1},1,5]");
  const auto back = read_job_args<Everything>(text);
  EXPECT_EQ(write_job_args(back), text);
  EXPECT_EQ(back.text, all.text);
  EXPECT_EQ(back.colour, Colour::blue);
  EXPECT_EQ(write_job_args(Everything{}), "[false,0,0,\"\",null,[],{},0,0]");
}

TEST(JobArgs, fields_with_names_are_an_object_that_may_change) {
  EXPECT_EQ(write_job_args(Mail{"ann", 2}), R"({"to":"ann","copies":2})");
  const auto mail = read_job_args<Mail>(R"( { "new" : [1, {"x": null}, "y"], "to" : "bob" } )");
  EXPECT_EQ(mail.to, "bob");
  EXPECT_EQ(mail.copies, 1);
  EXPECT_EQ(read_job_args<Point>("[5]").x, 5);
  EXPECT_EQ(read_job_args<std::string>(R"("\u00e9\ud83d\ude00\t\/")"), "\xC3\xA9\xF0\x9F\x98\x80\t/");
}

TEST(JobArgs, what_does_not_fit_is_refused_with_its_place) {
  EXPECT_EQ(refused<Point>("[1,2,3]").find("the arguments of a job: at byte "), 0u);
  EXPECT_NE(refused<Point>("[1,2"), "taken");
  EXPECT_NE(refused<Point>("[1,2] x"), "taken");
  EXPECT_NE(refused<Point>("[99999999999,2]"), "taken");
  EXPECT_NE(refused<Point>("[1.5,2]"), "taken");
  EXPECT_NE(refused<Point>("{}"), "taken");
  EXPECT_NE(refused<Point>(""), "taken");
  EXPECT_NE(refused<std::string>(R"("\ud83d")"), "taken");
  EXPECT_NE(refused<std::string>(R"("\u12")"), "taken");
  EXPECT_NE(refused<std::string>("\"open"), "taken");
  EXPECT_NE(refused<bool>("yes"), "taken");
  EXPECT_NE(refused<Mail>("{\"deep\":" + std::string(10'000, '[')), "taken");
  EXPECT_THROW((void)write_job_args(std::numeric_limits<double>::infinity()), std::invalid_argument);
  EXPECT_THROW((void)write_job_args(std::numeric_limits<std::uint64_t>::max()), std::invalid_argument);
}

TEST(JobDecision, the_delay_grows_up_to_its_limit_and_jitter_only_shortens_it) {
  using namespace std::chrono_literals;
  const Backoff steady{.first = 10s, .factor = 3, .max = 60s, .jitter = 0};
  EXPECT_EQ(retry_delay(steady, 1, 7), 10s);
  EXPECT_EQ(retry_delay(steady, 2, 7), 30s);
  EXPECT_EQ(retry_delay(steady, 3, 7), 60s);
  EXPECT_EQ(retry_delay(steady, 1000, 7), 60s);
  const Backoff shaken{.first = 10s, .factor = 3, .max = 60s, .jitter = 0.5};
  bool differs = false;
  for (std::uint64_t salt = 0; salt < 100; ++salt) {
    const auto delay = retry_delay(shaken, 1, salt);
    EXPECT_GE(delay, 5s);
    EXPECT_LE(delay, 10s);
    EXPECT_EQ(delay, retry_delay(shaken, 1, salt));
    differs = differs || delay != retry_delay(shaken, 1, 0);
  }
  EXPECT_TRUE(differs);
}

TEST(JobDecision, every_end_of_an_attempt_leads_to_its_state) {
  using Kind = AttemptEnd::Kind;
  using namespace std::chrono_literals;
  const Backoff backoff{.first = 2s, .factor = 2, .max = 1h, .jitter = 0};
  Job job;
  job.attempt = 2;
  job.max_attempts = 3;
  const Micros now = 1'000'000;
  struct Case {
    AttemptEnd end;
    Next next;
  };
  const Case cases[] = {
      {{Kind::ok}, {JobState::completed, 2, std::nullopt, true, std::nullopt}},
      {{Kind::failed, "boom"}, {JobState::retryable, 2, 5'000'000, false, "boom"}},
      {{Kind::snoozed, "", 7s}, {JobState::scheduled, 1, 8'000'000, false, std::nullopt}},
      {{Kind::snoozed, "", -7s}, {JobState::scheduled, 1, 1'000'000, false, std::nullopt}},
      {{Kind::cancelled, "no"}, {JobState::cancelled, 2, std::nullopt, true, "no"}},
      {{Kind::discarded, "no"}, {JobState::discarded, 2, std::nullopt, true, "no"}},
      {{Kind::put_back}, {JobState::available, 1, 1'000'000, false, std::nullopt}},
  };
  for (const Case& c : cases) EXPECT_EQ(decide(c.end, job, backoff, now), c.next) << static_cast<int>(c.end.kind);
  job.attempt = 3;
  EXPECT_EQ(decide({Kind::failed, "boom"}, job, backoff, now),
            (Next{JobState::discarded, 3, std::nullopt, true, "boom"}));
  EXPECT_EQ(decide({Kind::failed, std::string(9999, 'x')}, job, backoff, now).error->size(), reason_max);
}
#endif
