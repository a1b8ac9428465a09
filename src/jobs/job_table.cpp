// SPDX-License-Identifier: Apache-2.0
//
// For each key at most one job that is not over has waits = 0: the one whose turn it is. The others wait for it and are
// never looked at; when it is over, the one with the lowest id has its turn. So taking jobs costs the same however many
// wait for their key or their time.
#include "jobs/job_table.hpp"

namespace coppice::jobs {
namespace {

constexpr int version = 1;

constexpr const char* schema = R"sql(
create table coppice_jobs (
  id integer primary key autoincrement,
  state text not null,
  queue text not null,
  worker text not null,
  args text not null,
  key text,
  waits integer not null,
  priority integer not null,
  attempt integer not null default 0,
  max_attempts integer not null,
  rescued integer not null default 0,
  fingerprint integer not null,
  inserted_at integer not null,
  scheduled_at integer not null,
  attempted_at integer,
  finished_at integer,
  last_error text not null default ''
);
create index coppice_jobs_available on coppice_jobs (queue, priority, scheduled_at, id)
  where state = 'available' and waits = 0;
create index coppice_jobs_due on coppice_jobs (queue, scheduled_at) where state in ('scheduled', 'retryable');
create index coppice_jobs_executing on coppice_jobs (queue) where state = 'executing';
create index coppice_jobs_key on coppice_jobs (key, id) where key is not null and finished_at is null;
create index coppice_jobs_finished on coppice_jobs (finished_at) where finished_at is not null;
create index coppice_jobs_fingerprint on coppice_jobs (fingerprint);
pragma user_version = 1;
)sql";

constexpr const char* columns =
    "id, state, worker, queue, args, key, priority, attempt, max_attempts, rescued, inserted_at, scheduled_at, "
    "attempted_at, finished_at, last_error";

struct Row {
  JobId id;
  std::string state;
  std::string worker;
  std::string queue;
  std::string args;
  std::optional<std::string> key;
  int priority;
  int attempt;
  int max_attempts;
  int rescued;
  Micros inserted_at;
  Micros scheduled_at;
  std::optional<Micros> attempted_at;
  std::optional<Micros> finished_at;
  std::string last_error;
};

JobInfo::Time time_of(Micros micros) { return JobInfo::Time(std::chrono::microseconds(micros)); }
std::optional<JobInfo::Time> time_of(const std::optional<Micros>& micros) {
  return micros ? std::optional(time_of(*micros)) : std::nullopt;
}

JobState state_of(const std::string& text) {
  for (int i = 0; i <= static_cast<int>(JobState::cancelled); ++i) {
    if (to_string(static_cast<JobState>(i)) == text) return static_cast<JobState>(i);
  }
  throw sqlite::DatabaseError(sqlite::ErrorKind::corrupt, 0, "coppice_jobs: a job in the unknown state " + text);
}

JobInfo info_of(Row row) {
  return {.id = row.id,
          .state = state_of(row.state),
          .worker = std::move(row.worker),
          .queue = std::move(row.queue),
          .args = std::move(row.args),
          .key = row.key.value_or(""),
          .priority = row.priority,
          .attempt = row.attempt,
          .max_attempts = row.max_attempts,
          .rescued = row.rescued,
          .inserted_at = time_of(row.inserted_at),
          .scheduled_at = time_of(row.scheduled_at),
          .attempted_at = time_of(row.attempted_at),
          .finished_at = time_of(row.finished_at),
          .last_error = std::move(row.last_error)};
}

std::int64_t fingerprint_of(const v1::detail::NewJob& job) {
  std::uint64_t hash = v1::detail::hash_text(job.worker);
  for (const char c : job.args) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return static_cast<std::int64_t>(hash);
}

// A filter as the end of a statement; empty text matches all.
constexpr const char* matching =
    " from coppice_jobs where (?1 = '' or state = ?1) and (?2 = '' or queue = ?2) and (?3 = '' or worker = ?3) "
    "and (?4 = '' or key = ?4) and id > ?5";

std::string state_text(const JobFilter& filter) { return filter.state ? to_string(*filter.state) : std::string(); }

}  // namespace

template <class F>
auto JobTable::atomically(F&& function) {
  const std::size_t before = unfinished_;
  try {
    return database_.transaction(function);
  } catch (...) {
    unfinished_ = before;
    throw;
  }
}

