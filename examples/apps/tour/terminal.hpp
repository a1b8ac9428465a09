// SPDX-License-Identifier: Apache-2.0
//
// What the tour shows: one stream, standard output, for the narration, the answers and the log, so that they come in
// the order in which they happened. Colours on a terminal only, and not if NO_COLOR is set. Any process or thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <coppice/format.hpp>
#include <coppice/logger_handler.hpp>

namespace tour {

enum class Style { plain, faint, title, event, error };

// Shows the text as whole lines. If a prompt stands on the terminal, it moves below them.
void show(Style style, std::string_view text);

template <class... Args>
void say(coppice::FormatString<Args...> text, const Args&... args) {
  show(Style::plain, coppice::format(text, args...));
}
// What one of the systems tells by itself, at a moment of its own: with a star, so that it is not taken for an answer.
template <class... Args>
void tell(coppice::FormatString<Args...> text, const Args&... args) {
  show(Style::event, "* " + coppice::format(text, args...));
}

// A prompt: shown; left behind, for the user has ended its line; taken away, if it still stands.
void show_prompt();
void leave_prompt();
void withdraw_prompt();

// Shows a command that nobody has typed.
void echo(std::string_view command);

// The text with what would disturb a terminal (control characters, but for tabs) replaced.
[[nodiscard]] std::string printable(std::string_view text);

[[nodiscard]] bool output_is_terminal() noexcept;

// Where the log of the tour goes: to the same stream, in place of standard error.
void log_to_output();

}  // namespace tour
