// SPDX-License-Identifier: Apache-2.0
//
// A slip to the sleep of POSIX, which would block a whole worker.
//
// expect: deleted
// also-compiles-with: -DGOOD
#include <chrono>

#include <coppice/process.hpp>

using namespace coppice;

int main() {
#ifdef GOOD
  sleep_for(std::chrono::seconds(3));
#else
  sleep(3);
#endif
}
