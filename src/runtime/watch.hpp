// SPDX-License-Identifier: Apache-2.0
//
// Which workers sleep, and who looks after those that do not.
//
// To wake a worker costs some 50 us and to run a process away from its data costs too, so nobody is woken for each process
// that is queued. Instead one worker without work, the *watcher*, looks after the busy ones and takes from one that does
// not get through its queue (worker_idle.cpp says when). It sleeps between two looks, longer each time.
//
// Actors: a pusher A, which is a running worker that queues something others may take; the idle workers; among these at
// most one watcher, whose number + 1 is `watcher_` (0: none). A worker's bit in the idle mask is set while it sleeps or is
// about to; whoever clears it wakes it. A worker whose bit is set has nothing in its queues.
//
// A pusher:    1. queues the process (release). 2. If some bit is set and there is no watcher, appoints one.
// To appoint:  1. choose a set bit i; none: done. 2. Swap `watcher_` from 0 to i + 1; failed: somebody else does it, done.
//              3. Clear bit i. It was set: wake i, done. Else i is awake and may know nothing: `watcher_` back to 0, and 1.
// Worker B without work:
//              1. If no other worker is busy (all other bits are set), B is not the watcher any more. Else, if there is no
//                 watcher, B becomes it.
//              2. As watcher: look at the queues of the busy; perhaps take something. If nothing stood there, and not for a
//                 while either if it was appointed, it gives up the role and *dozes*.
//              3. Set the own bit. Look again at what would be missed for ever: inbox, overflow, the order to stop; who is
//                 about to doze, at the queues of the busy; and who is neither watcher nor dozes, whether there is a
//                 watcher or nobody is busy. Else clear the bit, and 1.
//              4. Park: the watcher for a short while, who dozes for a long one, all others until a timer is due.
//                 Then clear the bit, and 1.
// Who leaves this state with something to run, hands over: the watcher gives up the role and appoints another; one that has
// dozed looks at the queues and appoints one if something stands there.
//
// Why nothing is stranded. A has queued P in step 1 and appoints nobody in step 2. All of `watcher_` and the mask is
// sequentially consistent; the queueing is not (a fence would cost more than the rest of the push), so what A reads may be
// older than its own push.
//   - A saw no bit. Whoever goes to sleep later sets its bit and then looks for a watcher. There is one, or it does not
//     sleep but for a doze, because A is busy: A's bit is not set before its queues are empty.
//   - A saw a watcher W. W looks again as long as it has the role and somebody is busy, and sees P when the push becomes
//     visible. W may stop: it found work: then it appoints a worker whose bit it sees, or there is none, and the case before
//     holds. Or nobody was busy when W looked at the mask after it had given up the role: A was asleep then, was woken
//     after that by one who cleared its bit, and so reads that the role is free and W's bit. Or W dozes: it has set its
//     bit and looked at A's queue, so A's push was not visible yet; W looks again within `doze`, or when it is woken. This is
//     the only case in which P waits for longer than for the next look, and only if it stood in A's store buffer while W
//     looked, and A queues nothing else after it.
//   - A saw a number that an appointer was about to take back. The appointer goes on until it has woken somebody or sees no
//     bit set: the second case, or the first.
// So a process that others could run waits for a look, and an idle runtime sleeps without deadlines. The model checker finds
// that only case, and accepts the rest (tests/model/watch_test.cpp).
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace coppice::runtime {

// `Host` has worker_count() and unpark(worker). It and the atomics are parameters for the model checker's sake: see
// tests/model/watch_test.cpp, which runs this source with the ring, the inbox and the overflow queue.
template <class Host, template <class> class Atomic>
class BasicWatch {
 public:
  explicit BasicWatch(Host& host) noexcept : host_(host) {}

  // Step 2 of a pusher.
  void call() {
    if (idle_mask_.load(std::memory_order_seq_cst) != 0 && watcher_.load(std::memory_order_seq_cst) == 0) appoint();
  }

  // -- a worker without work
  // Step 1: is it the watcher now?
  [[nodiscard]] bool take_role(std::uint32_t worker) noexcept {
    if (!others_are_busy(worker)) {
      give_up(worker);
      return false;
    }
    std::uint32_t nobody = 0;
    return watcher_.compare_exchange_strong(nobody, worker + 1, std::memory_order_seq_cst) || nobody == worker + 1;
  }
  void give_up(std::uint32_t worker) noexcept {
    std::uint32_t expected = worker + 1;
    if (watcher_.load(std::memory_order_seq_cst) == expected) {
      watcher_.compare_exchange_strong(expected, 0, std::memory_order_seq_cst);
    }
  }
  // It goes on to run something.
  void hand_over(std::uint32_t worker) {
    give_up(worker);
    call();
  }
  [[nodiscard]] bool is_watcher(std::uint32_t worker) const noexcept {
    return watcher_.load(std::memory_order_seq_cst) == worker + 1;
  }

  // How it is to sleep that is the watcher or is not.
  enum class Sleep : std::uint8_t { until_woken, watches, dozes };
  [[nodiscard]] Sleep how_to_sleep(std::uint32_t worker, bool watches) const noexcept {
    if (watches) return Sleep::watches;
    return !somebody_watches() && others_are_busy(worker) ? Sleep::dozes : Sleep::until_woken;
  }
  // Step 3 but for the looks at its own queues, which follow: may it park?
  template <class StandsElsewhere>
  [[nodiscard]] bool announce(std::uint32_t worker, Sleep how, StandsElsewhere something_stands_elsewhere) {
    idle_mask_.fetch_or(bit_of(worker), std::memory_order_seq_cst);
    switch (how) {
      case Sleep::watches: return true;
      case Sleep::dozes: return !something_stands_elsewhere();
      case Sleep::until_woken: break;
    }
    return somebody_watches() || !others_are_busy(worker);
  }
  void awake(std::uint32_t worker) noexcept { idle_mask_.fetch_and(~bit_of(worker), std::memory_order_seq_cst); }

  // -- waking, after something was queued that is not looked after: for one worker, or for all
  void wake(std::uint32_t worker) {
    if ((idle_mask_.load(std::memory_order_seq_cst) & bit_of(worker)) != 0) (void)claim(worker);
  }
  void wake_one() {
    std::uint64_t mask = idle_mask_.load(std::memory_order_seq_cst);
    while (mask != 0 && !claim(static_cast<std::uint32_t>(std::countr_zero(mask)))) {
      mask = idle_mask_.load(std::memory_order_seq_cst);
    }
  }

  [[nodiscard]] bool all_sleep() const noexcept { return idle_mask_.load(std::memory_order_seq_cst) == all(); }

 private:
  [[nodiscard]] static constexpr std::uint64_t bit_of(std::uint32_t worker) noexcept {
    return std::uint64_t{1} << worker;
  }
  [[nodiscard]] std::uint64_t all() const noexcept {
    const std::size_t count = host_.worker_count();
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
  }
  [[nodiscard]] bool somebody_watches() const noexcept { return watcher_.load(std::memory_order_seq_cst) != 0; }
  [[nodiscard]] bool others_are_busy(std::uint32_t worker) const noexcept {
    return ((idle_mask_.load(std::memory_order_seq_cst) | bit_of(worker)) & all()) != all();
  }
  // Clears its bit, so that two wakers never wake the same one. It was set: wakes it.
  [[nodiscard]] bool claim(std::uint32_t worker) {
    if ((idle_mask_.fetch_and(~bit_of(worker), std::memory_order_seq_cst) & bit_of(worker)) == 0) return false;
    host_.unpark(worker);
    return true;
  }
  void appoint();

  Host& host_;
  alignas(64) Atomic<std::uint64_t> idle_mask_{0};
  Atomic<std::uint32_t> watcher_{0};
};

template <class Host, template <class> class Atomic>
void BasicWatch<Host, Atomic>::appoint() {
  for (;;) {
    const std::uint64_t mask = idle_mask_.load(std::memory_order_seq_cst);
    if (mask == 0) return;
    const auto worker = static_cast<std::uint32_t>(std::countr_zero(mask));
    std::uint32_t nobody = 0;
    if (!watcher_.compare_exchange_strong(nobody, worker + 1, std::memory_order_seq_cst)) return;
    if (claim(worker)) return;
    give_up(worker);
  }
}

class Core;
using Watch = BasicWatch<Core, std::atomic>;
extern template class BasicWatch<Core, std::atomic>;

}  // namespace coppice::runtime
