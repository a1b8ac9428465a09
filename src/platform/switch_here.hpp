// SPDX-License-Identifier: Apache-2.0
//
// switch_context, inlined where it is used. For code that switches a few million times a second.
//
// It does what jump_fcontext does, step by step and in the same place of memory: the registers of a suspended context lie
// where Boost's jump_fcontext puts them and the same registers carry what it passes on. So either may continue what the
// other has suspended, make_context serves both, and whoever reads a suspended stack (trace.cpp, tools/gdb) reads one layout.
// Two things are better here:
//   - The processor predicts the address of each return by the calls before it. jump_fcontext is called on one stack and
//     left on another, and so are the functions around it: every return afterwards is predicted wrongly, on both stacks.
//     Where the switch is inlined into the function that goes on at either side, calls and returns stay paired.
//   - The control words of the floating-point units are loaded only if they differ, which they hardly ever do.
//
// Used by a function that keeps a frame pointer (all of ours do), so that unwinders find their way at every instruction.
// With a sanitizer, and on other machines, it is switch_context.
#pragma once

#include "platform/context.hpp"
#include "platform/sanitizers.hpp"

namespace coppice::platform {

#if defined(__x86_64__) && !COPPICE_ASAN && !COPPICE_TSAN

[[gnu::always_inline]] inline void* switch_here(Context& from, Context& to, void* argument) {
  Transfer transfer{&from, &to, argument};
  void* machine = to.machine;
  void* data = &transfer;
  void* previous = nullptr;  // the context that was left, wherever we come from when we go on
  void* arrival = nullptr;   // and its Transfer
  asm volatile(
      "leaq -200(%%rsp), %%rsp\n\t"  // 128 bytes that a function may use below its stack pointer, and nine words
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
      "movq %%rsp, %%rax\n\t"
      "movq %%rdi, %%rsp\n\t"
      "movl (%%rsp), %%ecx\n\t"
      "cmpl (%%rax), %%ecx\n\t"
      "jne 2f\n\t"
      "movzwl 4(%%rsp), %%ecx\n\t"
      "cmpw 4(%%rax), %%cx\n\t"
      "je 3f\n"
      "2:\n\t"
      "ldmxcsr (%%rsp)\n\t"
      "fldcw 4(%%rsp)\n"
      "3:\n\t"
      "movq 64(%%rsp), %%r8\n\t"
      "movq 16(%%rsp), %%r12\n\t"
      "movq 24(%%rsp), %%r13\n\t"
      "movq 32(%%rsp), %%r14\n\t"
      "movq 40(%%rsp), %%r15\n\t"
      "movq 48(%%rsp), %%rbx\n\t"
      "movq 56(%%rsp), %%rbp\n\t"
      "leaq 72(%%rsp), %%rsp\n\t"
      "movq %%rsi, %%rdx\n\t"
      "movq %%rax, %%rdi\n\t"
      "jmp *%%r8\n"
      "1:\n\t"
      "leaq 128(%%rsp), %%rsp"
      : "+D"(machine), "+S"(data), "=&a"(previous), "=&d"(arrival)
      :
      : "rcx", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
        "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  auto* from_there = static_cast<Transfer*>(arrival);
  from_there->from->machine = previous;
  return from_there->argument;
}

#else

inline void* switch_here(Context& from, Context& to, void* argument) { return switch_context(from, to, argument); }

#endif

}  // namespace coppice::platform
