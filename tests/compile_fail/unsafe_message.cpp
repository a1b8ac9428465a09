// SPDX-License-Identifier: Apache-2.0
//
// A message that holds a string_view: its text may be gone when the message is read.
//
// expect: a message may not hold a bare pointer, reference, string_view or span
// also-compiles-with: -DGOOD
#include <string>
#include <string_view>

#include <coppice/process.hpp>

struct Greeting {
#ifdef GOOD
  std::string text;
#else
  std::string_view text;
#endif
};

int main() { coppice::send(coppice::Pid(), Greeting{"hello"}); }
