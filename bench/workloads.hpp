// SPDX-License-Identifier: Apache-2.0
//
// The workloads of coppice_bench: bench/README.md says what each measures. One file holds those of one topic.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bench {

// How a workload is run, and what it returns.
enum class Kind : std::uint8_t {
  rate,       // the first process of a runtime does `count` operations: the seconds they took
  bytes,      // the first process of a runtime that nothing was done with before: the figure itself
  outside,    // a foreign thread, with a runtime of default options: the figure itself
  latencies,  // the first process notes how long each of `count` operations took, in microseconds: nothing
};

struct Workload {
  std::string_view name;
  std::string_view unit;
  long count;  // at scale 1
  double (*run)(long count);
  Kind kind = Kind::rate;
};

// The scheduler threads of this run; those workloads that have several readers or writers start so many.
inline unsigned scheduler_threads = 2;

// What a workload of the kind `latencies` has noted.
inline std::vector<double> latencies_us;

[[nodiscard]] std::span<const Workload> core_workloads();     // messages, spawning, bytes
[[nodiscard]] std::span<const Workload> call_workloads();     // calls in other circumstances than the best
[[nodiscard]] std::span<const Workload> process_workloads();  // rings, monitors, timers
[[nodiscard]] std::span<const Workload> otp_workloads();      // supervisors, tasks, registries, tables
[[nodiscard]] std::span<const Workload> outside_workloads();  // foreign threads, a runtime that has nothing to do
[[nodiscard]] std::span<const Workload> latency_workloads();

}  // namespace bench