JobTable::JobTable(sqlite::Connection database, int rescues_max)
    : database_(std::move(database)), rescues_max_(rescues_max) {
  const int found = database_.query_one<int>("pragma user_version").value_or(0);
  if (found > version) {
    throw sqlite::DatabaseError(
        sqlite::ErrorKind::error, 0,
        database_.path() + ": made by a later version of coppice (" + std::to_string(found) + ")");
  }
  if (found == 0) database_.transaction([&] { database_.execute_script(schema); });
  unfinished_ = database_.query_one<std::size_t>("select count(*) from coppice_jobs where finished_at is null").value();
}

std::vector<Inserted> JobTable::insert(const std::vector<v1::detail::NewJob>& jobs, const InsertSettings& settings,
                                       Micros now) {
  const std::optional<std::string> key = settings.key.empty() ? std::nullopt : std::optional(settings.key);
  return atomically([&] {
    std::vector<Inserted> inserted;
    inserted.reserve(jobs.size());
    for (const v1::detail::NewJob& job : jobs) {
      const std::int64_t fingerprint = fingerprint_of(job);
      if (settings.unique_since) {
        const auto other = database_.query_one<JobId>(
            "select id from coppice_jobs where fingerprint = ? and worker = ? and args = ? and inserted_at >= ? "
            "and state not in ('cancelled', 'discarded') order by id desc",
            fingerprint, job.worker, job.args, *settings.unique_since);
        if (other) {
          inserted.push_back({*other, true});
          continue;
        }
      }
      database_.execute(
          "insert into coppice_jobs (state, queue, worker, args, key, waits, priority, max_attempts, fingerprint, "
          "inserted_at, scheduled_at) values (?1, ?2, ?3, ?4, ?5, "
          "exists (select 1 from coppice_jobs where key = ?5 and finished_at is null), ?6, ?7, ?8, ?9, ?10)",
          settings.later ? "scheduled" : "available", job.queue, job.worker, job.args, key, job.priority,
          job.max_attempts, fingerprint, now, settings.scheduled_at);
      inserted.push_back({database_.last_insert_id(), false});
      ++unfinished_;
    }
    return inserted;
  });
}

void JobTable::rescue(const std::string& queue, Micros now) {
  atomically([&] {
    struct Broken {
      JobId id;
      int attempt;
      int rescued;
    };
    const auto broken = database_.query<Broken>(
        "select id, attempt, rescued from coppice_jobs where state = 'executing' and (?1 = '' or queue = ?1)", queue);
    std::vector<std::string> wake;
    for (const Broken& job : broken) {
      if (job.rescued >= rescues_max_) {
        const std::string why = "broken off " + std::to_string(job.rescued + 1) + " times";
        write_end({job.id, {JobState::discarded, job.attempt, std::nullopt, true, why}}, now, wake);
      } else {
        database_.execute(
            "update coppice_jobs set state = 'available', attempt = attempt - 1, rescued = rescued + 1 where id = ?",
            job.id);
      }
    }
  });
}

Exchanged JobTable::exchange(const std::string& queue, const std::vector<Finished>& finished, std::size_t wanted,
                             Micros now) {
  return atomically([&] {
    Exchanged result;
    for (const Finished& job : finished) write_end(job, now, result.wake);
    database_.execute(
        "update coppice_jobs set state = 'available' where queue = ? and state in ('scheduled', 'retryable') "
        "and scheduled_at <= ?",
        queue, now);
    struct Taken {
      JobId id;
      std::string worker;
      std::optional<std::string> key;
      int attempt;
      int max_attempts;
      int rescued;
      std::string args;
    };
    auto taken = database_.query<Taken>(
        "select id, worker, key, attempt + 1, max_attempts, rescued, args from coppice_jobs "
        "where queue = ? and state = 'available' and waits = 0 order by priority, scheduled_at, id limit ?",
        queue, static_cast<std::int64_t>(wanted));
    for (Taken& job : taken) {
      database_.execute(
          "update coppice_jobs set state = 'executing', attempt = attempt + 1, attempted_at = ? where id = ?", now,
          job.id);
      result.jobs.push_back(
          {{job.id, std::move(job.worker), queue, job.key.value_or(""), job.attempt, job.max_attempts, job.rescued},
           std::move(job.args)});
    }
    result.next_due = database_
                          .query_one<std::optional<Micros>>(
                              "select min(scheduled_at) from coppice_jobs where queue = ? "
                              "and state in ('scheduled', 'retryable')",
                              queue)
                          .value_or(std::nullopt);
    return result;
  });
}

