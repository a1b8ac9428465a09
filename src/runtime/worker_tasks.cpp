// SPDX-License-Identifier: Apache-2.0
//
// Tasks that have not begun: how a worker queues them, picks them, and runs one that is awaited. See task_deque.hpp.
#include <array>

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/worker.hpp"

namespace coppice::runtime {
namespace {

// How long the oldest task waits for its turn, from when the oldest was last picked. In a tree the oldest is the root of the
// largest piece that has not begun, and each piece that is begun early keeps a stack for each level until the end.
platform::Nanoseconds patience_of_the_oldest(const TaskDeque& tasks) {
  return tasks.size() <= TaskDeque::few ? 50 * Worker::oldest_task_after : Worker::oldest_task_after;
}

// Takes all numbers out and adds those again whose tasks still wait. Stale ones collect in the midst when a worker walks through
// several pieces at the same time: of a thousand entries ten were live. By the owner; thieves miss the numbers meanwhile.
void drop_all_stale(Core& core, TaskDeque& tasks) noexcept {
  std::array<std::uint64_t, TaskDeque::capacity> numbers;
  std::size_t count = 0;
  while (count < numbers.size()) {
    const std::uint64_t number = tasks.take_newest();
    if (number == 0) break;
    if (is_new_task(core, core.pid_of(number))) numbers[count++] = number;
  }
  while (count > 0 && !tasks.full()) tasks.add(numbers[--count]);
}

}  // namespace

bool is_new_task(Core& core, const Pid& pid) noexcept {
  const Process& process = core.table().line(pid);
  std::uint64_t word;
  return head::look(process, pid.number, word) && word == (head::tag_of(pid.number) | head::waiting);
}

// A stale number may be that of a task which began long ago and waits, with a stack now: its wait is committed again, and if
// something has come meanwhile, it is scheduled. To it that is a wake-up for nothing at most.
Process* claim_new_task(Core& core, const Pid& pid) {
  Process* process = claim_waiting(core, pid);
  if (process == nullptr || process->stack == nullptr) return process;
  if (!head::wait(*process, head::tag_of(pid.number))) core.schedule(*process);
  return nullptr;
}

// Nobody knew of it: so it waits without a commit, from when its line is open. From then on it is not ours any more; its
// number may be added all the same.
void Worker::schedule_task(Process& task) {
  const Pid pid = task.body->pid;
  if (tasks_.full()) drop_all_stale(core_, tasks_);
  if (tasks_.full()) {
    head::open(task, pid.number);
    core_.process_started(pid);
    schedule_last(task);
    return;
  }
  head::open(task, pid.number, head::waiting);
  tasks_.add(pid.number);
  core_.watch().call();
  core_.process_started(pid);
}

// The number of the task that was claimed goes if it is the newest, and what is stale below it. Now and then all that is
// stale at either end: at the old one a swap is needed because of thieves. In between there may be others: they go when they
// come to an end of it.
void Worker::drop_stale_tasks(std::uint64_t claimed) noexcept {
  const auto is_stale = [&](std::uint64_t number) {
    return number == claimed || !is_new_task(core_, core_.pid_of(number));
  };
  const bool all = ++tasks_claimed_ % all_stale_every == 0;
  std::uint64_t number = tasks_.newest();
  if (number != claimed && !all) return;
  for (; number != 0 && is_stale(number); number = tasks_.newest()) (void)tasks_.take_newest();
  if (all) tasks_.drop_oldest_while(is_stale);
}

// The newest, but now and then the oldest: else it would never run while new ones come without end.
Process* Worker::pick_task() {
  platform::World& world = core_.world();
  while (!tasks_.empty()) {
    const platform::Nanoseconds now = world.last_tick();
    const std::uint32_t policy = now - oldest_task_at_ >= patience_of_the_oldest(tasks_) ? 1 : 0;
    const bool from_old_end = world.choose(platform::Choice::which_queue, 2, policy) != 0;
    if (from_old_end) oldest_task_at_ = now;
    const std::uint64_t number = from_old_end ? tasks_.take_oldest() : tasks_.take_newest();
    if (number == 0) continue;
    if (Process* task = claim_new_task(core_, core_.pid_of(number))) return task;
  }
  return nullptr;
}

// As a call hands off to an idle server: the caller will wait, and the task runs next, wherever its number stands. What is
// left of that is dropped here if it has come to an end of the deque: so the deque of a tree that is awaited depth first
// stays as deep as the tree.
bool Worker::run_task_next(const Pid& pid) {
  if (!core_.is_local(pid)) return false;
  Process* task = claim_new_task(core_, pid);
  if (task == nullptr) return false;
  drop_stale_tasks(pid.number);
  schedule_here(*task);
  return true;
}

}  // namespace coppice::runtime
