// SPDX-License-Identifier: Apache-2.0
//
// Plain processes: a function that runs once. And how any process is put into the world.
#pragma once

#include <functional>
#include <memory>
#include <typeinfo>

#include "runtime/process.hpp"

namespace coppice::runtime {

class PlainBody final : public Body {
 public:
  PlainBody(std::unique_ptr<detail::Closure> closure, const std::type_info& type)
      : closure_(std::move(closure)), type_(type) {}
  void run(Process& process) override;
  void destroy_state() noexcept override { closure_.reset(); }
  [[nodiscard]] std::string initial_call() const override;
  void announce_end(const ExitReason& why) noexcept override {
    if (at_end) at_end(why);
  }

  std::function<void(const ExitReason&)> at_end;
  bool refused_name = false;

 private:
  std::unique_ptr<detail::Closure> closure_;
  const std::type_info& type_;
};

// What a new process is given.
struct Birth {
  Process* parent = nullptr;  // null for one that a foreign thread starts
  detail::Bond bond = detail::Bond::none;
  std::uint64_t monitor_id = 0;       // with a bond that monitors
  AliasMode alias = AliasMode::none;  // of the monitor: lives as long
  bool is_task = false;               // started by Core::start_task, which opens its line
};

// Allocates a slot, makes `body` its tenant, sets up bonds and inheritance, counts it; does not queue it yet. Null, with
// the body destroyed, if no slot is left or the runtime has ended.
[[nodiscard]] Process* give_birth(Core& core, std::unique_ptr<Body> body, const SpawnOptions& options,
                                  const Birth& birth);

// A pid that belongs to nobody and never will.
[[nodiscard]] Pid dead_pid(Core& core) noexcept;

// Runs `function` in a process of the runtime while the calling foreign thread waits. False if the runtime has ended or
// ended before the function had run.
bool run_in_proxy(const char* caller, const std::function<void()>& function);

}  // namespace coppice::runtime
