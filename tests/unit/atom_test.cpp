// SPDX-License-Identifier: Apache-2.0
#include <coppice/atom.hpp>

#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace coppice;

static_assert(sizeof(Atom) == sizeof(void*));
static_assert(std::is_trivially_copyable_v<Atom>);
static_assert(!std::is_convertible_v<const char*, Atom>, "text must not become an atom by accident");

// Made before main, by whatever order the linker chose.
const Atom early{"made_before_main"};

TEST(Atom, atoms_of_the_same_text_are_identical) {
  EXPECT_EQ(Atom("enoent"), "enoent"_atom);
  EXPECT_EQ(Atom("enoent").text().data(), "enoent"_atom.text().data());
  EXPECT_NE("enoent"_atom, "eacces"_atom);
  EXPECT_EQ(early, Atom("made_before_main"));
}

TEST(Atom, a_default_constructed_atom_is_nil) {
  EXPECT_EQ(Atom(), "nil"_atom);
  EXPECT_EQ(Atom().text(), "nil");
  EXPECT_EQ(Atom(std::string("n") + "il"), Atom());
}

TEST(Atom, predefined_names_are_one_atom_however_they_are_made) {
  for (const char* name : {"true", "false", "normal", "shutdown", "killed", "kill", "noproc", "timeout", "badarg"}) {
    EXPECT_EQ(Atom(name), *Atom::existing(name)) << name;
    EXPECT_EQ(Atom(name).text(), name);
  }
}

TEST(Atom, the_text_is_followed_by_a_nul_character) {
  const Atom atom("text");
  EXPECT_STREQ(atom.text().data(), "text");
  EXPECT_EQ(Atom("").text(), "");
  EXPECT_EQ(to_string(atom), "text");
}

TEST(Atom, a_text_may_hold_a_nul_character) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(Atom(text).text(), text);
  EXPECT_EQ("a\0b"_atom, Atom(text));
}

TEST(Atom, existing_creates_nothing) {
  EXPECT_FALSE(Atom::existing("nobody has made this one"));
  EXPECT_FALSE(Atom::existing("nobody has made this one"));
  const Atom made("nobody has made this one");
  EXPECT_EQ(Atom::existing("nobody has made this one"), made);
  EXPECT_FALSE(Atom::existing("\xff"));
}

TEST(Atom, order_is_that_of_the_texts) {
  EXPECT_LT("a"_atom, "b"_atom);
  EXPECT_LT("a"_atom, "aa"_atom);
  EXPECT_LT(Atom(""), "a"_atom);
  EXPECT_LT("z"_atom, "é"_atom);
  EXPECT_LT("\uffff"_atom, "\U0001F600"_atom);
  const std::set<Atom> set{"b"_atom, "c"_atom, "a"_atom};
  EXPECT_EQ(set.begin()->text(), "a");
}

TEST(Atom, atoms_hash_by_text) {
  std::unordered_set<Atom> set{"a"_atom, "b"_atom, Atom("a")};
  EXPECT_EQ(set.size(), 2U);
  EXPECT_EQ(Atom("a").hash(), "a"_atom.hash());
}

TEST(Atom, a_text_of_255_code_points_is_the_longest) {
  std::string text;
  for (int i = 0; i < 255; ++i) text += "é";
  EXPECT_EQ(Atom(text).text().size(), 510U);
  text += "x";
  EXPECT_THROW(Atom{text}, std::invalid_argument);
}

TEST(Atom, a_text_that_is_not_valid_utf8_is_refused) {
  // Cut off, stray continuation, overlong, surrogate, beyond the last code point.
  for (const char* text : {"\xc3", "\x80", "a\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_THROW(Atom{text}, std::invalid_argument) << text;
  }
  EXPECT_NO_THROW(Atom{"\xf4\x8f\xbf\xbf"});
}

TEST(Atom, threads_that_make_the_same_atoms_get_the_same_ones) {
  constexpr int names = 2000;
  constexpr int threads = 4;
  std::vector<std::vector<Atom>> made(threads);
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (int i = 0; i < names; ++i) {
        // Each from another start, so that the threads meet in the middle of each other's work.
        const int number = (i + t * names / threads) % names;
        made[static_cast<std::size_t>(t)].emplace_back("shared_" + std::to_string(number));
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  for (int t = 0; t < threads; ++t) {
    for (int i = 0; i < names; ++i) {
      const Atom atom = made[static_cast<std::size_t>(t)][static_cast<std::size_t>(i)];
      const std::string text = "shared_" + std::to_string((i + t * names / threads) % names);
      ASSERT_EQ(atom.text(), text);
      ASSERT_EQ(atom, Atom(text));
    }
  }
}

TEST(Atom, many_atoms_in_one_bucket_are_all_found) {
  constexpr int count = 200'000;  // about three for each bucket
  for (int i = 0; i < count; ++i) Atom("many_" + std::to_string(i));
  for (int i = 0; i < count; ++i) ASSERT_TRUE(Atom::existing("many_" + std::to_string(i))) << i;
}

}  // namespace
