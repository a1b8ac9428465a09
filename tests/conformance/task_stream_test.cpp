// SPDX-License-Identifier: Apache-2.0
//
// async_stream: TK-054 to TK-075.
#include <atomic>

#include "conformance/task_support.hpp"

using namespace conformance;

namespace {

using Numbers = std::vector<int>;
using Results = std::vector<std::string>;

// "4" for a value, "boom" for an exit.
template <class T>
std::string shown(const TaskResult<T>& result) {
  return result ? std::to_string(*result) : to_string(result.reason());
}
template <class Stream>
Results all_of(Stream&& stream) {
  Results results;
  for (const auto& result : stream) results.push_back(shown(result));
  return results;
}
int twice(int n) { return 2 * n; }

// How many tasks run, and the most that ever did.
struct Gauge {
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  std::atomic<int> started{0};
  void enter() {
    ++started;
    const int here = ++now;
    int seen = most;
    while (here > seen && !most.compare_exchange_weak(seen, here)) {
    }
  }
};
auto counted(const std::shared_ptr<Gauge>& gauge) {
  return [gauge](int n) {
    gauge->enter();
    sleep_for(1ms);
    --gauge->now;
    return n;
  };
}
// Crashes for 2, sleeps for ever for 3, else gives its element.
int mixed(int n) {
  if (n == 2) throw Exit(boom);
  if (n == 3) sleep_for(infinity);
  return n;
}
bool is_badarg(const ExitReason& reason) {
  return reason.term().kind() == TermKind::tuple && reason.term()[0] == "badarg"_atom;
}

// After a stream the consumer holds nothing of it.
void expect_clean() {
  const ProcessInfo info = *process_info(self());
  EXPECT_EQ(info.message_queue_len, 0u);
  EXPECT_TRUE(info.links.empty());
  EXPECT_TRUE(info.monitors.empty());
}

}  // namespace

BEHAVIOUR_TEST(TaskStream, TK_054_nothing_runs_until_it_is_consumed_and_the_consumer_is_the_owner) {
  const auto gauge = std::make_shared<Gauge>();
  {
    auto stream = Task::async_stream(Numbers{1, 2}, counted(gauge));
    sleep_for(1ms);
    EXPECT_EQ(gauge->started, 0);
  }
  auto stream = std::make_shared<AsyncStream<Numbers, std::vector<Pid> (*)(int)>>(
      Numbers{1}, +[](int) { return callers(); }, AsyncStreamOptions{});
  const auto [consumer, watch] =
      spawn_monitor([stream] { EXPECT_EQ(stream->next()->value(), std::vector<Pid>{self()}); });
  EXPECT_TRUE(await_reason(watch).is_normal());
  EXPECT_TRUE(is_badarg(exit_of([&] { static_cast<void>(stream->next()); })));  // it belongs to the first one
  expect_clean();
}

BEHAVIOUR_TEST(TaskStream, TK_055_each_element_has_a_task_of_its_own) {
  std::vector<Pid> pids;
  for (TaskResult<Pid> pid : Task::async_stream(Numbers{1, 2, 3}, [](int) { return self(); })) pids.push_back(*pid);
  std::sort(pids.begin(), pids.end());
  EXPECT_EQ(std::unique(pids.begin(), pids.end()) - pids.begin(), 3);
  EXPECT_EQ(std::count(pids.begin(), pids.end(), self()), 0);
  const Numbers numbers{1, 2, 3};  // an lvalue is not copied
  EXPECT_EQ(all_of(Task::async_stream(numbers, twice)), (Results{"2", "4", "6"}));
}

BEHAVIOUR_TEST(TaskStream, TK_056_TK_067_for_a_trapping_consumer_a_crash_is_a_result_and_the_stream_goes_on) {
  trap_exit(true);
  EXPECT_EQ(all_of(Task::async_stream(Numbers{1, 2, 4}, mixed, {.max_concurrency = 2})), (Results{"1", ":boom", "4"}));
  expect_clean();
}

