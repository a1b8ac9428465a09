// SPDX-License-Identifier: Apache-2.0
#include <coppice/format.hpp>
#include <coppice/print.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace coppice;
using namespace std::chrono_literals;

namespace shapes {

struct Point {
  int x;
  int y;
};
struct Named {
  std::string id;
  int age;
  static constexpr auto fields = names("id", "age");
};
class Secret {
 public:
  explicit Secret(int value) : value_(value) {}
  friend std::string to_string(const Secret& secret) { return "secret " + std::to_string(secret.value_ % 10); }

 private:
  int value_;
};
class Opaque {
 public:
  [[nodiscard]] int value() const { return value_; }

 private:
  int value_ = 1;
};
enum class Colour { red };

}  // namespace shapes

TEST(Format, numbers_booleans_and_characters_look_as_in_std_format) {
  EXPECT_EQ(format("{} {} {}", 1, -2L, 3u), "1 -2 3");
  EXPECT_EQ(format("{} {}", LLONG_MIN, ULLONG_MAX), "-9223372036854775808 18446744073709551615");
  EXPECT_EQ(format("{} {} {}", 1.5, 0.1f, 1e100), "1.5 0.10000000149011612 1e+100");
  EXPECT_EQ(format("{} {} {}", true, false, 'c'), "true false c");
  EXPECT_EQ(format("{:>6}|{:<6}|{:^6}|{:*^7}", 42, 42, 42, 42), "    42|42    |  42  |**42***");
  EXPECT_EQ(format("{:+d} {:#x} {:#b} {:08.3f} {:e}", 5, 255, 5, 3.14159, 1.5), "+5 0xff 0b101 0003.142 1.500000e+00");
  EXPECT_EQ(format("{:d} {:s} {:c}", 7, true, 'x'), "7 true x");
}

TEST(Format, braces_are_doubled_to_stand_for_themselves) {
  EXPECT_EQ(format("{{}}"), "{}");
  EXPECT_EQ(format("{{{}}}", 1), "{1}");
  EXPECT_EQ(format("a {{ b }} c"), "a { b } c");
  EXPECT_EQ(format(""), "");
}

TEST(Format, texts_are_taken_as_they_are_and_may_be_aligned_cut_and_inspected) {
  const std::string text = "text";
  const std::string_view view = "view";
  const char* pointer = "pointer";
  const char* nothing = nullptr;
  EXPECT_EQ(format("{} {} {} {} {}", text, view, pointer, "literal", nothing), "text view pointer literal (null)");
  EXPECT_EQ(format("{:>6}|{:.2}|{:-<6}", text, view, "x"), "  text|vi|x-----");
  EXPECT_EQ(format("{:?} {:>8?}", "a\n\"b\"", text), "\"a\\n\\\"b\\\"\"   \"text\"");
  EXPECT_EQ(format("{:é^5}", "x"), "ééxéé");
}

TEST(Format, pointers_show_their_address) {
  EXPECT_EQ(format("{} {}", nullptr, reinterpret_cast<const void*>(0x1f)), "0x0 0x1f");
}

TEST(Format, durations_carry_their_unit) {
  EXPECT_EQ(format("{} {} {} {} {} {}", 3ns, 4us, 150ms, 2s, 5min, 1h), "3ns 4us 150ms 2s 5min 1h");
  EXPECT_EQ(format("{}", std::chrono::duration<double>(1.5)), "1.5s");
  EXPECT_EQ(format("{}", std::chrono::duration<int, std::ratio<1, 10>>(5)), "0.5s");
  EXPECT_EQ(format("{:>7}", 150ms), "  150ms");
}

TEST(Format, the_librarys_own_types_look_as_in_elixir) {
  const Pid pid{12 | (std::uint64_t{1} << Pid::slot_bits), 0, 1};
  EXPECT_EQ(format("{}", pid), "<0.12.1>");
  EXPECT_EQ(format("{} {:?}", "enoent"_atom, "enoent"_atom), "enoent :enoent");
  EXPECT_EQ(format("{} {:?}", Term("text"), Term("text")), "text \"text\"");
  EXPECT_EQ(format("{}", tuple("ok"_atom, 1, list(2))), "{:ok, 1, [2]}");
  EXPECT_EQ(format("{} {}", ExitReason::normal(), ExitReason::shutdown(3)), ":normal {:shutdown, 3}");
}

