// SPDX-License-Identifier: Apache-2.0
#include "platform/trace.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "platform/context.hpp"
#include "platform/sanitizers.hpp"
#include "platform/stack_pool.hpp"

// Outside of the unnamed namespace, so that their names are in the dynamic symbol table at best.
namespace trace_test {

using Trace = std::vector<std::uintptr_t>;

[[gnu::noinline]] Trace innermost(std::size_t skip, std::size_t frames_max) {
  Trace trace = coppice::platform::capture_trace(skip, frames_max);
  asm volatile("" : : "r"(&trace) : "memory");
  return trace;
}

[[gnu::noinline]] Trace middle(std::size_t skip, std::size_t frames_max = 64) {
  Trace trace = innermost(skip, frames_max);
  asm volatile("" : : "r"(&trace) : "memory");
  return trace;
}

[[gnu::noinline]] void throw_an_int(int value) {
  if (value != 0) throw value;
  asm volatile("" : : : "memory");
}

struct Own {};

[[gnu::noinline]] void throw_our_own(int value) {
  if (value != 0) throw Own{};
  asm volatile("" : : : "memory");
}

struct Place {
  coppice::platform::Context thread;
  coppice::platform::Stack* stack = nullptr;
};
Place* place = nullptr;

[[gnu::noinline]] void wait_for_the_database(int depth) {
  if (depth > 0) {
    wait_for_the_database(depth - 1);
  } else {
    coppice::platform::switch_context(place->stack->context, place->thread, nullptr);
  }
  asm volatile("" : : "r"(depth) : "memory");
}

[[gnu::noinline]] void load_user(int id) {
  wait_for_the_database(id);
  asm volatile("" : : "r"(id) : "memory");
}

[[gnu::noinline]] void write_to(int descriptor) {
  coppice::platform::write_trace_signal_safe(descriptor);
  asm volatile("" : : : "memory");
}

}  // namespace trace_test

namespace coppice::platform {
namespace {

constexpr bool sanitized = COPPICE_ASAN != 0 || COPPICE_TSAN != 0;

std::size_t index_of(const std::vector<std::string>& lines, const std::string& words) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find(words) != std::string::npos) return i;
  }
  ADD_FAILURE() << "no line with " << words << " in " << ::testing::PrintToString(lines);
  return lines.size();
}

TEST(Trace, begins_with_the_function_that_asked_and_goes_on_with_its_callers) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  const auto lines = symbolise(trace_test::middle(0));
  EXPECT_EQ(index_of(lines, "trace_test::innermost"), 0U);
  EXPECT_EQ(index_of(lines, "trace_test::middle"), 1U);
  EXPECT_GE(index_of(lines, "begins_with_the_function_that_asked"), 2U);
}

TEST(Trace, leaves_out_the_innermost_frames_on_request) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  EXPECT_EQ(index_of(symbolise(trace_test::middle(1)), "trace_test::middle"), 0U);
}

TEST(Trace, holds_as_many_frames_as_asked_for_and_no_more) {
  EXPECT_EQ(trace_test::middle(0, 2).size(), 2U);
  EXPECT_EQ(trace_test::middle(0, 0).size(), 0U);
}

TEST(Trace, a_line_names_function_file_and_line) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  const std::string line = symbolise(trace_test::middle(0)).at(0);
  EXPECT_EQ(line.find("trace_test::innermost(unsigned long, unsigned long)  "), 0U) << line;
  EXPECT_NE(line.find("platform_trace_test.cpp:"), std::string::npos) << line;
}

TEST(Trace, an_address_that_nobody_knows_is_shown_as_a_number) {
  EXPECT_EQ(symbolise({0x1234}), std::vector<std::string>{"0x1234"});
}

TEST(Trace, is_cut_below_a_frame_by_name) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  const auto lines = symbolise(trace_test::middle(0), "trace_test::middle");
  EXPECT_EQ(lines.size(), 2U);
}

TEST(Trace, of_a_suspended_context_shows_where_it_waits) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  StackPool pool{StackPoolOptions{}};
  trace_test::Place place;
  trace_test::place = &place;
  adopt_thread(place.thread);
  place.stack = pool.acquire();
  make_context(place.stack->context, place.stack->low, place.stack->size, [](void*) {
    trace_test::load_user(3);
    switch_context(trace_test::place->stack->context, trace_test::place->thread, nullptr);
  });
  EXPECT_TRUE(capture_trace_of(place.stack->context).empty());
  switch_context(place.thread, place.stack->context, nullptr);
  std::vector<std::string> lines;
  std::thread([&] { lines = symbolise(capture_trace_of(place.stack->context)); }).join();
  EXPECT_EQ(index_of(lines, "switch_context"), 0U);
  EXPECT_EQ(index_of(lines, "trace_test::load_user"), index_of(lines, "trace_test::wait_for_the_database") + 4);
  EXPECT_EQ(index_of(lines, "start_context"), lines.size() - 1);
  EXPECT_EQ(capture_trace_of(place.stack->context, 2).size(), 2U);
  switch_context(place.thread, place.stack->context, nullptr);
  pool.release(place.stack);
}

