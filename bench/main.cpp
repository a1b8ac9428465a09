// SPDX-License-Identifier: Apache-2.0
//
// coppice_bench WORKLOAD [--threads N] [--scale S] [--repeats R]: measures one workload and prints a line
// `workload<TAB>threads<TAB>value<TAB>unit` for each repeat. Without arguments: the workloads.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <coppice/logger.hpp>
#include <coppice/runtime.hpp>

#include "workloads.hpp"

namespace {

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

double measure(const bench::Workload& workload, unsigned threads, long count) {
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
  if (workload.counts_bytes) return result;
  runtime.stop();
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (argc == 1) {
    bench::list_workloads();
    return 0;
  }
  const bool good = parse(argc, argv, arguments);
  const bench::Workload* workload = good ? bench::find_workload(arguments.workload) : nullptr;
  if (workload == nullptr) {
    std::fprintf(stderr, "usage: coppice_bench WORKLOAD [--threads N] [--scale S] [--repeats R]\nworkloads:\n");
    bench::list_workloads();
    return 64;
  }
  coppice::logger::set_primary_level(coppice::logger::Level::none);
  bench::scheduler_threads = arguments.threads;
  const long count = std::max(8L, static_cast<long>(static_cast<double>(workload->count) * arguments.scale));
  if (!workload->counts_bytes) (void)measure(*workload, arguments.threads, std::max(8L, count / 20));
  for (int i = 0; i < arguments.repeats; ++i) {
    const double result = measure(*workload, arguments.threads, count);
    const double value = workload->counts_bytes ? result : static_cast<double>(count) / result;
    std::printf("%s\t%u\t%.1f\t%s\n", arguments.workload.c_str(), arguments.threads, value, workload->unit.data());
    std::fflush(stdout);
    if (workload->counts_bytes) std::_Exit(0);
  }
  return 0;
}
