// SPDX-License-Identifier: Apache-2.0
//
// Dying in hard circumstances: in every kind of wait, against code that will not let go, and with what it holds.
#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "behaviour/death_support.hpp"
#include "runtime/core.hpp"

using namespace death;

namespace {

// Lets a process wait by `wait`, kills it there, and looks that its stack was unwound and nothing behind the wait ran.
void kill_in(const char* what, const std::function<void()>& wait) {
  SCOPED_TRACE(what);
  const Pid me = self();
  const Flag unwound = make_flag();
  const Flag passed = make_flag();
  const auto [pid, reference] = spawn_monitor([me, wait, unwound, passed] {
    const SetAtEnd guard(unwound);
    send(me, Ready{});
    wait();
    *passed = true;
  });
  receive<Ready>();
  exit(pid, ExitReason::kill());
  EXPECT_FALSE(alive(pid));
  EXPECT_EQ(await_reason(reference), ExitReason::killed());
  EXPECT_TRUE(unwound->load());
  EXPECT_FALSE(passed->load());
}

// -- what the runtime reports while one of these lives
std::mutex reports_mutex;
std::vector<std::string>& reports() {
  static std::vector<std::string> texts;
  return texts;
}
struct CaptureReports {
  runtime::Reporter previous = runtime::reporter();
  CaptureReports() {
    reports().clear();
    runtime::Reporter capturing = previous;
    capturing.warning = [](const std::string& text) {
      const std::lock_guard lock(reports_mutex);
      reports().push_back(text);
    };
    runtime::set_reporter(capturing);
  }
  ~CaptureReports() { runtime::set_reporter(previous); }
  bool any_contains(const std::string& wanted) const {
    const std::lock_guard lock(reports_mutex);
    for (const std::string& text : reports()) {
      if (text.find(wanted) != std::string::npos) return true;
    }
    return false;
  }
};

}  // namespace

// -- in every kind of wait ------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Death, a_kill_ends_every_kind_of_wait) {
  kill_in("receive", [] { receive<Never>(); });
  kill_in("receive with a deadline", [] { (void)receive<Never>(24h); });
  kill_in("receive with handlers", [] { receive([](const Never&) {}, after(infinity, [] {})); });
  kill_in("selective receive", [] {
    for (int i = 0; i < 5; ++i) send(self(), Number{i});
    receive(when([](const Number& n) { return n.value == 99; }, [](const Number&) {}));
  });
  kill_in("sleep for ever", [] { sleep_for(infinity); });
  kill_in("sleep", [] { sleep_for(24h); });
  kill_in("hibernate", [] { hibernate(); });
  kill_in("yield", [] {
    for (;;) yield();
  });
  kill_in("checkpoint", [] {
    for (;;) checkpoint();
  });
  kill_in("sleep of no time", [] {
    for (;;) sleep_for(0s);
  });
  kill_in("receive of no time", [] {
    for (;;) {
      (void)receive<Never>(0s);
      yield();
    }
  });
  const Pid server = spawn([] { sleep_for(infinity); });
  kill_in("call", [server] { (void)ask_in_vain(server); });
  exit(server, ExitReason::kill());
}

BEHAVIOUR_TEST(Death, a_kill_waits_for_the_end_of_blocking_and_acts_there) {
  const Flag blocked = make_flag();
  const Flag passed = make_flag();
  const auto [pid, reference] = spawn_monitor([blocked, passed] {
    const Pid me = self();
    blocking([&] {
      exit(me, ExitReason::kill());
      *blocked = true;  // not interrupted
    });
    *passed = true;
  });
  EXPECT_EQ(await_reason(reference), ExitReason::killed());
  EXPECT_TRUE(blocked->load());
  EXPECT_FALSE(passed->load());
}

// With one worker, which the first process holds: so the other cannot have had a turn.
TEST(Death, a_process_that_was_killed_before_its_first_turn_runs_nothing) {
  behaviour::on_threads(
      [] {
        const Flag ran = make_flag();
        const Flag destroyed = make_flag();
        const auto [pid, reference] = spawn_monitor([ran, guard = SetAtEnd(destroyed)] { *ran = true; });
        exit(pid, ExitReason::kill());
        EXPECT_EQ(await_reason(reference), ExitReason::killed());
        EXPECT_FALSE(ran->load());
        EXPECT_TRUE(destroyed->load());
      },
      {.schedulers = 1});
}

