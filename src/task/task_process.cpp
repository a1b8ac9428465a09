// SPDX-License-Identifier: Apache-2.0
#include "task/task_process.hpp"

#include "logger/reports.hpp"
#include "otp/start.hpp"
#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/plain.hpp"
#include "runtime/tie.hpp"
#include "runtime/wait.hpp"

namespace coppice::otp {
namespace {

constexpr std::size_t function_offset(std::size_t alignment) {
  return (sizeof(TaskBody) + alignment - 1) / alignment * alignment;
}

}  // namespace

std::unique_ptr<runtime::Body> TaskBody::make(const detail::TaskFunction& what, void* function) {
  const std::size_t offset = function_offset(what.alignment);
  void* memory = detail::allocate_node(offset + what.size);
  void* place = static_cast<std::byte*>(memory) + offset;
  try {
    what.move(place, function);
  } catch (...) {
    detail::free_node(memory, offset + what.size);
    throw;
  }
  return std::unique_ptr<runtime::Body>(::new (memory) TaskBody(what, place));
}

void TaskBody::operator delete(TaskBody* body, std::destroying_delete_t) noexcept {
  const std::size_t size = function_offset(body->what_.alignment) + body->what_.size;
  body->~TaskBody();
  detail::free_node(body, size);
}

void TaskBody::destroy_state() noexcept {
  if (void* function = std::exchange(function_, nullptr); function != nullptr && what_.destroy != nullptr) {
    what_.destroy(function);
  }
}

std::string TaskBody::initial_call() const { return platform::demangled(shown->name()); }

// The value goes out before the end is announced, so the owner sees it before the Down (TK-010). If nothing that the owner
// might hear of happens in between, in the same signal.
void TaskBody::give_value(const runtime::Process& process, detail::Signal* value) {
  const bool says_nothing_more =
      what_.destroy == nullptr && (process.flags.load(std::memory_order_relaxed) & runtime::flag::owns) == 0;
  if (!says_nothing_more || !runtime::give_along(*this, reply_to, value)) detail::send_to_alias(reply_to, value);
}

void TaskBody::run(runtime::Process& process) {
  ExitReason why;
  bool failed = false;
  detail::Signal* value = nullptr;
  try {
    runtime::take_in(process);
    in_turn = true;
    value = what_.run(function_, reply_to);
    runtime::leave_if_due(process);
  } catch (const runtime::LeaveStack&) {
    why = reason;
  } catch (const Exit& exit) {
    why = exit.reason();
    failed = true;
  } catch (...) {
    why = runtime::reason_of_current_exception();
    failed = true;
  }
  in_turn = false;
  if (leaving != runtime::Leave::no) {
    why = reason;
    failed = leaving == runtime::Leave::by_exit;
  }
  if (value != nullptr) {
    if (leaving == runtime::Leave::no && !failed && reply_to) {
      give_value(process, value);
    } else {
      value->table->destroy(value);
    }
  }
  if (failed && !why.is_shutdown_kind()) report(why);
  runtime::die(process, why);
}

void TaskBody::report(const ExitReason& why) const {
  logger::TaskReport report;
  report.task = pid;
  report.starter = starter;
  report.function = initial_call();
  report.reason = why;
  if (const runtime::Rarities* rarities = rarities_if_any()) report.label = rarities->label;
  report.callers = lineage.callers();
  logger::task_report(report);
}

std::vector<Pid> callers_for_tasks(const runtime::Process& caller) {
  std::vector<Pid> callers{caller.body->pid};
  const std::vector<Pid> further = caller.body->lineage.callers();
  callers.insert(callers.end(), further.begin(), further.end());
  return callers;
}

namespace {

// Made once for all tasks of one owner, anew if it has been given another name.
runtime::SharedLineage lineage_for_tasks(runtime::Process& owner) {
  runtime::Extension& extension = owner.body->extension();
  if (extension.for_tasks != nullptr && extension.name.empty())
    return extension.for_tasks.give();  // it never had a name
  if (extension.for_tasks == nullptr || !is_shown_by(owner, extension.for_tasks->name)) {
    auto lineage = new_lineage_under(owner);
    lineage->caller = owner.body->pid;
    extension.for_tasks.make(std::move(lineage));
  }
  return extension.for_tasks.give();
}

detail::Bond bond_of(const TaskBirth& how) {
  if (how.owned || how.watched) return how.link ? detail::Bond::link_and_monitor : detail::Bond::monitor;
  return how.link ? detail::Bond::link : detail::Bond::none;
}

}  // namespace

detail::TaskData give_birth_to_task(runtime::Process* parent, const detail::TaskFunction& what, void* function,
                                    const TaskBirth& how) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = parent != nullptr ? runtime::core_of(*parent) : runtime::acting_core(held, "Task::start");
  const AliasMode alias = how.owned ? AliasMode::demonitor : AliasMode::none;
  runtime::Birth birth{parent, bond_of(how), 0, alias, true};
  if (how.owned || how.watched) birth.monitor_id = core.new_reference_id();
  detail::TaskData data;
  data.function = what.type;
  if (parent != nullptr) data.owner = parent->body->pid;
  runtime::Process* process = runtime::give_birth(core, TaskBody::make(what, function), {}, birth);
  if (process == nullptr) {
    if (core.accepts_processes() && !core.dead_after_fork()) throw Exit(ExitReason(Atom("system_limit")));
    data.pid = runtime::dead_pid(core);  // the runtime has ended: whoever awaits it hears noproc
    if (how.owned || how.watched) data.reference = monitor(data.pid, {.tag = {}, .alias = alias});
    return data;
  }
  auto& body = static_cast<TaskBody&>(*process->body);
  data.pid = body.pid;
  if (how.shown != nullptr) body.shown = how.shown;
  body.starter = how.starter ? how.starter : data.owner;
  body.lineage = how.lineage != nullptr || parent == nullptr ? how.lineage : lineage_for_tasks(*parent);
  // An owner's reference is the alias too: OTP's `Process.monitor(pid, alias: :demonitor)`.
  if (how.owned) {
    body.reply_to = data.reference = core.alias_reference(birth.monitor_id, data.owner);
  } else if (how.watched) {
    data.reference = Reference::from_id(birth.monitor_id, core.creation());
  }
  core.table().badge(*process).kind.store("Task", std::memory_order_release);
  core.start_task(*process);
  return data;
}

}  // namespace coppice::otp

