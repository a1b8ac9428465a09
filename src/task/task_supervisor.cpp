// SPDX-License-Identifier: Apache-2.0
//
// Tasks under a supervisor. Three processes: the owner asks the supervisor for a child; the child waits for its
// function; the owner, who has the child's pid now, monitors it, links to it, and sends the function. So the bonds
// stand before the function runs, although another process has made the child.
#include <coppice/task_supervisor.hpp>

#include <stdexcept>

#include <coppice/receive.hpp>

#include "otp/start.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "task/task_process.hpp"
#include "task/task_stream.hpp"

namespace coppice {
namespace otp {
namespace {

constexpr std::chrono::milliseconds patience{5000};  // of a child that waits for its function (TS-016)

// A function on its way to its process.
class Box {
 public:
  Box(const detail::TaskFunction& what, void* function) : what_(&what), memory_(::operator new(what.size)) {
    try {
      what.move(memory_, function);
    } catch (...) {
      ::operator delete(memory_);
      throw;
    }
  }
  Box(Box&& other) noexcept : what_(other.what_), memory_(std::exchange(other.memory_, nullptr)) {}
  Box& operator=(Box&&) = delete;
  ~Box() {
    if (memory_ == nullptr) return;
    if (what_->destroy != nullptr) what_->destroy(memory_);
    ::operator delete(memory_);
  }
  detail::Signal* run(const Reference& task) { return what_->run(memory_, task); }
  [[nodiscard]] const std::type_info* type() const noexcept { return what_->type; }

 private:
  const detail::TaskFunction* what_;
  void* memory_;
};

struct Instruction {
  Pid from;
  Reference reply_to;
  Box function;
  unsafe_shared<const std::type_info*> shown;  // static
};

// What the child runs first.
struct Waiting {
  Pid owner;

