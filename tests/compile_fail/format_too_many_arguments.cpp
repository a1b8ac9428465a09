// SPDX-License-Identifier: Apache-2.0
//
// An argument without a placeholder is refused.
// also-compiles-with: -DGOOD
// expect-any: format_string_has_fewer_placeholders_than_arguments
#include <coppice/print.hpp>

void f() {
#ifdef GOOD
  coppice::print("{}\n", 1);
#else
  coppice::print("{}\n", 1, 2);
#endif
}
