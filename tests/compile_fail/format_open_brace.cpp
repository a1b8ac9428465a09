// SPDX-License-Identifier: Apache-2.0
//
// A brace that is not closed is refused.
// also-compiles-with: -DGOOD
// expect-any: format_string_has_an_opening_brace_that_is_not_closed
#include <coppice/print.hpp>

void f() {
#ifdef GOOD
  coppice::print("{{ {}", 1);
#else
  coppice::print("{ {}", 1);
#endif
}
