// SPDX-License-Identifier: Apache-2.0
//
// Jobs: what is performed, when, how often and in which order, and what is left after a failure, a kill or a stop.
#if __has_include(<sqlite3.h>)
#include <coppice/jobs.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include <unistd.h>

#include <coppice/adapter/sqlite.hpp>
#include <coppice/supervisor.hpp>

#include "behaviour/behaviour.hpp"

using namespace coppice;

namespace {
inline namespace jobs_probe {

struct Done {
  int number = 0;
  int attempt = 0;
  friend bool operator==(const Done&, const Done&) = default;
};
struct Busy {
  Pid pid;
};
struct GoOn {};

// Where workers report: a name, for they know nothing of the test.
void report(int number, const Job& job) { send("probe", Done{number, job.attempt}); }

struct Note : Worker<Note> {
  struct Args {
    int number = 0;
  };
  JobResult perform(const Args& args, const Job& job) { return report(args.number, job), ok(); }
};
// Fails in its own way until the given attempt.
struct Failing : Worker<Failing> {
  struct Args {
    int number = 0;
    std::string how;
    int until = 2;
  };
  static constexpr int max_attempts = 3;
  static constexpr Backoff backoff{.first = 20ms, .factor = 1, .max = 20ms, .jitter = 0};
  static constexpr WaitTime timeout = 500ms;
  JobResult perform(const Args& args, const Job& job) {
    report(args.number, job);
    if (job.attempt >= args.until) return ok();
    if (args.how == "error") return error("not_yet");
    if (args.how == "throw") throw std::runtime_error("boom");
    if (args.how == "exit") exit("gone"_atom);
    if (args.how == "hang") sleep_for(infinity);
    if (args.how == "cancel") return cancel("unwanted"_atom);
    if (args.how == "discard") return discard("hopeless"_atom);
    return ok();
  }
};
struct Sleepy : Worker<Sleepy> {
  struct Args {
    int number = 0;
  };
  JobResult perform(const Args& args, const Job& job) {
    report(args.number, job);
    static constexpr auto nap = 20ms;
    const bool rested = dictionary::get("unused"_atom).is_nil() && system_time().time_since_epoch() > awake_at;
    return rested ? ok() : snooze(nap);
  }
  static inline std::chrono::nanoseconds awake_at{0};
};
// Says that it is there and waits to be told to go on.
struct Waiting : Worker<Waiting> {
  struct Args {
    int number = 0;
  };
  static constexpr Backoff backoff{.first = 1ms};
  void perform(const Args& args, const Job& job) {
    send("probe", Busy{self()});
    receive<GoOn>();
    report(args.number, job);
  }
};

struct Directory {
  std::filesystem::path path;
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "coppice-jobs-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file() const { return (path / "jobs.db").string(); }
};

Pid start(JobsOptions options = {}) {
  if (whereis("probe") != self()) register_name(self(), "probe");
  if (options.database == "jobs.db") options.database = ":memory:";
  options.workers = workers<Note, Failing, Sleepy, Waiting>();
  options.sync = false;
  return Jobs::start_link(std::move(options)).value();
}
void stop(const Pid& jobs) { Supervisor::stop(jobs); }
void wait_until(JobId id, JobState state) {
  while (Jobs::get(id).value().state != state) sleep_for(1ms);
}

}  // namespace jobs_probe
}  // namespace

