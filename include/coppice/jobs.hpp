// SPDX-License-Identifier: Apache-2.0
//
// Jobs: work that is done later, again after a failure, and also if the program is killed meanwhile. Link
// coppice::sqlite.
//
//   struct SendMail : Worker<SendMail> {
//     struct Args { std::string to, subject; };
//     static constexpr std::string_view queue = "mail";
//     static constexpr int max_attempts = 5;
//
//     JobResult perform(const Args& args) {
//       if (!smtp::send(args.to, args.subject)) return error("smtp_down");      // again later
//       return ok();
//     }
//   };
//
//   child<Jobs>({.database = "jobs.db", .queues = {{"mail", 10}}, .workers = workers<SendMail>()})
//
//   Jobs::insert<SendMail>({.to = "ann@example.org", .subject = "Welcome"}).value();
//   Jobs::insert<SendMail>({.to = "bob@example.org"}, {.schedule_in = 1h, .key = "bob"}).value();
//
// The promise. When insert has returned, the job is in the database, and will be performed at least once: it is done
// when `perform` has returned ok and that is written. A program that is killed between the two performs the job again
// after its restart, so perform must bear being run twice. Jobs with the same key are performed in the order of their
// insertion, one at a time, whatever their queues; one that fails blocks its key until it is done, discarded or
// cancelled, and so does one that is scheduled for later. Jobs without a key: by priority, then by time; `limit` of a
// queue at a time.
//
// An attempt fails by error(reason), a throw, an exit, a kill or the worker's `timeout`; the reason stands in
// `last_error`. The job is tried again after a delay that grows (Worker::backoff), and is `discarded` after
// max_attempts. Attempts that were broken off with the program, or by a stop whose `drain` time was over, do not count;
// but one that has been taken up again `rescues_max` times is discarded, for it may be what kills the program.
//
// perform runs in a process of its own. It may wait, call and block, and may insert jobs. The worker is made for each
// attempt.
//
// The database belongs to one Jobs at a time: a lock file beside it makes a second one fail with {:already_in_use,
// path}. It may be looked into by others meanwhile (table coppice_jobs). Times are those of the wall clock. A database
// that is full or damaged: insert gives the error {:database, kind, text}; queues say so in the log and go on trying;
// what was done and could not be written is written later, or else is done again. With ":memory:" all is lost with the
// process that holds it.
//
// All functions here may be called by any process and by foreign threads, which block. Elixir: Oban.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/config.hpp>
#include <coppice/job_args.hpp>
#include <coppice/process.hpp>
#include <coppice/reflect.hpp>
#include <coppice/result.hpp>
#include <coppice/start_result.hpp>

