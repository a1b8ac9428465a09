// SPDX-License-Identifier: Apache-2.0
//
// Task supervisors: TS-001 to TS-024.
#include <atomic>
#include <memory>

#include <coppice/partition_supervisor.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/sys.hpp>
#include <coppice/task_supervisor.hpp>

#include "conformance/task_support.hpp"

using namespace conformance;

namespace {

using Sup = ServerRef<TaskSupervisor>;
using Numbers = std::vector<int>;

Sup start(TaskSupervisor::Options options = {}) {
  trap_exit(true);  // its end is of no concern to the test's process
  return TaskSupervisor::start_link(std::move(options)).value();
}
void stop(const Sup& sup) { TaskSupervisor::stop(sup.pid()); }

auto shown(const TaskResult<int>& result) { return result ? std::to_string(*result) : to_string(result.reason()); }
template <class Stream>
std::vector<std::string> all_of(Stream&& stream) {
  std::vector<std::string> results;
  for (const auto& result : stream) results.push_back(shown(result));
  return results;
}
int mixed(int n) { return n == 2 ? crash() : n; }
bool has_link(const Pid& pid, const Pid& to) {
  const auto info = process_info(pid);
  return info && std::count(info->links.begin(), info->links.end(), to) == 1;
}

}  // namespace

BEHAVIOUR_TEST(TaskSupervisor, TS_001_the_options_are_those_of_a_dynamic_supervisor) {
  const Sup sup = start({.name = "ts_001", .max_children = 1});
  EXPECT_EQ(whereis("ts_001"), sup.pid());
  const auto task = TaskSupervisor::async("ts_001", held(1));
  EXPECT_THROW(static_cast<void>(TaskSupervisor::async("ts_001", held(2))), std::runtime_error);
  send(task.pid(), Release{});
  EXPECT_EQ(task.await(), 1);
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_002_the_default_child_specification) {
  EXPECT_EQ(child<TaskSupervisor>({.name = "tasks"}).id(), Term("tasks"_atom));
  const ChildSpec plain = child<TaskSupervisor>();
  EXPECT_EQ(plain.id(), detail::module_atom_of<TaskSupervisor>());
  EXPECT_EQ(plain.type(), ChildType::supervisor);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_003_TS_004_TS_010_a_task_is_a_child_of_the_supervisor_and_works_like_any_other) {
  const Sup sup = start();
  const Pid me = self();
  const auto task = TaskSupervisor::async(
      sup,
      [me](std::string text) {
        receive<Release>();
        EXPECT_EQ(callers(), std::vector<Pid>{me});
        return text + "!";
      },
      "hello");
  EXPECT_EQ(TaskSupervisor::children(sup), std::vector<Pid>{task.pid()});
  EXPECT_EQ(process_info(task.pid())->ancestors, (std::vector<Term>{Term(sup.pid()), Term(me)}));
  EXPECT_TRUE(has_link(task.pid(), me));
  EXPECT_TRUE(has_link(task.pid(), sup.pid()));
  EXPECT_EQ(DynamicSupervisor::count_children(sup).workers, 1u);
  send(task.pid(), Release{});
  EXPECT_EQ(task.await(), "hello!");
  EXPECT_EQ(exit_of([&] { static_cast<void>(task.await(1ms)); }), failed("timeout"_atom, "await", task, 1));
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_005_TS_015_without_a_link_a_crash_is_heard_by_the_down_message_only) {
  const Sup sup = start();
  trap_exit(false);
  const auto task = TaskSupervisor::async_nolink(sup, held(1));
  EXPECT_FALSE(has_link(task.pid(), self()));
  send(task.pid(), Release{});
  EXPECT_EQ(task.await(), 1);
  const auto yielded = TaskSupervisor::async_nolink(sup, crash).yield();
  ASSERT_TRUE(yielded);
  EXPECT_EQ(yielded->reason(), boom);
  const auto awaited = TaskSupervisor::async_nolink(sup, crash);
  EXPECT_EQ(exit_of([&] { awaited.await(); }), failed(boom, "await", awaited, 5000));
  const auto heard = TaskSupervisor::async_nolink(sup, crash);
  EXPECT_EQ(await_reason(heard.reference()), boom);
  EXPECT_EQ(messages(), 0u);
  trap_exit(true);
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_006_TS_014_shutdown_says_how_a_task_is_stopped_and_all_stop_at_once) {
  const Sup sup = start();
  const Pid me = self();
  const auto trapping = [me] {
    trap_exit(true);
    send(me, Release{});
    receive<Release>();
    return 1;
  };
  const auto patient = TaskSupervisor::async_nolink_with(50ms, sup, trapping);
  const auto killed = TaskSupervisor::async_nolink_with(brutal_kill, sup, trapping);
  const auto plain = TaskSupervisor::async_nolink(sup, held(1));
  receive<Release>();
  receive<Release>();
  TaskSupervisor::stop(sup, ExitReason::shutdown());
  EXPECT_EQ(await_reason(patient.reference()), ExitReason::killed());
  EXPECT_EQ(await_reason(killed.reference()), ExitReason::killed());
  EXPECT_EQ(await_reason(plain.reference()), ExitReason::shutdown());
}

