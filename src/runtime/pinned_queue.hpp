// SPDX-License-Identifier: Apache-2.0
//
// The processes that hold a stack and are runnable, of one worker. The worker's alone.
//
// If there are many, each has been out of the caches for long, and so have the entries of the page tables for its stack,
// since stacks lie far apart. So whoever takes one asks for what the next ones will need: the header of the stack when it
// is `header_ahead` turns away; and when it is `frames_ahead` turns away, its header having come, the frames it will go on
// in, and its body. docs/internals/scheduler.md has the figures.
#pragma once

#include <cstddef>

#include "base/look_ahead.hpp"
#include "platform/stack_pool.hpp"
#include "runtime/run_queue.hpp"

namespace coppice::runtime {

class PinnedQueue {
 public:
  void push(Process* process) noexcept {
    list_.push(process);
    ++size_;
    headers_.pushed(process);
    frames_.pushed(process);
  }
  Process* pop() noexcept {
    Process* process = list_.first();
    if (process == nullptr) return nullptr;
    headers_.taken(process);
    frames_.taken(process);
    (void)list_.pop();
    if (--size_ >= few) {
      headers_.advance([](const Process& next) { __builtin_prefetch(next.stack); });
      frames_.advance(fetch_frames);
    }
    return process;
  }
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }

 private:
  static constexpr std::uint32_t frames_ahead = 4;
  static constexpr std::uint32_t header_ahead = 8;
  static constexpr std::size_t few = 32;  // may all be in the nearest cache
  static constexpr std::size_t line = 64;
  static constexpr std::size_t frame_lines = 8;  // from a wait in receive to the user's function
  static constexpr std::size_t body_lines = 2;

  static void fetch_frames(const Process& next) noexcept {
    const platform::Stack* stack = next.stack;
    if (stack == nullptr) return;
    const auto* frames = static_cast<const std::byte*>(stack->context.machine);
    for (std::size_t i = 0; i < frame_lines; ++i) __builtin_prefetch(frames + i * line);
    const auto* body = reinterpret_cast<const std::byte*>(next.body);
    for (std::size_t i = 0; i < body_lines; ++i) __builtin_prefetch(body + i * line);
  }

  ProcessList list_;
  std::size_t size_ = 0;
  base::LookAhead<Process, &Process::run_link, header_ahead> headers_;
  base::LookAhead<Process, &Process::run_link, frames_ahead> frames_;
};

}  // namespace coppice::runtime
