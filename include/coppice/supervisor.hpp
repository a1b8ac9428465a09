// SPDX-License-Identifier: Apache-2.0
//
// Supervisor: a process that starts children in order, starts again what ends, and stops them in the reverse order.
//
//   Supervisor::start_link({child<Counter>(0), child<UserCache>(),
//                           supervisor({child<Database>(), child<Cache>()},
//                                      {.name = "Critical", .strategy = Strategy::one_for_all})},
//                          {.name = "MyApp.Supervisor", .strategy = Strategy::one_for_one}).value();
//   Supervisor::which_children("MyApp.Supervisor");
//   print("{}", Supervisor::tree("MyApp.Supervisor"));
//
// A module-style supervisor is a class of its own:
//
//   class Storage : public ModuleSupervisor<Storage> {
//    public:
//     static constexpr Name<Supervisor> name{"Storage"};
//     SupervisorInit init(std::string path) { return Supervisor::init({child<Disk>(path)}, {.max_restarts = 10}); }
//   };
//   child<Storage>("/var/data")
//
// Strategies. one_for_one: only the child that ended is started again. one_for_all: all others are stopped, then all are
// started in order. rest_for_one: the same with those that were started after it. Which ends matter is said by the
// child's Restart (child_spec.hpp). A restart of a whole group counts once (SV-040).
//
// Intensity. Each restart, and each further try of one that fails, is noted with its second. If more than `max_restarts`
// lie within `max_seconds`, the supervisor stops all children and ends with `shutdown` (SV-041..SV-046). There is no
// delay between restarts unless a child asks for a Backoff.
//
// A supervisor serves one request at a time; while it starts, restarts or stops a child it serves none (SV-028). A child
// must therefore not ask its own supervisor anything from its constructor, init or terminate: that call fails at once
// with `deadlock`. Between two tries of a failing restart it does answer.
//
// It traps exits and is always linked to its starter, whose end ends it, with the same reason (SV-026, SV-062). However it
// ends, its children are stopped first, in reverse order; if it is killed, they get `killed` through their links (SV-064).
//
// The functions below take any address of a supervisor (children.hpp), may be called by any thread, wait without limit
// (SV-083), and throw Exit with `{noproc, {GenServer, :call, ...}}` if there is none, or its reason if it ends meanwhile.
//
// When not to use one: for many alike children that come and go use DynamicSupervisor, which stops them all at once.
// OTP: supervisor, Elixir: Supervisor; rules SV-*. simple_one_for_one (SV-089) is DynamicSupervisor.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/children.hpp>
#include <coppice/exit_reason.hpp>
#include <coppice/gen_server_dispatch.hpp>
#include <coppice/placed_call.hpp>
#include <coppice/result.hpp>
#include <coppice/server_name.hpp>
#include <coppice/server_ref.hpp>
#include <coppice/start_result.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

enum class Strategy : std::uint8_t { one_for_one, one_for_all, rest_for_one };

// Whether a supervisor ends when its significant children do (SV-067..SV-072).
enum class AutoShutdown : std::uint8_t {
  never,            // there may be no significant children
  any_significant,  // when one has ended and is not restarted
  all_significant   // when none is left
};

// How a supervisor goes about it. Wrong values are the error of the start: {:supervisor_data, {:invalid_period, 0}} (SV-020).
struct SupervisorFlags {
  Strategy strategy = Strategy::one_for_one;
  std::int64_t max_restarts = 3;  // at least 0
  std::int64_t max_seconds = 5;   // at least 1
  AutoShutdown auto_shutdown = AutoShutdown::never;
};

// The same and a name (SV-017).
struct SupervisorOptions {
  ServerName name = {};
  Strategy strategy = Strategy::one_for_one;
  std::int64_t max_restarts = 3;
  std::int64_t max_seconds = 5;
  AutoShutdown auto_shutdown = AutoShutdown::never;
};