BEHAVIOUR_TEST(TaskSupervisor, TS_007_without_a_supervisor_the_caller_exits_with_noproc) {
  const ExitReason reason = exit_of([] { static_cast<void>(TaskSupervisor::async("ts_007", crash)); });
  EXPECT_EQ(reason.term()[0], "noproc"_atom);
  EXPECT_EQ(exit_of([] { static_cast<void>(TaskSupervisor::async_nolink("ts_007", crash)); }).term()[0], "noproc"_atom);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_008_start_child_is_fire_and_forget) {
  const Sup sup = start({.max_children = 1});
  const Pid task = TaskSupervisor::start_child(sup, held(1)).value();
  EXPECT_EQ(process_info(task)->links, std::vector<Pid>{sup.pid()});
  EXPECT_EQ(TaskSupervisor::start_child(sup, held(2)).reason(), "max_children"_atom);
  send(task, Release{});
  await_end(task);
  EXPECT_EQ(messages(), 0u);
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_009_a_temporary_task_is_not_restarted_a_transient_one_is) {
  const Sup sup = start();
  const Pid me = self();
  const auto counting = [me] {
    send(me, self());
    throw Exit(boom);
  };
  EXPECT_TRUE(TaskSupervisor::start_child(sup, counting));
  await_end(receive<Pid>());
  while (!TaskSupervisor::children(sup).empty()) sleep_for(1ms);
  EXPECT_FALSE(receive<Pid>(0s));
  const Reference gone = monitor(sup);
  EXPECT_TRUE(TaskSupervisor::start_child(sup, counting, {.restart = Restart::transient}));
  EXPECT_EQ(await_reason(gone), ExitReason::shutdown());  // after the fourth crash
  std::size_t runs = 0;
  while (receive<Pid>(0s)) ++runs;
  EXPECT_EQ(runs, 4u);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_010_a_nested_start_has_the_supervisor_again_as_first_ancestor) {
  const Sup sup = start();
  const Pid me = self();
  const auto outer = TaskSupervisor::async(sup, [sup, me] {
    const Pid here = self();
    return TaskSupervisor::async(
               sup,
               [sup, me, here] {
                 return ancestors().front() == Term(sup.pid()) && callers() == std::vector<Pid>{here, me};
               })
        .await();
  });
  EXPECT_TRUE(outer.await());
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_011_TS_012_what_the_end_of_the_owner_does) {
  const Sup sup = start();
  const Pid me = self();
  struct Made {
    Pid owner, task;
  };
  const auto make = [me, sup](bool link, ExitReason reason) {
    spawn([me, sup, link, reason] {
      const auto handle = link ? TaskSupervisor::async(sup, held(1)) : TaskSupervisor::async_nolink(sup, held(1));
      const Pid task = handle.pid();
      sleep_for(1ms);  // it has its function and waits in it
      send(me, Made{self(), task});
      receive<Release>();
      throw Exit(reason);
    });
    return receive<Made>();
  };
  const auto end = [](const Made& made) {
    const Reference watch = monitor(made.task);
    send(made.owner, Release{});
    await_end(made.owner);
    send(made.task, Release{});
    return await_reason(watch);
  };
  EXPECT_TRUE(end(make(false, boom)).is_normal());
  EXPECT_EQ(end(make(true, boom)), boom);
  EXPECT_TRUE(end(make(true, ExitReason::normal())).is_normal());
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_013_the_end_of_the_supervisor_ends_its_tasks) {
  const Sup killed = start();
  const auto linked = TaskSupervisor::async(killed, held(1));
  exit(killed, ExitReason::kill());
  EXPECT_EQ(linked.yield(infinity)->reason(), ExitReason::killed());
  const auto linked_exit = receive(when([pid = linked.pid()](const ExitMessage& exit) { return exit.pid == pid; },
                                        [](const ExitMessage& exit) { return exit.reason; }));
  EXPECT_EQ(linked_exit, ExitReason::killed());
  const Sup stopped = start();
  const auto loose = TaskSupervisor::async_nolink(stopped, held(1));
  stop(stopped);
  EXPECT_EQ(await_reason(loose.reference()), ExitReason::shutdown());
}

