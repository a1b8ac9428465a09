// SPDX-License-Identifier: Apache-2.0
//
// How state_machine.hpp finds the handler of an event and carries out what it asked for. Not for users: include
// state_machine.hpp.
//
// Typed and untyped are split: a handler and the new state are typed and found here; the queue of events, postponing and
// the timeouts are MachineCore, which is compiled once (src/otp/state_machine.cpp).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <coppice/gen_server.hpp>

namespace coppice {
inline namespace v1 {

// Names one value of a state in the parameters of a handler: `handle_cast(In<Door::locked>, Button)`. The values of an
// enumeration that can be named so are those from 0 to 31.
template <auto Value>
struct In {
  static constexpr auto value = Value;
};

namespace detail {

// -- kinds of events: where each finds its handlers ----------------------------------------------------------------------

#define COPPICE_EVENT_KIND(Kind, member, text)                                                    \
  struct Kind {                                                                                   \
    static constexpr std::string_view handler = #member;                                          \
    static constexpr const char* name = text;                                                     \
    template <class S, class... A>                                                                \
    static auto invoke(S& machine, A&&... a) -> decltype(machine.member(std::forward<A>(a)...)) { \
      return machine.member(std::forward<A>(a)...);                                               \
    }                                                                                             \
  };
COPPICE_EVENT_KIND(OnCall, handle_call, "call")
COPPICE_EVENT_KIND(OnCast, handle_cast, "cast")
COPPICE_EVENT_KIND(OnInfo, handle_info, "info")
COPPICE_EVENT_KIND(OnInternal, handle_internal, "internal")
COPPICE_EVENT_KIND(OnStateTimeout, handle_state_timeout, "state_timeout")
COPPICE_EVENT_KIND(OnTimeout, handle_timeout, "timeout")
COPPICE_EVENT_KIND(OnNamedTimeout, handle_named_timeout, "named_timeout")
COPPICE_EVENT_KIND(OnEnter, handle_enter, "enter")
#undef COPPICE_EVENT_KIND

template <class S, class Kind, class... A>
concept Takes = requires(S& machine, A&&... a) { Kind::invoke(machine, std::forward<A>(a)...); };

// -- states ------------------------------------------------------------------------------------------------------------

template <class St>
struct is_variant : std::false_type {};
template <class... Ts>
struct is_variant<std::variant<Ts...>> : std::true_type {};

// The name of an enumerator, from the compiler's own spelling; empty for a value that has none.
template <auto Value>
consteval std::string_view enumerator_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("Value = ") + 8);
  text = text.substr(0, text.find_first_of(";]"));
  text = text.substr(text.rfind(':') + 1);
  return text.find(')') == std::string_view::npos ? text : std::string_view{};  // "(Lock)7": a value without a name
}

inline constexpr std::size_t named_states = 32;

template <class St, std::size_t I = 0>
Term enumerator_term(St state) {
  if constexpr (I == named_states) {
    return Term(static_cast<std::int64_t>(state));
  } else {
    if (static_cast<std::size_t>(state) != I) return enumerator_term<St, I + 1>(state);
    constexpr std::string_view name = enumerator_name<static_cast<St>(I)>();
    if constexpr (name.empty()) {
      return Term(static_cast<std::int64_t>(I));
    } else {
      return Term(Atom(name));
    }
  }
}

template <class St>
Term state_term(const St& state) {
  if constexpr (std::is_enum_v<St>) {
    return enumerator_term(state);
  } else if constexpr (is_variant<St>::value) {
    return std::visit(
        []<class T>(const T& one) {
          if constexpr (reflects_to_term<T>())
            return coppice::v1::to_term(one);
          else
            return Term(type_tag_of<T>());
        },
        state);
  } else {
    return describe_payload<St>(&state);
  }
}

// Can it be compared? std::variant has an operator== that fails to compile if an alternative has none.
template <class St>
struct comparable_state : std::bool_constant<std::equality_comparable<St>> {};
template <class... Ts>
struct comparable_state<std::variant<Ts...>> : std::bool_constant<(std::equality_comparable<Ts> && ...)> {};

// Is it still the same state? Of a variant whose alternatives cannot be compared, only which one it holds counts.
template <class St>
bool same_state(const St& left, const St& right) {
  if constexpr (comparable_state<St>::value) {
    return left == right;
  } else {
    static_assert(is_variant<St>::value, "the type of a state must be comparable by == (or be a variant)");
    return left.index() == right.index();
  }
}

// -- which handlers there are ------------------------------------------------------------------------------------------

template <class S, class Kind, class St, class... A>
consteval bool takes_in_some_state() {
  if constexpr (std::is_enum_v<St>) {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (Takes<S, Kind, In<static_cast<St>(I)>, A...> || ...);
    }(std::make_index_sequence<named_states>{});
  } else if constexpr (is_variant<St>::value) {
    return []<class... Ts>(std::type_identity<std::variant<Ts...>>) {
      return (Takes<S, Kind, Ts&, A...> || ...);
    }(std::type_identity<St>{});
  } else {
    return false;
  }
}
template <class S, class Kind, class St, class... A>
consteval bool takes_event() {
  return Takes<S, Kind, A...> || Takes<S, Kind, const exactly<St>&, A...> || takes_in_some_state<S, Kind, St, A...>();
}

