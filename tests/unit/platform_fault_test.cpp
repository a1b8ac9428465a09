// SPDX-License-Identifier: Apache-2.0
#include "platform/fault.hpp"

#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "platform/context.hpp"
#include "platform/sanitizers.hpp"
#include "platform/stack_pool.hpp"
#include "platform/trace.hpp"

namespace coppice::platform {
namespace {

constexpr bool sanitized = COPPICE_ASAN != 0 || COPPICE_TSAN != 0;

void describe_counter(char* buffer, std::size_t size) noexcept {
  std::snprintf(buffer, size, "process #PID<0.12.0> (Counter)");
}

struct Borrowed {
  StackPool pool{StackPoolOptions{}};
  Context thread;
  Stack* stack = nullptr;
};

// Runs `entry` on a borrowed stack, with everything installed that the runtime installs. Comes back if `entry` goes
// back to the thread.
void run_on_a_stack(ContextEntry entry, DescribeRunning describe = &describe_counter) {
  install_fault_handlers();
  const AlternateSignalStack alternate;
  set_describe_running(describe);
  Borrowed here;
  adopt_thread(here.thread);
  here.stack = here.pool.acquire();
  here.stack->name = "Named";
  make_context(here.stack->context, here.stack->low, here.stack->size, entry);
  switch_context(here.thread, here.stack->context, nullptr);
  set_describe_running(nullptr);
  here.pool.release(here.stack);
}

[[gnu::noinline]] long recurse(long depth) {
  volatile char frame[512];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : recurse(depth - 1) + frame[0];
}

[[gnu::noinline]] void ask_the_database() { throw std::runtime_error("the database is gone"); }

[[gnu::noinline]] void leave_a_noexcept_frame() noexcept {
  ask_the_database();
  asm volatile("" : : : "memory");
}

class FaultDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(FaultDeathTest, a_stack_overflow_names_process_size_address_and_frames) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  EXPECT_DEATH(
      run_on_a_stack([](void*) { recurse(1'000'000); }),
      "coppice: stack overflow in process #PID<0.12.0> \\(Counter\\): its stack of 256 KiB is used up; fault at "
      "0x[0-9a-f]+\n +#0  .*recurse.*platform_fault_test.cpp:(.|\n)*frames \\.\\.\\.\n(.|\n)*start_context");
}

TEST_F(FaultDeathTest, a_stack_overflow_is_named_by_the_stack_when_nobody_knows_who_runs) {
  EXPECT_DEATH(run_on_a_stack([](void*) { recurse(1'000'000); }, nullptr),
               "coppice: stack overflow in a process \\(Named\\): its stack of 256 KiB is used up");
}

TEST_F(FaultDeathTest, a_stack_overflow_on_a_thread_with_its_own_alternate_stack_is_reported_too) {
  EXPECT_DEATH(std::thread([] { run_on_a_stack([](void*) { recurse(1'000'000); }); }).join(),
               "coppice: stack overflow in process #PID<0.12.0>");
}

TEST_F(FaultDeathTest, an_exception_that_leaves_a_noexcept_frame_names_process_exception_and_frame) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  EXPECT_DEATH(
      run_on_a_stack([](void*) { leave_a_noexcept_frame(); }),
      "coppice: an exception left a noexcept frame in process #PID<0.12.0> \\(Counter\\): std::runtime_error: the "
      "database is gone\n(.|\n)*leave_a_noexcept_frame(.|\n)*platform_fault_test.cpp:");
}

TEST_F(FaultDeathTest, an_exception_that_is_no_std_exception_is_named_by_its_type) {
  EXPECT_DEATH(run_on_a_stack([](void*) { throw 5L; }),
               "coppice: an exception left a noexcept frame in process #PID<0.12.0> \\(Counter\\): long\n");
}

TEST_F(FaultDeathTest, an_exception_that_leaves_a_thread_is_told_from_one_in_a_process) {
  EXPECT_DEATH(
      {
        install_fault_handlers();
        std::thread([] { throw std::runtime_error("lost"); }).join();
      },
      "coppice: an exception left a noexcept frame or a thread, outside of any process: std::runtime_error: lost");
}

TEST_F(FaultDeathTest, a_terminate_without_an_exception_says_so) {
  EXPECT_DEATH(run_on_a_stack([](void*) { std::terminate(); }),
               "coppice: std::terminate was called in process #PID<0.12.0> \\(Counter\\)\n");
}

