// SPDX-License-Identifier: Apache-2.0
//
// Calls: clients that call servers with all kinds of timeouts, while servers and clients are killed. A server answers at
// once, later through another process, from a wait in its handler, through a call to another server, never (it drops the
// From, or throws, or is killed), or too late. Every call ends once: with the value for its own token, or with a reason
// that fits; some run on their caller's stack; and when a client has made its calls, no message is left with it. Each server that is killed is started again
// by its keeper. Two foreign threads call too.
#include <array>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <coppice/gen_server.hpp>
#include <coppice/timer.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

constexpr std::uint32_t servers = 8;

enum class Way : std::uint8_t { at_once, later, waiting, onwards, dropped, thrown, ended };

struct Reply {
  std::uint64_t token;
  Counted<Reply> counted = {};
};

class Desk;
// Who serves now, for whoever looks.
struct Board {
  std::mutex mutex;
  std::array<ServerRef<Desk>, servers> desks;
  [[nodiscard]] ServerRef<Desk> at(std::uint32_t i);
  void put(std::uint32_t i, const ServerRef<Desk>& desk);
};

class Desk : public GenServer<Desk> {
 public:
  struct Ask {
    using Reply = ::Reply;
    std::uint64_t token;
    Way way;
    std::uint32_t hops;
    Counted<Ask> counted = {};
  };
  struct Simple {  // may be handed off
    using Reply = std::uint64_t;
    std::uint64_t token;
  };
  struct Quick {  // may run on its caller's stack
    using Reply = std::uint64_t;
    static constexpr bool never_waits = true;
    std::uint64_t token;
    bool fails;
    Counted<Quick> counted = {};
  };
  explicit Desk(std::shared_ptr<Board> board) : board_(std::move(board)) {}

  std::uint64_t handle_call(const Simple& simple) { return simple.token + 1; }

  std::uint64_t handle_call(const Quick& quick) {
    if (quick.fails) throw std::runtime_error("thrown by a quick handler");
    return quick.token + 1;
  }

  Action handle_call(Ask ask, From<Reply> from) {
    Random random(ask.token);
    switch (ask.way) {
      case Way::at_once: from.reply({ask.token + 1}); break;
      case Way::later:
        spawn([from = std::move(from), ask, random]() mutable {
          dawdle(random);
          from.reply({ask.token + 1});
        });
        break;
      case Way::waiting:
        sleep_for(std::chrono::microseconds(random.below(300)));
        from.reply({ask.token + 1});
        break;
      case Way::onwards: {
        if (ask.hops == 0) {
          from.reply({ask.token + 1});
          break;
        }
        Ask next = ask;
        next.hops -= 1;
        const Result<Reply> result =
            board_->at(random.below(servers)).try_call(std::move(next), std::chrono::microseconds(random.below(5000)));
        if (result) from.reply({result.value().token});
        break;  // else dropped
      }
      case Way::dropped: break;
      case Way::thrown: throw std::runtime_error("thrown by a handler");
      case Way::ended: return stop("ended by a handler"_atom);
    }
    return noreply();
  }

 private:
  std::shared_ptr<Board> board_;
};

ServerRef<Desk> Board::at(std::uint32_t i) {
  const std::scoped_lock lock(mutex);
  return desks[i];
}
void Board::put(std::uint32_t i, const ServerRef<Desk>& desk) {
  const std::scoped_lock lock(mutex);
  desks[i] = desk;
}

