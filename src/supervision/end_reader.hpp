// SPDX-License-Identifier: Apache-2.0
//
// How a supervisor waits for the ends of its children without looking at anything else that is in its mailbox, however much
// that is: what stands there is put aside as a whole, and put back, in its place, when the reader goes.
//
// The wait goes by a monitor, set by watch(): a child that has unlinked itself, or whose exit message is lost in the crowd,
// is noticed all the same (SV-057). Of a child that was dead before, the monitor says only `noproc`: then the exit message
// that is waiting among what was put aside has the true reason. Exit messages that come while we wait for their process are
// taken; others stay, and whoever handles them later finds no such child.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <coppice/exit_reason.hpp>
#include <coppice/pid.hpp>

#include "platform/world.hpp"
#include "runtime/process.hpp"

namespace coppice::otp {

// Hides the messages that a process has, for as long as this lives. O(1).
class QuietMailbox {
 public:
  explicit QuietMailbox(runtime::Process& process) noexcept;
  ~QuietMailbox();
  QuietMailbox(const QuietMailbox&) = delete;
  QuietMailbox& operator=(const QuietMailbox&) = delete;

 protected:
  void put_aside(runtime::Signal* message) noexcept;
  runtime::Process& process_;
  runtime::Signal* aside_ = nullptr;  // circular, points to the newest, as Process::queue
  std::uint32_t count_ = 0;
};

class EndReader : private QuietMailbox {
 public:
  struct End {
    Pid pid;
    ExitReason reason;
  };

  explicit EndReader(runtime::Process& process) noexcept : QuietMailbox(process) {}

  // From now on next() tells of the end of this process.
  void watch(const Pid& pid);
  // The next end of a watched process; nothing if there is none until the deadline.
  [[nodiscard]] std::optional<End> next(platform::Nanoseconds deadline);

 private:
  void read_aside();
  [[nodiscard]] ExitReason true_reason(const Pid& pid, const ExitReason& reason);

  std::unordered_map<std::uint64_t, Pid> watched_;       // by the id of the monitor
  std::unordered_map<std::uint64_t, ExitReason> exits_;  // by the number of the pid
  std::unordered_set<std::uint64_t> awaited_;            // pids that are watched
  bool aside_was_read_ = false;
};

}  // namespace coppice::otp
