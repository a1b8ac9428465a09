// SPDX-License-Identifier: Apache-2.0
//
// Processes without resources, stale pids, and the end of a runtime: with work queued, beside other threads, runtimes
// and programs, and against processes that will not end.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "behaviour/death_support.hpp"
#include "platform/sanitizers.hpp"

using namespace death;

// -- without resources -----------------------------------------------------------------------------------------------

// On threads only: how many stacks lie about in the workers depends on the schedule.
TEST(Death, without_stacks_those_that_must_wait_end_and_the_program_lives) {
  Runtime runtime({.schedulers = 2, .stacks_max = 8});
  const Runtime::Scope scope(runtime);
  std::vector<Pid> pids;
  for (int i = 0; i < 30; ++i) {
    pids.push_back(spawn([] { receive<Never>(); }));
  }
  // Each worker stands on one stack and each wait keeps one: 6 of the 30 can wait, and the others end.
  spin_until([&] { return runtime.process_count() == 6; });
  EXPECT_EQ(runtime.run([] { receive<Never>(); }), Atom("system_limit"));
  EXPECT_EQ(runtime.run([] { blocking([] {}); }), Atom("system_limit"));
  // What does not wait runs as ever.
  EXPECT_TRUE(runtime.run([] {}).is_normal());
  EXPECT_TRUE(runtime
                  .run([] {
                    yield();
                    send(self(), Go{});
                    receive<Go>();
                  })
                  .is_normal());
  for (const Pid& pid : pids) exit(pid, ExitReason::kill());
  spin_until([&] { return runtime.process_count() == 0; });
  EXPECT_TRUE(runtime.run([] { (void)receive<Never>(1ms); }).is_normal());
  EXPECT_TRUE(runtime.stop().clean);
}

BEHAVIOUR_TEST_WITH(Death, without_process_slots_a_spawn_fails_and_leaves_nothing_behind, {.processes_max = 5}) {
  std::vector<Pid> pids;
  for (int i = 0; i < 4; ++i) pids.push_back(spawn([] { sleep_for(infinity); }));
  const Flag destroyed = make_flag();
  const auto function = [guard = std::make_shared<SetAtEnd>(destroyed)] {};
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW(spawn(function), Exit);
    EXPECT_THROW(spawn_link(function), Exit);
    EXPECT_THROW((void)spawn_monitor(function), Exit);
    EXPECT_THROW((void)spawn_link_monitor(function), Exit);
  }
  const auto info = process_info(self());
  EXPECT_TRUE(info->links.empty());
  EXPECT_TRUE(info->monitors.empty());
  try {
    spawn([] {});
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.reason(), Atom("system_limit"));
  }
  for (const Pid& pid : pids) exit(pid, ExitReason::kill());
}

// On threads only: more turns than a simulation should take. The tag in a process's head word has 16 bits, and none
// is 0, so that the tenant of the slot 65535 later has the same one.
TEST(Death, a_stale_pid_reaches_no_later_tenant_of_its_slot) {
  behaviour::on_threads(
      [] {
        const auto next_tenant = [](auto function) {
          for (;;) {
            try {
              return spawn_monitor(function);
            } catch (const Exit&) {
              yield();  // the slot is not free yet
            }
          }
        };
        const auto [stale, first] = next_tenant([] {});
        await_reason(first);
        const std::uint64_t tags = 0x1'0000;
        std::uint64_t use = stale.use();
        for (int i = 1; i < 100'000; ++i) {
          if (++use % tags == 0) ++use;
          const bool probed = i % 1000 == 0 || use % tags == stale.use() % tags;
          const auto [pid, reference] = next_tenant([probed] {
            if (probed) receive<Go>();
          });
          ASSERT_EQ(pid.slot(), stale.slot());
          ASSERT_EQ(pid.use(), use);
          if (probed) {
            EXPECT_FALSE(alive(stale));
            send(stale, Go{});
            exit(stale, ExitReason::kill());
            EXPECT_EQ(await_reason(monitor(stale)), ExitReason::noproc());
            EXPECT_THROW(link(stale), Exit);
            EXPECT_TRUE(alive(pid));
            EXPECT_EQ(process_info(pid)->message_queue_len, 0u);
            send(pid, Go{});
          }
          ASSERT_TRUE(await_reason(reference).is_normal());
        }
      },
      {.processes_max = 2});
}

