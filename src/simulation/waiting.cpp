// SPDX-License-Identifier: Apache-2.0
#include "simulation/waiting.hpp"

#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/inspection.hpp"

namespace coppice::simulation {
namespace {

constexpr std::size_t frames_max = 8;      // of a process: the innermost say where it waits
constexpr std::size_t processes_max = 20;  // that are told of one by one

std::string in_the_mailbox(const runtime::Process& process) {
  const std::uint32_t length = process.queue_length.load(std::memory_order_relaxed);
  if (length == 0) return "";
  return ", " + std::to_string(length) + (length == 1 ? " message" : " messages") + " in its mailbox";
}

// What it waits for, and where.
std::string wait_of(runtime::Core& core, runtime::Process& process, const platform::Stack& stack) {
  std::string text = core.describe(process.body->pid);
  const std::uint64_t callee = core.table().sight(process).callee.load(std::memory_order_relaxed);
  text += callee == 0 ? " waits" : " waits for the answer of " + core.describe(core.pid_of(callee));
  text += in_the_mailbox(process) + ", in\n";
  std::size_t frames = 0;
  for (const std::string& frame : runtime::frames_of_program(platform::capture_trace_of(stack.context))) {
    text += "    " + frame + "\n";
    if (++frames == frames_max) break;
  }
  if (frames == 0) text += "    " + process.body->initial_call() + "\n";
  return text;
}

}  // namespace

std::string who_waits(runtime::Core& core) {
  std::string waiting;
  std::string idle;
  std::size_t told = 0;
  std::size_t untold = 0;
  for (const std::uint64_t number : core.table().numbers()) {
    const Pid pid = core.pid_of(number);
    runtime::Process& process = core.table().line(pid);
    if (++told > processes_max) {
      ++untold;
      continue;
    }
    if (const platform::Stack* stack = process.stack) {
      waiting += wait_of(core, process, *stack);
    } else {
      idle += core.describe(pid) + " is idle" + in_the_mailbox(process) + "\n";
    }
  }
  if (untold != 0) idle += "and " + std::to_string(untold) + " more\n";
  return waiting + idle;
}

}  // namespace coppice::simulation
