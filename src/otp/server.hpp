// SPDX-License-Identifier: Apache-2.0
//
// The loop of a generic server, untyped: which message is next, what its handler asked for, how the server ends.
// Everything runs in the server's own process; nothing here is shared between threads.
//
// ServerLoop holds the state machine and is stepped by its host: Server, a process body whose turns return when the
// server is idle (so an idle server holds no stack), or enter_loop, which waits in place on the stack it stands on.
//
// One step: take in signals; run a pending continuation before anything else; else handle the next message; else fire
// the inactivity timeout if it is due; else the server is idle.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <coppice/gen_server.hpp>

#include "otp/debug.hpp"
#include "platform/world.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/process.hpp"
#include "runtime/rest.hpp"

namespace coppice::otp {

using detail::Signal;
using detail::Verdict;
using runtime::Process;

// A message that every server answers between two callbacks, also while suspended: recognised by this address in
// SignalTable::behaviour.
extern const char system_behaviour;

class ServerLoop : public detail::ServerBody {
 public:
  enum class Step { handled, idle, ended };

  ServerLoop(runtime::Body& body, const detail::ServerTable& server_table);
  ~ServerLoop();
  ServerLoop(const ServerLoop&) = delete;
  ServerLoop& operator=(const ServerLoop&) = delete;

  Step step(Process& process) {
    if (ended_ || left_over_) [[unlikely]]
      return step_from_before(process);
    runtime::intake(process);
    if (body_.leaving != runtime::Leave::no || continuation_ != nullptr || suspended_) [[unlikely]] {
      return step_otherwise(process);
    }
    Signal* message = runtime::take_first(process);
    if (message == nullptr) return timeout_ < 0 ? Step::idle : step_without_message(process);
    handle(process, message);
    return ended_ ? Step::ended : Step::handled;
  }

  // A call without an envelope: in_place.hpp. Refused if there is more to do for it than to run its handler.
  [[nodiscard]] runtime::InPlace handle_in_place(Process& process, detail::PlacedCall& call) noexcept;
  // Its envelope, after all: while the handler runs, or after it has returned without a reply.
  void keep_call(detail::CallNode* node) noexcept;

  // Acts on what init asked for, which is not to end.
  void begin(detail::Wish wish);
  // Until when an idle server sleeps. While it is suspended no timeout may fire: resuming restarts it (GS-118).
  [[nodiscard]] platform::Nanoseconds wake_at() const noexcept { return suspended_ ? platform::never : wake_at_; }
  // After Step::ended: with which reason, terminate having run and the reports made.
  [[nodiscard]] const ExitReason& end_reason() const noexcept { return end_reason_; }
  // Calls that were left open fail with the reason, once the death was announced.
  void fail_open_calls(const ExitReason& reason) noexcept;

  // -- for a server that goes to rest
  // Is there nothing that would be lost with the loop, but for what last_type() says?
  [[nodiscard]] bool can_rest() const noexcept;
  [[nodiscard]] const detail::TypeIdentity* last_type() const noexcept { return last_type_; }
  void resume(void* the_state, const detail::TypeIdentity* last) noexcept {
    state = the_state;
    last_type_ = last;
  }

  // -- for system messages (sys.cpp)
  [[nodiscard]] runtime::Body& body() noexcept { return body_; }
  [[nodiscard]] bool suspended() const noexcept { return suspended_; }
  void suspend(bool on);
  [[nodiscard]] Debug& debug();  // made at the first use
  [[nodiscard]] Debug* debug_if_any() noexcept { return debug_.get(); }
  void drop_debug() noexcept {
    debug_.reset();
    debugging = false;
  }
  void report_unknown(const Signal* message);       // a delivery that found no handler
  void ask_to_terminate(const ExitReason& reason);  // after the system message that asks

 private:
  // Why a server ends, and how a callback has left: by return (none), or for a reason that stands in failure_.
  enum class Cause : std::uint8_t { none, stop, exit, exception };

