// SPDX-License-Identifier: Apache-2.0
//
// Tasks: callers that start tasks, alone and in streams, linked and under a supervisor, while callers and tasks are killed.
// A value that comes is the right one; a task that is killed says so; a caller that has awaited, shut down or given up all
// its tasks has no message left; and when all is over no function and no value of a task is left in memory.
#include <numeric>

#include <coppice/task.hpp>
#include <coppice/task_supervisor.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

struct Answer {
  std::uint64_t value;
  Counted<Answer> counted = {};
};
struct Job {  // the function of a task
  std::uint64_t seed;
  Counted<Job> counted = {};
  Answer operator()() const {
    Random random(seed);
    dawdle(random);
    return {seed * 3 + 1};
  }
};

// fib in tasks: many of them, most of which their owner runs itself.
[[nodiscard]] std::uint64_t fib(std::uint64_t n) {
  if (n < 2) return n;
  const auto left = Task::async([n] { return fib(n - 1); });
  const std::uint64_t right = fib(n - 2);
  return left.await(infinity) + right;
}

class Tasks final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "tasks"; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    const Pid supervisor = TaskSupervisor::start_link({.max_restarts = 1'000'000'000}).value().pid();
    Crew crew;
    const std::uint32_t each = setting.scaled(64, 4);
    for (std::uint32_t i = 0; i < each; ++i) {
      crew.add([this, supervisor, until, r = Random(random.next())]() mutable { raise_callers(supervisor, until, r); });
    }
    note_peak(processes().size());
    crew.wait();
    TaskSupervisor::stop(supervisor);
  }

  void check() override {
    none_left<Answer>("values of tasks");
    none_left<Job>("functions of tasks");
  }

 private:
  void raise_callers(const Pid& supervisor, Clock::time_point until, Random& random) {
    while (!over(until)) {
      const Random own(random.next());
      const auto [caller, end] = spawn_monitor([this, supervisor, own] { call(supervisor, own); });
      const bool killed = random.below(3) == 0;
      if (killed) {
        dawdle(random, 2000us);
        exit(caller, "kill"_atom);
        kills += 1;
      }
      const Down down = receive<Down>();
      if (!down.reason.is_normal() && !is_killed(down.reason)) {
        fail("a caller of tasks ended with " + format_exit(down.reason));
      } else if (!killed && !down.reason.is_normal()) {
        fail("a caller of tasks that nobody killed was killed");
      }
    }
  }

  void call(const Pid& supervisor, Random random) {
    for (std::uint32_t turns = 1 + random.below(4); turns > 0; --turns) {
      switch (random.below(6)) {
        case 0: await_some(random); break;
        case 1: under(supervisor, random); break;
        case 2: stream(random); break;
        case 3: stream_with_deaths(supervisor, random); break;
        case 4: leave_stream(random); break;
        default: same("fib", fib(10), 55); break;
      }
    }
    nothing_received("a caller of tasks");
  }

  void await_some(Random& random) {
    std::vector<TaskHandle<Answer>> tasks;
    std::vector<std::uint64_t> seeds(1 + random.below(16));
    for (std::uint64_t& seed : seeds) {
      seed = random.next();
      tasks.push_back(Task::async(Job{seed}));
    }
    if (random.below(2) == 0) {
      const std::vector<Answer> answers = await_many(tasks, infinity);
      for (std::size_t i = 0; i < seeds.size(); ++i) same("the value of a task", answers[i].value, seeds[i] * 3 + 1);
    } else {
      for (std::size_t i = seeds.size(); i-- > 0;) {
        same("the value of a task", tasks[i].await(infinity).value, seeds[i] * 3 + 1);
      }
    }
    operations += seeds.size();
  }

  // A task without a link: its death is a result.
  void under(const Pid& supervisor, Random& random) {
    const std::uint64_t seed = random.next();
    const auto task = TaskSupervisor::async_nolink(supervisor, Job{seed});
    operations += 1;
    dawdle(random);
    std::optional<TaskResult<Answer>> result;
    switch (random.below(4)) {
      case 0: result = task.shutdown(brutal_kill); break;
      case 1:
        exit(task.pid(), "kill"_atom);
        kills += 1;
        result = task.yield(infinity);
        break;
      case 2: result = task.ignore(); break;
      default:
        result = task.yield(0s);
        if (!result) result = task.shutdown(5s);
        break;
    }
    if (!result) return;
    if (*result) {
      same("the value of a supervised task", result->value().value, seed * 3 + 1);
    } else if (!is_killed(result->reason())) {
      fail("a supervised task ended with " + format_exit(result->reason()));
    }
  }

  [[nodiscard]] static std::vector<std::uint64_t> numbers(Random& random) {
    std::vector<std::uint64_t> all(random.below(40));
    std::iota(all.begin(), all.end(), random.below(1000));
    return all;
  }

  void stream(Random& random) {
    const auto all = numbers(random);
    const bool ordered = random.below(2) == 0;
    std::uint64_t sum = 0;
    std::size_t seen = 0;
    for (const TaskResult<Answer>& result :
         Task::async_stream(all, [](std::uint64_t n) { return Answer{n}; },
                            {.max_concurrency = 1 + random.below(8), .ordered = ordered, .timeout = infinity})) {
      if (ordered) same("the order of a stream", result.value().value, all[seen]);
      ++seen;
      sum += result.value().value;
    }
    same("results of a stream", seen, all.size());
    same("the sum of a stream", sum, std::accumulate(all.begin(), all.end(), std::uint64_t{0}));
    operations += seen;
  }

  // Some of the tasks kill themselves: as many results, each in its place.
  void stream_with_deaths(const Pid& supervisor, Random& random) {
    const auto all = numbers(random);
    std::size_t seen = 0;
    const auto function = [](std::uint64_t n) {
      if (n % 5 == 0) {
        exit(self(), "kill"_atom);
        checkpoint();
      }
      return Answer{n};
    };
    for (const TaskResult<Answer>& result :
         TaskSupervisor::async_stream_nolink(supervisor, all, function, {.max_concurrency = 4, .timeout = infinity})) {
      if (all[seen] % 5 == 0) {
        kills += 1;
        if (result || !is_killed(result.reason())) fail("a task of a stream that died has a result");
      } else if (!result) {
        fail("a task of a stream ended with " + format_exit(result.reason()));
      } else {
        same("the order of a stream with deaths", result->value, all[seen]);
      }
      ++seen;
    }
    same("results of a stream with deaths", seen, all.size());
    operations += seen;
  }

  void leave_stream(Random& random) {
    const auto all = numbers(random);
    std::uint32_t left = random.below(10);
    for (const TaskResult<Answer>& result : Task::async_stream(all, [](std::uint64_t n) { return Job{n}(); },
                                                               {.max_concurrency = 3, .timeout = infinity})) {
      if (!result) fail("a task of a stream ended with " + format_exit(result.reason()));
      operations += 1;
      if (left-- == 0) break;
    }
  }
};

}  // namespace

std::unique_ptr<Workload> stress::make_tasks() { return std::make_unique<Tasks>(); }
