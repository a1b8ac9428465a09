// SPDX-License-Identifier: Apache-2.0
//
// The tree, and what users call. The store stands first and takes all queues with it; a queue and the supervisor of its
// tasks live and die together, so that no job is taken up again while its last attempt still runs.
#include <coppice/jobs.hpp>

#include <set>

#include <coppice/supervisor.hpp>
#include <coppice/timer.hpp>

#include "jobs/job_processes.hpp"

namespace coppice {
inline namespace v1 {
namespace {

constexpr std::size_t name_max = 255;

const char* what_is_wrong(const JobsOptions& options) {
  if (options.name.empty() || options.name.size() > 100) return "Jobs: the name must have 1 to 100 bytes";
  if (options.drain.count() < 0 || options.prune_after.count() < 0)
    return "Jobs: drain and prune_after are not negative";
  std::set<std::string> seen;
  for (const QueueOptions& queue : options.queues) {
    if (queue.name.empty() || queue.name.size() > 100) return "Jobs: the name of a queue must have 1 to 100 bytes";
    if (queue.limit == 0) return "Jobs: the limit of a queue must be at least 1";
    if (!seen.insert(queue.name).second) return "Jobs: two queues of the same name";
  }
  seen.clear();
  for (const WorkerType& type : options.workers) {
    if (!seen.insert(type.name).second) return "Jobs: two workers of the same name: give one a worker_name";
    if (!type.perform) return "Jobs: a worker without a function";
  }
  return nullptr;
}

ServerRef<jobs::JobStore> store(const std::string& name) {
  return ServerRef<jobs::JobStore>(whereis(jobs::store_name(name)));
}

template <class T>
Result<T> result_of(Result<jobs::Answered<T>> answered) {
  if (!answered) return Error{answered.reason()};
  if (!answered->value) return Error{answered->error};
  return *std::move(answered->value);
}

}  // namespace

std::string to_string(JobState state) {
  static constexpr const char* names[] = {"scheduled", "available", "executing", "retryable",
                                          "completed", "discarded", "cancelled"};
  return names[static_cast<int>(state)];
}

StartResult<Supervisor> Jobs::start_link(Options options) {
  if (const char* wrong = what_is_wrong(options)) {
    return StartResult<Supervisor>({StartOutcome::Kind::error, {}, ExitReason::badarg(wrong), {}});
  }
  const auto shared = std::make_shared<const JobsOptions>(std::move(options));
  const std::string& name = shared->name;
  std::vector<ChildSpec> children{child(Term("store"_atom), [shared] {
    return jobs::JobStore::start_link_as({.name = jobs::store_name(shared->name)}, shared);
  })};
  for (const QueueOptions& queue : shared->queues) {
    ChildSpec worker = child(Term("queue"_atom), [shared, queue] {
      return jobs::JobQueue::start_link_as({.name = jobs::queue_name(shared->name, queue.name)}, shared, queue);
    });
    worker.shutdown(shared->drain + std::chrono::seconds(5));
    ChildSpec both = supervisor({child<TaskSupervisor>({.name = jobs::tasks_name(name, queue.name)}), worker},
                                {.strategy = Strategy::one_for_all});
    children.push_back(both.id(Term(queue.name)));
  }
  return Supervisor::start_link(std::move(children), {.name = name, .strategy = Strategy::rest_for_one});
}

ChildSpec Jobs::child_spec(Options options) {
  const Term id{Atom(options.name)};
  ChildSpec spec = detail::default_child_spec<Jobs>(std::move(options));
  return spec.id(id).default_to({.type = ChildType::supervisor});
}

namespace detail {

Result<std::vector<Inserted>> insert_jobs(std::vector<NewJob> all, const InsertOptions& options) {
  if (options.key.size() > name_max) throw_badarg("Jobs::insert: a key has at most 255 bytes");
  if (options.priority && (*options.priority < 0 || *options.priority > 9)) {
    throw_badarg("Jobs::insert: a priority is 0 to 9");
  }
  if (options.max_attempts && *options.max_attempts < 1) throw_badarg("Jobs::insert: max_attempts is at least 1");
  if (options.queue.size() > 100) throw_badarg("Jobs::insert: the name of a queue has at most 100 bytes");
  if (options.schedule_in.count() < 0 || options.unique_for.count() < 0) {
    throw_badarg("Jobs::insert: schedule_in and unique_for are not negative");
  }
  const jobs::Micros now = jobs::wall_clock();
  const auto micros = [](auto duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  };
  jobs::InsertSettings settings{
      .scheduled_at = now + micros(options.schedule_in), .key = options.key, .unique_since = {}};
  if (options.scheduled_at) settings.scheduled_at = micros(options.scheduled_at->time_since_epoch());
  settings.later = settings.scheduled_at > now;
  if (options.unique_for.count() > 0) settings.unique_since = now - micros(options.unique_for);
  for (NewJob& job : all) {
    if (options.priority) job.priority = *options.priority;
    if (options.max_attempts) job.max_attempts = *options.max_attempts;
    if (!options.queue.empty()) job.queue = options.queue;
  }
  return result_of(store(options.jobs).try_call(jobs::JobStore::Insert{std::move(all), std::move(settings)}));
}

}  // namespace detail

Result<std::size_t> Jobs::count(const JobFilter& filter) {
  return result_of(store(filter.jobs).try_call(jobs::JobStore::Count{filter}));
}
Result<std::vector<JobInfo>> Jobs::list(const JobFilter& filter) {
  return result_of(store(filter.jobs).try_call(jobs::JobStore::List{filter}));
}
Result<JobInfo> Jobs::get(JobId id, const std::string& jobs) {
  return result_of(store(jobs).try_call(jobs::JobStore::Get{id}));
}
Result<> Jobs::cancel(JobId id, const std::string& jobs) {
  return result_of(store(jobs).try_call(jobs::JobStore::Cancel{id}));
}
Result<> Jobs::retry(JobId id, const std::string& jobs) {
  return result_of(store(jobs).try_call(jobs::JobStore::Retry{id}));
}

}  // namespace v1
}  // namespace coppice
