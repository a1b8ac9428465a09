// SPDX-License-Identifier: Apache-2.0
#include "tour_app.hpp"

#include <vector>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/logger.hpp>
#include <coppice/receive.hpp>
#include <coppice/registry.hpp>
#include <coppice/task_supervisor.hpp>

#include "api.hpp"
#include "cache.hpp"
#include "config_loader.hpp"
#include "counter.hpp"
#include "database.hpp"
#include "farewell.hpp"
#include "file_watcher.hpp"
#include "guide.hpp"
#include "http/server.hpp"
#include "session_manager.hpp"
#include "settings.hpp"
#include "task_runner.hpp"
#include "terminal.hpp"
#include "tree.hpp"
#include "user_cache.hpp"

namespace tour {
namespace {

using namespace coppice;

// Who was killed with its children is started again a little later: they have to be gone, and with them their names.
constexpr Backoff a_moment{.first = 50ms, .max = 1s};

std::chrono::milliseconds milliseconds_of(const char* key, std::chrono::milliseconds otherwise) {
  return TourApp::get_env<std::chrono::milliseconds>(key, otherwise);
}

// These two read the configuration whenever they start, which is after the ConfigLoader: so they are started by hand.
auto start_database_pool() {
  const auto size = TourApp::get_env<std::size_t>("pool_size", 3);
  return Pool<sqlite::Connection>::start_link({.name = database_pool, .size = size}, [] {
    return sqlite::Connection(settings().database_file(), {.mode = sqlite::Mode::read_only});
  });
}

auto start_web_server() {
  http::Limits limits;
  limits.connections_max = TourApp::get_env<std::size_t>("connections_max", limits.connections_max);
  limits.request_time = milliseconds_of("request_ms", limits.request_time);
  limits.drain_time = milliseconds_of("drain_ms", limits.drain_time);
  return http::WebServer::start_link(http::ServerOptions{settings().io, settings().port, limits, answer});
}

ChildSpec critical() {
  return supervisor({child<Database>(settings().database_file()), child<Cache>()},
                    {.name = "Tour.Critical", .strategy = Strategy::one_for_all})
      .backoff(a_moment);
}

ChildSpec ordered() {
  return supervisor(
             {
                 child<ConfigLoader>(settings().config_file()),
                 child("DatabasePool", start_database_pool),
                 child("WebServer", start_web_server).type(ChildType::supervisor).backoff(a_moment),
             },
             {.name = "Tour.Ordered", .strategy = Strategy::rest_for_one, .max_restarts = 10})
      .backoff(a_moment);
}

std::vector<ChildSpec> children() {
  std::vector<ChildSpec> specs{
      child<Counter>(0),
      child<UserCache>(),
      critical(),
      ordered(),
      child<Registry<std::string>>({.name = SessionManager::sessions}).backoff(a_moment),
      child<DynamicSupervisor>({.name = SessionManager::supervisor}),
      child<DynamicSupervisor>({.name = TaskRunner::supervisor}),
      child<TaskSupervisor>({.name = "Tour.Tasks"}),
  };
  if (!settings().watch.empty()) specs.push_back(child<FileWatcher>(settings().watch));
  return specs;
}

}  // namespace

ApplicationSpec TourApp::spec() { return {.description = "The tour of coppice", .vsn = "0.1.0"}; }

StartResult<Supervisor> TourApp::start(StartType) {
  log_to_output();
  show(Style::title, "coppice: lightweight processes, servers, and supervisors that start them again");
  // For a person who plays with it: the root bears many more crashes than it would in earnest.
  auto tree = Supervisor::start_link(children(), {.name = root, .max_restarts = 50, .max_seconds = 5});
  if (tree) start_guide();
  return tree;
}

void TourApp::prep_stop() {
  stop_guide();
  logger::flush();
  say("");
  tell("stopping, the last started first");
  Farewell::begin();
}

void TourApp::stop() {
  logger::flush();
  say("All systems have stopped, in reverse order of their start. Goodbye.");
}

}  // namespace tour
