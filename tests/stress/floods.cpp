// SPDX-License-Identifier: Apache-2.0
//
// Floods: many senders, few receivers, and nobody who waits for anybody. Each message says who sent it and its number in
// what that sender sent to that receiver: none may be lost, come twice or out of order. Half of the receivers are plain
// processes that receive selectively, half are servers; of the senders one is a foreign thread. Beside them stand victims:
// receivers that are killed in the flood and replaced, whose messages must be destroyed, not lost in memory.
#include <thread>

#include <coppice/gen_server.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

constexpr std::uint32_t receivers = 4;

struct Drop {
  std::uint32_t from;
  std::uint64_t number;
  std::string text;
  Counted<Drop> counted = {};
};
struct Urgent {  // taken first by those who receive selectively
  std::uint32_t from;
  std::uint64_t number;
  Counted<Drop> counted = {};
};
struct Last {
  std::uint32_t from;
  std::uint64_t drops;
  std::uint64_t urgent;
};

[[nodiscard]] std::string text_of(std::uint32_t from, std::uint64_t number) {
  return "a text that does not fit into a string " + std::to_string(from) + ":" + std::to_string(number);
}

// What one receiver has heard.
class Ledger {
 public:
  explicit Ledger(std::uint32_t senders) : drops_(senders), urgent_(senders), open_(senders) {}
  void note(const Drop& drop) {
    same("the number of a message", drop.number, drops_[drop.from]++);
    if (drop.number % 64 == 0 && drop.text != text_of(drop.from, drop.number)) fail("a message has changed");
  }
  void note(const Urgent& urgent) { same("the number of an urgent message", urgent.number, urgent_[urgent.from]++); }
  // True when all senders have said their last word.
  bool note(const Last& last) {
    same("messages before the last", drops_[last.from], last.drops);
    same("urgent messages before the last", urgent_[last.from], last.urgent);
    return --open_ == 0;
  }
  [[nodiscard]] std::uint64_t heard() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < drops_.size(); ++i) sum += drops_[i] + urgent_[i];
    return sum;
  }

 private:
  std::vector<std::uint64_t> drops_;
  std::vector<std::uint64_t> urgent_;
  std::uint64_t open_;
};

class Gauge : public GenServer<Gauge> {
 public:
  using Messages = coppice::Messages<Drop, Urgent, Last>;
  Gauge(std::uint32_t senders, std::shared_ptr<Count> heard) : ledger_(senders), heard_(std::move(heard)) {}
  void handle_info(const Drop& drop) { ledger_.note(drop); }
  void handle_info(const Urgent& urgent) { ledger_.note(urgent); }
  Action handle_info(const Last& last) {
    if (!ledger_.note(last)) return noreply();
    *heard_ += ledger_.heard();
    return stop(ExitReason::normal());
  }

 private:
  Ledger ledger_;
  std::shared_ptr<Count> heard_;
};

void receive_selectively(std::uint32_t senders, Count& heard, Random random) {
  Ledger ledger(senders);
  for (bool done = false; !done;) {
    // A few at a time: each search goes through all that is queued before it.
    for (std::uint32_t n = random.below(512) == 0 ? 4 : 0; n > 0; --n) {
      if (const std::optional<Urgent> urgent = receive<Urgent>(0s)) ledger.note(*urgent);
    }
    receive([&](const Drop& drop) { ledger.note(drop); }, [&](const Urgent& urgent) { ledger.note(urgent); },
            [&](const Last& last) { done = ledger.note(last); });
  }
  heard += ledger.heard();
}

class Floods final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "floods"; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    const std::uint32_t senders = setting.scaled(64, 4);
    const auto heard = std::make_shared<Count>(0);
    sent_ = 0;
    Crew crew;
    std::vector<Pid> targets;
    std::vector<Reference> gauges;
    for (std::uint32_t i = 0; i < receivers; ++i) {
      if (i % 2 == 0) {
        targets.push_back(
            crew.add([heard, senders, r = Random(random.next())] { receive_selectively(senders + 1, *heard, r); }));
      } else {
        const auto gauge = Gauge::start_monitor(senders + 1, heard);
        targets.push_back(gauge.value().pid());
        gauges.push_back(gauge.monitor());
      }
    }
    const auto victim = std::make_shared<std::atomic<std::uint64_t>>(0);
    for (std::uint32_t i = 0; i < senders; ++i) {
      crew.add([this, i, targets, until, r = Random(random.next())]() mutable { pour(i, targets, until, r, true); });
    }
    std::thread foreign([this, senders, targets, until, r = Random(random.next())]() mutable {
      pour(senders, targets, until, r, false);
    });
    crew.add([this, until, r = Random(random.next())]() mutable { drown(until, r); });
    note_peak(processes().size());
    crew.wait();
    for (const Reference& gauge : gauges) {
      const ExitReason reason = receive(when([&](const Down& down) { return down.reference == gauge; },
                                             [](const Down& down) { return down.reason; }));
      if (!reason.is_normal()) fail("a gauge ended with " + format_exit(reason));
    }
    blocking([&] { foreign.join(); });
    same("messages heard", heard->load(), sent_.load());
    operations += sent_.load();
  }

  void check() override { none_left<Drop>("messages"); }

 private:
  void pour(std::uint32_t from, const std::vector<Pid>& targets, Clock::time_point until, Random& random,
            bool process) {
    std::vector<std::uint64_t> drops(targets.size());
    std::vector<std::uint64_t> urgent(targets.size());
    while (!over(until)) {
      const std::uint32_t burst = 1 + random.below(64);
      for (std::uint32_t i = 0; i < burst; ++i) {
        const std::uint32_t to = random.below(static_cast<std::uint32_t>(targets.size()));
        if (random.below(8) == 0) {
          send(targets[to], Urgent{from, urgent[to]++});
        } else {
          const std::uint64_t number = drops[to]++;
          send(targets[to], Drop{from, number, number % 64 == 0 ? text_of(from, number) : std::string()});
        }
      }
      // The receivers are fewer: let not the memory of the machine be the limit.
      if (!process) {
        std::this_thread::sleep_for(200us);
      } else {
        dawdle(random);
        while (!over(until) && Counted<Drop>::living.load() > 100'000) sleep_for(1ms);
      }
    }
    for (std::size_t to = 0; to < targets.size(); ++to) {
      send(targets[to], Last{from, drops[to], urgent[to]});
      sent_ += drops[to] + urgent[to];
    }
  }

  // A receiver that never reads, and dies in the midst of what several processes send.
  void drown(Clock::time_point until, Random& random) {
    while (!over(until)) {
      auto [victim, end] = spawn_monitor([] { sleep_for(infinity); });
      std::vector<Reference> ends;
      for (int i = 0; i < 3; ++i) {
        ends.push_back(spawn_monitor([victim = victim] {
                         std::uint64_t number = 0;
                         while (alive(victim)) {
                           for (int n = 0; n < 50; ++n) send(victim, Drop{0, ++number, text_of(0, number)});
                           yield();
                         }
                       }).second);
      }
      sleep_for(std::chrono::microseconds(random.below(2000)));
      exit(victim, "kill"_atom);
      kills += 1;
      for (int i = 0; i < 4; ++i) {
        const Down down = receive<Down>();
        if (down.reference == end ? !is_killed(down.reason) : !down.reason.is_normal()) {
          fail("in a flood a process ended with " + format_exit(down.reason));
        }
      }
    }
  }

  Count sent_{0};
};

}  // namespace

std::unique_ptr<Workload> stress::make_floods() { return std::make_unique<Floods>(); }