namespace coppice {
inline namespace v1 {

class Supervisor;

using JobId = std::int64_t;

enum class JobState : std::uint8_t {
  scheduled,  // to be performed later, at its first attempt or after a snooze
  available,  // now, as soon as its queue has room and its key is free
  executing,
  retryable,  // has failed, will be tried again
  completed,
  discarded,  // has failed too often, or said so
  cancelled
};
[[nodiscard]] COPPICE_API std::string to_string(JobState state);

// The attempt that is being made: the second parameter of perform, for workers that want it.
struct Job {
  JobId id = 0;
  std::string worker;
  std::string queue;
  std::string key;  // empty for none
  int attempt = 1;  // this one, from 1
  int max_attempts = 1;
  int rescued = 0;  // how often it was taken up again after an attempt that was broken off
};

// How an attempt ended.
class JobResult {
 public:
  enum class Kind : std::uint8_t { ok, error, snooze, cancel, discard };
  JobResult() = default;                                                            // ok
  JobResult(Ok) {}                                                                  // NOLINT
  JobResult(Error error) : kind_(Kind::error), reason_(std::move(error.reason)) {}  // NOLINT
  template <class T>
  JobResult(const Result<T>& result) {  // NOLINT
    if (!result) kind_ = Kind::error, reason_ = result.reason();
  }
  JobResult(Kind kind, ExitReason reason, std::chrono::nanoseconds delay = {})
      : kind_(kind), reason_(std::move(reason)), delay_(delay) {}

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] const ExitReason& reason() const noexcept { return reason_; }
  [[nodiscard]] std::chrono::nanoseconds delay() const noexcept { return delay_; }  // of a snooze

 private:
  Kind kind_ = Kind::ok;
  ExitReason reason_;
  std::chrono::nanoseconds delay_{0};
};

// What a queue knows of a class of jobs: made by worker<W>() and workers<Ws...>().
struct WorkerType {
  std::string name;
  WaitTime timeout = infinity;
  Backoff backoff = {};
  std::function<JobResult(std::string_view args, const Job& job)> perform = {};
};

// How a job is inserted. Every field has a default.
struct InsertOptions {
  std::chrono::nanoseconds schedule_in{0};                                 // from now
  std::optional<std::chrono::system_clock::time_point> scheduled_at = {};  // or at that time
  std::string key = {};                  // jobs of one key are performed one after the other; at most 255 bytes
  std::optional<int> priority = {};      // 0 to 9, 0 first; the worker's if none is given
  std::optional<int> max_attempts = {};  // the worker's
  std::string queue = {};                // the worker's
  // If a job of this worker with the same arguments was inserted within that time, and was neither cancelled nor
  // discarded, nothing is inserted: the result is that job.
  std::chrono::nanoseconds unique_for{0};
  std::string jobs = "Jobs";  // the name of the Jobs
};

struct Inserted {
  JobId id = 0;
  bool conflict = false;  // there was one already (unique_for)
};

// A Result<Inserted> whose value() may be called for its exit alone: `Jobs::insert<SendMail>({...}).value();`.
class [[nodiscard]] InsertResult : public Result<Inserted> {
 public:
  using Result<Inserted>::Result;
  Inserted value() const { return Result<Inserted>::value(); }
};

// The base of a class of jobs: struct SendMail : Worker<SendMail>. It has an aggregate `Args`, a default constructor,
// and `perform(const Args&)` or `perform(const Args&, const Job&)`, which returns JobResult, Result<T>, or nothing for
// ok. It may declare anew what stands here.
template <class W>
struct Worker {
  static constexpr std::string_view queue = "default";
  static constexpr int max_attempts = 20;
  static constexpr int priority = 0;
  static constexpr WaitTime timeout = infinity;  // of an attempt; then its process is killed
  // The delay after the n-th failure: first * factor^(n-1), at most max, shortened by up to `jitter` of itself.
  static constexpr Backoff backoff{
      .first = std::chrono::seconds(15), .factor = 2, .max = std::chrono::hours(24), .jitter = 0.1};

  [[nodiscard]] static JobResult ok() { return {}; }
  [[nodiscard]] static JobResult error(ExitReason reason) { return {JobResult::Kind::error, std::move(reason)}; }
  [[nodiscard]] static JobResult error(const char* atom) { return coppice::error(atom); }
  // Again after that time; does not count as an attempt.
  [[nodiscard]] static JobResult snooze(std::chrono::nanoseconds delay) { return {JobResult::Kind::snooze, {}, delay}; }
  // Not again: no longer wanted, or hopeless.
  [[nodiscard]] static JobResult cancel(ExitReason reason) { return {JobResult::Kind::cancel, std::move(reason)}; }
  [[nodiscard]] static JobResult discard(ExitReason reason) { return {JobResult::Kind::discard, std::move(reason)}; }
};

namespace detail {

// The name under which jobs of a class lie in the database: W::worker_name, or the name of the class.
template <class W>
[[nodiscard]] std::string worker_name_of() {
  if constexpr (requires { W::worker_name; }) {
    return std::string(W::worker_name);
  } else {
    return std::string(type_name_of<W>());
  }
}

template <class W>
JobResult perform_job(std::string_view text, const Job& job) {
  using Args = typename W::Args;
  const Args args = read_job_args<Args>(text);
  W worker{};
  const auto call = [&]() -> decltype(auto) {
    if constexpr (requires { worker.perform(args, job); }) {
      return worker.perform(args, job);
    } else {
      return worker.perform(args);
    }
  };
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    return {};
  } else {
    return call();
  }
}

struct NewJob {
  std::string worker;
  std::string queue;
  std::string args;
  int max_attempts = 20;
  int priority = 0;
};
[[nodiscard]] COPPICE_API Result<std::vector<Inserted>> insert_jobs(std::vector<NewJob> jobs,
                                                                    const InsertOptions& options);

template <class W>
[[nodiscard]] NewJob new_job(const typename W::Args& args) {
  return {worker_name_of<W>(), std::string(W::queue), write_job_args(args), W::max_attempts, W::priority};
}

}  // namespace detail

template <class W>
[[nodiscard]] WorkerType worker() {
  return {detail::worker_name_of<W>(), W::timeout, W::backoff, &detail::perform_job<W>};
}
template <class... Ws>
[[nodiscard]] std::vector<WorkerType> workers() {
  return {worker<Ws>()...};
}

struct QueueOptions {
  std::string name = "default";
  std::size_t limit = 10;  // jobs performed at a time
};

