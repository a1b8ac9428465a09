// SPDX-License-Identifier: Apache-2.0
//
// The queues of runnable processes.
//
//   RunRing        one for each worker, for processes without a stack. The owner pushes at the tail; the owner and
//                  thieves take from the head, a thief half of what is there.
//                  (Tasks that have not begun have a deque of their own: task_deque.hpp.)
//   ProcessList    first in, first out; of it are made the queue of the processes that hold a stack and must resume here
//                  (pinned_queue.hpp), and the overflow.
//   Inbox          one for each worker: where other threads put processes that must resume here.
//   OverflowQueue  one for all: what a full ring spills, and what foreign threads make runnable.
//
// Pushes to inbox and overflow are sequentially consistent with the look at the idle mask that follows. That to the ring
// needs not be: somebody looks at it again (watch.hpp).
//
// Memory order of the ring: a slot is written (relaxed) before the tail is published (release); a taker reads the tail
// (acquire), then the slots, and owns them only if its compare-and-swap of the head succeeds (acquire-release). The head
// only grows, so a failed swap means that somebody else took them; what was read is thrown away. The owner may overwrite
// a slot only when the head has passed it, which its own load of the head (acquire) shows.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "runtime/process.hpp"

namespace coppice::runtime {

// The atomics and the mutex are parameters for the model checker's sake (tests/model).
template <class Process, template <class> class Atomic, std::uint32_t places>
class BasicRunRing {
 public:
  static constexpr std::uint32_t capacity = places;

  // Owner only. False if the ring is full.
  bool push(Process* process) noexcept {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) >= capacity) return false;
    slots_[tail % capacity].store(process, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Owner only: the oldest; null if empty.
  Process* pop() noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      if (head == tail_.load(std::memory_order_relaxed)) return nullptr;
      Process* process = slots_[head % capacity].load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        return process;
      }
    }
  }

  // Any other worker: takes half of what is there, at most `most`, into `taken`; returns how many.
  std::uint32_t steal(std::array<Process*, capacity / 2>& taken) noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    if (head >= tail) return 0;
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>((tail - head + 1) / 2, capacity / 2));
    for (std::uint32_t i = 0; i < count; ++i) taken[i] = slots_[(head + i) % capacity].load(std::memory_order_relaxed);
    if (!head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel, std::memory_order_relaxed))
      return 0;
    return count;
  }

  [[nodiscard]] bool empty() const noexcept {
    return head_.load(std::memory_order_acquire) >= tail_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t size() const noexcept {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    return tail > head ? tail - head : 0;
  }

 private:
  alignas(64) Atomic<std::uint64_t> head_{0};
  alignas(64) Atomic<std::uint64_t> tail_{0};
  std::array<Atomic<Process*>, capacity> slots_{};
};

// First in, first out, linked by run_link. One thread.
template <class Process>
class BasicProcessList {
 public:
  void push(Process* process) noexcept {
    process->run_link = nullptr;
    if (last_ != nullptr) {
      last_->run_link = process;
    } else {
      first_ = process;
    }
    last_ = process;
  }
  Process* pop() noexcept {
    Process* process = first_;
    if (process != nullptr) {
      first_ = process->run_link;
      if (first_ == nullptr) last_ = nullptr;
      process->run_link = nullptr;
    }
    return process;
  }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] Process* first() const noexcept { return first_; }

 private:
  Process* first_ = nullptr;
  Process* last_ = nullptr;
};

template <class Process, template <class> class Atomic>
class BasicInbox {
 public:
  // Any thread. Sequentially consistent with the look at the idle mask that follows it: see Worker::idle.
  void push(Process* process) noexcept {
    Process* newest = newest_.load(std::memory_order_relaxed);
    do {
      process->run_link = newest;
    } while (!newest_.compare_exchange_weak(newest, process, std::memory_order_seq_cst, std::memory_order_relaxed));
  }
  // Owner only: everything, oldest first.
  template <class Queue>
  void take_all(Queue& into) noexcept {
    Process* newest = newest_.exchange(nullptr, std::memory_order_acquire);
    Process* oldest = nullptr;
    while (newest != nullptr) {
      Process* next = newest->run_link;
      newest->run_link = oldest;
      oldest = newest;
      newest = next;
    }
    while (oldest != nullptr) {
      Process* next = oldest->run_link;
      into.push(oldest);
      oldest = next;
    }
  }
  [[nodiscard]] bool empty() const noexcept { return newest_.load(std::memory_order_seq_cst) == nullptr; }

 private:
  Atomic<Process*> newest_{nullptr};
};

template <class Process, template <class> class Atomic, class Mutex>
class BasicOverflowQueue {
 public:
  void push(Process* process) {
    const std::lock_guard lock(mutex_);
    list_.push(process);
    size_.fetch_add(1, std::memory_order_seq_cst);
  }
  Process* pop() {
    if (empty()) return nullptr;
    const std::lock_guard lock(mutex_);
    Process* process = list_.pop();
    if (process != nullptr) size_.fetch_sub(1, std::memory_order_relaxed);
    return process;
  }
  [[nodiscard]] bool empty() const noexcept { return size_.load(std::memory_order_seq_cst) == 0; }

 private:
  Mutex mutex_;
  BasicProcessList<Process> list_;
  Atomic<std::size_t> size_{0};
};

using RunRing = BasicRunRing<Process, std::atomic, 1024>;
using ProcessList = BasicProcessList<Process>;
using Inbox = BasicInbox<Process, std::atomic>;
using OverflowQueue = BasicOverflowQueue<Process, std::atomic, std::mutex>;

}  // namespace coppice::runtime
