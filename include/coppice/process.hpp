// SPDX-License-Identifier: Apache-2.0
//
// Processes: spawn, send, exit, link, monitor, alias, name, look inside.
//
//   Pid echo = spawn_link([] {
//     for (;;) receive([](const Ping& ping) { send(ping.from, Pong{}); });
//   });
//   send(echo, Ping{self()});
//
// "May be called by": unless a declaration says otherwise, functions here are for code that runs in a process. What a
// foreign thread (one that coppice did not start) may call is marked "any thread"; it acts in the Runtime of its
// Runtime::Scope, else in the first Runtime of the program. Misuse by a process ends that process with
// `{badarg, text}`, thrown as an Exit that it may catch; misuse by a foreign thread ends the program with a sentence.
//
// OTP: Kernel.spawn/send/exit, Process; rules PR-*.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coppice/config.hpp>
#include <coppice/exit.hpp>
#include <coppice/message.hpp>
#include <coppice/pid.hpp>
#include <coppice/result.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

// With `using namespace coppice` a duration may be written 5s, 150ms.
inline namespace literals {
using namespace std::chrono_literals;
}

// A deadline that never comes: `receive<T>(infinity)`, `call(m, infinity)`. Converts to every duration argument.
struct Infinity {};
inline constexpr Infinity infinity{};

// A duration or `infinity`, in nanoseconds. Negative durations are refused by whoever takes one, with
// `{badarg, text}`; durations beyond 292 years count as infinity.
class WaitTime {
 public:
  constexpr WaitTime(Infinity) noexcept : nanoseconds_(forever) {}
  template <class Rep, class Period>
  constexpr WaitTime(std::chrono::duration<Rep, Period> d) noexcept : nanoseconds_(convert(d)) {}

  static constexpr std::int64_t forever = INT64_MAX;
  [[nodiscard]] constexpr std::int64_t nanoseconds() const noexcept { return nanoseconds_; }
  [[nodiscard]] constexpr bool is_infinite() const noexcept { return nanoseconds_ == forever; }
  [[nodiscard]] constexpr bool is_negative() const noexcept { return nanoseconds_ < 0; }

 private:
  template <class Rep, class Period>
  static constexpr std::int64_t convert(std::chrono::duration<Rep, Period> d) noexcept {
    using Seconds = std::chrono::duration<double>;
    const double seconds = std::chrono::duration_cast<Seconds>(d).count();
    if (seconds >= 9.2e9) return forever;
    if (seconds <= -9.2e9) return INT64_MIN + 1;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  }
  std::int64_t nanoseconds_;
};

// -- spawning ---------------------------------------------------------------------------------------------------------

// What happens to a message that finds the mailbox full. Signals, Down and ExitMessage among them, are never refused and
// never counted. A call that is refused fails with `full`, one that is dropped with `dropped`.
enum class Overflow : std::uint8_t {
  none,         // unbounded: only the high-water mark is reported
  reject,       // the sender's `try_send` answers `{:error, :full}`; a plain send is dropped and counted
  drop_newest,  // the arriving message is dropped and counted
  drop_oldest,  // the oldest unread message is dropped and counted
  exit          // the receiver ends with `:mailbox_full`
};

// How a process is made. Every field has a default: spawn(f, {.label = "reader"}).
struct SpawnOptions {
  std::string name = {};               // registered before the function runs; taken: the process ends with :badarg
  std::string label = {};              // as by set_label
  std::size_t stack_size = 0;          // bytes of address space; 0: the runtime's default
  bool migratable = false;             // promises to hold no thread-local and no errno across waits
  std::size_t mailbox_capacity = 0;    // messages; 0: unbounded
  Overflow overflow = Overflow::none;  // with a capacity: what to do when it is reached
  std::size_t high_water_mark = 0;     // messages; crossing it logs one line; 0: the runtime's default
};

namespace detail {
// A function to run in a new process, moved to its heap.
struct Closure : Pooled {
  virtual ~Closure() = default;
  virtual void run() = 0;
};
template <class F>
struct ClosureOf final : Closure {
  F function;
  explicit ClosureOf(F f) : function(std::move(f)) {}
  void run() override { function(); }
};
enum class Bond : std::uint8_t { none, link, monitor, link_and_monitor };
COPPICE_API Pid spawn(std::unique_ptr<Closure> closure, const std::type_info& type, const SpawnOptions& options,
                      Bond bond, Reference* monitor);
COPPICE_API bool send(const Pid& to, Signal* message);
COPPICE_API void send_to_alias(const Reference& alias, Signal* message);
COPPICE_API void send_to_name(std::string_view name, Signal* message);
COPPICE_API void send_to_node_name(std::string_view name, std::string_view node, Signal* message);
COPPICE_API Result<> try_send(const Pid& to, Signal* message);
[[noreturn]] COPPICE_API void throw_badarg(const char* text);
}  // namespace detail

