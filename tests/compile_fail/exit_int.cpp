// SPDX-License-Identifier: Apache-2.0
//
// A slip to the exit of the C library.
//
// expect: ambiguous|deleted
// expect-any: deleted
// also-compiles-with: -DGOOD
#include <coppice/process.hpp>

using namespace coppice;

int main() {
#ifdef GOOD
  exit(Term(3));
#else
  exit(3);
#endif
}