BEHAVIOUR_TEST(TaskSupervisor, TS_016_a_task_whose_owner_dies_first_runs_nothing) {
  const Sup sup = start();
  sys::suspend(sup.pid());
  const auto tell = [me = self()] { send(me, Release{}); };
  const Pid owner = spawn([sup, tell] { static_cast<void>(TaskSupervisor::async_nolink(sup, tell)); });
  while (process_info(sup)->message_queue_len == 0) sleep_for(1ms);
  finish(owner);
  sys::resume(sup.pid());
  while (!TaskSupervisor::children(sup).empty()) sleep_for(1ms);
  EXPECT_FALSE(receive<Release>(0s));
  stop(sup);
}

// In a simulation in which threads stand still for long an owner may not get around to telling its task what to do. How the
// task ended, if it was seen while it waited: whether the owner is killed then is up to the caller.
namespace {
std::optional<ExitReason> end_of_a_task(const std::function<void(const Pid&)>& to_the_owner,
                                        const std::shared_ptr<std::atomic<bool>>& ran) {
  const Sup sup = start();
  const Pid owner = spawn([sup, ran, test = self()] {
    static_cast<void>(TaskSupervisor::async_nolink(sup, [ran] { *ran = true; }));
    send(test, Release{});
    sleep_for(infinity);
  });
  std::vector<Pid> tasks;
  while (tasks.empty() && !receive<Release>(0s)) tasks = TaskSupervisor::children(sup);
  std::optional<ExitReason> end;
  if (!tasks.empty()) {
    const Reference watch = monitor(tasks.front());
    to_the_owner(owner);
    end = await_reason(watch);
  }
  finish(owner);
  stop(sup);
  return end;
}

// Runs `body` with so many seeds, in each of which threads stand still now and then.
void with_long_stalls(std::uint64_t seeds, std::chrono::nanoseconds stall_max, const std::function<void()>& body) {
  coppice::testing::for_each_seed(seeds,
                                  [&](coppice::testing::Simulation& simulation) {
                                    const ExitReason reason = simulation.run(body);
                                    EXPECT_TRUE(reason.is_normal()) << format_exit(reason);
                                  },
                                  {.faults = {.stalls_permille = 200, .stall_max = stall_max}});
}
}  // namespace

TEST(TaskSupervisor, TS_016_a_task_that_is_told_nothing_for_5_seconds_ends_with_timeout) {
  int timeouts = 0;
  int results = 0;
  with_long_stalls(200, 30s, [&] {
    const auto ran = std::make_shared<std::atomic<bool>>(false);
    const auto begin = monotonic_time();
    const std::optional<ExitReason> end = end_of_a_task([](const Pid&) {}, ran);
    if (end == ExitReason::timeout()) {
      ++timeouts;
      EXPECT_GE(monotonic_time() - begin, 5s);
      EXPECT_FALSE(*ran);
    } else if (end && *end != ExitReason::noproc()) {
      ++results;
      EXPECT_TRUE(end->is_normal()) << *end;
      EXPECT_TRUE(*ran);
    }
  });
  EXPECT_GT(timeouts, 0);
  EXPECT_GT(results, 0);
}