// Calls `found(state argument...)` for the most special handler of the state: the one for its value or alternative, then
// the one that takes any state, then the one that takes none. False if there is none.
template <class S, class Kind, class... A>
struct Finder {
  template <class St, class F>
  static bool find(St& state, F&& found) {
    if constexpr (std::is_enum_v<St>) {
      if (find_value(state, found, std::make_index_sequence<named_states>{})) return true;
    } else if constexpr (is_variant<St>::value) {
      if (std::visit([&]<class T>(T& one) { return find_alternative(one, found); }, state)) return true;
    }
    if constexpr (Takes<S, Kind, const exactly<St>&, A...>) {
      found(St(state));
      return true;
    } else if constexpr (Takes<S, Kind, A...>) {
      found();
      return true;
    }
    return false;
  }
  template <class St, class F, std::size_t... I>
  static bool find_value(const St& state, F& found, std::index_sequence<I...>) {
    return (find_one<static_cast<St>(I)>(state, found) || ...);
  }
  template <auto Value, class St, class F>
  static bool find_one(const St& state, F& found) {
    if constexpr (Takes<S, Kind, In<Value>, A...>) {
      if (state == Value) {
        found(In<Value>{});
        return true;
      }
    }
    return false;
  }
  template <class T, class F>
  static bool find_alternative(T& one, F& found) {
    if constexpr (Takes<S, Kind, T&, A...>) {
      found(one);
      return true;
    }
    return false;
  }
};

// -- events and what is to be done after one ---------------------------------------------------------------------------

struct MachineOutcome;

// An event in the hands of the machine: in its queue, postponed, or the content of a timeout.
struct MachineEvent {
  MachineEvent() = default;
  MachineEvent(const MachineEvent&) = delete;
  MachineEvent& operator=(const MachineEvent&) = delete;
  virtual ~MachineEvent() = default;
  virtual void run(void* machine, MachineOutcome& outcome) = 0;
  [[nodiscard]] virtual Term describe() const = 0;  // {type, content}
};
using EventPointer = std::unique_ptr<MachineEvent>;

enum class TimeoutKind : std::uint8_t { state, event, named };
struct TimeoutAction {
  enum class Do : std::uint8_t { start, cancel, update } what = Do::start;
  TimeoutKind kind = TimeoutKind::state;
  Term name;  // of a named one
  WaitTime time = infinity;
  bool absolute = false;
  EventPointer event;  // its content
};

struct MachineActions {
  bool postpone = false;
  std::vector<EventPointer> inserted;
  std::vector<TimeoutAction> timeouts;
  // What an enter call wants besides: it can neither postpone nor insert (SM-030).
  void append_of_enter(MachineActions&& more);
};

// What an event has led to, the new state being set already.
struct MachineOutcome {
  bool stop = false;
  bool changed = false;  // to a different state
  bool enter = false;    // an enter call is due
  ExitReason reason;
  MachineActions actions;
};

struct MachineTable {
  void (*enter)(void* machine, MachineOutcome& outcome);  // null without enter calls
  Signal* (*timer_message)(const Reference& timer);
};

// The machine's queue, what it has postponed, and its timeouts. Only its own process touches it.
class COPPICE_API MachineCore {
 public:
  MachineCore() = default;
  // A copy of a machine (sys::get_state) is its state and its data: no event is copied.
  MachineCore(const MachineCore&) noexcept {}
  MachineCore& operator=(const MachineCore&) noexcept { return *this; }  // NOLINT(bugprone-unhandled-self-assignment)
  ~MachineCore();

  // Handles the event and then all that is queued inside, until the mailbox is next (SM-011).
  void take(ServerBody& body, const MachineTable& table, EventPointer event);
  // What init has asked for, and the first enter call (SM-005, SM-008).
  void begin(ServerBody& body, const MachineTable& table, MachineActions actions);
  // A timer went off. One that was replaced or cancelled meanwhile is nobody's (SM-043).
  void timer_fired(ServerBody& body, const MachineTable& table, const Reference& timer);
  // {state, data}, and behind them what is queued, postponed and timed, if anything is (SM-050, SM-066).
  [[nodiscard]] Term status(Term state, Term data) const;

 private:
  struct Running {
    TimeoutKind kind;
    Term name;
    Reference timer;  // none: it was zero, and stands in the queue of those that are due
    EventPointer event;
    [[nodiscard]] bool is(TimeoutKind k, const Term& n) const {
      return kind == k && (k != TimeoutKind::named || name == n);
    }
  };

  bool settle(ServerBody& body, const MachineTable& table, MachineOutcome& outcome, EventPointer event);
  void drain(ServerBody& body, const MachineTable& table);
  void handle(ServerBody& body, const MachineTable& table, EventPointer event);
  void carry_out(TimeoutAction action, const MachineTable& table);
  void cancel(TimeoutKind kind, const Term& name);
  void drop_all() noexcept;

  std::deque<EventPointer> queue_;
  std::vector<EventPointer> postponed_;
  std::vector<Running> timeouts_;  // few: looked through; zero ones in the order in which they were set
  MachineEvent* current_ = nullptr;
};

[[noreturn]] COPPICE_API void throw_unhandled_event(std::string_view module, std::string_view handler,
                                                    const Term& content, const Term& state);

struct MachineTimer {
  Reference reference;
};
struct MachineBegin {
  MachineActions actions;
};

}  // namespace detail
}  // namespace v1
}  // namespace coppice
