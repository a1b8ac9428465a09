// SPDX-License-Identifier: Apache-2.0
//
// The head of a mailbox, src/runtime/head.hpp: messages, waits, deaths.
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
using model::send;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint64_t number = number_of(7);
constexpr std::uint64_t tag = head::tag_of(number);

// What has become of each message.
template <std::size_t count>
struct Fates {
  std::array<int, count> taken{};    // by the receiver, alive or dying
  std::array<int, count> refused{};  // left to its sender
  std::array<int, 2> last{-1, -1};   // of each sender

  // In the order in which they came.
  void take_chain(Message* newest, std::array<Message, count>& messages) {
    std::array<Message*, count> chain{};
    std::size_t length = 0;
    for (Message* at = newest; at != nullptr; at = at->next) {
      model::check(length < count, "a chain leads in a circle");
      chain[length++] = at;
    }
    while (length > 0) {
      const auto index = static_cast<std::size_t>(chain[--length] - messages.data());
      model::check(messages[index].value.get() == static_cast<int>(index) + 1,
                   "a message is seen before it was written");
      ++taken[index];
      const std::size_t sender = index * 2 / count;
      model::check(last[sender] < static_cast<int>(index), "a sender's order is lost");
      last[sender] = static_cast<int>(index);
    }
  }
  [[nodiscard]] bool is_settled() const {
    for (std::size_t i = 0; i < count; ++i) {
      if (taken[i] + refused[i] != 1) return false;
    }
    return true;
  }
};

struct Plan {
  std::uint64_t wait_bits = head::waiting;
  std::array<bool, 2> is_message{true, true};  // what each sender sends
  bool at_once = false;        // senders claim a process that waits, as for a message put into its queue
  std::size_t dies_after = 4;  // messages
};

// Two senders of two messages each, and a receiver that takes them, waits for more, and dies.
void mailbox(Execution& execution, const Plan& plan) {
  Line line;
  std::array<Message, 4> messages;
  Fates<4> fates;
  head::open(line, number);
  for (std::size_t sender = 0; sender < 2; ++sender) {
    execution.thread([&, sender] {
      for (std::size_t i = 2 * sender; i < 2 * sender + 2; ++i) {
        messages[i].value.set(static_cast<int>(i) + 1);
        if (!send(line, number, messages[i], plan.is_message[sender], plan.at_once)) fates.refused[i] = 1;
      }
    });
  }
  execution.thread([&] {
    std::size_t got = 0;
    const auto count = [&] {
      got = 0;
      for (const int one : fates.taken) got += static_cast<std::size_t>(one);
    };
    while (got < plan.dies_after) {
      fates.take_chain(head::take<Message>(line, tag), messages);
      count();
      if (got >= plan.dies_after) break;
      line.turns.set(line.turns.get() + 1);
      if (head::wait_if_empty(line, plan.wait_bits)) line.wait_for_turn();
    }
    line.turns.set(line.turns.get() + 1);
    fates.take_chain(head::end<Message>(line, tag), messages);
    line.turns.set(line.turns.get() + 1);
    head::close(line);
  });
  execution.join();
  model::check(fates.is_settled(), "a message is lost, or there twice");
}

TEST(Mailbox, nothing_is_lost_nothing_comes_twice_and_each_sender_keeps_its_order) {
  model::expect_sound("mailbox", {.preemptions_max = 2, .stale_loads_max = 1}, [](Execution& e) { mailbox(e, {}); });
  model::expect_sound("mailbox, messages put at once", {.preemptions_max = 2, .stale_loads_max = 1},
                      [](Execution& e) { mailbox(e, {.at_once = true}); });
}

TEST(Mailbox, what_comes_beside_a_death_is_taken_or_refused) {
  const auto dies = [](Execution& e) { mailbox(e, {.dies_after = 1}); };
  model::expect_sound("mailbox, dies", {.preemptions_max = 2, .stale_loads_max = 2}, dies);
}

// A caller waits for an answer; messages come beside it. It must wake for the answer, wherever in the chain that stands.
TEST(Mailbox, a_message_does_not_hide_an_answer) {
  model::expect_sound("mailbox, call wait", {.preemptions_max = 3, .stale_loads_max = 1}, [](Execution& execution) {
    Line line;
    std::array<Message, 2> messages;
    head::open(line, number);
    for (std::size_t i = 0; i < 2; ++i) {
      execution.thread([&, i] {
        messages[i].value.set(1);
        model::check(send(line, number, messages[i], i == 0, false), "it lives");
      });
    }
    execution.thread([&] {
      for (bool answered = false; !answered;) {
        for (Message* at = head::take<Message>(line, tag); at != nullptr; at = at->next) {
          answered = answered || at == &messages[1];
        }
        if (answered) break;
        line.turns.set(line.turns.get() + 1);
        if (head::wait_if_empty(line, head::waiting | head::call_wait)) line.wait_for_turn();
      }
    });
    execution.join();
  });
}

TEST(Mailbox, weaker_memory_orders_are_found) {
  const auto program = [](Execution& e) { mailbox(e, {.dies_after = 3}); };
  const auto weak = [&](const char* what, Operation operation, std::memory_order order, const char* function) {
    model::expect_rejected(what, {.weakened = {operation, order, function}}, program);
  };
  weak("mailbox, push without release", Operation::exchange_if, memory_order_acquire, "head::push(");
  weak("mailbox, push without acquire", Operation::exchange_if, memory_order_release, "head::push(");
  weak("mailbox, take without acquire", Operation::modify, memory_order_release, "head::take(");
  weak("mailbox, wait without release", Operation::exchange_if, memory_order_relaxed, "head::wait(");
  weak("mailbox, end without acquire", Operation::modify, memory_order_release, "head::end(");
}

// A receiver that gives itself up without a compare-and-swap does not see what has come meanwhile.
TEST(Mailbox, a_wait_that_does_not_look_again_is_found) {
  model::expect_rejected("mailbox, wait without looking again", {}, [](Execution& execution) {
    Line line;
    Message message;
    head::open(line, number);
    execution.thread([&] { model::check(send(line, number, message, true, false), "it lives"); });
    execution.thread([&] {
      while (head::take<Message>(line, tag) == nullptr) {
        line.head.store(line.head.load(memory_order_relaxed) | head::waiting, memory_order_release);
        line.wait_for_turn();
      }
    });
    execution.join();
  });
}

}  // namespace
