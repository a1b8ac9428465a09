// SPDX-License-Identifier: Apache-2.0
//
// StateMachine: a server whose behaviour depends on a state, with an event queue, postponing, and three kinds of timeouts.
//
//   enum class Lock { locked, open };
//   class CodeLock : public StateMachine<CodeLock, Lock> {
//    public:
//     struct Button { int digit; };
//     static constexpr Lock initial_state = Lock::locked;
//
//     explicit CodeLock(int code) : code_(code) {}
//     Transition handle_cast(In<Lock::locked>, Button b) {
//       if (b.digit != code_) return keep_state();
//       return next_state(Lock::open).state_timeout(10s);
//     }
//     Transition handle_cast(In<Lock::open>, Button) { return keep_state().postpone(); }
//     Transition handle_state_timeout(In<Lock::open>, Timeout) { return next_state(Lock::locked); }
//    private:
//     int code_;
//   };
//   auto lock = CodeLock::start_link(7).value();
//   lock.cast(CodeLock::Button{7});
//
// The state is any type comparable by ==: an enumeration, a struct, or a std::variant whose alternatives carry data of
// their own. The object itself is what OTP calls the data.
//
// Starting, naming, addresses (call, cast, send), trap_exit, terminate, sys and format_status are those of GenServer
// (gen_server.hpp); a call waits for ever by default (SM-057). The first state is `initial_state`, or what `Init init()`
// returns: ok(state) with actions, ignore(), stop(reason), error(reason).
//
// Handlers are found by overload: handle_call, handle_cast, handle_info, handle_internal (for next_event),
// handle_state_timeout, handle_timeout (the event timeout), handle_named_timeout. Each takes the state first:
//   (In<Lock::open>, M)   for that value of an enumeration (values 0 to 31);
//   (Open&, M)            for that alternative of a variant;
//   (Lock, M)             for any state;
//   (M)                   for any state.
// The most special one that takes the event is called. An event that has a handler in some state but none in the current
// one ends the machine, as a missing clause does in OTP.
//   handle_call   takes a `From<R>&` as its last parameter and replies by .reply(from, value), or moves it away to
//                 reply later; or it has none and returns the reply itself: keep_state and reply.
//   others        return void (keep_state) or Transition.
// The message stays with the machine until the handler has returned, so that it may be postponed.
//
// Enter calls: if the class has a handle_enter, it is called in each new state with the state before, and in the first
// one with itself: `Entered handle_enter(In<Lock::open>, Lock old)`. It returns void or Entered: keep_state, repeat_state
// or stop, with timeouts and replies; to change the state, to postpone or to insert an event is a compile error.
//
// After a handler (SM-031): replies are sent; the enter call is made; the event is postponed; after a change to a
// different state all postponed events come back, oldest first, and the state timeout is cancelled; the event timeout is
// always cancelled; new timeouts start; inserted events come before everything. The mailbox is next only when nothing is
// queued.
// OTP: gen_statem; rules SM-*. When not to use one: a GenServer with an `if` is simpler where nothing is postponed and
// nothing is timed by state.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <coppice/state_machine_dispatch.hpp>

