// SPDX-License-Identifier: Apache-2.0
//
// How many processors a control group leaves to this program. A container with a quota of two processors on a machine
// of 64 must not start 64 workers: they would be throttled together for most of each period.
//
// The functions are pure: what they know of the system comes in as text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace coppice::platform {

// The text of a file, or nothing if it cannot be read.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

// From the text of a version 2 `cpu.max`, for instance "150000 100000": the quota over the period, rounded up to whole
// processors, at least 1. Nothing if there is no quota ("max 100000") or the text is not understood.
[[nodiscard]] std::optional<unsigned> cpus_of_cpu_max(std::string_view text);

// The same from the texts of version 1's `cpu.cfs_quota_us` ("-1" is no quota) and `cpu.cfs_period_us`.
[[nodiscard]] std::optional<unsigned> cpus_of_cfs(std::string_view quota, std::string_view period);

// The smallest quota among the control group that /proc/self/cgroup names and all groups above it, for both versions.
// Groups whose files cannot be read are passed over: inside a container the named path is often the host's, and only
// the root of the mount is there. Nothing if no group has a quota.
[[nodiscard]] std::optional<unsigned> cgroup_cpus(const ReadFile& read_file);

}  // namespace coppice::platform