TEST(Format, an_optional_is_its_value_or_nil) {
  EXPECT_EQ(format("{} {}", std::optional<int>(4), std::optional<int>()), "4 nil");
  EXPECT_EQ(format("{} {:?}", std::optional<std::string>("x"), std::optional<std::string>("x")), "x \"x\"");
  EXPECT_EQ(format("{:>5}", std::optional<shapes::Secret>(shapes::Secret(17))), "secret 7");
}

TEST(Format, a_type_with_to_string_uses_it_and_others_are_inspected_as_terms) {
  EXPECT_EQ(format("{}", shapes::Secret(42)), "secret 2");
  EXPECT_EQ(format("{}", shapes::Point{1, 2}), "{:point, 1, 2}");
  EXPECT_EQ(format("{}", shapes::Named{"7", 42}), "%{age: 42, id: \"7\"}");
  EXPECT_EQ(format("{} {}", std::vector<int>{1, 2}, std::map<std::string, int>{{"a", 1}}), "[1, 2] %{\"a\" => 1}");
  EXPECT_EQ(format("{}", std::vector<shapes::Point>{{1, 2}}), "[{:point, 1, 2}]");
}

TEST(Format, exceptions_show_what_and_paths_their_text) {
  EXPECT_EQ(format("{} {}", std::runtime_error("boom"), std::filesystem::path("/tmp/x")), "boom /tmp/x");
}

TEST(Format, what_cannot_be_formatted_is_known_at_compile_time) {
  EXPECT_TRUE(Formattable<int>);
  EXPECT_TRUE(Formattable<std::optional<shapes::Point>>);
  EXPECT_FALSE(Formattable<shapes::Opaque>);
  EXPECT_FALSE(Formattable<shapes::Colour>);
  EXPECT_FALSE(Formattable<int*>);
  EXPECT_FALSE(Formattable<std::optional<shapes::Opaque>>);
}

TEST(Format, specifications_are_judged_by_the_type_of_their_argument) {
  using detail::FormatKind;
  const auto fits = [](std::string_view spec, FormatKind kind) { return detail::is_format_specification(spec, kind); };
  EXPECT_TRUE(fits("+#010x", FormatKind::signed_integer));
  EXPECT_TRUE(fits(".3f", FormatKind::floating));
  EXPECT_TRUE(fits("*>10.3?", FormatKind::text));
  EXPECT_FALSE(fits("x", FormatKind::floating));
  EXPECT_FALSE(fits(".3", FormatKind::signed_integer));
  EXPECT_FALSE(fits("+", FormatKind::text));
  EXPECT_FALSE(fits("d", FormatKind::text));
  EXPECT_FALSE(fits("?", FormatKind::unsigned_integer));
  EXPECT_FALSE(fits(".", FormatKind::floating));
  EXPECT_FALSE(fits("10 ", FormatKind::signed_integer));
  EXPECT_FALSE(fits("99999", FormatKind::signed_integer));
  EXPECT_FALSE(fits("#p", FormatKind::pointer));
  EXPECT_TRUE(fits("p", FormatKind::pointer));
}

namespace {

// What `act` prints on standard output.
template <class Act>
std::string printed(Act act) {
  std::fflush(stdout);
  std::FILE* file = std::tmpfile();
  const int saved = ::dup(STDOUT_FILENO);
  ::dup2(::fileno(file), STDOUT_FILENO);
  act();
  std::fflush(stdout);
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

}  // namespace

TEST(Print, print_writes_the_text_and_println_adds_a_newline) {
  EXPECT_EQ(printed([] {
              print("{} and {}\n", 1, "two");
              println("three {}", 3);
              println();
              print("end");
            }),
            "1 and two\nthree 3\n\nend");
}

TEST(Print, what_threads_print_at_the_same_time_is_not_interleaved) {
  const std::string text = printed([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([i] {
        for (int n = 0; n < 500; ++n) println("{}{}{}{}{}{}{}{}", i, i, i, i, i, i, i, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  ASSERT_EQ(text.size(), 4u * 500u * 9u);
  for (std::size_t at = 0; at < text.size(); at += 9) {
    EXPECT_EQ(text.substr(at, 8), std::string(8, text[at])) << at;
    EXPECT_EQ(text[at + 8], '\n');
  }
}
