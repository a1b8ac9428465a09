// SPDX-License-Identifier: Apache-2.0
//
// Pool: who is served, who is rejected, and what becomes of a resource when things go wrong.
#include <coppice/pool.hpp>

#include <atomic>
#include <set>
#include <stdexcept>
#include <string>

#include <coppice/supervisor.hpp>

#include "behaviour/behaviour.hpp"

using namespace coppice;

namespace {
inline namespace pool_probe {

// Counts itself and notices two users at once.
struct Tool {
  struct Count {
    std::atomic<int> made{0};
    std::atomic<int> alive{0};
    std::atomic<int> used_by_two{0};
  };
  std::shared_ptr<Count> count;
  int number = 0;
  std::unique_ptr<std::atomic<int>> users = std::make_unique<std::atomic<int>>(0);

  explicit Tool(std::shared_ptr<Count> c) : count(std::move(c)), number(++count->made) { ++count->alive; }
  Tool(Tool&& other) noexcept : count(other.count), number(other.number), users(std::move(other.users)) {
    ++count->alive;
  }
  Tool& operator=(Tool&&) = delete;
  ~Tool() { --count->alive; }

  template <class F>
  void use(F&& during) {
    if (users->fetch_add(1) != 0) ++count->used_by_two;
    struct Done {
      std::atomic<int>& users;
      ~Done() { --users; }
    } done{*users};
    during();
  }
};

constexpr Pool<Tool>::Name tools{"Tools"};

using Count = std::shared_ptr<Tool::Count>;
Count new_count() { return std::make_shared<Tool::Count>(); }

Pid start(const Count& count, PoolOptions<Tool> options = {}) {
  options.name = tools;
  return Pool<Tool>::start_link(std::move(options), [count] { return Tool(count); }).value();
}
int number_of(Tool& tool) { return tool.number; }

struct Holding {
  Pid pid;
  int number = 0;
};
struct GoOn {};
struct Got {
  int caller = 0;
  int tool = 0;
};

// A process that borrows a tool and keeps it until it is told to go on.
Pid hold(const Pid& me) {
  const Pid holder = spawn([me] {
    (void)tools.checkout(infinity, [&](Tool& tool) {
      send(me, Holding{self(), tool.number});
      receive<GoOn>();
    });
  });
  receive<Holding>();
  return holder;
}

}  // namespace pool_probe
}  // namespace

BEHAVIOUR_TEST(Pool, a_function_runs_in_the_callers_process_with_the_resource) {
  const Count count = new_count();
  const Pid pool = start(count, {.size = 2});
  const Pid me = self();
  EXPECT_EQ(tools.checkout(5s, [&](Tool&) { return self() == me; }).value(), true);
  EXPECT_TRUE(tools.checkout([](Tool&) {}).has_value());
  // A Result is passed on as it is.
  const Result<int> passed = tools.checkout([](Tool&) -> Result<int> { return error("no_row"); });
  EXPECT_EQ(passed.reason(), "no_row"_atom);
  tools.stop();
  EXPECT_FALSE(alive(pool));
}

BEHAVIOUR_TEST(Pool, no_resource_is_used_by_two_at_once_and_all_are_served) {
  const Count count = new_count();
  start(count, {.size = 3});
  const Pid me = self();
  for (int i = 0; i < 12; ++i) {
    (void)spawn([me, i] {
      const Result<int> used = tools.checkout(infinity, [](Tool& tool) {
        tool.use([] { sleep_for(1ms); });
        return tool.number;
      });
      send(me, Got{i, used.value()});
    });
  }
  for (int i = 0; i < 12; ++i) EXPECT_LE(receive<Got>().tool, 3);
  EXPECT_EQ(count->used_by_two, 0);
  EXPECT_EQ(tools.info().served, 12u);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, waiting_callers_are_served_in_their_order) {
  start(new_count(), {.size = 1});
  const Pid me = self();
  const Pid holder = hold(me);
  for (int i = 0; i < 5; ++i) {
    (void)spawn([me, i] { (void)tools.checkout(infinity, [&](Tool& tool) { send(me, Got{i, tool.number}); }); });
    while (tools.info().waiting != static_cast<std::size_t>(i) + 1) yield();
  }
  send(holder, GoOn{});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(receive<Got>().caller, i);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, a_full_queue_rejects_at_once) {
  start(new_count(), {.size = 1, .queue_max = 0});
  const Pid holder = hold(self());
  EXPECT_EQ(tools.checkout(infinity, number_of).reason(), "rejected"_atom);
  EXPECT_EQ(tools.info().rejected, 1u);
  send(holder, GoOn{});
  tools.stop();
}

