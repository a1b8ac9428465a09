// SPDX-License-Identifier: Apache-2.0
//
// The workloads of coppice_bench: bench/README.md says what each measures. Each runs `count` operations as the first
// process of a runtime and returns the seconds they took, or, where bytes are counted, the bytes of one.
#pragma once

#include <span>
#include <string_view>

namespace bench {

struct Workload {
  std::string_view name;
  std::string_view unit;
  long count;                  // at scale 1
  double (*run)(long count);
  bool counts_bytes;
};

// The scheduler threads of this run; those workloads that have several readers or writers start so many.
inline unsigned scheduler_threads = 2;

// Those of supervisors, tasks, registries and tables.
[[nodiscard]] std::span<const Workload> otp_workloads();

// Null if there is none of that name.
[[nodiscard]] const Workload* find_workload(std::string_view name);
void list_workloads();

}  // namespace bench
