// SPDX-License-Identifier: Apache-2.0
//
// Context: one suspended flow of control, and the switch from one to another.
//
// The switch is Boost.Context's fcontext, told to AddressSanitizer and ThreadSanitizer. A context does not own memory:
// the stack it stands on belongs to a StackPool, a thread or the simulation. Only the thread that runs a context may
// switch away from it, and a suspended context may be resumed by one thread at a time; whoever hands it from one thread
// to another provides the release/acquire pair.
#pragma once

#include <cstddef>

namespace coppice::platform {

// What a new context runs first. `argument` is what the first switch to it passed. Must never return (the program ends
// if it does), and no exception may leave it (std::terminate, with the whole stack still there to be looked at).
using ContextEntry = void (*)(void* argument);

struct Context {
  void* machine = nullptr;       // the saved machine context; meaningful only while suspended
  const void* low = nullptr;     // lowest address of the stack and its size: what AddressSanitizer wants to know
  std::size_t size = 0;          // and what bounds a walk over the frames
  void* fake_stack = nullptr;    // AddressSanitizer's fake stack while suspended
  void* fiber = nullptr;         // ThreadSanitizer's fiber; made by make_context, or that of the thread
  ContextEntry entry = nullptr;  // what make_context was told; null for an adopted thread
};

// What a switch puts on the stack that it leaves. For context.cpp and switch_here.hpp.
struct Transfer {
  Context* from;
  Context* to;
  void* argument;
};

// Makes `context` ready to enter `entry` at the next switch to it, on the stack [low, low + size). A context that was
// made before, on the same stack, may be made anew at any time while suspended: what stood on the stack is forgotten
// without unwinding (and unpoisoned for AddressSanitizer). Any thread; the caller stands on another stack.
void make_context(Context& context, void* low, std::size_t size, ContextEntry entry);

// Gives back what make_context took from the sanitizers. The context must be suspended and is not usable afterwards.
// Nothing needs to be given back without a sanitizer, and a context that was never made is left alone.
void destroy_context(Context& context) noexcept;

// Suspends the running context in `from` and continues `to` with `argument`. Returns, when somebody switches back to
// `from`, the argument that was passed then. By the time `to` runs, `from.machine` is set: `to` may publish `from` to
// other threads at once. The result must be used in place of anything that was cached before the call: the code may
// continue on another thread. Does not touch the exception state (see exception_state.hpp).
void* switch_context(Context& from, Context& to, void* argument);

// Describes the running thread's own stack in `context`, so that it can be switched away from (and back to). Called on
// that stack, not on a borrowed one. A thread ends on its own stack. A thread of the simulation has a stack of a pool
// for its own; that is recognised.
void adopt_thread(Context& context);

}  // namespace coppice::platform
