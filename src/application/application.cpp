// SPDX-License-Identifier: Apache-2.0
//
// The functions of applications that their callers run.
#include <coppice/application.hpp>

#include <algorithm>
#include <mutex>
#include <set>

#include <coppice/reflect.hpp>

#include "application/applications.hpp"
#include "application/controller.hpp"
#include "application/run.hpp"
#include "logger/application_reports.hpp"

namespace coppice {

using otp::app_error;
using otp::Applications;

inline namespace v1 {

Term StartType::to_term() const {
  switch (kind) {
    case Kind::normal: break;
    case Kind::takeover: return tuple("takeover"_atom, Atom(node));
    case Kind::failover: return tuple("failover"_atom, Atom(node));
  }
  return "normal"_atom;
}

Atom AppRef::name() const { return module_ == nullptr ? name_.atom : module_->name(); }

namespace {

Term names(const std::vector<AppRef>& apps) {
  std::vector<Term> list;
  for (const AppRef& one : apps) list.emplace_back(one.name());
  return Term::list_of(std::move(list));
}

Term time_term(WaitTime time) {
  if (time.is_infinite()) return "infinity"_atom;
  return time.nanoseconds() / 1'000'000;
}

}  // namespace

Term ApplicationSpec::to_term() const {
  std::vector<Term> phases;
  for (const StartPhase& one : start_phases) phases.push_back(tuple(one.phase.atom, one.argument));
  std::vector<Term> names_of_processes;
  for (const std::string& one : registered) names_of_processes.emplace_back(Atom(one));
  return map({{"name"_atom, name.atom},
              {"description"_atom, description},
              {"vsn"_atom, vsn},
              {"applications"_atom, names(applications)},
              {"optional_applications"_atom, names(optional_applications)},
              {"included_applications"_atom, names(included_applications)},
              {"modules"_atom, modules},
              {"registered"_atom, Term::list_of(std::move(names_of_processes))},
              {"start_phases"_atom, Term::list_of(std::move(phases))},
              {"shutdown_timeout"_atom, time_term(shutdown_timeout)},
              {"max_time"_atom, time_term(max_time)}});
}

namespace detail {

Atom application_name_of_class(std::string_view class_name) { return Atom(snake_case(class_name)); }

Term phase_result(const Result<>& result) {
  if (result) return "ok"_atom;
  return tuple("error"_atom, result.reason());
}

Term no_such_phase(Atom module) {
  return tuple("EXIT"_atom, tuple("undef"_atom, list(tuple(module, "start_phase"_atom, 3))));
}

}  // namespace detail

namespace application {
namespace {

// The runtime's applications, and what keeps the runtime's memory while one looks.
struct Here {
  std::shared_ptr<runtime::Core> core;
  Applications& all;
  explicit Here(const char* function) : core(runtime::require_core(function)), all(Applications::of(*core)) {}
};

ApplicationInfo info_of(const Applications::Loaded& loaded) {
  return {loaded.spec.name.atom, loaded.spec.description, loaded.spec.vsn};
}

// Whoever cannot be asked is ending, or gone.
template <class M>
auto ask(M message) -> typename M::Reply {
  const Result<ServerRef<otp::Controller>> controller = otp::controller();
  if (!controller) return error("terminating");
  auto answer = controller.value().try_call(std::move(message), infinity);
  if (!answer) return error("terminating");
  return *std::move(answer);
}

bool is(const Result<>& result, const char* what, Atom app) {
  return !result && result.reason() == app_error(what, app).reason;
}

}  // namespace

// -- loading
// ------------------------------------------------------------------------------------------------------------

Result<> load(const AppRef& app) { return Here("application::load").all.load(app); }
Result<> load(const ApplicationSpec& spec) { return Here("application::load").all.load(spec, nullptr); }
Result<> unload(AtomText app) { return Here("application::unload").all.unload(app.atom); }

std::optional<ApplicationSpec> spec(AtomText app) {
  std::optional<Applications::Loaded> loaded = Here("application::spec").all.loaded(app.atom);
  if (!loaded) return std::nullopt;
  loaded->spec.env.clear();
  return std::move(loaded->spec);
}

std::optional<Term> spec(AtomText app, AtomText key) {
  const std::optional<ApplicationSpec> found = spec(app);
  if (!found) return std::nullopt;
  const Term fields = found->to_term();
  const Term* field = fields.find(key.atom);
  return field == nullptr ? std::nullopt : std::optional<Term>(*field);
}

// -- starting and stopping ------------------------------------------------------------------------------------------

namespace {

Result<> load_for_start(const AppRef& app, RestartType type) {
  if (type > RestartType::permanent) {  // AP-017
    return error(ExitReason(tuple("invalid_restart_type"_atom, static_cast<int>(type))));
  }
  Result<> loaded = load(app);
  if (!loaded && !is(loaded, "already_loaded", app.name())) return loaded;
  return {};
}

}  // namespace

Result<> start(const AppRef& app, RestartType type) {
  if (Result<> loaded = load_for_start(app, type); !loaded) return loaded;
  return ask(otp::Controller::Start{app.name(), type});
}

Result<> ensure_started(const AppRef& app, RestartType type) {
  Result<> result = start(app, type);
  if (is(result, "already_started", app.name())) return {};
  return result;
}

Result<> stop(AtomText app) { return ask(otp::Controller::Stop{app.atom}); }

namespace {

// Starts the applications of an order, each as soon as all that it needs runs. One that another caller has started
// meanwhile is as good as ours, but is not ours to stop.
class Starting {
 public:
  Starting(otp::StartOrder order, const std::map<Atom, otp::Dependencies>& graph, EnsureOptions options)
      : order_(std::move(order.order)), graph_(graph), options_(options), waits_for_(order_.begin(), order_.end()) {}

  Result<std::vector<Atom>> run() {
    std::vector<Atom> open = order_;
    while (!open.empty() && !failure_) {
      const std::vector<Atom> ready = next(open);
      std::vector<Request<Result<>>> requests;
      for (const Atom app : ready) {
        if (Result<> loaded = load_for_start(app, options_.type); !loaded) {
          note(app, loaded);
          break;
        }
        if (const auto controller = otp::controller()) {
          requests.push_back(controller->send_request(otp::Controller::Start{app, options_.type}));
        } else {
          note(app, error(controller.reason()));
        }
      }
      for (std::size_t i = 0; i < requests.size(); ++i) {
        const std::optional<Result<Result<>>> answer = wait_response(requests[i], infinity);
        note(ready[i], *answer ? **answer : Result<>(error("terminating")));
      }
    }
    if (!failure_) return started_;
    for (auto app = started_.rbegin(); app != started_.rend(); ++app) static_cast<void>(stop(*app));  // AP-031
    return error(*failure_);
  }

 private:
  // Serial: the first. Concurrent: all of which nothing is waited for any more.
  std::vector<Atom> next(std::vector<Atom>& open) {
    std::vector<Atom> ready;
    for (const Atom app : open) {
      const auto needs = graph_.find(app);
      const auto waited_for = [&](Atom other) { return waits_for_.contains(other); };
      const bool waits = needs != graph_.end() &&
                         (std::any_of(needs->second.required.begin(), needs->second.required.end(), waited_for) ||
                          std::any_of(needs->second.optional.begin(), needs->second.optional.end(), waited_for));
      if (!waits) ready.push_back(app);
      if (options_.mode == StartMode::serial) break;
    }
    for (const Atom app : ready) std::erase(open, app);
    return ready;
  }

  void note(Atom app, const Result<>& result) {
    waits_for_.erase(app);
    if (result) {
      started_.push_back(app);
    } else if (!is(result, "already_started", app) && !failure_) {
      failure_ = ExitReason(tuple(app, result.reason()));
    }
  }

  const std::vector<Atom> order_;
  const std::map<Atom, otp::Dependencies>& graph_;
  const EnsureOptions options_;
  std::set<Atom> waits_for_;
  std::vector<Atom> started_;
  std::optional<ExitReason> failure_;
};

}  // namespace

Result<std::vector<Atom>> ensure_all_started(const std::vector<AppRef>& apps, const EnsureOptions& options) {
  static_cast<void>(runtime::require_process("application::ensure_all_started"));
  const Here here("application::ensure_all_started");
  const std::map<Atom, otp::Dependencies> graph = here.all.graph(apps);
  std::vector<Atom> wanted;
  for (const AppRef& app : apps) wanted.push_back(app.name());
  otp::StartOrder order = otp::start_order(
      wanted,
      [&](Atom app) {
        const auto found = graph.find(app);
        return found == graph.end() ? nullptr : &found->second;
      },
      [&](Atom app) { return here.all.is_started(app); });
  if (!order.circle.empty()) {
    const Atom first = order.circle.front();
    return error(ExitReason(tuple(first, tuple("circular_dependency"_atom, order.circle))));
  }
  return Starting(std::move(order), graph, options).run();
}

void stop_program(int status) {
  const Here here("application::stop_program");
  Pid program;
  {
    const std::shared_lock lock(here.all.mutex);
    program = here.all.program;
  }
  if (program) {
    send(program, otp::StopProgram{status});
  } else if (const auto controller = otp::controller()) {
    controller->cast(otp::Controller::StopAllSoon{});
  }
}

// -- who is there
// -------------------------------------------------------------------------------------------------------

std::vector<ApplicationInfo> started_applications() {
  const Here here("application::started_applications");
  const std::vector<Atom> started = here.all.started();
  std::vector<ApplicationInfo> list;
  for (auto app = started.rbegin(); app != started.rend(); ++app) {
    if (const auto loaded = here.all.loaded(*app)) list.push_back(info_of(*loaded));
  }
  return list;
}

std::vector<ApplicationInfo> loaded_applications() {
  const Here here("application::loaded_applications");
  const std::shared_lock lock(here.all.mutex);
  std::vector<ApplicationInfo> list;
  for (const auto& [name, loaded] : here.all.all) list.push_back(info_of(loaded));
  return list;
}

std::optional<Atom> get_application() {
  const runtime::Process* process = runtime::current_process();
  if (process == nullptr) return std::nullopt;
  return Here("application::get_application").all.of_leader(process->body->group_leader.number);
}

std::optional<Atom> get_application(const Pid& pid) {
  const Here here("application::get_application");
  if (!here.core->is_local(pid)) return std::nullopt;
  runtime::Process& line = here.core->table().line(pid);
  const std::uint64_t leader = here.core->table().badge(line).group_leader.load(std::memory_order_acquire);
  if (line.serial.load(std::memory_order_acquire) != pid.number) return std::nullopt;
  return here.all.of_leader(leader);
}

std::optional<Atom> get_application(Atom module) {
  const Here here("application::get_application");
  const std::shared_lock lock(here.all.mutex);
  for (const auto& [name, loaded] : here.all.all) {
    const std::vector<Atom>& modules = loaded.spec.modules;
    if (std::find(modules.begin(), modules.end(), module) != modules.end()) return name;
    if (loaded.module != nullptr && loaded.module->module() == module) return name;
  }
  return std::nullopt;
}

std::vector<std::string> arguments() {
  const Here here("application::arguments");
  const std::shared_lock lock(here.all.mutex);
  return here.all.arguments;
}

std::string format_error(const ExitReason& reason) { return logging::format_application_error(reason); }

}  // namespace application
}  // namespace v1
}  // namespace coppice
