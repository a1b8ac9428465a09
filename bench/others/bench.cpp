// SPDX-License-Identifier: Apache-2.0
//
// What C++ has for the rows for which CAF has nothing. One workload a run, as caf_bench:
//
//   others_bench WORKLOAD --threads N --scale S
//
//   fib            oneTBB: a task for every node of the tree, by task_group, in an arena of N threads. Missing if it is
//                  compiled without oneTBB.
//   ets_lookup     64 flat hash maps, each with a mutex of its own, read by N threads; what is found is copied out
//   ets_overwrite  the same, written
//
// The sizes are those of ours: ../README.md. What is counted is first done to a twentieth, unmeasured.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/version.hpp>
#if __has_include(<tbb/task_group.h>) && !defined(WITHOUT_TBB)
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/version.h>
#define HAVE_TBB 1
#else
#define HAVE_TBB 0
#endif

#include "../scatter.hpp"

namespace {

using bench::Scatter;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "others_bench: wrong result: %s\n", what);
  std::exit(70);
}

// -- fib

#if HAVE_TBB
long fib(int n) {
  if (n < 2) return n;
  long first = 0;
  long second = 0;
  tbb::task_group group;
  group.run([&first, n] { first = fib(n - 1); });
  group.run([&second, n] { second = fib(n - 2); });
  group.wait();
  return first + second;
}

// The largest tree that has no more than `count` tasks: 2 * fib(n + 1) - 2.
double fib_tasks(long count, unsigned threads) {
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
  tbb::task_arena arena(static_cast<int>(threads));
  int n = 2;
  long here = 1;
  long next = 2;
  while (2 * (here + next) - 2 <= count) {
    here = std::exchange(next, here + next);
    ++n;
  }
  long found = 0;
  const double begin = now();
  arena.execute([&] { found = fib(n); });
  const double seconds = now() - begin;
  check(found == here, "fib");
  return seconds * static_cast<double>(count) / static_cast<double>(2 * next - 2);
}
#endif

// -- 64 maps

class Shards {
 public:
  void insert(long key, const std::string& value) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    shard.map.insert_or_assign(key, value);
  }
  std::optional<std::string> lookup(long key) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.map.find(key);
    if (found == shard.map.end()) return std::nullopt;
    return found->second;
  }

 private:
  struct alignas(64) Shard {
    std::mutex mutex;
    boost::unordered_flat_map<long, std::string> map;
  };
  Shard& shard_of(long key) { return shards_[static_cast<std::uint64_t>(key) * 0x9e3779b97f4a7c15ULL >> 58]; }
  std::array<Shard, 64> shards_;
};

template <class Reader>
double run_readers(unsigned threads, Reader reader) {
  const double begin = now();
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i) all.emplace_back([&reader, i] { reader(i); });
  for (std::thread& thread : all) thread.join();
  return now() - begin;
}

std::unique_ptr<Shards> filled(long entries) {
  auto shards = std::make_unique<Shards>();
  for (long i = 0; i < entries; ++i) shards->insert(i, std::string(64, 'x'));
  return shards;
}

double ets_lookup(long count, unsigned threads) {
  const long entries = count / 2;
  const auto shards = filled(entries);
  const long each = count / threads;
  return run_readers(threads, [&](unsigned reader) {
    Scatter scatter(reader, entries);
    std::size_t length = 0;
    for (long i = 0; i < each; ++i) length += shards->lookup(scatter.next())->size();
    check(length == 64 * static_cast<std::size_t>(each), "ets_lookup");
  });
}

double ets_overwrite(long count, unsigned threads) {
  const long entries = count / 2;
  const auto shards = filled(entries);
  const long each = count / threads;
  return run_readers(threads, [&](unsigned writer) {
    Scatter scatter(writer, entries);
    const std::string value(64, 'z');
    for (long i = 0; i < each; ++i) shards->insert(scatter.next(), value);
  });
}

struct Workload {
  const char* name;
  const char* unit;
  long count;
  double (*run)(long count, unsigned threads);
};

constexpr Workload workloads[] = {
#if HAVE_TBB
    {"fib", "tasks/s", 640'000, fib_tasks},
#endif
    {"ets_lookup", "lookups/s", 2'000'000, ets_lookup},
    {"ets_overwrite", "writes/s", 2'000'000, ets_overwrite},
};

int usage() {
  std::fprintf(stderr, "usage: others_bench WORKLOAD --threads N --scale S | --version\nworkloads:");
  for (const Workload& workload : workloads) std::fprintf(stderr, " %s", workload.name);
  std::fprintf(stderr, "\n");
  return 64;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
#if HAVE_TBB
    std::printf("oneTBB %s, ", TBB_runtime_version());
#endif
    std::printf("Boost %d.%d\n", BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1000);
    return 0;
  }
  if (argc != 6 || std::strcmp(argv[2], "--threads") != 0 || std::strcmp(argv[4], "--scale") != 0) return usage();
  const int threads = std::atoi(argv[3]);
  const double scale = std::atof(argv[5]);
  if (threads < 1 || threads > 64 || !(scale > 0)) return usage();
  for (const Workload& workload : workloads) {
    if (std::strcmp(workload.name, argv[1]) != 0) continue;
    const long count = std::max(static_cast<long>(static_cast<double>(workload.count) * scale), 1000L);
    (void)workload.run(std::max(count / 20, 1000L), static_cast<unsigned>(threads));
    const double rate = static_cast<double>(count) / workload.run(count, static_cast<unsigned>(threads));
    std::printf("%s\t%d\t%.1f\t%s\n", workload.name, threads, rate, workload.unit);
    return 0;
  }
  return usage();
}
