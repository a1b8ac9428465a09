// SPDX-License-Identifier: Apache-2.0
//
// The last words of a program: a guard page hit by a stack overflow, a violated `noexcept`, a broken invariant.
// Each ends the program, and each says in a full sentence what happened, in which process, and with which stack.
#pragma once

#include <cstddef>

namespace coppice::platform {

// Who is running on the calling thread, as the layer above knows it. Called from signal handlers: must not allocate,
// lock or throw; writes a description such as "process #PID<0.12.0> (Counter)" into `buffer`, zero-terminated, or an empty
// string when no process runs. Set once by the runtime; null takes it back.
using DescribeRunning = void (*)(char* buffer, std::size_t size) noexcept;
void set_describe_running(DescribeRunning describe) noexcept;

// Installs, once per program: handlers for SIGSEGV and SIGBUS that recognise a hit guard and report the stack overflow
// (pid, name, stack size, trace) before aborting, chaining to whatever handler was there otherwise; and a
// std::terminate handler that names process, exception and frame. Idempotent; any thread.
void install_fault_handlers();

// Gives the calling thread the alternate signal stack that the handlers need; the destructor, on the same thread, puts
// back what the thread had before. Without one, a stack overflow kills the program without a word.
class AlternateSignalStack {
 public:
  AlternateSignalStack();
  ~AlternateSignalStack();
  AlternateSignalStack(const AlternateSignalStack&) = delete;
  AlternateSignalStack& operator=(const AlternateSignalStack&) = delete;

 private:
  void* memory_ = nullptr;
};

// Ends the program: prints "coppice: <sentence>", the running process and the stack, then aborts. For broken
// invariants of our own and misuse by a foreign thread; never for misuse by a process.
[[noreturn]] void die(const char* sentence) noexcept;

}  // namespace coppice::platform

// An invariant of ours, checked in every build. `sentence` says what was expected, in words.
#define COPPICE_INVARIANT(condition, sentence) \
  do {                                         \
    if (!(condition)) [[unlikely]]             \
      ::coppice::platform::die(sentence);      \
  } while (false)
