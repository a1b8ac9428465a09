// SPDX-License-Identifier: Apache-2.0
//
// A specification that does not fit the type of its argument is refused.
// also-compiles-with: -DGOOD
// expect-any: format_specification_does_not_fit_the_argument
#include <coppice/print.hpp>

void f() {
#ifdef GOOD
  coppice::print("{:x}", 1);
#else
  coppice::print("{:x}", "text");
#endif
}