// -- the end of the runtime ------------------------------------------------------------------------------------------

TEST(Death, a_runtime_is_destroyed_with_work_queued) {
  const Count living = make_count();
  const auto token = std::make_shared<int>(1);
  for (int round = 0; round < 5; ++round) {
    {
      Runtime runtime({.schedulers = 2});
      const Runtime::Scope scope(runtime);
      for (int i = 0; i < 200; ++i) {
        const Pid pid = spawn([counted = std::make_shared<Counted>(living)] {
          spawn([counted] { sleep_for(infinity); });
          for (;;) {
            send(self(), Go{});
            receive<Go>();
          }
        });
        for (int k = 0; k < 10; ++k) send(pid, Token{token});
        send_after(pid, Token{token}, 24h);
      }
    }
    EXPECT_EQ(living->load(), 0);
    EXPECT_EQ(token.use_count(), 1);
  }
}

BEHAVIOUR_TEST(Death, destructors_may_send_and_spawn_while_the_runtime_stops) {
  struct Talks {
    Pid to;
    Count living;
    Talks(Pid t, Count c) : to(t), living(std::move(c)) {}
    Talks(Talks&&) = default;
    ~Talks() {
      if (!living) return;
      send(to, Go{});
      const Pid late = spawn([counted = std::make_shared<Counted>(living)] { sleep_for(infinity); });
      send(late, Go{});
      exit(to, boom);
      (void)alive(late);
    }
  };
  // They outlive the first process, and end when the runtime does.
  const Count living = make_count();
  Pid previous = self();
  for (int i = 0; i < 5; ++i) {
    previous = spawn([talks = Talks(previous, living)] { receive<Never>(); });
  }
}

TEST(Death, foreign_threads_send_and_spawn_while_the_runtime_stops) {
  const Count living = make_count();
  for (int round = 0; round < 40; ++round) {
    auto runtime = std::make_unique<Runtime>(RuntimeOptions{.schedulers = 2});
    std::atomic<bool> done{false};
    std::atomic<int> spawned{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        const Runtime::Scope scope(*runtime);
        while (!done) {
          const Pid pid = spawn([counted = std::make_shared<Counted>(living)] { receive<Go>(); });
          ++spawned;
          send(pid, Number{1});
          if (t == 0) (void)process_info(pid);
          if (t == 1) exit(pid, boom);
          if (t == 2) send_after(pid, Go{}, 1us);
          send(pid, Go{});
          (void)alive(pid);
        }
      });
    }
    spin_until([&] { return spawned > 20; });
    EXPECT_TRUE(runtime->stop().abandoned.empty());
    done = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(runtime->process_count(), 0u);
    EXPECT_EQ(runtime->timer_count(), 0u);
    runtime.reset();
    ASSERT_EQ(living->load(), 0);
  }
}

