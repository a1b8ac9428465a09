// SPDX-License-Identifier: Apache-2.0
//
// Taking traces, and remembering where exceptions were thrown.
//
// The hook on the throw path is a definition of __cxa_throw that records and then calls the C++ runtime's own, found by
// RTLD_NEXT. It is weak: a definition of the program's own (or of a statically linked libstdc++, which trace.cpp makes
// sure is there) takes its place, and then nothing is recorded. The sanitizers define __cxa_throw themselves, so ours
// is left out for them.
//
// A record is found by the address of the exception object. That address may be used again for a later exception of the
// same thread, whose throw then overwrites the record (recording stays on) or which finds no record (it was switched
// off, and switching off forgets).
#include "platform/trace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <span>

#include "platform/fault.hpp"
#include "platform/frame_walk.hpp"
#include "platform/sanitizers.hpp"

#if !defined(COPPICE_NO_THROW_HOOK) && !COPPICE_ASAN && !COPPICE_TSAN && defined(__GLIBCXX__)
#define COPPICE_THROW_HOOK 1
#else
#define COPPICE_THROW_HOOK 0
#endif

namespace coppice::platform {
namespace {

struct Walk {
  std::span<std::uintptr_t> addresses;
  std::size_t skip = 0;
  std::size_t count = 0;
};

_Unwind_Reason_Code take_frame(_Unwind_Context* frame, void* argument) {
  auto& walk = *static_cast<Walk*>(argument);
  int before_instruction = 0;
  const std::uintptr_t address = _Unwind_GetIPInfo(frame, &before_instruction);
  if (address == 0) return _URC_END_OF_STACK;
  if (walk.skip > 0) {
    --walk.skip;
    return _URC_NO_REASON;
  }
  if (walk.count == walk.addresses.size()) return _URC_END_OF_STACK;
  // An interrupted frame stands before its instruction, all others after their call.
  walk.addresses[walk.count++] = address + (before_instruction != 0 ? 1 : 0);
  return _URC_NO_REASON;
}

// -- records of throws -----------------------------------------------------------------------------------------------

struct ThrowRecord {
  const void* exception = nullptr;
  std::size_t count = 0;
  std::uintptr_t addresses[32] = {};
};

constexpr std::size_t record_count = 4;  // exceptions thrown while another is being handled

struct ThrowRecords {
  bool on = false;
  std::size_t next = 0;
  ThrowRecord records[record_count] = {};
};

constinit thread_local ThrowRecords throw_records;

constinit std::atomic<const std::type_info*> own_exception{nullptr};

// Never cached by a caller across a switch, like every thread-local.
[[gnu::noinline]] ThrowRecords& records_of_thread() noexcept {
  ThrowRecords* records = &throw_records;
  asm volatile("" : "+r"(records) : : "memory");
  return *records;
}

}  // namespace

[[gnu::noinline]] std::vector<std::uintptr_t> capture_trace(std::size_t skip, std::size_t frames_max) {
  std::vector<std::uintptr_t> addresses(frames_max);
  Walk walk{addresses, skip + 1, 0};
  _Unwind_Backtrace(&take_frame, &walk);
  addresses.resize(walk.count);
  return addresses;
}

__attribute__((no_sanitize("address"))) std::vector<std::uintptr_t> capture_trace_of(const Context& suspended,
                                                                                     std::size_t frames_max) {
  std::vector<std::uintptr_t> addresses;
#if defined(__x86_64__)
  constexpr std::size_t frame_pointer_word = 7;  // where jump_fcontext saves rbp and the address of return
  constexpr std::size_t return_word = 8;
#elif defined(__aarch64__)
  constexpr std::size_t frame_pointer_word = 18;  // x29 and the address of return
  constexpr std::size_t return_word = 20;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
  if (suspended.machine == nullptr) return addresses;
  const auto low = reinterpret_cast<std::uintptr_t>(suspended.low);
  const auto* saved = static_cast<const std::uintptr_t*>(suspended.machine);  // no instrumentation knows about these
  addresses.resize(frames_max + 1);
  const std::size_t found =
      walk_frames(saved[frame_pointer_word], low, low + suspended.size, std::span(addresses).subspan(1));
  addresses[0] = saved[return_word];
  addresses.resize(found == 0 ? 0 : std::min(found + 1, frames_max));
#else
  (void)suspended;
  (void)frames_max;
#endif
  return addresses;
}

void set_own_exception(const std::type_info& type) noexcept { own_exception.store(&type, std::memory_order_relaxed); }

void set_record_throws(bool on) noexcept {
  ThrowRecords& records = records_of_thread();
  if (!on && records.on) records = ThrowRecords{};
  records.on = on;
}

std::vector<std::uintptr_t> trace_of_exception(const void* exception) {
  if (exception == nullptr) return {};
  for (const ThrowRecord& record : records_of_thread().records) {
    if (record.exception == exception) return {record.addresses, record.addresses + record.count};
  }
  return {};
}

std::vector<std::uintptr_t> trace_of_current_exception() {
  const std::exception_ptr current = std::current_exception();
  static_assert(sizeof current == sizeof(void*));  // libstdc++ and libc++: the address of the exception object
  return trace_of_exception(*reinterpret_cast<void* const*>(&current));
}

#if COPPICE_THROW_HOOK
namespace {

using ThrowFunction = void (*)(void*, std::type_info*, void (*)(void*));

// Found at the first throw and kept: relaxed, for every thread finds the same.
ThrowFunction runtime_throw() noexcept {
  static std::atomic<ThrowFunction> found{nullptr};
  ThrowFunction function = found.load(std::memory_order_relaxed);
  if (function == nullptr) {
    function = reinterpret_cast<ThrowFunction>(::dlsym(RTLD_NEXT, "__cxa_throw"));
    if (function == nullptr) die("the C++ runtime's __cxa_throw is not to be found");
    found.store(function, std::memory_order_relaxed);
  }
  return function;
}

// Frames of this function and of the hook, whose frame is given, are left out.
[[gnu::noinline]] void record_throw(const void* exception, const std::type_info* type, const void* frame) noexcept {
  ThrowRecords& records = records_of_thread();
  ThrowRecord* record = std::find_if(std::begin(records.records), std::end(records.records),
                                     [&](const ThrowRecord& old) { return old.exception == exception; });
  if (record == std::end(records.records)) {
    record = &records.records[records.next];
    records.next = (records.next + 1) % record_count;
  }
  record->exception = exception;
  record->count = type == own_exception.load(std::memory_order_relaxed) ? walk_own_frames(frame, record->addresses) : 0;
  if (record->count != 0) return;
  Walk walk{record->addresses, 2, 0};
  _Unwind_Backtrace(&take_frame, &walk);
  record->count = walk.count;
}

// The member of a static libstdc++ that defines __cxa_throw also defines this, so that its __cxa_throw is there and
// takes the place of the weak one.
[[gnu::used]] auto* const static_runtime_is_linked = &abi::__cxa_init_primary_exception;

}  // namespace
#endif

}  // namespace coppice::platform

#if COPPICE_THROW_HOOK
extern "C" __attribute__((weak, visibility("default"), noinline, noreturn)) void __cxa_throw(
    void* exception, std::type_info* type, void (*destructor)(void*)) {
  using namespace coppice::platform;
  if (records_of_thread().on) [[unlikely]]
    record_throw(exception, type, __builtin_frame_address(0));
  runtime_throw()(exception, type, destructor);
  __builtin_unreachable();
}
#endif
