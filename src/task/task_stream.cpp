// SPDX-License-Identifier: Apache-2.0
//
// async_stream. Actors: the consumer, who takes results and says when another element is to be started; its helper, one
// process for a stream, which starts the tasks, watches them, keeps their time and reports each end; the tasks.
//
//   consumer -> helper   StreamStart{position, job}   run this element
//                        StreamStop                   kill what runs, wait for it, then end
//   helper -> consumer   StreamReport                 the task at this position has ended, or its time is over
//
// Why a helper: links and exit messages of the tasks are its own, so that the consumer's mailbox holds nothing of a
// stream but its reports, and ending the one process that all tasks are linked to ends them all. It traps exits exactly
// if the consumer did when the stream began (TK-068): so a crash of a task either ends all (TK-067) or is a report.
//
// The value of a task does not travel: it stands in the job, which consumer and task share. The task writes it before
// it ends, the consumer reads it after it has heard of that end.
#include <deque>
#include <unordered_map>

#include <coppice/receive.hpp>
#include <coppice/runtime.hpp>
#include <coppice/timer.hpp>

#include "runtime/core.hpp"
#include "runtime/wait.hpp"
#include "task/task_decision.hpp"
#include "task/task_process.hpp"
#include "task/task_stream.hpp"

namespace coppice {
namespace otp {
namespace {

struct StreamStart {
  std::size_t position;
  std::shared_ptr<detail::StreamJob> job;
};
struct StreamStop {};
struct StreamReport {
  Reference stream;
  std::size_t position = 0;
  ExitReason reason;
  bool time_is_over = false;  // the task still runs: the stream is to end
  bool not_started = false;   // `reason` says why
};

struct HelperConfiguration {
  Pid consumer;
  std::vector<Pid> callers;
  Reference stream;
  AsyncStreamOptions options;
  const std::type_info* function;
  std::shared_ptr<const detail::StreamStarter> starter;
  bool trap = false;
};

struct JobCall {
  using Function = JobCall;
  std::shared_ptr<detail::StreamJob> job;
  void operator()() { job->run(); }
};

class Helper {
 public:
  explicit Helper(HelperConfiguration configuration) : given_(std::move(configuration)) {}

  void run() {
    if (given_.trap) trap_exit(true);
    consumer_watch_ = monitor(given_.consumer);
    while (!stopped_) {
      const WaitTime patience = time_to_deadline();
      receive([this](StreamStart start) { start_task(std::move(start)); }, [this](const StreamStop&) { stop(); },
              [this](const Down& down) { hear(down); }, [](const ExitMessage&) {},  // of a task: its Down says it all
              after(patience, [this] { end_late_task(); }));
    }
  }

 private:
  struct Running {
    std::size_t position;
    Pid pid;
    bool late = false;
  };

  [[nodiscard]] bool links() const { return given_.starter == nullptr || given_.starter->links(); }

  detail::StartedJob spawn_task(std::shared_ptr<detail::StreamJob> job) {
    if (lineage_ == nullptr) {
      auto lineage = std::make_unique<runtime::Lineage>();
      lineage->parent = self();
      lineage->callers = given_.callers;
      lineage_ = runtime::SharedLineage(std::move(lineage));
    }
    JobCall call{std::move(job)};
    const detail::TaskData task = give_birth_to_task(
        runtime::current_process(), detail::task_function<JobCall, void>, &call,
        {.link = true, .watched = true, .lineage = lineage_, .starter = given_.consumer, .shown = given_.function});
    return {task.pid, task.reference};
  }

  void start_task(StreamStart start) {
    detail::StartedJob task;
    if (given_.starter != nullptr) {
      Result<detail::StartedJob> started =
          given_.starter->start(std::move(start.job), *given_.function, given_.callers);
      if (!started) return tell({given_.stream, start.position, started.reason(), false, true});
      task = *started;
    } else {
      task = spawn_task(std::move(start.job));
    }
    running_.emplace(task.monitor, Running{start.position, task.pid});
    if (!given_.options.timeout.is_infinite()) {
      deadlines_.emplace_back(monotonic_time() + std::chrono::nanoseconds(given_.options.timeout.nanoseconds()),
                              task.monitor);
    }
  }

