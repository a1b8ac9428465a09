// SPDX-License-Identifier: Apache-2.0
//
// Runtime: the schedulers, the process table, names and timers of one node. Most programs never name it:
//
//   int main() {
//     return coppice::run([] { ... });     // the first process
//   }
//
// A Runtime is a value. A program may hold several; each is a node of its own, and the pids of another are remote. Its
// threads start with it and have ended when its destructor returns.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/process.hpp>

namespace coppice {
namespace runtime {
class Core;
}
namespace platform {
class World;
}
inline namespace v1 {

// Whether a call to an idle server hands the caller's thread to it, or its stack (docs/internals/hand_off.md). Nothing but
// the clock can tell: this is for tests and measurements. In a simulation `automatic` leaves each case to the seed.
enum class HandOff : std::uint8_t { automatic, always, never };

struct RuntimeOptions {
  unsigned schedulers = 0;              // worker threads; 0: one for each core that we may use
  std::size_t stack_size = 256 * 1024;  // bytes of address space of a stack, guard included
  std::size_t stacks_max = 1'000'000;   // beyond it a process that has to wait ends with :system_limit
  std::size_t processes_max = (1u << Pid::slot_bits) - 2;
  std::size_t high_water_mark = 100'000;              // unread messages of one process that are worth a log line
  std::chrono::milliseconds shutdown_timeout{5'000};  // stop() takes no longer
  std::chrono::milliseconds long_schedule{200};       // a handler that holds its worker longer is reported; 0: never
  bool detect_deadlocks = true;                       // a call that closes a cycle fails at once with the path
  unsigned blocking_threads_max = 64;                 // threads of blocking(...); more callers queue
  HandOff hand_off = HandOff::automatic;              // calls to idle servers
};

// What a shutdown had to do.
struct StopReport {
  bool clean = true;                   // every process had ended before the deadline
  std::vector<std::string> killed;     // "#PID<0.12.0> (Counter)": had to be killed, did not heed `shutdown`
  std::vector<std::string> abandoned;  // could not be ended: stuck in user code; their threads are left behind
};

class COPPICE_API Runtime {
 public:
  explicit Runtime(const RuntimeOptions& options = {});
  Runtime(platform::World& world, const RuntimeOptions& options);  // for testing::Simulation
  // Stops it, if nobody has. Must not be called by one of its processes.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Runs `main` as a process and waits until it has ended; returns its exit reason. The other processes live on until
  // stop(). Called by a foreign thread.
  ExitReason run(std::function<void()> main);

  // Ends all processes: `shutdown` to those without a living parent, theirs after them, `kill` to those that do not
  // heed it, and gives up, naming them, at the deadline (RuntimeOptions::shutdown_timeout). Called by a foreign thread;
  // a second call returns the first one's report.
  StopReport stop();

  // Makes this runtime the one in which the calling foreign thread acts, until the scope ends. The runtime's memory,
  // though not its processes, outlives the scope.
  class COPPICE_API Scope {
   public:
    explicit Scope(Runtime& runtime);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<runtime::Core> core_;
    std::shared_ptr<runtime::Core>* previous_;
  };

  [[nodiscard]] std::size_t process_count() const noexcept;
  [[nodiscard]] std::size_t timer_count() const noexcept;  // armed send_after and start_timer timers
  [[nodiscard]] std::size_t stacks_held() const noexcept;  // stacks that waiting processes keep

  [[nodiscard]] runtime::Core& core() const noexcept { return *core_; }

 private:
  std::shared_ptr<runtime::Core> core_;
};

// Runs `main` as the first process of a fresh Runtime, then stops the runtime. Returns the status for the operating
// system: 0 if the process ended with normal, shutdown or {shutdown, _} and the stop was clean, else 1; what went wrong
// is on standard error.
COPPICE_API int run(std::function<void()> main, const RuntimeOptions& options = {});

}  // namespace v1
}  // namespace coppice
