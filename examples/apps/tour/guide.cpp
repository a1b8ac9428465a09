// SPDX-License-Identifier: Apache-2.0
#include "guide.hpp"

#include <exception>

#include <coppice/application.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>

#include "console.hpp"
#include "script.hpp"
#include "settings.hpp"
#include "terminal.hpp"

namespace tour {
namespace {

using namespace coppice;

constexpr const char* guide_name = "guide";

void show_address() {
  const unsigned port = settings().port->load();
  say("Serving on http://127.0.0.1:{}; the data is in {}. Try, in another terminal:", port, settings().data);
  say("  curl -s http://127.0.0.1:{}/tree", port);
  say("  curl -s -X PUT -d '{{\"name\": \"ann\"}}' http://127.0.0.1:{}/users/1", port);
  say("  curl -s -X POST http://127.0.0.1:{}/crash/Database", port);
}

void guide() {
  if (settings().serve) {
    show_address();
    if (converse() != Talk::quit) sleep_for(infinity);  // until somebody stops us
    return;
  }
  if (settings().script || converse() == Talk::none) play_script(!settings().watch.empty());
}

void run_guide() {
  int status = 0;
  try {
    guide();
  } catch (const std::exception& error) {
    show(Style::error, format("error: the guide has to give up: {}", error.what()));
    status = 1;
  } catch (const Exit& exit) {
    show(Style::error, format("error: the guide has to give up: {}", exit.message()));
    status = 1;
  }
  application::stop_program(status);
  sleep_for(infinity);  // stop_guide ends it
}

}  // namespace

void start_guide() { spawn(run_guide, {.name = guide_name}); }

void stop_guide() {
  const Pid pid = whereis(guide_name);
  if (!pid) return;
  const Reference watch = monitor(pid);
  exit(pid, ExitReason::shutdown());
  receive(when([&](const Down& down) { return down.reference == watch; }, [](const Down&) {}),
          after(5s, [&] { exit(pid, ExitReason::kill()); }));
}

}  // namespace tour
