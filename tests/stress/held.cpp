// SPDX-License-Identifier: Apache-2.0
//
// Held servers: operators suspend, resume, read and change servers through sys, at once and from all sides, while clients
// cast to them and call them. What was cast is handled once, in the order of each client, whatever the operators do; each
// change is made once; calls that wait while a server is suspended are answered when it goes on.
#include <coppice/sys.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

class Meter : public GenServer<Meter> {
 public:
  struct Add {
    std::uint32_t client;
    std::uint64_t number;
    Counted<Add> counted = {};
  };
  struct Sum {
    using Reply = std::uint64_t;
    std::uint32_t client;
  };
  struct SumAtOnce {
    using Reply = std::uint64_t;
    static constexpr bool never_waits = true;
    std::uint32_t client;
  };
  explicit Meter(std::uint32_t clients) : numbers_(clients) {}
  void handle_cast(const Add& add) { same("the number of a cast", add.number, numbers_[add.client]++); }
  std::uint64_t handle_call(const Sum& sum) const { return numbers_[sum.client]; }
  std::uint64_t handle_call(const SumAtOnce& sum) const { return numbers_[sum.client]; }
  void change() { changes_ += 1; }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] std::uint64_t sum() const {
    std::uint64_t all = 0;
    for (const std::uint64_t number : numbers_) all += number;
    return all;
  }

 private:
  std::vector<std::uint64_t> numbers_;
  std::uint64_t changes_ = 0;
};

class Held final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "held"; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    casts_ = 0;
    changes_ = 0;
    const std::uint32_t clients = setting.scaled(64, 4);
    std::vector<ServerRef<Meter>> meters;
    for (int i = 0; i < 4; ++i) meters.push_back(Meter::start(clients).value());
    Crew crew;
    for (std::uint32_t i = 0; i < clients; ++i) {
      crew.add([this, i, meters, until, r = Random(random.next())]() mutable { use(i, meters, until, r); });
    }
    for (std::uint32_t i = 0; i < 6; ++i) {
      crew.add([this, meters, until, r = Random(random.next())]() mutable { operate(meters, until, r); });
    }
    note_peak(processes().size());
    crew.wait();
    std::uint64_t sum = 0;
    std::uint64_t changes = 0;
    for (const ServerRef<Meter>& meter : meters) {
      const Meter state = sys::get_state<Meter>(meter.pid(), 60s);
      sum += state.sum();
      changes += state.changes();
      meter.stop();
    }
    same("casts that were handled", sum, casts_.load());
    same("changes of states", changes, changes_.load());
    operations += casts_.load() + changes_.load();
  }

  void check() override { none_left<Meter::Add>("casts"); }

 private:
  void use(std::uint32_t client, const std::vector<ServerRef<Meter>>& meters, Clock::time_point until, Random& random) {
    std::vector<std::uint64_t> numbers(meters.size());
    const auto ask = [&](std::size_t i) {
      const std::uint64_t sum = random.below(2) == 0 ? meters[i].call(Meter::Sum{client}, infinity)
                                                     : meters[i].call(Meter::SumAtOnce{client}, infinity);
      same("the casts before a call", sum, numbers[i]);
    };
    while (!over(until)) {
      const std::size_t i = random.below(static_cast<std::uint32_t>(meters.size()));
      for (std::uint32_t n = random.below(20); n > 0; --n) {
        meters[i].cast(Meter::Add{client, numbers[i]++});
        casts_ += 1;
      }
      if (random.below(4) == 0) ask(i);
      dawdle(random);
    }
    for (std::size_t i = 0; i < meters.size(); ++i) ask(i);
  }

  void operate(const std::vector<ServerRef<Meter>>& meters, Clock::time_point until, Random& random) {
    while (!over(until)) {
      const Pid meter = meters[random.below(static_cast<std::uint32_t>(meters.size()))].pid();
      switch (random.below(6)) {
        case 0:
          sys::replace_state<Meter>(
              meter, [](Meter& state) { state.change(); }, 60s);
          changes_ += 1;
          break;
        case 1: (void)sys::get_state<Meter>(meter, 60s); break;
        case 2: sys::statistics(meter, random.below(2) == 0, 60s); break;
        case 3:
          sys::log(meter, random.below(4), 60s);
          (void)sys::get_log(meter, 60s);
          break;
        case 4: (void)sys::get_status(meter, 60s); break;
        default:
          sys::suspend(meter, 60s);
          dawdle(random, 2000us);
          sys::replace_state<Meter>(
              meter, [](Meter& state) { state.change(); }, 60s);
          changes_ += 1;
          sys::resume(meter, 60s);
          break;
      }
      dawdle(random);
    }
  }

  Count casts_{0};
  Count changes_{0};
};

}  // namespace

std::unique_ptr<Workload> stress::make_held() { return std::make_unique<Held>(); }
