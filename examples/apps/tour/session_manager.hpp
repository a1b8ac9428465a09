// SPDX-License-Identifier: Apache-2.0
//
// SessionManager: one session, a server each, found through a registry under its id. It ends by itself when nothing has
// refreshed it for a while.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>
#include <coppice/registry.hpp>

#include "counter.hpp"
#include "settings.hpp"

namespace tour {

class SessionManager : public coppice::GenServer<SessionManager> {
 public:
  struct Refresh {
    using Reply = coppice::Ok;
  };
  static constexpr coppice::Registry<std::string>::Name sessions{"Tour.Sessions"};
  static constexpr const char* supervisor = "Tour.SessionSupervisor";

  struct Refreshed {
    bool anew;
    coppice::Pid session;
  };
  // Refreshes a session, or starts it.
  static Refreshed refresh(const std::string& id) {
    for (int attempt = 0;; ++attempt) {
      const auto session = sessions.whereis<SessionManager>(id);
      if (session && session->try_call(Refresh{})) return {false, session->pid()};
      const auto started = coppice::DynamicSupervisor::start_child(
          supervisor, coppice::child<SessionManager>(id).restart(coppice::Restart::temporary));
      if (started) return {true, started.value()};
      // Somebody else has started it meanwhile, or it has just timed out and is not quite gone.
      if (attempt == 100) throw coppice::Exit(started.reason());
      coppice::sleep_for(std::chrono::milliseconds(5));
    }
  }
  struct Open {
    std::string id;
    coppice::Pid pid;
  };
  [[nodiscard]] static std::vector<Open> open() {
    std::vector<Open> found;
    for (auto& entry : sessions.select([](const auto&...) { return true; })) found.push_back({entry.key, entry.pid});
    return found;
  }

  static auto start_link(std::string id) {
    return start_link_as({.name = coppice::via<SessionManager>(sessions, id), .spawn = {.label = "session " + id}}, id);
  }
  explicit SessionManager(std::string id) : id_(std::move(id)), idle_limit_(settings().session_idle) {}
  Init init() { return ok().timeout(idle_limit_); }
  Answer<coppice::Ok> handle_call(Refresh) { return reply(coppice::Ok{}).timeout(idle_limit_); }
  Action handle_info(coppice::Timeout) {
    coppice::logger::info("Session {} timed out: no refresh for {}", id_, std::chrono::duration<double>(idle_limit_));
    Counter::increment();
    return stop(coppice::ExitReason::normal());
  }

 private:
  std::string id_;
  std::chrono::milliseconds idle_limit_;
};

}  // namespace tour
