// SPDX-License-Identifier: Apache-2.0
//
// A queue: takes jobs from the store while it has room, lets each be performed in a task, and writes how it ended. What
// ends while something else is being written is written together.
#include <algorithm>

#include <coppice/logger.hpp>
#include <coppice/timer.hpp>

#include "jobs/job_processes.hpp"

namespace coppice::jobs {
namespace {

using Kind = AttemptEnd::Kind;

AttemptEnd end_of(const JobResult& result) {
  std::string reason = format_exit(result.reason());
  switch (result.kind()) {
    case JobResult::Kind::ok: return {};
    case JobResult::Kind::error: return {Kind::failed, std::move(reason)};
    case JobResult::Kind::snooze: return {Kind::snoozed, {}, result.delay()};
    case JobResult::Kind::cancel: return {Kind::cancelled, std::move(reason)};
    case JobResult::Kind::discard: return {Kind::discarded, std::move(reason)};
  }
  return {};
}

// What a task runs. Its type is what reports show.
struct PerformJob {
  std::function<JobResult(std::string_view, const Job&)> perform;
  std::string args;
  Job job;
  JobResult operator()() const { return perform(args, job); }
};

}  // namespace

ServerRef<JobStore> JobQueue::store() const { return ServerRef<JobStore>(whereis(store_name(options_->name))); }

void JobQueue::handle_continue(Begin) { handle_cast(Wake{}); }

void JobQueue::handle_cast(Wake) {
  saving_ = false;
  const std::size_t room = queue_.limit > running_.size() ? queue_.limit - running_.size() : 0;
  if (room > 0 || !unsaved_.empty()) exchange(room);
}

void JobQueue::handle_info(Due) {
  due_.reset();
  handle_cast(Wake{});
}

// False if the database did not take it: then it is tried again later.
bool JobQueue::exchange(std::size_t wanted) {
  const ServerRef<JobStore> to = store();
  ExitReason failure;
  if (!begun_) {
    const auto rescued = to.try_call(JobStore::Rescue{queue_.name}, infinity);
    begun_ = rescued && rescued->value;
    if (!begun_) failure = rescued ? rescued->error : rescued.reason();
  }
  if (begun_) {
    auto exchanged = to.try_call(JobStore::Exchange{queue_.name, unsaved_, wanted}, infinity);
    if (exchanged && exchanged->value) {
      failures_ = 0;
      unsaved_.clear();
      for (Fetched& fetched : exchanged->value->jobs) start(std::move(fetched));
      if (const auto due = exchanged->value->next_due) {
        // The wall clock may be set: no later than in a minute.
        look_again_in(std::chrono::microseconds(std::clamp<Micros>(*due - wall_clock(), 0, 60'000'000)));
      }
      return true;
    }
    failure = exchanged ? exchanged->error : exchanged.reason();
  }
  if (failures_++ == 0) logger::error("the queue {} of {}: {}", queue_.name, options_->name, failure);
  look_again_in(std::chrono::seconds(std::min(failures_, 30)));
  return false;
}

void JobQueue::start(Fetched fetched) {
  const auto type = std::find_if(options_->workers.begin(), options_->workers.end(),
                                 [&](const WorkerType& known) { return known.name == fetched.job.worker; });
  if (type == options_->workers.end()) {
    const AttemptEnd unknown{Kind::failed, "there is no worker " + fetched.job.worker + " here"};
    unsaved_.push_back({fetched.job.id, decide(unknown, fetched.job, Worker<void>::backoff, wall_clock())});
    return save_soon();
  }
  const auto task = TaskSupervisor::async_nolink_with(std::chrono::seconds(5), tasks_name(options_->name, queue_.name),
                                                      PerformJob{type->perform, std::move(fetched.args), fetched.job});
  const Reference reference = task.reference();
  std::optional<Reference> timer;
  if (!type->timeout.is_infinite()) timer = send_after(self(), Overdue{reference}, type->timeout);
  running_.emplace(reference, Running{task, std::move(fetched.job), type->backoff, timer, std::nullopt});
}

void JobQueue::handle_info(const TaskResult<JobResult>& result) {
  const Place place = running_.find(result.reference());
  if (place == running_.end()) return;
  demonitor(result.reference(), {.flush = true});
  end(place, end_of(result.value()));
}

void JobQueue::handle_info(const Down& down) {
  const Place place = running_.find(down.reference);
  if (place == running_.end()) return;
  end(place, place->second.verdict.value_or(AttemptEnd{Kind::failed, format_exit(down.reason)}));
}

void JobQueue::handle_info(const Overdue& overdue) {
  const Place place = running_.find(overdue.task);
  if (place != running_.end()) kill(place, {Kind::failed, "timeout"});
}

void JobQueue::handle_cast(const Kill& wish) {
  const Place place = std::find_if(running_.begin(), running_.end(),
                                   [&](const auto& running) { return running.second.job.id == wish.id; });
  if (place != running_.end()) kill(place, {Kind::cancelled, "cancelled"});
}

// Its end is written when it is gone: only then may the next of its key begin.
void JobQueue::kill(Place place, AttemptEnd verdict) {
  if (!place->second.verdict) place->second.verdict = std::move(verdict);
  exit(place->second.task.pid(), ExitReason::kill());
}

void JobQueue::end(Place place, const AttemptEnd& end) {
  const Running& running = place->second;
  if (running.timer) cancel_timer(*running.timer, {.info = false});
  unsaved_.push_back({running.job.id, decide(end, running.job, running.backoff, wall_clock())});
  running_.erase(place);
  save_soon();
}

void JobQueue::save_soon() {
  if (!std::exchange(saving_, true)) self().cast(Wake{});
}

void JobQueue::look_again_in(std::chrono::nanoseconds delay) {
  if (due_) cancel_timer(*due_, {.info = false});
  due_ = send_after(self(), Due{}, delay);
}

// The graceful end: nothing new is begun; what runs has `drain` to end. Without a store there is nothing to wait for:
// what ends now could not be written.
void JobQueue::terminate(const ExitReason&) {
  const bool can_write = static_cast<bool>(store());
  const auto deadline = monotonic_time() + (can_write ? options_->drain : std::chrono::nanoseconds(0));
  for (auto& [reference, running] : running_) {
    const auto left = std::max(deadline - monotonic_time(), std::chrono::nanoseconds(0));
    auto result = running.task.yield(left);
    if (!result) result = running.task.shutdown(brutal_kill);
    AttemptEnd end{Kind::put_back, {}};
    if (result && *result) {
      end = end_of(result->value());
    } else if (running.verdict) {
      end = *running.verdict;
    } else if (result) {
      end = {Kind::failed, format_exit(result->reason())};
    }
    unsaved_.push_back({running.job.id, decide(end, running.job, running.backoff, wall_clock())});
  }
  running_.clear();
  if (!unsaved_.empty()) exchange(0);
}

Term JobQueue::format_status() const {
  return map({{"queue"_atom, queue_.name}, {"running"_atom, running_.size()}, {"unsaved"_atom, unsaved_.size()}});
}

}  // namespace coppice::jobs