  // All tasks have the same time, so the first that was started is the first to be late.
  WaitTime time_to_deadline() {
    while (!deadlines_.empty() && !running_.contains(deadlines_.front().second)) deadlines_.pop_front();
    if (deadlines_.empty()) return infinity;
    return std::max(deadlines_.front().first - monotonic_time(), std::chrono::nanoseconds(0));
  }

  void end_late_task() {
    Running& task = running_.at(deadlines_.front().second);
    deadlines_.pop_front();
    if (given_.options.on_timeout == OnTimeout::exit) {
      tell({given_.stream, task.position, ExitReason::timeout(), true, false});
      return;
    }
    task.late = true;
    if (links()) unlink(task.pid);
    exit(task.pid, ExitReason::kill());
  }

  void hear(const Down& down) {
    if (down.reference == consumer_watch_) return consumer_is_gone(down.reason);
    const auto found = running_.find(down.reference);
    if (found == running_.end()) return;  // somebody else's (TK-074)
    const Running task = found->second;
    running_.erase(found);
    tell({given_.stream, task.position, task.late ? ExitReason::timeout() : down.reason, false, false});
  }

  // TK-070; tasks that are not linked go on (TS-022).
  void consumer_is_gone(const ExitReason& reason) {
    stopped_ = true;
    if (!links()) return;
    for (const auto& [watch, task] : running_) {
      unlink(task.pid);
      exit(task.pid, reason.is_normal() ? ExitReason::kill() : reason);
    }
  }

  // TK-069.
  void stop() {
    stopped_ = true;
    for (const auto& [watch, task] : running_) {
      if (links()) unlink(task.pid);
      exit(task.pid, ExitReason::kill());
    }
    while (!running_.empty()) {
      receive([this](const Down& down) { running_.erase(down.reference); });
    }
  }

  void tell(StreamReport report) { send(given_.consumer, std::move(report)); }

