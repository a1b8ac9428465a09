// SPDX-License-Identifier: Apache-2.0
//
// coppice_bench WORKLOAD [--threads N] [--scale S] [--repeats R]: measures one workload and prints a line
// `workload<TAB>threads<TAB>value<TAB>unit` for each repeat; for latencies one each for `workload.p50`, `.p99` and
// `.p99.9`. Without arguments: the workloads.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <coppice/logger.hpp>
#include <coppice/runtime.hpp>

#include "support.hpp"
#include "workloads.hpp"

namespace {

using bench::Kind;
using bench::Workload;

std::array<std::span<const Workload>, 6> all_workloads() {
  return {bench::core_workloads(), bench::call_workloads(),    bench::process_workloads(),
          bench::otp_workloads(),  bench::outside_workloads(), bench::latency_workloads()};
}

const Workload* find_workload(std::string_view name) {
  for (const std::span<const Workload> part : all_workloads()) {
    for (const Workload& workload : part) {
      if (workload.name == name) return &workload;
    }
  }
  return nullptr;
}

void list_workloads() {
  for (const std::span<const Workload> part : all_workloads()) {
    for (const Workload& workload : part) {
      std::printf("%-24s %9ld  %s\n", workload.name.data(), workload.count, workload.unit.data());
    }
  }
}

struct Arguments {
  std::string workload;
  unsigned threads = 2;
  double scale = 1;
  int repeats = 1;
};

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (std::strcmp(argv[i], "--threads") == 0 && has_value) {
      arguments.threads = static_cast<unsigned>(std::atoi(argv[++i]));
    } else if (std::strcmp(argv[i], "--scale") == 0 && has_value) {
      arguments.scale = std::atof(argv[++i]);
    } else if (std::strcmp(argv[i], "--repeats") == 0 && has_value) {
      arguments.repeats = std::atoi(argv[++i]);
    } else if (argv[i][0] != '-' && arguments.workload.empty()) {
      arguments.workload = argv[i];
    } else {
      return false;
    }
  }
  return arguments.threads >= 1 && arguments.threads <= 64 && arguments.scale > 0 && arguments.repeats >= 1;
}

double measure_inside(const Workload& workload, unsigned threads, long count) {
  // Logging is off on all sides; two more things would be reported: a backlog, and a loop that does nothing but send.
  coppice::Runtime runtime({.schedulers = threads,
                            .high_water_mark = SIZE_MAX,
                            .shutdown_timeout = std::chrono::seconds(60),
                            .long_schedule = std::chrono::milliseconds(0)});
  double result = 0;
  const coppice::ExitReason reason = runtime.run([&] { result = workload.run(count); });
  if (!reason.is_normal()) {
    std::fprintf(stderr, "coppice_bench: the workload ended: %s\n", coppice::format_exit(reason).c_str());
    std::exit(70);
  }
  // A process that counts bytes has a million servers to end: the operating system is quicker.
  if (workload.kind != Kind::bytes) {
    runtime.stop();
    return result;
  }
  std::printf("%s\t%u\t%.1f\t%s\n", workload.name.data(), threads, result, workload.unit.data());
  std::fflush(stdout);
  std::_Exit(0);
}

double measure_outside(const Workload& workload, unsigned threads, long count) {
  coppice::Runtime runtime({.schedulers = threads});
  const coppice::Runtime::Scope scope(runtime);
  return workload.run(count);
}

void print(const Workload& workload, const char* figure, unsigned threads, double value) {
  std::printf("%s%s\t%u\t%.3f\t%s\n", workload.name.data(), figure, threads, value, workload.unit.data());
  std::fflush(stdout);
}

// By nearest rank: the smallest value that is not less than that part of all.
double percentile(const std::vector<double>& sorted, double part) {
  const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

void measure_and_print(const Workload& workload, unsigned threads, long count) {
  if (workload.kind == Kind::outside) {
    print(workload, "", threads, measure_outside(workload, threads, count));
    return;
  }
  bench::latencies_us.clear();
  const double result = measure_inside(workload, threads, count);
  if (workload.kind != Kind::latencies) {
    print(workload, "", threads, static_cast<double>(count) / result);
    return;
  }
  std::vector<double>& all = bench::latencies_us;
  bench::check(static_cast<long>(all.size()) == count, "the number of latencies");
  std::sort(all.begin(), all.end());
  print(workload, ".p50", threads, percentile(all, 0.5));
  print(workload, ".p99", threads, percentile(all, 0.99));
  print(workload, ".p99.9", threads, percentile(all, 0.999));
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (argc == 1) {
    list_workloads();
    return 0;
  }
  const bool good = parse(argc, argv, arguments);
  const Workload* workload = good ? find_workload(arguments.workload) : nullptr;
  if (workload == nullptr) {
    std::fprintf(stderr, "usage: coppice_bench WORKLOAD [--threads N] [--scale S] [--repeats R]\nworkloads:\n");
    list_workloads();
    return 64;
  }
  coppice::logger::set_primary_level(coppice::logger::Level::none);
  bench::scheduler_threads = arguments.threads;
  const long count = std::max(8L, static_cast<long>(static_cast<double>(workload->count) * arguments.scale));
  // What is a rate is warmed up; what wants a fresh process, or draws from many single moments, is not.
  if (workload->kind == Kind::rate) (void)measure_inside(*workload, arguments.threads, std::max(8L, count / 20));
  for (int i = 0; i < arguments.repeats; ++i) measure_and_print(*workload, arguments.threads, count);
  return 0;
}
