// SPDX-License-Identifier: Apache-2.0
#include "script.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>
#include <tuple>
#include <vector>

#include <coppice/logger.hpp>
#include <coppice/receive.hpp>
#include <coppice/task_supervisor.hpp>
#include <coppice/timer.hpp>

#include "cache.hpp"
#include "commands.hpp"
#include "counter.hpp"
#include "file_watcher.hpp"
#include "http/client.hpp"
#include "ring.hpp"
#include "script_parts.hpp"
#include "session_manager.hpp"
#include "settings.hpp"
#include "task_runner.hpp"
#include "terminal.hpp"
#include "tree.hpp"

namespace tour {
namespace {

using namespace coppice;

constexpr auto script_time_watching = 10s;  // with a file of the user's: as long as this in all

void show_tree() {
  begin_part("1  The tree",
             "Supervisors start their children in order, start again what ends, and stop all in reverse order.");
  show(Style::plain, draw_tree());
}

struct Clerk {
  void operator()() const {
    for (int i = 0; i < 10; ++i) Counter::increment();
  }
};

void show_counter() {
  begin_part("2  Counter, a GenServer",
             "It owns a number; messages change it. 100 processes count to 10 each, at once.");
  for (int i = 0; i < 100; ++i) (void)spawn_monitor(Clerk{});
  for (int i = 0; i < 100; ++i) receive<Down>();
  command("count");
}

void show_users() {
  begin_part("3  Users: a cache and a database",
             "UserCache owns a map: no locks. Behind it is a file of SQLite, behind a server that blocks no thread.");
  command("put 1 ann");
  command("put 2 bob");
  command("get 1");
  command("get 7");
  command("all");
}

void show_table() {
  begin_part("4  Cache, a table", "One server writes; 4 tasks read 1000 times each, at once, and send no message.");
  Cache::put("motto", "let it crash");
  std::vector<TaskHandle<int>> readers;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(TaskSupervisor::async("Tour.Tasks", [] {
      int found = 0;
      for (int j = 0; j < 1000; ++j) found += Cache::get("motto") == "let it crash" ? 1 : 0;
      return found;
    }));
  }
  int found = 0;
  for (auto& reader : readers) found += reader.await();
  say("the motto was found {} times: {}", found, Cache::get("motto").value_or("?"));
}

void show_runners() {
  begin_part("5  Task runners", "A dynamic supervisor starts children on demand; each sends itself its work.");
  for (int i = 1; i <= 3; ++i) {
    const Pid pid = TaskRunner::start(i);
    (void)process_info(pid);  // answered when it has started its work
  }
  sleep_for(breath);
  logger::flush();
  say("{} runners under {}", DynamicSupervisor::count_children(TaskRunner::supervisor).active, TaskRunner::supervisor);
}

std::string fetch(const std::string& target) {
  const http::Response response = http::fetch(settings().port->load(), {"GET", target, ""});
  return format("GET {:<12} {} {}", target, response.status, response.body);
}

void show_web_server() {
  begin_part("6  The web server, and tasks",
             "A process for each connection, which blocks as it likes. Four tasks fetch from it at once.");
  auto users = TaskSupervisor::async("Tour.Tasks", fetch, "/users");
  auto motto = TaskSupervisor::async("Tour.Tasks", fetch, "/cache/motto");
  auto nobody = TaskSupervisor::async("Tour.Tasks", fetch, "/users/7");
  auto health = TaskSupervisor::async("Tour.Tasks", fetch, "/health");
  const auto [one, two, three, four] = await_many(20s, users, motto, nobody, health);
  for (const std::string& line : {one, two, three, four}) say("{}", line);
}

void show_plain_processes() {
  begin_part("7  Plain processes", "spawn, send, receive. A ring of them hands a token around; its links end it.");
  const Reference gone = spawn_monitor(Ring{1000, 10, self()}).second;
  const RingResult result = receive<RingResult>();
  say("{} processes passed on {} messages in {:.1f} ms", result.processes, result.messages,
      static_cast<double>(result.time.count()) / 1000);
  receive(when([&](const Down& down) { return down.reference == gone; }, [](const Down&) {}));
}

// Appends to a file as another program would: a line in two halves, and an end of the file that is no end of a line.
struct Writer {
  std::filesystem::path path;

  void operator()() const {
    std::ofstream file(path, std::ios::app);
    for (const char* text : {"the first line\nthe sec", "ond line, in two halves\n", "the third line\n"}) {
      file << text << std::flush;
      sleep_for(breath);
    }
  }
};

// Waits, not for ever, until the FileWatcher has shown so many lines.
void wait_for_lines(std::uint64_t count) {
  for (int i = 0; i < 100 && FileWatcher::name.call(FileWatcher::CountLines{}) < count; ++i) sleep_for(50ms);
}

void show_file_watcher(bool watching) {
  if (watching) {
    begin_part("8  FileWatcher", "It follows your file all the while: append to it, and see.");
    return;
  }
  begin_part("8  FileWatcher", "It follows a file that another process appends to. (--watch FILE: one of yours.)");
  const std::filesystem::path path = std::filesystem::temp_directory_path() / format("coppice_tour_{}.log", ::getpid());
  FileWatcher::start_link(path).value();
  spawn(Writer{path});
  wait_for_lines(3);
  FileWatcher::name.stop();
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

// Returns a monitor of the session.
Reference show_session() {
  begin_part("12  Sessions",
             "A session is a server, found under its id in a registry. Not refreshed, it ends by itself.");
  command("refresh 1");
  command("refresh 1");
  command("sessions");
  return monitor(SessionManager::refresh("1").session);
}

void show_processes() {
  begin_part("13  Who is there", "All processes. A server that has nothing to do holds no stack.");
  command("ps");
}

}  // namespace

void begin_part(std::string_view title, std::string_view text) {
  sleep_for(breath);
  say("");
  show(Style::title, title);
  show(Style::plain, text);
}

void command(std::string_view line) {
  sleep_for(breath);
  echo(line);
  carry_out(line);
}

void play_script(bool watching) {
  const std::chrono::nanoseconds begin = monotonic_time();
  say("No commands, so the tour plays its script. (On a terminal it waits for yours.)");
  show_tree();
  show_counter();
  show_users();
  show_table();
  show_runners();
  show_web_server();
  show_plain_processes();
  show_file_watcher(watching);
  show_crashes();
  const Reference session = show_session();
  show_processes();
  sleep_for(breath);
  say("");
  say("And the session, which nothing refreshes any more:");
  receive(when([&](const Down& down) { return down.reference == session; },
               [](const Down& down) {
                 logger::flush();  // what it has logged itself comes first
                 say("session 1 has ended: {}", down.reason);
               }));
  if (!watching) return;
  const auto left = script_time_watching - (monotonic_time() - begin);
  if (left <= 0s) return;
  say("");
  say("Your file is followed for {} seconds more.", std::chrono::ceil<std::chrono::seconds>(left).count());
  sleep_for(left);
}

}  // namespace tour
