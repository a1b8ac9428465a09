// SPDX-License-Identifier: Apache-2.0
//
// The supervision tree, as people see it: drawn, and compared with what it was before a crash.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <coppice/supervisor.hpp>

namespace tour {

inline constexpr const char* root = "Tour.Supervisor";

// A child somewhere in the tree. Children without a name or id of their own (connections, sessions) are left out.
struct Place {
  std::string name;
  std::string supervisor;
  coppice::Pid pid;
  bool running = false;
  friend bool operator==(const Place&, const Place&) = default;
};
[[nodiscard]] std::vector<Place> places();
// What a child is called: its name, or its id; empty if it has neither.
[[nodiscard]] std::string name_of(const coppice::SupervisorTree& tree);
// Drawn with branches, a line each.
[[nodiscard]] std::string draw_tree();
// Whoever is called so, whatever the case of its letters.
[[nodiscard]] std::optional<Place> find_place(const std::string& name);

// Who has been started anew between two looks.
struct Change {
  Place before;
  Place after;
};
[[nodiscard]] std::vector<Change> changes(const std::vector<Place>& before, const std::vector<Place>& after);

// Waits until `pid` has gone and everybody runs again, and returns how it is then; nullopt if that takes too long.
[[nodiscard]] std::optional<std::vector<Place>> wait_until_whole(
    const coppice::Pid& pid, std::chrono::milliseconds time = std::chrono::seconds(10));

}  // namespace tour