TEST(Trace, of_an_exception_shows_where_it_was_thrown) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  if (sanitized) GTEST_SKIP() << "the hook on the throw path is not built in";
  set_record_throws(true);
  try {
    trace_test::throw_an_int(1);
    FAIL();
  } catch (int) {
    EXPECT_EQ(index_of(symbolise(trace_of_current_exception()), "trace_test::throw_an_int"), 0U);
  }
  set_record_throws(false);
}

TEST(Trace, of_an_exception_is_found_by_its_pointer_also_when_another_was_thrown_since) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  if (sanitized) GTEST_SKIP() << "the hook on the throw path is not built in";
  set_record_throws(true);
  try {
    std::vector<int>().at(5);  // thrown inside libstdc++
  } catch (const std::out_of_range&) {
    const std::exception_ptr outer = std::current_exception();
    try {
      trace_test::throw_an_int(1);
    } catch (int) {
      EXPECT_EQ(index_of(symbolise(trace_of_current_exception()), "trace_test::throw_an_int"), 0U);
    }
    const auto lines = symbolise(trace_of_exception(*reinterpret_cast<void* const*>(&outer)));
    EXPECT_LT(index_of(lines, "of_an_exception_is_found_by_its_pointer"), 6U);
  }
  set_record_throws(false);
}

// By frame pointers on a borrowed stack; a thread has none that anybody could walk within bounds.
TEST(Trace, of_our_own_exception_shows_where_it_was_thrown) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  if (sanitized) GTEST_SKIP() << "the hook on the throw path is not built in";
  const auto trace_of_a_throw = [] {
    try {
      trace_test::throw_our_own(1);
    } catch (const trace_test::Own&) {
      return symbolise(trace_of_current_exception());
    }
    return std::vector<std::string>{};
  };
  set_own_exception(typeid(trace_test::Own));
  set_record_throws(true);
  EXPECT_EQ(index_of(trace_of_a_throw(), "trace_test::throw_our_own"), 0U);
  StackPool pool{StackPoolOptions{}};
  trace_test::Place place;
  trace_test::place = &place;
  adopt_thread(place.thread);
  place.stack = pool.acquire();
  static std::vector<std::string> lines;
  make_context(place.stack->context, place.stack->low, place.stack->size, [](void*) {
    try {
      trace_test::throw_our_own(1);
    } catch (const trace_test::Own&) {
      lines = symbolise(trace_of_current_exception());
    }
    switch_context(trace_test::place->stack->context, trace_test::place->thread, nullptr);
  });
  switch_context(place.thread, place.stack->context, nullptr);
  EXPECT_EQ(index_of(lines, "trace_test::throw_our_own"), 0U);
  EXPECT_EQ(index_of(lines, "start_context"), lines.size() - 1);
  EXPECT_LT(lines.size(), 6U);
  pool.release(place.stack);
  set_record_throws(false);
}

TEST(Trace, of_an_exception_is_empty_when_recording_is_off) {
  set_record_throws(true);
  try {
    trace_test::throw_an_int(1);
  } catch (int) {
    set_record_throws(false);
    EXPECT_TRUE(trace_of_current_exception().empty());
  }
  try {
    trace_test::throw_an_int(1);
  } catch (int) {
    EXPECT_TRUE(trace_of_current_exception().empty());
  }
  EXPECT_TRUE(trace_of_current_exception().empty());
  EXPECT_TRUE(trace_of_exception(nullptr).empty());
}

TEST(Trace, of_an_exception_is_kept_per_thread) {
  set_record_throws(true);
  std::thread([] {
    try {
      trace_test::throw_an_int(1);
    } catch (int) {
      EXPECT_TRUE(trace_of_current_exception().empty());
    }
  }).join();
  set_record_throws(false);
}

TEST(Trace, is_written_without_malloc_in_readable_words) {
  if (!symbols_have_lines()) GTEST_SKIP() << "this build has no libbacktrace";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  prepare_symbols();
  trace_test::write_to(ends[1]);
  ::close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  EXPECT_EQ(text.find("    #0  trace_test::write_to  "), 0U) << text;
  EXPECT_NE(text.find("platform_trace_test.cpp:"), std::string::npos) << text;
  EXPECT_NE(text.find("is_written_without_malloc_in_readable_words_Test::TestBody"), std::string::npos) << text;
}

}  // namespace
}  // namespace coppice::platform
