// SPDX-License-Identifier: Apache-2.0
//
// The process as the runtime sees it: a control line of 64 bytes in a slab that is never unmapped while its runtime
// lives (of a free slot it may read as zeros: process_table.hpp), a body with the state, and an extension for what few
// processes need.
//
// Who may touch what
//   head, serial, queue_length     any thread, atomically.
//   handling                       any thread reads it, only the owner writes it.
//   everything else                the owner: the worker that runs the process. Ownership passes with the head word:
//                                  whoever clears the waiting bit by compare-and-swap (acquire) owns the process until
//                                  it is scheduled; committing the bit (release) gives it up.
//
// `body` of an idle server may stand for what is left of it while it rests: see rest.hpp. Its turn begins with waking it,
// so only who takes an idle process otherwise than by scheduling it has to know.
//
// The head word has its own header, head.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <unordered_set>
#include <utility>
#include <vector>

#include <coppice/call.hpp>
#include <coppice/message.hpp>
#include <coppice/process.hpp>

#include "base/intrusive_list.hpp"
#include "base/intrusive_table.hpp"
#include "base/timer_wheel.hpp"
#include "platform/stack_pool.hpp"
#include "platform/world.hpp"
#include "runtime/head.hpp"
#include "runtime/in_place.hpp"
#include "runtime/timer_shard.hpp"

namespace coppice::runtime {

using detail::Signal;
using detail::SignalKind;
using detail::SignalTable;

class Core;
class Body;
class Worker;
class TimerShard;
struct Rest;
struct Tie;
struct AwaitedEnd;

namespace head {
[[nodiscard]] inline Signal* signal(std::uint64_t word) noexcept { return signal_in<Signal>(word); }
}  // namespace head

// The stack that a process keeps while it waits in mid-function. Written, and followed, by whoever owns the process;
// anybody may look whether there is one, to count (Runtime::stacks_held). Relaxed: ownership passes with release and acquire.
class KeptStack {
 public:
  KeptStack& operator=(platform::Stack* stack) noexcept {
    stack_.store(stack, std::memory_order_relaxed);
    return *this;
  }
  operator platform::Stack*() const noexcept { return stack_.load(std::memory_order_relaxed); }  // NOLINT
  platform::Stack* operator->() const noexcept { return *this; }

 private:
  std::atomic<platform::Stack*> stack_{nullptr};
};

struct alignas(64) Process {
  std::atomic<std::uint64_t> head{head::dead};
  std::atomic<std::uint64_t> serial{0};  // Pid::number of the tenant; 0 while the slot is free
  union {
    Signal* queue = nullptr;  // mailbox, oldest first: circular, points to the newest
    Process* next_magazine;   // of a free slot: see process_table.hpp
  };
  KeptStack stack;
  Process* run_link = nullptr;  // link of the one run queue in which it stands
  union {
    Body* body = nullptr;
    std::uint64_t uses;  // of a free slot: how often it was used
  };
  std::atomic<std::uint32_t> queue_length{0};  // messages in `queue`; written by the owner only
  std::atomic<std::uint32_t> flags{0};
  std::atomic<const detail::TypeIdentity*> handling{nullptr};  // message whose handler runs; written by the owner only
};
static_assert(sizeof(Process) == 64);

// Process::flags, set by anybody, cleared when the slot is given to a new tenant.
namespace flag {
inline constexpr std::uint32_t doomed = 1;  // an explicit kill was sent, or a fatal signal taken in: alive() is false
inline constexpr std::uint32_t timer_target = 2;  // a message timer was started to it: look for them at its death
inline constexpr std::uint32_t bounded = 4;       // the mailbox has a capacity: senders ask first
inline constexpr std::uint32_t suspended = 8;     // by sys::suspend; for process_info
inline constexpr std::uint32_t owns = 16;         // something in an annex belongs to it: see annex.hpp
inline constexpr std::uint32_t closed = 32;       // it is dying: it can be given nothing any more
}  // namespace flag

// Who a process is, for other threads that look without owning it: never unmapped, atomics only. All processes have it.
struct Badge {
  std::atomic<const char*> kind{nullptr};      // class of a server: a static text
  std::atomic<std::uint64_t> parent{0};        // Pid::number of the process that started it
  std::atomic<std::uint64_t> group_leader{0};  // Pid::number of Body::group_leader; 0 in a free slot
};
static_assert(sizeof(Badge) == 24);

// The same for what only some have: who calls, has a name, or a bounded mailbox. It is all zero in the others, and its
// page of memory is not touched while that holds for all who share it.
struct alignas(32) Sight {
  std::atomic<std::uint64_t> callee{0};    // Pid::number of the server that a blocked call waits for
  std::atomic<std::uint32_t> call_id{0};   // which call that is
  std::atomic<std::uint32_t> limit{0};     // of a bounded mailbox: capacity << 8 | Overflow
  std::atomic<std::int32_t> pending{0};    // of a bounded mailbox: messages pushed or queued
  std::atomic<std::uint32_t> dropped{0};   // of a bounded mailbox: messages lost
  std::atomic<const char*> name{nullptr};  // registered name: lives as long as the runtime