  static detail::Signal* run(void* function, const Reference&) {
    const Pid owner = static_cast<Waiting*>(function)->owner;
    const Reference watch = monitor(owner);
    std::optional<Instruction> instruction;
    receive(when([&](const Instruction& given) { return given.from == owner; },
                 [&](Instruction given) { instruction.emplace(std::move(given)); }),
            when([&](const Down& down) { return down.reference == watch; },
                 [](const Down& down) { throw Exit(ExitReason::shutdown(down.reason.term())); }),
            after(patience, [] { throw Exit(ExitReason::timeout()); }));
    demonitor(watch, {.flush = true});
    auto& body = static_cast<TaskBody&>(*runtime::current_process()->body);
    body.reply_to = instruction->reply_to;
    body.shown = instruction->shown.value;
    return instruction->function.run(body.reply_to);
  }
};
const detail::TaskFunction waiting{
    sizeof(Waiting), alignof(Waiting), &detail::move_task<Waiting>, &Waiting::run, &detail::destroy_task<Waiting>,
    &typeid(Waiting)};

// The supervisor's ancestors, and the callers of whoever asked (TS-010).
runtime::SharedLineage lineage_under(runtime::Process& supervisor, const std::vector<Pid>& callers) {
  auto lineage = new_lineage_under(supervisor);
  lineage->callers = callers;
  return runtime::SharedLineage(std::move(lineage));
}

Pid start_here(const detail::TaskFunction& what, void* function, const std::vector<Pid>& callers, const Pid& starter) {
  runtime::Process& supervisor = *runtime::current_process();
  return give_birth_to_task(&supervisor, what, function,
                            {.link = true, .lineage = lineage_under(supervisor, callers), .starter = starter})
      .pid;
}

struct StartWaiting final : detail::StartFunction {
  Pid owner;
  std::vector<Pid> callers;
  StartWaiting(const Pid& o, std::vector<Pid> c)
      : StartFunction(Atom("Elixir.Task.Supervised"), Atom("start_link")), owner(o), callers(std::move(c)) {}
  [[nodiscard]] ChildOutcome run() const override {
    Waiting first{owner};
    return start_here(waiting, &first, callers, callers.front());
  }
  [[nodiscard]] Term arguments() const override { return Term::list_of({Term(owner)}); }
};

struct StartCopy final : detail::StartFunction {
  using Copy = void (*)(const void*, void (*use)(void*, void*), void*);
  const detail::TaskFunction& what;
  std::shared_ptr<const void> function;
  Copy copy;
  std::vector<Pid> callers;
  StartCopy(const detail::TaskFunction& w, std::shared_ptr<const void> f, Copy c, std::vector<Pid> all)
      : StartFunction(Atom("Elixir.Task.Supervised"), Atom("start_link")),
        what(w),
        function(std::move(f)),
        copy(c),
        callers(std::move(all)) {}
  [[nodiscard]] ChildOutcome run() const override {
    struct Context {
      const StartCopy* start;
      Pid pid;
    } context{this, {}};
    copy(
        function.get(),
        [](void* copied, void* given) {
          auto& to = *static_cast<Context*>(given);
          to.pid = start_here(to.start->what, copied, to.start->callers, to.start->callers.front());
        },
        &context);
    return context.pid;
  }
  [[nodiscard]] Term arguments() const override {
    return Term::list_of({detail::opaque_term(detail::function_name(*what.type))});
  }
};

ChildSpec task_spec(std::shared_ptr<const detail::StartFunction> start, Restart restart, const Shutdown& shutdown) {
  ChildSpec spec;
  spec.id(Term(detail::module_atom("TaskSupervisor"))).restart(restart).shutdown(shutdown);
  spec.start_with(std::move(start));
  return spec;
}

// A child that waits for its function from the calling process.
Pid start_waiting(const ServerAddress& supervisor, std::vector<Pid> callers, const Shutdown& shutdown) {
  const StartChildResult started = coppice::DynamicSupervisor::start_child(
      supervisor, task_spec(std::make_shared<StartWaiting>(self(), std::move(callers)), Restart::temporary, shutdown));
  if (started) return started.value();
  if (started.reason() == ExitReason(Atom("max_children"))) {
    throw std::runtime_error(
        "reached the maximum number of tasks for this task supervisor. How many may run at the same time is set by the "
        "option max_children");
  }
  throw Exit(started.reason());
}

struct JobCall {
  using Function = JobCall;
  std::shared_ptr<detail::StreamJob> job;
  void operator()() { job->run(); }
};

struct SupervisedStarter final : detail::StreamStarter {
  ServerAddress supervisor;
  bool link_;
  Shutdown shutdown;
  SupervisedStarter(const ServerAddress& s, bool l, const Shutdown& how) : supervisor(s), link_(l), shutdown(how) {}
  [[nodiscard]] bool links() const override { return link_; }
  [[nodiscard]] Result<detail::StartedJob> start(std::shared_ptr<detail::StreamJob> job, const std::type_info& function,
                                                 const std::vector<Pid>& callers) const override {
    try {
      detail::StartedJob started;
      started.pid = start_waiting(supervisor, callers, shutdown);
      if (link_) link(started.pid);
      started.monitor = monitor(started.pid);
      JobCall call{std::move(job)};
      send(started.pid, Instruction{self(), {}, Box(detail::task_function<JobCall, void>, &call), {&function}});
      return started;
    } catch (const Exit& exit) {
      return Error{exit.reason()};
    } catch (const std::exception&) {
      return Error{runtime::reason_of_current_exception()};
    }
  }
};

}  // namespace
}  // namespace otp

inline namespace v1 {

StartResult<TaskSupervisor> TaskSupervisor::start_link(Options options) {
  return StartResult<TaskSupervisor>(DynamicSupervisor::start_link(std::move(options)).outcome());
}

ChildSpec TaskSupervisor::child_spec(Options options) {
  const bool named = !options.name.empty();
  ChildSpec spec = DynamicSupervisor::child_spec(std::move(options));
  if (!named) spec.id(Term(detail::module_atom("TaskSupervisor")));
  return spec;
}

std::vector<Pid> TaskSupervisor::children(const ServerAddress& supervisor) {
  std::vector<Pid> pids;
  for (const ChildInfo& info : DynamicSupervisor::which_children(supervisor)) {
    if (info.status == ChildStatus::running) pids.push_back(info.pid);
  }
  return pids;
}

namespace detail {

TaskData start_supervised_task(const ServerAddress& supervisor, const TaskFunction& what, void* function, bool link,
                               const Shutdown& shutdown) {
  runtime::Process& owner = runtime::require_process("TaskSupervisor::async");
  TaskData data;
  data.owner = owner.body->pid;
  data.function = what.type;
  otp::Box box(what, function);
  data.pid = otp::start_waiting(supervisor, otp::callers_for_tasks(owner), shutdown);
  if (link) coppice::link(data.pid);
  data.reference = monitor(data.pid, {.tag = {}, .alias = AliasMode::demonitor});
  send(data.pid, otp::Instruction{data.owner, data.reference, std::move(box), {what.type}});
  return data;
}

StartChildResult start_task_child(const ServerAddress& supervisor, const TaskFunction& what,
                                  std::shared_ptr<const void> function,
                                  void (*copy)(const void*, void (*use)(void*, void*), void*),
                                  const TaskChildOptions& options) {
  const runtime::Process& caller = runtime::require_process("TaskSupervisor::start_child");
  return DynamicSupervisor::start_child(
      supervisor,
      otp::task_spec(std::make_shared<otp::StartCopy>(what, std::move(function), copy, otp::callers_for_tasks(caller)),
                     options.restart, options.shutdown));
}

std::shared_ptr<const StreamStarter> supervised_starter(const ServerAddress& supervisor, bool link,
                                                        const Shutdown& shutdown) {
  if (!shutdown.is_brutal_kill() && shutdown.time().is_negative()) {
    throw_badarg("async_stream: shutdown must not be negative");
  }
  return std::make_shared<otp::SupervisedStarter>(supervisor, link, shutdown);
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
