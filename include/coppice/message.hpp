// SPDX-License-Identifier: Apache-2.0
//
// Messages: any movable C++ type may be one. This header says which types are accepted, names the messages that the
// runtime itself sends (Down, ExitMessage, Timeout, ...), and holds the small type-erased node in which a message
// travels (namespace detail: not for users).
//
// A message is moved into its node by the sender and moved out by the receiver; it is never copied or converted, and
// the sender keeps nothing of it (PR-034). So that this holds, a message may not contain a bare pointer, reference,
// std::string_view or span: `send` refuses it at compile time. Share an immutable payload as
// std::shared_ptr<const T>; where you vouch for a pointer yourself, wrap it in unsafe_shared<T>.
#pragma once

#include <any>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <coppice/config.hpp>
#include <coppice/exit_reason.hpp>
#include <coppice/pid.hpp>
#include <coppice/reflect.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

// -- messages that the runtime sends --------------------------------------------------------------------------------

// A monitored process is gone: OTP's `{:DOWN, ref, :process, object, reason}` (PR-065). `name` is the name that was
// monitored, empty if a pid was; `tag` is nil unless the monitor was set with one (PR-077).
struct Down {
  Reference reference;
  Pid pid;
  ExitReason reason;
  std::string name;
  Term tag;
};

// A linked process ended, or somebody sent an exit signal, to a process that traps exits: OTP's `{:EXIT, pid, reason}`
// (PR-056).
struct ExitMessage {
  Pid pid;
  ExitReason reason;
};

// No message arrived for as long as the last callback asked: OTP's `:timeout` in handle_info (GS-079).
struct Timeout {};

// What start_timer delivers: OTP's `{:timeout, timer_ref, message}` (PR-091).
template <class T>
struct TimerTimeout {
  Reference reference;
  T message;
};

// Answer to cancel_timer(ref, {.async = true}): OTP's `{:cancel_timer, ref, left}`; nullopt is OTP's `false` (PR-101).
struct TimerCancelled {
  Reference reference;
  std::optional<std::chrono::milliseconds> left;
};

// Says that `value` may be shared with the receiver although the compiler cannot know it. The lifetime and every
// synchronisation are the user's own affair.
template <class T>
struct unsafe_shared {
  T value;
};

namespace detail {

// -- what may be a message --------------------------------------------------------------------------------------------

template <class T>
struct is_borrowed : std::bool_constant<std::is_pointer_v<T> || std::is_reference_v<T> || std::is_member_pointer_v<T>> {
};
template <class C, class Tr>
struct is_borrowed<std::basic_string_view<C, Tr>> : std::true_type {};
template <class T>
concept SpanLike = requires { typename T::element_type; } && !requires(T t) { t.reset(); } &&
                   requires(T t, std::size_t n) { t.subspan(n); };

template <class T>
struct is_safe_message;
template <class T, bool Walk>
struct fields_are_safe : std::true_type {};
template <class List>
struct all_are_safe;
template <class... Fields>
struct all_are_safe<FieldTypes<Fields...>> : std::bool_constant<(is_safe_message<Fields>::value && ...)> {};
template <class T>
struct fields_are_safe<T, true> : all_are_safe<field_types_of<T>> {};
// Looks into aggregates, field by field; what hides in a class with private members is its author's promise.
template <class T>
struct is_safe_message
    : std::bool_constant<!is_borrowed<T>::value && !SpanLike<T> && fields_are_safe<T, Reflectable<T>>::value> {};
template <class T>
struct is_unsafe_shared : std::false_type {};
template <class T>
struct is_unsafe_shared<unsafe_shared<T>> : std::true_type {};
template <class T>
struct is_safe_message<unsafe_shared<T>> : std::true_type {};
template <class T>
inline constexpr bool safe_message = is_unsafe_shared<T>::value || is_safe_message<T>::value;

// -- type identity ------------------------------------------------------------------------------------------------------

struct TypeIdentity {
  std::uint64_t hash;
  const std::type_info* info;
  std::string_view name;  // unqualified
  bool trivial = false;   // copying is as good as moving: still whole after it was moved from
};

constexpr std::uint64_t hash_text(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return h;
}

template <class T>
inline constexpr TypeIdentity type_identity{hash_text(qualified_type_name_of<T>()), &typeid(T), type_name_of<T>(),
                                            std::is_trivially_copyable_v<T>};

// Addresses of inline variables may differ across shared objects: compare the pointer first, then hash and name.
inline bool same_type(const TypeIdentity* a, const TypeIdentity* b) noexcept {
  return a == b || (a->hash == b->hash && *a->info == *b->info);
}

// -- the node in which a signal travels -----------------------------------------------------------------------------

enum class SignalKind : std::uint8_t {
  message,        // an ordinary message: goes to the mailbox
  alias_message,  // an ordinary message sent through an alias
  exit,           // exit signal, explicit
  link_exit,      // exit signal caused by a link
  link,
  unlink,
  unlink_ack,
  monitor,
  demonitor,
  down,
  call_watch_down,  // the server of a deferred call died
  call_unwatch,
  reply,   // a call's envelope on its way back
  wake,    // a deadline passed
  inspect  // process_info, alive: run a function in the process
};

struct Signal;
struct ServerBody;

// One static table for each type of node.
struct SignalTable {
  SignalKind kind;
  std::uint16_t payload_offset;           // from the Signal to the payload, for messages
  const TypeIdentity* type;               // of the payload; null for bare signals
  const void* behaviour;                  // typed delivery: the behaviour that must receive it, or null
  void (*destroy)(Signal*) noexcept;      // frees the node and what it holds
  void (*deliver)(ServerBody&, Signal*);  // typed delivery: runs the handler; consumes the node
  void (*bounce)(Signal*,
                 const ExitReason&) noexcept;   // tells the sender that nobody will handle it; consumes the node
  Term (*describe)(const void* payload);        // for reports and catch-alls
  bool is_cast = false;                         // typed delivery to handle_cast
  std::any (*to_any)(void* payload) = nullptr;  // for a catch-all; moves the payload. Null: it cannot be copied
  bool never_waits = false;                     // typed delivery of a call: its handler has promised not to wait
};

struct Signal {
  Signal* next = nullptr;
  const SignalTable* table = nullptr;
};

inline void* payload_of(Signal* signal) noexcept {
  return reinterpret_cast<std::byte*>(signal) + signal->table->payload_offset;
}

// Memory of nodes. Kept behind functions so that a pooled allocator may take their place.
[[nodiscard]] COPPICE_API void* allocate_node(std::size_t size);
COPPICE_API void free_node(void* memory, std::size_t size) noexcept;

// A base for objects that are made and destroyed as often as messages, and may be destroyed on another thread: `new` and
// `delete` take their memory from that of the nodes.
struct Pooled {
  static void* operator new(std::size_t size) { return allocate_node(size); }
  static void* operator new(std::size_t size, std::align_val_t alignment) { return ::operator new(size, alignment); }
  static void* operator new(std::size_t, void* place) noexcept { return place; }
  static void operator delete(void* memory, std::size_t size) noexcept { free_node(memory, size); }
  static void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
    ::operator delete(memory, alignment);
  }
  static void operator delete(void*, void*) noexcept {}
};

