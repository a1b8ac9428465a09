// SPDX-License-Identifier: Apache-2.0
//
// Whether a process that is idle may go to rest: only with nothing at hand that a Rest has no place for.
#include "runtime/rest.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <coppice/runtime.hpp>

#include "runtime/core.hpp"

namespace {

using namespace coppice;
using namespace coppice::runtime;

struct Idle final : Body {
  void run(Process&) override {}
  void destroy_state() noexcept override {}
  [[nodiscard]] std::string initial_call() const override { return "Idle"; }
};

// Each is something that would be lost.
const std::vector<std::pair<const char*, std::function<void(Process&, Idle&)>>>& reasons_to_stay_awake() {
  static detail::CallNode node;
  static const std::vector<std::pair<const char*, std::function<void(Process&, Idle&)>>> reasons = {
      {"a message", [](Process& process, Idle&) { process.queue = &node; }},
      {"a capacity", [](Process& process, Idle&) { process.flags = flag::bounded; }},
      {"suspended", [](Process& process, Idle&) { process.flags = flag::suspended; }},
      {"closed", [](Process& process, Idle&) { process.flags = flag::closed; }},
      {"leaving", [](Process&, Idle& body) { body.leaving = Leave::by_signal; }},
      {"a mark to report", [](Process&, Idle& body) { body.mark_due = true; }},
      {"dying", [](Process&, Idle& body) { body.dying = true; }},
      {"ending", [](Process&, Idle& body) { body.ending = true; }},
      {"in a wait", [](Process&, Idle& body) { body.in_wait = true; }},
      {"in a turn", [](Process&, Idle& body) { body.in_turn = true; }},
      {"awaits a reply", [](Process&, Idle& body) { body.awaited_call = 1; }},
      {"has a reply", [](Process&, Idle& body) { body.reply = &node; }},
      {"a dropped From", [](Process&, Idle& body) { body.orphans = &node; }},
      {"a call is handled", [](Process&, Idle& body) { body.handled_call = &node; }},
      {"signals behind a fatal one", [](Process&, Idle& body) { body.unhandled = &node; }},
      {"a swallowed exit", [](Process&, Idle& body) { body.swallows = 1; }},
      {"a group leader elsewhere", [](Process&, Idle& body) { ++body.group_leader.creation; }},
  };
  return reasons;
}

TEST(ProcessRest, only_a_process_with_nothing_at_hand_may_go_to_rest) {
  Runtime runtime({.schedulers = 1});
  const ExitReason reason = runtime.run([] {
    const auto may_rest_with = [](const std::function<void(Process&, Idle&)>& change) {
      Process process;
      Idle body;
      body.core = &this_worker()->core();
      body.group_leader = self();
      process.body = &body;
      change(process, body);
      return can_rest(process);
    };
    EXPECT_TRUE(may_rest_with([](Process&, Idle&) {}));
    for (const auto& [what, change] : reasons_to_stay_awake()) EXPECT_FALSE(may_rest_with(change)) << what;
  });
  EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
}

}  // namespace