BEHAVIOUR_TEST(Jobs, a_job_is_performed_and_completed) {
  const Pid jobs = start();
  const Inserted job = Jobs::insert<Note>({7}).value();
  EXPECT_EQ(receive<Done>(), (Done{7, 1}));
  wait_until(job.id, JobState::completed);
  const JobInfo info = Jobs::get(job.id).value();
  EXPECT_EQ(info.worker, "Note");
  EXPECT_EQ(info.args, "[7]");
  EXPECT_EQ(info.attempt, 1);
  EXPECT_TRUE(info.finished_at.has_value());
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, whatever_way_an_attempt_fails_it_is_made_again) {
  const Pid jobs = start();
  for (const char* how : {"error", "throw", "exit", "hang"}) {
    const JobId id = Jobs::insert<Failing>({1, how, 2}).value().id;
    EXPECT_EQ(receive<Done>(), (Done{1, 1}));
    EXPECT_EQ(receive<Done>(), (Done{1, 2}));
    wait_until(id, JobState::completed);
    const std::string error = Jobs::get(id).value().last_error;
    EXPECT_FALSE(error.empty());
    const bool as_expected = std::string(how) != "hang" || error == "timeout";
    EXPECT_TRUE(as_expected) << how << ": " << error;
    const bool tells_what = std::string(how) != "throw" || error.find("boom") != std::string::npos;
    EXPECT_TRUE(tells_what) << how << ": " << error;
  }
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, after_its_last_attempt_a_job_is_discarded_and_may_be_retried_by_hand) {
  const Pid jobs = start();
  const JobId id = Jobs::insert<Failing>({1, "error", 4}).value().id;
  wait_until(id, JobState::discarded);
  EXPECT_EQ(Jobs::get(id).value().last_error, ":not_yet");
  EXPECT_TRUE(Jobs::retry(id).has_value());
  wait_until(id, JobState::completed);
  for (int attempt = 1; attempt <= 4; ++attempt) EXPECT_EQ(receive<Done>(), (Done{1, attempt}));
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, cancel_and_discard_end_a_job_at_once) {
  const Pid jobs = start();
  wait_until(Jobs::insert<Failing>({1, "cancel", 9}).value().id, JobState::cancelled);
  wait_until(Jobs::insert<Failing>({2, "discard", 9}).value().id, JobState::discarded);
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, a_snoozed_job_comes_again_and_has_lost_no_attempt) {
  const Pid jobs = start();
  Sleepy::awake_at = system_time().time_since_epoch() + 30ms;
  const JobId id = Jobs::insert<Sleepy>({1}, {.max_attempts = 1}).value().id;
  wait_until(id, JobState::completed);
  EXPECT_EQ(Jobs::get(id).value().attempt, 1);
  EXPECT_EQ(receive<Done>(), (Done{1, 1}));
  EXPECT_EQ(receive<Done>(), (Done{1, 1}));
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, a_scheduled_job_is_not_performed_before_its_time) {
  const Pid jobs = start();
  const auto begin = system_time();
  Jobs::insert<Note>({1}, {.schedule_in = 40ms}).value();
  Jobs::insert<Note>({2}, {.scheduled_at = begin + 10ms}).value();
  EXPECT_EQ(Jobs::count({}).value(), 2u);
  int sum = 0;
  for (int i = 0; i < 2; ++i) {
    const int number = receive<Done>().number;
    EXPECT_GE(system_time() - begin, number == 1 ? 40ms : 10ms);
    sum += number;
  }
  EXPECT_EQ(sum, 3);
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, jobs_of_a_key_keep_their_order_and_a_failing_one_blocks_its_key_alone) {
  const Pid jobs = start({.queues = {{"default", 5}, {"other", 5}}});
  Jobs::insert<Failing>({1, "error", 2}, {.key = "a"}).value();
  Jobs::insert<Note>({2}, {.key = "a", .priority = 0, .queue = "other"}).value();
  Jobs::insert<Note>({3}, {.key = "a"}).value();
  Jobs::insert<Note>({4}, {.key = "b"}).value();
  std::vector<int> of_a;
  for (int i = 0; i < 5; ++i) {
    const int number = receive<Done>().number;
    if (number != 4) of_a.push_back(number);
  }
  EXPECT_EQ(of_a, (std::vector<int>{1, 1, 2, 3}));
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, a_queue_performs_no_more_than_its_limit_and_the_important_first) {
  const Pid jobs = start({.queues = {{"default", 1}}});
  Jobs::insert<Waiting>({1}).value();
  const Pid first = receive<Busy>().pid;
  Jobs::insert<Note>({2}, {.priority = 5}).value();
  Jobs::insert<Note>({3}).value();
  EXPECT_EQ(Jobs::count({.state = JobState::available}).value(), 2u);
  send(first, GoOn{});
  EXPECT_EQ(receive<Done>().number, 1);
  EXPECT_EQ(receive<Done>().number, 3);
  EXPECT_EQ(receive<Done>().number, 2);
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, a_unique_job_is_inserted_once) {
  const Pid jobs = start();
  const Inserted first = Jobs::insert<Note>({1}, {.schedule_in = 1h, .unique_for = 1h}).value();
  const Inserted again = Jobs::insert<Note>({1}, {.unique_for = 1h}).value();
  EXPECT_TRUE(again.conflict);
  EXPECT_EQ(again.id, first.id);
  EXPECT_FALSE(Jobs::insert<Note>({2}, {.schedule_in = 1h, .unique_for = 1h}).value().conflict);
  EXPECT_TRUE(Jobs::cancel(first.id).has_value());
  EXPECT_FALSE(Jobs::insert<Note>({1}, {.schedule_in = 1h, .unique_for = 1h}).value().conflict);
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, cancelling_frees_the_key_and_kills_what_is_being_performed) {
  const Pid jobs = start();
  const JobId first = Jobs::insert<Waiting>({1}, {.key = "a"}).value().id;
  const JobId second = Jobs::insert<Note>({2}, {.schedule_in = 1h, .key = "a"}).value().id;
  Jobs::insert<Note>({3}, {.key = "a"}).value();
  receive<Busy>();
  EXPECT_TRUE(Jobs::cancel(first).has_value());
  wait_until(first, JobState::cancelled);
  EXPECT_TRUE(Jobs::cancel(second).has_value());
  EXPECT_EQ(receive<Done>().number, 3);
  EXPECT_EQ(Jobs::cancel(first).reason(), "not_found"_atom);
  EXPECT_EQ(Jobs::get(99).reason(), "not_found"_atom);
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, many_are_inserted_and_listed_page_by_page) {
  const Pid jobs = start({.queues = {}});
  std::vector<Note::Args> all;
  for (int i = 0; i < 25; ++i) all.push_back({i});
  EXPECT_EQ(Jobs::insert_all<Note>(all).value().size(), 25u);
  JobId after = 0;
  std::size_t seen = 0;
  for (;;) {
    const auto page = Jobs::list({.worker = "Note", .limit = 10, .after = after}).value();
    if (page.empty()) break;
    EXPECT_EQ(page.front().args, "[" + std::to_string(seen) + "]");
    seen += page.size();
    after = page.back().id;
  }
  EXPECT_EQ(seen, 25u);
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, limits_and_absence_are_values_and_nonsense_is_badarg) {
  const Pid jobs = start({.queues = {}, .args_max = 10, .unfinished_max = 1});
  EXPECT_EQ(Jobs::insert<Failing>({1, "much too long for this"}).reason().term()[0], Term("args_too_big"_atom));
  EXPECT_TRUE(Jobs::insert<Note>({1}).has_value());
  EXPECT_EQ(Jobs::insert<Note>({2}).reason(), "full"_atom);
  EXPECT_EQ(Jobs::insert<Note>({2}, {.jobs = "Nowhere"}).reason(), ExitReason::noproc());
  EXPECT_THROW((void)Jobs::insert<Note>({2}, {.priority = 10}), Exit);
  EXPECT_TRUE(Jobs::start_link({.name = "", .queues = {}}).is_error());
  stop(jobs);
}

