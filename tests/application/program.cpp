// SPDX-License-Identifier: Apache-2.0
//
// A program of two applications for tests/application/run.sh. What it does is configured: web.mode.
#include <chrono>
#include <cstdio>
#include <cstring>

#include <coppice/application.hpp>
#include <coppice/gen_server.hpp>

using namespace coppice;

template <class... Args>
void say(FormatString<Args...> text, const Args&... args) {
  print(text, args...);
  std::fflush(stdout);
}

class Storage : public Application<Storage> {
 public:
  StartResult<Supervisor> start() {
    say("storage starts\n");
    return Supervisor::start_link({});
  }
  void stop() { say("storage has stopped\n"); }
};

// Does not stop when it is told to.
class Deaf : public GenServer<Deaf> {
 public:
  static constexpr bool trap_exit = true;
  static constexpr ChildDefaults child_defaults{.shutdown = infinity};
  void terminate(const ExitReason&) {
    say("deaf\n");
    sleep_for(infinity);
  }
};

// Ends by itself, for good.
class Frail : public GenServer<Frail> {
 public:
  struct End {};
  static constexpr ChildDefaults child_defaults{.restart = Restart::temporary, .significant = true};
  Init init() { return ok().then(End{}); }
  Action handle_continue(End) { return stop(ExitReason("worn_out"_atom)); }
};

class Web : public Application<Web> {
 public:
  static ApplicationSpec spec() {
    return {.applications = {app<Storage>()}, .env = {{"port", 4000}, {"mode", "serve"}}};
  }
  StartResult<Supervisor> start() {
    const std::string mode = get_env<std::string>("mode", "");
    if (mode == "fail") return error("eaddrinuse");
    if (mode == "slow") {
      say("web takes its time\n");
      sleep_for(infinity);
    }
    const int port = get_env<int>("port", 0);
    if (mode == "status") application::stop_program(3);
    std::vector<ChildSpec> children;
    if (mode == "deaf") children.push_back(child<Deaf>());
    if (mode == "frail") children.push_back(child<Frail>());
    StartResult<Supervisor> tree =
        Supervisor::start_link(std::move(children), {.auto_shutdown = AutoShutdown::any_significant});
    for (const std::string& argument : application::arguments()) say("argument {}\n", argument);
    say("web listens on {}\n", port);
    return tree;
  }
  void prep_stop() { say("web closes its port\n"); }
  void stop() { say("web has stopped\n"); }
};

int main(int argc, char** argv) {
  const bool patient = argc > 1 && std::strcmp(argv[1], "patient") == 0;
  return run<Web>(argc, argv, {.shutdown_timeout = patient ? std::chrono::hours(1) : std::chrono::milliseconds(300)});
}