TEST(Death, several_runtimes_live_in_one_program_as_nodes_of_their_own) {
  Runtime first({.schedulers = 1});
  Runtime second({.schedulers = 1});
  Pid here;
  {
    const Runtime::Scope scope(first);
    here = spawn([] { receive<Go>(); }, {.name = "same"});
  }
  const Runtime::Scope scope(second);
  const Pid there = spawn([] { receive<Go>(); }, {.name = "same"});
  EXPECT_NE(here.creation, there.creation);
  EXPECT_EQ(whereis("same"), there);
  const auto token = std::make_shared<int>(1);
  send(here, Token{token});  // a remote pid, and no connection
  EXPECT_EQ(token.use_count(), 1);
  const ExitReason reason = second.run([here, there] {
    EXPECT_TRUE(alive(there));
    EXPECT_THROW((void)alive(here), Exit);
    exit(here, ExitReason::kill());
    EXPECT_EQ(await_reason(monitor(here)), ExitReason::noconnection());
    trap_exit(true);
    EXPECT_TRUE(link(here));
    EXPECT_EQ(receive<ExitMessage>().reason, ExitReason::noconnection());
    send(there, Go{});
  });
  EXPECT_TRUE(reason.is_normal()) << reason;
  EXPECT_TRUE(second.stop().clean);
  EXPECT_EQ(first.process_count(), 1u);
  EXPECT_TRUE(first
                  .run([here] {
                    EXPECT_TRUE(alive(here));
                    EXPECT_EQ(whereis("same"), here);
                  })
                  .is_normal());
  EXPECT_TRUE(first.stop().clean);
}

namespace {

constexpr int success = 17;  // no status that an end by accident has

void expect_success_of(pid_t child) {
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), success);
}

}  // namespace

TEST(Death, in_the_child_of_a_fork_the_runtime_is_dead) {
  Runtime runtime({.schedulers = 2});
  const Runtime::Scope scope(runtime);
  // Processes that keep the locks of the workers in use, and a thread for those of the queue and the pools between them and
  // foreign threads: whatever one of them holds at the fork is held for ever in the child. A sanitizer's allocator has locks
  // of its own, which it does not look after at a fork: with one nobody may allocate meanwhile.
  constexpr bool others_allocate = !COPPICE_ASAN && !COPPICE_TSAN;
  const Pid busy = spawn([] {
    while (others_allocate) {
      spawn([] {});
      yield();
    }
    for (;;) receive<Go>();
  });
  const Pid waiting = spawn([] { receive<Go>(); });
  const Flag idle = make_flag();
  spawn([idle] { *idle = true; });
  spin_until([&] { return idle->load(); });
  std::atomic<bool> done{!others_allocate};
  std::thread sender([&] {
    const Runtime::Scope there(runtime);
    while (!done) send(spawn([] { receive<Number>(); }), Number{1});
  });
  if (!others_allocate) sender.join();
  for (int round = 0; round < 100; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(20);  // should it hang
      for (int i = 0; i < 100; ++i) {
        send(busy, Number{i});
        send(waiting, Number{i});
      }
      const Pid dead = spawn([] {});
      send(dead, Go{});
      const bool right =
          !alive(dead) && runtime.run([] {}) == Atom("system_limit") && !process_info(waiting) && runtime.stop().clean;
      ::_exit(right ? success : 1);
    }
    expect_success_of(child);
  }
  done = true;
  if (sender.joinable()) sender.join();
  // The parent's goes on.
  EXPECT_TRUE(runtime.run([] { sleep_for(1ms); }).is_normal());
  send(waiting, Go{});
  EXPECT_TRUE(runtime.stop().clean);
}

// A stop that another thread is in the middle of is not waited for, since nobody is there to finish it; and the runtime may be destroyed.
TEST(Death, a_fork_in_the_middle_of_a_stop_leaves_a_child_that_stops_at_once) {
  auto runtime = std::make_unique<Runtime>(RuntimeOptions{.schedulers = 1});
  std::optional<Runtime::Scope> scope(*runtime);
  const Flag ready = make_flag();
  const Flag told = make_flag();
  const Flag released = make_flag();
  spawn([=] {
    trap_exit(true);
    *ready = true;
    receive<ExitMessage>();
    *told = true;
    while (!released->load()) yield();
  });
  spin_until([&] { return ready->load(); });
  std::thread stopper([&] { EXPECT_TRUE(runtime->stop().clean); });
  spin_until([&] { return told->load(); });
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);  // should it hang
    const bool right = runtime->stop().clean && runtime->stop().killed.empty();
    scope.reset();
    if (!COPPICE_TSAN) runtime.reset();  // that cannot free the fiber on which a missing thread stood
    ::_exit(right ? success : 1);
  }
  expect_success_of(child);
  *released = true;
  stopper.join();
}

