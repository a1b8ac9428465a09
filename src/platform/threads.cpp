// SPDX-License-Identifier: Apache-2.0
//
// The real world: OS threads, futexes, the monotonic clock.
//
// PARKING. The actors are the owner of a parker, which is the only one that parks on it, and any number of wakers. The
// token has three states:
//
//   empty      nobody waits and there is nothing to take
//   available  somebody has called unpark() since the last take
//   sleeping   the owner is in the kernel, or on its way there or back
//
// The owner:  (1) empties the token; if it was available, that was the token, and park() returns true.
//             (2) Otherwise it puts `sleeping` in place of `empty`. If that fails, a waker was faster: back to (1).
//             (3) It asks the kernel to sleep for as long as the token reads `sleeping`. The kernel compares and goes
//                 to sleep in one step, so a waker that comes between (2) and (3) is not missed.
//             (4) Woken, interrupted or late, it empties the token as in (1). A token that arrived together with the
//                 deadline is taken: false means that none was there. Woken for no reason, it goes back to (2).
// A waker:    (1) puts `available` in place of whatever was there, (2) calls the kernel only if that was `sleeping`.
//             Of several wakers exactly one sees `sleeping`, so a sleeper is woken once.
//
// Memory order. A waker's exchange is a release and the owner's exchange an acquire: what was written before unpark()
// is visible after the park() that takes the token. A second waker's exchange continues the release sequence of the
// first (it is a read-modify-write), so the owner, which reads only the last value, sees the writes of them all.
// Putting `sleeping` publishes nothing and takes nothing: relaxed. A runtime that looks for work once more between
// announcing that it will sleep and park() needs an order between that announcement and that look (a Dekker pattern);
// that order is its own, it is not made here.
//
// A waker may still be in step (2) when the owner has already taken the token and destroyed the parker. The kernel then
// looks for sleepers under an address that nobody sleeps on, or wakes one that has meanwhile begun to sleep there on a
// new parker: such a one goes back to sleep by (4). Neither reads the memory of the old parker.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "platform/cpu_quota.hpp"
#include "platform/fault.hpp"
#include "platform/thread_trace.hpp"
#include "platform/world.hpp"

