// SPDX-License-Identifier: Apache-2.0
//
// A text that is known at run time only is no format string: print("{}", text).
// also-compiles-with: -DGOOD
// expect-any: call to (non-.constexpr.|consteval) function
#include <coppice/print.hpp>

std::string text();

void f() {
#ifdef GOOD
  coppice::print("{}", text());
#else
  coppice::print(text());
#endif
}