TEST(TaskSupervisor, TS_016_a_task_whose_owner_dies_first_ends_with_shutdown_and_its_reason) {
  int shutdowns = 0;
  with_long_stalls(200, 1s, [&] {
    const auto ran = std::make_shared<std::atomic<bool>>(false);
    const std::optional<ExitReason> end = end_of_a_task([](const Pid& owner) { exit(owner, boom); }, ran);
    if (!end || end->is_normal() || *end == ExitReason::noproc()) return;  // it was told, and is done
    shutdowns += *end == ExitReason(tuple("shutdown"_atom, boom)) ? 1 : 0;
    EXPECT_EQ(end->term()[0], Term("shutdown"_atom)) << *end;  // or the owner was gone before the task looked at it
    EXPECT_TRUE(end->term()[1] == Term(boom) || *end == ExitReason(tuple("shutdown"_atom, "noproc"_atom))) << *end;
    EXPECT_FALSE(*ran);
  });
  EXPECT_GT(shutdowns, 0);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_017_TS_018_children_and_terminate_child) {
  const Sup sup = start();
  const Pid first = TaskSupervisor::start_child(sup, held(1)).value();
  const Pid second = TaskSupervisor::start_child(sup, held(1)).value();
  std::vector<Pid> all = TaskSupervisor::children(sup);
  EXPECT_TRUE(std::is_permutation(all.begin(), all.end(), std::vector<Pid>{first, second}.begin()));
  EXPECT_TRUE(TaskSupervisor::terminate_child(sup, first));
  EXPECT_EQ(TaskSupervisor::children(sup), std::vector<Pid>{second});
  EXPECT_EQ(TaskSupervisor::terminate_child(sup, first).reason(), "not_found"_atom);
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_019_streams_under_a_supervisor) {
  const Sup sup = start();
  EXPECT_EQ(all_of(TaskSupervisor::async_stream(sup, Numbers{1, 3}, mixed)), (std::vector<std::string>{"1", "3"}));
  const auto under = [sup](int) { return ancestors().front() == Term(sup.pid()) ? 1 : 0; };
  EXPECT_EQ(all_of(TaskSupervisor::async_stream_nolink(sup, Numbers{1}, under)), std::vector<std::string>{"1"});
  const ExitReason reason =
      exit_of([&] { static_cast<void>(TaskSupervisor::async_stream(sup, Numbers{1}, mixed, {}, -1ms)); });
  EXPECT_EQ(reason.term()[0], "badarg"_atom);
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_020_a_crash_in_a_stream_without_links_is_a_result) {
  const Sup sup = start();
  trap_exit(false);
  EXPECT_EQ(all_of(TaskSupervisor::async_stream_nolink(sup, Numbers{1, 2, 3}, mixed)),
            (std::vector<std::string>{"1", ":boom", "3"}));
  EXPECT_EQ(messages(), 0u);
  trap_exit(true);
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_021_a_full_supervisor_ends_the_stream_without_leftovers) {
  const Sup sup = start({.max_children = 1});
  const auto sleeping = [](int n) { return sleep_for(infinity), n; };
  const AsyncStreamOptions options{.max_concurrency = 2, .timeout = infinity};
  EXPECT_THROW(all_of(TaskSupervisor::async_stream(sup, Numbers{1, 2}, sleeping, options)), std::runtime_error);
  EXPECT_TRUE(TaskSupervisor::children(sup).empty());
  EXPECT_EQ(messages(), 0u);
  EXPECT_EQ(process_info(self())->links, std::vector<Pid>{sup.pid()});
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_022_leaving_a_stream_without_links_kills_its_tasks_the_consumers_death_does_not) {
  const Sup sup = start();
  const Pid me = self();
  const auto work = [me](int n) {
    send(me, self());
    if (n == 2) receive<Release>();
    return n;
  };
  const AsyncStreamOptions options{.max_concurrency = 2, .timeout = infinity};
  std::vector<Pid> tasks;
  for (const auto& result : TaskSupervisor::async_stream_nolink(sup, Numbers{1, 2}, work, options)) {
    EXPECT_EQ(*result, 1);
    for (int i = 0; i < 2; ++i) tasks.push_back(receive<Pid>());
    break;
  }
  for (const Pid& task : tasks) EXPECT_FALSE(process_info(task));
  const Pid consumer =
      spawn([sup, work, options] { all_of(TaskSupervisor::async_stream_nolink(sup, Numbers{2}, work, options)); });
  const Pid task = receive<Pid>();
  const Reference watch = monitor(task);
  finish(consumer);
  EXPECT_TRUE(has_acted(task));
  send(task, Release{});
  EXPECT_TRUE(await_reason(watch).is_normal());
  stop(sup);
}

BEHAVIOUR_TEST(TaskSupervisor, TS_024_task_supervisors_may_be_spread_behind_a_partition_supervisor) {
  trap_exit(true);
  const Pid partitions =
      PartitionSupervisor::start_link({.name = "ts_024", .child_spec = child<TaskSupervisor>(), .partitions = 3})
          .value();
  for (int key = 0; key < 6; ++key) {
    const auto where = PartitionSupervisor::via<TaskSupervisor>("ts_024", Term(key));
    auto task = TaskSupervisor::async(where, [key] { return key * 2; });
    EXPECT_TRUE(has_link(where.pid(), task.pid()) || !alive(task.pid()));
    EXPECT_EQ(task.await(), key * 2);
  }
  Supervisor::stop(partitions);
}
