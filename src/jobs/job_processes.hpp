// SPDX-License-Identifier: Apache-2.0
//
// The processes of Jobs and what they say to each other: the store, which holds the database, and a queue, which
// performs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/jobs.hpp>
#include <coppice/task_supervisor.hpp>

#include "jobs/job_decision.hpp"
#include "jobs/job_table.hpp"

namespace coppice::jobs {

using Options = std::shared_ptr<const JobsOptions>;

[[nodiscard]] std::string store_name(const std::string& jobs);
[[nodiscard]] std::string queue_name(const std::string& jobs, const std::string& queue);
[[nodiscard]] std::string tasks_name(const std::string& jobs, const std::string& queue);
[[nodiscard]] Micros wall_clock();

// What the store answers: a value, or why there is none ({:database, kind, text} and the like).
template <class T>
struct Answered {
  std::optional<T> value;
  ExitReason error;
};

// Holds the lock file of a database.
class LockFile {
 public:
  LockFile() = default;
  LockFile(LockFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  LockFile& operator=(LockFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~LockFile();
  // False if somebody else has it, or it cannot be made.
  [[nodiscard]] bool take(const std::string& path);

 private:
  int descriptor_ = -1;
};

class JobStore : public GenServer<JobStore> {
 public:
  struct Insert {
    using Reply = Answered<std::vector<Inserted>>;
    std::vector<v1::detail::NewJob> jobs;
    InsertSettings settings;
  };
  struct Rescue {
    using Reply = Answered<Ok>;
    std::string queue;
  };
  struct Exchange {
    using Reply = Answered<Exchanged>;
    std::string queue;
    std::vector<Finished> finished;
    std::size_t wanted = 0;
  };
  struct Count {
    using Reply = Answered<std::size_t>;
    JobFilter filter;
  };
  struct List {
    using Reply = Answered<std::vector<JobInfo>>;
    JobFilter filter;
  };
  struct Get {
    using Reply = Answered<JobInfo>;
    JobId id = 0;
  };
  struct Cancel {
    using Reply = Answered<Ok>;
    JobId id = 0;
  };
  struct Retry {
    using Reply = Answered<Ok>;
    JobId id = 0;
  };
  struct Prune {};

  explicit JobStore(Options options) : options_(std::move(options)) {}
  Init init();
  Insert::Reply handle_call(const Insert& wish);
  Rescue::Reply handle_call(const Rescue& wish);
  Exchange::Reply handle_call(const Exchange& wish);
  Count::Reply handle_call(const Count& wish);
  List::Reply handle_call(const List& wish);
  Get::Reply handle_call(const Get& wish);
  Cancel::Reply handle_call(const Cancel& wish);
  Retry::Reply handle_call(const Retry& wish);
  void handle_info(Prune);
  [[nodiscard]] Term format_status() const { return options_->database; }

 private:
  void wake(std::vector<std::string> queues);
  void prune_later(std::chrono::nanoseconds delay);

  Options options_;
  LockFile lock_;
  std::optional<JobTable> table_;
};

class JobQueue : public GenServer<JobQueue> {
 public:
  static constexpr bool trap_exit = true;
  struct Begin {};
  struct Wake {};  // there may be something to do
  struct Kill {    // cancelled from outside
    JobId id = 0;
  };
  struct Due {};
  struct Overdue {
    Reference task;
  };

  JobQueue(Options options, QueueOptions queue) : options_(std::move(options)), queue_(std::move(queue)) {}
  Init init() { return ok().then(Begin{}); }
  void handle_continue(Begin);
  void handle_cast(Wake);
  void handle_cast(const Kill& kill);
  void handle_info(Due);
  void handle_info(const Overdue& overdue);
  void handle_info(const TaskResult<JobResult>& result);
  void handle_info(const Down& down);
  void handle_info(const ExitMessage&) {}
  void terminate(const ExitReason& reason);
  [[nodiscard]] Term format_status() const;

 private:
  struct Running {
    TaskHandle<JobResult> task;
    Job job;
    Backoff backoff;
    std::optional<Reference> timer;
    std::optional<AttemptEnd> verdict;  // why it was killed
  };
  using Place = std::unordered_map<Reference, Running>::iterator;

  [[nodiscard]] ServerRef<JobStore> store() const;
  bool exchange(std::size_t wanted);
  void start(Fetched fetched);
  void end(Place place, const AttemptEnd& end);
  void kill(Place place, AttemptEnd verdict);
  void save_soon();
  void look_again_in(std::chrono::nanoseconds delay);

  Options options_;
  QueueOptions queue_;
  std::unordered_map<Reference, Running> running_;
  std::vector<Finished> unsaved_;  // ended, not yet in the database
  std::optional<Reference> due_;   // the timer of the next look
  bool begun_ = false;             // what was broken off has been taken up again
  bool saving_ = false;            // a Wake to this process is under way
  int failures_ = 0;               // of the database, one after the other
};

}  // namespace coppice::jobs
