// SPDX-License-Identifier: Apache-2.0
//
// jobs_program DIRECTORY COUNT: inserts jobs until COUNT are inserted, performs them, and ends when all are over. To be
// killed and started again at will (tests/jobs_kill.sh). It keeps two logs, each line written at once:
//   inserted.log   KEY NUMBER              once the insert has returned
//   done.log       KEY NUMBER ATTEMPT      by the job, as the last thing before it returns ok
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <coppice/jobs.hpp>
#include <coppice/receive.hpp>
#include <coppice/runtime.hpp>
#include <coppice/supervisor.hpp>

using namespace coppice;

namespace {

constexpr int keys = 7;
std::string directory;

void append(const char* log, const std::string& line) {
  const int file = ::open((directory + "/" + log).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0 || ::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
  ::close(file);
}

int lines_of(const char* log) {
  std::ifstream in(directory + "/" + log);
  int lines = 0;
  for (std::string line; std::getline(in, line);) ++lines;
  return lines;
}

struct Step : Worker<Step> {
  struct Args {
    int key = 0;
    int number = 0;
    static constexpr auto fields = names("key", "number");
  };
  static constexpr std::string_view queue = "steps";
  static constexpr Backoff backoff{.first = 5ms, .factor = 1};

  JobResult perform(const Args& args, const Job& job) {
    sleep_for(1ms);
    // Every eleventh fails at first, in one of two ways.
    if (args.number % 11 == 3 && job.attempt == 1) return error("not_at_once");
    if (args.number % 11 == 7 && job.attempt == 1) exit(ExitReason::kill());
    append("done.log",
           std::to_string(args.key) + " " + std::to_string(args.number) + " " + std::to_string(job.attempt) + "\n");
    return ok();
  }
};

void insert_up_to(int count) {
  for (int number = lines_of("inserted.log"); number < count; ++number) {
    const int key = number % keys;
    Jobs::insert<Step>({key, number}, {.key = "key " + std::to_string(key)}).value();
    append("inserted.log", std::to_string(key) + " " + std::to_string(number) + "\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: jobs_program DIRECTORY COUNT\n", stderr), 2;
  directory = argv[1];
  const int count = std::atoi(argv[2]);
  return coppice::run([count] {
    const Pid jobs = Jobs::start_link({.database = directory + "/jobs.db",
                                       .queues = {{"steps", 4}},
                                       .workers = workers<Step>(),
                                       .rescues_max = 1'000})
                         .value();
    insert_up_to(count);
    const auto number_of = [](JobState state) { return Jobs::count({.state = state}).value(); };
    for (;;) {
      const std::size_t over = number_of(JobState::completed) + number_of(JobState::discarded);
      if (over == Jobs::count().value()) break;
      sleep_for(20ms);
    }
    std::printf("completed %zu, discarded %zu\n", number_of(JobState::completed), number_of(JobState::discarded));
    Supervisor::stop(jobs);
  });
}
