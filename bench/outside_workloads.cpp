// SPDX-License-Identifier: Apache-2.0
//
// What is seen from outside of the processes: calls by a foreign thread, and a runtime that has nothing to do.
#include <dirent.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <coppice/gen_server.hpp>

#include "support.hpp"
#include "workloads.hpp"

namespace bench {
namespace {

using namespace coppice;

constexpr std::chrono::milliseconds idle_time{10};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

// -- foreign_call_hot, foreign_call_idle, foreign_over_futex

class Echo : public GenServer<Echo> {
 public:
  struct Get {
    using Reply = long;
  };
  static constexpr Name<Echo> name{"Echo"};
  long handle_call(Get) const { return 7; }
};

double foreign_call_hot(long count) {
  Echo::start().value();
  std::vector<double> times;
  for (long i = 0; i < count; ++i) {
    const double begin = now();
    check(Echo::name.call(Echo::Get{}) == 7, "foreign_call_hot");
    times.push_back((now() - begin) * 1e6);
  }
  Echo::name.stop();
  return median(std::move(times));
}

// A thread that answers a word with another, by nothing but futexes.
class FutexPartner {
 public:
  FutexPartner() : thread_([this] { answer(); }) {}
  ~FutexPartner() {
    ask(ending);
    thread_.join();
  }
  FutexPartner(const FutexPartner&) = delete;
  FutexPartner& operator=(const FutexPartner&) = delete;

  void round_trip() {
    const std::uint32_t number = ++asked_;
    ask(number);
    while (answered_.load(std::memory_order_acquire) != number) wait(answered_, number - 1);
  }

 private:
  static constexpr std::uint32_t ending = UINT32_MAX;
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

  static void wait(std::atomic<std::uint32_t>& word, std::uint32_t expected) {
    (void)::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
  }
  static void wake(std::atomic<std::uint32_t>& word) {
    (void)::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void ask(std::uint32_t number) {
    question_.store(number, std::memory_order_release);
    wake(question_);
  }
  void answer() {
    for (std::uint32_t last = 0;;) {
      const std::uint32_t question = question_.load(std::memory_order_acquire);
      if (question == ending) return;
      if (question == last) {
        wait(question_, last);
        continue;
      }
      last = question;
      answered_.store(question, std::memory_order_release);
      wake(answered_);
    }
  }

  std::uint32_t asked_ = 0;
  std::atomic<std::uint32_t> question_{0};
  std::atomic<std::uint32_t> answered_{0};
  std::thread thread_;
};

// Both in turn, each after everybody has slept: the medians in microseconds.
struct AfterIdle {
  double call;
  double futex;
};
AfterIdle after_idle(long count) {
  Echo::start().value();
  (void)Echo::name.call(Echo::Get{});
  std::vector<double> calls;
  std::vector<double> futexes;
  FutexPartner partner;
  for (long i = 0; i < count; ++i) {
    std::this_thread::sleep_for(idle_time);
    double begin = now();
    check(Echo::name.call(Echo::Get{}) == 7, "foreign_call_idle");
    calls.push_back((now() - begin) * 1e6);
    std::this_thread::sleep_for(idle_time);
    begin = now();
    partner.round_trip();
    futexes.push_back((now() - begin) * 1e6);
  }
  Echo::name.stop();
  return {median(std::move(calls)), median(std::move(futexes))};
}

double foreign_call_idle(long count) { return after_idle(count).call; }
double foreign_over_futex(long count) {
  const AfterIdle medians = after_idle(count);
  return medians.call / medians.futex;
}

// -- wakeups_empty, wakeups_servers: how often any thread of this program but the calling one went to sleep of its own
// -- accord, scaled to ten seconds

long voluntary_switches() {
  long sum = 0;
  ::DIR* directory = ::opendir("/proc/self/task");
  check(directory != nullptr, "opening /proc/self/task");
  const std::string own = std::to_string(::gettid());
  while (const ::dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] == '.' || own == entry->d_name) continue;
    std::FILE* file = std::fopen(("/proc/self/task/" + std::string(entry->d_name) + "/status").c_str(), "r");
    if (file == nullptr) continue;  // it has just ended
    char line[256];
    long switches = 0;
    while (std::fgets(line, sizeof line, file) != nullptr) {
      if (std::sscanf(line, "voluntary_ctxt_switches: %ld", &switches) == 1) sum += switches;
    }
    std::fclose(file);
  }
  ::closedir(directory);
  return sum;
}

double wakeups_in(long milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // until all have settled
  const long before = voluntary_switches();
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  return static_cast<double>(voluntary_switches() - before) * 10'000 / static_cast<double>(milliseconds);
}

class Patient : public GenServer<Patient> {
 public:
  Init init() { return ok().timeout(std::chrono::seconds(60)); }
  Action handle_info(Timeout) { return stop(ExitReason::normal()); }
};

double wakeups_empty(long milliseconds) { return wakeups_in(milliseconds); }

double wakeups_servers(long milliseconds) {
  for (long i = 0; i < 100'000; ++i) Patient::start().value();
  return wakeups_in(milliseconds);
}

constexpr std::array<Workload, 5> workloads{{
    {"foreign_call_hot", "us", 100'000, foreign_call_hot, Kind::outside},
    {"foreign_call_idle", "us", 50, foreign_call_idle, Kind::outside},
    {"foreign_over_futex", "times", 50, foreign_over_futex, Kind::outside},
    {"wakeups_empty", "wakeups", 10'000, wakeups_empty, Kind::outside},
    {"wakeups_servers", "wakeups", 10'000, wakeups_servers, Kind::outside},
}};

}  // namespace

std::span<const Workload> outside_workloads() { return workloads; }

}  // namespace bench