BEHAVIOUR_TEST(TaskStream, TK_057_wrong_options_are_an_argument_error_when_the_stream_is_made) {
  const auto make = [](AsyncStreamOptions options) {
    return exit_of([&] { static_cast<void>(Task::async_stream(Numbers{1}, twice, options)); });
  };
  EXPECT_TRUE(is_badarg(make({.timeout = -1ms})));
  EXPECT_TRUE(is_badarg(make({.max_concurrency = unbounded})));
  EXPECT_TRUE(make({.max_concurrency = 3, .ordered = false, .timeout = infinity}).is_normal());
}

BEHAVIOUR_TEST(TaskStream, TK_058_TK_059_no_more_than_max_concurrency_tasks_run_at_a_time) {
  const auto gauge = std::make_shared<Gauge>();
  EXPECT_EQ(all_of(Task::async_stream(Numbers(12, 1), counted(gauge), {.max_concurrency = 3})).size(), 12u);
  EXPECT_LE(gauge->most, 3);
  EXPECT_EQ(gauge->started, 12);
}

// Whoever begins finds those before it dead, and not only done.
BEHAVIOUR_TEST(TaskStream, TK_059_a_slot_is_free_when_its_task_has_ended) {
  const auto pids = std::make_shared<std::vector<Pid>>();
  const auto look_back = [pids](int n) {
    for (const Pid& before : *pids) EXPECT_FALSE(process_info(before).has_value());
    pids->push_back(self());
    return n;
  };
  EXPECT_EQ(all_of(Task::async_stream(Numbers{1, 2, 3, 4}, look_back, {.max_concurrency = 1})),
            (Results{"1", "2", "3", "4"}));
  EXPECT_EQ(pids->size(), 4u);
}

BEHAVIOUR_TEST(TaskStream, TK_058_without_a_number_there_is_a_task_for_each_scheduler) {
  const auto gauge = std::make_shared<Gauge>();
  EXPECT_EQ(all_of(Task::async_stream(Numbers(9, 1), counted(gauge))).size(), 9u);
  EXPECT_LE(gauge->most, 3);  // the tests have two schedulers, or three
}