namespace coppice::platform {
namespace {

constexpr std::uint32_t token_empty = 0;
constexpr std::uint32_t token_available = 1;
constexpr std::uint32_t token_sleeping = 2;

constexpr Nanoseconds nanoseconds_per_second = 1'000'000'000;

// -- time and randomness ----------------------------------------------------------------------------------------------

Nanoseconds monotonic_now(clockid_t clock) noexcept {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<Nanoseconds>(time.tv_sec) * nanoseconds_per_second + static_cast<Nanoseconds>(time.tv_nsec);
}

base::Xoshiro256 seeded_generator() noexcept {
  std::array<std::uint64_t, 4> state{};
  // The kernel answers requests of up to 256 bytes whole. Where it has no randomness to give (a sandbox that forbids
  // the call), the clock and the place of this thread's stack must do: these numbers spread load and keep nothing
  // secret.
  if (getrandom(state.data(), sizeof state, 0) != static_cast<ssize_t>(sizeof state)) {
    base::SplitMix64 words(monotonic_now(CLOCK_MONOTONIC) ^ base::mix64(reinterpret_cast<std::uintptr_t>(&state)));
    for (std::uint64_t& word : state) word = words.next();
  }
  return base::Xoshiro256(state);
}

// -- the kernel's side of parking -------------------------------------------------------------------------------------

// Sleeps while `token` reads `sleeping`, until `deadline`. False if the deadline has passed; true for every other end,
// of which there are three: woken, interrupted by a signal, and the token no longer reading `sleeping`.
bool futex_sleep(std::atomic<std::uint32_t>& token, Nanoseconds deadline) noexcept {
  timespec time{};
  const timespec* absolute = nullptr;
  if (deadline != never) {
    time.tv_sec = static_cast<time_t>(deadline / nanoseconds_per_second);
    time.tv_nsec = static_cast<long>(deadline % nanoseconds_per_second);
    absolute = &time;
  }
  // FUTEX_WAIT_BITSET, unlike FUTEX_WAIT, takes an absolute time, by default that of CLOCK_MONOTONIC: a thread that is
  // interrupted goes back to sleep until the same moment.
  const long result = syscall(SYS_futex, &token, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, token_sleeping, absolute,
                              nullptr, FUTEX_BITSET_MATCH_ANY);
  if (result == 0) return true;
  const int error = errno;
  COPPICE_INVARIANT(error == EAGAIN || error == EINTR || error == ETIMEDOUT,
                    "The kernel refuses to let a thread sleep on a futex.");
  return error != ETIMEDOUT;
}

void futex_wake_one(std::atomic<std::uint32_t>& token) noexcept {
  // The result does not matter: nobody may be asleep there any more (see the head of this file).
  syscall(SYS_futex, &token, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

// -- threads ----------------------------------------------------------------------------------------------------------

// Signals that arrive from outside are for the program's own threads: a handler of the program's must not run on a
// process's small stack, nor interrupt a worker. Those that report a fault of the running instruction stay open, and so
// does SIGPROF, by which sampling profilers see where the processor time goes, and the signal by which the watchdog asks
// a thread for its stack.
sigset_t asynchronous_signals() noexcept {
  sigset_t set;
  sigfillset(&set);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) sigdelset(&set, signal);
  sigdelset(&set, trace_signal());
  return set;
}

// Blocks the asynchronous signals in the calling thread while it starts another, which inherits the mask: there is no
// moment at which the new thread could receive one.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    const sigset_t blocked = asynchronous_signals();
    pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

void name_running_thread(const std::string& name) noexcept {
  std::array<char, 16> kernel_name{};  // the kernel keeps 15 characters
  const std::size_t length = std::min(name.size(), kernel_name.size() - 1);
  std::copy_n(name.begin(), length, kernel_name.begin());
  pthread_setname_np(pthread_self(), kernel_name.data());
}

class OsThread final : public Thread {
 public:
  OsThread(std::string name, std::function<void()> body) {
    const SignalsBlocked blocked;
    thread_ = std::thread([name = std::move(name), body = std::move(body)] {
      name_running_thread(name);
      const AlternateSignalStack alternate_stack;  // on which a stack overflow is reported
      body();
    });
  }

  ~OsThread() override {
    COPPICE_INVARIANT(!thread_.joinable(), "A thread was destroyed that was neither joined nor detached.");
  }

  void join() override { thread_.join(); }
  void detach() override { thread_.detach(); }

 private:
  std::thread thread_;
};

// -- processors -------------------------------------------------------------------------------------------------------

std::optional<std::string> read_whole_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// How many processors the calling thread may run on.
unsigned processors_allowed() {
  // A mask of fixed size is refused on machines with more processors than it has bits.
  constexpr std::size_t processors_max = std::size_t{1} << 20;
  for (std::size_t processors = 1024; processors <= processors_max; processors *= 2) {
    const std::size_t bytes = CPU_ALLOC_SIZE(processors);
    std::vector<unsigned long> mask(bytes / sizeof(unsigned long));
    auto* const set = reinterpret_cast<cpu_set_t*>(mask.data());
    if (sched_getaffinity(0, bytes, set) == 0) return static_cast<unsigned>(CPU_COUNT_S(bytes, set));
    if (errno != EINVAL) break;
  }
  return std::thread::hardware_concurrency();
}

// -- the world --------------------------------------------------------------------------------------------------------

class ThreadsWorld final : public World {
 public:
  ThreadsWorld() noexcept : World(false) {}

  Nanoseconds now() override { return monotonic_now(CLOCK_MONOTONIC); }
  Nanoseconds last_tick() override { return monotonic_now(CLOCK_MONOTONIC_COARSE); }
  std::chrono::system_clock::time_point system_now() override { return std::chrono::system_clock::now(); }

  std::uint64_t random() override {
    thread_local base::Xoshiro256 generator = seeded_generator();
    return generator.next();
  }

  std::unique_ptr<Thread> start_thread(std::string name, std::function<void()> body) override {
    return std::make_unique<OsThread>(std::move(name), std::move(body));
  }

  unsigned hardware_threads() override {
    const unsigned allowed = processors_allowed();
    return std::max(1U, std::min(allowed, cgroup_cpus(read_whole_file).value_or(allowed)));
  }

  bool park(Parker& parker, Nanoseconds deadline) override {
    std::atomic<std::uint32_t>& token = parker.token;
    bool in_time = true;
    for (;;) {
      // Also turns `sleeping`, left by the round before, back into `empty`.
      if (token.exchange(token_empty, std::memory_order_acquire) == token_available) return true;
      if (!in_time) return false;
      std::uint32_t expected = token_empty;
      if (!token.compare_exchange_strong(expected, token_sleeping, std::memory_order_relaxed)) continue;
      in_time = futex_sleep(token, deadline);
    }
  }

  void unpark(Parker& parker) override {
    if (parker.token.exchange(token_available, std::memory_order_release) == token_sleeping) {
      futex_wake_one(parker.token);
    }
  }

  void follow_thread_local(void*& (*)()) override {}

 protected:
  std::uint32_t choose_by_seed(Choice, std::uint32_t, std::uint32_t policy) override { return policy; }
  void interleave_by_seed() override {}
};

}  // namespace

World& threads_world() {
  // Never destroyed: threads that were detached may still use it while the program's statics are taken down.
  static World* const world = new ThreadsWorld;
  return *world;
}

}  // namespace coppice::platform
