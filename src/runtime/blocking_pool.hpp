// SPDX-License-Identifier: Apache-2.0
//
// Threads for code that blocks a thread: coppice::blocking(). A process hands its job over once its stack is left (the
// target of the switch submits it), so the job can never finish before the process is ready to be resumed. While its job
// runs the process counts as running: nobody else can make it runnable, and signals wait.
#pragma once

#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "platform/world.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

struct BlockingJob {
  void (*run)(void*) = nullptr;
  void* argument = nullptr;
  std::exception_ptr failure;
};

class BlockingPool {
 public:
  BlockingPool(Core& core, unsigned threads_max);
  ~BlockingPool();

  void submit(Process& process, void* job);  // a BlockingJob; any worker
  // Ends the idle threads and waits for them. Threads that are still in user code are left behind, and the processes
  // that wait for them are named.
  std::vector<Pid> stop();

 private:
  struct Member {
    platform::Parker parker;
    std::unique_ptr<platform::Thread> thread;
    Process* process = nullptr;  // whose job it runs
    Pid pid;
    bool idle = false;
  };
  void run(Member& member);

  Core& core_;
  const unsigned threads_max_;
  std::mutex mutex_;  // guards all below
  std::deque<std::pair<Process*, BlockingJob*>> waiting_;
  std::vector<std::unique_ptr<Member>> members_;
  bool stopping_ = false;
};

}  // namespace coppice::runtime
