// SPDX-License-Identifier: Apache-2.0
//
// The jobs in their database: what is read and written, one function for each step, each a transaction of its own. No
// process and no clock: times are given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <coppice/adapter/sqlite.hpp>
#include <coppice/jobs.hpp>

#include "jobs/job_decision.hpp"

namespace coppice::jobs {

struct Fetched {
  Job job;
  std::string args;
};
struct Finished {
  JobId id = 0;
  Next next;
};
struct Exchanged {
  std::vector<Fetched> jobs;
  std::optional<Micros> next_due;  // when the next job of the queue that waits for its time is due
  std::vector<std::string> wake;   // queues in which a key has become free
};
struct InsertSettings {
  Micros scheduled_at = 0;
  bool later = false;  // scheduled_at is in the future
  std::string key;
  std::optional<Micros> unique_since;
};

class JobTable {
 public:
  // Makes the table if it is not there. Throws sqlite::DatabaseError.
  JobTable(sqlite::Connection database, int rescues_max);

  std::vector<Inserted> insert(const std::vector<v1::detail::NewJob>& jobs, const InsertSettings& settings, Micros now);
  // Takes up again what was being performed, of one queue or of all ("").
  void rescue(const std::string& queue, Micros now);
  // Writes what has ended and takes at most `wanted` jobs that can begin.
  Exchanged exchange(const std::string& queue, const std::vector<Finished>& finished, std::size_t wanted, Micros now);

  std::size_t count(const JobFilter& filter);
  std::vector<JobInfo> list(const JobFilter& filter);
  std::optional<JobInfo> get(JobId id);
  // True if it was cancelled; false if it is over or unknown. A job that is being performed is left alone.
  bool cancel(JobId id, Micros now, std::vector<std::string>& wake);
  std::optional<std::string> retry(JobId id, Micros now);  // the queue to wake; none: not possible
  // Deletes at most `limit` jobs that were over before that time; returns how many.
  std::int64_t prune(Micros before, std::size_t limit);

  [[nodiscard]] std::size_t unfinished() const noexcept { return unfinished_; }

 private:
  void free_key(const std::string& key, std::vector<std::string>& wake);
  void write_end(const Finished& finished, Micros now, std::vector<std::string>& wake);
  template <class F>
  auto atomically(F&& function);

  sqlite::Connection database_;
  int rescues_max_;
  std::size_t unfinished_ = 0;
};

}  // namespace coppice::jobs
