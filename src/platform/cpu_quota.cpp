// SPDX-License-Identifier: Apache-2.0
#include "platform/cpu_quota.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

namespace coppice::platform {
namespace {

constexpr std::string_view spaces = " \t\r\n";

// Takes the first word off `text`; empty if there is none.
std::string_view take_word(std::string_view& text) {
  const std::size_t begin = text.find_first_not_of(spaces);
  if (begin == std::string_view::npos) {
    text = {};
    return {};
  }
  const std::size_t end = std::min(text.find_first_of(spaces, begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

std::optional<std::uint64_t> positive_number(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || value == 0) return std::nullopt;
  return value;
}

std::optional<unsigned> cpus_of(std::optional<std::uint64_t> quota, std::optional<std::uint64_t> period) {
  if (!quota || !period) return std::nullopt;
  const std::uint64_t cpus = *quota / *period + (*quota % *period == 0 ? 0 : 1);
  return static_cast<unsigned>(std::min<std::uint64_t>(cpus, std::numeric_limits<unsigned>::max()));
}

std::optional<unsigned> smaller(std::optional<unsigned> a, std::optional<unsigned> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

// Does the comma-separated list of version 1 controllers name `cpu`?
bool names_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

// Calls `look(directory)` for `mount` + `path` and each directory above it down to `mount` itself.
template <class Look>
void for_each_group(const std::string& mount, std::string_view path, Look look) {
  for (;;) {
    while (!path.empty() && path.back() == '/') path.remove_suffix(1);
    look(mount + std::string(path));
    if (path.empty()) return;
    const std::size_t slash = path.find_last_of('/');
    path = path.substr(0, slash == std::string_view::npos ? 0 : slash);
  }
}

std::optional<unsigned> cgroup_cpus_version_2(const ReadFile& read_file, std::string_view path) {
  std::optional<unsigned> least;
  for_each_group("/sys/fs/cgroup", path, [&](const std::string& directory) {
    if (const auto text = read_file(directory + "/cpu.max")) least = smaller(least, cpus_of_cpu_max(*text));
  });
  return least;
}

std::optional<unsigned> cgroup_cpus_version_1(const ReadFile& read_file, std::string_view controllers,
                                              std::string_view path) {
  std::optional<unsigned> least;
  const auto look = [&](const std::string& directory) {
    const auto quota = read_file(directory + "/cpu.cfs_quota_us");
    const auto period = read_file(directory + "/cpu.cfs_period_us");
    if (quota && period) least = smaller(least, cpus_of_cfs(*quota, *period));
  };
  // The controller is mounted under its full list of names; `cpu` alone is usually a link to that.
  for_each_group("/sys/fs/cgroup/cpu", path, look);
  if (controllers != "cpu") for_each_group("/sys/fs/cgroup/" + std::string(controllers), path, look);
  return least;
}

}  // namespace

std::optional<unsigned> cpus_of_cpu_max(std::string_view text) {
  const auto quota = positive_number(take_word(text));
  const auto period = positive_number(take_word(text));
  return cpus_of(quota, period);
}

std::optional<unsigned> cpus_of_cfs(std::string_view quota, std::string_view period) {
  return cpus_of(positive_number(take_word(quota)), positive_number(take_word(period)));
}

std::optional<unsigned> cgroup_cpus(const ReadFile& read_file) {
  const auto groups = read_file("/proc/self/cgroup");
  if (!groups) return std::nullopt;
  std::optional<unsigned> least;
  std::string_view rest = *groups;
  while (!rest.empty()) {
    // A line is "hierarchy:controllers:path"; version 2 has hierarchy 0 and no controllers.
    const std::size_t newline = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(std::min(newline + 1, rest.size()));
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (line.substr(0, first) == "0" && controllers.empty()) {
      least = smaller(least, cgroup_cpus_version_2(read_file, path));
    } else if (names_cpu(controllers)) {
      least = smaller(least, cgroup_cpus_version_1(read_file, controllers, path));
    }
  }
  return least;
}

}  // namespace coppice::platform
