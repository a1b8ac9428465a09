// SPDX-License-Identifier: Apache-2.0
//
// A call on another stack: what switch_here.hpp does halfway, for a function that as a rule returns.
//
// The function runs on the stack of a context that is suspended, above what stands there, and leaves that as it is. Before
// that the caller is saved as in a switch, so it is a suspended context meanwhile. Two things may happen then:
//   - The function returns: so does call_above, with null. Nothing was switched; the other context may be continued, as if
//     nothing had been.
//   - Somebody continues the caller by a switch, while the function still stands on its stack: then call_above returns what
//     was passed on, and the function must never return. What is suspended below the function is lost: its stack must be
//     made anew (make_context) before it is used for something else.
//
// The return address and the frame pointer that the function finds say that its stack ends there, as those of a context's
// entry do: so no unwinder walks on into the caller, which may be gone by then. The function is noexcept.
//
// Not with a sanitizer, and not on other machines: there `can_call_above` is false, and whoever wants it switches.
#pragma once

#include <cstdint>

#include "platform/context.hpp"
#include "platform/sanitizers.hpp"

namespace coppice::platform {

#if defined(__x86_64__) && !COPPICE_ASAN && !COPPICE_TSAN

inline constexpr bool can_call_above = true;

#if defined(__GCC_HAVE_DWARF2_CFI_ASM)
#define COPPICE_ENDS_HERE ".cfi_remember_state\n\t.cfi_undefined rip\n\t"
#define COPPICE_ENDED_HERE ".cfi_restore_state\n\t"
#else
#define COPPICE_ENDS_HERE
#define COPPICE_ENDED_HERE
#endif

[[gnu::always_inline]] inline void* call_above(Context& from, const Context& other, void (*function)(void*) noexcept,
                                               void* argument) {
  void* place = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(other.machine) & ~std::uintptr_t{15});
  void* data = argument;
  void* called = reinterpret_cast<void*>(function);  // and then the context that was left, wherever we come from
  void* saved = &from.machine;
  void* arrival = nullptr;  // its Transfer; null after a return
  // As in switch_here, and laid out the same. The return finds its way by %rbx, which the function leaves as it was.
  asm volatile(
      "leaq -200(%%rsp), %%rsp\n\t"
      "stmxcsr (%%rsp)\n\t"
      "fnstcw 4(%%rsp)\n\t"
      "leaq 1f(%%rip), %%r8\n\t"
      "movq %%r12, 16(%%rsp)\n\t"
      "movq %%r13, 24(%%rsp)\n\t"
      "movq %%r14, 32(%%rsp)\n\t"
      "movq %%r15, 40(%%rsp)\n\t"
      "movq %%rbx, 48(%%rsp)\n\t"
      "movq %%rbp, 56(%%rsp)\n\t"
      "movq %%r8, 64(%%rsp)\n\t"
      "movq %%rsp, (%%rcx)\n\t"
      "movq %%rsp, %%rbx\n\t"
      "movq %%rdi, %%rsp\n\t"
      "movq %%rsi, %%rdi\n\t"
      "xorl %%ebp, %%ebp\n\t" COPPICE_ENDS_HERE "call *%%rax\n\t" COPPICE_ENDED_HERE
      "movq %%rbx, %%rsp\n\t"
      "movq 48(%%rsp), %%rbx\n\t"
      "movq 56(%%rsp), %%rbp\n\t"
      "leaq 72(%%rsp), %%rsp\n\t"
      "xorl %%edx, %%edx\n"
      "1:\n\t"
      "leaq 128(%%rsp), %%rsp"
      : "+D"(place), "+S"(data), "+a"(called), "+c"(saved), "=&d"(arrival)
      :
      : "r8", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
        "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  if (arrival == nullptr) [[likely]]
    return nullptr;
  auto* from_there = static_cast<Transfer*>(arrival);
  from_there->from->machine = called;
  return from_there->argument;
}

#undef COPPICE_ENDS_HERE
#undef COPPICE_ENDED_HERE

#else

inline constexpr bool can_call_above = false;
// Not defined.
void* call_above(Context& from, const Context& other, void (*function)(void*) noexcept, void* argument);

#endif

}  // namespace coppice::platform