BEHAVIOUR_TEST(Jobs, a_stop_waits_for_what_is_being_performed) {
  const Pid jobs = start();
  Jobs::insert<Waiting>({1}).value();
  const Pid performer = receive<Busy>().pid;
  (void)spawn([jobs] { stop(jobs); });
  send_after(performer, GoOn{}, 50ms);
  EXPECT_EQ(receive<Done>(), (Done{1, 1}));
  const Reference watch = monitor(jobs);
  EXPECT_EQ(receive<Down>().reference, watch);
}

TEST(JobsInFiles, what_was_inserted_or_broken_off_is_performed_by_the_next_program) {
  behaviour::on_threads([] {
    const Directory directory;
    Pid jobs = start({.database = directory.file(), .drain = 0ms});
    const JobId broken = Jobs::insert<Waiting>({1}).value().id;
    const JobId later = Jobs::insert<Note>({2}, {.schedule_in = 50ms}).value().id;
    receive<Busy>();
    // A second one on the same database is refused.
    trap_exit(true);
    const auto second = Jobs::start_link({.name = "Second", .database = directory.file()});
    EXPECT_NE(to_string(second.reason()).find("already_in_use"), std::string::npos) << second.reason();
    stop(jobs);
    jobs = start({.database = directory.file()});
    const Pid performer = receive<Busy>().pid;
    send(performer, GoOn{});
    std::set<int> numbers{receive<Done>().number, receive<Done>().number};
    EXPECT_EQ(numbers, (std::set<int>{1, 2}));
    wait_until(broken, JobState::completed);
    wait_until(later, JobState::completed);
    EXPECT_EQ(Jobs::get(broken).value().attempt, 1);
    stop(jobs);
  });
}

