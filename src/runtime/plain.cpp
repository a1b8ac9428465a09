// SPDX-License-Identifier: Apache-2.0
#include "runtime/plain.hpp"

#include <bit>
#include <cstdlib>

#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/tie.hpp"
#include "runtime/wait.hpp"

namespace coppice::runtime {

void PlainBody::run(Process& process) {
  ExitReason why;
  bool crashed = false;
  try {
    if (refused_name) throw Exit(ExitReason::badarg("the name asked for at spawn is taken or reserved"));
    take_in(process);
    in_turn = true;
    closure_->run();
    leave_if_due(process);  // it may have swallowed its exit and returned
  } catch (const LeaveStack&) {
    why = reason;
  } catch (const Exit& exit) {
    why = exit.reason();
  } catch (...) {
    why = reason_of_current_exception();
    crashed = true;
  }
  if (leaving != Leave::no) {  // whatever was thrown on the way out does not change why
    why = reason;
    crashed = false;
  }
  if (crashed) reporter().process_crashed(process, why);
  die(process, why);
}

std::string PlainBody::initial_call() const { return platform::demangled(type_.name()); }

Pid dead_pid(Core& core) noexcept {
  return core.pid_of(core.new_reference_id() << Pid::slot_bits);  // slot 0 is nobody's
}

namespace {

void apply_options(Core& core, Process& process, const SpawnOptions& options) {
  Body& body = *process.body;
  body.migratable = options.migratable;
  if (options.stack_size != 0) {
    const std::size_t rounded = std::bit_ceil(options.stack_size);
    if (rounded != std::bit_ceil(core.options().stack_size)) {
      body.size_class = static_cast<std::uint8_t>(std::countr_zero(rounded));
    }
  }
  if (!options.label.empty()) body.extension().rarities().label = Term(options.label);
  if (options.high_water_mark != 0) body.extension().rarities().high_water_mark = options.high_water_mark;
  body.high_water_mark = high_water_mark_of(body);
  if (options.mailbox_capacity != 0 && options.overflow != Overflow::none) {
    constexpr std::size_t capacity_max = (1u << 24) - 1;
    const auto capacity = static_cast<std::uint32_t>(std::min(options.mailbox_capacity, capacity_max));
    core.table().sight(process).limit.store(capacity << 8 | static_cast<std::uint32_t>(options.overflow),
                                            std::memory_order_relaxed);
    process.flags.fetch_or(flag::bounded, std::memory_order_relaxed);
  }
}

void bind_to_parent(Process& child, const Birth& birth) {
  if (birth.parent == nullptr || birth.bond == detail::Bond::none) return;
  const bool with_link = birth.bond != detail::Bond::monitor;
  const std::uint64_t monitor_id = birth.bond != detail::Bond::link ? birth.monitor_id : 0;
  child.body->tie = new_tie(*birth.parent, child.body->pid, with_link, monitor_id, birth.alias);
}

// A fault of the simulation. A foreign thread's process is never refused.
bool withheld(Core& core) {
  if (!core.world().simulated()) return false;
  const Worker* here = this_worker();
  const Process* asks = here == nullptr ? nullptr : here->current();
  return asks != nullptr &&
         core.world().withholds(platform::Scarce::process, asks->serial.load(std::memory_order_relaxed));
}

}  // namespace

Process* give_birth(Core& core, std::unique_ptr<Body> owned, const SpawnOptions& options, const Birth& birth) {
  const std::uint32_t worker = core.worker_number();
  if (!core.admit_process(worker)) return nullptr;
  std::uint64_t number = 0;
  Process* process = withheld(core) ? nullptr : core.table().allocate_closed(worker, number);
  if (process == nullptr) {
    core.process_ended(worker);
    return nullptr;
  }
  Body& body = *owned.release();
  process->body = &body;
  body.core = &core;
  body.line = process;
  body.pid = core.pid_of(number);
  body.group_leader = body.pid;
  Badge& badge = core.table().badge(*process);
  if (birth.parent != nullptr) {
    body.parent = birth.parent->body->pid;
    body.group_leader = birth.parent->body->group_leader;
    badge.parent.store(body.parent.number, std::memory_order_relaxed);
  }
  badge.group_leader.store(body.group_leader.number, std::memory_order_release);
  apply_options(core, *process, options);
  bind_to_parent(*process, birth);
  if (birth.is_task) return process;
  head::open(*process, number);
  core.process_started(body.pid);
  return process;
}

namespace {

// Does some worker look for work? Then the answer comes sooner than the caller would have fallen asleep and been woken. A
// worker that must be woken is put by the system where its waker is about to sleep, and would wait for one that spins.
bool somebody_is_awake(Core& core) noexcept { return !core.watch().all_sleep(); }

void spin_for(Core& core, const std::atomic<bool>& done) noexcept {
  constexpr platform::Nanoseconds spin_max = 20'000;
  const platform::Nanoseconds end = core.world().now() + spin_max;
  do {
    for (int look = 0; look < 16; ++look) {
      if (done.load(std::memory_order_acquire)) return;
      platform::pause();
    }
  } while (core.world().now() < end);
}

}  // namespace

// The state that caller and proxy share: the caller waits for `done`, which the proxy's closure sets when it is destroyed,
// so also when it never ran.
bool run_in_proxy(const char* caller, const std::function<void()>& function) {
  const std::shared_ptr<Core> core = require_core(caller);
  struct Shared {
    platform::World& world;
    platform::Parker parker;
    std::atomic<bool> done{false};
    std::atomic<bool> ran{false};
  };
  auto shared = std::make_shared<Shared>(core->world());
  struct Proxy final : detail::Closure {
    std::shared_ptr<Shared> shared;
    const std::function<void()>* function = nullptr;
    void run() override {
      (*function)();
      shared->ran.store(true, std::memory_order_release);
    }
    ~Proxy() override {
      shared->done.store(true, std::memory_order_release);
      wake_thread(shared->world, shared->parker);
    }
  };
  auto proxy = std::make_unique<Proxy>();
  proxy->shared = shared;
  proxy->function = &function;
  Process* process = give_birth(*core, std::make_unique<PlainBody>(std::move(proxy), typeid(Proxy)), {}, {});
  if (process == nullptr) return false;
  // With one worker there may be one core only, on which nobody could answer meanwhile.
  const bool spin = !core->world().simulated() && core->workers().size() > 1 && somebody_is_awake(*core);
  core->start(*process);
  if (spin) spin_for(*core, shared->done);
  while (!shared->done.load(std::memory_order_acquire)) core->world().park(shared->parker, platform::never);
  return shared->ran.load(std::memory_order_acquire);
}

}  // namespace coppice::runtime
