// SPDX-License-Identifier: Apache-2.0
#include "platform/context.hpp"

#include <gtest/gtest.h>

#include <alloca.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cfenv>
#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "platform/exception_state.hpp"
#include "platform/stack_pool.hpp"
#include "platform/switch_here.hpp"
#include "platform/trace.hpp"

namespace coppice::platform {
namespace {

// A thread and the stacks that run on it: each fiber runs a function and goes back to the thread when told to.
class Fibers {
 public:
  using Body = void (*)(Fibers& fibers, Stack& self);

  Fibers() { adopt_thread(thread_); }

  Stack* start(Body body) {
    Stack* stack = pool_.acquire();
    begin(*stack, body);
    return stack;
  }

  // Makes the stack's context anew and runs `body` until it goes back.
  void begin(Stack& stack, Body body) {
    stack.owner = reinterpret_cast<void*>(body);
    make_context(stack.context, stack.low, stack.size, &Fibers::enter);
    starting_ = &stack;
    switch_context(thread_, stack.context, this);
  }

  void resume(Stack& stack) {
    switch_context(thread_, stack.context, this);
    put_exception_state({});
  }

  // From inside a fiber: waits, with its exceptions, as a process does.
  void wait(Stack& self) {
    self.exceptions = take_exception_state();
    switch_context(self.context, thread_, nullptr);
    put_exception_state(self.exceptions);
  }

  StackPool& pool() { return pool_; }
  Context& thread() { return thread_; }

 private:
  static void enter(void* argument) {
    auto& fibers = *static_cast<Fibers*>(argument);
    Stack& self = *fibers.starting_;
    reinterpret_cast<Body>(self.owner)(fibers, self);
    self.owner = nullptr;
    for (;;) switch_context(self.context, fibers.thread_, nullptr);
  }

