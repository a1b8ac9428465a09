// SPDX-License-Identifier: Apache-2.0
//
// Indices are refused: placeholders take the arguments in order.
// also-compiles-with: -DGOOD
// expect-any: format_string_uses_an_index_or_a_name_where_only_a_specification_may_stand
#include <coppice/print.hpp>

void f() {
#ifdef GOOD
  coppice::print("{}", 1);
#else
  coppice::print("{0}", 1);
#endif
}