// What `init` of a module-style supervisor returns: made by Supervisor::init or ignore().
class SupervisorInit {
 public:
  SupervisorInit(std::vector<ChildSpec> children, SupervisorFlags flags)
      : children_(std::move(children)), flags_(flags) {}
  // start_link then answers ignore, and the process ends with `normal` (SV-023).
  [[nodiscard]] static SupervisorInit ignore() {
    SupervisorInit init({}, {});
    init.ignored_ = true;
    return init;
  }
  [[nodiscard]] std::vector<ChildSpec>& children() noexcept { return children_; }
  [[nodiscard]] const SupervisorFlags& flags() const noexcept { return flags_; }
  [[nodiscard]] bool is_ignore() const noexcept { return ignored_; }

 private:
  std::vector<ChildSpec> children_;
  SupervisorFlags flags_;
  bool ignored_ = false;
};

// The live tree below a supervisor, at one moment for each of its supervisors. Prints as indented text, a line for each
// process: what it is called or else its pid, its class, its id and restart kind.
struct SupervisorTree {
  enum class State : std::uint8_t {
    running,
    undefined,  // not running
    restarting,
    busy,  // a supervisor that did not answer in time: its children are not known
    gone   // it ended while it was asked
  };
  Term id;  // within the supervisor above; nil for the root
  Pid pid;
  std::string name;    // registered name, or empty
  std::string module;  // class that the process runs; empty if it is no server
  ChildType type = ChildType::supervisor;
  std::optional<Restart> restart = {};  // none for the root
  State state = State::running;
  std::vector<SupervisorTree> children = {};  // in start order; of a dynamic supervisor in no order
  // A map with these fields.
  [[nodiscard]] COPPICE_API Term to_term() const;
};
[[nodiscard]] COPPICE_API std::string to_string(const SupervisorTree& tree);
COPPICE_API std::ostream& operator<<(std::ostream& out, const SupervisorTree& tree);

class COPPICE_API Supervisor {
 public:
  static constexpr ChildDefaults child_defaults{.type = ChildType::supervisor};

  // Starts a supervisor linked to the caller, and returns when all children are started, one after the other (SV-024).
  // Errors: {:supervisor_data, what} and {:start_spec, what} for wrong options and specifications (SV-020, SV-021);
  // {:shutdown, {:failed_to_start_child, id, reason}}, the children before it having been stopped again (SV-025);
  // {:already_started, pid}. But for the last, a caller that does not trap exits gets the exit signal too (GS-027). By a
  // process.
  static StartResult<Supervisor> start_link(std::vector<ChildSpec> children, SupervisorOptions options = {});

  // For the init of a module-style supervisor (SV-010).
  [[nodiscard]] static SupervisorInit init(std::vector<ChildSpec> children, SupervisorFlags flags = {}) {
    return {std::move(children), flags};
  }

  // -- children; ids are those of the specifications

  // All children, the last started first (SV-081).
  [[nodiscard]] static std::vector<ChildInfo> which_children(const ServerAddress& supervisor) {
    return detail::which_children(supervisor);
  }
  [[nodiscard]] static ChildCounts count_children(const ServerAddress& supervisor) {
    return detail::count_children(supervisor);
  }
  // Adds a child at the end of the order and starts it (SV-073). Errors: {:already_started, pid}, :already_present
  // (SV-074), {reason, child} if it fails to start, which also forgets it (SV-076), or what is wrong with the specification.
  // {:ok, :undefined} if it answers ignore: it is kept, unless it is temporary (SV-075).
  static StartChildResult start_child(const ServerAddress& supervisor, ChildSpec spec);
  // Stops a child. Its specification stays, unless it is temporary. When this returns, the process is gone and its name is
  // free. Ok also if it was not running; ends the tries of a failing restart. Error: :not_found (SV-077).
  static Result<> terminate_child(const ServerAddress& supervisor, const Term& id);
  // Starts a stopped child. Errors: :running, :restarting, :not_found, or that of its start (SV-078).
  static StartChildResult restart_child(const ServerAddress& supervisor, const Term& id);
  // Forgets a stopped child. Errors: :running, :restarting, :not_found (SV-079).
  static Result<> delete_child(const ServerAddress& supervisor, const Term& id);
  // Error: :not_found (SV-080).
  [[nodiscard]] static Result<ChildSpec> get_childspec(const ServerAddress& supervisor, const Term& id);

