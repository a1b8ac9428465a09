// SPDX-License-Identifier: Apache-2.0
//
// What the workloads of CAF's side share: the messages, a clock, the promise that says that a workload has ended.
#pragma once

#include <algorithm>
#include <atomic>
#include <caf/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace {

using caf::actor;
using caf::behavior;
using caf::event_based_actor;

using ball_atom = caf::atom_constant<caf::atom("ball")>;
using increment_atom = caf::atom_constant<caf::atom("increment")>;
using get_atom = caf::atom_constant<caf::atom("get")>;
using next_atom = caf::atom_constant<caf::atom("next")>;
using stop_atom = caf::atom_constant<caf::atom("stop")>;
const caf::atom_value counter_name = caf::atom("counter");

using Clock = std::chrono::steady_clock;

// Set by the actor that finishes a workload; the main thread waits for it.
using Done = std::promise<Clock::time_point>;

struct Measured {
  double operations;
  double seconds;
};

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

Measured run_client(const actor& client, std::int64_t n, Done& done) {
  auto finished = done.get_future();
  const auto start = Clock::now();
  caf::anon_send(client, next_atom::value);
  return {static_cast<double>(n), seconds_between(start, finished.get())};
}

}  // namespace