struct JobsOptions {
  std::string name = "Jobs";
  std::string database = "jobs.db";
  std::vector<QueueOptions> queues = {{"default", 10}};
  std::vector<WorkerType> workers = {};
  std::chrono::nanoseconds drain = std::chrono::seconds(15);  // at a stop: for the jobs that are being performed
  std::chrono::nanoseconds prune_after = std::chrono::hours(24 * 7);  // what is over for so long is deleted
  int rescues_max = 20;
  std::size_t args_max = 64 * 1024;        // bytes of the arguments of a job
  std::size_t unfinished_max = 1'000'000;  // jobs that are not over; one more is the error `full`
  bool sync = true;            // an insert waits until the disk has it; false: a loss of power may lose the last ones
  std::int64_t max_pages = 0;  // size of the database, of 4096 bytes; 0: no limit
};

// A job as it lies in the database.
struct JobInfo {
  using Time = std::chrono::system_clock::time_point;
  JobId id = 0;
  JobState state = JobState::available;
  std::string worker;
  std::string queue;
  std::string args;  // as text
  std::string key;
  int priority = 0;
  int attempt = 0;  // attempts begun
  int max_attempts = 1;
  int rescued = 0;
  Time inserted_at;
  Time scheduled_at;                      // the next attempt, or the one that is under way or was the last
  std::optional<Time> attempted_at = {};  // when the last attempt began
  std::optional<Time> finished_at = {};   // completed, discarded or cancelled
  std::string last_error;
};

// Which jobs: all that match what is set.
struct JobFilter {
  std::optional<JobState> state = {};
  std::string queue = {};
  std::string worker = {};
  std::string key = {};
  std::size_t limit = 100;    // at most 10 000; for list
  JobId after = 0;            // only jobs with a higher id: to list page by page
  std::string jobs = "Jobs";  // the name of the Jobs
};

class COPPICE_API Jobs {
 public:
  using Options = JobsOptions;

  // Starts the supervisor of a database's jobs: a process that holds the database, and for each queue one that
  // performs. Error, in the supervisor's way ({:shutdown, {:failed_to_start_child, ...}}): {:database, kind, text},
  // e.g. for a file that is damaged, which is left as it is; {:already_in_use, path}; {badarg, text} for options
  // without sense. When it is stopped, queues take no new jobs, and wait up to `drain` for those that are being
  // performed; the others are put back. (The runtime's shutdown_timeout must be longer.) By a process.
  static StartResult<Supervisor> start_link(Options options);
  [[nodiscard]] static ChildSpec child_spec(Options options);

  // Inserts a job; durable when this returns. Errors: {:args_too_big, bytes}; `full` (unfinished_max);
  // {:database, kind, text}; noproc; timeout (5 s: it may or may not have been inserted). Options without sense are
  // {badarg, text}; arguments that JSON cannot hold (an infinite double, an integer beyond 64 bits) throw
  // std::invalid_argument. A queue that nobody serves keeps the job until somebody does.
  template <class W>
  static InsertResult insert(const typename W::Args& args, const InsertOptions& options = {}) {
    Result<std::vector<Inserted>> inserted = detail::insert_jobs({detail::new_job<W>(args)}, options);
    if (!inserted) return Error{inserted.reason()};
    return inserted->front();
  }
  // Many at once, all or none.
  template <class W>
  static Result<std::vector<Inserted>> insert_all(const std::vector<typename W::Args>& all,
                                                  const InsertOptions& options = {}) {
    std::vector<detail::NewJob> jobs;
    jobs.reserve(all.size());
    for (const typename W::Args& args : all) jobs.push_back(detail::new_job<W>(args));
    return detail::insert_jobs(std::move(jobs), options);
  }

  // The functions below can fail as insert does: {:database, kind, text}, noproc, timeout (5 s).

  // How many jobs match; counted by reading them.
  static Result<std::size_t> count(const JobFilter& filter = {});
  // The jobs that match, by id; at most filter.limit of them.
  static Result<std::vector<JobInfo>> list(const JobFilter& filter = {});
  static Result<JobInfo> get(JobId id, const std::string& jobs = "Jobs");  // error: not_found
  // Cancels a job that is not over; one that is being performed is killed. Error: not_found, also for one that is over.
  static Result<> cancel(JobId id, const std::string& jobs = "Jobs");
  // Makes a job available that is over, scheduled or retryable, with one more attempt if it has none left. Error:
  // not_found, also for one that is available or executing.
  static Result<> retry(JobId id, const std::string& jobs = "Jobs");
};

}  // namespace v1
}  // namespace coppice
