// SPDX-License-Identifier: Apache-2.0
//
// Application: a part of a program with a name, an environment, dependencies, and a tree of processes that is started
// and stopped as a whole.
//
//   class MyApp : public Application<MyApp> {
//    public:
//     static ApplicationSpec spec() {                       // optional, as everything below
//       return {.vsn = "1.2.0", .applications = {app<Storage>()}, .env = {{"port", 4000}}};
//     }
//     StartResult<Supervisor> start(StartType) {
//       return Supervisor::start_link({child<Server>(get_env<int>("port", 4000))}, {.name = "MyApp.Supervisor"});
//     }
//     void prep_stop() { ... }                               // the tree still runs
//     void stop() { ... }                                    // it is gone
//   };
//   int main(int argc, char** argv) { return coppice::run<MyApp>(argc, argv); }
//
// An object of the class is the application's state: it is made in a process of its own, in which all its functions
// run, and lives until stop() has returned. A class without `start` is a library: starting it only notes that it is
// started.
//
// Processes. All that `start` brings to life, and what that brings to life in turn, has one group leader, by which
// get_application tells to which application a process belongs (AP-034). When the application stops, whatever of them
// is still there after its tree has ended is killed (AP-035, AP-043).
//
// Starting. start() demands that all dependencies are started; ensure_all_started() starts them first, in their order.
// Types (AP-035 to AP-039): when the tree of an application ends by itself, prep_stop() and stop() run and its
// processes are killed, and then, by the type it was started with:
//   temporary   nothing else happens
//   transient   nothing else if the reason is `normal`; any other (shutdown included) is as permanent
//   permanent   all applications are stopped, and the node ends: its first process, the one that Runtime::run was
//               given, gets the exit signal {:application_terminated, app, reason}; `run` below then returns 1
// A failed start of a permanent application does the same with {:application_start_failure, app, reason} (AP-025).
//
// When the Runtime stops, applications are stopped one by one, the last started first (AP-047).
//
// Unless said otherwise, functions of the namespace `application` may be called by any thread; those that start or stop
// something wait, without limit. Errors are values, with OTP's reasons; application::format_error makes a sentence of
// one. OTP: application, Elixir: Application; rules AP-*. Environment: application_env.hpp.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/application_env.hpp>
#include <coppice/child_spec.hpp>
#include <coppice/runtime.hpp>
#include <coppice/supervisor.hpp>

