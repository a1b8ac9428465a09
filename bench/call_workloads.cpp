// SPDX-License-Identifier: Apache-2.0
//
// Calls in other circumstances than the best: `call` itself is among the core workloads.
#include <array>
#include <vector>

#include <coppice/exit.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>

#include "support.hpp"
#include "workloads.hpp"

namespace bench {
namespace {

using namespace coppice;

class Echo : public GenServer<Echo> {
 public:
  struct Get {
    using Reply = long;
  };
  static constexpr Name<Echo> name{"Echo"};
  long handle_call(Get) const { return 7; }
};

// -- call_waits: the handler asks a plain process and waits for its answer

struct Question {
  Pid from;
};
struct Answered {};

class Asking : public GenServer<Asking> {
 public:
  struct Get {
    using Reply = long;
  };
  static constexpr Name<Asking> name{"Asking"};
  explicit Asking(Pid helper) : helper_(helper) {}
  long handle_call(Get) const {
    coppice::send(helper_, Question{coppice::self()});
    receive<Answered>();
    return 7;
  }

 private:
  Pid helper_;
};

double call_waits(long count) {
  const Pid helper = spawn_link([] {
    for (;;) receive([](const Question& question) { send(question.from, Answered{}); });
  });
  Asking::start(helper).value();
  long sum = 0;
  const double begin = now();
  for (long i = 0; i < count; ++i) sum += Asking::name.call(Asking::Get{});
  const double seconds = now() - begin;
  check(sum == 7 * count, "call_waits");
  Asking::name.stop();
  unlink(helper);
  exit(helper, ExitReason::kill());
  return seconds;
}

// -- call_elsewhere: two callers on two workers, in turn, each calls every one of a thousand servers. So each server
// -- last ran for the other caller. Only the calls are timed, not the messages by which the callers take turns.

struct YourTurn {};
struct Spent {
  double seconds;
};

double call_all(const std::vector<ServerRef<Echo>>& servers) {
  long sum = 0;
  const double begin = now();
  for (const ServerRef<Echo>& server : servers) sum += server.call(Echo::Get{});
  const double seconds = now() - begin;
  check(sum == 7 * static_cast<long>(servers.size()), "call_elsewhere");
  return seconds;
}

double call_elsewhere(long count) {
  constexpr long round = 1000;
  std::vector<ServerRef<Echo>> servers;
  for (long i = 0; i < round; ++i) servers.push_back(Echo::start_as({}).value());
  const Pid partner = spawn_elsewhere([main = self(), servers] {
    for (;;) {
      receive<YourTurn>();
      send(main, Spent{call_all(servers)});
    }
  });
  call_all(servers);
  double seconds = 0;
  long made = 0;
  for (; made < count; made += 2 * round) {
    send(partner, YourTurn{});
    seconds += receive<Spent>().seconds;
    seconds += call_all(servers);
  }
  exit(partner, ExitReason::kill());
  for (const ServerRef<Echo>& server : servers) server.stop();
  return seconds * static_cast<double>(count) / static_cast<double>(made);
}

// -- call_noproc: nobody has the name. Once as a value, once as an Exit that is caught

constexpr Name<Echo> nobody{"Nobody"};

double call_noproc(long count) {
  long failed = 0;
  const double begin = now();
  for (long i = 0; i < count; ++i) failed += nobody.try_call(Echo::Get{}) ? 0 : 1;
  const double seconds = now() - begin;
  check(failed == count, "call_noproc");
  return seconds;
}

double call_noproc_caught(long count) {
  long failed = 0;
  const double begin = now();
  for (long i = 0; i < count; ++i) {
    try {
      (void)nobody.call(Echo::Get{});
    } catch (const Exit&) {
      ++failed;
    }
  }
  const double seconds = now() - begin;
  check(failed == count, "call_noproc_caught");
  return seconds;
}

// -- call_busy: eight callers, one server

double call_busy(long count) {
  constexpr long callers = 8;
  const long each = count / callers;
  Echo::start().value();
  const double begin = now();
  for (long i = 0; i < callers; ++i) {
    spawn_link([main = self(), each] {
      long sum = 0;
      for (long j = 0; j < each; ++j) sum += Echo::name.call(Echo::Get{});
      check(sum == 7 * each, "call_busy");
      send(main, Done{});
    });
  }
  for (long i = 0; i < callers; ++i) receive<Done>();
  const double seconds = now() - begin;
  Echo::name.stop();
  return seconds;
}

constexpr std::array<Workload, 5> workloads{{
    {"call_waits", "calls/s", 500'000, call_waits},
    {"call_elsewhere", "calls/s", 500'000, call_elsewhere},
    {"call_noproc", "calls/s", 500'000, call_noproc},
    {"call_noproc_caught", "calls/s", 500'000, call_noproc_caught},
    {"call_busy", "calls/s", 500'000, call_busy},
}};

}  // namespace

std::span<const Workload> call_workloads() { return workloads; }

}  // namespace bench
