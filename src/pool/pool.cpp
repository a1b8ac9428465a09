// SPDX-License-Identifier: Apache-2.0
//
// The process of a pool: it turns the steps that pool_decision.hpp decides into messages. A caller is known by a ticket
// that it makes itself, so that it can withdraw a request without having heard of the pool.
#include <coppice/pool.hpp>

#include <unordered_map>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>
#include <coppice/timer.hpp>

#include "pool/pool_decision.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "supervision/supervisor_decision.hpp"

namespace coppice {
namespace pool {
namespace {

using v1::detail::PoolHooks;
using v1::detail::PoolSetup;

enum class Answered : std::uint8_t { granted, rejected, other_type };

struct Granted {
  Answered answer = Answered::rejected;
  bool used_before = false;
  std::shared_ptr<void> resource;
  std::shared_ptr<const PoolHooks> hooks;
};

struct Checkout {
  using Reply = Granted;
  Ticket ticket;
  unsafe_shared<const std::type_info*> type;  // static
  bool foreign = false;                       // no process: nothing to watch
  bool again = false;                         // what was granted before is dead
};
struct Info {
  using Reply = PoolInfo;
};
struct Checkin {
  Ticket ticket;
  bool keep = false;
};
struct GaveUp {
  Ticket ticket;
};
struct Made {
  Slot slot = 0;
  std::shared_ptr<void> resource;
};
struct Failed {
  Slot slot = 0;
  ExitReason reason;
};
struct Retry {
  Slot slot = 0;
};
struct Expire {};

class PoolServer : public GenServer<PoolServer> {
 public:
  static constexpr bool trap_exit = true;

  explicit PoolServer(const std::shared_ptr<PoolSetup>& setup)
      : setup_(setup),
        hooks_(setup, &setup->hooks),
        decision_({setup->limits.size, setup->limits.queue_max, setup->limits.lazy, setup->limits.max_uses}),
        resources_(setup->limits.size) {
    apply(decision_.begin());
  }
  ~PoolServer() = default;

  void handle_call(const Checkout& wish, From<Granted> from) {
    if (*wish.type.value != *setup_->type) return from.reply(refused(Answered::other_type));
    Steps steps;
    if (wish.again) {
      const auto caller = callers_.find(wish.ticket);
      if (caller == callers_.end()) return;  // it has been given up: nobody waits for this answer
      caller->second.from.emplace(std::move(from));
      decision_.ask_again(wish.ticket, steps);
    } else if (decision_.ask(wish.ticket, steps) == Arrival::rejected) {
      ++rejected_;
      return from.reply(refused(Answered::rejected));
    } else {
      Caller& caller = callers_[wish.ticket];
      if (!wish.foreign) caller.watch = monitor(from.pid(), {.tag = Term(wish.ticket)});
      caller.from.emplace(std::move(from));
    }
    apply(steps);
  }

  void handle_cast(const Checkin& done) {
    if (!forget(done.ticket)) return;
    Steps steps;
    decision_.give_back(done.ticket, done.keep, now(), steps);
    apply(steps);
  }
  void handle_cast(const GaveUp& gone) {
    if (forget(gone.ticket)) leave(gone.ticket, true);
  }
  void handle_info(const Down& down) {
    const auto ticket = down.tag.as_reference();
    if (ticket && callers_.erase(*ticket) != 0) leave(*ticket, false);
  }

  void handle_info(Made made) {
    resources_[made.slot] = std::move(made.resource);
    last_failure_.reset();
    delay_ = std::chrono::nanoseconds(0);
    Steps steps;
    decision_.made(made.slot, now(), steps);
    apply(steps);
  }
  void handle_info(const Failed& failed) { note_failure(failed.slot, failed.reason); }
  void handle_info(const ExitMessage& gone) {
    const auto maker = makers_.find(gone.pid);
    if (maker == makers_.end()) return;
    const Slot slot = maker->second.slot;
    const bool told = gone.reason.is_normal();
    makers_.erase(maker);
    if (!told) note_failure(slot, gone.reason);
  }
  void handle_info(const Retry& again) {
    Steps steps;
    decision_.retry(again.slot, steps);
    apply(steps);
  }
  void handle_info(Expire) {
    expiring_ = false;
    Steps steps;
    decision_.expire(now() - setup_->limits.idle_timeout.nanoseconds(), steps);
    apply(steps);
  }

  PoolInfo handle_call(Info) const {
    return {.size = setup_->limits.size,
            .idle = decision_.idle(),
            .busy = decision_.busy(),
            .making = decision_.making(),
            .waiting = decision_.waiting(),
            .served = served_,
            .rejected = rejected_,
            .gave_up = gave_up_,
            .discarded = decision_.discarded(),
            .failures = failures_,
            .last_failure = last_failure_};
  }

