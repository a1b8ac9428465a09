// SPDX-License-Identifier: Apache-2.0
//
// What the workloads share: a clock, a check of their results, the message that says that all is done, numbers that are
// the same on all sides, a process on another worker.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include <coppice/process.hpp>

#include "scatter.hpp"
#include "workloads.hpp"

namespace bench {

struct Done {};

// Seconds, from some moment on.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A workload that computes something else than it should ends the program: its figure would mean nothing.
inline void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "coppice_bench: wrong result: %s\n", what);
  std::exit(70);
}

// The resident set of this program.
[[nodiscard]] double resident_bytes();
// A second later, when the workers have given back what they keep for whoever has just worked. By a process.
[[nodiscard]] double resident_bytes_at_leisure();

// Runs `function` as a process on another worker than the caller's. Several processes are
// spawned, and the caller holds its worker until one of them finds itself on another thread, which it can do only because
// that worker took it over; the others end. A process that has waited once stays where it is.
template <class F>
coppice::Pid spawn_elsewhere(F function) {
  check(scheduler_threads >= 2, "this workload wants two threads");
  struct Role {
    std::thread::id here = std::this_thread::get_id();
    std::atomic<bool> taken{false};
    std::atomic<bool> settled{false};
    coppice::Pid pid;
  };
  const auto role = std::make_shared<Role>();
  while (!role->taken.load(std::memory_order_acquire)) {
    for (int i = 0; i < 4; ++i) {
      coppice::spawn([role, function] {
        if (std::this_thread::get_id() == role->here || role->taken.exchange(true, std::memory_order_acq_rel)) return;
        role->pid = coppice::self();
        role->settled.store(true, std::memory_order_release);
        F own = function;
        own();
      });
    }
    const double give_up = now() + 0.01;
    while (!role->taken.load(std::memory_order_acquire) && now() < give_up) {
    }
    if (!role->taken.load(std::memory_order_acquire)) coppice::yield();  // let the four end
  }
  while (!role->settled.load(std::memory_order_acquire)) {
  }
  return role->pid;
}

}  // namespace bench
