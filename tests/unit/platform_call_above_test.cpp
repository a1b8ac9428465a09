// SPDX-License-Identifier: Apache-2.0
#include "platform/call_above.hpp"

#include <gtest/gtest.h>

#include <unwind.h>

#include <cfenv>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "platform/frame_walk.hpp"
#include "platform/stack_pool.hpp"
#include "platform/switch_here.hpp"

namespace coppice::platform {
namespace {

#if defined(__x86_64__) && !COPPICE_ASAN && !COPPICE_TSAN

// A thread, and a stack on which a context is suspended that answers with the sum of what it was given.
struct Two {
  StackPool pool{StackPoolOptions{}};
  Context thread;
  Stack* stack = pool.acquire();
  int calls = 0;
  bool was_on_stack = false;
  std::string caught;
  int frames = 0;

  Two() {
    adopt_thread(thread);
    current = this;
    make_context(stack->context, stack->low, stack->size, [](void* argument) {
      std::uintptr_t sum = 0;
      for (;;) {
        sum += reinterpret_cast<std::uintptr_t>(argument);
        argument = switch_here(current->stack->context, current->thread, reinterpret_cast<void*>(sum));
      }
    });
    EXPECT_EQ(ask(1), 1u);
  }
  ~Two() { pool.release(stack); }

  std::uintptr_t ask(std::uintptr_t number) {
    return reinterpret_cast<std::uintptr_t>(switch_here(thread, stack->context, reinterpret_cast<void*>(number)));
  }
  void* call(void (*function)(void*) noexcept) {
    void* const below = stack->context.machine;
    void* answer = call_above(thread, stack->context, function, this);
    if (answer == nullptr) {
      EXPECT_EQ(stack->context.machine, below);
    }
    return answer;
  }
  static Two* current;
};
Two* Two::current = nullptr;

TEST(CallAbove, runs_on_the_other_stack_and_leaves_alone_what_is_suspended_there) {
  Two two;
  for (int i = 1; i <= 100; ++i) {
    void* answer = two.call([](void* argument) noexcept {
      auto& me = *static_cast<Two*>(argument);
      ++me.calls;
      const char local = 0;
      me.was_on_stack = reinterpret_cast<const std::byte*>(&local) >= me.stack->low &&
                        reinterpret_cast<const std::byte*>(&local) < static_cast<std::byte*>(me.stack->context.machine);
    });
    EXPECT_EQ(answer, nullptr);
    EXPECT_EQ(two.calls, i);
    EXPECT_TRUE(two.was_on_stack);
    EXPECT_EQ(two.ask(1), static_cast<std::uintptr_t>(1 + i));
  }
}

TEST(CallAbove, may_throw_within) {
  Two two;
  EXPECT_EQ(two.call([](void* argument) noexcept {
    try {
      throw std::runtime_error("thrown above");
    } catch (const std::runtime_error& error) {
      static_cast<Two*>(argument)->caught = error.what();
    }
  }),
            nullptr);
  EXPECT_EQ(two.caught, "thrown above");
}

// The caller may be gone while the function still stands there: no unwinder may go on into it.
TEST(CallAbove, an_unwinder_finds_the_end_of_the_stack) {
  Two two;
  EXPECT_EQ(two.call([](void* argument) noexcept {
    _Unwind_Backtrace(
        [](_Unwind_Context*, void* frames) {
          ++*static_cast<int*>(frames);
          return _URC_NO_REASON;
        },
        &static_cast<Two*>(argument)->frames);
  }),
            nullptr);
  EXPECT_GE(two.frames, 1);
  EXPECT_LE(two.frames, 6);  // by far fewer than there are below the caller
}

// Somebody continues the caller while the function stands on its stack: with all its registers and its rounding mode.
TEST(CallAbove, the_caller_can_be_continued_by_a_switch) {
  Two two;
  std::fesetround(FE_UPWARD);
  std::uintptr_t sum = 0;
  for (std::uintptr_t i = 0; i < 64; ++i) {
    void* answer = two.call([](void* argument) noexcept {
      auto& me = *static_cast<Two*>(argument);
      std::fesetround(FE_DOWNWARD);
      for (std::uintptr_t next = 5;; ++next) {
        switch_here(me.stack->context, me.thread, reinterpret_cast<void*>(next));
        if (std::fegetround() != FE_DOWNWARD) next = 0;
      }
    });
    EXPECT_EQ(answer, reinterpret_cast<void*>(5));
    EXPECT_EQ(std::fegetround(), FE_UPWARD);
    EXPECT_EQ(two.ask(0), 6u);
    EXPECT_EQ(std::fegetround(), FE_UPWARD);
    sum += i;
    make_context(two.stack->context, two.stack->low, two.stack->size, two.stack->context.entry);
  }
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(sum, 63u * 32u);
}

// The inner call saves the outer function where the suspended context was noted.
TEST(CallAbove, calls_nest) {
  Two outer;
  Two inner;
  static Two* inner_two;
  inner_two = &inner;
  void* const below = outer.stack->context.machine;
  EXPECT_EQ(call_above(
                outer.thread, outer.stack->context,
                [](void* argument) noexcept {
                  auto& me = *static_cast<Two*>(argument);
                  void* answer = call_above(
                      me.stack->context, inner_two->stack->context,
                      [](void* deep) noexcept { ++static_cast<Two*>(deep)->calls; }, inner_two);
                  if (answer == nullptr) ++me.calls;
                },
                &outer),
            nullptr);
  outer.stack->context.machine = below;
  EXPECT_EQ(outer.calls, 1);
  EXPECT_EQ(inner.calls, 1);
  Two::current = &outer;
  EXPECT_EQ(outer.ask(1), 2u);
  Two::current = &inner;
  EXPECT_EQ(inner.ask(1), 2u);
}

#else

TEST(CallAbove, is_not_to_be_had_here) { EXPECT_FALSE(can_call_above); }

#endif

}  // namespace
}  // namespace coppice::platform