// Starts a process that runs `function()` and returns its pid at once (PR-001). The function is moved to the process;
// what it captures must live long enough: capture by value. Any thread. Fails only when the runtime has no process
// slot left: throws Exit(:system_limit). Once the runtime is stopping,
// the process has no more than what is left of the stop; after it has stopped, the pid is that of nobody.
template <class F>
Pid spawn(F function, const SpawnOptions& options = {}) {
  return detail::spawn(std::make_unique<detail::ClosureOf<F>>(std::move(function)), typeid(F), options,
                       detail::Bond::none, nullptr);
}

// The same, linked to the caller from its first instant (PR-003). Not for foreign threads.
template <class F>
Pid spawn_link(F function, const SpawnOptions& options = {}) {
  return detail::spawn(std::make_unique<detail::ClosureOf<F>>(std::move(function)), typeid(F), options,
                       detail::Bond::link, nullptr);
}

// The same, monitored by the caller from its first instant (PR-004). Not for foreign threads.
template <class F>
[[nodiscard]] std::pair<Pid, Reference> spawn_monitor(F function, const SpawnOptions& options = {}) {
  Reference reference;
  Pid pid = detail::spawn(std::make_unique<detail::ClosureOf<F>>(std::move(function)), typeid(F), options,
                          detail::Bond::monitor, &reference);
  return {pid, reference};
}

// Linked and monitored at once (PR-006).
template <class F>
[[nodiscard]] std::pair<Pid, Reference> spawn_link_monitor(F function, const SpawnOptions& options = {}) {
  Reference reference;
  Pid pid = detail::spawn(std::make_unique<detail::ClosureOf<F>>(std::move(function)), typeid(F), options,
                          detail::Bond::link_and_monitor, &reference);
  return {pid, reference};
}

// The calling process. Not for foreign threads. OTP: self/0.
[[nodiscard]] COPPICE_API Pid self();

// -- sending ----------------------------------------------------------------------------------------------------------

// Sends a message. Asynchronous; never waits for the receiver (PR-019); to a dead pid it succeeds and the message
// vanishes (PR-020). Messages of one sender to one receiver arrive in order (PR-025). Any thread.
template <class T>
void send(const Pid& to, T&& message) {
  detail::send(to, detail::make_message(std::forward<T>(message)));
}

// Through an alias; vanishes if the alias is inactive when the message is taken in (PR-079..PR-089). Any thread.
template <class T>
void send(const Reference& alias, T&& message) {
  detail::send_to_alias(alias, detail::make_message(std::forward<T>(message)));
}

// To a registered name, looked up now. An unknown name fails with `{badarg, text}` (PR-021). Any thread.
template <class T>
void send(std::string_view name, T&& message) {
  detail::send_to_name(name, detail::make_message(std::forward<T>(message)));
}
template <class T>
void send(const char* name, T&& message) {
  detail::send_to_name(name, detail::make_message(std::forward<T>(message)));
}

// A name on a node: OTP's `{name, node}`. Sending to one never fails, whether or not name and node exist (PR-022).
struct NodeName {
  std::string name;
  std::string node;
};
template <class T>
void send(const NodeName& to, T&& message) {
  detail::send_to_node_name(to.name, to.node, detail::make_message(std::forward<T>(message)));
}

// Sends to a process whose mailbox has a capacity: `{:error, :full}` if that is reached and the policy refuses the newest
// message (reject, drop_newest; what is refused here is not counted as lost), `{:error, :noproc}` if there is no such
// process. Ours, not OTP's. Any thread.
template <class T>
[[nodiscard]] Result<> try_send(const Pid& to, T&& message) {
  return detail::try_send(to, detail::make_message(std::forward<T>(message)));
}

// -- leaving ----------------------------------------------------------------------------------------------------------

// Ends the calling process with `reason`. The stack is unwound by a private exception: destructors run, and a handler
// `catch (...)` may look on but not stop it (every later wait throws again). In a GenServer callback, terminate(reason)
// runs first. To end in a way that a caller may catch, `throw Exit(reason)`. Not for foreign threads.
[[noreturn]] COPPICE_API void exit(const ExitReason& reason);
void exit(int) = delete;  // ::exit is not what you want in a process; for a reason that is a number: exit(Term(3))

