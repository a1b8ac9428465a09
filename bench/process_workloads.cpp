// SPDX-License-Identifier: Apache-2.0
//
// Rings, many to many, monitors, timers.
#include <array>
#include <memory>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

#include "support.hpp"
#include "workloads.hpp"

namespace bench {
namespace {

using namespace coppice;

// -- ring_100, ring_10000

class Station : public GenServer<Station> {
 public:
  struct Next {
    ServerRef<Station> server;
  };
  struct Token {
    long hops_left;
  };
  explicit Station(Pid main) : main_(main) {}
  void handle_cast(Next next) { next_ = next.server; }
  void handle_cast(Token token) {
    if (token.hops_left == 0) {
      coppice::send(main_, Done{});
    } else {
      next_.cast(Token{token.hops_left - 1});
    }
  }

 private:
  Pid main_;
  ServerRef<Station> next_;
};

template <long stations>
double ring(long count) {
  std::vector<ServerRef<Station>> all;
  for (long i = 0; i < stations; ++i) all.push_back(Station::start(self()).value());
  for (std::size_t i = 0; i < all.size(); ++i) all[i].cast(Station::Next{all[(i + 1) % all.size()]});
  const double begin = now();
  all.front().cast(Station::Token{count});
  receive<Done>();
  const double seconds = now() - begin;
  for (const ServerRef<Station>& station : all) station.stop();
  return seconds;
}

// -- big: each of 64 servers pings a random other one, and the next when it has its answer (Savina)

class Big : public GenServer<Big> {
 public:
  using Peers = std::shared_ptr<const std::vector<ServerRef<Big>>>;
  struct Begin {
    Peers peers;
  };
  struct Ping {
    ServerRef<Big> from;
  };
  struct Pong {};
  Big(unsigned number, long rounds, Pid main) : scatter_(number, peers_count), left_(rounds), main_(main) {}
  void handle_cast(Begin begin) {
    peers_ = std::move(begin.peers);
    ping();
  }
  void handle_cast(Ping ping) { ping.from.cast(Pong{}); }
  void handle_cast(Pong) {
    if (--left_ == 0) {
      coppice::send(main_, Done{});
    } else {
      ping();
    }
  }
  static constexpr long peers_count = 64;

 private:
  void ping() { (*peers_)[static_cast<std::size_t>(scatter_.next())].cast(Ping{self()}); }

  Scatter scatter_;
  long left_;
  Pid main_;
  Peers peers_;
};

double big(long count) {
  const long each = std::max(1L, count / Big::peers_count);
  std::vector<ServerRef<Big>> all;
  for (unsigned i = 0; i < Big::peers_count; ++i) all.push_back(Big::start(i, each, self()).value());
  const auto peers = std::make_shared<const std::vector<ServerRef<Big>>>(all);
  const double begin = now();
  for (const ServerRef<Big>& one : all) one.cast(Big::Begin{peers});
  for (long i = 0; i < Big::peers_count; ++i) receive<Done>();
  const double seconds = now() - begin;
  for (const ServerRef<Big>& one : all) one.stop();
  return seconds * static_cast<double>(count) / static_cast<double>(each * Big::peers_count);
}

// -- spawn_monitor

double spawn_monitor_and_down(long count) {
  constexpr long batch = 1000;
  long made = 0;
  const double begin = now();
  for (; made < count; made += batch) {
    for (long i = 0; i < batch; ++i) (void)spawn_monitor([] {});
    for (long i = 0; i < batch; ++i) check(receive<Down>().reason.is_normal(), "spawn_monitor");
  }
  return (now() - begin) * static_cast<double>(count) / static_cast<double>(made);
}

// -- timers

struct Due {};

double timer_cancel(long count) {
  const double begin = now();
  for (long i = 0; i < count; ++i) {
    const Reference timer = send_after(self(), Due{}, std::chrono::seconds(60));
    check(cancel_timer(timer).has_value(), "timer_cancel");
  }
  return now() - begin;
}

double timer_due(long count) {
  Scatter scatter(0, 100);
  const double begin = now();
  for (long i = 0; i < count; ++i) send_after(self(), Due{}, std::chrono::milliseconds(scatter.next()));
  for (long i = 0; i < count; ++i) receive<Due>();
  return now() - begin;
}

constexpr std::array<Workload, 6> workloads{{
    {"ring_100", "hops/s", 5'000'000, ring<100>},
    {"ring_10000", "hops/s", 5'000'000, ring<10'000>},
    {"big", "pings/s", 640'000, big},
    {"spawn_monitor", "spawns/s", 1'000'000, spawn_monitor_and_down},
    {"timer_cancel", "timers/s", 1'000'000, timer_cancel},
    {"timer_due", "timers/s", 1'000'000, timer_due},
}};

}  // namespace

std::span<const Workload> process_workloads() { return workloads; }

}  // namespace bench
