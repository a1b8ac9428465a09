// SPDX-License-Identifier: Apache-2.0
//
// Timers: src/runtime/timer_shard.hpp, with head.hpp for the processes that are woken and watch.hpp for the worker that
// sleeps until one is due. Time goes on when the program says so, and is the same for all.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>

#include "model/expect.hpp"
#include "model/line.hpp"
#include "runtime/timer_shard.hpp"
#include "runtime/watch.hpp"

namespace {

namespace head = coppice::runtime::head;
using coppice::runtime::BasicTimerShard;
using coppice::runtime::BasicWatch;
using coppice::runtime::ShardTimer;
using model::Execution;
using model::Line;
using model::Message;
using model::number_of;
using model::Operation;
using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint64_t never = coppice::base::TimerWheel::never;
constexpr std::uint64_t number = number_of(7);
constexpr std::uint64_t tag = head::tag_of(number);

class Shard;

struct Receiver {
  std::uint64_t number = 0;
  explicit operator bool() const { return number != 0; }
};

struct TimersTo;

struct MessageTimer : ShardTimer {
  MessageTimer(std::uint64_t the_id, std::uint64_t receiver) : ShardTimer(false), id(the_id), to{receiver} {}
  std::uint64_t id;
  std::uint64_t asked = 0;
  Receiver to;
  MessageTimer* next_by_id = nullptr;
  TimersTo* target = nullptr;
  MessageTimer* target_next = nullptr;
  MessageTimer* target_previous = nullptr;
};

struct TimersTo {
  explicit TimersTo(std::uint64_t the_number) : number(the_number) {}
  const std::uint64_t number;
  MessageTimer* first = nullptr;
  TimersTo* next_target = nullptr;
};

inline std::uint64_t table_key(const MessageTimer& timer) { return timer.id; }
inline std::uint64_t table_key(const TimersTo& target) { return target.number; }

struct WakeTimer : ShardTimer {
  WakeTimer() : ShardTimer(true) {}
  Message signal;
  model::Atomic<bool> queued{false};
  model::Atomic<std::uint64_t> armed_until{never};
  Shard* shard = nullptr;
  Line* process = nullptr;
};

// The runtime: a worker of number 0, whose shard this is.
struct Host {
  std::array<model::Atomic<int>, 3> delivered{};  // by id
  std::array<model::Atomic<int>, 3> destroyed{};
  model::Atomic<int> token{0};  // of the worker's parker
  BasicWatch<Host, model::Atomic> watch{*this};

  [[nodiscard]] std::size_t worker_count() const { return 1; }
  void unpark(std::uint32_t) { token.exchange(1, memory_order_release); }
};

struct Parts {
  using Host = ::Host;
  using Shard = ::Shard;
  using WakeTimer = ::WakeTimer;
  using MessageTimer = ::MessageTimer;
  using TimersTo = ::TimersTo;
  using Mutex = model::Mutex;
  template <class T>
  using Atomic = model::Atomic<T>;

