// SPDX-License-Identifier: Apache-2.0
//
// ChildSpec: what a supervisor knows of a child: who it is, how it is started, when it is restarted, how it is stopped.
//
//   child<Counter>(0)                                                        // calls Counter::start_link(0)
//   child<Counter>(0).id("second").restart(Restart::transient).shutdown(10s).significant()
//   child("pump", [] { return spawn_link(pump); })                           // written by hand
//   print("{}\n", child<Counter>(0));   // %{id: Counter, start: {Counter, :start_link, [0]}, restart: :permanent, ...}
//
// A plain value: copied, compared, printed, changed by setters that may be chained. The arguments are copied into it, and
// copied again for each start, so that a restarted child begins as the first one did. Any thread may make and read one;
// only the start function runs elsewhere: in the supervisor's process.
//
// Defaults of a class: `static constexpr ChildDefaults child_defaults{.restart = Restart::transient};`. A class that
// needs more declares `static ChildSpec child_spec(Args...)`, which child<T>(args...) then asks (SV-002); it may begin
// with GenServer<T>::child_spec(args...). OTP: supervisor:child_spec(), Supervisor.child_spec/2; rules SV-001..SV-016.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <coppice/message.hpp>
#include <coppice/process.hpp>
#include <coppice/result.hpp>
#include <coppice/start_result.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

// When a child that has ended is started again (SV-029..SV-031).
enum class Restart : std::uint8_t {
  permanent,  // always
  transient,  // unless its reason is normal, shutdown or {shutdown, _}
  temporary   // never; its specification is forgotten when it ends
};

enum class ChildType : std::uint8_t { worker, supervisor };

// Shutdown without asking: the child is killed (SV-053).
struct BrutalKill {};
inline constexpr BrutalKill brutal_kill{};

// How a child is told to stop: `brutal_kill`, or an exit signal `shutdown` and then `kill` after a time, or never with
// `infinity` (SV-053..SV-056). A negative time is refused by the supervisor (SV-005). Shown in milliseconds.
class Shutdown {
 public:
  constexpr Shutdown(BrutalKill) noexcept : time_(infinity), brutal_(true) {}  // NOLINT: implicit on purpose
  constexpr Shutdown(Infinity) noexcept : time_(infinity) {}                   // NOLINT
  template <class Rep, class Period>
  constexpr Shutdown(std::chrono::duration<Rep, Period> time) noexcept : time_(time) {}  // NOLINT

  [[nodiscard]] constexpr bool is_brutal_kill() const noexcept { return brutal_; }
  // How long to wait before the kill; infinite for `infinity`, without meaning for brutal_kill.
  [[nodiscard]] constexpr WaitTime time() const noexcept { return time_; }
  // :brutal_kill, :infinity, or milliseconds.
  [[nodiscard]] COPPICE_API Term to_term() const;
  friend constexpr bool operator==(const Shutdown& left, const Shutdown& right) noexcept {
    return left.brutal_ == right.brutal_ && left.time_.nanoseconds() == right.time_.nanoseconds();
  }

 private:
  WaitTime time_;
  bool brutal_ = false;
};

// Delays between restarts: `first`, then each time `factor` times longer, up to `max`. A child that has run for `max`
// without ending begins with `first` again. Each delay is shortened at random by up to `jitter` of itself, so that many
// children do not come back at one instant. While it waits the child counts as restarting, and its siblings stay as they
// are. OTP has no such thing (a difference we choose); it is off unless a specification asks for it.
struct Backoff {
  std::chrono::nanoseconds first = std::chrono::milliseconds(100);
  double factor = 2;
  std::chrono::nanoseconds max = std::chrono::seconds(30);
  double jitter = 0;  // 0 to 1
  friend bool operator==(const Backoff&, const Backoff&) noexcept = default;
};

// Defaults that a class sets for its children; see the head of this file.
struct ChildDefaults {
  Restart restart = Restart::permanent;
  std::optional<Shutdown> shutdown = {};  // none: 5 s for a worker, infinity for a supervisor
  bool significant = false;
  ChildType type = ChildType::worker;
};

// How the start of a child ended. Made from whatever a start function returns: a Pid, a StartResult<S>, a StartOutcome, a
// Result<Pid>, a pid with a fact for whoever asked for the start (SV-013), or a Term as proc_lib::start_link gives it:
// {:ok, pid}, {:ok, pid, info}, :ignore, {:error, reason}; any other term v counts as {:error, v} (SV-012).
struct ChildOutcome {
  StartOutcome outcome;
  std::optional<Term> info = {};

  COPPICE_API ChildOutcome(const Pid& pid);  // NOLINT: implicit on purpose; no pid: {:error, :noproc}
  COPPICE_API ChildOutcome(const Pid& pid, Term info);
  COPPICE_API ChildOutcome(const Term& answer);                    // NOLINT
  COPPICE_API ChildOutcome(Result<Pid> result);                    // NOLINT
  ChildOutcome(StartOutcome given) : outcome(std::move(given)) {}  // NOLINT
  template <class S>
  ChildOutcome(const StartResult<S>& result) : outcome(result.outcome()) {}  // NOLINT
};