namespace coppice {
inline namespace v1 {

// Why an application is started (AP-019). On one node always normal.
struct StartType {
  enum class Kind : std::uint8_t { normal, takeover, failover } kind = Kind::normal;
  std::string node = {};                           // from which it was taken over
  [[nodiscard]] COPPICE_API Term to_term() const;  // :normal, {:takeover, node}
  friend bool operator==(const StartType&, const StartType&) = default;
};

// What the end of an application means for the others; see the head of this file.
enum class RestartType : std::uint8_t { temporary, transient, permanent };

struct ApplicationSpec;

namespace detail {

// The object of an application, untyped. All calls in its process.
struct ApplicationInstance {
  virtual ~ApplicationInstance() = default;
  virtual ChildOutcome start(const StartType& type) = 0;
  // :ok, {:error, reason}, or a bad value.
  virtual Term start_phase(Atom phase, const StartType& type, const Term& argument) = 0;
  virtual void prep_stop() = 0;
  virtual void stop() = 0;
};

// What is known of a class. Static.
struct ApplicationModule {
  Atom (*module)();                                // Elixir.MyApp
  Atom (*name)();                                  // my_app
  ApplicationSpec (*spec)();                       // with its name filled in
  std::unique_ptr<ApplicationInstance> (*make)();  // null: a library
};

}  // namespace detail

// An application that another one names: app<Storage>(), or "storage" if it will have been loaded by then.
class AppRef {
 public:
  AppRef(const char* name) : name_(name) {}         // NOLINT: implicit on purpose
  AppRef(const std::string& name) : name_(name) {}  // NOLINT
  AppRef(Atom name) noexcept : name_(name) {}       // NOLINT
  explicit AppRef(const detail::ApplicationModule& module) noexcept : module_(&module) {}

  [[nodiscard]] COPPICE_API Atom name() const;
  // Null if only the name is known.
  [[nodiscard]] const detail::ApplicationModule* module() const noexcept { return module_; }

 private:
  AtomText name_;
  const detail::ApplicationModule* module_ = nullptr;
};

// One phase of a start: `{"migrate"}`, `{"warm_up", 100}`.
struct StartPhase {
  AtomText phase;
  Term argument = Term::list_of({});
};

// What is known of an application before it runs (AP-001).
struct ApplicationSpec {
  AtomText name = {};  // default: the class's name, MyApp as my_app
  std::string description = {};
  std::string vsn = {};
  std::vector<AppRef> applications = {};           // must be started before, in this order
  std::vector<AppRef> optional_applications = {};  // the same if they are known at all
  std::vector<AppRef> included_applications = {};  // loaded with it, and started by nobody else than this one
  std::vector<Atom> modules = {};                  // classes, for get_application(module)
  std::vector<std::string> registered = {};        // names that its processes will have
  std::vector<EnvEntry> env = {};
  std::vector<StartPhase> start_phases = {};  // start_phase is called for each, after start (AP-026)
  bool start_included = false;                // also start_phase of included applications that declare it (AP-029)
  WaitTime shutdown_timeout = infinity;       // at the end of the system; then it is killed (AP-047)
  WaitTime max_time = infinity;               // it ends with `normal` after that time (AP-048)
  // A map with these fields, without env.
  [[nodiscard]] COPPICE_API Term to_term() const;
};

namespace detail {

// my_app of MyApp, http_server of HTTPServer.
[[nodiscard]] COPPICE_API Atom application_name_of_class(std::string_view class_name);

// Which names a class declares, reachable or not: an inherited name beside it makes the lookup ambiguous.
struct ApplicationMembers {
  void start();
  void start_phase();
  void prep_stop();
  void stop();
};
template <class App>
struct ApplicationProbe : App, ApplicationMembers {};
template <class App>
concept DeclaresStart = !requires { &ApplicationProbe<App>::start; };
template <class App>
concept DeclaresStartPhase = !requires { &ApplicationProbe<App>::start_phase; };
template <class App>
concept DeclaresPrepStop = !requires { &ApplicationProbe<App>::prep_stop; };
template <class App>
concept DeclaresStop = !requires { &ApplicationProbe<App>::stop; };

template <class R>
concept ApplicationStarted = std::is_convertible_v<R, ChildOutcome>;
template <class App>
concept StartsWithType = requires(App& app, const StartType& type) {
  { app.start(type) } -> ApplicationStarted;
};
template <class App>
concept StartsWithout = requires(App& app) {
  { app.start() } -> ApplicationStarted;
};
template <class R>
concept PhaseDone = std::is_void_v<R> || std::is_same_v<R, Result<>> || std::is_same_v<R, Term>;
template <class App>
concept RunsPhases = requires(App& app, Atom phase, const StartType& type, const Term& argument) {
  { app.start_phase(phase, type, argument) } -> PhaseDone;
};

[[nodiscard]] COPPICE_API Term phase_result(const Result<>& result);
[[nodiscard]] COPPICE_API Term no_such_phase(Atom module);

template <class App>
struct ApplicationOf final : ApplicationInstance {
  static_assert(std::is_default_constructible_v<App>, "the class of an application has a public default constructor");
  static_assert(!DeclaresStart<App> || StartsWithType<App> || StartsWithout<App>,
                "an application's start is public, takes a StartType or nothing, and returns StartResult<Supervisor>");
  static_assert(!DeclaresStartPhase<App> || RunsPhases<App>,
                "an application's start_phase is public, takes (Atom phase, StartType, const Term& argument), and "
                "returns void or Result<>");
  static_assert(
      !DeclaresPrepStop<App> || requires(App& app) {
        { app.prep_stop() } -> std::same_as<void>;
      }, "an application's prep_stop is public, takes nothing and returns void");
  static_assert(
      !DeclaresStop<App> || requires(App& app) {
        { app.stop() } -> std::same_as<void>;
      }, "an application's stop is public, takes nothing and returns void");
  App app;

  ChildOutcome start(const StartType& type) override {
    if constexpr (StartsWithType<App>) {
      return app.start(type);
    } else if constexpr (StartsWithout<App>) {
      return app.start();
    } else {
      return Term();
    }
  }
  Term start_phase(Atom phase, const StartType& type, const Term& argument) override {
    if constexpr (!RunsPhases<App>) {
      return no_such_phase(module_atom_of<App>());
    } else if constexpr (std::is_void_v<decltype(app.start_phase(phase, type, argument))>) {
      app.start_phase(phase, type, argument);
      return phase_result({});
    } else if constexpr (std::is_same_v<decltype(app.start_phase(phase, type, argument)), Term>) {
      return app.start_phase(phase, type, argument);
    } else {
      return phase_result(app.start_phase(phase, type, argument));
    }
  }
  void prep_stop() override {
    if constexpr (DeclaresPrepStop<App>) app.prep_stop();
  }
  void stop() override {
    if constexpr (DeclaresStop<App>) app.stop();
  }
};

template <class App>
ApplicationSpec spec_of_class() {
  ApplicationSpec spec;
  if constexpr (requires {
                  { App::spec() } -> std::convertible_to<ApplicationSpec>;
                }) {
    spec = App::spec();
  } else {
    static_assert(
        !requires { App::spec(); }, "an application's spec is static and returns an ApplicationSpec");
  }
  if (spec.name == AtomText()) spec.name = application_name_of_class(type_name_of<App>());
  return spec;
}
template <class App>
std::unique_ptr<ApplicationInstance> make_application() {
  return std::make_unique<ApplicationOf<App>>();
}
template <class App>
[[nodiscard]] Atom application_name() {
  static const Atom name = spec_of_class<App>().name.atom;
  return name;
}
template <class App>
[[nodiscard]] const ApplicationModule& application_module() {
  static constexpr ApplicationModule module{&module_atom_of<App>, &application_name<App>, &spec_of_class<App>,
                                            DeclaresStart<App> ? &make_application<App> : nullptr};
  return module;
}

}  // namespace detail

// Names another application, and brings along how it is loaded.
template <class App>
[[nodiscard]] AppRef app() {
  return AppRef(detail::application_module<App>());
}

// The base of an application class: class MyApp : public Application<MyApp>.
template <class App>
class Application {
 public:
  [[nodiscard]] static Atom name() { return detail::application_name<App>(); }

  // The environment of this application; see application_env.hpp.
  template <EnvValue T>
  [[nodiscard]] static T get_env(AtomText key, std::type_identity_t<T> otherwise) {
    return application::get_env<T>(name(), key, std::move(otherwise));
  }
  template <EnvValue T = Term>
  [[nodiscard]] static std::optional<T> get_env(AtomText key) {
    return application::get_env<T>(name(), key);
  }
  template <EnvValue T = Term>
  [[nodiscard]] static Result<T> fetch_env(AtomText key) {
    return application::fetch_env<T>(name(), key);
  }
  template <EnvValue T = Term>
  [[nodiscard]] static T require_env(AtomText key) {
    return application::require_env<T>(name(), key);
  }
  static void put_env(AtomText key, Term value, const application::PutOptions& options = {}) {
    application::put_env(name(), key, std::move(value), options);
  }
  static void delete_env(AtomText key, const application::PutOptions& options = {}) {
    application::delete_env(name(), key, options);
  }

 protected:
  Application() = default;
  ~Application() = default;
};

namespace application {

// -- loading ----------------------------------------------------------------------------------------------------------

// Makes the specification and the environment known, also of the applications that it includes (AP-003). Runs nothing
// but the class's spec(). Errors: {:already_loaded, app}; for a name that no loaded application has ever named with
// app<T>(), {"no such file or directory", "app.app"} (two charlists), as OTP has it.
COPPICE_API Result<> load(const AppRef& app);
template <class App>
Result<> load() {
  return load(coppice::app<App>());
}
// The same with a specification that no class stands for: a library.
COPPICE_API Result<> load(const ApplicationSpec& spec);
// Forgets it and its environment, and those that it includes (AP-005). Errors: {:running, app}, {:not_loaded, app}.
COPPICE_API Result<> unload(AtomText app);

// All but env; nothing if it is not loaded (AP-006).
[[nodiscard]] COPPICE_API std::optional<ApplicationSpec> spec(AtomText app);
// One field of it; nothing if it is not loaded, or there is no such key.
[[nodiscard]] COPPICE_API std::optional<Term> spec(AtomText app, AtomText key);

// -- starting and stopping ------------------------------------------------------------------------------------------

// Starts an application, loading it first if need be, and returns when its start and all phases are done (AP-015,
// AP-022). Errors: {:not_started, dependency}; {:already_started, app}; {:invalid_restart_type, type}; {reason,
// {module, :start, [type, args]}} if start returns an error (AP-020); {:bad_return, {{module, :start, [type, args]},
// value}} for anything else, {:EXIT, reason} in place of the value if it throws (AP-021); {reason, {module,
// :start_phase, [phase, type, argument]}} (AP-027); what load gives; :terminating while all applications are being
// stopped. A failed start leaves it loaded, its tree stopped (AP-024; OTP 25 leaves it running after a failed phase:
// AP-028).
COPPICE_API Result<> start(const AppRef& app, RestartType type = RestartType::temporary);
template <class App>
Result<> start(RestartType type = RestartType::temporary) {
  return start(coppice::app<App>(), type);
}
// The same; it is no error if it runs already (AP-016).
COPPICE_API Result<> ensure_started(const AppRef& app, RestartType type = RestartType::temporary);
template <class App>
Result<> ensure_started(RestartType type = RestartType::temporary) {
  return ensure_started(coppice::app<App>(), type);
}

enum class StartMode : std::uint8_t {
  serial,
  concurrent  // those that do not depend on each other at the same time (AP-032)
};
struct EnsureOptions {
  RestartType type = RestartType::temporary;
  StartMode mode = StartMode::serial;
};
// Starts what is missing: dependencies first, in the order in which they are listed, then the application (AP-030).
// Gives those that it started, in their order. Optional dependencies that nobody knows are left out. On an error all of
// them are stopped again, and it is {app, reason} (AP-031); {app, {:circular_dependency, [app, ...]}} for a circle. By
// a process.
[[nodiscard]] COPPICE_API Result<std::vector<Atom>> ensure_all_started(const std::vector<AppRef>& apps,
                                                                       const EnsureOptions& options = {});
template <class App>
[[nodiscard]] Result<std::vector<Atom>> ensure_all_started(const EnsureOptions& options = {}) {
  return ensure_all_started({coppice::app<App>()}, options);
}

// Stops an application, and no other (AP-042), in this order: prep_stop(); its top supervisor is told `shutdown` and
// awaited without limit; stop(); what is left of its processes is killed (AP-043). What prep_stop and stop throw is
// logged, or ignored. It stays loaded. Errors: {:not_started, app}; :deadlock when it is called from its own start,
// prep_stop or stop, which it would have to wait for. A process of its tree that calls this is stopped with the tree,
// as in OTP (AP-046).
COPPICE_API Result<> stop(AtomText app);
template <class App>
Result<> stop() {
  return stop(detail::application_name<App>());
}

// Stops all applications, the last started first, and ends the program: `run` below returns `status`. Does not wait;
// a start under way is finished first. Within any other program it stops the applications only. Elixir: System.stop/1.
COPPICE_API void stop_program(int status = 0);

// -- who is there -----------------------------------------------------------------------------------------------------

struct ApplicationInfo {
  Atom name;
  std::string description;
  std::string vsn;
  friend bool operator==(const ApplicationInfo&, const ApplicationInfo&) = default;
};
// Those that run, the last started first (AP-033). Waits for nobody. Erlang: which_applications.
[[nodiscard]] COPPICE_API std::vector<ApplicationInfo> started_applications();
[[nodiscard]] inline std::vector<ApplicationInfo> which_applications() { return started_applications(); }
// Those that are loaded, by name.
[[nodiscard]] COPPICE_API std::vector<ApplicationInfo> loaded_applications();

// To which application the calling process, or another one, belongs (AP-034). Nothing for a foreign thread.
[[nodiscard]] COPPICE_API std::optional<Atom> get_application();
[[nodiscard]] COPPICE_API std::optional<Atom> get_application(const Pid& pid);
// Which loaded application lists this class among its modules (AP-040).
[[nodiscard]] COPPICE_API std::optional<Atom> get_application(Atom module);
// The atom of a class for ApplicationSpec::modules.
template <class T>
[[nodiscard]] Atom module() {
  return detail::module_atom_of<T>();
}

// What `run` found on the command line and had no use for, in order.
[[nodiscard]] COPPICE_API std::vector<std::string> arguments();

}  // namespace application

// -- a whole program --------------------------------------------------------------------------------------------------

struct RunOptions {
  RuntimeOptions runtime = {};
  // At the end: applications that have not stopped by then are killed, and the status is 1.
  std::chrono::milliseconds shutdown_timeout{20'000};
  std::vector<std::string> config_files = {};  // read before those of the command line; each must be there
  bool variables = true;                       // whether variables of the environment configure applications
  bool signals = true;                         // whether SIGTERM and SIGINT stop the program in order
  std::string usage = {};                      // what --help says about the program's own arguments
};

namespace detail {
COPPICE_API int run_applications(const std::vector<AppRef>& apps, int argc, char** argv, const RunOptions& options);
}

// Runs a program that consists of applications. Called by main, on no process.
//   1. Reads the command line: `--config FILE` and `--set APP.KEY=VALUE`, which may be repeated, and `--help`; `--`
//      ends these options. All else is left to the applications, in application::arguments().
//   2. Configures, in this order: the specifications, the files, variables of the environment, --set.
//   3. Starts the applications and what they depend on, in a fresh Runtime, as permanent.
//   4. Waits for SIGTERM or SIGINT, for stop_program, or for the end of an application.
//   5. Stops the applications, the last started first, within shutdown_timeout. A second signal ends the program at
//      once, with 128 and its number.
// The status: 0 after an orderly stop (or what stop_program was given), 1 after a failed start, the end of an
// application or a stop that was not clean, 2 for a wrong command line or configuration. What went wrong is a sentence
// on standard error. Signals are awaited by a thread; the handlers that it sets are taken away again at the end.
template <class... Apps>
int run(int argc, char** argv, const RunOptions& options = {}) {
  static_assert(sizeof...(Apps) > 0, "run<MyApp>(argc, argv) names the applications to run");
  return detail::run_applications({app<Apps>()...}, argc, argv, options);
}

}  // namespace v1
}  // namespace coppice