  void terminate(const ExitReason&) {
    for (const auto& [pid, maker] : makers_) exit(pid, ExitReason::kill());
  }
  [[nodiscard]] Term format_status() const {
    return map(
        {{"idle"_atom, decision_.idle()}, {"busy"_atom, decision_.busy()}, {"waiting"_atom, decision_.waiting()}});
  }
  [[nodiscard]] std::string initial_call() const { return setup_->shown; }

 private:
  struct Caller {
    Reference watch;
    std::optional<From<Granted>> from;  // until it is answered
  };
  struct Maker {
    Slot slot = 0;
  };

  static Granted refused(Answered why) { return {why, false, nullptr, nullptr}; }
  static std::int64_t now() { return monotonic_time().count(); }

  bool forget(const Ticket& ticket) {
    const auto caller = callers_.find(ticket);
    if (caller == callers_.end()) return false;
    if (caller->second.watch != Reference()) demonitor(caller->second.watch, {.flush = true});
    callers_.erase(caller);
    return true;
  }
  void leave(const Ticket& ticket, bool untouched) {
    Steps steps;
    if (decision_.give_up(ticket, untouched, now(), steps)) ++gave_up_;
    apply(steps);
  }

  void note_failure(Slot slot, const ExitReason& reason) {
    ++failures_;
    last_failure_ = reason;
    logger::warning("{} could not make a resource: {}", setup_->shown, format_exit(reason));
    Steps steps;
    decision_.failed(slot, steps);
    apply(steps);
  }

  void apply(const Steps& steps) {
    for (const Slot slot : steps.destroy) let_go(std::exchange(resources_[slot], nullptr));
    for (const Slot slot : steps.make) make(slot);
    for (const Slot slot : steps.retry) retry_later(slot);
    for (const Grant& grant : steps.grant) {
      const auto caller = callers_.find(grant.ticket);
      if (caller == callers_.end()) continue;
      answer(caller->second, {Answered::granted, grant.used_before, resources_[grant.slot], hooks_});
    }
    expire_later();
  }
  void answer(Caller& caller, Granted granted) {
    ++served_;
    caller.from->reply(std::move(granted));
    caller.from.reset();
  }

  // Destroying a resource may take its time.
  static void let_go(std::shared_ptr<void> resource) {
    spawn([held = std::move(resource)]() mutable { held.reset(); }, {.label = "pool: destroys a resource"});
  }

  void make(Slot slot) {
    const Pid maker = spawn_link([slot, pool = self(), setup = setup_] { run_factory(slot, pool, *setup); },
                                 {.label = "pool: makes a resource"});
    makers_[maker] = {slot};
  }
  static void run_factory(Slot slot, const ServerRef<PoolServer>& pool, const PoolSetup& setup) {
    auto factory = setup.factory;
    try {
      Result<std::shared_ptr<void>> made = factory();
      if (made) return pool.send(Made{slot, *std::move(made)});
      pool.send(Failed{slot, made.reason()});
    } catch (const std::exception&) {
      pool.send(Failed{slot, runtime::reason_of_current_exception()});
    } catch (const Exit& exit) {
      pool.send(Failed{slot, exit.reason()});
    }
  }
  void retry_later(Slot slot) {
    // One delay for all slots: what they wait for is the same.
    const std::uint64_t random = runtime::core_of(*runtime::current_process()).world().random();
    const double chance = static_cast<double>(random >> 11) * 0x1p-53;
    const otp::Delay delay = otp::next_delay(setup_->limits.retry, delay_, std::chrono::nanoseconds(0), chance);
    delay_ = delay.base;
    send_after(self(), Retry{slot}, delay.actual);
  }
  void expire_later() {
    const WaitTime limit = setup_->limits.idle_timeout;
    const auto since = decision_.idle_since();
    if (expiring_ || limit.is_infinite() || !since) return;
    expiring_ = true;
    const std::int64_t left = *since + limit.nanoseconds() - now();
    send_after(self(), Expire{}, std::chrono::nanoseconds(std::max<std::int64_t>(0, left)));
  }

