// SPDX-License-Identifier: Apache-2.0
//
// The timer service: one plain process for each timer. It waits for its deadline, runs the expiry, and ends or waits for
// the next one; a periodic timer watches the process it is for and ends with it. Deadlines of an interval are multiples
// of the period from the start, so that lateness does not add up; those that were missed are made up for at once.
//
// Cancelling: (1) an explicit kill, (2) a question to the process, which is answered with `noproc` when it has died. The
// timer may be at work when the kill arrives; it dies at its next wait, so what it does it has done before the answer.
#include <coppice/timer.hpp>

#include <algorithm>

#include <coppice/receive.hpp>

#include "runtime/core.hpp"
#include "runtime/inspection.hpp"

namespace coppice {
inline namespace v1 {
namespace {

void run_timer(std::chrono::nanoseconds delay, bool periodic, const Pid& watched, detail::Closure& expiry) {
  if (periodic) (void)monitor(watched);
  std::chrono::nanoseconds deadline = monotonic_time() + delay;
  bool wanted = true;
  while (wanted) {
    const std::chrono::nanoseconds left = std::max(deadline - monotonic_time(), std::chrono::nanoseconds(0));
    wanted = receive([](const Down&) { return false; }, after(left, [] { return true; }));
    if (!wanted) return;
    if (monotonic_time() < deadline) continue;
    expiry.run();
    wanted = periodic;
    deadline += delay;
  }
}

}  // namespace

Result<timer::TimerHandle> detail::start_timer_process(WaitTime delay, bool periodic, const Pid& watched,
                                                       std::unique_ptr<Closure> expiry, const char* label) {
  constexpr std::int64_t longest = std::int64_t{1} << 62;  // nanoseconds: room to add a start time
  const std::int64_t nanoseconds = delay.nanoseconds();
  if (nanoseconds < (periodic ? 1 : 0) || nanoseconds >= longest) return error("badarg");
  try {
    return timer::TimerHandle(v1::spawn(
        [nanoseconds, periodic, watched, owned = std::move(expiry)] {
          run_timer(std::chrono::nanoseconds(nanoseconds), periodic, watched, *owned);
        },
        {.label = std::string("timer.") + label}));
  } catch (const Exit&) {  // :system_limit
    return error("badarg");
  }
}

namespace timer {

Result<TimerHandle> exit_after(WaitTime delay, const Pid& pid, const ExitReason& reason) {
  return detail::start_timer_process(delay, false, {}, detail::expiry_of([pid, reason] { exit(pid, reason); }),
                                     "exit_after");
}

Result<TimerHandle> kill_after(WaitTime delay, const Pid& pid) { return exit_after(delay, pid, ExitReason::kill()); }

Result<> cancel(const TimerHandle& timer) {
  const auto core = runtime::require_core("timer::cancel");
  const Pid pid = timer.process_;
  if (!core->is_local(pid)) return error("badarg");
  exit(pid, ExitReason::kill());
  runtime::inspect_in(
      pid, [](runtime::Process&, void*) {}, nullptr);
  return {};
}

}  // namespace timer
}  // namespace v1
}  // namespace coppice
