// SPDX-License-Identifier: Apache-2.0
//
// Runtimes: whole nodes that start and stop, 10 000 of them in a thorough run, two at a time, with one to four schedulers.
// Each runs a little of everything, and is stopped while most of it still goes on: processes that sleep, wait for messages,
// call, compute; armed timers; servers under a supervisor; names; tables; a foreign thread that calls. The stop must be
// clean and leave nothing.
#include <thread>

#include <coppice/ets.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/task.hpp>
#include <coppice/timer.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

constexpr std::uint64_t rounds_of_thorough = 16;

class Echo : public GenServer<Echo> {
 public:
  struct Say {
    using Reply = std::uint64_t;
    std::uint64_t number;
  };
  static constexpr Name<Echo> name{"stress.echo"};
  std::uint64_t handle_call(const Say& say) const { return say.number; }

 private:
  Counted<Echo> counted_;
};
struct Note {
  std::uint64_t number;
  Counted<Note> counted = {};
};

void live(Random random) {
  trap_exit(true);
  (void)Supervisor::start_link({child<Echo>()}).value();
  using Table = ets::Table<std::uint64_t, std::string>;
  const Table table = Table::create({.access = ets::Access::public_});
  for (std::uint64_t i = 0; i < 20; ++i) table.insert(i, "a text that does not fit into a string itself");
  const Pid first = self();
  for (std::uint32_t i = 2 + random.below(8); i > 0; --i) {
    Random own(random.next());
    switch (random.below(6)) {
      case 0: spawn([] { sleep_for(infinity); }); break;
      case 1: spawn([] { (void)receive<Note>(); }); break;
      case 2:
        spawn([own]() mutable {
          for (;;) {
            send(self(), Note{own.next()});
            (void)receive<Note>();
            yield();
          }
        });
        break;
      case 3:
        spawn([own, table]() mutable {
          for (;;) {
            const std::uint64_t number = own.next();
            const Result<std::uint64_t> answer = Echo::name.try_call(Echo::Say{number});
            if (answer && *answer != number) fail("an echo of something else");
            if (!answer) return;
            table.insert(number % 20, "another text that does not fit into a string itself");
            dawdle(own);
          }
        });
        break;
      case 4: spawn_link([] { (void)receive<Note>(10s); }); break;
      default: (void)send_after(first, Note{i}, std::chrono::microseconds(0)); break;
    }
  }
  for (std::uint32_t i = random.below(10); i > 0; --i) {
    (void)send_after(first, Note{i}, std::chrono::milliseconds(random.below(2) == 0 ? 0 : 60'000));
  }
  const auto task = Task::async([] { return 7; });
  if (task.await(infinity) != 7) fail("a task has another value");
  if (random.below(2) == 0) sleep_for(std::chrono::microseconds(random.below(500)));
}

class Runtimes final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "runtimes"; }
  [[nodiscard]] std::uint64_t rounds_min(const Setting&) const override { return rounds_of_thorough; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    const std::uint64_t least = setting.thorough ? setting.scaled(10'000, 500) / rounds_of_thorough / 2 + 1 : 1;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([this, setting, until, least, r = Random(random.next())]() mutable {
        for (std::uint64_t made = 0; made < least || !over(until); ++made) start_and_stop(setting, r);
      });
    }
    blocking([&] {
      for (std::thread& thread : threads) thread.join();
    });
  }

  void check() override {
    none_left<Echo>("servers");
    none_left<Note>("messages");
  }

 private:
  void start_and_stop(const Setting& setting, Random& random) {
    Runtime runtime({.schedulers = 1 + random.below(4), .hand_off = setting.hand_off});
    const Runtime::Scope scope(runtime);
    std::optional<std::thread> foreign;
    if (random.below(4) == 0) {
      foreign.emplace([&runtime, number = random.next()] {
        const Runtime::Scope inner(runtime);
        const Result<std::uint64_t> answer = Echo::name.try_call(Echo::Say{number});
        if (answer && *answer != number) fail("an echo of something else");
      });
    }
    Random own(random.next());
    const ExitReason reason = runtime.run([own] { live(own); });
    if (!reason.is_normal()) fail("the first process of a runtime ended with " + format_exit(reason));
    note_peak(runtime.process_count());
    const StopReport report = runtime.stop();
    if (foreign) foreign->join();
    if (!report.clean) fail("the stop of a runtime was not clean");
    for (const std::string& who : report.killed) fail("a stop had to kill " + who);
    same("processes of a stopped runtime", runtime.process_count(), 0);
    same("timers of a stopped runtime", runtime.timer_count(), 0);
    same("stacks of a stopped runtime", runtime.stacks_held(), 0);
    operations += 1;
  }
};

}  // namespace

std::unique_ptr<Workload> stress::make_runtimes() { return std::make_unique<Runtimes>(); }