BEHAVIOUR_TEST(Death, a_caller_hears_of_the_death_of_the_server_that_it_waits_for) {
  const Pid me = self();
  const Pid server = spawn([me] {
    send(me, Ready{});
    sleep_for(infinity);
  });
  receive<Ready>();
  const auto [caller, reference] = spawn_monitor([me, server] {
    send(me, Ready{});
    throw Exit(ask_in_vain(server).cause);
  });
  receive<Ready>();
  exit(server, boom);
  const ExitReason reason = await_reason(reference);
  EXPECT_TRUE(reason == boom || reason == ExitReason::noproc()) << reason;  // the latter if it called too late
}

// On threads only: a million nodes.
TEST(Death, a_kill_behind_a_million_messages) {
  behaviour::on_threads([] {
    const auto token = std::make_shared<int>(1);
    const auto [pid, reference] = spawn_monitor([] { sleep_for(infinity); });
    for (int i = 0; i < 1'000'000; ++i) send(pid, Token{token});
    exit(pid, ExitReason::kill());
    EXPECT_FALSE(alive(pid));
    EXPECT_EQ(await_reason(reference), ExitReason::killed());
    EXPECT_EQ(token.use_count(), 1);
  });
}

// -- against code that will not let go -------------------------------------------------------------------------------

BEHAVIOUR_TEST(Death, a_process_that_swallows_its_exit_a_hundred_times_is_abandoned) {
  const CaptureReports captured;
  const Pid me = self();
  const Count swallowed = make_count();
  const auto [pid, reference] = spawn_monitor(
      [me, swallowed] {
        send(me, Ready{});
        for (;;) {
          try {
            sleep_for(infinity);
          } catch (...) {
            ++*swallowed;
          }
        }
      },
      {.name = "stubborn"});
  receive<Ready>();
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
  EXPECT_EQ(swallowed->load(), 100);
  EXPECT_FALSE(bool(whereis("stubborn")));
  EXPECT_TRUE(captured.any_contains("(stubborn) swallowed its exit 100 times"));
  // The worker goes on.
  const auto [next, next_reference] = spawn_monitor([] { sleep_for(1ms); });
  EXPECT_TRUE(await_reason(next_reference).is_normal());
}

BEHAVIOUR_TEST(Death, a_process_that_swallows_its_own_exit_is_abandoned_too) {
  const CaptureReports captured;
  const auto [pid, reference] = spawn_monitor([] {
    for (;;) {
      try {
        coppice::exit(boom);
      } catch (...) {  // again
      }
    }
  });
  EXPECT_EQ(await_reason(reference), boom);
  EXPECT_TRUE(captured.any_contains("swallowed its exit"));
}

BEHAVIOUR_TEST(Death, an_exit_passes_through_nested_handlers) {
  const Count caught = make_count();
  const Flag passed = make_flag();
  const Pid me = self();
  const auto [pid, reference] = spawn_monitor([me, caught, passed] {
    send(me, Ready{});
    try {
      try {
        try {
          receive<Never>();
        } catch (...) {
          ++*caught;
          try {
            sleep_for(1h);  // throws again: nothing unwinds here
          } catch (...) {
            ++*caught;
            receive<Never>();
          }
          *passed = true;
        }
        *passed = true;
      } catch (...) {
        ++*caught;
        throw std::runtime_error("another reason");  // does not change why
      }
    } catch (const std::exception&) {
      ++*caught;
      coppice::exit(Atom("yet_another_reason"));
    }
    *passed = true;
  });
  receive<Ready>();
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
  EXPECT_EQ(caught->load(), 4);
  EXPECT_FALSE(passed->load());
}

BEHAVIOUR_TEST(Death, a_process_that_swallows_its_exit_and_returns_has_its_reason) {
  const Pid me = self();
  const auto [pid, reference] = spawn_monitor([me] {
    send(me, Ready{});
    try {
      receive<Never>();
    } catch (...) {  // and returns
    }
  });
  receive<Ready>();
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
}

namespace {

// Waits in its destructor in every way that is over at once while its process leaves.
struct WaitsAtItsEnd {
  Pid server;
  Pid watcher;
  Count waits;
  WaitsAtItsEnd(Pid s, Pid w, Count c) : server(s), watcher(w), waits(std::move(c)) {}
  WaitsAtItsEnd(WaitsAtItsEnd&&) = default;
  ~WaitsAtItsEnd() {
    if (!waits) return;
    if (!receive<Never>(24h)) ++*waits;
    receive([](const Never&) {}, after(infinity, [this] { ++*waits; }));
    sleep_for(infinity);
    sleep_for(0s);
    hibernate();
    yield();
    checkpoint();
    ++*waits;
    if (ask_in_vain(server).node == nullptr) ++*waits;
    blocking([this] { ++*waits; });
    send(watcher, Farewell{});
  }
  static constexpr int all = 5;
};

// A receive that can only return what it received: it throws again, which a destructor must catch. One without a result
// just returns.
struct ReceivesAtItsEnd {
  Count caught;
  explicit ReceivesAtItsEnd(Count c) : caught(std::move(c)) {}
  ReceivesAtItsEnd(ReceivesAtItsEnd&&) = default;
  ~ReceivesAtItsEnd() {
    if (!caught) return;
    receive([](const Never&) {}, [](const Go&) {});
    try {
      receive<Never>();
    } catch (...) {
      ++*caught;
    }
    try {
      (void)receive([](const Never&) { return 1; }, [](const Go&) { return 2; });
    } catch (...) {
      ++*caught;
    }
  }
};

}  // namespace