// Its own threads are gone in the child, those of jobs that block too; and a runtime that was destroyed before is none.
TEST(Death, a_fork_leaves_behind_jobs_that_block_and_runtimes_that_have_gone) {
  auto gone = std::make_unique<Runtime>(RuntimeOptions{.schedulers = 1});
  Runtime runtime({.schedulers = 2});
  gone.reset();
  const Runtime::Scope scope(runtime);
  const Flag started = make_flag();
  const Flag released = make_flag();
  spawn([started, released] {
    blocking([&] {
      *started = true;
      spin_until([&] { return released->load(); });
    });
  });
  spin_until([&] { return started->load(); });
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);  // should it hang
    const StopReport report = runtime.stop();
    ::_exit(report.clean && report.abandoned.empty() ? success : 1);
  }
  expect_success_of(child);
  *released = true;
  EXPECT_TRUE(runtime.stop().clean);
}

// -- who had to be forced -------------------------------------------------------------------------------------------

namespace {

// Runs `main` on threads and in the simulation, and gives the reports of how the runtimes stopped to `check`.
void check_report_of(const std::function<void()>& main, const RuntimeOptions& options,
                     const std::function<void(const StopReport&)>& check) {
  Runtime runtime(options);
  EXPECT_TRUE(runtime.run(main).is_normal());
  check(runtime.stop());
  EXPECT_EQ(runtime.process_count(), 0u);
  check(runtime.stop());  // the same report again
  coppice::testing::for_each_seed(behaviour::seeds(),
                                  [&](coppice::testing::Simulation& simulation) {
                                    EXPECT_TRUE(simulation.run(main).is_normal());
                                    check(simulation.stop_report());
                                    EXPECT_EQ(simulation.processes_left(), 0u);
                                  },
                                  {.runtime = options});
}

}  // namespace

TEST(Death, a_shutdown_names_who_had_to_be_killed) {
  const RuntimeOptions options{.shutdown_timeout = 200ms};
  const auto main = [] {
    const Pid me = self();
    spawn(
        [me] {
          trap_exit(true);
          send(me, Ready{});
          for (;;) receive([](const ExitMessage&) {});
        },
        {.name = "unheeding"});
    spawn([] { sleep_for(infinity); }, {.name = "obedient"});
    receive<Ready>();
  };
  const auto check = [](const StopReport& report) {
    EXPECT_FALSE(report.clean);
    EXPECT_EQ(report.killed.size(), 1u);
    EXPECT_TRUE(any_contains(report.killed, "(unheeding)"));
    EXPECT_TRUE(report.abandoned.empty());
  };
  check_report_of(main, options, check);
}

// Each that is killed leaves an heir that heeds nothing, too: it is killed as soon as it is there.
TEST(Death, who_is_born_while_all_are_killed_is_killed_too) {
  const RuntimeOptions options{.schedulers = 2, .shutdown_timeout = 200ms};
  const Count heirs = make_count();
  struct Unheeding {
    Count heirs;
    Pid told;
    bool heir;
    Unheeding(Count count, Pid whom, bool is_heir) : heirs(std::move(count)), told(whom), heir(is_heir) {}
    Unheeding(Unheeding&&) = default;
    ~Unheeding() {
      if (heirs == nullptr || heir) return;
      ++*heirs;
      spawn(Unheeding(heirs, {}, true));
    }
    void operator()() {
      trap_exit(true);
      if (told) send(told, Ready{});
      for (;;) receive([](const ExitMessage&) {});
    }
  };
  const auto main = [heirs] {
    *heirs = 0;
    for (int i = 0; i < 3; ++i) spawn(Unheeding(heirs, self(), false));
    for (int i = 0; i < 3; ++i) receive<Ready>();
  };
  const auto check = [heirs](const StopReport& report) {
    EXPECT_EQ(heirs->load(), 3);
    EXPECT_EQ(report.killed.size(), 3u);
    EXPECT_TRUE(report.abandoned.empty());
  };
  check_report_of(main, options, check);
}

