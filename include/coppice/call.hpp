// SPDX-License-Identifier: Apache-2.0
//
// What a call is made of: the envelope that carries a request to a server and comes back as its reply, and From, the
// right to answer. Users meet From and Reply; the rest is namespace detail.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <coppice/exit.hpp>
#include <coppice/message.hpp>
#include <coppice/process.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

// The envelope, type-erased. One allocation: the request goes to the server in it, the reply comes back in it.
struct CallNode : Signal {
  Pid caller;
  Pid callee;
  std::uint32_t call_id = 0;                 // of the caller's call; 0 for send_request, whose answer is a message
  bool failed = false;                       // comes back with `failure` instead of a reply
  Reference request;                         // for send_request
  Signal* watch = nullptr;                   // the server's CallWatch, if the reply was deferred
  const SignalTable* reply_table = nullptr;  // the node's table on its way back
  ExitReason failure;
};

template <class R>
struct ReplyNode : CallNode {
  std::optional<R> reply;
};

template <class M, class R>
struct Envelope : ReplyNode<R> {
  // Aligned as the node, so that it never stands in what the node leaves unused at its end: see envelope_offset.
  alignas(M) alignas(ReplyNode<R>) M request_value;
  explicit Envelope(M&& m) : request_value(std::move(m)) {}
};

template <class M, class R>
consteval std::uint16_t envelope_offset() {
  // Envelope is not a standard-layout type; the offset of its last member follows from sizes and alignments.
  return static_cast<std::uint16_t>((sizeof(ReplyNode<R>) + alignof(M) - 1) / alignof(M) * alignof(M));
}

template <class M, class R>
inline constexpr SignalTable reply_table{SignalKind::reply, 0,       nullptr, nullptr, &destroy_node<Envelope<M, R>>,
                                         nullptr,           nullptr, nullptr};

// Sends an envelope back: with its reply, or with a failure. Any thread. The node is gone afterwards.
COPPICE_API void send_reply(CallNode* node) noexcept;
COPPICE_API void send_failure(CallNode* node, const ExitReason& why) noexcept;
// A From was dropped without an answer: fails the call with `no_reply`, or with the server's reason if it is dying.
COPPICE_API void drop_from(CallNode* node) noexcept;
// A From was moved: its call is in other hands now, and a chain of calls through its server may be no deadlock.
COPPICE_API void release_call(const CallNode* node) noexcept;
// Told before a handler that may defer its reply runs: lets the caller hear of the server's death.
COPPICE_API void watch_call(CallNode* node);

// Bounces a request that nobody will handle.
inline void bounce_call(Signal* signal, const ExitReason& why) noexcept {
  send_failure(static_cast<CallNode*>(signal), why);
}

}  // namespace detail

// The answer to send_request, as it stands in the mailbox: a message. Read with check_response or wait_response
// (gen_server.hpp), or taken by a server's `handle_info(Response)`. Move-only.
class COPPICE_API Response {
 public:
  Response(const Reference& request, detail::CallNode* node) noexcept : request_(request), node_(node) {}
  Response(const Reference& request, ExitReason failure) noexcept : request_(request), failure_(std::move(failure)) {}
  Response(Response&& other) noexcept
      : request_(other.request_), node_(std::exchange(other.node_, nullptr)), failure_(std::move(other.failure_)) {}
  Response& operator=(Response&&) = delete;
  ~Response() {
    if (node_) node_->table->destroy(node_);
  }

  [[nodiscard]] const Reference& request() const noexcept { return request_; }
  [[nodiscard]] bool failed() const noexcept { return node_ == nullptr || node_->failed; }
  [[nodiscard]] const ExitReason& failure() const noexcept { return node_ ? node_->failure : failure_; }
  [[nodiscard]] detail::CallNode* node() const noexcept { return node_; }

 private:
  Reference request_;
  detail::CallNode* node_ = nullptr;
  ExitReason failure_;
};

// The caller of a deferred call: the right, and the duty, to answer it once. Move-only. OTP: `from` of handle_call
// (GS-040); where OTP lets the caller of a forgotten `from` wait for its timeout, dropping a From fails the call at once
// with `no_reply` (a difference we choose).
template <class R>
class From {
 public:
  explicit From(detail::ReplyNode<R>* node) noexcept : node_(node), pid_(node->caller) {}
  From(From&& other) noexcept : node_(std::exchange(other.node_, nullptr)), pid_(other.pid_) {
    if (node_) detail::release_call(node_);
  }
  From& operator=(From&& other) noexcept {
    if (this != &other) {
      if (node_) detail::drop_from(node_);
      node_ = std::exchange(other.node_, nullptr);
      pid_ = other.pid_;
    }
    return *this;
  }
  From(const From&) = delete;
  From& operator=(const From&) = delete;
  ~From() {
    if (node_) detail::drop_from(node_);
  }