BEHAVIOUR_TEST(Death, a_wait_in_a_destructor_during_unwinding_returns_at_once) {
  const Pid me = self();
  const Pid server = spawn([] { sleep_for(infinity); });
  const Count waits = make_count();
  const auto [pid, reference] = spawn_monitor([me, server, waits] {
    const WaitsAtItsEnd object(server, me, waits);
    send(me, Ready{});
    receive<Never>();
  });
  receive<Ready>();
  const auto begin = monotonic_time();
  exit(pid, boom);
  receive<Farewell>();
  EXPECT_EQ(await_reason(reference), boom);
  EXPECT_EQ(waits->load(), WaitsAtItsEnd::all);
  EXPECT_LT(monotonic_time() - begin, 24h);
  exit(server, ExitReason::kill());
}

BEHAVIOUR_TEST(Death, a_wait_in_a_destructor_of_the_state_returns_at_once) {
  const Pid me = self();
  const Pid server = spawn([] { sleep_for(infinity); });
  const Count waits = make_count();
  const auto [pid, reference] = spawn_monitor([object = WaitsAtItsEnd(server, me, waits)] {});
  receive<Farewell>();
  EXPECT_TRUE(await_reason(reference).is_normal());
  EXPECT_EQ(waits->load(), WaitsAtItsEnd::all);
  exit(server, ExitReason::kill());
}

BEHAVIOUR_TEST(Death, an_endless_receive_in_a_destructor_throws_again) {
  const Count caught = make_count();
  const auto [unwound, first] = spawn_monitor([caught] {
    const ReceivesAtItsEnd object(caught);
    coppice::exit(boom);
  });
  EXPECT_EQ(await_reason(first), boom);
  EXPECT_EQ(caught->load(), 2);
  const auto [returned, second] = spawn_monitor([object = ReceivesAtItsEnd(caught)] { throw Exit(boom); });
  EXPECT_EQ(await_reason(second), boom);
  EXPECT_EQ(caught->load(), 4);
}

// A destructor that waits while an exception of the user's unwinds the stack waits in earnest, until the kill.
BEHAVIOUR_TEST(Death, a_kill_during_the_unwinding_of_another_exception) {
  struct Waits {
    Pid watcher;
    Flag timed_out;
    ~Waits() {
      send(watcher, Ready{});
      if (!receive<Never>(24h)) *timed_out = true;
    }
  };
  const Pid me = self();
  const Flag timed_out = make_flag();
  const auto [pid, reference] = spawn_monitor([me, timed_out] {
    const Waits object{me, timed_out};
    throw std::runtime_error("first");
  });
  receive<Ready>();
  const auto begin = monotonic_time();
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
  EXPECT_TRUE(timed_out->load());
  EXPECT_LT(monotonic_time() - begin, 24h);
}

BEHAVIOUR_TEST(Death, a_thrown_value_of_any_type_ends_the_process_alone) {
  struct Opaque {};
  const auto [by_class, first] = spawn_monitor([] { throw Opaque{}; });
  const auto [by_text, second] = spawn_monitor([] { throw "text"; });
  for (const Reference& reference : {first, second}) {
    const ExitReason reason = await_reason(reference);
    ASSERT_TRUE(reason.is_exception());
    EXPECT_EQ(reason.term()[0][0], Term(Atom("nocatch")));
  }
}

BEHAVIOUR_TEST(Death, a_capture_that_cannot_be_moved_makes_no_process) {
  struct Fragile {
    Flag armed;
    explicit Fragile(Flag f) : armed(std::move(f)) {}
    Fragile(const Fragile& other) : armed(other.armed) {
      if (*armed) throw std::runtime_error("fragile");
    }
  };
  const Flag armed = make_flag();
  const auto function = [fragile = Fragile(armed)] { (void)fragile; };
  *armed = true;
  const std::size_t before = processes().size();
  EXPECT_THROW(spawn(function), std::runtime_error);
  EXPECT_THROW(spawn_link(function), std::runtime_error);
  EXPECT_EQ(processes().size(), before);
  EXPECT_TRUE(process_info(self())->links.empty());
  EXPECT_THROW(send(self(), Fragile(armed)), std::runtime_error);
  EXPECT_EQ(process_info(self())->message_queue_len, 0u);
  *armed = false;
}

