// SPDX-License-Identifier: Apache-2.0
//
// For our programs and for those of other C++ that are measured beside them; so it includes nothing of coppice.
#pragma once

namespace bench {

// Numbers that do not follow each other, the same on all sides.
class Scatter {
 public:
  Scatter(unsigned seed, long below) : state_(seed * 7919L + 1), below_(below) {}
  long next() {
    state_ = state_ * 16807 % 2147483647;
    return state_ % below_;
  }

 private:
  long state_;
  long below_;
};

}  // namespace bench
