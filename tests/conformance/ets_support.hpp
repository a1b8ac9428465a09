// SPDX-License-Identifier: Apache-2.0
//
// What the tests of shared tables share: their types.
#pragma once

#include <string>
#include <vector>

#include <coppice/ets.hpp>

#include "conformance/processes_support.hpp"

namespace conformance::tables {

struct User {
  std::string name;
  int visits = 0;
  friend bool operator==(const User&, const User&) = default;
};

using Words = ets::Table<std::string, std::string>;
using Numbers = ets::Table<int, int>;
using Users = ets::Table<std::string, User>;
using ets::Access;
using ets::Type;

inline constexpr Words::Name words{"words"};
inline constexpr Numbers::Name numbers{"numbers"};
inline constexpr Users::Name users{"users"};

// A process that owns what `make` makes, until it is told to end.
struct End {};
struct Made {};
template <class F>
Pid spawn_owner(F make) {
  const Pid pid = spawn([make, test = self()] {
    auto made = make();
    send(test, Made{});
    receive<End>();
  });
  receive<Made>();
  return pid;
}

// Runs `function` in a process of its own and waits for its end.
template <class F>
void elsewhere(F function) {
  EXPECT_TRUE(reason_of(std::move(function)).is_normal());
}

inline std::vector<Numbers::Object> pairs(std::initializer_list<Numbers::Object> objects) { return objects; }
inline std::vector<int> keys_of(const std::vector<Numbers::Object>& objects) {
  std::vector<int> keys;
  for (const auto& object : objects) keys.push_back(object.key);
  return keys;
}

}  // namespace conformance::tables
