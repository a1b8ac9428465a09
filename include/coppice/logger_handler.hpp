// SPDX-License-Identifier: Apache-2.0
//
// Where log events go: filters, handlers, and the handlers that are built in.
//
//   logger::add_handler("audit", std::make_shared<logger::FileHandler>("audit.log"), {.level = logger::Level::notice});
//   logger::add_primary_filter("quiet", logger::filters::level(logger::Answer::stop, logger::Level::debug));
//
//   struct Counting : logger::Handler {
//     void log(const logger::Event& event) override { if (event.level <= logger::Level::error) ++errors; }
//     std::atomic<int> errors = 0;
//   };
//
// Filters and handlers run in the process that logs (LR-006), in several at once. One that throws is removed, which is
// itself logged as an error, and the process that logged is not disturbed (LR-007). What a filter or a handler of the
// user logs itself goes to the built-in handlers only, so that it cannot call itself for ever.
// OTP: logger:add_handler/3, logger_filters, logger_std_h; rules LR-001 to LR-011.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/config.hpp>
#include <coppice/logger.hpp>
#include <coppice/pid.hpp>
#include <coppice/result.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {
namespace logger {

// -- events -------------------------------------------------------------------------------------------------------------

// What filters and handlers see (LR-001). A message is a text, a formatted text (then `format` is its format string,
// the same for all messages of one place), or a report (then `text` is empty).
struct COPPICE_API Event {
  Level level = Level::notice;
  std::string text;
  std::string_view format;
  std::optional<Report> report;
  Metadata metadata;

  // The message for people.
  [[nodiscard]] std::string message(const InspectOptions& options = {}) const;
  // Of the metadata: a value or null; `time`; `pid` and `gl`, which are no pids for an event of a foreign thread.
  [[nodiscard]] const Term* find(Atom key) const noexcept { return logger::find(metadata, key); }
  [[nodiscard]] std::int64_t time() const noexcept;
  [[nodiscard]] Pid pid() const noexcept;
  [[nodiscard]] Pid group_leader() const noexcept;
};

// -- filters ------------------------------------------------------------------------------------------------------------

enum class Answer : std::uint8_t { stop, ignore, log };

// What a filter answers: stop (discard the event, for this handler or, in a primary filter, for all), ignore (no opinion),
// or the event, possibly changed, which is to be logged unless a later filter stops it (LR-004).
class FilterAnswer {
 public:
  FilterAnswer(Answer answer) : answer_(answer) {}  // NOLINT: implicit; `log` keeps the event as it is
  FilterAnswer(Event event) : answer_(Answer::log), event_(std::move(event)) {}  // NOLINT: implicit on purpose
  [[nodiscard]] Answer answer() const noexcept { return answer_; }
  [[nodiscard]] std::optional<Event>& event() noexcept { return event_; }

 private:
  Answer answer_;
  std::optional<Event> event_;
};
using Filter = std::function<FilterAnswer(const Event&)>;

// What decides when no filter had an opinion (LR-004).
enum class FilterDefault : std::uint8_t { log, stop };

struct NamedFilter {
  std::string id;
  Filter filter;
};

// OTP's logger_filters. Each answers `matched` (stop or log) for the events that it is about, ignore for the others.
namespace filters {
// Compares the event's `domain` with a domain: equal; sub (equal or below); super (equal or above); not_equal; undefined
// (the event has none; `domain` is not looked at).
enum class Compare : std::uint8_t { equal, sub, super, not_equal, undefined };
[[nodiscard]] COPPICE_API Filter domain(Answer matched, Compare compare, std::vector<Atom> domain = {});
// Events of exactly this level.
[[nodiscard]] COPPICE_API Filter level(Answer matched, Level level);
// Progress reports.
[[nodiscard]] COPPICE_API Filter progress(Answer matched);
// Events of processes whose group leader is on another node (LR-037).
[[nodiscard]] COPPICE_API Filter remote_group_leader(Answer matched);
}  // namespace filters

// -- handlers -----------------------------------------------------------------------------------------------------------

class COPPICE_API Handler {
 public:
  Handler() = default;
  virtual ~Handler();
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

