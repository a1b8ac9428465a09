// SPDX-License-Identifier: Apache-2.0
#include "console.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <coppice/process.hpp>

#include "commands.hpp"
#include "terminal.hpp"

namespace tour {
namespace {

using namespace coppice;

constexpr std::size_t line_bytes_max = 4096;
constexpr int look_up_ms = 100;  // a blocking function cannot be interrupted: it returns now and then

// The lines of standard input. What is too long for a line is dropped, and told.
class Input {
 public:
  // The next line, without its end; nullopt at the end of input. The last line may lack its newline.
  std::optional<std::string> next_line() {
    for (;;) {
      if (std::optional<std::string> line = take_line()) return line;
      if (ended_) {
        if (buffer_.empty() && !too_long_) return std::nullopt;
        buffer_ += '\n';
        continue;
      }
      fill();
    }
  }

 private:
  std::optional<std::string> take_line() {
    const std::size_t end = buffer_.find('\n');
    if (end == std::string::npos) {
      if (buffer_.size() > line_bytes_max) {
        too_long_ = true;
        buffer_.clear();
      }
      return std::nullopt;
    }
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    if (too_long_ || line.size() > line_bytes_max) {
      too_long_ = false;
      show(Style::error, format("error: a line has at most {} bytes; this one is left out", line_bytes_max));
      return take_line();
    }
    return line;
  }

  // Waits for input on a thread of the blocking pool, not on a scheduler.
  void fill() {
    std::array<char, 4096> bytes;
    const ssize_t count = blocking([&]() -> ssize_t {
      ::pollfd input{STDIN_FILENO, POLLIN, 0};
      const int ready = ::poll(&input, 1, look_up_ms);
      if (ready == 0 || (ready < 0 && errno == EINTR)) return -1;
      const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      return n < 0 && (errno == EINTR || errno == EAGAIN) ? -1 : (n < 0 ? 0 : n);  // what cannot be read has ended
    });
    if (count == 0) ended_ = true;
    if (count > 0) buffer_.append(bytes.data(), static_cast<std::size_t>(count));
  }

  std::string buffer_;
  bool too_long_ = false;
  bool ended_ = false;
};

// However the conversation ends, no prompt is left on the terminal.
struct PromptGuard {
  ~PromptGuard() { withdraw_prompt(); }
};

}  // namespace

Talk converse() {
  const bool typed = ::isatty(STDIN_FILENO) == 1;
  const bool prompting = typed && output_is_terminal();
  if (typed) show_help();
  const PromptGuard guard;
  Input input;
  bool any = typed;
  for (;;) {
    if (prompting) show_prompt();
    const std::optional<std::string> line = input.next_line();
    if (!line) return any ? Talk::ended : Talk::none;
    if (prompting) leave_prompt();
    if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
    any = true;
    if (!typed) echo(*line);
    if (carry_out(*line) == Outcome::quit) return Talk::quit;
  }
}

}  // namespace tour