TEST(JobsInFiles, a_killed_queue_or_store_loses_nothing_and_performs_nothing_twice_at_a_time) {
  behaviour::on_threads([] {
    for (const char* victim : {"Jobs.Queue.default", "Jobs.Store", "Jobs.Tasks.default"}) {
      const Directory directory;
      const Pid jobs = start({.database = directory.file()});
      const JobId id = Jobs::insert<Waiting>({1}, {.key = "a"}).value().id;
      Jobs::insert<Note>({2}, {.key = "a"}).value();
      const Pid first = receive<Busy>().pid;
      exit(whereis(victim), ExitReason::kill());
      const Pid second = receive<Busy>().pid;
      EXPECT_NE(first, second);
      EXPECT_FALSE(alive(first));
      send(second, GoOn{});
      EXPECT_EQ(receive<Done>().number, 1) << victim;
      EXPECT_EQ(receive<Done>().number, 2) << victim;
      wait_until(id, JobState::completed);
      stop(jobs);
    }
  });
}

TEST(JobsInFiles, what_is_broken_off_too_often_is_discarded) {
  behaviour::on_threads([] {
    const Directory directory;
    for (int round = 0; round < 3; ++round) {
      const Pid jobs = start({.database = directory.file(), .drain = 0ms, .rescues_max = 1});
      if (round == 0) Jobs::insert<Waiting>({1}).value();
      if (round == 2) {
        EXPECT_EQ(Jobs::get(1).value().state, JobState::discarded);
        stop(jobs);
        break;
      }
      receive<Busy>();
      // The whole tree is killed, as with the program: nobody can put anything back.
      auto supervisors = Supervisor::which_children(jobs);
      std::erase_if(supervisors, [](const ChildInfo& child) { return child.type != ChildType::supervisor; });
      trap_exit(true);
      const Pid store = whereis("Jobs.Store");
      sys::suspend(jobs);  // so that no supervisor starts anything again before it dies itself
      for (const ChildInfo& child : supervisors) sys::suspend(child.pid);
      exit(whereis("Jobs.Queue.default"), ExitReason::kill());
      for (const ChildInfo& child : supervisors) exit(child.pid, ExitReason::kill());
      exit(jobs, ExitReason::kill());
      const Reference watch = monitor(store);
      receive(when([&](const Down& down) { return down.reference == watch; }, [](const Down&) {}));
      receive<ExitMessage>();
      while (whereis("Jobs.Tasks.default") || whereis("Jobs.Queue.default")) yield();
    }
  });
}

TEST(JobsInFiles, a_full_disk_is_an_error_and_what_is_there_is_performed) {
  behaviour::on_threads([] {
    const Directory directory;
    const Pid jobs = start({.database = directory.file(), .queues = {{"idle", 1}}, .max_pages = 40});
    const std::string long_text(5000, 'x');
    int inserted = 0;
    ExitReason reason;
    for (;; ++inserted) {
      const auto result = Jobs::insert<Failing>({inserted, long_text});
      if (!result) {
        reason = result.reason();
        break;
      }
    }
    EXPECT_GT(inserted, 3);
    EXPECT_EQ(reason.term()[0], Term("database"_atom)) << reason;
    EXPECT_EQ(reason.term()[1], Term("full"_atom)) << reason;
    EXPECT_EQ(Jobs::count().value(), static_cast<std::size_t>(inserted));
    stop(jobs);
    const Pid again = start({.database = directory.file(), .max_pages = 40});
    for (int i = 0; i < inserted; ++i) (void)receive<Done>();
    stop(again);
  });
}

TEST(JobsInFiles, a_damaged_database_is_an_error_of_the_start_and_is_left_as_it_is) {
  behaviour::on_threads([] {
    const Directory directory;
    std::ofstream(directory.file()) << std::string(8192, '?');
    trap_exit(true);
    const auto result = Jobs::start_link({.database = directory.file()});
    EXPECT_NE(to_string(result.reason()).find("not_a_database"), std::string::npos) << result.reason();
    EXPECT_EQ(std::filesystem::file_size(directory.file()), 8192u);
  });
}

TEST(JobsInFiles, what_is_over_for_long_is_deleted) {
  behaviour::on_threads([] {
    const Directory directory;
    Pid jobs = start({.database = directory.file()});
    const JobId id = Jobs::insert<Note>({1}).value().id;
    Jobs::insert<Note>({2}, {.schedule_in = 1h}).value();
    wait_until(id, JobState::completed);
    stop(jobs);
    jobs = start({.database = directory.file(), .prune_after = 0ms});
    while (Jobs::count().value() != 1) sleep_for(1ms);
    EXPECT_EQ(Jobs::get(id).reason(), "not_found"_atom);
    stop(jobs);
  });
}
#endif
