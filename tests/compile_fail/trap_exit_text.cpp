// SPDX-License-Identifier: Apache-2.0
//
// A flag that is no boolean: a text would be true.
//
// expect: deleted
// also-compiles-with: -DGOOD
#include <coppice/process.hpp>

using namespace coppice;

int main() {
#ifdef GOOD
  trap_exit(true);
#else
  trap_exit("false");
#endif
}