TEST(Death, a_shutdown_names_who_had_to_be_left_behind) {
  const Flag started = make_flag();
  const Flag released = make_flag();
  const Flag destroyed = make_flag();
  const Flag blocking_started = make_flag();
  const Flag blocking_ended = make_flag();
  {
    Runtime runtime({.schedulers = 2, .shutdown_timeout = 100ms});
    const Runtime::Scope scope(runtime);
    spawn(
        [started, released, guard = SetAtEnd(destroyed)] {
          *started = true;
          while (!released->load()) std::this_thread::yield();
        },
        {.name = "stuck"});
    spawn(
        [blocking_started, released, guard = SetAtEnd(blocking_ended)] {
          blocking([&] {
            *blocking_started = true;
            while (!released->load()) std::this_thread::yield();
          });
        },
        {.name = "blocked"});
    spin_until([&] { return started->load() && blocking_started->load(); });
    const StopReport report = runtime.stop();
    EXPECT_FALSE(report.clean);
    EXPECT_EQ(report.abandoned.size(), 2u);
    EXPECT_TRUE(any_contains(report.abandoned, "(stuck)"));
    EXPECT_TRUE(any_contains(report.abandoned, "(blocked)"));
    EXPECT_FALSE(destroyed->load());
  }
  // Let go, the thread that was left behind still finds everything it needs.
  *released = true;
  spin_until([&] { return destroyed->load(); });
}

// -- coppice::run ----------------------------------------------------------------------------------------------------

namespace {

// What run returned, and what it said on standard error.
std::pair<int, std::string> ran(const std::function<void()>& main, const RuntimeOptions& options = {.schedulers = 1}) {
  ::testing::internal::CaptureStderr();
  const int status = coppice::run(main, options);
  return {status, ::testing::internal::GetCapturedStderr()};
}

}  // namespace

TEST(Death, run_returns_0_when_the_first_process_ends_in_order) {
  EXPECT_EQ(ran([] {}), std::pair(0, std::string()));
  EXPECT_EQ(ran([] { exit(ExitReason::shutdown()); }), std::pair(0, std::string()));
  EXPECT_EQ(ran([] { exit(tuple("shutdown"_atom, "restart"_atom)); }), std::pair(0, std::string()));
}

TEST(Death, run_returns_1_and_says_why_when_it_does_not) {
  EXPECT_EQ(ran([] { throw Exit("no_disk"_atom); }),
            std::pair(1, std::string("coppice: the first process ended: :no_disk\n")));
}

TEST(Death, run_names_who_had_to_be_killed) {
  const auto [status, said] = ran(
      [] {
        spawn([parent = self()] {
          trap_exit(true);
          send(parent, Ready{});
          receive<Never>();
        });
        receive<Ready>();
      },
      {.schedulers = 1, .shutdown_timeout = 100ms});
  EXPECT_EQ(status, 1);
  EXPECT_THAT(said,
              ::testing::MatchesRegex("coppice: #PID<0[.][0-9]+[.][0-9]+>.* did not stop in time and was killed\n"));
}

TEST(Death, run_names_who_had_to_be_left_behind) {
  const Flag started = make_flag();
  const Flag released = make_flag();
  const Flag ended = make_flag();
  const auto [status, said] = ran(
      [&] {
        spawn(
            [started, released, guard = SetAtEnd(ended)] {
              *started = true;
              spin_until([&] { return released->load(); });
            },
            {.name = "stuck"});
        spin_until([&] { return started->load(); });
      },
      {.schedulers = 2, .shutdown_timeout = 100ms});
  EXPECT_EQ(status, 1);
  EXPECT_THAT(said, ::testing::HasSubstr("(stuck) could not be stopped and was left behind\n"));
  *released = true;
  spin_until([&] { return ended->load(); });
}