  // The same for a child whose id is its class, as child<T> makes it.
  template <class T>
  static Result<> terminate_child(const ServerAddress& supervisor) {
    return terminate_child(supervisor, detail::module_atom_of<T>());
  }
  template <class T>
  static StartChildResult restart_child(const ServerAddress& supervisor) {
    return restart_child(supervisor, detail::module_atom_of<T>());
  }
  template <class T>
  static Result<> delete_child(const ServerAddress& supervisor) {
    return delete_child(supervisor, detail::module_atom_of<T>());
  }
  template <class T>
  [[nodiscard]] static Result<ChildSpec> get_childspec(const ServerAddress& supervisor) {
    return get_childspec(supervisor, detail::module_atom_of<T>());
  }

  // Would these be accepted? Without a mode, significance is not held against auto_shutdown (SV-085). Asks nobody.
  [[nodiscard]] static Result<> check_childspecs(const std::vector<ChildSpec>& specs,
                                                 std::optional<AutoShutdown> mode = std::nullopt);

  // The tree below a supervisor of any kind. Each supervisor is given `timeout` to answer; one that does not is shown as
  // busy. Costs each of them one request.
  [[nodiscard]] static SupervisorTree tree(const ServerAddress& supervisor, WaitTime timeout = std::chrono::seconds(1));

  // As GenServer's stop (SV-065).
  static void stop(const ServerAddress& supervisor, const ExitReason& reason = ExitReason::normal(),
                   WaitTime timeout = infinity);
};

namespace detail {

// Runs the init of a module-style supervisor in its process.
struct SupervisorModule {
  virtual ~SupervisorModule() = default;
  virtual SupervisorInit init() = 0;
};
template <class T, class... Args>
struct SupervisorModuleOf final : SupervisorModule {
  std::tuple<Args...> arguments;
  template <class... Given>
  explicit SupervisorModuleOf(Given&&... given) : arguments(std::forward<Given>(given)...) {}
  SupervisorInit init() override {
    T module;
    return std::apply([&](Args&... args) { return module.init(std::move(args)...); }, arguments);
  }
};
[[nodiscard]] COPPICE_API StartOutcome start_module_supervisor(Atom module, std::unique_ptr<SupervisorModule> init,
                                                               const StartOptions& options);

}  // namespace detail

// The base of a module-style supervisor: class Storage : public ModuleSupervisor<Storage>, with a default constructor and
// `SupervisorInit init(args...)`, which runs in the new process. It is registered as T::name if the class declares one.
template <class T>
class ModuleSupervisor {
 public:
  static constexpr ChildDefaults child_defaults{.type = ChildType::supervisor};  // SV-027

  // As Supervisor::start_link; what init throws is the error.
  template <class... Args>
  static StartResult<Supervisor> start_link(Args&&... args) {
    StartOptions options;
    if constexpr (requires { ServerName(T::name); }) options.name = T::name;
    return start_link_as(options, std::forward<Args>(args)...);
  }
  // With another name or none.
  template <class... Args>
  static StartResult<Supervisor> start_link_as(const StartOptions& options, Args&&... args) {
    static_assert(
        requires(T& module, std::decay_t<Args>... given) {
          { module.init(std::move(given)...) } -> std::same_as<SupervisorInit>;
        }, "a module-style supervisor has SupervisorInit init(args...) for the arguments of start_link");
    return StartResult<Supervisor>(detail::start_module_supervisor(
        detail::module_atom_of<T>(),
        std::make_unique<detail::SupervisorModuleOf<T, std::decay_t<Args>...>>(std::forward<Args>(args)...), options));
  }
  // For a child_spec of one's own to begin with.
  template <class... Args>
  [[nodiscard]] static ChildSpec child_spec(Args&&... args) {
    return detail::default_child_spec<T>(std::forward<Args>(args)...);
  }
};

// The specification of a supervisor as a child: id is its name, or Supervisor if it has none; type supervisor, so that it
// is given all the time it needs to stop (SV-027).
[[nodiscard]] COPPICE_API ChildSpec supervisor(std::vector<ChildSpec> children, SupervisorOptions options = {});

}  // namespace v1
}  // namespace coppice
