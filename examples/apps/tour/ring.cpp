// SPDX-License-Identifier: Apache-2.0
#include "ring.hpp"

#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

namespace tour {
namespace {

using namespace coppice;

struct Token {};

struct Relay {
  Pid next;

  void operator()() const {
    for (;;) send(next, receive<Token>());
  }
};

}  // namespace

void Ring::operator()() const {
  Pid next = self();
  for (int i = 1; i < size; ++i) next = spawn_link(Relay{next});
  const std::chrono::nanoseconds begin = monotonic_time();
  for (int i = 0; i < rounds; ++i) {
    send(next, Token{});
    receive<Token>();
  }
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(monotonic_time() - begin);
  send(report_to, RingResult{size, size * rounds, time});
  exit(ExitReason::shutdown());  // the links carry it round the ring
}

}  // namespace tour