TEST_F(FaultDeathTest, the_place_of_the_throw_is_shown_when_it_was_recorded) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  if (sanitized) GTEST_SKIP() << "the hook on the throw path is not built in";
  EXPECT_DEATH(run_on_a_stack([](void*) {
                 set_record_throws(true);
                 leave_a_noexcept_frame();
               }),
               "thrown at:\n +.*ask_the_database");
}

TEST_F(FaultDeathTest, die_prints_sentence_process_and_frames) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  EXPECT_DEATH(
      run_on_a_stack([](void*) { die("the queue has lost its head"); }),
      "coppice: the queue has lost its head; in process #PID<0.12.0> \\(Counter\\)\n(.|\n)*platform_fault_test.cpp:");
  EXPECT_DEATH(die("a foreign thread has called"), "coppice: a foreign thread has called\n");
}

TEST_F(FaultDeathTest, an_invariant_dies_with_its_sentence_when_it_does_not_hold) {
  const int limbs = 4;
  COPPICE_INVARIANT(limbs == 4, "it has four limbs");
  EXPECT_DEATH(COPPICE_INVARIANT(limbs == 5, "it has five limbs"), "coppice: it has five limbs\n");
}

TEST_F(FaultDeathTest, a_fault_inside_the_report_ends_the_program_nevertheless) {
  EXPECT_EXIT(run_on_a_stack([](void*) { die("first"); }, [](char*, std::size_t) noexcept { die("while describing"); }),
              ::testing::KilledBySignal(SIGABRT), "^coppice: first$");
}

TEST_F(FaultDeathTest, a_fault_elsewhere_goes_to_the_handler_that_was_there_before) {
  EXPECT_EXIT(
      {
        struct sigaction action {};
        action.sa_sigaction = [](int, siginfo_t* info, void*) {
          std::fprintf(stderr, "the old handler saw %p", info->si_addr);
          ::_exit(7);
        };
        action.sa_flags = SA_SIGINFO;
        ::sigaction(SIGSEGV, &action, nullptr);
        run_on_a_stack([](void*) {
          volatile std::uintptr_t nowhere = 64;
          *reinterpret_cast<volatile int*>(nowhere) = 1;
        });
      },
      ::testing::ExitedWithCode(7), "the old handler saw 0x40");
}

TEST_F(FaultDeathTest, a_fault_elsewhere_kills_the_program_as_ever_when_there_was_no_handler) {
  EXPECT_EXIT(
      {
        struct sigaction none {};
        none.sa_handler = SIG_DFL;
        ::sigaction(SIGSEGV, &none, nullptr);
        run_on_a_stack([](void*) {
          volatile std::uintptr_t nowhere = 64;
          *reinterpret_cast<volatile int*>(nowhere) = 1;
        });
      },
      ::testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(FaultDeathTest, a_sent_signal_kills_the_program_as_ever_when_there_was_no_handler) {
  EXPECT_EXIT(
      {
        struct sigaction none {};
        none.sa_handler = SIG_DFL;
        ::sigaction(SIGSEGV, &none, nullptr);
        install_fault_handlers();
        ::raise(SIGSEGV);
      },
      ::testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(FaultDeathTest, a_stray_pointer_into_the_guard_of_another_stack_is_no_stack_overflow) {
  EXPECT_EXIT(
      {
        struct sigaction action {};
        action.sa_sigaction = [](int, siginfo_t*, void*) { ::_exit(7); };
        action.sa_flags = SA_SIGINFO;
        ::sigaction(SIGSEGV, &action, nullptr);
        install_fault_handlers();
        StackPool pool{StackPoolOptions{}};
        volatile std::byte* guard = pool.acquire()->low - 100;
        *guard = std::byte{1};
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(AlternateSignalStack, takes_the_place_of_the_one_before_and_puts_it_back) {
  stack_t before{};
  ASSERT_EQ(::sigaltstack(nullptr, &before), 0);
  {
    const AlternateSignalStack alternate;
    stack_t during{};
    ASSERT_EQ(::sigaltstack(nullptr, &during), 0);
    EXPECT_EQ(during.ss_flags & SS_DISABLE, 0);
    EXPECT_NE(during.ss_sp, before.ss_sp);
    EXPECT_GE(during.ss_size, 64U * 1024);
  }
  stack_t after{};
  ASSERT_EQ(::sigaltstack(nullptr, &after), 0);
  EXPECT_EQ(after.ss_flags & SS_DISABLE, before.ss_flags & SS_DISABLE);
  EXPECT_EQ(after.ss_sp, before.ss_sp);
}

}  // namespace
}  // namespace coppice::platform