// Sends an exit signal to `pid`: what it does is the table of PR-048 in docs/guarantees.md. Asynchronous, no link
// needed, nothing happens for a dead pid; returns true (PR-052). Sent to oneself it takes effect before it returns
// (PR-050). Any thread.
COPPICE_API bool exit(const Pid& pid, const ExitReason& reason);

// -- links ------------------------------------------------------------------------------------------------------------

// Links the caller with `pid`, both ways, at most once (PR-038). To a dead pid: throws Exit(:noproc), or, if the caller
// traps exits, delivers `ExitMessage{pid, noproc}` (PR-040). Returns true.
COPPICE_API bool link(const Pid& pid);
// Ends a link. After it has returned, the link can do nothing more to the caller (PR-044). Returns true.
COPPICE_API bool unlink(const Pid& pid);

// -- monitors ---------------------------------------------------------------------------------------------------------

enum class AliasMode : std::uint8_t { none, explicit_unalias, demonitor, reply_demonitor };

struct MonitorOptions {
  Term tag = {};                      // becomes Down::tag (PR-077)
  AliasMode alias = AliasMode::none;  // makes the reference an alias too (PR-078)
};

// Watches `pid`: exactly one Down comes when it ends, at once with `noproc` if it is gone already (PR-064..PR-067).
[[nodiscard]] COPPICE_API Reference monitor(const Pid& pid, const MonitorOptions& options = {});
// Watches whoever has this name now (PR-068); Down::name is set.
[[nodiscard]] COPPICE_API Reference monitor(std::string_view name, const MonitorOptions& options = {});

struct DemonitorOptions {
  bool flush = false;  // also removes a Down of this monitor that is in the mailbox already (PR-073)
  bool info = false;   // answer whether an active monitor was removed (PR-074, PR-075)
};
// No Down for `reference` arrives after this has returned (PR-072). Returns true unless `info` asks.
COPPICE_API bool demonitor(const Reference& reference, const DemonitorOptions& options = {});

// -- aliases ----------------------------------------------------------------------------------------------------------

struct AliasOptions {
  bool reply = false;  // deactivated by the first message that comes through it (PR-083)
};
// A reference through which others can send to the caller until unalias (PR-082).
[[nodiscard]] COPPICE_API Reference alias(const AliasOptions& options = {});
// True if it was an active alias of the caller (PR-084).
COPPICE_API bool unalias(const Reference& alias);

// -- names ------------------------------------------------------------------------------------------------------------

// Gives a live local process a name; true. `{badarg, text}` if the name is taken or reserved (undefined, nil, true,
// false), or the process is gone, remote or already named (PR-107..PR-109). Names are text of at most 255 bytes and
// are, like atoms, remembered for the life of the runtime. Any thread.
COPPICE_API bool register_name(const Pid& pid, std::string_view name);
// `{badarg, text}` if nobody has the name (PR-110). Any thread.
COPPICE_API bool unregister_name(std::string_view name);
// Who has the name now; no pid if nobody (PR-111). Any thread.
[[nodiscard]] COPPICE_API Pid whereis(std::string_view name);
namespace detail {
// The same for a name whose hash_text (message.hpp) is known.
[[nodiscard]] COPPICE_API Pid whereis(std::string_view name, std::uint64_t hash);
}  // namespace detail
// All names, a snapshot without promise (PR-114). Any thread.
[[nodiscard]] COPPICE_API std::vector<std::string> registered();

// -- flags, dictionary, label, ancestry -----------------------------------------------------------------------------

// Turns trapping of exits on or off for the caller; returns what it was (PR-058). OTP: Process.flag(:trap_exit, on).
COPPICE_API bool trap_exit(bool on);
template <class T>
bool trap_exit(T) = delete;  // a pointer or a number is no flag

// The private dictionary of the calling process (PR-115, PR-116). A missing key gives nil.
namespace dictionary {
COPPICE_API Term put(const Term& key, Term value);  // the previous value or nil
[[nodiscard]] COPPICE_API Term get(const Term& key, const Term& otherwise = {});
COPPICE_API Term erase(const Term& key);  // the removed value or nil; OTP: Process.delete/1
[[nodiscard]] COPPICE_API std::vector<Term> keys();
[[nodiscard]] COPPICE_API std::vector<Term> keys_of(const Term& value);
}  // namespace dictionary