BEHAVIOUR_TEST(TaskStream, TK_060_an_ordered_stream_keeps_the_order_and_runs_ahead_of_a_slow_element) {
  const Pid guide = spawn([] {  // the last one lets the first one go on
    const Pid first = receive<Pid>();
    receive<Pid>();
    send(first, Release{});
  });
  const auto through_guide = [guide](int n) {
    if (n == 0 || n == 9) send(guide, self());
    if (n == 0) receive<Release>();
    return n;
  };
  const Numbers ten{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_EQ(all_of(Task::async_stream(ten, through_guide, {.max_concurrency = 2, .timeout = infinity})),
            (Results{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
}

BEHAVIOUR_TEST(TaskStream, TK_060_but_not_further_than_its_buffer) {
  const auto gauge = std::make_shared<Gauge>();
  const Pid waker = spawn([gauge] {
    const Pid first = receive<Pid>();
    while (gauge->started < 5) sleep_for(1ms);
    sleep_for(20ms);
    EXPECT_EQ(gauge->started, 5);  // two places, three results that wait
    send(first, Release{});
  });
  const auto work = [gauge, waker](int n) {
    ++gauge->started;
    if (n == 0) {
      send(waker, self());
      receive<Release>();
    }
    return n;
  };
  const Numbers ten{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const AsyncStreamOptions options{.max_concurrency = 2, .timeout = infinity, .buffer_max = 3};
  EXPECT_EQ(all_of(Task::async_stream(ten, work, options)).size(), 10u);
}

BEHAVIOUR_TEST(TaskStream, TK_061_an_unordered_stream_gives_results_as_they_come) {
  const auto sleep = [](int ms) { return sleep_for(std::chrono::milliseconds(ms * 30)), ms; };
  Results results = all_of(Task::async_stream(Numbers{3, 1, 2}, sleep, {.max_concurrency = 3, .ordered = false}));
  EXPECT_EQ(results, (Results{"1", "2", "3"}));
}

BEHAVIOUR_TEST(TaskStream, TK_062_nothing_is_started_while_the_consumer_is_busy) {
  const auto gauge = std::make_shared<Gauge>();
  auto stream = Task::async_stream(Numbers(10, 1), counted(gauge), {.max_concurrency = 2, .ordered = false});
  EXPECT_TRUE(stream.next());
  sleep_for(10ms);
  EXPECT_EQ(gauge->started, 2);
  EXPECT_TRUE(stream.next());
}

BEHAVIOUR_TEST(TaskStream, TK_063_TK_065_the_time_of_a_task_runs_from_its_start_and_kill_task_makes_it_a_result) {
  const AsyncStreamOptions options{.max_concurrency = 4, .timeout = 20ms, .on_timeout = OnTimeout::kill_task};
  EXPECT_EQ(all_of(Task::async_stream(Numbers{1, 3, 4}, mixed, options)), (Results{"1", ":timeout", "4"}));
  AsyncStreamOptions zipped = options;
  zipped.zip_input_on_exit = true;
  EXPECT_EQ(all_of(Task::async_stream(Numbers{3, 1}, mixed, zipped)), (Results{"{3, :timeout}", "1"}));
  expect_clean();
}

BEHAVIOUR_TEST(TaskStream, TK_064_else_the_stream_ends_the_consumer) {
  const ExitReason reason = exit_of([&] { all_of(Task::async_stream(Numbers{3, 3}, mixed, {.timeout = 5ms})); });
  EXPECT_EQ(reason, ExitReason(tuple("timeout"_atom, tuple(Atom("Elixir.Task.Supervised"), "stream"_atom, list(5)))));
  expect_clean();
}

BEHAVIOUR_TEST(TaskStream, TK_066_zip_input_on_exit_tells_the_element_of_a_crash) {
  trap_exit(true);
  EXPECT_EQ(all_of(Task::async_stream(Numbers{1, 2}, mixed, {.zip_input_on_exit = true})),
            (Results{"1", "{2, :boom}"}));
}

BEHAVIOUR_TEST(TaskStream, TK_067_a_crash_ends_the_others_and_a_consumer_that_does_not_trap) {
  const Pid me = self();
  const auto [consumer, watch] = spawn_monitor([me] {
    const auto work = [me](int n) {
      if (n == 1) {
        receive<Release>();
        throw Exit(boom);
      }
      send(me, self());
      sleep_for(infinity);
      return n;
    };
    const auto first = [me, work](int n) {
      if (n == 1) send(me, std::pair<Pid, int>(self(), n));
      return work(n);
    };
    all_of(Task::async_stream(Numbers{1, 5}, first, {.max_concurrency = 2, .timeout = infinity}));
  });
  const Reference other = monitor(receive<Pid>());
  send(receive<std::pair<Pid, int>>().first, Release{});
  EXPECT_EQ(await_reason(watch), boom);
  EXPECT_EQ(await_reason(other), boom);
}

BEHAVIOUR_TEST(TaskStream, TK_068_the_helper_traps_exits_exactly_if_the_consumer_did) {
  const auto helper_traps = [](int) {
    const Term helper = ancestors().front();
    return process_info(*helper.as_pid())->trap_exit ? 1 : 0;
  };
  EXPECT_EQ(all_of(Task::async_stream(Numbers{1}, helper_traps)), Results{"0"});
  trap_exit(true);
  EXPECT_EQ(all_of(Task::async_stream(Numbers{1}, helper_traps)), Results{"1"});
}

namespace {
auto announced(Pid to) {
  return [to](int n) {
    send(to, self());
    if (n != 1) sleep_for(infinity);
    return n;
  };
}
struct Oops {};
}  // namespace

BEHAVIOUR_TEST(TaskStream, TK_069_leaving_early_kills_what_runs_and_leaves_nothing_behind) {
  trap_exit(true);
  const AsyncStreamOptions options{.max_concurrency = 3, .timeout = infinity};
  std::vector<Pid> tasks;
  for (const auto& result : Task::async_stream(Numbers{1, 2, 3}, announced(self()), options)) {
    EXPECT_EQ(*result, 1);
    for (int i = 0; i < 3; ++i) tasks.push_back(receive<Pid>());
    break;
  }
  for (const Pid& task : tasks) EXPECT_FALSE(process_info(task));  // their ends were waited for
  tasks.clear();
  expect_clean();
  try {
    for (const auto& result : Task::async_stream(Numbers{1, 2}, announced(self()), options)) {
      static_cast<void>(result);
      for (int i = 0; i < 2; ++i) tasks.push_back(receive<Pid>());
      throw Oops{};
    }
  } catch (const Oops&) {
  }
  EXPECT_EQ(tasks.size(), 2u);
  for (const Pid& task : tasks) EXPECT_FALSE(process_info(task));
  expect_clean();
}

BEHAVIOUR_TEST(TaskStream, TK_070_if_the_consumer_dies_its_tasks_end_with_its_reason) {
  for (const bool trapping : {false, true}) {
    const Pid me = self();
    const auto [consumer, watch] = spawn_monitor([me, trapping] {
      trap_exit(trapping);
      auto stream = Task::async_stream(Numbers{5}, announced(me), {.timeout = infinity});
      static_cast<void>(stream.next());
    });
    const Reference task = monitor(receive<Pid>());
    exit(consumer, ExitReason::kill());
    EXPECT_EQ(await_reason(watch), ExitReason::killed());
    EXPECT_EQ(await_reason(task), ExitReason::killed());
  }
}

BEHAVIOUR_TEST(TaskStream, TK_071_taking_some_may_have_started_more) {
  const auto gauge = std::make_shared<Gauge>();
  {
    auto stream = Task::async_stream(Numbers(20, 1), counted(gauge), {.max_concurrency = 4, .ordered = false});
    for (int taken = 0; taken < 3; ++taken) EXPECT_TRUE(stream.next());
  }
  EXPECT_GE(gauge->started, 3);
  EXPECT_LE(gauge->started, 3 - 1 + 4);
}

namespace {
// A range that throws at its third element.
struct Breaking {
  struct Iterator {
    int at;
    int operator*() const { return at < 3 ? at : throw std::runtime_error("no more"); }
    Iterator& operator++() { return ++at, *this; }
    friend bool operator==(const Iterator&, const Iterator&) = default;
  };
  [[nodiscard]] Iterator begin() const { return {1}; }
  [[nodiscard]] Iterator end() const { return {9}; }
};
}  // namespace

BEHAVIOUR_TEST(TaskStream, TK_072_what_the_range_throws_reaches_the_consumer_after_the_clean_up) {
  const auto sleeping = [](int n) { return sleep_for(infinity), n; };
  EXPECT_THROW(all_of(Task::async_stream(Breaking{}, sleeping, {.max_concurrency = 5, .timeout = infinity})),
               std::runtime_error);
  expect_clean();
}

BEHAVIOUR_TEST(TaskStream, TK_073_two_streams_may_be_read_in_turns) {
  auto evens = Task::async_stream(Numbers{1, 2, 3}, twice);
  auto numbers = Task::async_stream(Numbers{1, 2}, [](int n) { return n; });
  Results pairs;
  for (;;) {
    auto even = evens.next();
    auto number = numbers.next();
    if (!even || !number) break;
    pairs.push_back(shown(*even) + shown(*number));
  }
  EXPECT_EQ(pairs, (Results{"21", "42"}));
}

BEHAVIOUR_TEST(TaskStream, TK_074_messages_that_look_alike_do_no_harm) {
  const auto noisy = [](int n) {
    const Pid helper = *ancestors().front().as_pid();
    send(helper, Down{{}, self(), boom, {}, {}});
    send(helper, ExitMessage{self(), boom});
    send(helper, 5);
    return n;
  };
  send(self(), Down{{}, self(), boom, {}, {}});
  EXPECT_EQ(all_of(Task::async_stream(Numbers{1, 2, 3}, noisy)), (Results{"1", "2", "3"}));
  EXPECT_EQ(receive<Down>().reason, boom);  // not the stream's: left alone
  expect_clean();
}

BEHAVIOUR_TEST(TaskStream, TK_075_the_callers_of_a_task_begin_with_the_consumer) {
  const Pid me = self();
  const auto task = Task::async([me] {
    const std::vector<Pid> expected{self(), me};
    for (TaskResult<std::vector<Pid>> seen : Task::async_stream(Numbers{1}, [](int) { return callers(); })) {
      EXPECT_EQ(*seen, expected);
    }
  });
  task.await();
}
