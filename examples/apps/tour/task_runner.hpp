// SPDX-License-Identifier: Apache-2.0
//
// TaskRunner: a child that is started on demand, and sends itself its work.
#pragma once

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>

#include "counter.hpp"

namespace tour {

class TaskRunner : public coppice::GenServer<TaskRunner> {
 public:
  struct RunTask {};
  static constexpr const char* supervisor = "Tour.Runners";

  static coppice::Pid start(int id) {
    return coppice::DynamicSupervisor::start_child(supervisor, coppice::child<TaskRunner>(id)).value();
  }

  explicit TaskRunner(int id) : id_(id) { coppice::send_after(self(), RunTask{}, std::chrono::milliseconds(0)); }
  void handle_info(RunTask) {
    coppice::logger::info("Running task {}", id_);
    Counter::increment();
  }

 private:
  int id_;
};

}  // namespace tour
