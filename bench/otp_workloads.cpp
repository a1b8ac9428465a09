// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/ets.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>
#include <coppice/registry.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/task.hpp>

#include "support.hpp"
#include "workloads.hpp"

namespace bench {
namespace {

using namespace coppice;

// -- task, fib

double task_async_await(long count) {
  constexpr long batch = 1000;
  const double begin = now();
  long sum = 0;
  for (long made = 0; made < count; made += batch) {
    std::vector<TaskHandle<long>> tasks;
    tasks.reserve(batch);
    for (long i = 0; i < batch; ++i) tasks.push_back(Task::async([i] { return i; }));
    for (const TaskHandle<long>& task : tasks) sum += task.await();
  }
  const double seconds = now() - begin;
  const long batches = (count + batch - 1) / batch;
  check(sum == batches * (batch * (batch - 1) / 2), "task");
  return seconds * static_cast<double>(count) / static_cast<double>(batches * batch);
}

long fib(int n) {
  if (n < 2) return n;
  const auto first = Task::async(fib, n - 1);
  const auto second = Task::async(fib, n - 2);
  return first.await(infinity) + second.await(infinity);
}

// The tasks of fib(n) are 2 * fib(n + 1) - 2; the largest tree that has no more than `count`.
double fib_tasks(long count) {
  int n = 2;
  long here = 1;  // fib(n)
  long next = 2;  // fib(n + 1)
  while (2 * (here + next) - 2 <= count) {
    here = std::exchange(next, here + next);
    ++n;
  }
  const double begin = now();
  check(fib(n) == here, "fib");
  return (now() - begin) * static_cast<double>(count) / static_cast<double>(2 * next - 2);
}

// -- registry_lookup, call_via

// Runs `reader(seed)` in as many processes as there are threads; the seconds until the last is done.
template <class Reader>
double run_readers(Reader reader) {
  const double begin = now();
  for (unsigned i = 0; i < scheduler_threads; ++i) {
    spawn_link([main = self(), reader, i] {
      reader(i);
      send(main, Done{});
    });
  }
  for (unsigned i = 0; i < scheduler_threads; ++i) receive<Done>();
  return now() - begin;
}

inline constexpr Registry<std::string>::Name names{"Bench.Names"};

double registry_lookup(long count) {
  constexpr long entries = 100'000;
  trap_exit(true);  // who is registered is linked to the registry, which is stopped at the end
  const auto registry = Registry<std::string>::start_link({.name = names}).value();
  std::vector<std::string> keys;
  for (long i = 0; i < entries; ++i) {
    keys.push_back("name " + std::to_string(i));
    check(static_cast<bool>(names.register_key(keys.back())), "register_key");
  }
  const long each = count / scheduler_threads;
  const double seconds = run_readers([&keys, each](unsigned reader) {
    Scatter scatter(reader, entries);
    const Pid owner = names.pid(keys.front());
    check(static_cast<bool>(owner), "registry_lookup");
    for (long i = 0; i < each; ++i) {
      check(names.pid(keys[static_cast<std::size_t>(scatter.next())]) == owner, "registry_lookup");
    }
  });
  registry.stop();
  return seconds;
}

class Echo : public GenServer<Echo> {
 public:
  struct Get {
    using Reply = long;
  };
  long handle_call(Get) const { return 7; }
};

double call_via(long count) {
  const auto registry = Registry<std::string>::start_link({.name = names}).value();
  const auto address = via<Echo>(names, "echo");
  Echo::start_as({.name = address}).value();
  long sum = 0;
  const double begin = now();
  for (long i = 0; i < count; ++i) sum += address.call(Echo::Get{});
  const double seconds = now() - begin;
  check(sum == 7 * count, "call_via");
  address.stop();
  registry.stop();
  return seconds;
}

// -- ets

using Strings = ets::Table<std::int64_t, std::string>;

// Half as many entries of 64 bytes as there are operations, a million at scale 1.
Strings filled_table(ets::Type type, long entries) {
  Strings table = Strings::create({.type = type, .access = ets::Access::public_});
  for (long i = 0; i < entries; ++i) table.insert(i, std::string(64, static_cast<char>('a' + i % 26)));
  return table;
}

double ets_lookup_in(ets::Type type, long count) {
  const long entries = count / 2;
  const Strings table = filled_table(type, entries);
  const long each = count / scheduler_threads;
  return run_readers([table, entries, each](unsigned reader) {
    Scatter scatter(reader, entries);
    std::size_t length = 0;
    for (long i = 0; i < each; ++i) length += table.lookup(scatter.next())->size();
    check(length == 64 * static_cast<std::size_t>(each), "ets_lookup");
  });
}

double ets_lookup(long count) { return ets_lookup_in(ets::Type::set, count); }
double ets_ordered_lookup(long count) { return ets_lookup_in(ets::Type::ordered_set, count); }

double ets_overwrite(long count) {
  const long entries = count / 2;
  const Strings table = filled_table(ets::Type::set, entries);
  const long each = count / scheduler_threads;
  return run_readers([table, entries, each](unsigned writer) {
    Scatter scatter(writer, entries);
    const std::string value(64, 'z');
    for (long i = 0; i < each; ++i) table.insert(scatter.next(), value);
  });
}

// -- restarts

class Failing : public GenServer<Failing> {
 public:
  struct Started {
    ServerRef<Failing> server;
  };
  struct Stop {};
  struct Throw {};
  explicit Failing(Pid main) { coppice::send(main, Started{self()}); }
  Action handle_cast(Stop) { return stop("bench"_atom); }
  void handle_cast(Throw) { throw std::runtime_error("bench"); }
};

template <class Message>
double restarts(long count) {
  const auto supervisor =
      Supervisor::start_link({child<Failing>(self())}, {.max_restarts = 1'000'000'000, .max_seconds = 1}).value();
  ServerRef<Failing> server = receive<Failing::Started>().server;
  const double begin = now();
  for (long i = 0; i < count; ++i) {
    server.cast(Message{});
    server = receive<Failing::Started>().server;
  }
  const double seconds = now() - begin;
  supervisor.stop();
  return seconds;
}

// -- dynamic supervisor

class Idle : public GenServer<Idle> {};

template <bool counts_the_start>
double dynamic_children(long count) {
  const auto supervisor = DynamicSupervisor::start_link().value();
  const ChildSpec spec = child<Idle>();
  double begin = now();
  for (long i = 0; i < count; ++i) (void)DynamicSupervisor::start_child(supervisor, spec).value();
  const double started = now() - begin;
  begin = now();
  DynamicSupervisor::stop(supervisor);
  return counts_the_start ? started : now() - begin;
}

class Holder : public GenServer<Holder> {
 public:
  explicit Holder(long value) : value_(value) {}
  struct Get {
    using Reply = long;
  };
  long handle_call(Get) const { return value_; }

 private:
  long value_;
};

double bytes_supervised_server(long count) {
  const auto supervisor = DynamicSupervisor::start_link().value();
  const ChildSpec spec = child<Holder>(1L);
  const double before = resident_bytes();
  for (long i = 0; i < count; ++i) (void)DynamicSupervisor::start_child(supervisor, spec).value();
  return (resident_bytes_at_leisure() - before) / static_cast<double>(count);
}

constexpr std::array<Workload, 12> workloads{{
    {"task", "tasks/s", 200'000, task_async_await},
    {"fib", "tasks/s", 640'000, fib_tasks},
    {"registry_lookup", "lookups/s", 2'000'000, registry_lookup},
    {"call_via", "calls/s", 500'000, call_via},
    {"ets_lookup", "lookups/s", 2'000'000, ets_lookup},
    {"ets_overwrite", "writes/s", 2'000'000, ets_overwrite},
    {"ets_ordered_lookup", "lookups/s", 2'000'000, ets_ordered_lookup},
    {"restart_exit", "restarts/s", 100'000, restarts<Failing::Stop>},
    {"restart_throw", "restarts/s", 100'000, restarts<Failing::Throw>},
    {"children_start", "children/s", 100'000, dynamic_children<true>},
    {"children_stop", "children/s", 100'000, dynamic_children<false>},
    {"bytes_supervised_server", "bytes", 1'000'000, bytes_supervised_server, Kind::bytes},
}};

}  // namespace

std::span<const Workload> otp_workloads() { return workloads; }

}  // namespace bench
