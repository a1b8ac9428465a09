// SPDX-License-Identifier: Apache-2.0
//
// The outputs behind the writing handlers (standard error, a file), and the handler that keeps events in memory.
#include <coppice/logger_handler.hpp>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <deque>
#include <mutex>

namespace coppice {
inline namespace v1 {
namespace logger {
namespace {

// Writes all of it. A descriptor that does not block and is full is waited for in steps, so that a reader that has gone
// away for good does not hold the writer for ever.
bool write_all(int descriptor, std::string_view text) {
  constexpr int step_ms = 100;
  constexpr int steps_max = 50;
  int steps = 0;
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN && ++steps <= steps_max) {
      pollfd ready{descriptor, POLLOUT, 0};
      ::poll(&ready, 1, step_ms);
      continue;
    }
    return false;
  }
  return true;
}

class ConsoleOutput final : public Output {
 public:
  bool write(std::string_view text) override { return write_all(STDERR_FILENO, text); }
  [[nodiscard]] bool is_terminal() const noexcept override {
    const char* no_colour = std::getenv("NO_COLOR");
    const char* kind = std::getenv("TERM");
    if (no_colour != nullptr && *no_colour != '\0') return false;
    return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
  }
};

class FileOutput final : public Output {
 public:
  explicit FileOutput(std::string path) : path_(std::move(path)) {}
  ~FileOutput() override { close(); }
  bool write(std::string_view text) override {
    if (descriptor_ < 0) {
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (descriptor_ < 0) return false;
    }
    // After a failure the last line may be cut short: the next text begins a new one.
    if (broken_ && !write_all(descriptor_, "\n")) return false;
    broken_ = !write_all(descriptor_, text);
    return !broken_;
  }
  void reopen() override {
    close();
    broken_ = false;
  }

 private:
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }
  const std::string path_;
  int descriptor_ = -1;
  bool broken_ = false;
};

}  // namespace

Handler::~Handler() = default;
bool Handler::flush(std::chrono::milliseconds) { return true; }
Output::~Output() = default;

ConsoleHandler::ConsoleHandler(const Layout& layout, const OverloadProtection& protection)
    : WritingHandler(std::make_unique<ConsoleOutput>(), layout, protection) {}

FileHandler::FileHandler(std::string path, const Layout& layout, const OverloadProtection& protection)
    : WritingHandler(std::make_unique<FileOutput>(std::move(path)), layout, protection) {}

// -- memory ---------------------------------------------------------------------------------------------------------------

struct MemoryHandler::State {
  explicit State(std::size_t most) : capacity(most) {}
  const std::size_t capacity;
  mutable std::mutex mutex;
  std::deque<Event> events;  // guarded by mutex
};

MemoryHandler::MemoryHandler(std::size_t capacity) : state_(std::make_unique<State>(capacity)) {}
MemoryHandler::~MemoryHandler() = default;

void MemoryHandler::log(const Event& event) {
  const std::lock_guard lock(state_->mutex);
  state_->events.push_back(event);
  if (state_->events.size() > state_->capacity) state_->events.pop_front();
}

std::vector<Event> MemoryHandler::events() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->events.begin(), state_->events.end()};
}

std::vector<std::string> MemoryHandler::texts() const {
  std::vector<std::string> texts;
  for (const Event& event : events()) texts.push_back(event.message());
  return texts;
}

std::vector<Event> MemoryHandler::take() {
  std::deque<Event> taken;
  const std::lock_guard lock(state_->mutex);
  taken.swap(state_->events);
  return {std::make_move_iterator(taken.begin()), std::make_move_iterator(taken.end())};
}

}  // namespace logger
}  // namespace v1
}  // namespace coppice