  std::shared_ptr<PoolSetup> setup_;
  std::shared_ptr<const PoolHooks> hooks_;
  Decision decision_;
  std::vector<std::shared_ptr<void>> resources_;
  std::unordered_map<Ticket, Caller> callers_;  // that wait or hold a resource
  std::unordered_map<Pid, Maker> makers_;
  std::uint64_t served_ = 0;
  std::uint64_t rejected_ = 0;
  std::uint64_t gave_up_ = 0;
  std::uint64_t failures_ = 0;
  std::optional<ExitReason> last_failure_;
  std::chrono::nanoseconds delay_{0};  // the last one after a failure
  bool expiring_ = false;              // an Expire is under way
};

ServerRef<PoolServer> server(const Pid& pid) { return ServerRef<PoolServer>(pid); }

}  // namespace
}  // namespace pool

inline namespace v1 {

Lease::~Lease() {
  const runtime::Process* process = runtime::current_process();
  const bool killed = process != nullptr && process->body->leaving == runtime::Leave::by_signal;
  const bool keep = !discarded_ && (succeeded_ || (keep_on_throw_ && !killed));
  pool::server(loan_.pool).cast(pool::Checkin{loan_.ticket, keep});
}

void Lease::succeed() {
  succeeded_ = true;
  if (discarded_ || !loan_.hooks->on_checkin) return;
  try {
    discarded_ = !loan_.hooks->on_checkin(loan_.resource.get());
  } catch (const std::exception&) {
    discarded_ = true;
  } catch (const Exit&) {
    discarded_ = true;
  }
}

namespace detail {
namespace {

// Whether a lent resource is fit for use; asked in the borrower's process.
bool is_alive(const pool::Granted& granted) {
  if (!granted.used_before || !granted.hooks->is_alive) return true;
  try {
    return granted.hooks->is_alive(granted.resource.get());
  } catch (const std::exception&) {
    return false;
  } catch (const Exit&) {
    return false;
  }
}

std::int64_t deadline_of(WaitTime timeout) {
  if (timeout.is_negative()) throw_badarg("Pool::checkout: the timeout must not be negative");
  const std::int64_t now = monotonic_time().count();
  return timeout.is_infinite() || timeout.nanoseconds() > WaitTime::forever - now ? WaitTime::forever
                                                                                  : now + timeout.nanoseconds();
}
WaitTime time_until(std::int64_t deadline) {
  if (deadline == WaitTime::forever) return infinity;
  return std::chrono::nanoseconds(std::max<std::int64_t>(0, deadline - monotonic_time().count()));
}

}  // namespace

StartOutcome start_pool(const ServerName& name, PoolSetup setup, bool linked) {
  const PoolLimits& limits = setup.limits;
  const char* wrong = limits.size == 0                    ? "Pool: size must be at least 1"
                      : limits.size > 1'000'000           ? "Pool: size must be at most 1000000"
                      : limits.idle_timeout.is_negative() ? "Pool: idle_timeout must not be negative"
                      : limits.retry.first.count() < 0    ? "Pool: retry.first must not be negative"
                                                          : nullptr;
  if (wrong != nullptr) return {StartOutcome::Kind::error, {}, ExitReason::badarg(wrong), {}};
  const auto shared = std::make_shared<PoolSetup>(std::move(setup));
  const StartOptions options{.name = name};
  return linked ? pool::PoolServer::start_link_as(options, shared).outcome()
                : pool::PoolServer::start_as(options, shared).outcome();
}

PoolInfo pool_info(const CallTarget& target) {
  const ServerRef<pool::PoolServer> server(target.pid);
  Result<PoolInfo> info = server.try_call(pool::Info{});
  if (info) return *std::move(info);
  throw Exit(ExitReason(tuple(info.reason().term(), tuple("Elixir.Pool"_atom, "info"_atom, list(target.shown())))));
}

Result<Loan> borrow(const CallTarget& target, const std::type_info& type, WaitTime timeout) {
  const std::int64_t deadline = deadline_of(timeout);
  const ServerRef<pool::PoolServer> server(target.pid);
  if (!server) return Error{ExitReason::noproc()};
  pool::Checkout wish{new_timer_reference(), {&type}, runtime::current_process() == nullptr, false};
  for (;;) {
    // Until the pool's answer is here, whatever ends this function makes the pool take back what it may have granted.
    Result<pool::Granted> granted = server.try_call(wish, time_until(deadline));
    if (!granted) {
      if (granted.reason() == ExitReason::timeout()) server.cast(pool::GaveUp{wish.ticket});
      return Error{granted.reason()};
    }
    switch (granted->answer) {
      case pool::Answered::rejected: return error("rejected");
      case pool::Answered::other_type: throw_badarg("Pool::checkout: the pool of that name holds another type");
      case pool::Answered::granted: break;
    }
    if (is_alive(*granted)) {
      return Loan{target.pid, wish.ticket, std::move(granted->resource), std::move(granted->hooks)};
    }
    wish.again = true;
  }
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