  Step step_from_before(Process& process);  // ended, or what a handler in place has left over
  void act_on_left_over(Process& process);
  Step step_otherwise(Process& process);        // leaving, suspended, or a continuation comes first
  Step step_without_message(Process& process);  // a timeout is pending
  Signal* next_while_suspended(Process& process);
  void handle(Process& process, Signal* message);
  void handle_parent_exit(Process& process, Signal* message);
  void handle_system(Process& process, Signal* message);
  void handle_typed_or_bare(Process& process, Signal* message);
  void handle_unknown(Process& process, Signal* message);
  void tell_outcome(const Pid& caller);
  template <class F>
  [[nodiscard]] Cause run_callback(Process& process, F&& callback);
  [[nodiscard]] bool is_over(Cause left) const noexcept;
  void act_on(Process& process, Cause left);
  template <class F>
  void guard(Process& process, F&& callback);
  void after_failure(Process& process, Cause cause);
  void after_leaving(Process& process);
  void after_wish(Process& process);
  void tell_arrival(Process& process, const Signal* message);
  void obey(detail::Wish wish);
  void fire_timeout(Process& process);
  void end(Process& process, ExitReason reason, Cause cause);
  void report_end(Process& process, const ExitReason& original, Cause cause);
  void note_last_message();
  void fail_orphans(const ExitReason& reason) noexcept;
  [[nodiscard]] bool is_parent_exit(const Signal* message) const;
  [[nodiscard]] std::string display_name() const;

  runtime::Body& body_;
  Signal* continuation_ = nullptr;
  platform::Nanoseconds wake_at_ = platform::never;
  std::int64_t timeout_ = -1;  // the pending inactivity timeout's full length, ns; -1: none
  bool suspended_ = false;
  bool ended_ = false;
  bool left_over_ = false;   // how a handler in place has left is to be acted on
  bool is_settled_ = false;  // the caller of the handler that runs does not stand by any more
  Cause left_ = Cause::none;
  ExitReason end_reason_;
  ExitReason failure_;  // what a callback has thrown, until it is acted on
  std::optional<ExitReason> asked_to_end_;
  const Signal* last_message_ = nullptr;  // whose handler runs, unless it is a call; only for the report
  const detail::TypeIdentity* last_type_ = nullptr;
  Term last_message_term_;
  Pid last_caller_;
  std::unique_ptr<Debug> debug_;
};

// What a server at rest keeps. Its state lives behind it, in the same allocation, as long as the process does: so a server
// has one from the beginning.
struct ServerRest : runtime::Rest {
  const detail::ServerTable* table = nullptr;
  const detail::TypeIdentity* last_type = nullptr;  // ServerLoop::last_type
};
static_assert(sizeof(ServerRest) == 56);

// The body of a process that was started as a server.
class Server final : public runtime::Body {
 public:
  static std::unique_ptr<Body> make(const detail::ServerTable& table, std::unique_ptr<detail::Constructor> constructor,
                                    const StartOptions& options, detail::CallNode* start);
  // For a process that has been at rest.
  Server(Process& process, ServerRest& rest);

  ~Server() override;
  void run(Process& process) override;
  void destroy_state() noexcept override;
  [[nodiscard]] const void* behaviour() const noexcept override { return loop_.table; }
  [[nodiscard]] std::string initial_call() const override;
  void announce_end(const ExitReason& reason) noexcept override;
  [[nodiscard]] runtime::InPlace run_in_place(Process& process, detail::PlacedCall& call) noexcept override;
  void keep_call(detail::CallNode* node) noexcept override { loop_.keep_call(node); }
  [[nodiscard]] runtime::Rest* go_to_rest(Process& process) noexcept override;

  [[nodiscard]] ServerLoop& loop() noexcept { return loop_; }

 private:
  // What is needed until the server has started.
  struct Starting : detail::Pooled {
    std::unique_ptr<detail::Constructor> constructor;
    ServerName name;
    std::size_t log = 0;  // as in StartOptions
    bool trace = false;
    bool statistics = false;
    detail::CallNode* node = nullptr;  // back to the starter
    StartOutcome outcome;              // of a start that failed: sent once the process is gone
  };

  Server(const detail::ServerTable& table, std::unique_ptr<Starting> starting);
  [[nodiscard]] bool start_up(Process& process);
  [[nodiscard]] bool take_name(Process& process);
  void answer_start(StartOutcome outcome) noexcept;
  void fail_start(Process& process, StartOutcome outcome, const ExitReason& exit_reason, bool report);

  ServerLoop loop_;
  ServerRest* rest_;
  std::unique_ptr<Starting> starting_;
};
static_assert(sizeof(Server) <= 512, "a server that is awake takes its memory from that of the nodes");

}  // namespace coppice::otp
