// SPDX-License-Identifier: Apache-2.0
//
// The stage of one scenario: its blocks, who plays which of them, and what they have told.
//
// All of one scenario's processes use it, on whatever worker they run. Its lock is held while nothing waits.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <coppice/gen_server.hpp>

#include "against_otp/scenario.hpp"

namespace against_otp {

class Stage {
 public:
  explicit Stage(const Line& scenario);

  [[nodiscard]] const Line& block(const std::string& name) const;
  // The block whose process this is; null if it is none.
  [[nodiscard]] const Line* block_of(const coppice::Pid& pid) const;

  // Begins to watch `pid`, which plays the block `name`: its end is told behind all that it tells itself. Waits until it
  // is watched, so that it is also when it ends at once. Once more does no harm.
  void watch(const std::string& name, const coppice::Pid& pid);
  // The calling process tells something.
  void tell(const Term& term);
  // The same for another process.
  void tell(const coppice::Pid& pid, Term term) { note(pid, std::move(term)); }
  // From now on each report of a process of the scenario is told where the process tells, until the scenario has ended.
  void tell_reports();
  [[nodiscard]] Processes processes() const;

  // Plays the scenario in the calling process, and returns what was told, as text: for each process, in the order of
  // their names, what it told.
  [[nodiscard]] std::string play();

 private:
  class Watcher;
  struct Player {
    std::string name;
    int number = 1;  // of those that have played this block
    [[nodiscard]] std::string shown() const { return number == 1 ? name : name + "#" + std::to_string(number); }
  };
  void note(const coppice::Pid& pid, Term term);
  void end_of_reports();
  [[nodiscard]] Term clean(const Term& term) const;
  [[nodiscard]] std::string show(const Term& term) const;
  [[nodiscard]] std::string result() const;

  const Line& scenario_;
  coppice::Pid watcher_;
  mutable std::mutex mutex_;
  Processes processes_;
  std::map<coppice::Pid, Player> players_;
  std::vector<std::pair<coppice::Pid, Term>> told_;
  bool tells_reports_ = false;
};

}  // namespace against_otp
