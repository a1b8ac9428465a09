// SPDX-License-Identifier: Apache-2.0
//
// logger: structured events with a level, a message and metadata.
//
//   logger::info("Running task {}", id);                                    // format strings: see format.hpp
//   logger::error({{"request"_atom, 17}}, "cannot open {}: {}", path, reason);   // with metadata of this call
//   logger::metadata({{"user"_atom, "ann"}});                               // of this process, from now on
//   logger::report(logger::Level::warning, {.label = "disk"_atom, .fields = {{"free"_atom, 12}}});
//
// The way of an event (LR-003): its level against the level of its module if that has one, else against the primary
// level; the primary filters; then, for each handler, the handler's level and filters; then the handler, which writes
// it. All of it runs in the process that logs (LR-006). Handlers and filters: logger_handler.hpp.
//
// The defaults are Elixir's (LR-012): the primary level is debug, and crash, supervisor and progress reports (those whose
// metadata `domain` begins with [:otp, :sasl]) are suppressed unless set_sasl_reports(true) lets them pass. One handler,
// "default", writes to standard error. The environment variable COPPICE_LOG (a level's name, or none or all) gives
// another primary level for the start of the program.
//
// Logging never fails for the caller (LR-011): no function below throws what a handler, a filter or the formatting of
// an argument throws, and a handler that cannot keep up drops and counts. Any thread may log, also before there is a
// Runtime and after the last one has ended. A message that its level switches off costs one comparison; its arguments
// are not formatted.
//
// OTP: logger; Elixir: Logger.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coppice/atom.hpp>
#include <coppice/config.hpp>
#include <coppice/format.hpp>
#include <coppice/result.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {
namespace logger {

// Most severe first (LR-002). `none` and `all` are thresholds only: nothing passes, everything passes.
enum class Level : std::uint8_t { none, emergency, alert, critical, error, warning, notice, info, debug, all };

// "error", and the level with that name; nothing for another text.
[[nodiscard]] COPPICE_API std::string to_string(Level level);
[[nodiscard]] COPPICE_API std::optional<Level> level_of(std::string_view name) noexcept;

// Facts about an event, as pairs of key and value; each key at most once. What the logger puts there itself:
//   time (microseconds since 1970), file, line, function, and, in a process, pid and gl (its group leader)
// Keys that mean something to it: domain (a list of atoms), module (see set_module_level).
using Metadata = std::vector<std::pair<Atom, Term>>;

// A message with structure (LR-009): handlers may store the fields, or print what `format` makes of them. `options` limit
// how much of large terms is shown (LR-036). Without a function the text is the label and a line for each field.
struct Report {
  Term label = {};
  std::vector<std::pair<Atom, Term>> fields = {};
  std::string (*format)(const Report& report, const InspectOptions& options) = nullptr;
};

// -- logging ------------------------------------------------------------------------------------------------------------

namespace detail {

// The level of the least severe event that can pass.
extern COPPICE_API std::uint8_t threshold;

struct Site {
  const char* file = nullptr;
  const char* function = nullptr;
  unsigned line = 0;
};

COPPICE_API void log(Level level, const Site& site, const Metadata* metadata, std::string_view text,
                     v1::detail::FormatArguments arguments);

// A format string that knows where it stands.
template <class... Args>
class BasicLogText {
 public:
  template <class T>
    requires std::is_convertible_v<const T&, std::string_view>
  consteval BasicLogText(const T& text, const char* file = __builtin_FILE(),  // NOLINT: implicit on purpose
                         const char* function = __builtin_FUNCTION(), unsigned line = __builtin_LINE())
      : text_(BasicFormatString<Args...>(text).text()), site_{file, function, line} {}
  [[nodiscard]] constexpr std::string_view text() const noexcept { return text_; }
  [[nodiscard]] constexpr const Site& site() const noexcept { return site_; }

