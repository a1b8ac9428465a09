// SPDX-License-Identifier: Apache-2.0
#include <coppice/runtime.hpp>

#include <cstdio>

#include "platform/fault.hpp"
#include "runtime/core.hpp"
#include "runtime/plain.hpp"
#include "runtime/watchdog.hpp"

namespace coppice {
inline namespace v1 {

Runtime::Runtime(const RuntimeOptions& options) : Runtime(platform::threads_world(), options) {}

Runtime::Runtime(platform::World& world, const RuntimeOptions& options)
    : core_(std::make_shared<runtime::Core>(world, options)) {
  runtime::register_core(core_);
  core_->start_workers();
}

Runtime::~Runtime() {
  const runtime::Worker* here = runtime::this_worker();
  COPPICE_INVARIANT(here == nullptr || &here->core() != core_.get(),
                    "a Runtime was destroyed by one of its own processes");
  stop();
}

namespace {
void refuse_processes(const char* sentence) {
  if (runtime::current_process() != nullptr) platform::die(sentence);
}
}  // namespace

ExitReason Runtime::run(std::function<void()> main) {
  refuse_processes("Runtime::run was called by a process: it blocks its thread, so it is for foreign threads");
  struct Shared {
    platform::Parker parker;
    std::atomic<bool> done{false};
    ExitReason reason;
  };
  auto shared = std::make_shared<Shared>();
  auto closure = std::make_unique<detail::ClosureOf<std::function<void()>>>(std::move(main));
  auto body = std::make_unique<runtime::PlainBody>(std::move(closure), typeid(Runtime));
  body->at_end = [shared, core = core_.get()](const ExitReason& reason) {
    shared->reason = reason;
    shared->done.store(true, std::memory_order_release);
    core->world().unpark(shared->parker);
  };
  runtime::Process* process = runtime::give_birth(*core_, std::move(body), {}, {});
  if (process == nullptr) return ExitReason(Atom("system_limit"));
  core_->set_first_process(process->body->pid);
  core_->start(*process);
  while (!shared->done.load(std::memory_order_acquire)) core_->world().park(shared->parker, platform::never);
  return shared->reason;
}

StopReport Runtime::stop() {
  refuse_processes("Runtime::stop was called by a process, whose end it would have to wait for");
  return core_->stop();
}

Runtime::Scope::Scope(Runtime& runtime)
    : core_(runtime.core_), previous_(static_cast<std::shared_ptr<runtime::Core>*>(runtime::scope_slot_untyped())) {
  runtime::scope_slot_untyped() = &core_;
}
Runtime::Scope::~Scope() { runtime::scope_slot_untyped() = previous_; }

std::size_t Runtime::process_count() const noexcept { return core_->process_count(); }

std::size_t Runtime::timer_count() const noexcept {
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < core_->shard_count(); ++i) count += core_->timer_shard(i).message_timer_count();
  return count;
}

std::size_t Runtime::stacks_held() const noexcept {
  std::size_t count = 0;
  for (const std::uint64_t number : core_->table().numbers()) {
    if (core_->table().line(core_->pid_of(number)).stack != nullptr) ++count;
  }
  return count;
}

int run(std::function<void()> main, const RuntimeOptions& options) {
  Runtime runtime(options);
  const ExitReason reason = runtime.run(std::move(main));
  const StopReport report = runtime.stop();
  for (const std::string& process : report.killed) {
    std::fprintf(stderr, "coppice: %s did not stop in time and was killed\n", process.c_str());
  }
  for (const std::string& process : report.abandoned) {
    std::fprintf(stderr, "coppice: %s could not be stopped and was left behind\n", process.c_str());
  }
  if (!reason.is_shutdown_kind()) {
    std::fprintf(stderr, "coppice: the first process ended: %s\n", format_exit(reason).c_str());
  }
  return reason.is_shutdown_kind() && report.clean ? 0 : 1;
}

}  // namespace v1
}  // namespace coppice
