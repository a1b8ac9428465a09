// SPDX-License-Identifier: Apache-2.0
//
// One fwrite for each call: the C library holds its lock on the stream for the whole of it, and flushes at exit.
#include <coppice/print.hpp>

#include <unistd.h>

#include <cstdio>

namespace coppice {
inline namespace v1 {
namespace detail {

void print(std::string_view text, FormatArguments arguments, bool with_newline) {
  std::string whole = detail::format(text, arguments);
  if (with_newline) whole.push_back('\n');
  std::fwrite(whole.data(), 1, whole.size(), stdout);
  static const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  if (is_terminal) std::fflush(stdout);
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