BEHAVIOUR_TEST(Pool, whoever_waits_too_long_is_told_and_has_left_the_queue) {
  start(new_count(), {.size = 1});
  const Pid holder = hold(self());
  EXPECT_EQ(tools.checkout(10ms, number_of).reason(), ExitReason::timeout());
  const PoolInfo info = tools.info();
  EXPECT_EQ(info.waiting, 0u);
  EXPECT_EQ(info.gave_up, 1u);
  send(holder, GoOn{});
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, a_caller_that_dies_while_it_waits_has_left_the_queue) {
  start(new_count(), {.size = 1});
  const Pid holder = hold(self());
  const auto [waiter, watch] = spawn_monitor([] { (void)tools.checkout(infinity, number_of); });
  while (tools.info().waiting == 0) yield();
  exit(waiter, ExitReason::kill());
  EXPECT_EQ(receive<Down>().reference, watch);
  while (tools.info().waiting != 0) yield();
  send(holder, GoOn{});
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, without_a_pool_it_is_noproc) {
  EXPECT_EQ(tools.checkout(1s, number_of).reason(), ExitReason::noproc());
  EXPECT_THROW((void)tools.info(), Exit);
}

BEHAVIOUR_TEST(Pool, a_killed_borrower_loses_its_resource_and_the_next_is_served_with_a_new_one) {
  const Count count = new_count();
  start(count, {.size = 1});
  const Pid me = self();
  const Pid holder = hold(me);
  (void)spawn([me] { send(me, Got{1, tools.checkout(infinity, number_of).value()}); });
  while (tools.info().waiting == 0) yield();
  exit(holder, ExitReason::kill());
  EXPECT_EQ(receive<Got>().tool, 2);
  EXPECT_EQ(tools.info().discarded, 1u);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, a_throw_goes_through_to_the_caller_and_the_resource_is_replaced) {
  start(new_count(), {.size = 1});
  try {
    (void)tools.checkout([](Tool&) { throw std::runtime_error("boom"); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "boom");
  }
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 2);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, a_lease_may_keep_a_resource_through_a_throw_and_may_discard_a_sound_one) {
  start(new_count(), {.size = 1});
  EXPECT_THROW((void)tools.checkout([](Tool&, Lease& lease) {
    lease.keep_on_throw();
    throw std::runtime_error("not its fault");
  }),
               std::runtime_error);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  EXPECT_EQ(tools.checkout([](Tool& tool, Lease& lease) { return lease.discard(), tool.number; }).value(), 1);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 2);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, what_is_lent_stays_valid_when_the_pool_dies) {
  const Count count = new_count();
  const Pid pool = start(count, {.size = 1});
  trap_exit(true);
  const Result<int> number = tools.checkout([&](Tool& tool) {
    exit(pool, ExitReason::kill());
    EXPECT_EQ(receive<ExitMessage>().pid, pool);
    tool.use([] {});
    return tool.number;
  });
  EXPECT_EQ(number.value(), 1);
  EXPECT_EQ(count->alive, 0);
}

BEHAVIOUR_TEST(Pool, whoever_waits_when_the_pool_ends_hears_why) {
  const Pid pool = start(new_count(), {.size = 1});
  const Pid me = self();
  trap_exit(true);
  hold(me);
  (void)spawn([me] { send(me, tools.checkout(infinity, number_of).reason()); });
  while (tools.info().waiting == 0) yield();
  exit(pool, "enough"_atom);
  EXPECT_EQ(receive<ExitReason>(), "enough"_atom);
}

BEHAVIOUR_TEST(Pool, a_lazy_pool_makes_its_resources_when_they_are_needed) {
  const Count count = new_count();
  start(count, {.size = 5, .lazy = true});
  EXPECT_EQ(count->made, 0);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  EXPECT_EQ(count->made, 1);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, a_factory_that_fails_is_told_and_tried_again) {
  const auto tries = std::make_shared<std::atomic<int>>(0);
  const Count count = new_count();
  Pool<Tool>::start_link({.name = tools, .size = 1, .retry = {.first = 1ms}}, [tries, count]() -> Result<Tool> {
    switch (++*tries) {
      case 1: return error("refused");
      case 2: throw std::runtime_error("boom");
      case 3: exit("gone"_atom);
      default: return Tool(count);
    }
  }).value();
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  const PoolInfo info = tools.info();
  EXPECT_EQ(info.failures, 3u);
  EXPECT_FALSE(info.last_failure.has_value());
  tools.stop();
}