namespace detail {

// How a child is started. Immutable, shared by the copies of a specification.
struct COPPICE_API StartFunction {
  Atom module;  // how the call is shown
  Atom function;
  StartFunction(Atom m, Atom f) noexcept : module(m), function(f) {}
  StartFunction(const StartFunction&) = delete;
  StartFunction& operator=(const StartFunction&) = delete;
  virtual ~StartFunction();
  // In the supervisor's process; the child must be linked to it.
  [[nodiscard]] virtual ChildOutcome run() const = 0;
  [[nodiscard]] virtual Term arguments() const = 0;              // a list
  [[nodiscard]] virtual bool is_empty() const { return false; }  // a std::function without a function
};

[[nodiscard]] COPPICE_API Atom module_atom(std::string_view class_name);

}  // namespace detail

class COPPICE_API ChildSpec {
 public:
  // Names nobody and starts nothing: a supervisor refuses it until both are set.
  ChildSpec();
  ChildSpec(const ChildSpec&);
  ChildSpec(ChildSpec&&) noexcept;
  ChildSpec& operator=(const ChildSpec&);
  ChildSpec& operator=(ChildSpec&&) noexcept;
  ~ChildSpec();

  // -- reading
  [[nodiscard]] const Term& id() const noexcept { return id_; }
  [[nodiscard]] bool has_id() const noexcept { return has_id_; }
  // {module, function, arguments}; the arguments of a temporary child that has been started are :undefined (SV-016).
  [[nodiscard]] Term start() const;
  [[nodiscard]] Restart restart() const noexcept { return restart_; }
  // Unless it was set: 5 s for a worker, infinity for a supervisor (SV-001).
  [[nodiscard]] Shutdown shutdown() const noexcept;
  [[nodiscard]] ChildType type() const noexcept { return type_; }
  // Unless they were set: the module of the start call, or :dynamic if a function starts it.
  [[nodiscard]] Term modules() const;
  [[nodiscard]] bool has_modules() const noexcept { return modules_.has_value(); }  // were they set?
  [[nodiscard]] bool is_significant() const noexcept { return significant_; }
  [[nodiscard]] const std::optional<Backoff>& backoff() const noexcept { return backoff_; }

  // -- changing (SV-004); each returns this specification
  ChildSpec& id(Term id) &;
  ChildSpec& restart(Restart restart) & { return restart_ = restart, *this; }
  ChildSpec& shutdown(Shutdown shutdown) & { return shutdown_ = shutdown, *this; }
  ChildSpec& type(ChildType type) & { return type_ = type, *this; }
  ChildSpec& modules(Term modules) &;  // a list of atoms, or :dynamic
  ChildSpec& significant(bool on = true) & { return significant_ = on, *this; }
  ChildSpec& backoff(const Backoff& backoff) & { return backoff_ = backoff, *this; }
  ChildSpec&& id(Term id) && { return std::move(this->id(std::move(id))); }
  ChildSpec&& restart(Restart restart) && { return std::move(this->restart(restart)); }
  ChildSpec&& shutdown(Shutdown shutdown) && { return std::move(this->shutdown(shutdown)); }
  ChildSpec&& type(ChildType type) && { return std::move(this->type(type)); }
  ChildSpec&& modules(Term modules) && { return std::move(this->modules(std::move(modules))); }
  ChildSpec&& significant(bool on = true) && { return std::move(this->significant(on)); }
  ChildSpec&& backoff(const Backoff& backoff) && { return std::move(this->backoff(backoff)); }

  // OTP's map with its seven fields (SV-080); what is missing is left out.
  [[nodiscard]] Term to_term() const;
  // Equal in every field; start functions by their shown call.
  friend COPPICE_API bool operator==(const ChildSpec& left, const ChildSpec& right);

  // For supervisors and factories.
  ChildSpec& start_with(std::shared_ptr<const detail::StartFunction> start) &;
  ChildSpec& default_to(const ChildDefaults& defaults) &;
  [[nodiscard]] const std::shared_ptr<const detail::StartFunction>& start_function() const noexcept { return start_; }
  // Keeps the call's name and lets its arguments go (SV-016).
  void forget_arguments();

 private:
  Term id_;
  std::shared_ptr<const detail::StartFunction> start_;
  std::optional<Term> modules_;
  std::optional<Shutdown> shutdown_;
  std::optional<Backoff> backoff_;
  Atom module_;  // of the start call, once its arguments are forgotten
  Atom function_;
  bool forgotten_ = false;
  bool has_id_ = false;
  bool significant_ = false;
  Restart restart_ = Restart::permanent;
  ChildType type_ = ChildType::worker;
};

