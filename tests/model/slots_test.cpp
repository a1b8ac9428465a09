// SPDX-License-Identifier: Apache-2.0
//
// Who becomes the owner of a process that waits, and whether a pid can lead to the slot's next tenant: head.hpp again.
//
//   Claims  a call that hands off, a worker that has found a task, who puts an idle server to rest: all claim (hand_off.hpp,
//           task_deque.hpp, rest.hpp). What they do with the process is their own; here it is to touch what only an owner
//           may.
//   Slots   open, end and close as process_table.cpp and death.cpp do, beside senders who know the old pid. Also with the
//           page given back to the system between two tenants.
#include <gtest/gtest.h>

#include <array>

#include "model/expect.hpp"
#include "model/line.hpp"

namespace {

namespace head = coppice::runtime::head;
using model::Execution;
using model::Line;
using model::Message;
using model::number_of;
using model::Operation;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint64_t number = number_of(7);
constexpr std::uint64_t tag = head::tag_of(number);

// -- claims

// Claims, does something as the owner, and gives it up again; if something has come meanwhile, schedules it: as
// put_to_rest, and as claim_new_task for a stale number. Two of them may follow each other, never overlap.
bool claim_and_give_up(Line& line) {
  std::uint64_t word = 0;
  if (!head::look(line, number, word) || word != (tag | head::waiting) || !head::claim(line, word, tag)) return false;
  line.turns.set(line.turns.get() + 1);
  if (!head::wait(line, tag)) line.schedule();
  return true;
}

// Claims for good, as a call that hands off: then it runs the turn itself.
bool claim_and_run(Line& line) {
  std::uint64_t word = 0;
  if (!head::look(line, number, word) || word != (tag | head::waiting) || !head::claim(line, word, tag)) return false;
  line.turns.set(line.turns.get() + 1);
  line.schedule();  // whoever runs it next finds it there
  return true;
}

// Callers A and B, one that puts it to rest, and a kill, all at the same server. The kill must be taken in, once.
void claims(Execution& execution, bool with_rest) {
  Line line;
  Message kill;
  head::open(line, number);
  line.turns.set(1);
  model::check(head::wait(line, tag), "nothing has come");
  int claimed = 0;
  int killed = 0;
  for (int caller = 0; caller < 2; ++caller) {
    execution.thread([&] { claimed += claim_and_run(line) ? 1 : 0; });
  }
  if (with_rest) {
    execution.thread([&] { (void)claim_and_give_up(line); });
  }
  execution.thread([&] {
    kill.value.set(9);
    model::check(model::send(line, number, kill, false), "it lives");
  });
  execution.thread([&] {  // the worker: its own turns
    for (bool ends = false; !ends;) {
      line.wait_for_turn();
      for (Message* at = head::take<Message>(line, tag); at != nullptr; at = at->next) {
        model::check(at->value.get() == 9, "a signal is seen before it was written");
        ends = ++killed != 0;
      }
      if (!ends && !head::wait_if_empty(line, head::waiting)) line.schedule();
    }
  });
  execution.join();
  model::check(killed == 1, "a signal is lost, or there twice");
  model::check(claimed <= 2, "each claims once");
}

TEST(Claims, one_at_a_time_owns_a_process) {
  model::expect_sound("claims, two callers and a kill", {.preemptions_max = 2, .stale_loads_max = 1},
                      [](Execution& e) { claims(e, false); });
  model::expect_sound("claims, also put to rest", {.preemptions_max = 1, .stale_loads_max = 1},
                      [](Execution& e) { claims(e, true); });
}

// Without a kill and without turns in between, of two callers one gets it.
TEST(Claims, of_two_callers_one_gets_it) {
  model::expect_sound("claims, two callers", {.preemptions_max = 4, .stale_loads_max = 4}, [](Execution& execution) {
    Line line;
    head::open(line, number);
    model::check(head::wait(line, tag), "nothing has come");
    std::array<int, 3> claimed{};
    for (std::size_t i = 0; i < claimed.size(); ++i) {
      execution.thread([&, i] { claimed[i] = claim_and_run(line) ? 1 : 0; });
    }
    execution.join();
    model::check(claimed[0] + claimed[1] + claimed[2] == 1, "none has it, or two");
  });
}

// As schedule_task: it waits from when its line is open. Two who know its number: who awaits it, and who guesses.
void new_task(Execution& execution) {
  Line line;
  Message message;
  std::array<int, 2> claimed{};
  int taken = 0;
  execution.thread([&] {
    line.turns.set(1);
    head::open(line, number, head::waiting);
  });
  for (std::size_t i = 0; i < claimed.size(); ++i) {
    execution.thread([&, i] { claimed[i] = claim_and_run(line) ? 1 : 0; });
  }
  execution.thread([&] { taken = model::send(line, number, message) ? 1 : 0; });
  execution.join();
  model::check(claimed[0] + claimed[1] <= 1 && taken <= 1, "two have it");
}

TEST(Claims, a_new_task_is_claimed_by_one_from_when_it_is_open) {
  model::expect_sound("claims, a new task", {.preemptions_max = 3, .stale_loads_max = 3}, new_task);
  model::expect_rejected("claims, a new task opened without release",
                         {.weakened = {Operation::store, memory_order_relaxed, "head::open("}}, new_task);
}

TEST(Claims, weaker_memory_orders_are_found) {
  const auto program = [](Execution& e) { claims(e, true); };
  const auto weak = [&](const char* what, std::memory_order order, const char* function) {
    model::expect_rejected(what, {.weakened = {Operation::exchange_if, order, function}}, program);
  };
  weak("claims, claim without acquire", memory_order_release, "head::claim(");
  weak("claims, given up without release", memory_order_acquire, "head::wait(");
}

// A claim by a load and a store is none.
TEST(Claims, a_claim_in_two_steps_is_found) {
  model::expect_rejected("claims, in two steps", {}, [](Execution& execution) {
    Line line;
    head::open(line, number);
    model::check(head::wait(line, tag), "nothing has come");
    std::array<int, 2> claimed{};
    for (std::size_t i = 0; i < claimed.size(); ++i) {
      execution.thread([&, i] {
        if (line.head.load(memory_order_acquire) != (tag | head::waiting)) return;
        line.head.store(tag, memory_order_release);
        claimed[i] = 1;
      });
    }
    execution.join();
    model::check(claimed[0] + claimed[1] == 1, "none has it, or two");
  });
}

// -- slots

// A page that the system was given back reads as zeros (process_table.hpp). It clears it behind a barrier of its own.
void give_page_back(Line& line) {
  line.serial.store(0, memory_order_relaxed);
  line.head.store(0, memory_order_release);
}

struct Tenants {
  std::uint64_t first_use = 7;
  bool claims = false;      // the first sender takes the process, if it waits
  bool given_back = false;  // between the two tenants
};

// The slot's tenants, one after the other, and senders to the first.
void tenants(Execution& execution, const Tenants& given) {
  Line line;
  const std::uint64_t first = number_of(given.first_use);
  const std::uint64_t first_tag = head::tag_of(first);
  std::array<Message, 2> messages;
  std::array<int, 2> of_first{};
  std::array<int, 2> refused{};
  const std::uint64_t second = number_of(given.first_use + 1);
  head::open(line, first);
  line.turns.set(1);
  const bool waits = head::wait(line, first_tag);
  model::check(waits, "nothing has come");
  const auto take_all = [&](Message* newest) {
    for (Message* at = newest; at != nullptr; at = at->next) ++of_first[static_cast<std::size_t>(at - messages.data())];
  };
  for (std::size_t i = 0; i < 2; ++i) {
    execution.thread([&, i] {
      messages[i].value.set(1);
      refused[i] = model::send(line, first, messages[i], true, given.claims && i == 0) ? 0 : 1;
    });
  }
  // The first tenant runs when it is woken, dies, and the slot goes to the next one, which runs and waits.
  execution.thread([&] {
    line.wait_for_turn();
    take_all(head::take<Message>(line, first_tag));
    line.turns.set(0);
    take_all(head::end<Message>(line, first_tag));
    head::close(line);
    if (given.given_back) give_page_back(line);
    head::open(line, second);
    line.turns.set(100);
    model::check(head::wait_if_empty(line, head::waiting), "the next tenant has got something");
  });
  execution.join();
  std::uint64_t word = 0;
  model::check(head::look(line, second, word), "the next tenant is not in its slot");
  model::check(word == (head::tag_of(second) | head::waiting), "somebody has touched the next tenant");
  model::check(line.turns.get() == 100, "somebody has run the next tenant");
  for (std::size_t i = 0; i < 2; ++i) model::check(of_first[i] + refused[i] == 1, "a message is lost, or there twice");
}

TEST(Slots, a_pid_never_finds_the_next_tenant) {
  model::expect_sound("slots, two senders", {.preemptions_max = 3, .stale_loads_max = 2},
                      [](Execution& e) { tenants(e, {}); });
  model::expect_sound("slots, a sender that claims", {.preemptions_max = 3, .stale_loads_max = 2},
                      [](Execution& e) { tenants(e, {.claims = true}); });
}

TEST(Slots, a_pid_finds_nobody_in_a_page_that_was_given_back) {
  model::expect_sound("slots, given back", {.preemptions_max = 3, .stale_loads_max = 2},
                      [](Execution& e) { tenants(e, {.given_back = true}); });
  model::expect_sound("slots, given back, a sender that claims", {.preemptions_max = 3, .stale_loads_max = 2},
                      [](Execution& e) { tenants(e, {.claims = true, .given_back = true}); });
}

// The head of a tenant with that tag is 0 while it runs: who saw that takes the empty page for it.
TEST(Slots, a_tenant_whose_tag_is_0_is_found) {
  model::expect_rejected("slots, given back, with tag 0", {},
                         [](Execution& e) { tenants(e, {.first_use = 0x1'0000, .given_back = true}); });
}

// A lookup as Core and the registry make it: what it says of the old pid may be old, but is never of the next tenant.
TEST(Slots, a_look_tells_tenants_apart) {
  const auto program = [](Execution& execution, bool given_back) {
    Line line;
    head::open(line, number);
    execution.thread([&] {
      std::uint64_t word = 0;
      if (head::look(line, number, word)) {
        model::check((word & head::tag_bits) == tag, "a look takes the next tenant for the one before");
      }
    });
    execution.thread([&, given_back] {
      for (std::uint64_t use = 7; use < 9; ++use) {
        (void)head::end<Message>(line, head::tag_of(number_of(use)));
        head::close(line);
        if (given_back) give_page_back(line);
        head::open(line, number_of(use + 1));
      }
    });
    execution.join();
  };
  model::expect_sound("slots, look", {.preemptions_max = 6, .stale_loads_max = 6},
                      [&](Execution& e) { program(e, false); });
  model::expect_sound("slots, look, given back", {.preemptions_max = 6, .stale_loads_max = 6},
                      [&](Execution& e) { program(e, true); });
  const auto weak = [&](const char* what, Operation operation, const char* function) {
    model::expect_rejected(what, {.weakened = {operation, memory_order_relaxed, function}},
                           [&](Execution& e) { program(e, false); });
  };
  weak("slots, opened without release", Operation::store, "head::open(");
  weak("slots, look without acquire", Operation::load, "head::look(");
}

// Tags that are all the same: the compare-and-swap finds the next tenant.
struct Untagged {
  model::Atomic<std::uint64_t> head{head::dead};
  model::Atomic<std::uint64_t> serial{0};
  void open(std::uint64_t tenant) {
    serial.store(tenant, memory_order_relaxed);
    head.store(tag, memory_order_release);
  }
};

TEST(Slots, heads_without_tags_are_found) {
  model::expect_rejected("slots, without tags", {}, [](Execution& execution) {
    Untagged line;
    Message message;
    line.open(number);
    bool delivered = false;
    execution.thread([&] {
      std::uint64_t word = 0;
      if (head::look(line, number, word)) delivered = head::push(line, word, tag, &message, true, [] {});
    });
    execution.thread([&] {
      if (head::end<Message>(line, tag) == nullptr) {
        head::close(line);
        line.open(number_of(8));
      }
    });
    execution.join();
    const bool next = line.serial.load(memory_order_relaxed) != number;
    model::check(!next || !delivered, "the next tenant has got it");
  });
}

}  // namespace