// A descriptive term, shown in reports (PR-117).
COPPICE_API void set_label(const Term& label);
// nil when unset or dead. Any thread.
[[nodiscard]] COPPICE_API Term get_label(const Pid& pid);

// The processes that started this one, parent first, as name (atom) if it had one then, else as pid (PR-118). Empty
// for a bare process.
[[nodiscard]] COPPICE_API std::vector<Term> ancestors();
// On whose behalf the caller works: itself not included (PR-120).
[[nodiscard]] COPPICE_API std::vector<Pid> callers();

// The process that identifies the group the process belongs to; inherited at spawn (PR-012, PR-127).
[[nodiscard]] COPPICE_API Pid group_leader();
COPPICE_API void group_leader(const Pid& pid, const Pid& leader);

// -- waiting and working ----------------------------------------------------------------------------------------------

// Blocks the calling process, never a thread. Consumes no message; `infinity` never returns; 0 yields (PR-037).
COPPICE_API void sleep_for(WaitTime duration);
void sleep(int) = delete;  // ::sleep blocks a whole worker: write sleep_for(3s)

// Lets others run if this turn's budget is used up, and acts on the signals that have arrived: a kill takes effect
// here. For long loops.
COPPICE_API void checkpoint();

// Lets others run now.
COPPICE_API void yield();

// Parks the caller with as little memory as it can until a message is in its mailbox; returns at once if one is there
// (PR-122; the stack is kept: its calls go on).
COPPICE_API void hibernate();

namespace detail {
COPPICE_API void blocking(void (*run)(void*), void* argument);
}

// Runs `function` on a thread of the blocking pool while the calling process waits: for foreign code that blocks a
// thread. Returns what it returns, throws what it throws. Not interruptible: a signal takes effect when it is back.
// The function must not use self() or anything that waits; sending is allowed. OTP: dirty schedulers.
template <class F>
auto blocking(F&& function) -> decltype(function()) {
  using R = decltype(function());
  if constexpr (std::is_void_v<R>) {
    detail::blocking([](void* f) { (*static_cast<std::remove_reference_t<F>*>(f))(); },
                     const_cast<void*>(static_cast<const void*>(std::addressof(function))));
  } else {
    struct Job {
      std::remove_reference_t<F>* function;
      std::optional<R> result;
    } job{std::addressof(function), std::nullopt};
    detail::blocking(
        [](void* j) {
          auto* job_ = static_cast<Job*>(j);
          job_->result.emplace((*job_->function)());
        },
        &job);
    return *std::move(job.result);
  }
}

// -- looking inside -------------------------------------------------------------------------------------------------

// Is there such a process, and has no fatal signal reached it? Ordered after the caller's earlier signals to it
// (PR-013, PR-016). The pid of another node is `{badarg, text}` (PR-017). Any thread (there: without the order).
[[nodiscard]] COPPICE_API bool alive(const Pid& pid);

// All processes, those that are leaving included: a snapshot without promise (PR-018). Any thread.
[[nodiscard]] COPPICE_API std::vector<Pid> processes();

enum class ProcessStatus : std::uint8_t { runnable, running, waiting, suspended, exiting };

// OTP's Process.info/1 as one aggregate (PR-123..PR-125).
struct ProcessInfo {
  Pid pid;
  std::string registered_name;  // empty for none (PR-124)
  Term label;
  std::string initial_call;      // class of a server, or the type of the spawned function
  std::string current_function;  // innermost frame that is not ours; empty for an idle server
  std::vector<std::string> current_stacktrace;
  ProcessStatus status = ProcessStatus::waiting;
  bool trap_exit = false;
  std::size_t message_queue_len = 0;
  std::size_t message_queue_peak = 0;  // ours: high-water mark
  std::uint64_t messages_dropped = 0;  // ours: by the overflow policy
  std::vector<Term> messages;          // at most 100 of them
  std::vector<Pid> links;
  std::vector<Pid> monitors;
  std::vector<Pid> monitored_by;
  std::vector<std::pair<Term, Term>> dictionary;
  std::vector<Term> ancestors;
  Pid group_leader;
  Pid parent;
  std::uint64_t reductions = 0;  // messages taken and waits made
  std::size_t stack_size = 0;    // bytes of the stack it holds; 0 for none
};

// Asks the process for its own state: a signal like any other, so it is ordered after the caller's earlier ones and is
// answered when the process next takes in signals (PR-126). nullopt for a dead pid. Any thread.
[[nodiscard]] COPPICE_API std::optional<ProcessInfo> process_info(const Pid& pid);

}  // namespace v1
}  // namespace coppice
