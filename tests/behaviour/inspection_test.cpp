// SPDX-License-Identifier: Apache-2.0
//
// process_info shows where a process waits: its real stack, with the names of the functions; one that is idle has none.
#include <atomic>
#include <string>
#include <thread>

#include <coppice/gen_server.hpp>

#include "behaviour/behaviour.hpp"

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Stop {};
struct Began {};
struct Ready {};

// Not inlined, and no tail calls: each must have a frame of its own.
[[gnu::noinline]] void wait_in_receive(int* depth) {
  receive<Stop>();
  ++*depth;
}
[[gnu::noinline]] void wait_in_sleep(int* depth) {
  sleep_for(infinity);
  ++*depth;
}
[[gnu::noinline]] void outer_of_the_wait(void (*inner)(int*)) {
  int depth = 0;
  inner(&depth);
  asm volatile("" : : "r"(&depth) : "memory");
}

bool mentions(const std::vector<std::string>& frames, const std::string& name) {
  for (const std::string& frame : frames) {
    if (frame.find(name) != std::string::npos) return true;
  }
  return false;
}

std::string joined(const std::vector<std::string>& frames) {
  std::string text;
  for (const std::string& frame : frames) text += "\n    " + frame;
  return text;
}

void end(const Pid& pid) {
  const Reference watch = monitor(pid);
  exit(pid, ExitReason::kill());
  receive(when([watch](const Down& down) { return down.reference == watch; }, [](const Down&) {}));
}

struct Idler : GenServer<Idler> {
  struct Touch {
    using Reply = int;
  };
  struct Wait {};
  int handle_call(Touch) { return 1; }
  void handle_cast(Wait) { outer_of_the_wait(&wait_in_receive); }
};

}  // namespace

// Reading debug information takes its time: once on threads and in a few simulations.
namespace {
void in_both_worlds(const std::function<void()>& body) {
  behaviour::on_threads(body);
  coppice::testing::for_each_seed(
      3, [&](coppice::testing::Simulation& simulation) { EXPECT_TRUE(simulation.run(body).is_normal()); });
}
}  // namespace

TEST(Inspection, a_waiting_process_shows_its_real_stack) {
  in_both_worlds([] {
    const std::pair<void (*)(int*), const char*> waits[] = {{&wait_in_receive, "wait_in_receive"},
                                                            {&wait_in_sleep, "wait_in_sleep"}};
    for (const auto& [wait, name] : waits) {
      const Pid me = self();
      const auto function = wait;
      const Pid pid = spawn([me, function] {
        send(me, Ready{});
        outer_of_the_wait(function);
      });
      receive<Ready>();
      ProcessInfo info = *process_info(pid);
      while (info.status != ProcessStatus::waiting) info = *process_info(pid);
      EXPECT_TRUE(mentions(info.current_stacktrace, name)) << joined(info.current_stacktrace);
      EXPECT_TRUE(mentions(info.current_stacktrace, "outer_of_the_wait")) << joined(info.current_stacktrace);
      EXPECT_NE(info.current_function.find(name), std::string::npos) << info.current_function;
      EXPECT_FALSE(mentions(info.current_stacktrace, "coppice::runtime::")) << joined(info.current_stacktrace);
      EXPECT_GT(info.stack_size, 0u);
      end(pid);
    }
  });
}

TEST(Inspection, a_process_that_has_not_begun_has_no_stack) {
  behaviour::on_threads(
      [] {
        const Pid pid = spawn([] { receive<Stop>(); });  // cannot run before the only scheduler is free
        const ProcessInfo info = *process_info(pid);
        EXPECT_TRUE(info.current_stacktrace.empty()) << joined(info.current_stacktrace);
        EXPECT_EQ(info.current_function, "");
        EXPECT_EQ(info.stack_size, 0u);
        end(pid);
      },
      {.schedulers = 1});
}

TEST(Inspection, an_idle_server_has_no_stack_and_one_that_waits_in_a_handler_has) {
  in_both_worlds([] {
    const auto server = Idler::start().value();
    EXPECT_EQ(server.call(Idler::Touch{}), 1);
    ProcessInfo info = *process_info(server.pid());
    EXPECT_TRUE(info.current_stacktrace.empty()) << joined(info.current_stacktrace);
    EXPECT_EQ(info.current_function, "");
    EXPECT_EQ(info.stack_size, 0u);
    EXPECT_EQ(info.status, ProcessStatus::waiting);
    server.cast(Idler::Wait{});
    while (info.stack_size == 0) info = *process_info(server.pid());
    EXPECT_TRUE(mentions(info.current_stacktrace, "wait_in_receive")) << joined(info.current_stacktrace);
    end(server.pid());
  });
}

TEST(Inspection, the_stack_of_a_process_that_asks_about_itself_is_its_own) {
  in_both_worlds([] {
    const ProcessInfo info = *process_info(self());
    EXPECT_FALSE(info.current_stacktrace.empty());
    EXPECT_EQ(info.status, ProcessStatus::running);
  });
}

// For ThreadSanitizer: the counting thread looks at processes that others own.
TEST(Inspection, stacks_are_counted_while_processes_wait_and_end) {
  Runtime runtime({.schedulers = 2});
  const Runtime::Scope scope(runtime);
  std::atomic<bool> counting{true};
  std::thread counter([&] {
    while (counting.load()) EXPECT_LE(runtime.stacks_held(), 64u);
  });
  const ExitReason reason = runtime.run([] {
    for (int i = 0; i < 300; ++i) {
      const auto [pid, reference] = spawn_monitor([] { receive<Stop>(); });
      yield();
      send(pid, Stop{});
      receive<Down>();
    }
  });
  counting = false;
  counter.join();
  EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
  EXPECT_EQ(runtime.stacks_held(), 0u);
}

TEST(Inspection, as_many_stacks_are_held_as_processes_wait_in_mid_function) {
  Runtime runtime({.schedulers = 2});
  EXPECT_EQ(runtime.stacks_held(), 0u);
  const ExitReason reason = runtime.run([&runtime] {
    std::vector<Pid> waiting;
    for (int i = 0; i < 5; ++i) {
      waiting.push_back(spawn([me = self()] {
        send(me, Began{});
        receive<Stop>();
      }));
    }
    for (int i = 0; i < 5; ++i) receive<Began>();
    while (runtime.stacks_held() != 5u) yield();  // the last may still be on its way into its wait
    for (const Pid& pid : waiting) {
      const Reference gone = monitor(pid);
      send(pid, Stop{});
      EXPECT_EQ(receive<Down>().reference, gone);
    }
    EXPECT_EQ(runtime.stacks_held(), 0u);
  });
  EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
}

// For ThreadSanitizer too: several workers read the debug information at once.
TEST(Inspection, several_processes_read_their_stacks_at_once) {
  behaviour::on_threads([] {
    for (int i = 0; i < 8; ++i) {
      (void)spawn_monitor([] {
        for (int n = 0; n < 10; ++n) EXPECT_FALSE(process_info(self())->current_stacktrace.empty());
      });
    }
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(receive<Down>().reason.is_normal());
  });
}
