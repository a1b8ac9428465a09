// SPDX-License-Identifier: Apache-2.0
#include "commands.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <coppice/logger.hpp>
#include <coppice/receive.hpp>

#include "counter.hpp"
#include "process_table.hpp"
#include "session_manager.hpp"
#include "terminal.hpp"
#include "tree.hpp"
#include "users.hpp"

namespace tour {
namespace {

using namespace coppice;

constexpr std::size_t id_bytes_max = 40;
constexpr std::size_t name_bytes_max = 200;
constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

// Takes the first word off `text`.
std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::size_t end = text.find_first_of(blanks);
  const std::string_view word = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : trimmed(text.substr(end));
  return word;
}

template <class... Args>
void refuse(FormatString<Args...> text, const Args&... args) {
  show(Style::error, "error: " + format(text, args...));
}

// The id that a command wants, and nothing after it; else it has said what is wrong.
std::optional<std::string> only_id(std::string_view command, std::string_view arguments) {
  const std::string_view id = take_word(arguments);
  if (id.empty() || !arguments.empty()) {
    refuse("{} wants one id: {} ID", command, command);
    return std::nullopt;
  }
  if (id.size() > id_bytes_max) {
    refuse("an id has at most {} bytes, this one has {}", id_bytes_max, id.size());
    return std::nullopt;
  }
  return printable(id);
}

void put(std::string_view arguments) {
  const std::string_view id = take_word(arguments);
  if (id.empty() || arguments.empty()) return refuse("put wants an id and a name: put ID NAME");
  if (id.size() > id_bytes_max) return refuse("an id has at most {} bytes, this one has {}", id_bytes_max, id.size());
  if (arguments.size() > name_bytes_max) {
    return refuse("a name has at most {} bytes, this one has {}", name_bytes_max, arguments.size());
  }
  users::put(printable(id), printable(arguments));
  say("put {}: {}", printable(id), printable(arguments));
}

void get(std::string_view arguments) {
  const std::optional<std::string> id = only_id("get", arguments);
  if (!id) return;
  const std::optional<User> user = users::get(*id);
  if (!user) return refuse("there is no user {}", *id);
  say("{}: {}", *id, user->name);
}

void all() {
  const std::vector<StoredUser> users = users::all();
  say("{} {}", users.size(), users.size() == 1 ? "user" : "users");
  for (const StoredUser& user : users) say("  {}: {}", user.id, user.name);
}

void refresh(std::string_view arguments) {
  const std::optional<std::string> id = only_id("refresh", arguments);
  if (!id) return;
  const SessionManager::Refreshed refreshed = SessionManager::refresh(*id);
  say("session {} {} ({})", *id, refreshed.anew ? "started" : "refreshed", refreshed.session);
}

// Ends a child, waits until everybody runs again, and shows who was started anew, by whom.
void crash(std::string_view arguments) {
  const std::string_view name = take_word(arguments);
  if (name.empty() || !arguments.empty()) return refuse("crash wants the name of a child: crash NAME");
  const std::vector<Place> before = places();
  const std::optional<Place> place = find_place(std::string(name));
  if (!place) {
    return refuse("there is no child {}; tree shows who is there", printable(name.substr(0, id_bytes_max)));
  }
  if (place->name == root) return refuse("the root stays: nobody would start it again");
  const Reference watch = monitor(place->pid);
  const bool counter = place->name == Counter::name.text();
  const int value = counter ? Counter::get_value() : 0;
  const logger::Level level = logger::primary_level();
  if (counter) {
    logger::set_sasl_reports(true);  // the reports of process and supervisor too, this time
    logger::set_primary_level(logger::Level::error);
    Counter::name.cast(Counter::Crash{});
  } else {
    exit(place->pid, ExitReason::kill());
  }
  const Down down = receive(when([&](const Down& d) { return d.reference == watch; }, [](Down d) { return d; }));
  const std::optional<std::vector<Place>> after = wait_until_whole(place->pid);
  logger::flush();  // the report first
  logger::set_sasl_reports(false);
  logger::set_primary_level(level);
  if (counter && down.reason.is_exception()) {
    say("Counter {} crashed when it stood at {}: {}", down.pid, value, down.reason.exception_message());
  } else {
    say("{} {} has ended: {}", place->name, down.pid, down.reason);
  }
  if (!after) return refuse("nobody has started it again");
  for (const Change& change : changes(before, *after)) {
    say("  {} started {} again: {}, was {}", change.after.supervisor, change.after.name, change.after.pid,
        change.before.pid);
  }
}

void show_sessions() {
  const auto open = SessionManager::open();
  say("{} {}", open.size(), open.size() == 1 ? "session" : "sessions");
  for (const auto& session : open) say("  {}: {}", session.id, session.pid);
}

Outcome run(std::string_view command, std::string_view arguments) {
  const bool bare = arguments.empty();
  if (command == "put") return put(arguments), Outcome::go_on;
  if (command == "get") return get(arguments), Outcome::go_on;
  if (command == "refresh") return refresh(arguments), Outcome::go_on;
  if (command == "crash") return crash(arguments), Outcome::go_on;
  const bool known = command == "all" || command == "count" || command == "ps" || command == "tree" ||
                     command == "sessions" || command == "help" || command == "quit";
  if (!known) {
    refuse("there is no command {}; help lists those there are", printable(command.substr(0, id_bytes_max)));
  } else if (!bare) {
    refuse("{} takes no arguments", command);
  } else if (command == "all") {
    all();
  } else if (command == "count") {
    const int value = Counter::get_value();
    say("the Counter has counted {} {}", value, value == 1 ? "event" : "events");
  } else if (command == "tree") {
    show(Style::plain, draw_tree());
  } else if (command == "sessions") {
    show_sessions();
  } else if (command == "ps") {
    show(Style::plain, process_table());
  } else if (command == "help") {
    show_help();
  } else {
    return Outcome::quit;
  }
  return Outcome::go_on;
}

}  // namespace

void show_help() {
  say("  put ID NAME     keep a user                  count        what the Counter has counted\n"
      "  get ID, all     who is it? who is there?     tree         the supervision tree\n"
      "  refresh ID      start or refresh a session   crash NAME   end a child; see who starts it again\n"
      "  sessions        the open ones                ps           all processes\n"
      "  help, quit");
}

Outcome carry_out(std::string_view line) {
  std::string_view arguments = line;
  const std::string_view command = take_word(arguments);
  if (command.empty()) return Outcome::go_on;
  Counter::increment();
  try {
    return run(command, arguments);
  } catch (const Exit& failure) {  // a call that failed: the server was not there, or did not answer in time
    refuse("{}", failure.message());
    return Outcome::go_on;
  } catch (const std::exception& failure) {  // what the database says
    refuse("{}", failure.what());
    return Outcome::go_on;
  }
}

}  // namespace tour