  // Takes the event. Called by the process or thread that logs, by several at once. It may wait as that process may.
  virtual void log(const Event& event) = 0;
  // Waits until everything taken has been written, at most for `patience`; whether it has.
  virtual bool flush(std::chrono::milliseconds patience);
  // Whether log() itself never logs: then it also gets what other handlers and filters log.
  [[nodiscard]] virtual bool never_logs() const noexcept { return false; }
};

struct HandlerOptions {
  Level level = Level::all;               // events that are less severe do not reach it
  std::vector<NamedFilter> filters = {};  // in their order
  FilterDefault filter_default = FilterDefault::log;
};

// All of these: any thread; they take effect for events that are logged later. Adding fails with `already_exists`, all
// others with `not_found`.
COPPICE_API Result<> add_handler(std::string_view id, std::shared_ptr<Handler> handler, HandlerOptions options = {});
COPPICE_API Result<> remove_handler(std::string_view id);
COPPICE_API Result<> set_handler_level(std::string_view id, Level level);
COPPICE_API Result<> add_handler_filter(std::string_view id, std::string_view filter_id, Filter filter);
COPPICE_API Result<> remove_handler_filter(std::string_view id, std::string_view filter_id);
COPPICE_API Result<> add_primary_filter(std::string_view filter_id, Filter filter);
COPPICE_API Result<> remove_primary_filter(std::string_view filter_id);
COPPICE_API void set_primary_filter_default(FilterDefault answer);
// The ids of the handlers, in the order in which they are called; at the start: "default".
[[nodiscard]] COPPICE_API std::vector<std::string> handlers();

// -- how an event looks -------------------------------------------------------------------------------------------------

enum class Colours : std::uint8_t { automatic, always, never };

// `12:34:56.789 user=ann [error] text`, with colours (debug cyan, warning yellow, error and above red) where they are
// wanted. `automatic`: if the output is a terminal, NO_COLOR is not set and TERM is not dumb.
struct Layout {
  Colours colours = Colours::automatic;
  std::vector<Atom> metadata = {};  // keys to show
  bool date = false;                // 2024-05-17 before the time
  bool utc = false;                 // else local time
  InspectOptions inspect = {};      // how much of large terms is shown (LR-036)
};

// The line or lines of an event, with the newline at the end. `automatic` colours are none.
[[nodiscard]] COPPICE_API std::string format_event(const Event& event, const Layout& layout = {});

// -- writing, protected against overload ------------------------------------------------------------------------------

// Where a WritingHandler puts its text. Called by one thread at a time.
class COPPICE_API Output {
 public:
  virtual ~Output();
  // Writes all of the text; false if it could not.
  virtual bool write(std::string_view text) = 0;
  virtual void reopen() {}
  [[nodiscard]] virtual bool is_terminal() const noexcept { return false; }
};

// OTP's logger_olp with its defaults (LR-010). `waiting` are the events taken and not yet written, and those dropped
// since the queue was last empty.
struct OverloadProtection {
  std::size_t sync_at = 10;     // waiting: the caller waits until its event is written
  std::size_t drop_at = 200;    // waiting: new events are dropped
  std::size_t flush_at = 1000;  // waiting: the events in the queue are dropped, so that what is written next is recent
  std::chrono::milliseconds sync_wait_max{
      500};                 // a caller waits no longer; then nobody waits until the output moves on
  bool burst_limit = true;  // at most burst_max events in burst_window
  std::size_t burst_max = 500;
  std::chrono::milliseconds burst_window{1000};
};

// Events that a handler took and did not write. Each number is reported by a line in the output as well, once the handler
// has caught up.
struct Losses {
  std::uint64_t dropped = 0;
  std::uint64_t flushed = 0;
  std::uint64_t burst = 0;
  std::uint64_t failed = 0;  // the output refused them: the disk is full, the pipe is closed
  [[nodiscard]] std::uint64_t total() const noexcept { return dropped + flushed + burst + failed; }
};

// Formats events in the caller and writes them on a thread of its own, so that a slow output does not hold the caller
// up: asynchronously, until the queue grows. In a simulation, and in the child of a fork, it writes at once, and nothing
// is dropped. The destructor waits up to a second for the queue.
class COPPICE_API WritingHandler : public Handler {
 public:
  explicit WritingHandler(std::unique_ptr<Output> output, const Layout& layout = {},
                          const OverloadProtection& protection = {});
  ~WritingHandler() override;

  void log(const Event& event) override;
  bool flush(std::chrono::milliseconds patience) override;
  [[nodiscard]] bool never_logs() const noexcept override { return true; }
  // Asks for the output to be reopened before the next event is written: after a log file was moved away.
  void reopen();
  [[nodiscard]] Losses losses() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Standard error (the default handler), with colours on a terminal.
class COPPICE_API ConsoleHandler final : public WritingHandler {
 public:
  explicit ConsoleHandler(const Layout& layout = {}, const OverloadProtection& protection = {});
};

// Appends to a file, which is created with the rights 0644 if there is none. If it cannot be opened or the disk is full,
// the events are counted as failed, and the next one tries again. The layout shows the date unless told otherwise.
class COPPICE_API FileHandler final : public WritingHandler {
 public:
  explicit FileHandler(std::string path, const Layout& layout = {.colours = Colours::never, .date = true},
                       const OverloadProtection& protection = {});
};

// Keeps events in memory, for tests: the newest `capacity` of them.
class COPPICE_API MemoryHandler final : public Handler {
 public:
  explicit MemoryHandler(std::size_t capacity = 10'000);
  ~MemoryHandler() override;
  void log(const Event& event) override;
  [[nodiscard]] bool never_logs() const noexcept override { return true; }
  [[nodiscard]] std::vector<Event> events() const;
  // The messages alone.
  [[nodiscard]] std::vector<std::string> texts() const;
  // Returns what it holds and forgets it.
  std::vector<Event> take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace logger
}  // namespace v1
}  // namespace coppice
