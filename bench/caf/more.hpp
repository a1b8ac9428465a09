// SPDX-License-Identifier: Apache-2.0
//
// More workloads of CAF's side: many callers, rings, many to many, monitors, timers, foreign threads, and a system that
// has nothing to do. A Measured of 0 seconds is the figure itself.
#pragma once

#include <dirent.h>
#include <unistd.h>

#include "support.hpp"

namespace {

using ping_atom = caf::atom_constant<caf::atom("ping")>;
using pong_atom = caf::atom_constant<caf::atom("pong")>;

behavior echo(event_based_actor* self) {
  return {
      [=](get_atom) { return std::int64_t{7}; },
      [=](stop_atom) { self->quit(); },
  };
}

// -- call_busy --------------------------------------------------------------------------------------------------------

struct Busy {
  std::atomic<int> callers_left{8};
  Done done;
};

void ask_next(event_based_actor* self, const actor& server, std::int64_t left, Busy* busy) {
  if (left == 0) {
    if (busy->callers_left.fetch_sub(1) == 1) busy->done.set_value(Clock::now());
    return self->quit();
  }
  self->request(server, std::chrono::seconds(5), get_atom::value).then([=](std::int64_t) {
    ask_next(self, server, left - 1, busy);
  });
}

behavior busy_caller(event_based_actor* self, const actor& server, std::int64_t each, Busy* busy) {
  return {[=](next_atom) { ask_next(self, server, each, busy); }};
}

Measured call_busy(caf::actor_system& system, std::int64_t n) {
  const std::int64_t each = std::max<std::int64_t>(n / 8, 1);
  Busy busy;
  auto finished = busy.done.get_future();
  const actor server = system.spawn(echo);
  const auto start = Clock::now();
  for (int i = 0; i < 8; ++i) caf::anon_send(system.spawn(busy_caller, server, each, &busy), next_atom::value);
  const auto end = finished.get();
  caf::anon_send(server, stop_atom::value);
  return {8.0 * static_cast<double>(each), seconds_between(start, end)};
}

// -- ring_100, ring_10000 ---------------------------------------------------------------------------------------------

struct StationState {
  actor next;
};

behavior station(caf::stateful_actor<StationState>* self, Done* done) {
  return {
      [=](next_atom, const actor& next) { self->state.next = next; },
      [=](std::int64_t hops_left) {
        if (hops_left == 0) {
          done->set_value(Clock::now());
        } else {
          self->send(self->state.next, hops_left - 1);
        }
      },
      [=](stop_atom) { self->quit(); },
  };
}

Measured ring(caf::actor_system& system, std::int64_t n, std::size_t size) {
  Done done;
  auto finished = done.get_future();
  std::vector<actor> all;
  for (std::size_t i = 0; i < size; ++i) all.push_back(system.spawn(station, &done));
  for (std::size_t i = 0; i < size; ++i) caf::anon_send(all[i], next_atom::value, all[(i + 1) % size]);
  const auto start = Clock::now();
  caf::anon_send(all.front(), n);
  const auto end = finished.get();
  for (const actor& one : all) caf::anon_send(one, stop_atom::value);
  return {static_cast<double>(n), seconds_between(start, end)};
}

Measured ring_100(caf::actor_system& system, std::int64_t n) { return ring(system, n, 100); }
Measured ring_10000(caf::actor_system& system, std::int64_t n) { return ring(system, n, 10'000); }

// -- big --------------------------------------------------------------------------------------------------------------

struct BigRun {
  std::vector<actor> all;
  std::atomic<int> left{64};
  Done done;
};

struct BigState {
  std::int64_t random = 0;
  std::int64_t left = 0;
};

void ping_next(caf::stateful_actor<BigState>* self, BigRun* run) {
  self->state.random = self->state.random * 16807 % 2147483647;
  self->send(run->all[static_cast<std::size_t>(self->state.random % 64)], ping_atom::value,
             caf::actor_cast<actor>(self));
}

behavior big_actor(caf::stateful_actor<BigState>* self, std::int64_t number, std::int64_t each, BigRun* run) {
  self->state.random = number * 7919 + 1;
  self->state.left = each;
  return {
      [=](next_atom) { ping_next(self, run); },
      [=](ping_atom, const actor& from) { self->send(from, pong_atom::value); },
      [=](pong_atom) {
        if (--self->state.left > 0) {
          ping_next(self, run);
        } else if (run->left.fetch_sub(1) == 1) {
          run->done.set_value(Clock::now());
        }
      },
      [=](stop_atom) { self->quit(); },
  };
}

Measured big(caf::actor_system& system, std::int64_t n) {
  const std::int64_t each = std::max<std::int64_t>(n / 64, 1);
  BigRun run;
  auto finished = run.done.get_future();
  for (std::int64_t i = 0; i < 64; ++i) run.all.push_back(system.spawn(big_actor, i, each, &run));
  const auto start = Clock::now();
  for (const actor& one : run.all) caf::anon_send(one, next_atom::value);
  const auto end = finished.get();
  for (const actor& one : run.all) caf::anon_send(one, stop_atom::value);
  return {64.0 * static_cast<double>(each), seconds_between(start, end)};
}

// -- spawn_monitor ----------------------------------------------------------------------------------------------------

struct MonitorState {
  std::int64_t batches = 0;
  int down = 0;
};

void spawn_batch(caf::stateful_actor<MonitorState>* self, Done* done) {
  if (self->state.batches-- == 0) {
    done->set_value(Clock::now());
    return self->quit();
  }
  self->state.down = 0;
  for (int i = 0; i < 1000; ++i) self->spawn<caf::monitored>([](event_based_actor*) {});
}

behavior monitoring(caf::stateful_actor<MonitorState>* self, std::int64_t batches, Done* done) {
  self->state.batches = batches;
  self->set_down_handler([=](caf::down_msg&) {
    if (++self->state.down == 1000) spawn_batch(self, done);
  });
  return {[=](next_atom) { spawn_batch(self, done); }};
}

Measured spawn_monitor(caf::actor_system& system, std::int64_t n) {
  const std::int64_t batches = std::max<std::int64_t>(n / 1000, 1);
  Done done;
  return run_client(system.spawn(monitoring, batches, &done), 1000 * batches, done);
}

// -- timer_due --------------------------------------------------------------------------------------------------------

behavior waiting(event_based_actor* self, std::int64_t count, Done* done) {
  return {
      [=](next_atom) {
        std::int64_t random = 1;
        for (std::int64_t i = 0; i < count; ++i) {
          random = random * 16807 % 2147483647;
          self->delayed_send(self, std::chrono::milliseconds(random % 100), get_atom::value);
        }
      },
      [=](get_atom) mutable {
        if (--count > 0) return;
        done->set_value(Clock::now());
        self->quit();
      },
  };
}

Measured timer_due(caf::actor_system& system, std::int64_t n) {
  Done done;
  return run_client(system.spawn(waiting, n, &done), n, done);
}

// -- foreign_call_hot, foreign_call_idle ------------------------------------------------------------------------------

Measured foreign_call(caf::actor_system& system, std::int64_t n, std::chrono::milliseconds pause) {
  const actor server = system.spawn(echo);
  caf::scoped_actor self{system};
  std::vector<double> times;
  for (std::int64_t i = 0; i < n; ++i) {
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    const auto start = Clock::now();
    self->request(server, std::chrono::seconds(5), get_atom::value)
        .receive([](std::int64_t) {}, [](const caf::error&) { std::abort(); });
    times.push_back(seconds_between(start, Clock::now()) * 1e6);
  }
  self->send(server, stop_atom::value);
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], 0};
}

Measured foreign_call_hot(caf::actor_system& system, std::int64_t n) {
  return foreign_call(system, n, std::chrono::milliseconds(0));
}
Measured foreign_call_idle(caf::actor_system& system, std::int64_t n) {
  return foreign_call(system, n, std::chrono::milliseconds(10));
}

// -- wakeups_empty ----------------------------------------------------------------------------------------------------

// How often the threads of this program but this one went to sleep of their own accord.
long voluntary_switches() {
  long sum = 0;
  DIR* directory = opendir("/proc/self/task");
  const std::string own = std::to_string(gettid());
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.' || own == entry->d_name) continue;
    std::ifstream status("/proc/self/task/" + std::string(entry->d_name) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("voluntary_ctxt_switches:", 0) == 0) sum += std::atol(line.c_str() + 24);
    }
  }
  closedir(directory);
  return sum;
}

Measured wakeups_empty(caf::actor_system&, std::int64_t milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const long before = voluntary_switches();
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  return {static_cast<double>(voluntary_switches() - before) * 10'000 / static_cast<double>(milliseconds), 0};
}

}  // namespace