namespace coppice {
inline namespace v1 {
namespace detail {

TaskData start_task(const TaskFunction& what, void* function, TaskBond bond) {
  runtime::Process* parent =
      bond == TaskBond::none ? runtime::current_process() : &runtime::require_process("Task::async and start_link");
  return otp::give_birth_to_task(parent, what, function,
                                 {.link = bond != TaskBond::none, .owned = bond == TaskBond::owner});
}

TaskData completed_task(const std::type_info& type) {
  const runtime::Process& process = runtime::require_process("Task::completed");
  TaskData data;
  data.owner = process.body->pid;
  data.reference = Reference::from_id(process.body->core->new_reference_id(), process.body->core->creation());
  data.function = &type;
  return data;
}

void send_to_self(Signal* message) { send(self(), message); }

void throw_bad_task_match(const ExitReason& reason) {
  throw Exit(ExitReason(tuple(Atom("badmatch"), tuple(Atom("exit"), reason))));
}

// %Task{}, as Elixir shows it.
Term task_term(const TaskData& task) {
  return map({{Term(Atom("__struct__")), Term(Atom("Elixir.Task"))},
              {Term(Atom("mfa")), Term(tuple(Atom("erlang"), Atom("apply"), 2))},
              {Term(Atom("owner")), Term(task.owner)},
              {Term(Atom("pid")), task.pid ? Term(task.pid) : Term()},
              {Term(Atom("ref")), Term(task.reference)}});
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
