// SPDX-License-Identifier: Apache-2.0
#include "tree.hpp"

#include <algorithm>
#include <cctype>

#include <coppice/format.hpp>
#include <coppice/timer.hpp>

namespace tour {
namespace {

using namespace coppice;
using State = SupervisorTree::State;

void collect(const SupervisorTree& tree, const std::string& supervisor, std::vector<Place>& found) {
  const std::string name = name_of(tree);
  if (name.empty() || name == "connection") return;
  found.push_back({name, supervisor, tree.pid, tree.state == State::running});
  for (const SupervisorTree& child : tree.children) collect(child, name, found);
}

// The root may be gone, or be on its way: then there is nothing to see.
std::optional<SupervisorTree> look() {
  try {
    return Supervisor::tree(root);
  } catch (const Exit&) {
    return std::nullopt;
  }
}

std::string_view note(State state) noexcept {
  switch (state) {
    case State::running: return "";
    case State::undefined: return " (not running)";
    case State::restarting: return " (being restarted)";
    case State::busy: return " (busy)";
    case State::gone: return " (gone)";
  }
  return "";
}

void draw(const SupervisorTree& tree, const std::string& margin, std::string& text) {
  for (std::size_t i = 0; i < tree.children.size(); ++i) {
    const SupervisorTree& child = tree.children[i];
    const bool last = i + 1 == tree.children.size();
    std::string label = name_of(child);
    if (label.empty()) label = child.module.empty() ? "process" : child.module;
    text += format("\n{}{}{} {}{}", margin, last ? "`- " : "|- ", label, to_string(child.pid), note(child.state));
    draw(child, margin + (last ? "   " : "|  "), text);
  }
}

}  // namespace

std::string name_of(const SupervisorTree& tree) {
  if (!tree.name.empty()) return tree.name;
  if (const auto text = tree.id.as_text()) return std::string(*text);
  if (tree.id == Term() || tree.id == Term(Atom("undefined"))) return {};
  return inspect(tree.id);
}

std::vector<Place> places() {
  std::vector<Place> found;
  if (const auto tree = look()) collect(*tree, "", found);
  return found;
}

std::string draw_tree() {
  const auto tree = look();
  if (!tree) return "there is no tree";
  std::string text = format("{} {}", root, to_string(tree->pid));
  draw(*tree, "", text);
  return text;
}

std::optional<Place> find_place(const std::string& name) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  for (Place& place : places()) {
    if (std::ranges::equal(place.name, name, same)) return std::move(place);
  }
  return std::nullopt;
}

std::vector<Change> changes(const std::vector<Place>& before, const std::vector<Place>& after) {
  std::vector<Change> found;
  for (const Place& old : before) {
    const auto now = std::ranges::find_if(
        after, [&](const Place& place) { return place.name == old.name && place.supervisor == old.supervisor; });
    if (now != after.end() && now->pid != old.pid) found.push_back({old, *now});
  }
  return found;
}

std::optional<std::vector<Place>> wait_until_whole(const Pid& pid, std::chrono::milliseconds time) {
  const auto deadline = monotonic_time() + time;
  while (monotonic_time() < deadline) {
    std::vector<Place> now = places();
    const bool whole = !now.empty() && std::ranges::all_of(now, [&](const Place& place) {
      return place.running && place.pid != pid && alive(place.pid);
    });
    if (whole && !alive(pid)) return now;
    sleep_for(10ms);
  }
  return std::nullopt;
}

}  // namespace tour