BEHAVIOUR_TEST(Pool, the_last_failure_of_the_factory_is_known_while_it_lasts) {
  Pool<Tool>::start_link({.name = tools, .size = 1, .retry = {.first = 1h, .max = 1h}}, []() -> Result<Tool> {
    return error("refused");
  }).value();
  while (tools.info().failures == 0) yield();
  EXPECT_EQ(tools.info().last_failure, ExitReason("refused"_atom));
  EXPECT_EQ(tools.checkout(1ms, number_of).reason(), ExitReason::timeout());
  tools.stop();
}

BEHAVIOUR_TEST(Pool, a_dead_resource_is_replaced_before_the_function_sees_it) {
  start(new_count(), {.size = 2, .is_alive = [](Tool& tool) { return tool.number > 2; }});
  while (tools.info().idle != 2) yield();
  // The first use of each is not asked about.
  EXPECT_LE(tools.checkout(infinity, number_of).value(), 2);
  EXPECT_GT(tools.checkout(infinity, [](Tool& tool) { return tool.number; }).value(), 0);
  for (int i = 0; i < 4; ++i) (void)tools.checkout(infinity, number_of);
  EXPECT_GT(tools.checkout(infinity, number_of).value(), 2);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, what_on_checkin_refuses_and_what_was_used_often_enough_is_replaced) {
  start(new_count(), {.size = 1, .max_uses = 2, .on_checkin = [](Tool& tool) { return tool.number != 1; }});
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 2);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 2);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 3);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, one_that_is_idle_for_too_long_is_destroyed) {
  const Count count = new_count();
  start(count, {.size = 1, .lazy = true, .idle_timeout = 5ms});
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  while (tools.info().idle != 0) sleep_for(5ms);
  EXPECT_EQ(tools.info().discarded, 1u);
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 2);
  tools.stop();
}

BEHAVIOUR_TEST(Pool, options_without_sense_are_an_error) {
  EXPECT_TRUE(Pool<Tool>::start_link({.size = 0}, [] { return Tool(new_count()); }).is_error());
  EXPECT_TRUE(Pool<Tool>::start_link({.size = 1, .idle_timeout = -1ms}, [] { return Tool(new_count()); }).is_error());
}

BEHAVIOUR_TEST(Pool, it_is_a_child_of_a_supervisor_under_its_name) {
  const Count count = new_count();
  const ChildSpec spec = child<Pool<Tool>>({.name = tools, .size = 1}, [count] { return Tool(count); });
  EXPECT_EQ(spec.id(), Term("Tools"_atom));
  const Pid supervisor = Supervisor::start_link({spec}, {.strategy = Strategy::one_for_one}).value();
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
  const Pid before = tools.pid();
  exit(before, ExitReason::kill());
  while (!tools.pid() || tools.pid() == before) yield();
  EXPECT_EQ(tools.checkout(infinity, number_of).value(), 2);
  Supervisor::stop(supervisor);
}

BEHAVIOUR_TEST(Pool, under_kills_at_random_moments_nobody_is_forgotten_and_nothing_is_shared) {
  const Count count = new_count();
  start(count, {.size = 2, .queue_max = 100});
  const Pid me = self();
  std::vector<Pid> callers;
  for (int i = 0; i < 10; ++i) {
    callers.push_back(spawn_monitor([] {
                        for (int round = 0; round < 4; ++round) {
                          (void)tools.checkout(infinity, [](Tool& tool) { tool.use([] { yield(); }); });
                        }
                      }).first);
  }
  for (std::size_t i = 0; i < callers.size(); i += 3) {
    for (std::size_t pause = 0; pause < i; ++pause) yield();
    exit(callers[i], ExitReason::kill());
  }
  for (std::size_t i = 0; i < callers.size(); ++i) {
    const Down down = receive<Down>();
    EXPECT_TRUE(down.reason.is_normal() || down.reason == ExitReason::killed());
  }
  while (tools.info().idle != 2) yield();
  const PoolInfo info = tools.info();
  EXPECT_EQ(info.waiting, 0u);
  EXPECT_EQ(info.busy, 0u);
  EXPECT_EQ(count->used_by_two, 0);
  tools.stop();
  (void)me;
}

TEST(PoolOfForeignThreads, a_foreign_thread_blocks_until_it_is_served) {
  behaviour::on_threads([] {
    const Count count = new_count();
    start(count, {.size = 1});
    std::atomic<int> number{0};
    // A thread of the blocking pool is foreign: it is no process.
    blocking([&] { number = tools.checkout(5s, number_of).value(); });
    EXPECT_EQ(number, 1);
    EXPECT_EQ(tools.checkout(infinity, number_of).value(), 1);
    tools.stop();
  });
}