// As inspect prints to_term().
[[nodiscard]] COPPICE_API std::string to_string(const ChildSpec& spec);
COPPICE_API std::ostream& operator<<(std::ostream& out, const ChildSpec& spec);

namespace detail {

// Arguments are kept: text that somebody else owns is copied.
template <class T>
using Kept =
    std::conditional_t<std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*> ||
                           std::is_same_v<std::decay_t<T>, std::string_view>,
                       std::string, std::decay_t<T>>;

template <class T, class... Args>
struct StartLink final : StartFunction {
  std::tuple<Args...> kept;
  template <class... Given>
  explicit StartLink(Atom shown, Given&&... given)
      : StartFunction(shown, Atom("start_link")), kept(std::forward<Given>(given)...) {}
  [[nodiscard]] ChildOutcome run() const override {
    return std::apply([](const Args&... args) { return ChildOutcome(T::start_link(Args(args)...)); }, kept);
  }
  [[nodiscard]] Term arguments() const override {
    return std::apply([](const Args&... args) { return Term::list_of({describe_payload<Args>(&args)...}); }, kept);
  }
};

template <class F>
struct StartByHand final : StartFunction {
  F function_;
  explicit StartByHand(F f) : StartFunction(Atom("erlang"), Atom("apply")), function_(std::move(f)) {}
  [[nodiscard]] ChildOutcome run() const override {
    F copy(function_);
    return ChildOutcome(copy());
  }
  [[nodiscard]] Term arguments() const override {
    return Term::list_of({opaque_term(type_name_of<F>()), Term::list_of({})});
  }
  [[nodiscard]] bool is_empty() const override {
    if constexpr (std::is_constructible_v<bool, const F&> && !std::is_convertible_v<const F&, int>) {
      return !static_cast<bool>(function_);
    } else {
      return false;
    }
  }
};

template <class T>
[[nodiscard]] Atom module_atom_of() {
  static const Atom atom = module_atom(type_name_of<T>());
  return atom;
}

// What child<T>(args...) makes of a class that has no child_spec of its own. GenServer<T>::child_spec is this.
template <class T, class... Args>
ChildSpec default_child_spec(Args&&... args) {
  static_assert((std::is_copy_constructible_v<Kept<Args>> && ...),
                "the arguments of a child are copied at each start: they must be copyable");
  static_assert(
      requires(Kept<Args>... given) { T::start_link(std::move(given)...); },
      "the class of a child has a start_link for these arguments, as every GenServer<itself> has");
  ChildSpec spec;
  spec.id(module_atom_of<T>());
  spec.start_with(std::make_shared<StartLink<T, Kept<Args>...>>(module_atom_of<T>(), std::forward<Args>(args)...));
  if constexpr (requires { T::child_defaults; }) spec.default_to(T::child_defaults);
  return spec;
}

template <class T, class... Args>
struct begins_with_options : std::false_type {};
template <class T, class First, class... Rest>
  requires requires { typename T::Options; }
struct begins_with_options<T, First, Rest...> : std::is_same<std::remove_cvref_t<First>, typename T::Options> {};

}  // namespace detail

// The specification of a child that runs T: id T, started by T::start_link with copies of the arguments, with T's
// child_defaults; or what T::child_spec(args...) says, if the class declares one (SV-002).
template <class T, class... Args>
  requires(!detail::begins_with_options<T, Args...>::value)
[[nodiscard]] ChildSpec child(Args&&... args) {
  if constexpr (requires { T::child_spec(std::forward<Args>(args)...); }) {
    return T::child_spec(std::forward<Args>(args)...);
  } else {
    return detail::default_child_spec<T>(std::forward<Args>(args)...);
  }
}

// The same for a class whose first argument is its `Options`, an aggregate: child<DynamicSupervisor>({.name = "Pool"}).
template <class T, class... Args>
  requires requires { typename T::Options; }
[[nodiscard]] ChildSpec child(typename T::Options options, Args&&... args) {
  if constexpr (requires { T::child_spec(std::move(options), std::forward<Args>(args)...); }) {
    return T::child_spec(std::move(options), std::forward<Args>(args)...);
  } else {
    return detail::default_child_spec<T>(std::move(options), std::forward<Args>(args)...);
  }
}

// The specification of a child that a function starts: `start` is copied, then called, in the supervisor's process, at
// each start. It returns whatever makes a ChildOutcome. The process must be linked to the supervisor, which does not
// check it (SV-015): spawn_link, start_link. What the function throws is the error of the start (SV-012).
template <class F>
  requires std::copy_constructible<F> && std::is_invocable_v<F&> &&
           std::is_convertible_v<std::invoke_result_t<F&>, ChildOutcome>
[[nodiscard]] ChildSpec child(Term id, F start) {
  ChildSpec spec;
  spec.id(std::move(id));
  spec.start_with(std::make_shared<detail::StartByHand<F>>(std::move(start)));
  return spec;
}

}  // namespace v1
}  // namespace coppice
