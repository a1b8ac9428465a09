// SPDX-License-Identifier: Apache-2.0
//
// The process of a task: it runs one function, sends what that returns to its owner, and ends.
//
// The function lies behind the body, in the same allocation. The owner's link and monitor stand before the process is
// queued for its first turn, so nothing can be missed; no message has to tell the task what to do.
#pragma once

#include <memory>
#include <new>

#include <coppice/task.hpp>

#include "runtime/process.hpp"

namespace coppice::otp {

class TaskBody final : public runtime::Body {
 public:
  static std::unique_ptr<runtime::Body> make(const detail::TaskFunction& what, void* function);
  // The function lies behind the object: only this knows how much there is to free.
  static void operator delete(TaskBody* body, std::destroying_delete_t) noexcept;
  ~TaskBody() override { destroy_state(); }

  void run(runtime::Process& process) override;
  void destroy_state() noexcept override;
  [[nodiscard]] std::string initial_call() const override;

  Reference reply_to;           // the owner's alias; none if nobody wants the value
  Pid starter;                  // who asked for it
  const std::type_info* shown;  // the user's function

 private:
  TaskBody(const detail::TaskFunction& what, void* function) noexcept
      : shown(what.type), what_(what), function_(function) {
    state_is_trivial = what.destroy == nullptr;
  }
  void report(const ExitReason& why) const;
  void give_value(const runtime::Process& process, detail::Signal* value);

  const detail::TaskFunction& what_;  // static
  void* function_;
};

// How a task comes into the world.
struct TaskBirth {
  bool link = false;                         // to the process that gives birth
  bool owned = false;                        // monitored by it, through an alias by which the value comes back
  bool watched = false;                      // monitored by it, without an alias
  runtime::SharedLineage lineage = nullptr;  // null: that of a task that the parent asks for
  Pid starter = {};                          // none: the parent
  const std::type_info* shown = nullptr;     // the user's function, if `what` is not it
};

// Null parent: a foreign thread, which may neither link nor own. Throws Exit(:system_limit).
[[nodiscard]] detail::TaskData give_birth_to_task(runtime::Process* parent, const detail::TaskFunction& what,
                                                  void* function, const TaskBirth& birth);

// The caller, then those on whose behalf the caller works: what a task started for it records (TK-007).
[[nodiscard]] std::vector<Pid> callers_for_tasks(const runtime::Process& caller);

}  // namespace coppice::otp
