// SPDX-License-Identifier: Apache-2.0
//
// How long single calls take, not how many there are in a second.
//
// The calls come from an open-loop generator: a process goes through moments that were drawn beforehand, at random
// distances, and at each of them tells one of a few callers to call. A caller that is still busy finds the order in its
// mailbox later. What is noted is the time from the *planned* moment to the reply. So a stall is paid for by every call
// that should have been made meanwhile, however late generator, caller and server are: a generator that waited for each
// answer before it asked again would leave these calls out. Between two moments the generator yields.
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

#include "support.hpp"
#include "workloads.hpp"

namespace bench {
namespace {

using namespace coppice;

void work_for(double seconds) {
  const double end = now() + seconds;
  while (now() < end) {
  }
}

// -- the generator

class Target : public GenServer<Target> {
 public:
  struct Get {
    using Reply = long;
  };
  static constexpr Name<Target> name{"Target"};
  explicit Target(double seconds_of_work) : seconds_of_work_(seconds_of_work) {}
  long handle_call(Get) const {
    if (seconds_of_work_ > 0) work_for(seconds_of_work_);
    return 7;
  }

 private:
  double seconds_of_work_;
};

struct Moment {
  double planned;
};
struct Finish {
  Pid main;
};
struct Noted {
  std::vector<double> latencies_us;
};

void call_when_told() {
  std::vector<double> noted;
  for (bool going_on = true; going_on;) {
    receive(
        [&](const Moment& moment) {
          check(Target::name.call(Target::Get{}, infinity) == 7, "a call under load");
          noted.push_back((now() - moment.planned) * 1e6);
        },
        [&](const Finish& finish) {
          send(finish.main, Noted{std::move(noted)});
          going_on = false;
        });
  }
}

// `count` calls, `rate` a second on average, to a server that works that long for each.
void call_at_random(long count, double rate, double seconds_of_work) {
  constexpr std::size_t callers_count = 16;
  Target::start(seconds_of_work).value();
  std::vector<Pid> callers;
  for (std::size_t i = 0; i < callers_count; ++i) callers.push_back(spawn_link(call_when_told));
  constexpr long steps = 1'000'000;
  Scatter scatter(1, steps);
  double planned = now() + 0.02;
  for (long i = 0; i < count; ++i) {
    planned -= std::log((static_cast<double>(scatter.next()) + 1) / (steps + 1)) / rate;
    while (now() < planned) yield();
    send(callers[static_cast<std::size_t>(i) % callers_count], Moment{planned});
  }
  for (const Pid& caller : callers) send(caller, Finish{self()});
  for (std::size_t i = 0; i < callers_count; ++i) {
    const std::vector<double> noted = receive<Noted>().latencies_us;
    latencies_us.insert(latencies_us.end(), noted.begin(), noted.end());
  }
  Target::name.stop();
}

// The server works for 50 us, and 10 000 calls come in a second: it is busy half of the time.
double half_load(long count) {
  call_at_random(count, 10'000, 50e-6);
  return 0;
}

constexpr double calls_beside = 1000;  // calls a second beside a neighbour

// -- the neighbours

class Chatty : public GenServer<Chatty> {
 public:
  struct Ball {
    ServerRef<Chatty> from;
  };
  void handle_cast(Ball ball) { ball.from.cast(Ball{self()}); }
};

double beside_chatty(long count) {
  const ServerRef<Chatty> one = Chatty::start().value();
  const ServerRef<Chatty> other = Chatty::start().value();
  one.cast(Chatty::Ball{other});
  call_at_random(count, calls_beside, 0);
  one.stop();
  other.stop();
  return 0;
}

struct Drop {
  long value;
};
struct Drained {};
struct AllSent {
  Pid from;
};

// Sends ten thousand messages as fast as it can, and again when they have been read.
double beside_flood(long count) {
  const Pid sink = spawn([] {
    for (;;) {
      receive([](const Drop&) {}, [](const AllSent& all) { send(all.from, Drained{}); });
    }
  });
  const Pid flood = spawn([sink] {
    for (;;) {
      for (long i = 0; i < 10'000; ++i) {
        send(sink, Drop{i});
        checkpoint();
      }
      send(sink, AllSent{self()});
      receive<Drained>();
    }
  });
  call_at_random(count, calls_beside, 0);
  for (const Pid& pid : {flood, sink}) exit(pid, ExitReason::kill());
  return 0;
}

struct Poke {};

std::vector<Pid> blocked_processes() {
  std::vector<Pid> all;
  for (long i = 0; i < 10'000; ++i) {
    all.push_back(spawn([] {
      for (;;) receive<Poke>();
    }));
    if (i % 1000 == 999) yield();
  }
  return all;
}

void poke(const std::vector<Pid>& all) {
  for (const Pid& pid : all) send(pid, Poke{});
}

// Ten thousand processes that block in receive get a message each, all at once, every 100 ms.
double beside_10k(long count) {
  const std::vector<Pid> blocked = blocked_processes();
  const Pid poker = spawn([blocked] {
    for (;;) {
      poke(blocked);
      sleep_for(std::chrono::milliseconds(100));
    }
  });
  call_at_random(count, calls_beside, 0);
  exit(poker, ExitReason::kill());
  for (const Pid& pid : blocked) exit(pid, ExitReason::kill());
  return 0;
}

// Works 50 ms in one handler, every 100 ms; before it begins it makes others runnable.
class Heavy : public GenServer<Heavy> {
 public:
  struct Work {};
  explicit Heavy(std::vector<Pid> behind) : behind_(std::move(behind)) {
    coppice::send_after(self(), Work{}, std::chrono::milliseconds(0));
  }
  void handle_info(Work) {
    coppice::send_after(self(), Work{}, std::chrono::milliseconds(100));
    poke(behind_);
    work_for(0.05);
  }

 private:
  std::vector<Pid> behind_;
};

double beside_handler(long count) {
  const ServerRef<Heavy> heavy = Heavy::start(std::vector<Pid>()).value();
  call_at_random(count, calls_beside, 0);
  heavy.stop();
  return 0;
}

double behind_handler(long count) {
  const std::vector<Pid> blocked = blocked_processes();
  const ServerRef<Heavy> heavy = Heavy::start(blocked).value();
  call_at_random(count, calls_beside, 0);
  heavy.stop();
  for (const Pid& pid : blocked) exit(pid, ExitReason::kill());
  return 0;
}

// -- lateness of timers, and waking up

struct Due {
  double planned;
};

double timer_lateness(long count) {
  Scatter scatter(1, 1000);
  for (long i = 0; i < count; ++i) {
    const long delay = 1 + scatter.next();
    send_after(self(), Due{now() + static_cast<double>(delay) / 1000}, std::chrono::milliseconds(delay));
  }
  for (long i = 0; i < count; ++i) {
    const Due due = receive<Due>();
    latencies_us.push_back((now() - due.planned) * 1e6);
  }
  return 0;
}

struct Question {
  Pid from;
};
struct Answered {};

// Round trips to a process on the other worker, each after 10 ms in which nobody did anything.
double wake_up(long count) {
  const Pid partner = spawn_elsewhere([] {
    for (;;) receive([](const Question& question) { send(question.from, Answered{}); });
  });
  for (long i = 0; i < count; ++i) {
    sleep_for(std::chrono::milliseconds(10));
    const double begin = now();
    send(partner, Question{self()});
    receive<Answered>();
    latencies_us.push_back((now() - begin) * 1e6);
  }
  exit(partner, ExitReason::kill());
  return 0;
}

constexpr std::array<Workload, 8> workloads{{
    {"latency_half_load", "us", 20'000, half_load, Kind::latencies},
    {"latency_beside_chatty", "us", 2'000, beside_chatty, Kind::latencies},
    {"latency_beside_flood", "us", 2'000, beside_flood, Kind::latencies},
    {"latency_beside_10k", "us", 2'000, beside_10k, Kind::latencies},
    {"latency_beside_handler", "us", 2'000, beside_handler, Kind::latencies},
    {"latency_behind_handler", "us", 2'000, behind_handler, Kind::latencies},
    {"latency_timer", "us", 2'000, timer_lateness, Kind::latencies},
    {"latency_wake_up", "us", 100, wake_up, Kind::latencies},
}};

}  // namespace

std::span<const Workload> latency_workloads() { return workloads; }

}  // namespace bench
