// SPDX-License-Identifier: Apache-2.0
//
// The store: the one process that holds the database. An answer goes out when it is committed.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include <coppice/logger.hpp>
#include <coppice/timer.hpp>

#include "jobs/job_processes.hpp"

namespace coppice::jobs {
namespace {

constexpr std::size_t pruned_at_once = 1000;
constexpr std::chrono::seconds prune_every{60};

const char* name_of(sqlite::ErrorKind kind) {
  static constexpr const char* names[] = {"error",   "busy",           "constraint",  "full",
                                          "corrupt", "not_a_database", "cannot_open", "read_only",
                                          "io",      "interrupted",    "too_big"};
  return names[static_cast<int>(kind)];
}
ExitReason reason_of(const sqlite::DatabaseError& error) {
  return ExitReason(tuple("database"_atom, Atom(name_of(error.kind())), error.what()));
}

template <class T, class F>
Answered<T> answered(F&& function) {
  try {
    return {function(), {}};
  } catch (const sqlite::DatabaseError& error) {
    return {std::nullopt, reason_of(error)};
  }
}

}  // namespace

std::string store_name(const std::string& jobs) { return jobs + ".Store"; }
std::string queue_name(const std::string& jobs, const std::string& queue) { return jobs + ".Queue." + queue; }
std::string tasks_name(const std::string& jobs, const std::string& queue) { return jobs + ".Tasks." + queue; }

Micros wall_clock() {
  return std::chrono::duration_cast<std::chrono::microseconds>(system_time().time_since_epoch()).count();
}

LockFile::~LockFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool LockFile::take(const std::string& path) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  return descriptor_ >= 0 && ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
}

JobStore::Init JobStore::init() {
  const bool in_memory = options_->database.empty() || options_->database == ":memory:";
  try {
    sqlite::ConnectionOptions options{.max_pages = options_->max_pages};
    options.synchronous = options_->sync ? sqlite::Synchronous::full : sqlite::Synchronous::normal;
    sqlite::Connection database(options_->database, options);
    if (!in_memory && !lock_.take(options_->database + ".lock")) {
      return error(ExitReason(tuple("already_in_use"_atom, options_->database)));
    }
    table_.emplace(std::move(database), options_->rescues_max);
    table_->rescue("", wall_clock());
  } catch (const sqlite::DatabaseError& failure) {
    return error(reason_of(failure));
  }
  prune_later(std::chrono::seconds(0));
  return ok();
}

JobStore::Insert::Reply JobStore::handle_call(const Insert& wish) {
  if (table_->unfinished() + wish.jobs.size() > options_->unfinished_max)
    return {std::nullopt, ExitReason("full"_atom)};
  for (const v1::detail::NewJob& job : wish.jobs) {
    if (job.args.size() > options_->args_max) {
      return {std::nullopt, ExitReason(tuple("args_too_big"_atom, job.args.size()))};
    }
  }
  auto reply = answered<std::vector<Inserted>>([&] { return table_->insert(wish.jobs, wish.settings, wall_clock()); });
  if (reply.value && !wish.jobs.empty()) wake({wish.jobs.front().queue});
  return reply;
}

JobStore::Rescue::Reply JobStore::handle_call(const Rescue& wish) {
  return answered<Ok>([&] { return table_->rescue(wish.queue, wall_clock()), Ok{}; });
}

JobStore::Exchange::Reply JobStore::handle_call(const Exchange& wish) {
  auto reply =
      answered<Exchanged>([&] { return table_->exchange(wish.queue, wish.finished, wish.wanted, wall_clock()); });
  if (reply.value) wake(std::move(reply.value->wake));
  return reply;
}

JobStore::Count::Reply JobStore::handle_call(const Count& wish) {
  return answered<std::size_t>([&] { return table_->count(wish.filter); });
}

JobStore::List::Reply JobStore::handle_call(const List& wish) {
  return answered<std::vector<JobInfo>>([&] { return table_->list(wish.filter); });
}

JobStore::Get::Reply JobStore::handle_call(const Get& wish) {
  auto found = answered<std::optional<JobInfo>>([&] { return table_->get(wish.id); });
  if (!found.value) return {std::nullopt, std::move(found.error)};
  if (!*found.value) return {std::nullopt, ExitReason("not_found"_atom)};
  return {**std::move(found.value), {}};
}

JobStore::Cancel::Reply JobStore::handle_call(const Cancel& wish) {
  std::vector<std::string> queues;
  const auto cancelled = answered<bool>([&] { return table_->cancel(wish.id, wall_clock(), queues); });
  if (!cancelled.value) return {std::nullopt, cancelled.error};
  wake(std::move(queues));
  if (*cancelled.value) return {Ok{}, {}};
  const auto job = answered<std::optional<JobInfo>>([&] { return table_->get(wish.id); });
  if (!job.value || !*job.value || (*job.value)->state != JobState::executing) {
    return {std::nullopt, ExitReason("not_found"_atom)};
  }
  ServerRef<JobQueue>(whereis(queue_name(options_->name, (*job.value)->queue))).cast(JobQueue::Kill{wish.id});
  return {Ok{}, {}};
}

JobStore::Retry::Reply JobStore::handle_call(const Retry& wish) {
  const auto queue = answered<std::optional<std::string>>([&] { return table_->retry(wish.id, wall_clock()); });
  if (!queue.value) return {std::nullopt, queue.error};
  if (!*queue.value) return {std::nullopt, ExitReason("not_found"_atom)};
  wake({**queue.value});
  return {Ok{}, {}};
}

void JobStore::handle_info(Prune) {
  const Micros before =
      wall_clock() - std::chrono::duration_cast<std::chrono::microseconds>(options_->prune_after).count();
  const auto pruned = answered<std::int64_t>([&] { return table_->prune(before, pruned_at_once); });
  if (!pruned.value) logger::error("{}: old jobs could not be deleted: {}", options_->name, pruned.error);
  const bool more = pruned.value == static_cast<std::int64_t>(pruned_at_once);
  prune_later(more ? std::chrono::seconds(1) : prune_every);
}

void JobStore::prune_later(std::chrono::nanoseconds delay) { send_after(self(), Prune{}, delay); }

void JobStore::wake(std::vector<std::string> queues) {
  std::sort(queues.begin(), queues.end());
  queues.erase(std::unique(queues.begin(), queues.end()), queues.end());
  for (const std::string& queue : queues) {
    if (const Pid pid = whereis(queue_name(options_->name, queue))) ServerRef<JobQueue>(pid).cast(JobQueue::Wake{});
  }
}

}  // namespace coppice::jobs
