// SPDX-License-Identifier: Apache-2.0
//
// Workers that sleep and are woken: src/runtime/watch.hpp with the queues of run_queue.hpp, and parking as the world
// promises it. The workers here do what worker_idle.cpp does, with what is here in the place of spins, measured patience and
// deadlines: a watcher takes what it sees at once, gives up after a look in vain, and a deadline passes when the program
// says so.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "model/expect.hpp"
#include "model/explorer.hpp"
#include "runtime/run_queue.hpp"
#include "runtime/watch.hpp"

namespace {

using coppice::runtime::BasicInbox;
using coppice::runtime::BasicOverflowQueue;
using coppice::runtime::BasicProcessList;
using coppice::runtime::BasicRunRing;
using coppice::runtime::BasicWatch;
using model::Execution;
using model::Operation;
using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

struct Item {
  Item* run_link = nullptr;
  model::Data<int> value;
};
using Ring = BasicRunRing<Item, model::Atomic, 4>;
using Inbox = BasicInbox<Item, model::Atomic>;
using Overflow = BasicOverflowQueue<Item, model::Atomic, model::Mutex>;

class Host;
using Watch = BasicWatch<Host, model::Atomic>;

struct Worker {
  Ring ring;
  Inbox inbox;
  model::Atomic<int> token{0};  // of its parker
};

class Host {
 public:
  explicit Host(std::size_t workers) {
    for (std::size_t i = 0; i < workers; ++i) workers_.push_back(std::make_unique<Worker>());
  }
  [[nodiscard]] std::size_t worker_count() const { return workers_.size(); }
  void unpark(std::uint32_t worker) { (*this)[worker].token.exchange(1, memory_order_release); }
  // Until there is a token; or, if a deadline may pass, until others have run, if they can.
  void park(std::uint32_t worker, bool deadline) {
    if (deadline) model::pause();
    while (!deadline && (*this)[worker].token.load(memory_order_relaxed) == 0) model::yield();
    (*this)[worker].token.exchange(0, memory_order_acquire);
  }
  [[nodiscard]] Worker& operator[](std::size_t i) { return *workers_[i]; }

  Watch watch{*this};
  Overflow overflow;
  model::Atomic<int> to_do{0};  // what has not run yet
  model::Atomic<bool> stops{false};

  void run(Item* item) {
    model::check(item->value.get() == 1, "a process runs before it was written, or twice");
    item->value.set(2);
    if (to_do.fetch_sub(1, memory_order_acq_rel) == 1) {
      stops.store(true, std::memory_order_seq_cst);
      for (std::uint32_t i = 0; i < worker_count(); ++i) unpark(i);
    }
  }

