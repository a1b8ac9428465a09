// SPDX-License-Identifier: Apache-2.0
//
// Tie: what a parent and a child that it bound to itself at its birth have of each other: link, monitor, and the child's
// end, in one block of memory. It stands for two LinkNodes, a MonitorNode and a DemonitorNode, and makes the Extension of
// the child unnecessary. Nobody can tell the difference but by the clock and the memory.
//
// Three parts, each with a hold on the block; who lets go last frees it.
//   - The parent's end of the link: a LinkNode that stands in the parent's table of links as any other does.
//   - The parent's record of the monitor: a DemonitorNode in its table of monitors, as any other.
//   - The child's side: Body::tie. The child's links and watchers do not know of it: `linked` and `monitored` say what
//     else would stand there. It is the signal, too, that tells the parent of the end: the value of a task, the exit of
//     the link, the Down, in this order, as three signals would. The message that the parent gets is the block itself.
//
// Who touches what
//   linked, monitored, value, exit   the child, until it sends its end; then the parent, which got the signal.
//   link, record, *_stands           the parent; a node that it sent (its own exit, a demonitor) belongs to the child.
//   holders                          anybody. Letting go is a release, and who finds that nobody else is left acquires.
//
// A life
//   1. give_birth makes the tie; the child has not run yet.
//   2. A signal of the parent (exit, unlink, link, demonitor) finds the child's side in the tie.
//   3. A child that links or unlinks its parent anew needs the real nodes: unfold_tie makes them. The parent's parts stay as
//      they are: they are real, and get what any link and monitor gets.
//   4. The child dies: the tie is pushed, once. If the parent is dead it is destroyed: a hold less. If there is a value, and
//      the parent waits with nothing to take in, the child claims it, as a sender does that wakes it, and so owns it until it
//      schedules it: then it does step 5 itself, or leaves the tie in the parent's head. What the child has sent before was
//      taken in then, and what others send meanwhile comes behind the end, so the order is that of a push.
//   5. The parent takes it in. Its own parts may be gone meanwhile (unlinked, demonitored), and the link may be another
//      one: then the rules of relations.hpp decide, as for an exit and a Down that came by themselves. To a parent that waits
//      for just this the value is given by hand, without a Down: AwaitedEnd.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/process.hpp"

namespace coppice::runtime {

struct WatchingTie;

struct Tie : Signal {
  ExitMessage exit;  // the child and why it ended; the payload of the message, if that is an ExitMessage
  std::atomic<std::uint8_t> holders{1};
  const bool watching = false;  // it is a WatchingTie
  bool linked = false;
  bool monitored = false;
  bool link_stands = false;    // `link` is in the parent's table
  bool record_stands = false;  // `record` is
  LinkNode link;

  [[nodiscard]] inline WatchingTie* as_watching() noexcept;

 protected:
  friend Tie* new_tie(Process&, const Pid&, bool, std::uint64_t, AliasMode);
  explicit Tie(bool watches) noexcept : watching(watches) {}
};
static_assert(sizeof(Tie) == 120, "each supervised child has one");

struct WatchingTie : Tie {
  WatchingTie() noexcept : Tie(true) {}
  ~WatchingTie() {}
  WatchingTie(const WatchingTie&) = delete;
  WatchingTie& operator=(const WatchingTie&) = delete;

  DemonitorNode record;
  Signal* value = nullptr;  // of a task: goes to the alias of the monitor
  union {
    Down down;  // once the block is that message
  };
};

// What an owner says who waits for the value of one task, and has seen that nothing in its mailbox is for it. If the end of
// that task brings the value before any other message has come, it is put in here: the mailbox would have been only a way,
// and the Down, which stands behind the value, nothing but what the wait has to drop. The waiting owner's; it stands in
// Body::awaited_end.
struct AwaitedEnd {
  std::uint64_t id;                    // of the task's reference
  const detail::TypeIdentity* result;  // of the message with the value
  Signal* newest = nullptr;            // in the mailbox, when the wait began
  Signal* value = nullptr;             // once it is here
};

inline WatchingTie* Tie::as_watching() noexcept { return watching ? static_cast<WatchingTie*>(this) : nullptr; }

// Binds a child to its parent, which runs: a link if `with_link`, a monitor if `monitor_id` is not 0. An `alias` other than
// none is the reference's own, and as alive as the monitor.
Tie* new_tie(Process& parent, const Pid& child, bool with_link, std::uint64_t monitor_id, AliasMode alias);

// -- by the child
// Is it linked to that peer by its tie?
[[nodiscard]] inline bool tied_to(const Body& body, const Pid& peer) noexcept {
  return body.tie != nullptr && body.tie->linked && peer == body.parent;
}
[[nodiscard]] inline bool watched_by_parent(const Body& body) noexcept {
  return body.tie != nullptr && body.tie->monitored;
}
// The tie's link and monitor become nodes of its own.
void unfold_tie(Body& body);
// Takes a value for that alias along with the end. False if it must be sent.
[[nodiscard]] bool give_along(Body& body, const Reference& alias, Signal* value) noexcept;
// Its end goes to the parent.
void send_end(Body& body, const ExitReason& reason) noexcept;
void take_demonitor_of_tie(Process& process, DemonitorNode* record);
void drop_tie(Tie* tie) noexcept;

// -- by the parent
[[nodiscard]] bool is_end_of_child(const Signal* signal) noexcept;
void take_end_of_child(Process& process, Tie* tie);
// The record leaves its table and goes to the child.
void note_record_leaves(DemonitorNode& record) noexcept;

// Tables for the parent's end of the link, as it becomes an exit signal, and a message.
extern const SignalTable tied_link_exit_table;
extern const SignalTable tied_link_message_table;

}  // namespace coppice::runtime
