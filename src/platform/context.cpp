// SPDX-License-Identifier: Apache-2.0
//
// One switch, step by step:
//  1. `from`'s side puts a Transfer on its own stack: who it is, and the argument. It tells the sanitizers where it
//     goes.
//  2. jump_fcontext pushes the callee-saved registers on `from`'s stack and continues `to`, with the address of what
//     was pushed and of the Transfer.
//  3. `to`'s side, in switch_context or in start_context, first tells AddressSanitizer that it has arrived, then writes
//     from.machine. Only then does code of the layers above run, so `from` may be published at once: nobody reads the
//     Transfer any more, and whoever resumes `from` finds its machine context.
// No atomics are needed: all of this is one thread. A hand-over to another thread is the business of the layer above.
//
// Abandoned stacks. A context that is suspended may be made anew. What AddressSanitizer has poisoned in its dead frames
// is unpoisoned, and its fake stack (where instrumented code keeps its locals to detect use after return) is destroyed:
// the only way to do so is to pretend to switch to that context and to leave it for good. ThreadSanitizer's fiber holds
// a shadow call stack that would never shrink; it is destroyed and made anew.
#include "platform/context.hpp"

#include <pthread.h>

#include <boost/context/detail/fcontext.hpp>

#include "platform/fault.hpp"
#include "platform/sanitizers.hpp"
#include "platform/stack_pool.hpp"

#if defined(__clang__)
#define COPPICE_UNINSTRUMENTED __attribute__((noinline, no_sanitize("address", "undefined")))
#else
#define COPPICE_UNINSTRUMENTED __attribute__((noinline, no_sanitize("address"), no_sanitize("undefined")))
#endif

namespace coppice::platform {
namespace {

#if COPPICE_ASAN
// Destroys the fake stack of a context that will never run again. Not instrumented, because in the middle of it this
// thread has no fake stack of its own and wrong bounds.
COPPICE_UNINSTRUMENTED void destroy_fake_stack(Context& context) noexcept {
  if (context.fake_stack == nullptr) return;
  void* own_fake_stack = nullptr;
  const void* own_low = nullptr;
  std::size_t own_size = 0;
  __sanitizer_start_switch_fiber(&own_fake_stack, context.low, context.size);
  __sanitizer_finish_switch_fiber(context.fake_stack, &own_low, &own_size);
  __sanitizer_start_switch_fiber(nullptr, own_low, own_size);
  __sanitizer_finish_switch_fiber(own_fake_stack, nullptr, nullptr);
  context.fake_stack = nullptr;
}
#endif

inline void leave([[maybe_unused]] Context& from, [[maybe_unused]] Context& to) {
#if COPPICE_ASAN
  __sanitizer_start_switch_fiber(&from.fake_stack, to.low, to.size);
#endif
#if COPPICE_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);  // 0: what `from` did happens before what `to` does next
#endif
}

inline void* arrive(const boost::context::detail::transfer_t& arrival) {
  auto* transfer = static_cast<Transfer*>(arrival.data);
#if COPPICE_ASAN
  Context& here = *transfer->to;
  Context& previous = *transfer->from;
  const void* low = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(here.fake_stack, &low, &size);
  here.fake_stack = nullptr;  // it is this thread's again; nobody may destroy it as an abandoned one
  if (previous.low == nullptr) {
    previous.low = low;
    previous.size = size;
  }
#endif
  transfer->from->machine = arrival.fctx;
  return transfer->argument;
}

// The outermost frame of a borrowed stack. Unwinders must find the end of the stack here: they are told that there is
// no return address, and the frame record that walkers along the frame pointers read is cleared (fcontext leaves code
// addresses there). Not noexcept, so that an exception which nobody catches ends the search before anything is unwound.
COPPICE_UNINSTRUMENTED void start_context(boost::context::detail::transfer_t arrival) {
#if defined(__x86_64__)
  asm volatile(".cfi_undefined rip");
#elif defined(__aarch64__)
  asm volatile(".cfi_undefined x30");
#endif
#if defined(__x86_64__) || defined(__aarch64__)
  auto** frame_record = static_cast<void**>(__builtin_frame_address(0));
  *const_cast<void* volatile*>(&frame_record[0]) = nullptr;
  *const_cast<void* volatile*>(&frame_record[1]) = nullptr;
#endif
  ContextEntry entry = static_cast<Transfer*>(arrival.data)->to->entry;
  entry(arrive(arrival));
  die("the entry function of a context returned; it must switch away for good instead");
}

}  // namespace

void make_context(Context& context, void* low, std::size_t size, ContextEntry entry) {
  destroy_context(context);
  context.low = low;
  context.size = size;
  context.entry = entry;
#if COPPICE_ASAN
  __asan_unpoison_memory_region(low, size);
#endif
#if COPPICE_TSAN
  context.fiber = __tsan_create_fiber(0);
#endif
  context.machine = boost::context::detail::make_fcontext(static_cast<std::byte*>(low) + size, size, &start_context);
}

void destroy_context(Context& context) noexcept {
#if COPPICE_ASAN
  destroy_fake_stack(context);
#endif
#if COPPICE_TSAN
  if (context.entry != nullptr && context.fiber != nullptr) __tsan_destroy_fiber(context.fiber);
  context.fiber = nullptr;
#endif
  context.machine = nullptr;
  context.entry = nullptr;
}

void* switch_context(Context& from, Context& to, void* argument) {
  Transfer transfer{&from, &to, argument};
  void* machine = to.machine;
  leave(from, to);
  return arrive(boost::context::detail::jump_fcontext(machine, &transfer));
}

void adopt_thread(Context& context) {
  context = Context{};
  // A thread of the simulation has a pool's stack for its own, and asking the system would describe the OS thread's.
  bool in_guard = false;
  pthread_attr_t attributes;
  if (const Stack* stack = stack_of_address(__builtin_frame_address(0), in_guard); stack != nullptr) {
    context.low = stack->low;
    context.size = stack->size;
  } else if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    void* low = nullptr;
    std::size_t size = 0;
    if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
      context.low = low;
      context.size = size;
    }
    pthread_attr_destroy(&attributes);
  }
#if COPPICE_TSAN
  context.fiber = __tsan_get_current_fiber();
#endif
}

}  // namespace coppice::platform
