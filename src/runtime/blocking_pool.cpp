// SPDX-License-Identifier: Apache-2.0
#include "runtime/blocking_pool.hpp"

#include "runtime/core.hpp"

namespace coppice::runtime {

BlockingPool::BlockingPool(Core& core, unsigned threads_max)
    : core_(core), threads_max_(threads_max == 0 ? 1 : threads_max) {}

BlockingPool::~BlockingPool() = default;

void BlockingPool::submit(Process& process, void* job) {
  Member* woken = nullptr;
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(&process, static_cast<BlockingJob*>(job));
    for (auto& member : members_) {
      if (member->idle) {
        woken = member.get();
        woken->idle = false;
        break;
      }
    }
    if (woken == nullptr && members_.size() < threads_max_) {
      members_.push_back(std::make_unique<Member>());
      Member& member = *members_.back();
      member.thread = core_.world().start_thread("coppice.blocking", [this, &member] { run(member); });
    }
  }
  if (woken != nullptr) core_.world().unpark(woken->parker);
}

void BlockingPool::run(Member& member) {
  for (;;) {
    BlockingJob* job = nullptr;
    Process* process = nullptr;
    {
      const std::lock_guard lock(mutex_);
      member.process = nullptr;
      member.pid = {};
      if (!waiting_.empty()) {
        std::tie(process, job) = waiting_.front();
        waiting_.pop_front();
        member.process = process;
        member.pid = process->body->pid;
      } else if (stopping_) {
        return;
      } else {
        member.idle = true;
      }
    }
    if (job == nullptr) {
      core_.world().park(member.parker, platform::never);
      continue;
    }
    core_.world().interleave();
    {
      const ThreadActsIn scope(core_);
      try {
        job->run(job->argument);
      } catch (...) {
        job->failure = std::current_exception();
      }
    }
    {
      // It is not stuck here any more; once it is scheduled it may end at any time.
      const std::lock_guard lock(mutex_);
      member.process = nullptr;
    }
    core_.schedule(*process);
  }
}

std::vector<Pid> BlockingPool::stop() {
  std::vector<Pid> stuck;
  std::vector<Member*> ended;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& member : members_) {
      if (member->process != nullptr) {
        stuck.push_back(member->pid);
        member->thread->detach();
      } else {
        ended.push_back(member.get());
      }
    }
  }
  for (Member* member : ended) {
    core_.world().unpark(member->parker);
    member->thread->join();
  }
  return stuck;
}

}  // namespace coppice::runtime