template <class Node, class... Args>
[[nodiscard]] Node* make_node(Args&&... args) {
  static_assert(alignof(Node) <= 16, "an over-aligned message: put it behind a std::unique_ptr");
  void* memory = allocate_node(sizeof(Node));
  try {
    return ::new (memory) Node(std::forward<Args>(args)...);
  } catch (...) {
    free_node(memory, sizeof(Node));
    throw;
  }
}
template <class Node>
void destroy_node(Signal* signal) noexcept {
  Node* node = static_cast<Node*>(signal);
  node->~Node();
  free_node(node, sizeof(Node));
}

// Describes a payload for reports: converted if it can be, else `#Name<opaque>`.
[[nodiscard]] COPPICE_API Term opaque_term(std::string_view type_name);
template <class T>
Term describe_payload(const void* payload) {
  if constexpr (std::is_constructible_v<Term, const T&>) {
    return Term(*static_cast<const T*>(payload));
  } else if constexpr (reflects_to_term<T>()) {
    return to_term(*static_cast<const T*>(payload));
  } else {
    return opaque_term(type_name_of<T>());
  }
}

// Destroys a node at the end of a scope.
struct MessageOwner {
  Signal* message;
  ~MessageOwner() {
    if (message) message->table->destroy(message);
  }
};

template <class T>
struct MessageNode : Signal {
  T payload;
  explicit MessageNode(T&& value) : payload(std::move(value)) {}
};

template <class T>
consteval std::uint16_t message_offset() {
  constexpr std::size_t base = sizeof(Signal);
  return static_cast<std::uint16_t>((base + alignof(T) - 1) / alignof(T) * alignof(T));
}

template <class T>
std::any payload_to_any(void* payload) {
  return std::any(std::in_place_type<T>, std::move(*static_cast<T*>(payload)));
}
template <class T>
consteval auto any_maker() -> std::any (*)(void*) {
  if constexpr (std::is_copy_constructible_v<T>) {
    return &payload_to_any<T>;
  } else {
    return nullptr;
  }
}

// The table of an ordinary message of type T, as it travels to a bare Pid.
template <class T>
inline constexpr SignalTable message_table{SignalKind::message,
                                           message_offset<T>(),
                                           &type_identity<T>,
                                           nullptr,
                                           &destroy_node<MessageNode<T>>,
                                           nullptr,
                                           nullptr,
                                           &describe_payload<T>,
                                           false,
                                           any_maker<T>()};

template <class T>
[[nodiscard]] Signal* make_message(T&& value) {
  using M = std::remove_cvref_t<T>;
  static_assert(std::is_move_constructible_v<M>, "a message must be movable");
  static_assert(safe_message<M>,
                "a message may not hold a bare pointer, reference, string_view or span: its owner may be gone when it "
                "is read. Send a value, a std::shared_ptr<const T>, or wrap it in unsafe_shared<T>");
  auto* node = make_node<MessageNode<M>>(M(std::forward<T>(value)));
  node->table = &message_table<M>;
  return node;
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
