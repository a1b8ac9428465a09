// SPDX-License-Identifier: Apache-2.0
//
// Whoever ends the program first has the last word: other threads that come to the same point wait for the end, and a
// thread that fails while it reports aborts at once. So what is known for certain is written first, and the answer of
// the layer above to the question who runs here after it.
#include "platform/fault.hpp"

#include <cxxabi.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <new>
#include <typeinfo>

#include "platform/signal_safe_text.hpp"
#include "platform/stack_pool.hpp"
#include "platform/trace.hpp"

namespace coppice::platform {
namespace {

// Stored by the runtime before its processes run, with release; the handlers load with acquire.
std::atomic<DescribeRunning> describe_running{nullptr};

// Thread that has the last word; 0 while nobody has.
std::atomic<pid_t> last_speaker{0};

void take_the_last_word() noexcept {
  const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
  pid_t nobody = 0;
  if (last_speaker.compare_exchange_strong(nobody, self, std::memory_order_acq_rel)) return;
  if (nobody == self) std::abort();  // failed while reporting
  for (;;) ::pause();
}

// Who runs here, or an empty string.
struct Running {
  char description[256] = {};
  Running() noexcept {
    if (DescribeRunning describe = describe_running.load(std::memory_order_acquire)) {
      describe(description, sizeof description);
      description[sizeof description - 1] = '\0';
    }
  }
  [[nodiscard]] bool known() const noexcept { return description[0] != '\0'; }
};

// -- stack overflow --------------------------------------------------------------------------------------------------

struct sigaction previous_segv;
struct sigaction previous_bus;

#if defined(__x86_64__)
std::uintptr_t program_counter(const ucontext_t& at) {
  return static_cast<std::uintptr_t>(at.uc_mcontext.gregs[REG_RIP]);
}
std::uintptr_t stack_pointer(const ucontext_t& at) {
  return static_cast<std::uintptr_t>(at.uc_mcontext.gregs[REG_RSP]);
}
#elif defined(__aarch64__)
std::uintptr_t program_counter(const ucontext_t& at) { return at.uc_mcontext.pc; }
std::uintptr_t stack_pointer(const ucontext_t& at) { return at.uc_mcontext.sp; }
#else
std::uintptr_t program_counter(const ucontext_t&) { return 0; }
std::uintptr_t stack_pointer(const ucontext_t&) { return 0; }
#endif

// Whether the faulting code stands on this stack, or on what it takes for it. A stray pointer into the guard of another
// stack is an ordinary fault.
bool stands_on(const Stack& stack, const ucontext_t& at) noexcept {
  const std::uintptr_t pointer = stack_pointer(at);
  if (pointer == 0) return true;                      // unknown processor
  constexpr std::uintptr_t frame_size_max = 1 << 20;  // a frame that began above the guard may end below it
  const auto header = reinterpret_cast<std::uintptr_t>(&stack);
  return pointer < header && pointer + (std::uintptr_t{1} << stack.size_class) + frame_size_max >= header;
}

[[noreturn]] void report_overflow(const Stack& stack, std::uintptr_t address, const ucontext_t& at) noexcept {
  take_the_last_word();
  SignalSafeText text;
  text.text("coppice: stack overflow in ").write_to(STDERR_FILENO);
  const Running running;
  if (running.known()) {
    text.text(running.description);
  } else {
    text.text("a process");
    if (stack.name != nullptr) text.text(" (").text(stack.name).text(")");
  }
  text.text(": its stack of ")
      .decimal((std::uint64_t{1} << stack.size_class) / 1024)
      .text(" KiB is used up; fault at ");
  text.hexadecimal(address).text("\n").write_to(STDERR_FILENO);
  write_trace_signal_safe(STDERR_FILENO, program_counter(at));
  std::abort();
}

// Hands the signal on as if we had never been here.
void chain(int signal, siginfo_t* info, void* context, const struct sigaction& previous) noexcept {
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
    const bool sent = info->si_code <= 0;  // by kill() or the like, and not by an instruction
    if (sent && previous.sa_handler == SIG_IGN) return;
    ::sigaction(signal, &previous, nullptr);
    if (sent) ::raise(signal);  // delivered when this handler returns; an instruction faults again by itself
  } else {
    previous.sa_handler(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) noexcept {
  const int saved_errno = errno;
  const auto& at = *static_cast<const ucontext_t*>(context);
  if (info->si_code > 0) {
    bool in_guard = false;
    const Stack* stack = stack_of_address(info->si_addr, in_guard);
    if (stack != nullptr && in_guard && stands_on(*stack, at)) {
      report_overflow(*stack, reinterpret_cast<std::uintptr_t>(info->si_addr), at);
    }
  }
  chain(signal, info, context, signal == SIGSEGV ? previous_segv : previous_bus);
  errno = saved_errno;
}

// -- std::terminate --------------------------------------------------------------------------------------------------

void write_trace_of_throw() noexcept {
  try {
    const std::vector<std::string> lines = symbolise(trace_of_current_exception());
    if (lines.empty()) return;
    SignalSafeText().text("  thrown at:\n").write_to(STDERR_FILENO);
    for (const std::string& line : lines) {
      SignalSafeText().text("    ").text(line.c_str()).text("\n").write_to(STDERR_FILENO);
    }
  } catch (...) {
    return;  // no memory: the trace of this thread is still written
  }
}

// Appends "type: what()", or the type alone for what is no std::exception.
void append_current_exception(SignalSafeText& text) noexcept {
  if (const std::type_info* type = abi::__cxa_current_exception_type()) {
    int status = 0;
    char* readable = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    text.text(": ").text(readable != nullptr ? readable : type->name());
    std::free(readable);
  }
  try {
    if (std::current_exception()) throw;
  } catch (const std::exception& error) {
    text.text(": ").text(error.what());
  } catch (...) {
    return;
  }
}

[[noreturn]] void on_terminate() noexcept {
  take_the_last_word();
  const bool exception = abi::__cxa_current_exception_type() != nullptr;
  SignalSafeText text;
  text.text(exception ? "coppice: an exception left a noexcept frame" : "coppice: std::terminate was called");
  text.write_to(STDERR_FILENO);
  const Running running;
  if (running.known()) {
    text.text(" in ").text(running.description);
  } else {
    text.text(exception ? " or a thread, outside of any process" : " outside of any process");
  }
  if (exception) append_current_exception(text);
  text.text("\n").write_to(STDERR_FILENO);
  if (exception) write_trace_of_throw();
  write_trace_signal_safe(STDERR_FILENO);
  std::abort();
}

bool install_once() {
  prepare_symbols();
  std::set_terminate(&on_terminate);
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGSEGV);
  sigaddset(&action.sa_mask, SIGBUS);
  // What was there before is read first, so that the handler finds it at its first call.
  ::sigaction(SIGSEGV, nullptr, &previous_segv);
  ::sigaction(SIGBUS, nullptr, &previous_bus);
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
  return true;
}

// -- alternate signal stacks -----------------------------------------------------------------------------------------

constexpr std::size_t alternate_stack_size =
    256 * 1024;  // reading debug information goes deep; untouched pages are free
constexpr std::size_t alternate_stack_guard = 64 * 1024;

// At the low end of the mapping, below the guard: what the thread had before.
struct AlternateStackMemory {
  stack_t previous;
};

}  // namespace

void set_describe_running(DescribeRunning describe) noexcept {
  describe_running.store(describe, std::memory_order_release);
}

void install_fault_handlers() { [[maybe_unused]] static const bool installed = install_once(); }

AlternateSignalStack::AlternateSignalStack() {
  // Layout: a page for what was before, the guard, the stack.
  constexpr std::size_t size = alternate_stack_guard * 2 + alternate_stack_size;
  void* memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return;  // the thread goes on without last words
  ::mprotect(static_cast<std::byte*>(memory) + alternate_stack_guard, alternate_stack_guard, PROT_NONE);
  auto* header = new (memory) AlternateStackMemory;
  stack_t stack{};
  stack.ss_sp = static_cast<std::byte*>(memory) + alternate_stack_guard * 2;
  stack.ss_size = alternate_stack_size;
  if (::sigaltstack(&stack, &header->previous) != 0) {
    ::munmap(memory, size);
    return;
  }
  memory_ = memory;
}

AlternateSignalStack::~AlternateSignalStack() {
  if (memory_ == nullptr) return;
  stack_t previous = static_cast<AlternateStackMemory*>(memory_)->previous;
  previous.ss_flags &= SS_DISABLE;
  if (::sigaltstack(&previous, nullptr) == 0) {
    ::munmap(memory_, alternate_stack_guard * 2 + alternate_stack_size);
  }
}

void die(const char* sentence) noexcept {
  take_the_last_word();
  SignalSafeText text;
  text.text("coppice: ").text(sentence).write_to(STDERR_FILENO);
  const Running running;
  if (running.known()) text.text("; in ").text(running.description);
  text.text("\n").write_to(STDERR_FILENO);
  write_trace_signal_safe(STDERR_FILENO);
  std::abort();
}

}  // namespace coppice::platform
