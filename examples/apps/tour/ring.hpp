// SPDX-License-Identifier: Apache-2.0
//
// Plain processes at work: a ring of them hands a token around.
#pragma once

#include <coppice/process.hpp>

namespace tour {

// What the ring tells whoever started it.
struct RingResult {
  int processes;
  int messages;
  std::chrono::microseconds time;
};

// The first of the ring: starts the others, linked to it, sends the token round, and ends; they end with it.
struct Ring {
  int size;
  int rounds;
  coppice::Pid report_to;

  void operator()() const;
};

}  // namespace tour
