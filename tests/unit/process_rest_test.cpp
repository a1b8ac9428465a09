// SPDX-License-Identifier: Apache-2.0
//
// Whether a process that is idle may go to rest: only with nothing at hand that a Rest has no place for.
#include "runtime/rest.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
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

// An idle process that counts how often it was asked to rest.
struct Napper : Process {
  struct Asked final : Body {
    void run(Process&) override {}
    void destroy_state() noexcept override {}
    [[nodiscard]] std::string initial_call() const override { return "Napper"; }
    [[nodiscard]] Rest* go_to_rest(Process&) noexcept override {
      ++asked;
      return nullptr;
    }
    int asked = 0;
  };
  explicit Napper(std::uint64_t use) {
    const std::uint64_t number = use << Pid::slot_bits | 1;
    serial = number;
    head = head::tag_of(number) | head::waiting;
    body = &asked_body;
    asked_body.rest_place = 0;  // it has been idle before
  }
  [[nodiscard]] int asked() const { return asked_body.asked; }
  Asked asked_body;
};

template <class F>
void with_core(F test) {
  Runtime runtime({.schedulers = 1});
  const ExitReason reason = runtime.run([&] { test(this_worker()->core()); });
  EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
}

TEST(RestList, who_became_idle_first_goes_to_rest_when_it_is_full) {
  with_core([](Core& core) {
    RestList list(4, 2);
    std::vector<std::unique_ptr<Napper>> all;
    for (std::uint64_t use = 1; use <= 6; ++use) {
      all.push_back(std::make_unique<Napper>(use));
      list.note(core, *all.back());
      list.note(core, *all.front());  // stands there, or is noted anew
    }
    // The first was asked when the fifth came, noted again in place of the second, and so on.
    EXPECT_EQ(all[0]->asked(), 1);
    EXPECT_EQ(all[1]->asked(), 1);
    EXPECT_EQ(all[2]->asked(), 1);
    EXPECT_EQ(all[3]->asked(), 0);
  });
}

TEST(RestList, who_was_noted_elsewhere_since_is_met_there) {
  with_core([](Core& core) {
    RestList one(2, 1);
    RestList other(2, 1);
    Napper first(1);
    Napper server(2);
    Napper third(3);
    Napper fourth(4);
    Napper fifth(5);
    one.note(core, server);
    other.note(core, first);
    other.note(core, server);  // at another place than in the first list
    one.note(core, third);
    one.note(core, fourth);
    EXPECT_EQ(server.asked(), 0);
    other.note(core, fifth);
    EXPECT_EQ(first.asked(), 1);
    other.note(core, third);
    EXPECT_EQ(server.asked(), 1);
  });
}

TEST(RestList, a_worker_without_work_puts_all_but_a_few_to_rest) {
  with_core([](Core& core) {
    RestList list(4, 1);
    std::vector<std::unique_ptr<Napper>> all;
    for (std::uint64_t use = 1; use <= 4; ++use) {
      all.push_back(std::make_unique<Napper>(use));
      list.note(core, *all.back());
    }
    EXPECT_TRUE(list.holds_more_than_at_leisure());
    EXPECT_TRUE(list.relieve(core, 2));
    EXPECT_EQ(all[0]->asked() + all[1]->asked(), 2);
    EXPECT_EQ(all[2]->asked(), 0);
    EXPECT_FALSE(list.relieve(core, 2));
    EXPECT_EQ(all[2]->asked(), 1);
    EXPECT_EQ(all[3]->asked(), 0);
    EXPECT_FALSE(list.holds_more_than_at_leisure());
    list.note(core, *all[0]);
    EXPECT_TRUE(list.holds_more_than_at_leisure());
  });
}

// The place of a new one is taken by the new ones after it, and by nobody else.
TEST(RestList, who_was_idle_only_once_goes_to_rest_when_some_more_were_started) {
  with_core([](Core& core) {
    RestList list(2, 1);
    std::vector<std::unique_ptr<Napper>> all;
    for (std::uint64_t use = 1; use <= RestList::new_places + 2; ++use) {
      all.push_back(std::make_unique<Napper>(use));
      all.back()->asked_body.rest_place = Body::not_idle_yet;
      list.note(core, *all.back());
      if (use == 2) list.note(core, *all.back());  // used: stands among the others now
    }
    EXPECT_EQ(all[0]->asked(), 1);
    EXPECT_EQ(all[1]->asked(), 0);
    EXPECT_EQ(all[2]->asked(), 0);
    Napper third(100);
    Napper fourth(101);
    list.note(core, third);
    list.note(core, fourth);
    EXPECT_EQ(all[1]->asked(), 1);
  });
}

TEST(RestList, a_process_that_runs_is_let_be) {
  with_core([](Core& core) {
    RestList list(2, 1);
    Napper runs(1);
    Napper ended(2);
    Napper third(3);
    Napper fourth(4);
    list.note(core, runs);
    list.note(core, ended);
    runs.head = head::tag_of(runs.serial);
    ended.serial = 0;
    list.note(core, third);
    list.note(core, fourth);
    EXPECT_EQ(runs.asked() + ended.asked(), 0);
  });
}

}  // namespace
