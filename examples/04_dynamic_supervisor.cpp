// SPDX-License-Identifier: Apache-2.0
//
// A dynamic supervisor: children that are started on demand, each of which sends itself its work.
#include <optional>
#include <utility>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>
#include <coppice/receive.hpp>
using namespace coppice;

class TaskRunner : public GenServer<TaskRunner> {
 public:
  struct RunTask {};
  struct Await {
    using Reply = int;
  };  // answered with the task's number once it has run

  explicit TaskRunner(int id) : id_(id) { send_after(self(), RunTask{}, 0ms); }
  void handle_info(RunTask) {
    logger::info("Running task {}", id_);
    done_ = true;
    if (waiting_) std::exchange(waiting_, std::nullopt)->reply(id_);
  }
  void handle_call(Await, From<int> from) {
    if (done_) return from.reply(id_);
    waiting_.emplace(std::move(from));
  }

 private:
  int id_;
  bool done_ = false;
  std::optional<From<int>> waiting_;
};

int main() {
  return coppice::run([] {
    DynamicSupervisor::start_link({.name = "TaskSupervisor"}).value();
    const Pid first = DynamicSupervisor::start_child("TaskSupervisor", child<TaskRunner>(1)).value();
    const Pid second = DynamicSupervisor::start_child("TaskSupervisor", child<TaskRunner>(2)).value();
    for (const Pid& pid : {first, second}) {
      println("task {} has run", ServerRef<TaskRunner>(pid).call(TaskRunner::Await{}));
    }
    println("{}", DynamicSupervisor::count_children("TaskSupervisor"));

    static_cast<void>(DynamicSupervisor::terminate_child("TaskSupervisor", first).value());
    println("the first is alive: {}", alive(first));

    const Reference gone = monitor(second);
    exit(second, "crash"_atom);
    println("the second ended: {}", receive(when([&](const Down& down) { return down.reference == gone; },
                                                 [](const Down& down) { return down.reason; })));
    println("after its restart: {}", DynamicSupervisor::count_children("TaskSupervisor"));
    DynamicSupervisor::stop("TaskSupervisor");
  });
}
