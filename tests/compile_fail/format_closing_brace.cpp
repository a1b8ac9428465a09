// SPDX-License-Identifier: Apache-2.0
//
// A closing brace that stands alone is refused.
// also-compiles-with: -DGOOD
// expect-any: format_string_has_a_closing_brace_that_is_not_opened
#include <coppice/print.hpp>

void f() {
#ifdef GOOD
  coppice::print("{} }}", 1);
#else
  coppice::print("{} }", 1);
#endif
}