  static void push_wake(Host&, WakeTimer& timer) {  // as runtime::push_wake
    timer.signal.value.set(1);
    if (!model::send(*timer.process, number, timer.signal, false)) timer.queued.store(false, memory_order_release);
  }
  static void deliver(Host& host, MessageTimer* timer) {
    host.delivered[timer->id].fetch_add(1, memory_order_acq_rel);
    delete timer;
  }
  static void destroy(MessageTimer* timer) { delete timer; }
  static void moved_forward(Host& host, std::uint32_t shard) { host.watch.wake(shard); }
  static std::uint64_t lateness(Host&) { return 0; }
  static void fetch_message(const MessageTimer&) {}
};

class Shard : public BasicTimerShard<Parts> {
 public:
  using BasicTimerShard::BasicTimerShard;
};

// -- a message timer that is cancelled while it is fired

// `fires` workers fire (the shard's own, and the watchdog), one other cancels.
void cancelled(Execution& execution, int fires) {
  Host host;
  auto shard = std::make_unique<Shard>(host, 0, 0);
  shard->start(new MessageTimer(1, number), 10, 0);
  for (int i = 0; i < fires; ++i) {
    execution.thread([&] { shard->fire(20); });
  }
  std::optional<std::uint64_t> left;
  execution.thread([&] {
    left = shard->cancel(1);
    if (left)
      model::check(host.delivered[1].load(memory_order_relaxed) == 0, "it is delivered, though it was cancelled");
  });
  execution.join();
  const int delivered = host.delivered[1].load(memory_order_relaxed);
  model::check(delivered + (left ? 1 : 0) == 1, "it was neither cancelled nor delivered, or both");
  model::check(shard->message_timer_count() == 0, "it is still there");
}

TEST(Timers, a_timer_is_delivered_or_cancelled) {
  const model::Options options{.preemptions_max = 4, .stale_loads_max = 3};
  model::expect_sound("timers, cancelled while it fires", options, [](Execution& e) { cancelled(e, 1); });
  model::expect_sound("timers, cancelled while two fire", {.preemptions_max = 3, .stale_loads_max = 2},
                      [](Execution& e) { cancelled(e, 2); });
}

// -- a timer for one that dies

// As start_timer (timer_api.cpp) beside die_as (death.cpp): no timer for the dead is left.
void receiver_dies(Execution& execution, bool flag_first, bool looks_again) {
  Host host;
  auto shard = std::make_unique<Shard>(host, 0, 0);
  Line line;
  model::Atomic<std::uint32_t> flags{0};
  head::open(line, number);
  execution.thread([&] {
    if (!head::still_lives(line, number)) return;
    if (flag_first) flags.fetch_or(1, std::memory_order_seq_cst);
    shard->start(new MessageTimer(1, number), 10, 0);
    if (!flag_first) flags.fetch_or(1, std::memory_order_seq_cst);
    if (looks_again && !head::still_lives(line, number)) (void)shard->cancel(1);
  });
  execution.thread([&] {
    (void)head::end<Message>(line, tag);
    if ((flags.load(std::memory_order_seq_cst) & 1) != 0) shard->cancel_all_to(number);
    head::close(line);
  });
  execution.join();
  model::check(shard->message_timer_count() == 0, "a timer for the dead is left");
}

TEST(Timers, the_dead_leave_no_timer) {
  const model::Options options{.preemptions_max = 4, .stale_loads_max = 4};
  model::expect_sound("timers, receiver dies", options, [](Execution& e) { receiver_dies(e, true, true); });
  model::expect_rejected("timers, receiver dies, no second look", options,
                         [](Execution& e) { receiver_dies(e, true, false); });
}

// -- a process's own timer, re-armed lazily

// A process waits until 2 with a timer that is armed for 1. Whoever fires does so at 1, at 2, and again. In between it may
// be woken by another. It must come to its end. `late`: 1 has been, and the process has just looked into its mailbox when
// that wake signal came; so it arms the timer anew with the signal before it.
void lazily(Execution& execution, bool woken_by_another, bool late = false) {
  Host host;
  auto shard = std::make_unique<Shard>(host, 0, 0);
  Line line;
  WakeTimer timer;
  Message other;
  model::Atomic<std::uint64_t> clock{0};
  model::Atomic<bool> done{false};
  const auto now = [&] { return clock.fetch_add(0, memory_order_relaxed); };  // a clock is never read late
  timer.process = &line;
  head::open(line, number);
  shard->arm(timer, 1);
  if (late) {
    clock.exchange(1, memory_order_relaxed);
    shard->fire(1);
  }
  execution.thread([&] {
    constexpr std::uint64_t deadline = 2;
    if (late) shard->arm(timer, deadline);
    for (;;) {
      for (Message* at = head::take<Message>(line, tag); at != nullptr;) {
        Message* next = at->next;
        if (at == &timer.signal) Shard::note_taken(timer);
        at = next;
      }
      if (!Shard::is_set(timer, deadline)) {
        if (now() >= deadline) break;
        shard->arm(timer, deadline);
      }
      line.turns.set(line.turns.get() + 1);
      if (head::wait_if_empty(line, head::waiting)) line.wait_for_turn();
    }
    Shard::disarm(timer);
    done.store(true, memory_order_release);
  });
  execution.thread([&] {
    for (std::uint64_t time = late ? 2 : 1; time <= 2; ++time) {
      clock.exchange(time, memory_order_relaxed);
      shard->fire(time);
    }
    while (!done.load(memory_order_acquire)) {
      model::pause();
      shard->fire(2);
    }
  });
  if (woken_by_another) {
    execution.thread([&] { (void)model::send(line, number, other, false); });
  }
  execution.join();
  model::check(!timer.armed(), "a timer is armed that was disarmed");
}

TEST(Timers, a_process_that_leaves_its_timer_as_it_is_wakes_in_time) {
  model::expect_sound("timers, lazily", {.preemptions_max = 2, .stale_loads_max = 2, .steps_max = 1000},
                      [](Execution& e) { lazily(e, false); });
  model::expect_sound("timers, lazily, late", {.preemptions_max = 2, .stale_loads_max = 2, .steps_max = 1000},
                      [](Execution& e) { lazily(e, false, true); });
  model::expect_sound("timers, lazily, woken by another",
                      {.preemptions_max = 2, .stale_loads_max = 1, .steps_max = 1000},
                      [](Execution& e) { lazily(e, true); });
}

// -- a worker that sleeps until a timer is due, and another that starts an earlier one

void moved_forward(Execution& execution) {
  Host host;
  auto shard = std::make_unique<Shard>(host, 0, 0);
  execution.thread([&] { shard->start(new MessageTimer(1, number), 10, 0); });
  execution.thread([&] {
    while (host.delivered[1].load(memory_order_relaxed) == 0) {
      using Watch = BasicWatch<Host, model::Atomic>;
      const bool may_park = host.watch.announce(0, Watch::Sleep::until_woken, [] { return false; });
      if (may_park && shard->next_deadline() == never) {
        while (host.token.load(memory_order_relaxed) == 0) model::yield();
        host.token.exchange(0, memory_order_acquire);
      }
      host.watch.awake(0);
      shard->fire(20);
    }
  });
  execution.join();
}

TEST(Timers, a_sleeping_worker_hears_of_an_earlier_deadline) {
  model::expect_sound("timers, moved forward", {.preemptions_max = 4, .stale_loads_max = 3}, moved_forward);
}

TEST(Timers, weaker_memory_orders_are_found) {
  const auto weak = [](const char* what, Operation operation, std::memory_order order, const char* function,
                       const std::function<void(Execution&)>& program) {
    model::expect_rejected(
        what, {.preemptions_max = 2, .stale_loads_max = 1, .steps_max = 1000, .weakened = {operation, order, function}},
        program);
  };
  weak("timers, deadline noted with release", Operation::store, memory_order_release, "::note_deadline(",
       moved_forward);
  weak("timers, deadline read with acquire", Operation::load, memory_order_acquire, "::next_deadline(", moved_forward);
  weak("timers, death looked for with acquire", Operation::load, memory_order_acquire, "head::still_lives(",
       [](Execution& e) { receiver_dies(e, true, true); });
  weak("timers, wake taken in without acquire", Operation::modify, memory_order_relaxed, "::note_taken(",
       [](Execution& e) { lazily(e, false, true); });
  weak("timers, fired without release", Operation::modify, memory_order_acquire, "::fire(",
       [](Execution& e) { lazily(e, false, true); });
}

}  // namespace
