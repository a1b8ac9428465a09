// SPDX-License-Identifier: Apache-2.0
//
// A log message is checked as print is, also behind metadata.
// also-compiles-with: -DGOOD
// expect-any: format_string_has_more_placeholders_than_arguments
#include <coppice/logger.hpp>

void f() {
#ifdef GOOD
  coppice::logger::info({{coppice::Atom("a"), 1}}, "{}", 1);
#else
  coppice::logger::info({{coppice::Atom("a"), 1}}, "{}");
#endif
}
