// SPDX-License-Identifier: Apache-2.0
//
// The controller of a runtime's applications: one process, registered as application_controller, made by whoever first
// starts an application. It decides who may start, keeps the order, and is told of every end. It never waits for an
// application: starts and stops are answered later, so it serves others meanwhile (AP-022).
//
// Above it stands the guard, a plain process without a parent. It is there for the end of the runtime, which ends
// generic servers without asking them: the guard hears of it, has all applications stopped in order, and then ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <coppice/gen_server.hpp>

#include "application/master.hpp"

namespace coppice::otp {

class Controller : public GenServer<Controller> {
 public:
  struct Start {
    using Reply = Result<>;
    Atom app;
    RestartType type;
  };
  struct Stop {
    using Reply = Result<>;
    Atom app;
  };
  // All, the last started first. Gives those that had to be killed.
  struct StopAll {
    using Reply = std::vector<Atom>;
    std::optional<std::chrono::nanoseconds> patience;
  };
  struct StopAllSoon {};
  // By the master: the start is done, or has failed and nobody is left.
  struct Outcome {
    Pid master;
    std::optional<ExitReason> failure;
  };
  struct Overdue {
    Pid master;
  };

  static constexpr Name<Controller> name{"application_controller"};
  static constexpr bool trap_exit = true;

  void handle_call(Start m, From<Result<>> from);
  void handle_call(Stop m, From<Result<>> from);
  void handle_call(StopAll m, From<std::vector<Atom>> from);
  void handle_cast(StopAllSoon);
  void handle_cast(const Outcome& m);
  void handle_info(const ExitMessage& m);
  void handle_info(const Overdue& m);

 private:
  enum class Status : std::uint8_t { starting, running, stopping };
  struct Later {
    std::optional<RestartType> start;  // none: a stop
    From<Result<>> from;
  };
  struct Entry {
    Status status = Status::running;
    RestartType type = RestartType::temporary;
    Pid master;                           // none for a library
    std::vector<From<Result<>>> waiting;  // for the start or stop under way
    std::vector<Later> later;             // what came while it was stopping
  };

  [[nodiscard]] Applications& applications() const;
  [[nodiscard]] bool would_wait_for_itself(const Pid& caller, const Entry& entry) const;
  [[nodiscard]] std::optional<ExitReason> refusal(Atom app) const;
  void start(Atom app, RestartType type, From<Result<>> from);
  void stop(Atom app, From<Result<>> from);
  void start_failed(Atom app, const ExitReason& reason);
  void gone(Atom app, const ExitReason& reason);
  void end_node(const char* what, Atom app, const ExitReason& reason);

  void begin_stop_all(std::optional<std::chrono::nanoseconds> patience);
  void stop_next();
  void ask_to_stop(Atom app, Entry& entry);
  void kill(Entry& entry);

  std::map<Atom, Entry> entries_;
  std::map<std::uint64_t, Atom> by_master_;  // Pid::number

  bool stopping_all_ = false;
  std::optional<std::chrono::nanoseconds> deadline_;  // of stopping all, on the runtime's clock
  std::vector<From<std::vector<Atom>>> stop_all_waiting_;
  std::vector<Atom> killed_;
  std::optional<ExitReason> node_end_;  // why the node is to end, once all have stopped
  Reference overdue_timer_;
};

// The controller of the runtime in which the caller acts, made if there is none. Any thread.
[[nodiscard]] Result<ServerRef<Controller>> controller();

}  // namespace coppice::otp