  StackPool pool_{StackPoolOptions{}};
  Context thread_;
  Stack* starting_ = nullptr;
};

TEST(Context, passes_an_argument_each_way) {
  StackPool pool{StackPoolOptions{}};
  Context thread;
  adopt_thread(thread);
  static Context* back;
  static Context* here;
  back = &thread;
  Stack* stack = pool.acquire();
  here = &stack->context;
  make_context(*here, stack->low, stack->size, [](void* argument) {
    for (;;) {
      auto number = reinterpret_cast<std::uintptr_t>(argument);
      argument = switch_context(*here, *back, reinterpret_cast<void*>(number * 2));
    }
  });
  EXPECT_EQ(switch_context(thread, *here, reinterpret_cast<void*>(std::uintptr_t{4})), reinterpret_cast<void*>(8));
  EXPECT_EQ(switch_context(thread, *here, reinterpret_cast<void*>(std::uintptr_t{5})), reinterpret_cast<void*>(10));
  pool.release(stack);
}

// In all four combinations. What a function holds in registers, and the rounding mode, are its own on each side.
TEST(Context, either_switch_continues_what_the_other_has_suspended) {
  StackPool pool{StackPoolOptions{}};
  Context thread;
  adopt_thread(thread);
  static Context* back;
  static Context* here;
  back = &thread;
  Stack* stack = pool.acquire();
  here = &stack->context;
  make_context(*here, stack->low, stack->size, [](void* argument) {
    std::fesetround(FE_UPWARD);
    std::uintptr_t sum = 0;
    for (std::uintptr_t round = 0;; ++round) {
      sum += reinterpret_cast<std::uintptr_t>(argument);
      void* answer = reinterpret_cast<void*>(std::fegetround() == FE_UPWARD ? sum : 0);
      argument = round % 2 == 0 ? switch_here(*here, *back, answer) : switch_context(*here, *back, answer);
    }
  });
  std::uintptr_t sum = 0;
  for (std::uintptr_t round = 1; round <= 64; ++round) {
    sum += round;
    void* question = reinterpret_cast<void*>(round);
    void* answer = round % 4 < 2 ? switch_here(thread, *here, question) : switch_context(thread, *here, question);
    EXPECT_EQ(answer, reinterpret_cast<void*>(sum));
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  }
  pool.release(stack);
}

TEST(Context, the_one_that_was_left_can_be_resumed_as_soon_as_the_target_runs) {
  StackPool pool{StackPoolOptions{}};
  Context thread;
  adopt_thread(thread);
  static Context* back;
  static Context* here;
  static bool machine_was_set;
  back = &thread;
  Stack* stack = pool.acquire();
  here = &stack->context;
  make_context(*here, stack->low, stack->size, [](void*) {
    machine_was_set = back->machine != nullptr;
    switch_context(*here, *back, nullptr);
  });
  switch_context(thread, *here, nullptr);
  EXPECT_TRUE(machine_was_set);
  EXPECT_NE(here->machine, nullptr);
  pool.release(stack);
}

TEST(Context, adopting_a_thread_learns_where_its_stack_is) {
  Context thread;
  adopt_thread(thread);
  int local = 0;
  const auto address = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  EXPECT_LE(reinterpret_cast<std::uintptr_t>(thread.low), address);
  EXPECT_GT(reinterpret_cast<std::uintptr_t>(thread.low) + thread.size, address);
  EXPECT_EQ(local, 0);
}

std::vector<std::string> seen;

void wait_in_a_handler(Fibers& fibers, Stack& self, const char* what) {
  try {
    throw std::runtime_error(what);
  } catch (const std::runtime_error&) {
    fibers.wait(self);
    try {
      throw;
    } catch (const std::exception& again) {
      seen.emplace_back(again.what());
    }
  }
  seen.emplace_back(std::current_exception() ? "an exception was left behind" : "clean");
}

TEST(Context, two_that_wait_inside_catch_blocks_leave_in_any_order_with_their_own_exception) {
  seen.clear();
  Fibers fibers;
  Stack* first = fibers.start([](Fibers& f, Stack& self) { wait_in_a_handler(f, self, "first"); });
  EXPECT_FALSE(std::current_exception());
  Stack* second = fibers.start([](Fibers& f, Stack& self) { wait_in_a_handler(f, self, "second"); });
  EXPECT_FALSE(std::current_exception());
  fibers.resume(*first);  // first in, first out: not what a stack of exceptions expects
  fibers.resume(*second);
  EXPECT_EQ(seen, (std::vector<std::string>{"first", "clean", "second", "clean"}));
  EXPECT_FALSE(std::current_exception());
  fibers.pool().release(first);
  fibers.pool().release(second);
}

TEST(Context, one_that_waits_in_a_destructor_during_unwinding_keeps_its_exception_in_flight) {
  static std::vector<int> counts;
  counts.clear();
  Fibers fibers;
  Stack* unwinding = fibers.start([](Fibers& f, Stack& self) {
    struct WaitsWhenDestroyed {
      Fibers& fibers;
      Stack& self;
      ~WaitsWhenDestroyed() {
        counts.push_back(std::uncaught_exceptions());
        fibers.wait(self);
        counts.push_back(std::uncaught_exceptions());
      }
    };
    try {
      const WaitsWhenDestroyed waits{f, self};
      throw 1;
    } catch (int) {
      counts.push_back(std::uncaught_exceptions());
    }
  });
  EXPECT_EQ(std::uncaught_exceptions(), 0);
  fibers.resume(*unwinding);
  EXPECT_EQ(counts, (std::vector<int>{1, 1, 0}));
  fibers.pool().release(unwinding);
}

// Frames with locals that AddressSanitizer surrounds with poison, down to a depth.
[[gnu::noinline]] int fill_frames(int depth, Fibers& fibers, Stack& self) {
  char text[96];
  std::memset(text, depth, sizeof text);
  asm volatile("" : : "r"(text) : "memory");
  if (depth == 0) {
    fibers.wait(self);
  } else {
    fill_frames(depth - 1, fibers, self);
  }
  return text[5];
}

// Writes over the whole of a big frame, without initialising it first.
[[gnu::noinline]] int overwrite_big_frame() {
  char text[64 * 1024];
  std::memset(text, 1, sizeof text);
  asm volatile("" : : "r"(text) : "memory");
  return text[sizeof text - 1];
}

// The same in memory that is laid out only when it is asked for, without redzones of its own.
__attribute__((noinline, no_sanitize("address"))) void overwrite_by_interceptor() {
  void* memory = ::alloca(64 * 1024);
  asm volatile("" : "+r"(memory));
  std::memset(memory, 2, 64 * 1024);
}

TEST(Context, one_made_anew_over_an_abandoned_deep_stack_finds_it_clean) {
  static int done;
  done = 0;
  Fibers fibers;
  Stack* stack = fibers.start([](Fibers& f, Stack& self) { fill_frames(100, f, self); });
  for (int i = 0; i < 20; ++i) {
    fibers.begin(*stack, [](Fibers& f, Stack& self) {
      overwrite_by_interceptor();
      done += overwrite_big_frame();
      fill_frames(100, f, self);
    });
  }
  EXPECT_EQ(done, 20);
  fibers.pool().release(stack);
}

TEST(Context, a_stack_given_back_while_abandoned_serves_the_next_one) {
  Fibers fibers;
  Stack* abandoned = fibers.start([](Fibers& f, Stack& self) { fill_frames(100, f, self); });
  fibers.pool().release(abandoned);
  static bool ran;
  ran = false;
  Stack* next = fibers.start([](Fibers&, Stack&) {
    overwrite_by_interceptor();
    ran = overwrite_big_frame() == 1;
  });
  EXPECT_EQ(next, abandoned);
  EXPECT_TRUE(ran);
  fibers.pool().release(next);
}

// Asks the kernel: compilers keep the answer of pthread_self, hence of std::this_thread::get_id, across a switch.
[[gnu::noinline]] long thread_number() { return ::syscall(SYS_gettid); }

TEST(Context, can_be_continued_by_another_thread) {
  StackPool pool{StackPoolOptions{}};
  struct Shared {
    Context home;
    Context* back = nullptr;
    Stack* stack = nullptr;
    long first = 0;
    long second = 0;
  };
  static Shared shared;
  shared = Shared{};
  adopt_thread(shared.home);
  shared.back = &shared.home;
  shared.stack = pool.acquire();
  make_context(shared.stack->context, shared.stack->low, shared.stack->size, [](void*) {
    shared.first = thread_number();
    switch_context(shared.stack->context, *shared.back, nullptr);
    shared.second = thread_number();
    switch_context(shared.stack->context, *shared.back, nullptr);
  });
  switch_context(shared.home, shared.stack->context, nullptr);
  std::thread other([] {
    Context own;
    adopt_thread(own);
    shared.back = &own;
    switch_context(own, shared.stack->context, nullptr);
  });
  other.join();
  EXPECT_EQ(shared.first, thread_number());
  EXPECT_NE(shared.second, 0);
  EXPECT_NE(shared.second, shared.first);
  pool.release(shared.stack);
}

TEST(Context, a_walk_over_the_frames_ends_at_its_entry) {
  static std::size_t frames;
  static bool zero_frame_pointer;
  Fibers fibers;
  Stack* stack = fibers.start([](Fibers&, Stack& self) {
    frames = capture_trace(0, 1000).size();
    // Along the frame pointers, as a profiler goes: the outermost record is empty.
    const auto high = reinterpret_cast<std::uintptr_t>(self.low) + self.size;
    auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    while (frame >= reinterpret_cast<std::uintptr_t>(self.low) && frame < high) {
      frame = *reinterpret_cast<std::uintptr_t*>(frame);
    }
    zero_frame_pointer = frame == 0;
  });
  EXPECT_GE(frames, 2U);
  EXPECT_LT(frames, 20U);
  EXPECT_TRUE(zero_frame_pointer);
  fibers.pool().release(stack);
}

TEST(ContextDeathTest, an_exception_that_leaves_the_entry_terminates_the_program) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Fibers fibers;
        fibers.start([](Fibers&, Stack&) { throw std::runtime_error("nobody catches me"); });
      },
      "nobody catches me");
}

TEST(ContextDeathTest, an_entry_that_returns_ends_the_program_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        StackPool pool{StackPoolOptions{}};
        Context thread;
        adopt_thread(thread);
        Stack* stack = pool.acquire();
        make_context(stack->context, stack->low, stack->size, [](void*) {});
        switch_context(thread, stack->context, nullptr);
      },
      "coppice: the entry function of a context returned");
}

}  // namespace
}  // namespace coppice::platform
