// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM and SIGINT for a program of applications. The handler counts: the second signal ends the program at once. It
// wakes a thread of its own, which tells the program's process of the first: a handler may do nothing that needs a
// lock.
//
// Handlers rather than a blocked mask, because a mask is inherited by the programs that this one starts, which would
// then not hear of a SIGTERM; handlers are not.
#pragma once

#include <signal.h>

#include <functional>
#include <thread>

namespace coppice::otp {

// One at a time in a program.
class TerminationSignals {
 public:
  TerminationSignals();   // from now on both signals are counted
  ~TerminationSignals();  // puts back what was there before
  TerminationSignals(const TerminationSignals&) = delete;
  TerminationSignals& operator=(const TerminationSignals&) = delete;

  // Calls `tell`, on the thread, for the first signal, also if it came before this.
  void watch(std::function<void(int signal)> tell);

 private:
  struct ::sigaction before_term_ {};
  struct ::sigaction before_int_ {};
  std::thread thread_;
};

}  // namespace coppice::otp