  // For the slot's next tenant: writes only where something stands.
  void clear() noexcept {
    const auto reset = [](auto& word) {
      if (word.load(std::memory_order_relaxed) != 0) word.store(0, std::memory_order_relaxed);
    };
    reset(callee);
    reset(call_id);
    reset(limit);
    reset(pending);
    reset(dropped);
    if (name.load(std::memory_order_relaxed) != nullptr) name.store(nullptr, std::memory_order_relaxed);
  }
};
static_assert(sizeof(Sight) == 32);

// -- relations: each node is made by whoever asks for it, and is the very signal that later announces the end --------

// One end of a link. Made by the linker for its peer, travels as the `link` signal, stands in the peer's table, and
// leaves as the EXIT signal (or message) when that process ends: dying needs no memory.
struct LinkNode : Signal {
  ExitMessage payload;            // filled when it becomes the exit signal
  Pid peer;                       // whom it leads to
  LinkNode* next_link = nullptr;  // in the table of whose end it is
  std::uint32_t unlinks = 0;      // unlink signals to the peer that it has not acknowledged
  bool linked = true;
  bool linked_anew = false;  // a link signal to the peer travels behind the last of the unlinks
  bool tied = false;         // part of a Tie
};

// An exit signal sent explicitly, or the answer to a link signal that found nobody.
struct ExitNode : Signal {
  ExitMessage payload;
};

struct UnlinkNode : Signal {
  Pid from;
};

// A monitor. Travels to the watched process as the `monitor` signal and comes back as the Down message.
struct MonitorNode : Signal {
  Down payload;
  base::ListHook hook;  // in the watched process's list
  Pid watcher;
  std::uint64_t id = 0;  // of the reference
};

// A server's promise to tell a caller whose reply it has deferred that it died.
struct CallWatch : Signal {
  base::ListHook hook;
  Pid caller;
  std::uint32_t call_id = 0;
  std::uint64_t request = 0;  // id of the request, for send_request
  ExitReason reason;
};

// The watcher's side of a monitor; made with it, for it is also the signal that will end it.
struct DemonitorNode : Signal {
  MonitorNode* target = nullptr;          // null for a monitor of oneself
  DemonitorNode* next_monitor = nullptr;  // in the watcher's table
  std::uint64_t id = 0;                   // of the reference
  Pid watched;
  AliasMode alias = AliasMode::none;
  bool tied = false;     // part of a Tie: `target` is null
  bool answers = false;  // the alias has no AliasRecord, and stands
};
struct UnwatchNode : Signal {
  CallWatch* target = nullptr;
};

struct AliasRecord : detail::Pooled {
  AliasRecord(std::uint64_t the_id, AliasMode the_mode, bool for_a_reply) noexcept
      : id(the_id), mode(the_mode), reply(for_a_reply) {}
  std::uint64_t id;
  AliasRecord* next_alias = nullptr;
  AliasMode mode;
  bool reply;
};

struct AliasMessage : Signal {
  Signal* message = nullptr;
  std::uint64_t id = 0;
};

// A function to run in the process when it next takes in signals; then the node goes back as a reply. Whoever asks may be
// gone by then, so what the function works on is kept by the node.
struct InspectNode : detail::CallNode {
  void (*inspect)(Process&, void*) = nullptr;
  std::shared_ptr<void> argument;
};

// One timer of the process itself: the deadline of its wait or its inactivity timeout. The wheel's side runs under the
// lock of the shard in which it is armed.
struct WakeTimer : ShardTimer {
  WakeTimer() noexcept : ShardTimer(true) {}
  Signal signal;
  std::atomic<bool> queued{false};                          // `signal` stands in some mailbox
  std::atomic<std::uint64_t> armed_until{platform::never};  // written under the lock; never: it is not armed
  TimerShard* shard = nullptr;                              // where it was last armed; the owner's
  Process* process = nullptr;
  std::uint64_t number = 0;
};

struct Lineage;

// A counted pointer to one that no longer changes. One word; the count stands in the lineage.
class SharedLineage {
 public:
  SharedLineage() = default;
  SharedLineage(std::nullptr_t) noexcept {}  // NOLINT: implicit on purpose
  explicit inline SharedLineage(std::unique_ptr<Lineage> made) noexcept;
  inline SharedLineage(const SharedLineage& other) noexcept;
  SharedLineage(SharedLineage&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  SharedLineage& operator=(SharedLineage other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~SharedLineage() {
    if (at_ != nullptr) release(at_);
  }

  const Lineage* operator->() const noexcept { return at_; }
  friend bool operator==(const SharedLineage& lineage, std::nullptr_t) noexcept { return lineage.at_ == nullptr; }
  void reset() noexcept { *this = SharedLineage(); }

  [[nodiscard]] std::vector<Term> ancestors() const;
  [[nodiscard]] std::vector<Pid> callers() const;

 private:
  friend class LineageSource;
  static void release(const Lineage* at, std::uint32_t count = 1) noexcept;
  const Lineage* at_ = nullptr;
};

// The lineage that the children of one process share, as that keeps it: counted for many of them in advance, so that to
// give it to one is a plain store. Its owner's alone.
class LineageSource {
 public:
  LineageSource() = default;
  ~LineageSource() { reset(); }
  LineageSource(const LineageSource&) = delete;
  LineageSource& operator=(const LineageSource&) = delete;

  inline void make(std::unique_ptr<Lineage> made) noexcept;
  [[nodiscard]] inline SharedLineage give() noexcept;
  // One that a child has no more use for: if it is ours, it is counted as left again and `given` is empty.
  inline void take_back(SharedLineage& given) noexcept;
  inline void reset() noexcept;
  [[nodiscard]] const Lineage* operator->() const noexcept { return at(); }
  friend bool operator==(const LineageSource& source, std::nullptr_t) noexcept { return source.word_ == 0; }

 private:
  static constexpr unsigned count_shift = 48;  // above the pointer, as in a head word
  static constexpr std::uint64_t one = std::uint64_t{1} << count_shift;
  static constexpr std::uint32_t in_advance = 0xffff;
  [[nodiscard]] Lineage* at() const noexcept { return reinterpret_cast<Lineage*>(word_ & (one - 1)); }
  [[nodiscard]] std::uint32_t left() const noexcept { return static_cast<std::uint32_t>(word_ >> count_shift); }
  std::uint64_t word_ = 0;  // the lineage, which it holds once, and for how many more it is counted
};

// Ancestors and callers, shared by all children of one process: the newest ancestor, and the lineage of that one, where
// the others stand. So a process that begins to have children notes one word of its own, however deep it stands: of a
// tree of tasks each second one does.
struct Lineage : detail::Pooled {
  Pid parent;
  std::optional<Atom> name;  // the parent's, if it had one
  SharedLineage older;       // the parent's own
  Pid caller;                // of tasks: the owner, before the callers in `older`. None:
  std::vector<Pid> callers;  // all of them
  mutable std::atomic<std::uint32_t> references{0};

  // The parent as it is shown. A term of a pid is memory of its own: it is made for who asks, not for each parent.
  [[nodiscard]] Term ancestor() const { return name.has_value() ? Term(*name) : Term(parent); }
};

inline SharedLineage::SharedLineage(std::unique_ptr<Lineage> made) noexcept : at_(made.release()) {
  at_->references.store(1, std::memory_order_relaxed);
}
inline SharedLineage::SharedLineage(const SharedLineage& other) noexcept : at_(other.at_) {
  if (at_ != nullptr) at_->references.fetch_add(1, std::memory_order_relaxed);
}

inline void LineageSource::make(std::unique_ptr<Lineage> made) noexcept {
  reset();
  made->references.store(1 + in_advance, std::memory_order_relaxed);
  word_ = reinterpret_cast<std::uint64_t>(made.release()) + in_advance * one;
}
inline SharedLineage LineageSource::give() noexcept {
  if (left() == 0) {
    at()->references.fetch_add(in_advance, std::memory_order_relaxed);
    word_ += in_advance * one;
  }
  word_ -= one;
  SharedLineage given;
  given.at_ = at();
  return given;
}
inline void LineageSource::take_back(SharedLineage& given) noexcept {
  if (given.at_ == nullptr || given.at_ != at() || left() == in_advance) return;
  given.at_ = nullptr;
  word_ += one;
}
inline void LineageSource::reset() noexcept {
  if (word_ == 0) return;
  SharedLineage::release(at(), 1 + left());
  word_ = 0;
}

inline std::uint64_t table_key(const LinkNode& node) noexcept { return node.peer.number; }
inline std::uint64_t table_key(const DemonitorNode& node) noexcept { return node.id; }
inline std::uint64_t table_key(const AliasRecord& record) noexcept { return record.id; }

// What very few processes need.
struct Rarities {
  std::map<Term, Term> dictionary;
  std::unordered_set<std::uint64_t> requests;  // of send_request, not yet answered
  Term label;
  std::size_t high_water_mark = 0;
};

// What few processes need; made at the first use.
struct Extension : detail::Pooled {
  base::IntrusiveTable<LinkNode, &LinkNode::next_link> links;                  // by Pid::number of the peer
  base::IntrusiveTable<DemonitorNode, &DemonitorNode::next_monitor> monitors;  // by reference id
  base::IntrusiveTable<AliasRecord, &AliasRecord::next_alias> aliases;
  base::IntrusiveList<MonitorNode, &MonitorNode::hook> watchers;
  base::IntrusiveList<CallWatch, &CallWatch::hook> call_watches;
  std::string_view name;  // its text lives as long as the runtime
  std::unique_ptr<WakeTimer> timer;
  LineageSource for_children;                 // what a child records, made at the first child
  LineageSource for_tasks;                    // the same for a task
  std::unique_ptr<Rarities> rarities_if_any;  // made by rarities()
  Extension();
  ~Extension();
  [[nodiscard]] Rarities& rarities();
};
static_assert(sizeof(Extension) <= 128, "a process with a link, as any child of a supervisor, has one of these");

enum class Leave : std::uint8_t { no, by_exit, by_signal };

// What a process is beside its line: the common part. Derived classes hold the user's state: a function (plain.cpp), a
// server (src/otp).
class Body : public detail::Pooled {
 public:
  virtual ~Body();

  // One turn on the stack of the calling worker loop; entered with the process owned. Returns when the process has
  // become idle, has been queued again, or is dead.
  virtual void run(Process& process) = 0;
  // Runs the destructors of the user's state. The process is dying: waits return at once.
  virtual void destroy_state() noexcept = 0;
  // Which server class it runs; null for none. Compared with SignalTable::behaviour.
  [[nodiscard]] virtual const void* behaviour() const noexcept { return nullptr; }
  // Class of the server or type of the spawned function, for reports.
  [[nodiscard]] virtual std::string initial_call() const = 0;
  // Called at the end of a process that never acknowledged its start; see otp. Runs after its death was announced.
  virtual void announce_end(const ExitReason&) noexcept {}
  // A call to it without an envelope, while it is idle: in_place.hpp.
  [[nodiscard]] virtual InPlace run_in_place(Process&, detail::PlacedCall&) noexcept { return InPlace::refused; }
  // While that runs: the call is settled (hand_off.hpp). The envelope to answer; null: it is answered.
  virtual void keep_call(detail::CallNode*) noexcept {}
  // Puts an idle process to rest: moves what it will need again into the Rest that it returns, and is gone. Null: it has
  // something at hand that does not go in there, and stays as it is.
  [[nodiscard]] virtual Rest* go_to_rest(Process&) noexcept { return nullptr; }

  [[nodiscard]] Extension& extension();
  [[nodiscard]] const Rarities* rarities_if_any() const noexcept {
    return extension_ == nullptr ? nullptr : extension_->rarities_if_any.get();
  }

  static constexpr std::uint16_t not_idle_yet = 0xffff;  // values of rest_place that are no places
  static constexpr std::uint16_t idle_once = 0xfffe;

  Core* core = nullptr;
  Process* line = nullptr;
  Pid pid;
  Pid parent;
  Pid linked_parent;  // the parent whose exit ends a trapping server; none if it was not linked (GS-003)
  Pid group_leader;
  std::unique_ptr<Extension> extension_;
  Tie* tie = nullptr;                 // to the parent, if that bound it to itself: tie.hpp. It holds a part of it
  AwaitedEnd* awaited_end = nullptr;  // while it waits for one of its tasks: tie.hpp

  SharedLineage lineage;  // of a generically started process

  ExitReason reason;  // while leaving
  Leave leaving = Leave::no;
  bool trap_exit = false;
  bool dying = false;  // state being destroyed: waits return at once
  bool migratable = false;
  bool state_is_trivial = false;            // destroy_state() runs nothing of the user's
  std::uint8_t size_class = 0;              // 0: the default stack; else log2 of its bytes
  std::uint16_t rest_place = not_idle_yet;  // where it stands in a worker's RestList, if it does: rest.hpp
  std::uint16_t swallows = 0;               // how often a leave was swallowed by catch (...)
  std::uint32_t call_id = 0;                // of the newest call that this process made
  std::uint32_t awaited_call = 0;           // the call whose reply it waits for; 0 for none
  detail::CallNode* reply = nullptr;        // the awaited reply, once it is here
  ExitReason call_failure;                  // why the awaited call failed, if it did
  bool call_failed = false;
  bool in_wait = false;     // inside wait_once: its stack is its own
  bool in_turn = false;     // user code is below us on the stack
  bool must_go_on = false;  // a handler runs that has promised never to wait: in_place.hpp
  std::uint32_t checkpoints = 0;
  std::uint32_t received = 0;  // by receive, for its turn budget
  Signal* orphans = nullptr;   // calls whose From was dropped by a handler: failed at death, or after the handler
  const Signal* handled_call = nullptr;  // the call whose handler runs, if it was given a From
  bool ending = false;                   // a server that will die: terminate runs
  Signal* unhandled = nullptr;           // signals behind the fatal one, in order: bounced at death
  std::uint64_t reductions = 0;
  std::uint32_t queue_peak = 0;                       // the longest that the mailbox has been
  std::uint32_t room_taken = 0;                       // messages in a bounded mailbox that its capacity counts
  std::uint32_t high_water_mark = ~std::uint32_t{0};  // the length that is reported when it is reached
  bool above_mark = false;                            // it was reached, and the mailbox is not half empty since
  bool mark_due = false;                              // it was reached, and is not reported yet: the next intake will
};

}  // namespace coppice::runtime
