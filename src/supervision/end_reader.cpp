// SPDX-License-Identifier: Apache-2.0
#include "supervision/end_reader.hpp"

#include <coppice/message.hpp>
#include <coppice/process.hpp>

#include "runtime/mailbox.hpp"
#include "runtime/wait.hpp"

namespace coppice::otp {
namespace {

using runtime::Signal;

template <class M>
M* payload_as(Signal* message) {
  if (message->table->type == nullptr || !detail::same_type(message->table->type, &detail::type_identity<M>))
    return nullptr;
  return static_cast<M*>(detail::payload_of(message));
}

}  // namespace

QuietMailbox::QuietMailbox(runtime::Process& process) noexcept : process_(process) {
  aside_ = std::exchange(process.queue, nullptr);
  count_ = process.queue_length.exchange(0, std::memory_order_relaxed);
}

// What was put aside is older than what has come since.
QuietMailbox::~QuietMailbox() {
  if (aside_ == nullptr) return;
  if (process_.queue == nullptr) {
    process_.queue = aside_;
  } else {
    std::swap(aside_->next, process_.queue->next);
  }
  process_.queue_length.fetch_add(count_, std::memory_order_relaxed);
}

void QuietMailbox::put_aside(Signal* message) noexcept {
  if (aside_ == nullptr) {
    message->next = message;
  } else {
    message->next = aside_->next;
    aside_->next = message;
  }
  aside_ = message;
  ++count_;
}

void EndReader::watch(const Pid& pid) {
  watched_.emplace(monitor(pid).id(), pid);
  awaited_.insert(pid.number);
}

// Notes the exit messages among what was put aside; once, and only if somebody needs them.
void EndReader::read_aside() {
  aside_was_read_ = true;
  if (aside_ == nullptr) return;
  Signal* message = aside_;
  do {
    message = message->next;
    if (const auto* exit = payload_as<ExitMessage>(message)) exits_.emplace(exit->pid.number, exit->reason);
  } while (message != aside_);
}

ExitReason EndReader::true_reason(const Pid& pid, const ExitReason& reason) {
  if (!(reason == ExitReason::noproc())) return reason;
  if (!aside_was_read_) read_aside();
  const auto found = exits_.find(pid.number);
  return found == exits_.end() ? reason : found->second;
}

std::optional<EndReader::End> EndReader::next(platform::Nanoseconds deadline) {
  runtime::take_in(process_);
  for (;;) {
    while (Signal* message = runtime::take_first(process_)) {
      if (const auto* down = payload_as<Down>(message)) {
        const auto found = watched_.find(down->reference.id());
        if (found != watched_.end()) {
          End end{found->second, true_reason(found->second, down->reason)};
          awaited_.erase(end.pid.number);
          watched_.erase(found);
          message->table->destroy(message);
          return end;
        }
      } else if (const auto* exit = payload_as<ExitMessage>(message)) {
        exits_.emplace(exit->pid.number, exit->reason);
        if (awaited_.contains(exit->pid.number)) {
          message->table->destroy(message);
          continue;
        }
      }
      put_aside(message);
    }
    if (!runtime::wait_once(process_, runtime::WaitFor::messages, deadline)) {
      if (runtime::must_not_wait(process_)) return std::nullopt;
      runtime::take_in(process_);
      if (process_.queue == nullptr) return std::nullopt;
    }
  }
}

}  // namespace coppice::otp