// -- order of death --------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Death, what_destructors_send_arrives_before_the_news_of_the_death) {
  struct Sends {
    Pid to;
    int value;
    Sends(Pid t, int v) : to(t), value(v) {}
    Sends(Sends&& other) noexcept : to(std::exchange(other.to, Pid{})), value(other.value) {}
    ~Sends() {
      if (to) send(to, Number{value});
    }
  };
  trap_exit(true);
  const Pid me = self();
  const auto [pid, reference] = spawn_link_monitor(
      [me, state = Sends(me, 2)] {
        const Sends local(me, 1);
        send(me, Ready{});
        receive<Never>();
      },
      {.name = "named"});
  receive<Ready>();
  exit(pid, boom);
  int next = 1;
  for (bool heard = false; !heard;) {
    receive([&](const Number& n) { next = n.value + 1; },
            [&](const Down&) {
              EXPECT_FALSE(bool(whereis("named")));
              heard = true;
            },
            [&](const ExitMessage&) {
              EXPECT_FALSE(bool(whereis("named")));
              EXPECT_EQ(next, 3);  // both destructors, whose messages stand before this one
            });
  }
  EXPECT_EQ(next, 3);
  EXPECT_FALSE(receive<Number>(0s));
}

// -- programs that end ----------------------------------------------------------------------------------------------

namespace {

void run_alone(const std::function<void()>& body) {
  Runtime runtime({.schedulers = 1});
  runtime.run(body);
}

[[gnu::noinline]] int dig(volatile char* above, int depth) {
  volatile char room[2048];
  room[0] = above == nullptr ? char{1} : above[0];
  return depth == 0 ? 0 : dig(room, depth - 1) + room[0];
}

// Dies with this in one of its frames.
void wait_without_exceptions() noexcept { sleep_for(infinity); }

}  // namespace

TEST(DeathTest, a_kill_in_a_noexcept_frame_ends_the_program_and_names_the_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run_alone([] {
                 const auto [pid, reference] = spawn_monitor([] { wait_without_exceptions(); }, {.name = "carefree"});
                 yield();
                 exit(pid, ExitReason::kill());
                 await_reason(reference);
               }),
               "coppice: an exception left a noexcept frame in process #PID<0\\.[0-9]+\\.[0-9]+> \\(carefree\\)");
}

TEST(DeathTest, an_exit_in_a_destructor_ends_the_program_and_names_the_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  struct Exits {
    ~Exits() { coppice::exit(boom); }
  };
  EXPECT_DEATH(run_alone([] {
                 const auto [pid, reference] = spawn_monitor([] { const Exits object; }, {.name = "careless"});
                 await_reason(reference);
               }),
               "noexcept frame in process #PID<0\\.[0-9]+\\.[0-9]+> \\(careless\\)");
  EXPECT_DEATH(run_alone([] {
                 const auto [pid, reference] = spawn_monitor([] { const Exits object; });
                 await_reason(reference);
               }),
               "noexcept frame in process #PID<0\\.[0-9]+\\.[0-9]+>: ");
}

TEST(DeathTest, a_stack_overflow_ends_the_program_and_names_the_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run_alone([] {
                 const auto [pid, reference] = spawn_monitor([] { dig(nullptr, 1'000'000); }, {.name = "digger"});
                 await_reason(reference);
               }),
               "coppice: stack overflow in process #PID<0\\.[0-9]+\\.[0-9]+> \\(digger\\)");
}

TEST(DeathTest, a_foreign_thread_that_waits_like_a_process_ends_the_program_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(sleep_for(1s), "sleep_for was called by a thread that is no process of coppice");
  EXPECT_DEATH(receive<Never>(), "receive was called by a thread that is no process of coppice");
  EXPECT_DEATH(
      {
        const Runtime runtime({.schedulers = 1});
        sleep_for(1s);
      },
      "sleep_for was called by a thread that is no process of coppice\n");
}

TEST(DeathTest, a_send_without_a_runtime_ends_the_program_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(send(Pid{}, Go{}), "send was called while there is no Runtime in the program");
}

TEST(DeathTest, a_process_that_runs_or_stops_a_runtime_ends_the_program_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run_alone([] {
                 Runtime other({.schedulers = 1});
                 other.run([] {});
               }),
               "Runtime::run was called by a process: it blocks its thread");
  EXPECT_DEATH(run_alone([] {
                 Runtime other({.schedulers = 1});
                 other.stop();
               }),
               "Runtime::stop was called by a process");
}
