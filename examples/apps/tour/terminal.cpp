// SPDX-License-Identifier: Apache-2.0
#include "terminal.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace tour {
namespace {

std::mutex output;      // held while a text is written, never while a process waits
bool prompted = false;  // a prompt stands at the end of the output; guarded by `output`

constexpr std::string_view prompt_text = "tour> ";

bool wants_colours() noexcept {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return output_is_terminal() && (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

std::string_view colour_of(Style style) noexcept {
  switch (style) {
    case Style::plain: return {};
    case Style::faint: return "\033[2m";
    case Style::title: return "\033[1;36m";
    case Style::event: return "\033[32m";
    case Style::error: return "\033[1;31m";
  }
  return {};
}

std::string styled(Style style, std::string_view text) {
  static const bool colours = wants_colours();
  const std::string_view colour = colour_of(style);
  if (!colours || colour.empty()) return std::string(text);
  return std::string(colour).append(text).append("\033[0m");
}

// Writes lines above the prompt, if there is one. Flushed at once, for whoever reads along through a pipe.
bool write_lines(std::string_view lines) {
  const std::lock_guard lock(output);
  std::string text(prompted ? "\r\033[K" : "");
  text.append(lines);
  if (prompted) text.append(prompt_text);
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

class LogOutput final : public coppice::logger::Output {
 public:
  bool write(std::string_view text) override { return write_lines(text); }
  [[nodiscard]] bool is_terminal() const noexcept override { return wants_colours(); }  // the logger colours if so
};

}  // namespace

bool output_is_terminal() noexcept {
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  return terminal;
}

void show(Style style, std::string_view text) { write_lines(styled(style, text).append("\n")); }

void show_prompt() {
  const std::lock_guard lock(output);
  prompted = true;
  std::fwrite(prompt_text.data(), 1, prompt_text.size(), stdout);
  std::fflush(stdout);
}

void leave_prompt() {
  const std::lock_guard lock(output);
  prompted = false;
}

void withdraw_prompt() {
  const std::lock_guard lock(output);
  if (!prompted) return;
  prompted = false;
  std::fputs("\r\033[K", stdout);
  std::fflush(stdout);
}

void echo(std::string_view command) {
  constexpr std::size_t shown_max = 300;
  show(Style::faint, "> " + printable(command.substr(0, shown_max)) + (command.size() > shown_max ? " ..." : ""));
}

std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) c = '?';
  }
  return result;
}

void log_to_output() {
  (void)coppice::logger::remove_handler("default");
  (void)coppice::logger::add_handler("tour",
                                     std::make_shared<coppice::logger::WritingHandler>(std::make_unique<LogOutput>()));
}

}  // namespace tour
