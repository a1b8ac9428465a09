// SPDX-License-Identifier: Apache-2.0
//
// Tasks under a supervisor: they belong to the tree, and a failure may be a value.
#include <stdexcept>
#include <string>

#include <coppice/logger.hpp>
#include <coppice/print.hpp>
#include <coppice/receive.hpp>
#include <coppice/runtime.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/task_supervisor.hpp>
using namespace coppice;

int expensive_operation() { return 6 * 7; }
std::string risky(bool fail) {
  if (fail) throw std::runtime_error("out of luck");
  return "lucky";
}

int main() {
  return coppice::run([] {
    logger::set_primary_level(logger::Level::none);  // the crash below is meant to happen
    Supervisor::start_link({child<TaskSupervisor>({.name = "MyApp.TaskSupervisor"})}).value();

    auto task = TaskSupervisor::async("MyApp.TaskSupervisor", expensive_operation);
    println("the result: {}", task.await());

    for (const bool fail : {false, true}) {
      auto loose = TaskSupervisor::async_nolink("MyApp.TaskSupervisor", risky, fail);
      if (auto outcome = loose.yield(1s); !outcome) {
        println("too slow");
      } else if (*outcome) {
        println("it was {}", **outcome);
      } else {
        println("it crashed: {}", outcome->reason().exception_message());
      }
    }

    const Pid me = self();
    static_cast<void>(TaskSupervisor::start_child("MyApp.TaskSupervisor", [me] { send(me, std::string("done")); }));
    println("on its own: {}", receive<std::string>());
  });
}