  // Answers the call. Any thread, any time; harmless if the caller is gone or has given up (GS-054). A second answer
  // does nothing (GS-052).
  void reply(R value) {
    if (!node_) return;
    node_->reply.emplace(std::move(value));
    detail::send_reply(std::exchange(node_, nullptr));
  }

  // Who called; for a foreign thread the process that waits in its place.
  [[nodiscard]] Pid pid() const noexcept { return pid_; }
  [[nodiscard]] bool answered() const noexcept { return node_ == nullptr; }

 private:
  detail::ReplyNode<R>* node_;
  Pid pid_;
};

namespace detail {

class NameBinding;

// To whom a call goes, as the caller put it (GS-047): by one of `address`, `name` and `binding`, else by the pid. What it
// points to must outlive it.
struct CallTarget {
  Pid pid;                                       // resolved
  Term address = {};                             // any term
  std::string_view module = "Elixir.GenServer";  // as an atom
  std::string_view function = "call";
  std::string_view name = {};            // a registered name
  const NameBinding* binding = nullptr;  // a name in a via module

  // How it shows in an exit reason. Made only then: an atom or a term costs more than a call.
  [[nodiscard]] COPPICE_API Term shown() const;
};

struct CallOutcome {
  CallNode* node = nullptr;  // the envelope with its reply; null if the call failed
  ExitReason cause;          // why it failed: the bare `noproc`, `timeout`, ...
  // What CallFailure tells of a call that failed. No text is made of it until somebody asks: who calls with try_call does
  // not.
  const TypeIdentity* request = nullptr;
  const TypeIdentity* doing = nullptr;  // null: nothing, or not known
  std::size_t queue_length = 0;
  std::chrono::nanoseconds waited{0};

  [[nodiscard]] COPPICE_API CallFailure failure(const CallTarget& target) const;
};

// A call that needs no envelope while its caller stands by (runtime/in_place.hpp). It stands in the caller's frame; what
// derives from it has the request and a place for the reply.
struct PlacedCall {
  const TypeIdentity* type;
  const void* behaviour;                    // as SignalTable::behaviour
  void (*run)(ServerBody&, PlacedCall&);    // runs the handler, and says so if it has replied here
  CallNode* (*make_envelope)(PlacedCall&);  // one for its reply after all, with what is left of the request
  bool never_waits;
  bool answered = false;
  std::optional<CallOutcome> outcome = {};  // of a call that was made, and not answered here
};

// Makes the call so if that may be. False: it was not made. True: it is over, by an answer or with an outcome.
[[nodiscard]] COPPICE_API bool call_without_envelope(const Pid& server, PlacedCall& call, WaitTime timeout);
// The same by a registered name, with its hash_text(). Says who has it.
[[nodiscard]] COPPICE_API bool call_without_envelope(std::string_view name, std::uint64_t hash, Pid& server,
                                                     PlacedCall& call, WaitTime timeout);

// Makes the call in `node` and waits for its end. Any thread; a foreign one blocks. Consumes the node if it fails.
COPPICE_API CallOutcome perform_call(const CallTarget& target, CallNode* node, const TypeIdentity& request,
                                     WaitTime timeout);
// An Exit with `{cause, {GenServer, :call, [server, request, timeout]}}`, made ready to be thrown: an exception object, which
// must be given to throw_made. In two steps, so that the caller can end everything that has a destructor in between: each
// frame that has something to clean up makes a throw half as dear again.
[[nodiscard]] COPPICE_API void* make_call_exit(const CallTarget& target, Term request, WaitTime timeout,
                                               const CallOutcome& outcome);
[[noreturn]] COPPICE_API void throw_made(void* exit);
// Sends a request whose answer will be a Response in the caller's mailbox; returns what names it.
COPPICE_API Reference start_request(const Pid& server, CallNode* node);
// Gives a request up: its answer will be dropped. False if it was answered or given up already.
COPPICE_API bool abandon_request(const Reference& request);
// 5000, or :infinity: how a timeout is shown.
[[nodiscard]] COPPICE_API Term timeout_term(WaitTime timeout);

}  // namespace detail
}  // namespace v1
}  // namespace coppice
