// SPDX-License-Identifier: Apache-2.0
//
// What the workloads share: a clock, a check of their results, the message that says that all is done.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace bench {

struct Done {};

// Seconds, from some moment on.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A workload that computes something else than it should ends the program: its figure would mean nothing.
inline void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "coppice_bench: wrong result: %s\n", what);
  std::exit(70);
}

}  // namespace bench
