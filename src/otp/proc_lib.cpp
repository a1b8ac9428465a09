// SPDX-License-Identifier: Apache-2.0
#include <coppice/proc_lib.hpp>

#include "otp/server.hpp"
#include "otp/start.hpp"
#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/inspection.hpp"
#include "runtime/wait.hpp"

namespace coppice {
namespace otp {
namespace {

// The value that the starter gets travels as the reason of the outcome: any term.
class GenericBody final : public runtime::Body {
 public:
  GenericBody(std::unique_ptr<detail::Closure> closure, const std::type_info& type, detail::CallNode* start)
      : closure_(std::move(closure)), type_(type), start_(start) {}

  void run(Process& process) override {
    ExitReason why;
    bool crashed = false;
    try {
      runtime::take_in(process);
      in_turn = true;
      closure_->run();
      runtime::leave_if_due(process);
    } catch (const runtime::LeaveStack&) {
      why = reason;
    } catch (const Exit& exit) {
      why = exit.reason();
      crashed = true;
    } catch (...) {
      why = runtime::reason_of_current_exception();
      crashed = true;
    }
    if (leaving != runtime::Leave::no) {
      why = reason;
      crashed = leaving == runtime::Leave::by_exit;
    }
    if (crashed && !reported && !why.is_shutdown_kind()) runtime::reporter().crash_report(process, why);
    runtime::die(process, why);
  }

  void destroy_state() noexcept override { closure_.reset(); }
  [[nodiscard]] const void* behaviour() const noexcept override { return table; }
  [[nodiscard]] std::string initial_call() const override { return platform::demangled(type_.name()); }
  void announce_end(const ExitReason& why) noexcept override {
    if (start_ != nullptr) answer(failure ? *failure : Term(tuple(Atom("error"), why)));
  }

  void answer(Term value) noexcept {
    if (start_ == nullptr) return;
    auto* node = static_cast<StartNode*>(std::exchange(start_, nullptr));
    node->reply.emplace(StartOutcome{StartOutcome::Kind::ok, pid, ExitReason(std::move(value)), {}});
    detail::send_reply(node);
  }

  std::optional<Term> failure;                 // of init_fail
  const detail::ServerTable* table = nullptr;  // once it has entered a server's loop
  bool reported = false;

 private:
  std::unique_ptr<detail::Closure> closure_;
  const std::type_info& type_;
  detail::CallNode* start_;
};

GenericBody* generic_body(const char* function) {
  return dynamic_cast<GenericBody*>(runtime::require_process(function).body);
}

struct GenericMaking {
  std::unique_ptr<detail::Closure> closure;
  const std::type_info& type;
};

}  // namespace
}  // namespace otp

inline namespace v1 {
namespace detail {

Term proc_lib_start(std::unique_ptr<Closure> closure, const std::type_info& type, const SpawnOptions& options,
                    Bond bond, WaitTime timeout) {
  runtime::Process& parent = runtime::require_process("proc_lib::start");
  otp::GenericMaking making{std::move(closure), type};
  const auto make_body = [](CallNode* node, void* context) -> std::unique_ptr<runtime::Body> {
    auto& given = *static_cast<otp::GenericMaking*>(context);
    return std::make_unique<otp::GenericBody>(std::move(given.closure), given.type, node);
  };
  const StartOutcome outcome = otp::start_generic(parent, make_body, &making, options, bond, timeout, "proc_lib");
  if (outcome.kind == StartOutcome::Kind::ok) return outcome.reason.term();
  return Term(tuple(Atom("error"), outcome.reason));
}

// Runs the loop where the process stands: it keeps its stack, and waits in place.
void enter_server_loop(const ServerTable& table, void* state, const ServerName& name, Wish first) {
  runtime::Process& process = runtime::require_process("enter_loop");
  auto* body = dynamic_cast<otp::GenericBody*>(process.body);
  if (body == nullptr) throw Exit(ExitReason(Atom("process_was_not_started_by_proc_lib")));  // GS-135
  if (!name.empty() && name.whereis() != body->pid) {                                        // GS-134
    if (name.via() == nullptr) throw Exit(ExitReason(Atom("process_not_registered")));
    throw Exit(ExitReason(tuple(Atom("process_not_registered_via"), name.via()->name())));
  }
  if (first.verdict != Verdict::go_on) throw Exit(first.reason);
  body->table = &table;
  otp::ServerLoop loop(*body, table);
  loop.state = state;
  loop.begin(std::move(first));
  for (std::uint32_t budget = runtime::Worker::turn_budget;;) {
    switch (loop.step(process)) {
      case otp::ServerLoop::Step::handled:
        if (--budget == 0) {
          yield();
          budget = runtime::Worker::turn_budget;
        }
        continue;
      case otp::ServerLoop::Step::idle:
        runtime::wait_once(process, runtime::WaitFor::messages, loop.wake_at());
        continue;
      case otp::ServerLoop::Step::ended: {
        const ExitReason why = loop.end_reason();
        loop.fail_open_calls(why);
        body->reported = true;
        runtime::leave(process, why, runtime::Leave::by_exit);
      }
    }
  }
}

}  // namespace detail

namespace proc_lib {

void init_ack(Term value) {
  if (auto* body = otp::generic_body("proc_lib::init_ack")) body->answer(std::move(value));
}

void init_fail(Term value, const ExitReason& reason) {
  auto* body = otp::generic_body("proc_lib::init_fail");
  if (body != nullptr) body->failure = std::move(value);
  throw Exit(reason);
}

}  // namespace proc_lib
}  // namespace v1
}  // namespace coppice
