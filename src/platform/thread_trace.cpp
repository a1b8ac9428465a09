// SPDX-License-Identifier: Apache-2.0
//
// Actors: one asker (under a mutex) and the thread that is asked, in its signal handler. The asker raises `question` by one,
// sends the signal and naps until `answered` (acquire) equals it. The handler walks frame pointers on the borrowed stack
// on which its thread stands, calls nothing that allocates or locks, writes the frames and then `answered` (release). An
// answer that comes after the asker's patience carries the old number, which the next asker does not take for its own.
#include "platform/thread_trace.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

#include "platform/stack_pool.hpp"

namespace coppice::platform {
namespace {

constexpr std::size_t frames_max = 48;
std::mutex asking;
std::array<std::atomic<std::uintptr_t>, frames_max> frames;
std::atomic<std::size_t> frame_count{0};
std::atomic<std::uint32_t> question{0};
std::atomic<std::uint32_t> answered{0};

// Code built without frame pointers uses the register for anything: what is followed must lie on the borrowed stack on
// which the thread stands, above its stack pointer. On a thread's own stack, whose bounds are not known here, there is
// only the innermost address.
void walk(std::uintptr_t pc, std::uintptr_t frame, std::uintptr_t stack_pointer) noexcept {
  std::size_t count = 0;
  // What is symbolised are return addresses, less one to be inside the call. This one is an instruction that has not run
  // yet, possibly the first of its function.
  frames[count++].store(pc + 1, std::memory_order_relaxed);
  bool in_guard = false;
  const Stack* stack = stack_of_address(reinterpret_cast<const void*>(stack_pointer), in_guard);
  const std::uintptr_t high = stack == nullptr ? 0 : reinterpret_cast<std::uintptr_t>(stack);
  while (count < frames_max && frame >= stack_pointer && frame + 2 * sizeof(void*) <= high &&
         frame % sizeof(void*) == 0) {
    const auto* record = reinterpret_cast<const std::uintptr_t*>(frame);
    const std::uintptr_t caller = record[1];
    if (caller == 0) break;
    frames[count++].store(caller, std::memory_order_relaxed);
    const std::uintptr_t next = record[0];
    if (next <= frame) break;
    frame = next;
  }
  frame_count.store(count, std::memory_order_relaxed);
}

void answer(int, siginfo_t*, void* context) noexcept {
  const int saved = errno;
  const std::uint32_t asked = question.load(std::memory_order_acquire);
#if defined(__x86_64__)
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  walk(static_cast<std::uintptr_t>(registers[REG_RIP]), static_cast<std::uintptr_t>(registers[REG_RBP]),
       static_cast<std::uintptr_t>(registers[REG_RSP]));
#elif defined(__aarch64__)
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
  walk(static_cast<std::uintptr_t>(registers.pc), static_cast<std::uintptr_t>(registers.regs[29]),
       static_cast<std::uintptr_t>(registers.sp));
#else
  (void)context;
  walk(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)), 0, 0);
#endif
  answered.store(asked, std::memory_order_release);
  errno = saved;
}

void install_once() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return ::sigaction(trace_signal(), &action, nullptr) == 0;
  }();
  (void)installed;
}

}  // namespace

int trace_signal() noexcept { return SIGRTMAX - 3; }

std::uint64_t native_thread_id() noexcept { return static_cast<std::uint64_t>(::syscall(SYS_gettid)); }

std::vector<std::uintptr_t> trace_of_thread(std::uint64_t native_thread, std::chrono::milliseconds patience) {
  const std::lock_guard lock(asking);
  install_once();
  const std::uint32_t asked = question.fetch_add(1, std::memory_order_acq_rel) + 1;
  if (::syscall(SYS_tgkill, ::getpid(), static_cast<pid_t>(native_thread), trace_signal()) != 0) return {};
  for (auto waited = std::chrono::microseconds(0); answered.load(std::memory_order_acquire) != asked;) {
    if (waited >= patience) return {};
    const timespec nap{0, 100'000};
    ::nanosleep(&nap, nullptr);
    waited += std::chrono::microseconds(100);
  }
  std::vector<std::uintptr_t> result(frame_count.load(std::memory_order_relaxed));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = frames[i].load(std::memory_order_relaxed);
  return result;
}

}  // namespace coppice::platform