 private:
  std::string_view text_;
  Site site_;
};
template <class... Args>
using LogText = BasicLogText<std::type_identity_t<Args>...>;

}  // namespace detail

// Whether an event of this level could pass; for guarding work that only a log message needs.
[[nodiscard]] inline bool enabled(Level level) noexcept {
  return static_cast<std::uint8_t>(level) <= __atomic_load_n(&detail::threshold, __ATOMIC_RELAXED);
}

// Logs an event; `none` and `all` are no levels of events and count as debug.
template <class... Args>
void log(Level level, detail::LogText<Args...> text, const Args&... args) {
  if (!enabled(level)) return;
  const v1::detail::FormatArgument list[] = {v1::detail::format_argument(args)..., v1::detail::FormatArgument()};
  detail::log(level, text.site(), nullptr, text.text(), {list, sizeof...(Args)});
}
// The same with metadata of its own, which wins over the process's and the primary one (LR-008).
template <class... Args>
void log(Level level, const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  if (!enabled(level)) return;
  const v1::detail::FormatArgument list[] = {v1::detail::format_argument(args)..., v1::detail::FormatArgument()};
  detail::log(level, text.site(), &metadata, text.text(), {list, sizeof...(Args)});
}

// log, with the level as the name.
template <class... Args>
void emergency(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::emergency, text, args...);
}
template <class... Args>
void emergency(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::emergency, metadata, text, args...);
}
template <class... Args>
void alert(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::alert, text, args...);
}
template <class... Args>
void alert(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::alert, metadata, text, args...);
}
template <class... Args>
void critical(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::critical, text, args...);
}
template <class... Args>
void critical(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::critical, metadata, text, args...);
}
template <class... Args>
void error(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::error, text, args...);
}
template <class... Args>
void error(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::error, metadata, text, args...);
}
template <class... Args>
void warning(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::warning, text, args...);
}
template <class... Args>
void warning(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::warning, metadata, text, args...);
}
template <class... Args>
void notice(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::notice, text, args...);
}
template <class... Args>
void notice(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::notice, metadata, text, args...);
}
template <class... Args>
void info(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::info, text, args...);
}
template <class... Args>
void info(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::info, metadata, text, args...);
}
template <class... Args>
void debug(detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::debug, text, args...);
}
template <class... Args>
void debug(const Metadata& metadata, detail::LogText<Args...> text, const Args&... args) {
  log<Args...>(Level::debug, metadata, text, args...);
}

// Logs a text that is known at run time only, as it is.
COPPICE_API void text(Level level, std::string text, const Metadata& metadata = {});

// Logs a report.
COPPICE_API void report(Level level, Report report, const Metadata& metadata = {});

// -- metadata -----------------------------------------------------------------------------------------------------------

// Merges into the metadata of the calling process, or, on a foreign thread, of the thread; nil removes a key.
COPPICE_API void metadata(const Metadata& changes);
// The metadata of the calling process or thread.
[[nodiscard]] COPPICE_API Metadata metadata();
// Replaces it.
COPPICE_API void reset_metadata(const Metadata& metadata = {});

// The value under a key, or null.
[[nodiscard]] COPPICE_API const Term* find(const Metadata& metadata, Atom key) noexcept;

// -- configuration of all events: any thread, takes effect for events logged later ------------------------------------

// The primary level (LR-003), debug at the start.
COPPICE_API void set_primary_level(Level level);
[[nodiscard]] COPPICE_API Level primary_level();

// The level of events from a module, in place of the primary one (LR-003). An event comes from the module that its
// metadata `module` names (an atom or a text); without that, from the class of the server that logs it.
COPPICE_API void set_module_level(std::string_view module, Level level);
COPPICE_API void unset_module_level(std::string_view module);

// Metadata that every event gets unless its process or call says otherwise (LR-008). Replaces the earlier one.
COPPICE_API void set_primary_metadata(const Metadata& metadata);

// Whether events of the domain [:otp, :sasl] pass (crash, supervisor and progress reports), off at the start, and
// whether any of the domain [:otp] do, on at the start (LR-012). Elixir: handle_sasl_reports, handle_otp_reports.
COPPICE_API void set_sasl_reports(bool on);
COPPICE_API void set_otp_reports(bool on);

// Waits until the built-in handlers have written what they hold, but at most about a second. True if they have. Happens
// by itself when the program exits.
COPPICE_API bool flush();

}  // namespace logger
}  // namespace v1
}  // namespace coppice
