// SPDX-License-Identifier: Apache-2.0
#include <coppice/pid.hpp>

#include <algorithm>

namespace coppice {
inline namespace v1 {

std::string to_string(const Pid& pid) {
  return "<" + std::to_string(pid.node) + "." + std::to_string(pid.slot()) + "." + std::to_string(pid.use()) + ">";
}

// Highest word first, and always at least three, as Erlang prints them.
std::string to_string(const Reference& reference) {
  std::string text = "#Reference<" + std::to_string(reference.node);
  const std::size_t shown = std::clamp<std::size_t>(reference.word_count, 3, reference.words.size());
  for (std::size_t i = shown; i-- > 0;) text += "." + std::to_string(reference.words[i]);
  return text + ">";
}

}  // namespace v1
}  // namespace coppice
