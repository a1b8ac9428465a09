// SPDX-License-Identifier: Apache-2.0
//
// How an event looks as text.
#include <coppice/logger_handler.hpp>

#include <fmt/format.h>

#include <ctime>

namespace coppice {
inline namespace v1 {
namespace logger {
namespace {

// The label, and a line for each field: what a report without a function of its own looks like.
std::string format_report(const Report& report, const InspectOptions& options) {
  std::string text = report.label.is_nil() ? std::string("report") : inspect(report.label, options);
  for (const auto& [key, value] : report.fields) {
    text.append("\n    ").append(key.text()).append(": ").append(inspect(value, options));
  }
  return text;
}

std::string_view colour_of(Level level) {
  if (level <= Level::error) return "\x1b[31m";
  if (level == Level::warning) return "\x1b[33m";
  if (level == Level::debug) return "\x1b[36m";
  return "\x1b[0m";
}

std::string time_text(std::int64_t microseconds, const Layout& layout) {
  constexpr std::int64_t million = 1'000'000;
  std::int64_t seconds = microseconds / million;
  if (microseconds % million < 0) --seconds;
  const std::time_t whole = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (layout.utc) {
    ::gmtime_r(&whole, &parts);
  } else {
    ::localtime_r(&whole, &parts);
  }
  std::string text;
  if (layout.date) {
    text = fmt::format("{:04}-{:02}-{:02} ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
  }
  return text + fmt::format("{:02}:{:02}:{:02}.{:03}", parts.tm_hour, parts.tm_min, parts.tm_sec,
                            (microseconds - seconds * million) / 1000);
}

}  // namespace

std::string Event::message(const InspectOptions& options) const {
  if (!report) return text;
  return report->format != nullptr ? report->format(*report, options) : format_report(*report, options);
}

std::int64_t Event::time() const noexcept {
  const Term* value = find("time"_atom);
  return value == nullptr ? 0 : value->as_int64().value_or(0);
}

Pid Event::pid() const noexcept {
  const Term* value = find("pid"_atom);
  return value == nullptr ? Pid() : value->as_pid().value_or(Pid());
}

Pid Event::group_leader() const noexcept {
  const Term* value = find("gl"_atom);
  return value == nullptr ? Pid() : value->as_pid().value_or(Pid());
}

std::string format_event(const Event& event, const Layout& layout) {
  const bool coloured = layout.colours == Colours::always;
  std::string line;
  if (coloured) line += colour_of(event.level);
  line += time_text(event.time(), layout);
  for (const Atom key : layout.metadata) {
    if (const Term* value = event.find(key)) line.append(" ").append(key.text()).append("=").append(to_string(*value));
  }
  line.append(" [").append(to_string(event.level)).append("] ").append(event.message(layout.inspect));
  if (coloured) line += "\x1b[0m";
  line.push_back('\n');
  return line;
}

}  // namespace logger
}  // namespace v1
}  // namespace coppice
