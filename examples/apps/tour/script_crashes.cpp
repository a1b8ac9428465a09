// SPDX-License-Identifier: Apache-2.0
//
// Crashes: who is started again when somebody ends, and what happens when it happens too often.
#include <optional>
#include <string>
#include <vector>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/format.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>

#include "script_parts.hpp"
#include "task_runner.hpp"
#include "terminal.hpp"
#include "tree.hpp"

namespace tour {
namespace {

using namespace coppice;

void show_crash() {
  begin_part("9  A crash, on purpose",
             "The Counter throws. It dies alone, with a report; its supervisor starts another. Nobody else notices.");
  command("crash counter");
  command("get 1");
}

// A runner has no name: it is found by its pid.
void kill_runner() {
  const auto before = DynamicSupervisor::which_children(TaskRunner::supervisor);
  if (before.empty()) return;
  const Pid victim = before.front().pid;
  const Reference watch = monitor(victim);
  exit(victim, ExitReason::kill());
  receive(when([&](const Down& down) { return down.reference == watch; }, [](const Down&) {}));
  const auto after = DynamicSupervisor::which_children(TaskRunner::supervisor);
  say("runner {} was killed; {} has {} runners again", victim, TaskRunner::supervisor, after.size());
}

void show_kills() {
  begin_part("10  Kills, at each level", "one_for_one: whoever ends is started again, and nobody else.");
  command("crash UserCache");
  say("its map is gone, but the database has what it held:");
  command("get 2");
  sleep_for(breath);
  show(Style::plain, "one_for_all: Database and Cache need each other; if one ends, both are started anew.");
  command("crash Database");
  sleep_for(breath);
  show(Style::plain, "rest_for_one: whoever was started after the ConfigLoader depends on it, and follows it.");
  command("crash ConfigLoader");
  sleep_for(breath);
  show(Style::plain, "A supervisor may die as well: its children go with it, and come back with it.");
  command("crash Tour.Ordered");
  sleep_for(breath);
  show(Style::plain, "And a child that was started on demand:");
  kill_runner();
}

void show_escalation() {
  begin_part(
      "11  Too often",
      "Tour.Critical bears 3 restarts in 5 seconds, that of Database included. One more, and it gives up: it stops\n"
      "its children and ends. Its own supervisor then starts it anew, and so all that is below it.");
  const std::optional<Place> critical = find_place("Tour.Critical");
  if (!critical) return;
  for (int i = 1; i <= 10 && alive(critical->pid); ++i) {
    const std::optional<Place> cache = find_place("Cache");
    if (!cache) break;
    const std::vector<Place> before = places();
    sleep_for(breath);
    exit(cache->pid, ExitReason::kill());
    const auto after = wait_until_whole(cache->pid);
    if (!after) return show(Style::error, "error: nobody has started it again");
    if (alive(critical->pid)) {
      say("Cache killed, {}: {} restarts its children", i, critical->name);
      continue;
    }
    say("Cache killed, {}: that was too often, {} {} gives up", i, critical->name, critical->pid);
    for (const Change& change : changes(before, *after)) {
      say("  {} started {} again: {}, was {}", change.after.supervisor, change.after.name, change.after.pid,
          change.before.pid);
    }
  }
  say("the tree is whole:");
  command("tree");
}

}  // namespace

void show_crashes() {
  show_crash();
  show_kills();
  show_escalation();
}

}  // namespace tour
