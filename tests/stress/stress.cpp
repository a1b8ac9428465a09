// SPDX-License-Identifier: Apache-2.0
#include "stress/stress.hpp"

#include <cstdio>
#include <mutex>

#include <coppice/timer.hpp>

namespace stress {

using namespace coppice;

namespace {
std::atomic<std::uint64_t> complaints{0};
}

std::uint64_t failures() { return complaints.load(); }

void fail(const std::string& what) {
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  const std::uint64_t number = complaints.fetch_add(1);
  if (number < 20) std::fprintf(stderr, "stress: FAILED: %s\n", what.c_str());
  if (number == 20) std::fprintf(stderr, "stress: more of the like is not printed\n");
}

void same(const char* what, std::uint64_t got, std::uint64_t wanted) {
  if (got != wanted) fail(std::string(what) + ": " + std::to_string(got) + " in place of " + std::to_string(wanted));
}

void Crew::wait(bool may_be_killed) {
  for (const Reference& reference : references_) {
    const ExitReason reason = receive(when([&](const Down& down) { return down.reference == reference; },
                                           [](const Down& down) { return down.reason; }));
    if (reason.is_normal() || (may_be_killed && is_killed(reason))) continue;
    fail("a process ended with " + format_exit(reason));
  }
  references_.clear();
  pids_.clear();
}

void nothing_received(const char* who) {
  receive([&](const Term& message) { fail(std::string(who) + " has a message left: " + inspect(message)); },
          after(std::chrono::seconds(0), [] {}));
}

void dawdle(Random& random, std::chrono::microseconds most) {
  switch (random.below(8)) {
    case 0: sleep_for(std::chrono::microseconds(random.below(static_cast<std::uint32_t>(most.count()) + 1))); break;
    case 1:
    case 2: yield(); break;
    case 3: checkpoint(); break;
    default: break;
  }
}

}  // namespace stress
