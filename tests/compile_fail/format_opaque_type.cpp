// SPDX-License-Identifier: Apache-2.0
//
// A type that has no text is refused, with advice.
// also-compiles-with: -DGOOD
// expect-any: give it a function .std::string to_string
#include <coppice/print.hpp>

class Hidden {
  int value = 1;
};
class Shown {
  int value = 1;
  friend std::string to_string(const Shown& shown) { return std::to_string(shown.value); }
};

void f() {
#ifdef GOOD
  coppice::print("{}", Shown());
#else
  coppice::print("{}", Hidden());
#endif
}