void JobTable::write_end(const Finished& finished, Micros now, std::vector<std::string>& wake) {
  const Next& next = finished.next;
  // An end that was written before, by a commit of which the queue has not heard, is not written again.
  const std::int64_t changed = database_.execute(
      "update coppice_jobs set state = ?, attempt = ?, scheduled_at = coalesce(?, scheduled_at), finished_at = ?, "
      "last_error = coalesce(?, last_error) where id = ? and state = 'executing'",
      to_string(next.state), next.attempt, next.scheduled_at, next.over ? std::optional(now) : std::nullopt, next.error,
      finished.id);
  if (changed == 0 || !next.over) return;
  --unfinished_;
  const auto key =
      database_.query_one<std::optional<std::string>>("select key from coppice_jobs where id = ?", finished.id);
  if (key && *key) free_key(**key, wake);
}

void JobTable::free_key(const std::string& key, std::vector<std::string>& wake) {
  struct Waiting {
    JobId id;
    std::string queue;
  };
  const auto next = database_.query_one<Waiting>(
      "select id, queue from coppice_jobs where key = ? and finished_at is null order by id limit 1", key);
  if (!next) return;
  database_.execute("update coppice_jobs set waits = 0 where id = ?", next->id);
  wake.push_back(next->queue);
}

std::size_t JobTable::count(const JobFilter& filter) {
  return database_
      .query_one<std::size_t>(std::string("select count(*)") + matching, state_text(filter), filter.queue,
                              filter.worker, filter.key, filter.after)
      .value();
}

std::vector<JobInfo> JobTable::list(const JobFilter& filter) {
  const std::size_t limit = std::min<std::size_t>(filter.limit, 10'000);
  std::vector<JobInfo> all;
  for (Row& row :
       database_.query<Row>(std::string("select ") + columns + matching + " order by id limit ?6", state_text(filter),
                            filter.queue, filter.worker, filter.key, filter.after, static_cast<std::int64_t>(limit))) {
    all.push_back(info_of(std::move(row)));
  }
  return all;
}

std::optional<JobInfo> JobTable::get(JobId id) {
  auto row = database_.query_one<Row>(std::string("select ") + columns + " from coppice_jobs where id = ?", id);
  return row ? std::optional(info_of(*std::move(row))) : std::nullopt;
}

bool JobTable::cancel(JobId id, Micros now, std::vector<std::string>& wake) {
  return atomically([&] {
    struct Kept {
      std::optional<std::string> key;
      bool waits;
    };
    const auto kept = database_.query_one<Kept>(
        "select key, waits from coppice_jobs where id = ? and finished_at is null and state != 'executing'", id);
    if (!kept) return false;
    database_.execute("update coppice_jobs set state = 'cancelled', finished_at = ? where id = ?", now, id);
    --unfinished_;
    if (kept->key && !kept->waits) free_key(*kept->key, wake);
    return true;
  });
}

std::optional<std::string> JobTable::retry(JobId id, Micros now) {
  return atomically([&]() -> std::optional<std::string> {
    struct Kept {
      std::string queue;
      bool over;
    };
    const auto kept = database_.query_one<Kept>(
        "select queue, finished_at is not null from coppice_jobs where id = ? and state not in ('available', "
        "'executing')",
        id);
    if (!kept) return std::nullopt;
    if (kept->over) {  // behind whatever has the turn of its key now
      database_.execute(
          "update coppice_jobs set waits = coalesce((select 1 from coppice_jobs o where o.key = coppice_jobs.key "
          "and o.finished_at is null limit 1), 0) where id = ?",
          id);
      ++unfinished_;
    }
    database_.execute(
        "update coppice_jobs set state = 'available', scheduled_at = ?, finished_at = null, "
        "max_attempts = max(max_attempts, attempt + 1) where id = ?",
        now, id);
    return kept->queue;
  });
}

std::int64_t JobTable::prune(Micros before, std::size_t limit) {
  return database_.execute(
      "delete from coppice_jobs where id in (select id from coppice_jobs where finished_at < ? limit ?)", before,
      static_cast<std::int64_t>(limit));
}

}  // namespace coppice::jobs
