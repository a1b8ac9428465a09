// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <vector>

#include "support.hpp"
#include "workloads.hpp"

#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>

namespace bench {
namespace {

using namespace coppice;

// -- ping_pong_servers

class Player : public GenServer<Player> {
 public:
  struct Ball {
    ServerRef<Player> from;
  };
  Player(long left, Pid main) : left_(left), main_(main) {}
  void handle_cast(Ball ball) {
    if (left_-- == 0) {
      coppice::send(main_, Done{});
      return;
    }
    ball.from.cast(Ball{self()});
  }

 private:
  long left_;
  Pid main_;
};

double ping_pong_servers(long count) {
  const ServerRef<Player> a = Player::start(count / 2, self()).value();
  const ServerRef<Player> b = Player::start(count / 2, self()).value();
  const double begin = now();
  a.cast(Player::Ball{b});
  receive<Done>();
  const double seconds = now() - begin;
  a.stop();
  b.stop();
  return seconds;
}

// -- ping_pong_plain

struct Ping {
  Pid from;
};
struct Pong {};

double ping_pong_plain(long count) {
  const Pid ponger = spawn_link([] {
    for (;;) receive([](const Ping& ping) { send(ping.from, Pong{}); });
  });
  const double begin = now();
  for (long i = 0; i < count / 2; ++i) {
    send(ponger, Ping{self()});
    receive<Pong>();
  }
  const double seconds = now() - begin;
  unlink(ponger);
  exit(ponger, ExitReason::kill());
  return seconds;
}

// -- call, cast_then_get

class Counter : public GenServer<Counter> {
 public:
  struct Increment {};
  struct GetValue {
    using Reply = long;
  };
  struct PeekValue {  // the same, by a handler that has promised never to wait
    using Reply = long;
    static constexpr bool never_waits = true;
  };
  static constexpr Name<Counter> name{"Counter"};
  explicit Counter(long value = 0) : value_(value) {}
  void handle_cast(Increment) { ++value_; }
  long handle_call(GetValue) const { return value_; }
  long handle_call(PeekValue) const { return value_; }

 private:
  long value_;
};

template <class M>
double call_counter(long count) {
  Counter::start(7L).value();
  long sum = 0;
  const double begin = now();
  for (long i = 0; i < count; ++i) sum += Counter::name.call(M{});
  const double seconds = now() - begin;
  check(sum == 7 * count, "call");
  Counter::name.stop();
  return seconds;
}
double call(long count) { return call_counter<Counter::GetValue>(count); }
double call_in_place(long count) { return call_counter<Counter::PeekValue>(count); }

double cast_then_get(long count) {
  Counter::start(0L).value();
  const double begin = now();
  for (long i = 0; i < count; ++i) Counter::name.cast(Counter::Increment{});
  const long value = Counter::name.call(Counter::GetValue{}, infinity);
  const double seconds = now() - begin;
  check(value == count, "cast_then_get");
  Counter::name.stop();
  return seconds;
}

// -- fan_in

struct Item {
  long value;
};

double fan_in(long count) {
  constexpr int senders = 8;
  const long each = count / senders;
  const double begin = now();
  const Pid receiver = spawn_link([main = self(), each] {
    for (long i = 0; i < each * senders; ++i) receive<Item>();
    send(main, Done{});
  });
  for (int i = 0; i < senders; ++i) {
    spawn([receiver, each] {
      for (long j = 0; j < each; ++j) {
        send(receiver, Item{j});
        checkpoint();
      }
    });
  }
  receive<Done>();
  return now() - begin;
}

// -- spawn

double spawn_and_exit(long count) {
  constexpr long batch = 1000;
  static std::atomic<long> ended;
  const double begin = now();
  for (long made = 0; made < count; made += batch) {
    ended.store(0);
    for (long i = 0; i < batch; ++i) {
      spawn([main = self()] {
        if (ended.fetch_add(1, std::memory_order_relaxed) + 1 == batch) send(main, Done{});
      });
    }
    receive<Done>();
  }
  return now() - begin;
}

// -- bytes

double bytes_idle_server(long count) {
  const double before = resident_bytes();
  for (long i = 0; i < count; ++i) Counter::start_as({}, 1L).value();
  return (resident_bytes_at_leisure() - before) / static_cast<double>(count);
}

// The whole resident set, in megabytes.
double servers_10m(long count) {
  for (long i = 0; i < count; ++i) Counter::start_as({}, 1L).value();
  return resident_bytes_at_leisure() / 1e6;
}

double bytes_blocked_process(long count) {
  static std::atomic<long> blocked;
  blocked.store(0);
  std::vector<Pid> all;
  all.reserve(static_cast<std::size_t>(count));
  const double before = resident_bytes();
  for (long i = 0; i < count; ++i) {
    all.push_back(spawn([main = self(), count] {
      if (blocked.fetch_add(1) + 1 == count) send(main, Done{});
      receive<Done>();
    }));
    if (i % 1000 == 999) yield();
  }
  receive<Done>();
  const double bytes = (resident_bytes() - before) / static_cast<double>(count);
  for (const Pid& pid : all) send(pid, Done{});
  return bytes;
}

constexpr std::array<Workload, 10> workloads{{
    {"bytes_blocked_process", "bytes", 100'000, bytes_blocked_process, Kind::bytes},
    {"ping_pong_servers", "messages/s", 2'000'000, ping_pong_servers},
    {"ping_pong_plain", "messages/s", 2'000'000, ping_pong_plain},
    {"call", "calls/s", 500'000, call},
    {"call_in_place", "calls/s", 500'000, call_in_place},
    {"cast_then_get", "casts/s", 5'000'000, cast_then_get},
    {"fan_in", "messages/s", 4'000'000, fan_in},
    {"spawn", "spawns/s", 1'000'000, spawn_and_exit},
    {"bytes_idle_server", "bytes", 1'000'000, bytes_idle_server, Kind::bytes},
    {"servers_10m", "MB", 10'000'000, servers_10m, Kind::bytes},
}};

}  // namespace

std::span<const Workload> core_workloads() { return workloads; }

double resident_bytes() {
  long pages = 0;
  long resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  check(file != nullptr && std::fscanf(file, "%ld %ld", &pages, &resident) == 2, "reading /proc/self/statm");
  std::fclose(file);
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double resident_bytes_at_leisure() {
  sleep_for(std::chrono::seconds(1));
  return resident_bytes();
}

}  // namespace bench
