// SPDX-License-Identifier: Apache-2.0
//
// How a message finds its handler: the typed half of GenServer. Users include gen_server.hpp; what is here is what that
// header is made of, namespace detail but for StartOptions and Messages.
//
// Each pair of a server class and a message type has one static SignalTable whose `deliver` calls the overload; each class
// has one ServerTable, which is all that the untyped loop (src/otp/server.cpp) knows of it, and whose address is the
// identity that every typed delivery compares.
#pragma once

#include <any>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <coppice/call.hpp>
#include <coppice/message.hpp>
#include <coppice/process.hpp>
#include <coppice/server_name.hpp>
#include <coppice/server_ref.hpp>
#include <coppice/start_result.hpp>

namespace coppice {
inline namespace v1 {

template <class S>
class GenServer;
template <class T>
class TaskResult;

// The messages that may reach a server through a bare Pid. Each must have a handle_info; checked when the server is
// started.
template <class... Ms>
struct Messages {};

// Options of start_link_as and its kin. Every field has a default.
struct StartOptions {
  ServerName name = {};
  WaitTime timeout = infinity;          // of the constructor and init together (GS-009)
  WaitTime hibernate_after = infinity;  // accepted; an idle server holds no stack anyway (GS-012)
  SpawnOptions spawn = {};              // its `name` must stay empty
  bool trace = false;                   // sys::trace from the start (GS-010)
  bool statistics = false;              // sys::statistics from the start
  std::size_t log = 0;                  // sys::log of so many events from the start
};

namespace detail {

// -- what a callback asks for ---------------------------------------------------------------------------------------

enum class Verdict : std::uint8_t { go_on, stop, ignore, error, bad_return };
enum class Pause : std::uint8_t { none, timeout, hibernate, go_on };

struct Wish {
  Verdict verdict = Verdict::go_on;
  Pause pause = Pause::none;
  std::int64_t timeout = 0;        // ns, for Pause::timeout
  Signal* continuation = nullptr;  // for Pause::go_on; owned
  ExitReason reason;               // for stop, error, bad_return

  Wish() = default;
  Wish(Wish&& other) noexcept
      : verdict(other.verdict),
        pause(other.pause),
        timeout(other.timeout),
        continuation(std::exchange(other.continuation, nullptr)),
        reason(std::move(other.reason)) {}
  Wish& operator=(Wish&& other) noexcept {
    std::swap(verdict, other.verdict);
    std::swap(pause, other.pause);
    std::swap(timeout, other.timeout);
    std::swap(continuation, other.continuation);
    std::swap(reason, other.reason);
    return *this;
  }
  ~Wish() {
    if (continuation) continuation->table->destroy(continuation);
  }
  // Of a callback that asked for nothing: there is nothing to obey and nothing to clear.
  [[nodiscard]] bool is_empty() const noexcept {
    return verdict == Verdict::go_on && pause == Pause::none && continuation == nullptr && reason.is_normal();
  }
};
// Notes a timeout; a negative one makes the whole value a bad return (GS-064).
COPPICE_API void wish_timeout(Wish& wish, WaitTime timeout);

struct ServerTable;

// The part of a server that typed code sees.
struct ServerBody {
  void* state = nullptr;  // the S
  const ServerTable* table = nullptr;
  Wish wish;                        // of the callback that ran last
  CallNode* held_reply = nullptr;   // stop(reason, value): sent once terminate has run (GS-060)
  CallNode* unanswered = nullptr;   // the call whose handler runs, until it has replied
  bool debugging = false;           // somebody follows this server: replies are to be described
  std::optional<Term> shown_reply;  // what the handler that ran last has replied, if debugging
};

using Deliver = void (*)(ServerBody&, Signal*);

// What the untyped server loop knows of a class. One static object for each; its address is the behaviour's identity.
struct ServerTable {
  std::string_view name;
  const char* name_text;
  std::size_t size;
  std::size_t alignment;
  std::size_t stack_size;
  bool trap_exit;
  bool migratable;
  void (*init)(ServerBody&);  // null without an init()
  void (*destroy)(void* state) noexcept;
  Deliver (*find_info)(const TypeIdentity*);          // handler of a bare message, or null
  void (*handle_any)(ServerBody&, Signal*);           // a catch-all for Term or std::any, or null
  void (*terminate)(void* state, const ExitReason&);  // null without one
  Term (*format_state)(const void* state);
  std::string (*initial_call)(const void* state);  // null: the class and its init
  bool is_machine;                                 // a StateMachine, for reports
};

// Constructs the state in the new process.
struct Constructor : Pooled {
  virtual ~Constructor() = default;
  virtual void construct(void* memory) = 0;
};
template <class S, class... Args>
struct ConstructorOf final : Constructor {
  std::tuple<Args...> arguments;
  template <class... Given>
  explicit ConstructorOf(Given&&... given) : arguments(std::forward<Given>(given)...) {}
  void construct(void* memory) override {
    std::apply([&](Args&... args) { ::new (memory) S(std::move(args)...); }, arguments);
  }
};

COPPICE_API StartOutcome start_server(const ServerTable& table, std::unique_ptr<Constructor> constructor,
                                      const StartOptions& options, Bond bond);
[[noreturn]] COPPICE_API void enter_server_loop(const ServerTable& table, void* state, const ServerName& name,
                                                Wish first);

// -- typed delivery -------------------------------------------------------------------------------------------------

template <class S>
consteval const ServerTable* server_table();

template <class S>
S& server_of(ServerBody& body) noexcept {
  return *static_cast<S*>(body.state);
}

// Runs a handler that returns void or something with a Wish.
template <class F>
void run_for_wish(ServerBody& body, F&& handler) {
  using R = std::invoke_result_t<F>;
  if constexpr (std::is_void_v<R>) {
    handler();
  } else {
    static_assert(std::is_base_of_v<Wish, R>, "this handler must return void or Action");
    Wish wish = handler();
    body.wish = std::move(wish);
  }
}

// A state machine takes its events in by itself (state_machine_dispatch.hpp).
template <class S>
concept IsMachine = requires { typename S::MachineState; };

template <class S, class M>
void deliver_cast(ServerBody& body, Signal* signal) {
  M& message = static_cast<MessageNode<M>*>(signal)->payload;
  if constexpr (IsMachine<S>) {
    S::template take_event<OnCast>(body, std::move(message));
  } else {
    run_for_wish(body, [&] { return server_of<S>(body).handle_cast(std::move(message)); });
  }
}
template <class S, class M>
void deliver_info(ServerBody& body, Signal* signal) {
  // The payload of a runtime's own message (Down, ExitMessage) does not stand in a MessageNode: ask the table.
  M& message = *static_cast<M*>(payload_of(signal));
  if constexpr (IsMachine<S>) {
    S::template take_event<OnInfo>(body, std::move(message));
  } else {
    run_for_wish(body, [&] { return server_of<S>(body).handle_info(std::move(message)); });
  }
}
template <class S, class M>
void deliver_continue(ServerBody& body, Signal* signal) {
  M& message = static_cast<MessageNode<M>*>(signal)->payload;
  run_for_wish(body, [&] { return server_of<S>(body).handle_continue(std::move(message)); });
}

// For whoever follows the server by sys; before the reply goes to its caller.
template <class R>
void note_reply(ServerBody& body, const ReplyNode<R>* node) {
  if (body.debugging) body.shown_reply = describe_payload<R>(&*node->reply);
}

// After an Answer (or an Action, which has no reply): replies now, after terminate, or not at all.
template <class R, class Returned>
void finish_call(ServerBody& body, ReplyNode<R>* node, Returned&& returned) {
  bool has_reply = false;
  if constexpr (requires { returned.value; }) {
    if (returned.value) {
      node->reply.emplace(*std::move(returned.value));
      has_reply = true;
    }
  }
  body.wish = static_cast<Wish&&>(returned);
  if (body.wish.verdict == Verdict::bad_return) return;  // stays unanswered: the caller learns the reason
  if (has_reply && body.wish.verdict == Verdict::stop) {
    body.held_reply = std::exchange(body.unanswered, nullptr);
  } else if (has_reply) {
    note_reply(body, node);
    body.unanswered = nullptr;
    send_reply(node);
  } else if (body.wish.verdict != Verdict::stop) {
    body.unanswered = nullptr;
    drop_from(node);  // noreply() without a From: nobody could reply any more
  }
}

template <class S, class M>
void deliver_call(ServerBody& body, Signal* signal) {
  using R = typename M::Reply;
  auto* node = static_cast<Envelope<M, R>*>(signal);
  S& server = server_of<S>(body);
  if constexpr (IsMachine<S>) {
    M request(std::move(node->request_value));
    watch_call(node);
    body.unanswered = nullptr;
    S::template take_call<M>(body, std::move(request), From<R>(node));
  } else if constexpr (HandlesFromCall<S, M>) {
    M request(std::move(node->request_value));
    watch_call(node);
    body.unanswered = nullptr;
    run_for_wish(body, [&] { return server.handle_call(std::move(request), From<R>(node)); });
  } else {
    body.unanswered = node;
    using Returned = decltype(server.handle_call(std::move(node->request_value)));
    static_assert(!std::is_void_v<Returned>,
                  "a handle_call that returns nothing must take a From<R> to reply through later");
    if constexpr (std::is_base_of_v<Wish, Returned>) {
      Returned returned = server.handle_call(std::move(node->request_value));
      finish_call<R>(body, node, std::move(returned));
    } else {
      node->reply.emplace(server.handle_call(std::move(node->request_value)));
      note_reply<R>(body, node);
      body.unanswered = nullptr;
      send_reply(node);
    }
  }
}

template <class S, class M>
inline constexpr SignalTable cast_table{SignalKind::message,
                                        message_offset<M>(),
                                        &type_identity<M>,
                                        server_table<S>(),
                                        &destroy_node<MessageNode<M>>,
                                        &deliver_cast<S, M>,
                                        nullptr,
                                        &describe_payload<M>,
                                        true};
template <class S, class M>
inline constexpr SignalTable info_table{
    SignalKind::message,           message_offset<M>(), &type_identity<M>, server_table<S>(),
    &destroy_node<MessageNode<M>>, &deliver_info<S, M>, nullptr,           &describe_payload<M>};
template <class S, class M>
inline constexpr SignalTable continue_table{
    SignalKind::message,           message_offset<M>(),     &type_identity<M>, server_table<S>(),
    &destroy_node<MessageNode<M>>, &deliver_continue<S, M>, nullptr,           &describe_payload<M>};
// `static constexpr bool never_waits = true;` in a message: see gen_server.hpp.
template <class M>
consteval bool promises_not_to_wait() {
  if constexpr (requires { M::never_waits; }) {
    static_assert(std::is_same_v<decltype(M::never_waits), const bool>,
                  "never_waits is declared as: static constexpr bool never_waits = true;");
    return M::never_waits;
  } else {
    return false;
  }
}

template <class S, class M>
inline constexpr SignalTable call_table{SignalKind::message,
                                        envelope_offset<M, typename M::Reply>(),
                                        &type_identity<M>,
                                        server_table<S>(),
                                        &destroy_node<Envelope<M, typename M::Reply>>,
                                        &deliver_call<S, M>,
                                        &bounce_call,
                                        &describe_payload<M>,
                                        false,
                                        nullptr,
                                        promises_not_to_wait<M>()};

template <class M>
void check_message() {
  static_assert(std::is_move_constructible_v<M>, "a message must be movable");
  static_assert(safe_message<M>,
                "a message may not hold a bare pointer, reference, string_view or span: its owner may be gone when it "
                "is read. Send a value, a std::shared_ptr<const T>, or wrap it in unsafe_shared<T>");
}

template <class S, class M>
Signal* make_typed(const SignalTable& table, M&& message) {
  using T = std::remove_cvref_t<M>;
  check_message<T>();
  auto* node = make_node<MessageNode<T>>(T(std::forward<M>(message)));
  node->table = &table;
  return node;
}
template <class S, class M>
Signal* make_cast(M&& message) {
  return make_typed<S>(cast_table<S, std::remove_cvref_t<M>>, std::forward<M>(message));
}
template <class S, class M>
Signal* make_info(M&& message) {
  return make_typed<S>(info_table<S, std::remove_cvref_t<M>>, std::forward<M>(message));
}
template <class S, class M>
CallNode* make_call(M&& message) {
  using T = std::remove_cvref_t<M>;
  using R = typename T::Reply;
  check_message<T>();
  static_assert(safe_message<R>, "a reply may not hold a bare pointer, reference, string_view or span");
  auto* node = make_node<Envelope<T, R>>(T(std::forward<M>(message)));
  node->table = &call_table<S, T>;
  node->reply_table = &reply_table<T, R>;
  return node;
}

// -- the table of a class ---------------------------------------------------------------------------------------------

template <class S, class... Ms>
Deliver find_in(const TypeIdentity* type) {
  Deliver found = nullptr;
  const auto look = [&]<class M>(std::type_identity<M>) {
    if constexpr (HandlesInfo<S, M>) {
      if (found == nullptr && same_type(type, &type_identity<M>)) found = &deliver_info<S, M>;
    }
  };
  (look(std::type_identity<Ms>{}), ...);
  return found;
}
template <class S>
struct ListedMessages {
  using type = Messages<>;
};
template <class S>
  requires requires { typename S::Messages; }
struct ListedMessages<S> {
  using type = typename S::Messages;
};
template <class S, class... Ms>
Deliver find_listed(const TypeIdentity* type, Messages<Ms...>) {
  static_assert((HandlesInfo<S, Ms> && ...), "every entry of Messages<...> needs a handle_info");
  return find_in<S, Ms..., Down, ExitMessage, Timeout, Response, TimerCancelled>(type);
}

// Stands for a TaskResult of some type. A handler takes its own out of it; that of another type throws NoSuchHandler, before
// the handler is entered. So a class with one handle_info(TaskResult<T>) need not list it; one with several must, because the
// conversion is ambiguous then.
struct NoSuchHandler {};
class AnyTaskResult {
 public:
  explicit AnyTaskResult(Signal* signal) noexcept : signal_(signal) {}
  AnyTaskResult(const AnyTaskResult&) = delete;
  AnyTaskResult& operator=(const AnyTaskResult&) = delete;
  template <class T>
  operator TaskResult<T>() const {  // NOLINT: implicit on purpose
    if (!same_type(signal_->table->type, &type_identity<TaskResult<T>>)) throw NoSuchHandler{};
    return std::move(*static_cast<TaskResult<T>*>(payload_of(signal_)));
  }

 private:
  Signal* signal_;
};
template <class S>
concept HandlesTaskResult = requires(S& server, const AnyTaskResult& result) { server.handle_info(result); };

template <class S>
void handle_any(ServerBody& body, Signal* signal);
// A message for which the class has no handler after all: logged, as every other one (GS-109).
COPPICE_API void report_unknown(ServerBody& body, const Signal* signal);

template <class S>
void deliver_task_result(ServerBody& body, Signal* signal) {
  try {
    const AnyTaskResult result(signal);
    run_for_wish(body, [&] { return server_of<S>(body).handle_info(result); });
  } catch (const NoSuchHandler&) {
    if constexpr (HandlesInfo<S, Term> || HandlesInfo<S, std::any>) {
      handle_any<S>(body, signal);
    } else {
      report_unknown(body, signal);
    }
  }
}
template <class S>
Deliver find_info(const TypeIdentity* type) {
  const Deliver listed = find_listed<S>(type, typename ListedMessages<S>::type{});
  if constexpr (HandlesTaskResult<S>) {
    if (listed == nullptr && type->name.starts_with("TaskResult<")) return &deliver_task_result<S>;
  }
  return listed;
}

COPPICE_API Term message_term(const Signal* message);
// The payload itself, moved; a type that cannot be copied goes into no std::any: its Term then.
COPPICE_API std::any message_any(Signal* message);

template <class S>
void handle_any(ServerBody& body, Signal* signal) {
  if constexpr (IsMachine<S>) {
    if constexpr (HandlesInfo<S, Term>) S::template take_event<OnInfo>(body, message_term(signal));
  } else if constexpr (HandlesInfo<S, Term>) {
    run_for_wish(body, [&] { return server_of<S>(body).handle_info(message_term(signal)); });
  } else if constexpr (HandlesInfo<S, std::any>) {
    run_for_wish(body, [&] { return server_of<S>(body).handle_info(message_any(signal)); });
  }
}
template <class S>
void call_init(ServerBody& body) {
  if constexpr (IsMachine<S>) {
    S::start_machine(body);
  } else if constexpr (requires(S& s) { s.init(); }) {
    Wish wish = server_of<S>(body).init();
    body.wish = std::move(wish);
  }
}
template <class S>
void destroy_state(void* state) noexcept {
  static_cast<S*>(state)->~S();
}
template <class S>
void call_terminate(void* state, const ExitReason& reason) {
  if constexpr (requires(S& s) { s.terminate(reason); }) static_cast<S*>(state)->terminate(reason);
}
template <class S>
Term format_state(const void* state) {
  if constexpr (requires(const S& s) { s.format_status(); }) {
    try {
      return static_cast<const S*>(state)->format_status();
    } catch (...) {  // reports must be made: the state as it would show itself, with a note (GS-125)
      return Term(tuple(Atom("format_status_failed"), describe_payload<S>(state)));
    }
  } else if constexpr (IsMachine<S>) {
    return S::machine_status(state);
  } else {
    return describe_payload<S>(state);
  }
}
template <class S>
std::string initial_call_of(const void* state) {
  if constexpr (requires(const S& s) { s.initial_call(); }) return static_cast<const S*>(state)->initial_call();
  return {};
}
template <class S>
consteval std::size_t stack_size_of() {
  if constexpr (requires { S::stack_size; }) {
    return S::stack_size;
  } else {
    return 0;
  }
}
template <class S>
consteval bool traps_exits() {
  if constexpr (requires { S::trap_exit; }) {
    return S::trap_exit;
  } else {
    return false;
  }
}
template <class S>
consteval bool is_migratable() {
  if constexpr (requires { S::migratable; }) {
    return S::migratable;
  } else {
    return false;
  }
}

// The name of the class as text that ends with a zero.
template <class S>
struct NameText {
  static constexpr std::size_t size = type_name_of<S>().size();
  static constexpr auto text = [] {
    std::array<char, size + 1> copy{};
    for (std::size_t i = 0; i < size; ++i) copy[i] = type_name_of<S>()[i];
    return copy;
  }();
};

// What a class may have, or null.
template <class S>
consteval auto init_of() -> void (*)(ServerBody&) {
  if constexpr (IsMachine<S> || requires(S& s) { s.init(); }) return &call_init<S>;
  return nullptr;
}
template <class S>
consteval auto catch_all_of() -> void (*)(ServerBody&, Signal*) {
  if constexpr (HandlesInfo<S, Term> || (HandlesInfo<S, std::any> && !IsMachine<S>)) return &handle_any<S>;
  return nullptr;
}
template <class S>
consteval auto terminate_of() -> void (*)(void*, const ExitReason&) {
  if constexpr (requires(S& s, const ExitReason& r) { s.terminate(r); }) return &call_terminate<S>;
  return nullptr;
}
template <class S>
consteval auto shown_call_of() -> std::string (*)(const void*) {
  if constexpr (requires(const S& s) { s.initial_call(); }) return &initial_call_of<S>;
  return nullptr;
}

template <class S>
struct TableOf {
  static const ServerTable table;
};
template <class S>
const ServerTable TableOf<S>::table{.name = type_name_of<S>(),
                                    .name_text = NameText<S>::text.data(),
                                    .size = sizeof(S),
                                    .alignment = alignof(S),
                                    .stack_size = stack_size_of<S>(),
                                    .trap_exit = traps_exits<S>(),
                                    .migratable = is_migratable<S>(),
                                    .init = init_of<S>(),
                                    .destroy = &destroy_state<S>,
                                    .find_info = &find_info<S>,
                                    .handle_any = catch_all_of<S>(),
                                    .terminate = terminate_of<S>(),
                                    .format_state = &format_state<S>,
                                    .initial_call = shown_call_of<S>(),
                                    .is_machine = IsMachine<S>};

template <class S>
consteval const ServerTable* server_table() {
  return &TableOf<S>::table;
}

template <class S>
consteval bool declares_name() {
  if constexpr (requires { S::name; }) {
    return std::is_same_v<std::remove_cvref_t<decltype(S::name)>, Name<S>>;
  } else {
    return false;
  }
}

template <class S, class... Args>
StartOutcome start_typed(StartOptions options, Bond bond, Args&&... args) {
  static_assert(std::is_base_of_v<GenServer<S>, S>, "a server class derives from GenServer<itself>");
  static_assert(alignof(S) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__,
                "a server class is over-aligned: put the member that is behind a std::unique_ptr");
  static_assert(std::is_constructible_v<S, std::decay_t<Args>&&...>,
                "the server has no constructor that takes these arguments");
  return start_server(*server_table<S>(),
                      std::make_unique<ConstructorOf<S, std::decay_t<Args>...>>(std::forward<Args>(args)...), options,
                      bond);
}
template <class S>
StartOptions default_options() {
  StartOptions options;
  if constexpr (declares_name<S>()) options.name = S::name;
  return options;
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
