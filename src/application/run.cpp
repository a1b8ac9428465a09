// SPDX-License-Identifier: Apache-2.0
#include "application/run.hpp"

#include <signal.h>

#include <cstdio>
#include <mutex>

#include <coppice/application.hpp>
#include <coppice/receive.hpp>

#include "application/applications.hpp"
#include "application/config_file.hpp"
#include "application/controller.hpp"
#include "application/signals.hpp"
#include "runtime/core.hpp"

namespace coppice {
namespace otp {
namespace {

constexpr int status_wrong_use = 2;
// How much longer than its deadline a stop is awaited: what cannot even be killed is left to the runtime.
constexpr std::chrono::milliseconds grace{1'000};

struct Signalled {
  int signal;
};
struct AllStarted {
  Result<> result;
};

void complain(const std::string& sentence) { std::fprintf(stderr, "coppice: %s\n", sentence.c_str()); }

constexpr const char* options_text =
    " [--config FILE] [--set APP.KEY=VALUE] [--help] [ARGUMENTS...]\n"
    "  --config FILE        reads a TOML file with a table [app] for each application\n"
    "  --set APP.KEY=VALUE  sets one value, written as in TOML, else a text\n"
    "  --help               shows this\n"
    "The first two may be repeated. Variables of the environment are read, too: APP__KEY=VALUE.\n"
    "Later ones win: files, then variables, then --set.\n";

std::string usage(const std::string& program, const std::string& own) {
  std::string text = "usage: " + program + options_text + own;
  if (text.back() != '\n') text += '\n';
  return text;
}

// What is configured before anything runs: all of it is read before any of it is applied.
struct Configured {
  std::vector<Configuration> files;
  std::vector<Assignment> assignments;
};

Result<Configured> read_configuration(const RunArguments& given, const RunOptions& options) {
  Configured configured;
  std::vector<std::string> files = options.config_files;
  files.insert(files.end(), given.config_files.begin(), given.config_files.end());
  for (const std::string& path : files) {
    const Result<std::string> text = read_config_file(path);
    if (!text) return error(text.reason());
    Result<Configuration> parsed = parse_config(text.value(), path);
    if (!parsed) return error(parsed.reason());
    configured.files.push_back(std::move(parsed).value());
  }
  for (const std::string& text : given.assignments) {
    Result<Assignment> assignment = parse_assignment(text);
    if (!assignment) return error(assignment.reason());
    configured.assignments.push_back(std::move(assignment).value());
  }
  return configured;
}

void configure(Applications& all, const std::vector<AppRef>& apps, const Configured& configured, bool variables) {
  {
    const std::unique_lock lock(all.mutex);
    for (const Configuration& file : configured.files) {
      for (const auto& [app, values] : file) all.environment.configure(app, values);
    }
  }
  if (variables) {
    for (const auto& [app, dependencies] : all.graph(apps)) application::load_config_variables(app);
  }
  const std::unique_lock lock(all.mutex);
  for (const Assignment& one : configured.assignments) all.environment.configure(one.app, one.values);
}

// The process that the program consists of, so to speak: starts the applications, waits, stops them.
class Program {
 public:
  Program(const std::vector<AppRef>& apps, const RunOptions& options, TerminationSignals* signals, Runtime& runtime)
      : apps_(apps), options_(options), signals_(signals), runtime_(runtime) {}

  void run() {
    trap_exit(true);
    set_label("the program");
    const Pid me = self();
    Applications& all = Applications::of(runtime_.core());
    {
      const std::unique_lock lock(all.mutex);
      all.program = me;
      all.patience = options_.shutdown_timeout;
    }
    if (signals_ != nullptr) {
      signals_->watch([&runtime = runtime_, me](int signal) {
        const Runtime::Scope scope(runtime);
        send(me, Signalled{signal});
      });
    }
    // Beside us: a signal must be heard while an application takes its time to start.
    spawn([apps = apps_, me] {
      const auto started = application::ensure_all_started(apps, {.type = RestartType::permanent});
      send(me, AllStarted{started ? Result<>() : Result<>(Error{started.reason()})});
    });
    while (!over_) {
      receive([&](const Signalled&) { over_ = true; }, [&](const StopProgram& stop) { wanted_ = stop.status; },
              [&](const AllStarted& all_started) { began(all_started.result); },
              [&](const ExitMessage& message) { heard_of_end(message); }, [](const Term&) {});
      if (wanted_ && started_ && !over_)
        end(*wanted_);  // who asks may belong to an application that is just being started
    }
    stop_all();
  }

  int status = 0;

 private:
  void end(int with) {
    over_ = true;
    status = with;
  }

  void began(const Result<>& result) {
    started_ = true;
    if (result) return;
    end(1);
    const Term why = result.reason().term();  // {app, reason}
    if (why.is_tuple(2) && why[0].is_atom()) return complain_of(" could not be started: ", why[0], why[1]);
    complain("the applications could not be started: " + application::format_error(result.reason()));
  }

  // {:application_terminated, app, reason} comes from the controller when all have stopped; shutdown from the runtime.
  void heard_of_end(const ExitMessage& message) {
    if (message.pid) return;
    const Term why = message.reason.term();
    if (why.is_tuple(3) && why[0].is_atom("application_terminated"_atom)) {
      end(1);
      complain_of(" has ended: ", why[1], why[2]);
    } else if (why.is_tuple(3) && why[0].is_atom("application_start_failure"_atom)) {
      end(1);
      complain_of(" could not be started: ", why[1], why[2]);
    } else {
      over_ = true;
    }
  }

  static void complain_of(const char* what, const Term& app, const Term& reason) {
    complain("the application " + to_string(app) + what + application::format_error(ExitReason(reason)));
  }

  void stop_all() {
    const Result<ServerRef<Controller>> found = controller();
    if (!found) return;
    const std::chrono::nanoseconds patience = options_.shutdown_timeout;
    const auto killed = found.value().try_call(Controller::StopAll{patience}, patience + grace);
    if (!killed) {
      status = status == 0 ? 1 : status;
      return complain("the applications have not stopped in time");
    }
    for (const Atom app : killed.value()) {
      status = status == 0 ? 1 : status;
      complain("the application " + to_string(app) + " did not stop in time and was killed");
    }
  }

  const std::vector<AppRef>& apps_;
  const RunOptions& options_;
  TerminationSignals* signals_;
  Runtime& runtime_;
  bool started_ = false;
  bool over_ = false;
  std::optional<int> wanted_;  // by stop_program
};

int run_program(const std::vector<AppRef>& apps, const RunArguments& given, const Configured& configured,
                const RunOptions& options) {
  Runtime runtime(options.runtime);
  const Runtime::Scope scope(runtime);
  std::optional<TerminationSignals> signals;  // its thread knows the runtime, and ends first
  if (options.signals) signals.emplace();
  Applications& all = Applications::of(runtime.core());
  {
    const std::unique_lock lock(all.mutex);
    all.arguments = given.rest;
  }
  configure(all, apps, configured, options.variables);
  Program program(apps, options, signals ? &*signals : nullptr, runtime);
  const ExitReason reason = runtime.run([&program] { program.run(); });
  const StopReport report = runtime.stop();
  int status = program.status;
  for (const std::string& process : report.killed) complain(process + " did not stop in time and was killed");
  for (const std::string& process : report.abandoned) complain(process + " could not be stopped and was left behind");
  if (!reason.is_shutdown_kind()) complain("the program's process ended: " + format_exit(reason));
  if (status == 0 && (!report.clean || !reason.is_shutdown_kind())) status = 1;
  return status;
}

}  // namespace
}  // namespace otp

inline namespace v1 {
namespace detail {

int run_applications(const std::vector<AppRef>& apps, int argc, char** argv, const RunOptions& options) {
  const std::string program = argc > 0 && argv[0] != nullptr ? argv[0] : "program";
  const otp::RunArguments given =
      otp::parse_arguments(argc > 1 ? std::vector<std::string>(argv + 1, argv + argc) : std::vector<std::string>());
  if (given.help) {
    std::fputs(otp::usage(program, options.usage).c_str(), stdout);
    return 0;
  }
  if (!given.error.empty()) {
    otp::complain(given.error);
    std::fputs(otp::usage(program, options.usage).c_str(), stderr);
    return otp::status_wrong_use;
  }
  const Result<otp::Configured> configured = otp::read_configuration(given, options);
  if (!configured) {
    otp::complain(application::format_error(configured.reason()));
    return otp::status_wrong_use;
  }
  return otp::run_program(apps, given, configured.value(), options);
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