class Calls final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "calls"; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    const auto board = std::make_shared<Board>();
    std::atomic<bool> open{true};
    Crew keepers;
    for (std::uint32_t i = 0; i < servers; ++i) {
      board->put(i, Desk::start(board).value());
      keepers.add([this, i, board, &open, r = Random(random.next())]() mutable { keep(i, *board, board, open, r); });
    }
    Crew crew;
    const std::uint32_t each = setting.scaled(100, 4);
    for (std::uint32_t i = 0; i < each; ++i) {
      crew.add([this, board, until, r = Random(random.next())]() mutable { ask_on(*board, until, r); });
      crew.add([this, board, until, r = Random(random.next())]() mutable { raise_victims(board, until, r); });
    }
    std::vector<std::thread> foreign;
    for (int i = 0; i < 2; ++i) {
      foreign.emplace_back([this, board, until, r = Random(random.next())]() mutable {
        while (!over(until)) ask(*board, r, false);
      });
    }
    note_peak(processes().size());
    crew.wait();
    blocking([&] {
      for (std::thread& thread : foreign) thread.join();
    });
    open = false;
    keepers.wait();
    for (std::uint32_t i = 0; i < servers; ++i) {
      try {
        board->at(i).stop();
      } catch (const Exit& exit) {
        if (exit.cause() != ExitReason("noproc"_atom)) fail("a stop failed with " + format_exit(exit.reason()));
      }
      board->put(i, {});
    }
  }

  void check() override {
    none_left<Reply>("replies");
    none_left<Desk::Ask>("requests");
  }

 private:
  // Kills a server now and then, and starts another one in the place of one that has ended.
  void keep(std::uint32_t i, Board& board, const std::shared_ptr<Board>& shared, const std::atomic<bool>& open,
            Random& random) {
    while (open.load()) {
      const ServerRef<Desk> desk = board.at(i);
      const Reference end = monitor(desk);
      const auto pause = std::chrono::microseconds(random.below(4000));
      const bool ended =
          receive(when([&](const Down& down) { return down.reference == end; }, [](const Down&) { return true; }),
                  after(pause, [] { return false; }));
      if (!ended && random.below(2) == 0) {
        demonitor(end, {.flush = true});
        continue;
      }
      if (!ended) {
        exit(desk, "kill"_atom);
        kills += 1;
        receive(when([&](const Down& down) { return down.reference == end; }, [](const Down&) {}));
      }
      board.put(i, Desk::start(shared).value());
      restarts += 1;
    }
  }

  void ask_on(Board& board, Clock::time_point until, Random& random) {
    while (!over(until)) {
      for (int i = 0; i < 50; ++i) ask(board, random, true);
      nothing_received("a client");
    }
  }

  // Clients that are killed while they call.
  void raise_victims(const std::shared_ptr<Board>& board, Clock::time_point until, Random& random) {
    while (!over(until)) {
      const Random own(random.next());
      const auto [victim, end] = spawn_monitor([this, board, own]() mutable {
        Random r = own;
        for (;;) ask(*board, r, true);
      });
      sleep_for(std::chrono::microseconds(random.below(3000)));
      exit(victim, "kill"_atom);
      kills += 1;
      const Down down = receive<Down>();
      if (!is_killed(down.reason)) fail("a client ended with " + format_exit(down.reason));
    }
  }

  [[nodiscard]] static WaitTime timeout_of(Random& random, bool process) {
    switch (random.below(4)) {
      case 0: return process ? WaitTime(infinity) : WaitTime(60s);
      case 1: return 60s;
      case 2: return std::chrono::microseconds(random.below(2000));
      default: return std::chrono::microseconds(random.below(50));
    }
  }
  [[nodiscard]] static Way way_of(Random& random) {
    const std::uint32_t n = random.below(1000);
    if (n < 400) return Way::at_once;
    if (n < 600) return Way::later;
    if (n < 700) return Way::waiting;
    if (n < 900) return Way::onwards;
    if (n < 996) return Way::dropped;
    return n < 998 ? Way::thrown : Way::ended;
  }

  void ask(Board& board, Random& random, bool process) {
    const ServerRef<Desk> desk = board.at(random.below(servers));
    const std::uint64_t token = random.next();
    const WaitTime timeout = timeout_of(random, process);
    operations += 1;
    if (const std::uint32_t kind = random.below(4); kind < 2) {
      const Result<std::uint64_t> answer = kind == 0
                                               ? desk.try_call(Desk::Simple{token}, timeout)
                                               : desk.try_call(Desk::Quick{token, random.below(1000) < 2}, timeout);
      if (answer) return same("the answer to a simple call", *answer, token + 1);
      return judge(answer.reason());
    }
    Desk::Ask request{token, way_of(random), random.below(4)};
    if (process && random.below(4) == 0) {
      const Request<Reply> asked = desk.send_request(std::move(request));
      const std::optional<Result<Reply>> result = receive_response(asked, timeout);
      if (result) judge(*result, token);
    } else if (random.below(2) == 0) {
      judge(desk.try_call(std::move(request), timeout), token);
    } else {
      try {
        same("the answer to a call", desk.call(std::move(request), timeout).token, token + 1);
      } catch (const Exit& exit) {
        judge(exit.cause());
      }
    }
  }
  static void judge(const Result<Reply>& result, std::uint64_t token) {
    if (!result) return judge(result.reason());
    same("the answer to a call", result.value().token, token + 1);
  }
  static void judge(const ExitReason& reason) {
    const bool fits = reason == ExitReason::timeout() || reason == ExitReason::noproc() || is_killed(reason) ||
                      reason == ExitReason("no_reply"_atom) || reason == ExitReason("ended by a handler"_atom) ||
                      reason.is_normal() || reason.is_exception();
    if (!fits) fail("a call failed with " + format_exit(reason));
  }
};

}  // namespace

std::unique_ptr<Workload> stress::make_calls() { return std::make_unique<Calls>(); }
