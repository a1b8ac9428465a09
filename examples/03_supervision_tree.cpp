// SPDX-License-Identifier: Apache-2.0
//
// An application: a tree of supervisors that is started, shown, and stopped in order, as a SIGTERM would do it.
#include <coppice/application.hpp>
#include <coppice/gen_server.hpp>

using namespace coppice;

// A server that tells when it is stopped.
template <class S>
class Service : public GenServer<S> {
 public:
  static constexpr bool trap_exit = true;
  void terminate(const ExitReason&) { print("{} stops\n", inspect(application::module<S>())); }

 protected:
  ~Service() = default;
};

struct Counter : Service<Counter> {
  explicit Counter(int) {}
};
struct UserCache : Service<UserCache> {};
struct Database : Service<Database> {};
struct Cache : Service<Cache> {};
struct ConfigLoader : Service<ConfigLoader> {};
struct DatabasePool : Service<DatabasePool> {};
struct WebServer : Service<WebServer> {};

class MyApp : public Application<MyApp> {
 public:
  StartResult<Supervisor> start(StartType) {
    return Supervisor::start_link(
        {
            child<Counter>(0),
            child<UserCache>(),
            supervisor({child<Database>(), child<Cache>()},
                       {.name = "MyApp.CriticalSupervisor", .strategy = Strategy::one_for_all}),
            supervisor({child<ConfigLoader>(), child<DatabasePool>(), child<WebServer>()},
                       {.name = "MyApp.OrderedSupervisor", .strategy = Strategy::rest_for_one}),
            child("guide", [] { return spawn_link(show_and_stop); }).restart(Restart::temporary),
        },
        {.name = "MyApp.Supervisor", .strategy = Strategy::one_for_one});
  }
  void stop() { print("MyApp has stopped\n"); }

 private:
  static void show_and_stop() {
    for (const char* name : {"MyApp.Supervisor", "MyApp.CriticalSupervisor", "MyApp.OrderedSupervisor"}) {
      const ChildCounts counts = Supervisor::count_children(name);
      print("{}: {} workers, {} supervisors\n", name, counts.workers, counts.supervisors);
    }
    application::stop_program();
  }
};

int main(int argc, char** argv) { return coppice::run<MyApp>(argc, argv); }
