// SPDX-License-Identifier: Apache-2.0
//
// What a burst of processes leaves behind in memory: next to nothing, once it is over and the workers are idle. On real
// threads, because the simulated machine gives nothing back. Sanitizers replace the pools.
#include "behaviour.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

#include <coppice/process.hpp>
#include <coppice/receive.hpp>

#include "platform/sanitizers.hpp"

#if !COPPICE_ASAN && !COPPICE_TSAN

namespace {

using namespace coppice;
using namespace std::chrono_literals;

struct Blocked {};
struct GoOn {};
struct Done {};

constexpr std::size_t burst_size = 100'000;

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Where it lies, if it is more than was wanted: all mappings of this program with a megabyte or more.
std::string where_it_lies() {
  std::ifstream file("/proc/self/smaps");
  std::string text;
  std::string mapping;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word.find('-') != std::string::npos) mapping = line;
    std::size_t kilobytes = 0;
    if (word == "Rss:" && words >> kilobytes && kilobytes >= 1024) {
      text += "\n  " + std::to_string(kilobytes) + " kB of " + mapping;
    }
  }
  return text;
}

// All of them wait at the same time, each on a stack of its own, and end in another order. The memory while they wait.
std::size_t burst(std::size_t size) {
  std::vector<Pid> all;
  all.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    all.push_back(spawn([main = self()] {
      send(main, Blocked{});
      receive<GoOn>();
      send(main, Done{});
    }));
  }
  for (std::size_t i = 0; i < size; ++i) receive<Blocked>();
  const std::size_t bytes = resident_bytes();
  std::shuffle(all.begin(), all.end(), std::minstd_rand(7));
  for (const Pid& pid : all) send(pid, GoOn{});
  for (std::size_t i = 0; i < size; ++i) receive<Done>();
  return bytes;
}

// Looks at the memory every now and then until it is small enough, for 10 s at most.
std::size_t resident_bytes_soon(std::size_t wanted) {
  const auto until = std::chrono::steady_clock::now() + 10s;
  std::size_t bytes = resident_bytes();
  while (bytes > wanted && std::chrono::steady_clock::now() < until) {
    receive(after(50ms, [] {}));
    bytes = resident_bytes();
  }
  return bytes;
}

TEST(MemoryTest, memory_comes_back_within_ten_seconds_after_a_burst_of_blocked_processes) {
  Runtime runtime({.schedulers = 2});
  const ExitReason reason = runtime.run([] {
    burst(1000);
    const std::size_t at_first = resident_bytes();
    EXPECT_GT(burst(burst_size), at_first + burst_size * 4096);
    EXPECT_LE(resident_bytes_soon(at_first + at_first / 10), at_first + at_first / 10) << where_it_lies();
    // All of that serves the next burst.
    const std::size_t before = resident_bytes();
    EXPECT_GT(burst(burst_size), before + burst_size * 4096);
    EXPECT_LE(resident_bytes_soon(before + before / 10), before + before / 10) << where_it_lies();
  });
  EXPECT_TRUE(reason.is_normal());
}

// Looks at the memory until it has not shrunk for eight looks, for 10 s at most.
std::size_t resident_bytes_at_rest() {
  const auto until = std::chrono::steady_clock::now() + 10s;
  std::size_t least = resident_bytes();
  for (int looks = 0; looks < 8 && std::chrono::steady_clock::now() < until; ++looks) {
    receive(after(50ms, [] {}));
    const std::size_t bytes = resident_bytes();
    if (bytes < least) looks = 0;
    least = std::min(least, bytes);
  }
  return least;
}

template <std::size_t size>
struct Bytes {
  std::array<std::uint64_t, size / 8> all{};
};
template <std::size_t size>
void send_and_receive() {
  send(self(), Bytes<size>{});
  receive<Bytes<size>>();
}

// The first message of each size takes a slab; were that from a huge page of its own, eight sizes would bring back 16 MB.
TEST(MemoryTest, a_little_of_everything_after_a_burst_brings_back_next_to_nothing) {
  Runtime runtime({.schedulers = 2});
  const ExitReason reason = runtime.run([] {
    burst(burst_size);
    const std::size_t at_rest = resident_bytes_at_rest();
    send_and_receive<40>();
    send_and_receive<72>();
    send_and_receive<104>();
    send_and_receive<136>();
    send_and_receive<168>();
    send_and_receive<200>();
    send_and_receive<232>();
    send_and_receive<264>();
    EXPECT_LE(resident_bytes(), at_rest + (std::size_t{4} << 20)) << where_it_lies();
  });
  EXPECT_TRUE(reason.is_normal());
}

}  // namespace

#endif
