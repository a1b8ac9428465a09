// SPDX-License-Identifier: Apache-2.0
//
// What the tests of death share: messages, flags that outlive processes, and a call that nobody answers.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <coppice/call.hpp>

#include "behaviour/behaviour.hpp"

namespace death {

using namespace coppice;
using namespace std::chrono_literals;

inline const Atom boom{"boom"};

struct Go {};
struct Ready {};
struct Never {};
struct Number {
  int value;
};
struct Token {
  std::shared_ptr<int> owner;
};
struct Farewell {};

using Flag = std::shared_ptr<std::atomic<bool>>;
using Count = std::shared_ptr<std::atomic<int>>;
inline Flag make_flag() { return std::make_shared<std::atomic<bool>>(false); }
inline Count make_count() { return std::make_shared<std::atomic<int>>(0); }

struct SetAtEnd {
  Flag flag;
  explicit SetAtEnd(Flag f) : flag(std::move(f)) {}
  SetAtEnd(SetAtEnd&&) = default;
  ~SetAtEnd() {
    if (flag) flag->store(true);
  }
};

// Counts itself: how many are there now.
struct Counted {
  Count count;
  explicit Counted(Count c) : count(std::move(c)) { ++*count; }
  Counted(Counted&&) = default;
  ~Counted() {
    if (count) --*count;
  }
};

inline ExitReason await_reason(const Reference& reference) {
  return receive(when([reference](const Down& down) { return down.reference == reference; },
                      [](const Down& down) { return down.reason; }));
}

struct Question {};
using QuestionNode = detail::Envelope<Question, int>;
inline constexpr detail::SignalTable question_table{detail::SignalKind::message,
                                                    detail::envelope_offset<Question, int>(),
                                                    &detail::type_identity<Question>,
                                                    nullptr,
                                                    &detail::destroy_node<QuestionNode>,
                                                    nullptr,
                                                    &detail::bounce_call,
                                                    &detail::describe_payload<Question>};

// Calls a plain process, which never answers.
inline detail::CallOutcome ask_in_vain(const Pid& server) {
  auto* node = detail::make_node<QuestionNode>(Question{});
  node->table = &question_table;
  node->reply_table = &detail::reply_table<Question, int>;
  return detail::perform_call({server, Term(server)}, node, detail::type_identity<Question>, infinity);
}

inline bool any_contains(const std::vector<std::string>& texts, const std::string& wanted) {
  for (const std::string& text : texts) {
    if (text.find(wanted) != std::string::npos) return true;
  }
  return false;
}

template <class Condition>
void spin_until(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

}  // namespace death