  const HelperConfiguration given_;
  Reference consumer_watch_;
  runtime::SharedLineage lineage_;
  std::unordered_map<Reference, Running> running_;
  std::deque<std::pair<std::chrono::nanoseconds, Reference>> deadlines_;
  bool stopped_ = false;
};

void check(const AsyncStreamOptions& options) {
  if (options.timeout.is_negative()) detail::throw_badarg("async_stream: timeout must not be negative");
  if (options.max_concurrency > (std::size_t{1} << 31)) {
    detail::throw_badarg("async_stream: max_concurrency must be a positive number");
  }
}

bool is_of_stream(const void* stream, const void* payload) {
  return static_cast<const StreamReport*>(payload)->stream == *static_cast<const Reference*>(stream);
}
bool is_down_of_helper(const void* watch, const void* payload) {
  return static_cast<const Down*>(payload)->reference == *static_cast<const Reference*>(watch);
}
bool is_exit_of_helper(const void* helper, const void* payload) {
  return static_cast<const ExitMessage*>(payload)->pid == *static_cast<const Pid*>(helper);
}

void drop_all(const detail::Pattern& pattern) {
  while (detail::Signal* message = detail::receive_match(&pattern, 1, std::chrono::seconds(0)).message) {
    message->table->destroy(message);
  }
}

}  // namespace
}  // namespace otp

inline namespace v1 {
namespace detail {

StreamJob::~StreamJob() = default;

struct StreamCore::State {
  AsyncStreamOptions options;
  const std::type_info* function;
  std::shared_ptr<const StreamStarter> starter;
  otp::StreamLimits limits;
  otp::StreamProgress progress;
  Pid consumer;
  Pid helper;
  Reference helper_watch;
  Reference stream;
  std::unordered_map<std::size_t, std::shared_ptr<StreamJob>> jobs;  // by position: started and not delivered
  std::unordered_map<std::size_t, ExitReason> finished;              // of an ordered stream: waiting for their turn
  std::deque<std::size_t> done;                                      // of an unordered one

  [[nodiscard]] StreamEnd deliver(std::size_t position) {
    const auto job = jobs.find(position);
    const auto end = finished.find(position);
    StreamEnd result{std::move(job->second), std::move(end->second)};
    jobs.erase(job);
    finished.erase(end);
    ++progress.delivered;
    return result;
  }
};

StreamCore::StreamCore(const AsyncStreamOptions& options, const std::type_info& function,
                       std::shared_ptr<const StreamStarter> starter)
    : state_(std::make_unique<State>()) {
  otp::check(options);
  state_->options = options;
  state_->function = &function;
  state_->starter = std::move(starter);
}

StreamCore::~StreamCore() = default;

void StreamCore::begin() {
  State& state = *state_;
  runtime::Process& process = runtime::require_process("async_stream");
  if (state.stream) {
    if (state.consumer != process.body->pid) throw_badarg("async_stream: another process has begun to consume it");
    return;
  }
  state.consumer = process.body->pid;
  runtime::Core& core = runtime::core_of(process);
  const std::size_t concurrency =
      state.options.max_concurrency != 0 ? state.options.max_concurrency : core.workers().size();
  state.limits = {concurrency, state.options.ordered, state.options.buffer_max};
  state.stream = Reference::from_id(core.new_reference_id(), core.creation());
  otp::HelperConfiguration configuration{
      self(),        otp::callers_for_tasks(process), state.stream, state.options, state.function,
      state.starter, process.body->trap_exit};
  std::tie(state.helper, state.helper_watch) = spawn_link_monitor(
      [configuration = std::move(configuration)]() mutable { otp::Helper(std::move(configuration)).run(); },
      {.label = "async_stream"});
}

bool StreamCore::may_start() const { return otp::may_start(state_->limits, state_->progress); }

void StreamCore::start(std::shared_ptr<StreamJob> job) {
  State& state = *state_;
  const std::size_t position = state.progress.started++;
  ++state.progress.running;
  state.jobs.emplace(position, job);
  send(state.helper, otp::StreamStart{position, std::move(job)});
}

std::optional<StreamEnd> StreamCore::ready() {
  State& state = *state_;
  if (state.options.ordered) {
    if (!state.finished.contains(state.progress.delivered)) return std::nullopt;
    return state.deliver(state.progress.delivered);
  }
  if (state.done.empty()) return std::nullopt;
  const std::size_t position = state.done.front();
  state.done.pop_front();
  return state.deliver(position);
}

bool StreamCore::idle() const { return state_->progress.delivered == state_->progress.started; }

void StreamCore::wait() {
  State& state = *state_;
  const Pattern patterns[] = {{&type_identity<otp::StreamReport>, otp::is_of_stream, &state.stream},
                              {&type_identity<Down>, otp::is_down_of_helper, &state.helper_watch}};
  const Match match = receive_match(patterns, 2, infinity);
  if (match.message == nullptr) leave_endless_receive();
  const MessageOwner owner{match.message};
  const auto fail = [&](const ExitReason& reason) {
    close();
    throw Exit(ExitReason(tuple(reason, tuple(Atom("Elixir.Task.Supervised"), Atom("stream"),
                                              Term::list_of({timeout_term(state.options.timeout)})))));
  };
  if (match.pattern == 1) return fail(static_cast<Down*>(payload_of(match.message))->reason);
  const auto& report = *static_cast<otp::StreamReport*>(payload_of(match.message));
  if (report.time_is_over) return fail(ExitReason::timeout());
  if (report.not_started) {
    close();
    if (report.reason.exception_pointer() != nullptr) std::rethrow_exception(report.reason.exception_pointer());
    throw Exit(report.reason);
  }
  --state.progress.running;
  state.finished.emplace(report.position, report.reason);
  if (!state.options.ordered) state.done.push_back(report.position);
}

void StreamCore::close() {
  State& state = *state_;
  if (!state.helper) return;
  const Pid helper = std::exchange(state.helper, Pid{});
  runtime::Process* process = runtime::current_process();
  if (process == nullptr || process->body->pid != state.consumer) return;  // the helper has heard of the consumer's end
  if (runtime::must_not_wait(*process)) return;                            // or will hear of it
  unlink(helper);
  send(helper, otp::StreamStop{});
  const Pattern down{&type_identity<Down>, otp::is_down_of_helper, &state.helper_watch};
  const Match match = receive_match(&down, 1, infinity);
  if (match.message != nullptr) match.message->table->destroy(match.message);
  otp::drop_all({&type_identity<otp::StreamReport>, otp::is_of_stream, &state.stream});
  otp::drop_all({&type_identity<ExitMessage>, otp::is_exit_of_helper, &helper});
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