namespace coppice {
inline namespace v1 {

// The base of a machine: class CodeLock : public StateMachine<CodeLock, Lock>.
template <class S, class State>
class StateMachine : public GenServer<S> {
 public:
  using MachineState = State;
  static constexpr WaitTime default_call_timeout = infinity;
  static constexpr std::string_view call_module = "gen_statem";

 protected:
  enum class Verdict_ : std::uint8_t { keep, next, repeat, stop, ignore, error };

  // What Transition, Entered and Init have in common: timeouts and replies. All are relative to the moment when they are
  // carried out; 0: due after what is queued, before the next message (SM-046); infinity cancels (SM-044). A second one of
  // a kind (or name) replaces the first. The content M goes to the handler; Timeout{} if none is given.
  template <class Derived>
  class Actions {
   public:
    // handle_state_timeout, unless the state has changed by then (SM-039).
    template <class M = Timeout>
    Derived&& state_timeout(WaitTime after, M content = {}, const TimerOptions& options = {}) && {
      return start<detail::OnStateTimeout>(detail::TimeoutKind::state, {}, after, std::move(content), options);
    }
    // handle_timeout, unless any event has come by then (SM-040).
    template <class M = Timeout>
    Derived&& timeout(WaitTime after, M content = {}, const TimerOptions& options = {}) && {
      return start<detail::OnTimeout>(detail::TimeoutKind::event, {}, after, std::move(content), options);
    }
    // handle_named_timeout: one for each name; nothing but another of that name, or its cancelling, cancels it (SM-041).
    template <class M = Timeout>
    Derived&& named_timeout(Term name, WaitTime after, M content = {}, const TimerOptions& options = {}) && {
      return start<detail::OnNamedTimeout>(detail::TimeoutKind::named, std::move(name), after, std::move(content),
                                           options);
    }
    // Harmless if none is running.
    Derived&& cancel_state_timeout() && { return cancel(detail::TimeoutKind::state, {}); }
    Derived&& cancel_timeout() && { return cancel(detail::TimeoutKind::event, {}); }
    Derived&& cancel_named_timeout(Term name) && { return cancel(detail::TimeoutKind::named, std::move(name)); }
    // Another content for a running one; if none is running it is due at once (SM-045).
    template <class M>
    Derived&& update_state_timeout(M content) && {
      return update<detail::OnStateTimeout>(detail::TimeoutKind::state, {}, std::move(content));
    }
    template <class M>
    Derived&& update_named_timeout(Term name, M content) && {
      return update<detail::OnNamedTimeout>(detail::TimeoutKind::named, std::move(name), std::move(content));
    }
    // Replies to a call, now; a second reply to it does nothing.
    template <class R, class V>
    Derived&& reply(From<R>& from, V&& value) && {
      from.reply(R(std::forward<V>(value)));
      return self_();
    }
    // Accepted for OTP's sake: an idle machine holds no stack anyway (SM-027).
    Derived&& hibernate() && { return self_(); }

   private:
    friend class StateMachine;
    Derived&& self_() { return static_cast<Derived&&>(*this); }
    template <class Kind, class M>
    Derived&& start(detail::TimeoutKind kind, Term name, WaitTime after, M content, const TimerOptions& options) {
      if (after.is_negative() && !options.absolute) detail::throw_badarg("a timeout may not be negative");
      actions_.timeouts.push_back({detail::TimeoutAction::Do::start, kind, std::move(name), after, options.absolute,
                                   StateMachine::template make_event<Kind>(std::move(content))});
      return self_();
    }
    Derived&& cancel(detail::TimeoutKind kind, Term name) {
      actions_.timeouts.push_back({detail::TimeoutAction::Do::cancel, kind, std::move(name), infinity, false, nullptr});
      return self_();
    }
    template <class Kind, class M>
    Derived&& update(detail::TimeoutKind kind, Term name, M content) {
      actions_.timeouts.push_back({detail::TimeoutAction::Do::update, kind, std::move(name), infinity, false,
                                   StateMachine::template make_event<Kind>(std::move(content))});
      return self_();
    }

    Verdict_ verdict_ = Verdict_::keep;
    ExitReason reason_;
    detail::MachineActions actions_;
  };

  // Inserting events: not from an enter call.
  template <class Derived>
  class Insertions : public Actions<Derived> {
   public:
    // handle_internal(M) is next, before all that is queued; several in the order given (SM-026).
    template <class M>
    Derived&& next_event(M content) && {
      return insert<detail::OnInternal>(std::move(content));
    }
    // The same, as if it had been cast or sent.
    template <class M>
    Derived&& next_cast(M content) && {
      return insert<detail::OnCast>(std::move(content));
    }
    template <class M>
    Derived&& next_info(M content) && {
      return insert<detail::OnInfo>(std::move(content));
    }

   private:
    template <class Kind, class M>
    Derived&& insert(M content) {
      this->actions_.inserted.push_back(StateMachine::template make_event<Kind>(std::move(content)));
      return static_cast<Derived&&>(*this);
    }
  };

  // What a handler returns.
  class [[nodiscard]] Transition : public Insertions<Transition> {
   public:
    // Puts the event aside until the state has changed (SM-034). A call keeps its caller waiting.
    Transition&& postpone(bool on = true) && { return this->actions_.postpone = on, std::move(*this); }

   private:
    friend class StateMachine;
    std::optional<State> state_;
  };

  // What an enter call returns.
  class [[nodiscard]] Entered : public Actions<Entered> {};

  // What init returns.
  class [[nodiscard]] Init : public Insertions<Init> {
   public:
    Init(Error error) {  // NOLINT: error(reason)
      this->verdict_ = Verdict_::error;
      this->reason_ = std::move(error.reason);
    }
    Init(Transition stop) {  // NOLINT: stop(reason)
      this->verdict_ = stop.verdict_;
      this->reason_ = stop.reason_;
    }

   private:
    friend class StateMachine;
    Init() = default;
    std::optional<State> state_;
  };

  [[nodiscard]] static Init ok(State state) {
    Init init;
    init.state_.emplace(std::move(state));
    return init;
  }
  [[nodiscard]] static Init ignore() {
    Init init;
    init.verdict_ = Verdict_::ignore;
    return init;
  }

  // The same state: nothing is replayed, the state timeout goes on (SM-016).
  [[nodiscard]] static Transition keep_state() { return {}; }
  // Another state; if it equals the current one this is keep_state (SM-015).
  [[nodiscard]] static Transition next_state(State state) {
    Transition transition;
    transition.verdict_ = Verdict_::next;
    transition.state_.emplace(std::move(state));
    return transition;
  }
  // The same state, entered once more: only the enter call is made (SM-017, SM-018).
  [[nodiscard]] static Transition repeat_state() {
    Transition transition;
    transition.verdict_ = Verdict_::repeat;
    return transition;
  }
  // Ends the machine after terminate; replies given by .reply have gone before (SM-019, SM-020).
  [[nodiscard]] static Transition stop(ExitReason reason = ExitReason::normal()) {
    Transition transition;
    transition.verdict_ = Verdict_::stop;
    transition.reason_ = std::move(reason);
    return transition;
  }
  // The same three for enter calls.
  [[nodiscard]] static Entered entered() { return {}; }
  [[nodiscard]] static Entered enter_again() {
    Entered entered;
    entered.verdict_ = Verdict_::repeat;
    return entered;
  }
  [[nodiscard]] static Entered stop_entering(ExitReason reason) {
    Entered entered;
    entered.verdict_ = Verdict_::stop;
    entered.reason_ = std::move(reason);
    return entered;
  }

 public:
  // The current state. In the machine's own process, or on a copy that sys::get_state has made.
  [[nodiscard]] const State& state() const noexcept { return *state_; }
  // Another state at once, without transition: for sys::replace_state.
  void replace(State state) { state_.emplace(std::move(state)); }

  // -- for the dispatch ------------------------------------------------------------------------------------------------
  template <class Kind, class M>
  static consteval bool handles_event() {
    if constexpr (std::is_same_v<Kind, detail::OnCall>) {
      using Reply = typename M::Reply;
      return detail::takes_event<S, Kind, State, const detail::exactly<M>&, From<Reply>&>() ||
             detail::takes_event<S, Kind, State, const detail::exactly<M>&>();
    } else {
      return detail::takes_event<S, Kind, State, const detail::exactly<M>&>();
    }
  }
  template <class Kind, class M>
  static void take_event(detail::ServerBody& body, M content) {
    machine_of(body).core_.take(body, table, make_event<Kind>(std::move(content)));
  }
  template <class M>
  static void take_call(detail::ServerBody& body, M request, From<typename M::Reply> from) {
    machine_of(body).core_.take(body, table, std::make_unique<Call<M>>(std::move(request), std::move(from)));
  }
  static void start_machine(detail::ServerBody& body);
  [[nodiscard]] static Term machine_status(const void* state) {
    const S& machine = *static_cast<const S*>(state);
    if (!machine.state_) return detail::describe_payload<S>(state);
    return machine.core_.status(detail::state_term<State>(*machine.state_), detail::describe_payload<S>(state));
  }

 protected:
  StateMachine() = default;
  ~StateMachine() = default;
  StateMachine(const StateMachine&) = default;
  StateMachine& operator=(const StateMachine&) = default;

 private:
  template <class Kind, class M>
  struct Event final : detail::MachineEvent {
    M content;
    explicit Event(M value) : content(std::move(value)) {}
    void run(void* machine, detail::MachineOutcome& outcome) override {
      call_handler<Kind, M>(*static_cast<S*>(machine), outcome, content);
    }
    [[nodiscard]] Term describe() const override {
      return Term(tuple(Atom(Kind::name), detail::describe_payload<M>(&content)));
    }
  };
  template <class M>
  struct Call final : detail::MachineEvent {
    using Reply = typename M::Reply;
    M request;
    From<Reply> from;
    Call(M value, From<Reply> caller) : request(std::move(value)), from(std::move(caller)) {}
    void run(void* machine, detail::MachineOutcome& outcome) override {
      call_handler<detail::OnCall, M>(*static_cast<S*>(machine), outcome, request, from);
    }
    [[nodiscard]] Term describe() const override {
      return Term(tuple(tuple(Atom("call"), from.pid()), detail::describe_payload<M>(&request)));
    }
  };

  template <class Kind, class M>
  static detail::EventPointer make_event(M content) {
    static_assert(handles_event<Kind, M>(), "the machine has no handler for this event in any state");
    return std::make_unique<Event<Kind, M>>(std::move(content));
  }
  // As the handler gets it: a message that can be copied is lent, so that it can be postponed unharmed.
  template <class M>
  static decltype(auto) lend(M& content) {
    if constexpr (std::is_copy_constructible_v<M>) {
      return std::as_const(content);
    } else {
      return std::move(content);
    }
  }

  template <class Kind, class M, class... Caller>
  static void call_handler(S& machine, detail::MachineOutcome& outcome, M& content, Caller&... from) {
    StateMachine& base = machine;
    State& state = *base.state_;
    bool found = false;
    if constexpr (detail::takes_event<S, Kind, State, const detail::exactly<M>&, Caller&...>()) {
      found = detail::Finder<S, Kind, const detail::exactly<M>&, Caller&...>::find(state, [&](auto&&... in_state) {
        run_handler(base, outcome, [&] {
          return Kind::invoke(machine, std::forward<decltype(in_state)>(in_state)..., lend(content), from...);
        });
      });
    }
    if constexpr (sizeof...(Caller) > 0 && detail::takes_event<S, Kind, State, const detail::exactly<M>&>()) {
      if (!found) {
        found = detail::Finder<S, Kind, const detail::exactly<M>&>::find(state, [&](auto&&... in_state) {
          const auto handler = [&] {
            return Kind::invoke(machine, std::forward<decltype(in_state)>(in_state)..., lend(content));
          };
          if constexpr (std::is_same_v<decltype(handler()), Transition>) {
            run_handler(base, outcome, handler);
          } else {
            (from.reply(handler()), ...);
          }
        });
      }
    }
    if (!found) {
      detail::throw_unhandled_event(type_name_of<S>(), Kind::handler, detail::describe_payload<M>(&content),
                                    detail::state_term<State>(state));
    }
  }

  template <class F>
  static void run_handler(StateMachine& machine, detail::MachineOutcome& outcome, F&& handler) {
    using Returned = decltype(handler());
    if constexpr (std::is_void_v<Returned>) {
      handler();
    } else {
      static_assert(std::is_same_v<Returned, Transition>, "this handler must return void or Transition");
      Transition transition = handler();
      outcome.actions = std::move(transition.actions_);
      if (transition.verdict_ == Verdict_::stop) {
        outcome.stop = true;
        outcome.reason = std::move(transition.reason_);
      } else if (transition.verdict_ == Verdict_::next && !detail::same_state(*machine.state_, *transition.state_)) {
        machine.old_ = std::move(machine.state_);
        machine.state_ = std::move(transition.state_);
        outcome.changed = outcome.enter = true;
      } else if (transition.verdict_ == Verdict_::repeat) {
        machine.old_ = machine.state_;
        outcome.enter = true;
      }
    }
  }

  static consteval bool has_enter() {
    return detail::takes_event<S, detail::OnEnter, State, const detail::exactly<State>&>();
  }
  static void enter(void* state, detail::MachineOutcome& outcome) {
    S& machine = *static_cast<S*>(state);
    StateMachine& base = machine;
    const State old = *base.old_;
    detail::Finder<S, detail::OnEnter, const detail::exactly<State>&>::find(*base.state_, [&](auto&&... in_state) {
      using Returned =
          decltype(detail::OnEnter::invoke(machine, std::forward<decltype(in_state)>(in_state)..., State(old)));
      if constexpr (std::is_void_v<Returned>) {
        detail::OnEnter::invoke(machine, std::forward<decltype(in_state)>(in_state)..., State(old));
      } else {
        static_assert(std::is_same_v<Returned, Entered>, "handle_enter must return void or Entered");
        Entered entered = detail::OnEnter::invoke(machine, std::forward<decltype(in_state)>(in_state)..., State(old));
        outcome.actions.append_of_enter(std::move(entered.actions_));
        outcome.stop = entered.verdict_ == Verdict_::stop;
        outcome.reason = std::move(entered.reason_);
        outcome.enter = entered.verdict_ == Verdict_::repeat;
      }
    });
    base.old_ = base.state_;
  }

  // -- the machine's own messages: a timer that went off, and the beginning, which init has put off
  static void deliver_timer(detail::ServerBody& body, detail::Signal* signal) {
    const auto& fired = static_cast<detail::MessageNode<detail::MachineTimer>*>(signal)->payload;
    machine_of(body).core_.timer_fired(body, table, fired.reference);
  }
  static void deliver_begin(detail::ServerBody& body, detail::Signal* signal) {
    StateMachine& machine = machine_of(body);
    machine.old_ = machine.state_;
    auto& begin = static_cast<detail::MessageNode<detail::MachineBegin>*>(signal)->payload;
    machine.core_.begin(body, table, std::move(begin.actions));
  }
  template <class M>
  static detail::Signal* own_message(M content) {
    static constexpr detail::SignalTable signals{
        detail::SignalKind::message,
        detail::message_offset<M>(),
        &detail::type_identity<M>,
        detail::server_table<S>(),
        &detail::destroy_node<detail::MessageNode<M>>,
        std::is_same_v<M, detail::MachineTimer> ? &deliver_timer : &deliver_begin,
        nullptr,
        &detail::describe_payload<M>};
    auto* node = detail::make_node<detail::MessageNode<M>>(std::move(content));
    node->table = &signals;
    return node;
  }
  static detail::Signal* timer_message(const Reference& timer) { return own_message(detail::MachineTimer{timer}); }
  static StateMachine& machine_of(detail::ServerBody& body) noexcept { return detail::server_of<S>(body); }

  static constexpr detail::MachineTable make_table() {
    if constexpr (has_enter()) {
      return {&enter, &timer_message};
    } else {
      return {nullptr, &timer_message};
    }
  }
  static const detail::MachineTable table;

  std::optional<State> state_;
  std::optional<State> old_;
  detail::MachineCore core_;
};

template <class S, class State>
const detail::MachineTable StateMachine<S, State>::table = make_table();

// init, or the initial state; the first enter call and init's actions come after the starter was told (SM-005).
template <class S, class State>
void StateMachine<S, State>::start_machine(detail::ServerBody& body) {
  S& machine = detail::server_of<S>(body);
  StateMachine& base = machine;
  detail::MachineActions actions;
  if constexpr (requires { machine.init(); }) {
    Init init = machine.init();
    body.wish.reason = std::move(init.reason_);
    switch (init.verdict_) {
      case Verdict_::ignore: body.wish.verdict = detail::Verdict::ignore; return;
      case Verdict_::error: body.wish.verdict = detail::Verdict::error; return;
      case Verdict_::keep: break;
      default: body.wish.verdict = detail::Verdict::stop; return;
    }
    base.state_ = std::move(init.state_);
    actions = std::move(init.actions_);
  } else {
    static_assert(
        requires { S::initial_state; }, "a state machine declares initial_state or Init init()");
    base.state_.emplace(S::initial_state);
  }
  body.wish.pause = detail::Pause::go_on;
  body.wish.continuation = own_message(detail::MachineBegin{std::move(actions)});
}

}  // namespace v1
}  // namespace coppice
