// SPDX-License-Identifier: Apache-2.0
//
// What a pool decides, as plain data: which caller gets which resource, who waits, what is made and what is destroyed.
// No clock, no process, no resource: a slot is a number, a caller a ticket. Every step costs O(1), but for the check of
// idle slots, which costs one step for each that has been idle too long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include <coppice/pid.hpp>

namespace coppice::pool {

using Ticket = Reference;
using Slot = std::uint32_t;

struct Limits {
  std::size_t size = 1;
  std::size_t queue_max = 0;
  bool lazy = false;
  std::uint64_t max_uses = 0;
};

struct Grant {
  Ticket ticket;
  Slot slot = 0;
  bool used_before = false;
};

// What the process has to do now, in this order.
struct Steps {
  std::vector<Slot> destroy;  // let the resource of this slot go
  std::vector<Slot> make;     // start the factory for this slot
  std::vector<Slot> retry;    // start it after a delay
  std::vector<Grant> grant;   // answer this caller

  friend bool operator==(const Steps&, const Steps&);
};
inline bool operator==(const Grant& left, const Grant& right) {
  return left.ticket == right.ticket && left.slot == right.slot && left.used_before == right.used_before;
}
inline bool operator==(const Steps& left, const Steps& right) {
  return left.destroy == right.destroy && left.make == right.make && left.retry == right.retry &&
         left.grant == right.grant;
}

enum class Arrival : std::uint8_t { accepted, rejected };

class Decision {
 public:
  explicit Decision(const Limits& limits);

  // The pool has started.
  [[nodiscard]] Steps begin();
  // A caller asks: it is served, or waits, or is rejected.
  [[nodiscard]] Arrival ask(const Ticket& ticket, Steps& steps);
  // A borrower has found its resource dead: it gets another one before anybody who waits.
  void ask_again(const Ticket& ticket, Steps& steps);
  // A borrower is done; `keep`: its resource is fit for the next one. An unknown ticket is nothing.
  void give_back(const Ticket& ticket, bool keep, std::int64_t now, Steps& steps);
  // A caller no longer wants: its time is over (untouched: what it was granted meanwhile is as it was), or it is dead.
  // True if it was waiting.
  bool give_up(const Ticket& ticket, bool untouched, std::int64_t now, Steps& steps);
  // The factory has made the resource of this slot, or has failed, or the delay after a failure is over.
  void made(Slot slot, std::int64_t now, Steps& steps);
  void failed(Slot slot, Steps& steps);
  void retry(Slot slot, Steps& steps);
  // Destroys those that are idle since `since` or longer.
  void expire(std::int64_t since, Steps& steps);
  // Since when the one is idle that has been for longest.
  [[nodiscard]] std::optional<std::int64_t> idle_since() const;

  [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }
  [[nodiscard]] std::size_t busy() const noexcept { return lent_.size(); }
  [[nodiscard]] std::size_t making() const noexcept { return making_; }
  [[nodiscard]] std::size_t waiting() const noexcept { return queue_.size(); }
  [[nodiscard]] std::uint64_t discarded() const noexcept { return discarded_; }

 private:
  enum class State : std::uint8_t { empty, making, idle, busy };
  struct Entry {
    State state = State::empty;
    std::uint64_t uses = 0;
    std::int64_t idle_since = 0;
  };
  void to_idle_or_next(Slot slot, std::int64_t now, Steps& steps);
  void lend(Slot slot, const Ticket& ticket, Steps& steps);
  void destroy(Slot slot, Steps& steps);
  void make_what_is_needed(Steps& steps);
  void take_from_idle(const Ticket& ticket, Steps& steps);

  Limits limits_;
  std::vector<Entry> slots_;
  std::vector<Slot> empty_;
  std::list<Slot> idle_;  // the one that was used last at the end, and taken from there
  std::list<Ticket> queue_;
  std::unordered_map<Ticket, std::list<Ticket>::iterator> places_;  // in queue_
  std::unordered_map<Ticket, Slot> lent_;
  std::size_t making_ = 0;
  std::uint64_t discarded_ = 0;
};

}  // namespace coppice::pool
