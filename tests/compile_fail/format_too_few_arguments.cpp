// SPDX-License-Identifier: Apache-2.0
//
// A placeholder without an argument is refused.
// also-compiles-with: -DGOOD
// expect-any: format_string_has_more_placeholders_than_arguments
#include <coppice/print.hpp>

void f() {
#ifdef GOOD
  coppice::print("{} and {}\n", 1, 2);
#else
  coppice::print("{} and {}\n", 1);
#endif
}