 private:
  std::vector<std::unique_ptr<Worker>> workers_;
};

struct Deadlines {
  bool of_watcher = true;
  bool of_dozing = true;
};

Item* pick(Host& host, std::uint32_t id) {
  Worker& me = host[id];
  if (!me.inbox.empty()) {
    BasicProcessList<Item> list;
    me.inbox.take_all(list);
    while (Item* item = list.pop()) host.run(item);
  }
  if (Item* item = me.ring.pop()) return item;
  return host.overflow.pop();
}

bool stands_elsewhere(Host& host, std::uint32_t id) {
  for (std::uint32_t other = 0; other < host.worker_count(); ++other) {
    if (other != id && !host[other].ring.empty()) return true;
  }
  return false;
}

Item* steal(Host& host, std::uint32_t id) {
  for (std::uint32_t other = 0; other < host.worker_count(); ++other) {
    std::array<Item*, Ring::capacity / 2> taken;
    const std::uint32_t count = other == id ? 0 : host[other].ring.steal(taken);
    for (std::uint32_t i = 1; i < count; ++i) {
      if (!host[id].ring.push(taken[i])) host.overflow.push(taken[i]);
    }
    if (count > 0) return taken[0];
  }
  return nullptr;
}

// As Worker::sleep.
void sleep(Host& host, std::uint32_t id, Watch::Sleep how, Deadlines deadlines) {
  if (host.watch.announce(id, how, [&] { return stands_elsewhere(host, id); }) && host[id].inbox.empty() &&
      host.overflow.empty() && !host.stops.load(memory_order_acquire)) {
    host.park(id, (how == Watch::Sleep::watches && deadlines.of_watcher) ||
                      (how == Watch::Sleep::dozes && deadlines.of_dozing));
  }
  host.watch.awake(id);
}

// As Worker::idle and end_idle; null when the workers are to end.
Item* idle(Host& host, std::uint32_t id, Deadlines deadlines) {
  Watch& watch = host.watch;
  bool dozes = false;
  bool watches = false;
  const auto ends = [&](Item* item) {
    if (watch.is_watcher(id)) {
      watch.hand_over(id);
    } else if (dozes && stands_elsewhere(host, id)) {
      watch.call();
    }
    return item;
  };
  for (;;) {
    if (host.stops.load(memory_order_acquire)) return nullptr;
    if (Item* item = pick(host, id)) return ends(item);
    const bool appointed = !watches && watch.is_watcher(id);
    watches = watch.take_role(id);
    if (watches) {
      if (stands_elsewhere(host, id)) {
        if (Item* item = steal(host, id)) return ends(item);
        continue;
      }
      if (!appointed) {
        watch.give_up(id);
        watches = false;
      }
    }
    const Watch::Sleep how = watch.how_to_sleep(id, watches);
    dozes = how == Watch::Sleep::dozes;
    sleep(host, id, how, deadlines);
    model::pause();
  }
}

// Until all is done; what it finds it runs.
void work(Host& host, std::uint32_t id, Deadlines deadlines) {
  for (;;) {
    Item* item = pick(host, id);
    if (item == nullptr) item = idle(host, id, deadlines);
    if (item == nullptr) return;
    host.run(item);
  }
}

// Worker 0 queues something in its ring and is then busy with a turn that ends only when another worker has run that: it
// must be found. The others sleep, or are about to.
void stuck_behind_a_turn(Execution& execution, std::uint32_t workers, Deadlines deadlines) {
  Host host(workers);
  Item item;
  host.to_do.store(1, memory_order_relaxed);
  execution.thread([&] {
    item.value.set(1);
    model::check(host[0].ring.push(&item), "there is room");
    host.watch.call();
    while (!host.stops.load(memory_order_acquire)) model::yield();  // its turn
  });
  for (std::uint32_t id = 1; id < workers; ++id) {
    execution.thread([&, id] { work(host, id, deadlines); });
  }
  execution.join();
}

TEST(Watch, what_stands_behind_a_long_turn_is_found) {
  model::expect_sound("watch, one idle worker", {.preemptions_max = 3, .stale_loads_max = 2},
                      [](Execution& e) { stuck_behind_a_turn(e, 2, {}); });
  model::expect_sound("watch, two idle workers", {.preemptions_max = 1, .stale_loads_max = 1},
                      [](Execution& e) { stuck_behind_a_turn(e, 3, {}); });
  model::expect_sound("watch, two idle workers, longer",
                      {.preemptions_max = 2, .stale_loads_max = 1, .executions_max = 100'000},
                      [](Execution& e) { stuck_behind_a_turn(e, 3, {}); });
}

// What watch.hpp tells of a push that stands in a store buffer while the last one looks: with no deadline for one that dozes
// it would stand there for ever. With it, above, it is found: so that deadline is the bound, and needed for nothing else.
TEST(Watch, a_push_in_a_store_buffer_waits_for_the_deadline_of_one_that_dozes) {
  model::expect_rejected("watch, one dozes for ever", {.preemptions_max = 3, .stale_loads_max = 2},
                         [](Execution& e) { stuck_behind_a_turn(e, 2, {.of_dozing = false}); });
  model::expect_sound("watch, one dozes for ever, no store is late", {.preemptions_max = 3, .stale_loads_max = 0},
                      [](Execution& e) { stuck_behind_a_turn(e, 2, {.of_dozing = false}); });
}

// A foreign thread queues for all; another one for a certain worker. No deadline passes.
void from_outside(Execution& execution, std::uint32_t workers, bool inbox) {
  Host host(workers);
  std::array<Item, 2> items;
  host.to_do.store(inbox ? 2 : 1, memory_order_relaxed);
  execution.thread([&] {
    items[0].value.set(1);
    host.overflow.push(&items[0]);
    host.watch.wake_one();
  });
  if (inbox) {
    execution.thread([&] {
      items[1].value.set(1);
      host[0].inbox.push(&items[1]);
      host.watch.wake(0);
    });
  }
  for (std::uint32_t id = 0; id < workers; ++id) {
    execution.thread([&, id] { work(host, id, {false, false}); });
  }
  execution.join();
}

TEST(Watch, what_comes_from_outside_wakes_a_sleeper) {
  model::expect_sound("watch, from outside, one worker", {.preemptions_max = 2, .stale_loads_max = 2},
                      [](Execution& e) { from_outside(e, 1, true); });
  model::expect_sound("watch, from outside, two workers", {.preemptions_max = 2, .stale_loads_max = 1},
                      [](Execution& e) { from_outside(e, 2, false); });
}

TEST(Watch, weaker_memory_orders_are_found) {
  const auto one = [](Execution& e) { from_outside(e, 1, true); };
  const auto weak = [&](const char* what, Operation operation, std::memory_order order, const char* function) {
    model::expect_rejected(what, {.weakened = {operation, order, function}}, one);
  };
  weak("watch, inbox pushed with release", Operation::exchange_if, memory_order_release, "BasicInbox::push(");
  weak("watch, overflow counted with release", Operation::modify, memory_order_release, "BasicOverflowQueue::push(");
  weak("watch, sleep announced with release", Operation::modify, memory_order_release, "::announce(");
  weak("watch, sleepers looked for with acquire", Operation::load, memory_order_acquire, "::wake");
  weak("watch, inbox looked at with acquire", Operation::load, memory_order_acquire, "BasicInbox::empty(");
}

}  // namespace
