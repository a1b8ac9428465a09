// SPDX-License-Identifier: Apache-2.0
//
// What the receiver of an exit signal does: PR-048 to PR-057.
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "conformance/processes_support.hpp"
#include "runtime/core.hpp"

using namespace conformance;

namespace {

struct Go {};
struct Ready {};
struct Got {
  ExitMessage message;
};
struct Probe {};

enum class Outcome { ignored, message, ends };

struct Row {
  ExitReason reason;
  bool by_link;
  Outcome without_trapping;
  ExitReason ends_with;
  Outcome trapping;
};

// The table of PR-048, row by row.
std::vector<Row> table() {
  const ExitReason normal;
  std::vector<Row> rows = {
      {normal, true, Outcome::ignored, normal, Outcome::message},
      {normal, false, Outcome::ignored, normal, Outcome::message},
      {ExitReason::kill(), false, Outcome::ends, ExitReason::killed(), Outcome::ends},
      {ExitReason::kill(), true, Outcome::ends, ExitReason::kill(), Outcome::message},
  };
  const ExitReason others[] = {ExitReason::killed(),   ExitReason::noproc(),          ExitReason::noconnection(),
                               ExitReason::shutdown(), ExitReason::shutdown(Term(1)), ExitReason(tuple(boom, 2))};
  for (const ExitReason& reason : others) {
    for (const bool by_link : {true, false}) rows.push_back({reason, by_link, Outcome::ends, reason, Outcome::message});
  }
  return rows;
}

// Lets a process S give a process P an exit signal, and says what P did.
void check(const Row& row, bool trapping) {
  SCOPED_TRACE(to_string(row.reason) + (row.by_link ? " by link" : " sent") + (trapping ? ", trapping" : ""));
  const Pid me = self();
  const auto [receiver, down] = spawn_monitor([me, trapping] {
    trap_exit(trapping);
    send(me, Ready{});
    for (;;) {
      receive([me](const ExitMessage& message) { send(me, Got{message}); }, [me](const Probe&) { send(me, Probe{}); });
    }
  });
  receive<Ready>();
  const auto [sender, sender_down] = spawn_monitor([pid = receiver, row] {
    receive<Go>();
    if (row.by_link) {
      link(pid);
      throw Exit(row.reason);
    }
    EXPECT_TRUE(exit(pid, row.reason));
  });
  send(sender, Go{});
  await_down(sender_down);
  switch (trapping ? row.trapping : row.without_trapping) {
    case Outcome::ends: EXPECT_EQ(await_reason(down), row.ends_with); break;
    case Outcome::message: {
      const auto got = receive<Got>();
      EXPECT_EQ(got.message.pid, sender);
      EXPECT_EQ(got.message.reason, row.reason);
      finish(receiver);
      await_down(down);
      break;
    }
    case Outcome::ignored:
      send(receiver, Probe{});
      receive<Probe>();
      finish(receiver);
      await_down(down);
      break;
  }
  EXPECT_FALSE(receive<Got>(0s));
}

}  // namespace

BEHAVIOUR_TEST(Processes, PR_048_the_table_of_exit_signals_without_trapping) {
  for (const Row& row : table()) check(row, false);
}

BEHAVIOUR_TEST(Processes, PR_048_the_table_of_exit_signals_with_trapping) {
  for (const Row& row : table()) check(row, true);
}

BEHAVIOUR_TEST(Processes, PR_048_a_process_that_was_killed_shows_killed_which_its_links_can_trap) {
  trap_exit(true);
  const auto [pid, reference] = spawn_link_monitor([] { sleep_for(infinity); });
  exit(pid, ExitReason::kill());
  EXPECT_EQ(receive<ExitMessage>().reason, ExitReason::killed());
  EXPECT_EQ(await_reason(reference), ExitReason::killed());
}

BEHAVIOUR_TEST(Processes, PR_049_a_normal_exit_signal_to_oneself_ends_the_caller) {
  const auto passed = std::make_shared<std::atomic<bool>>(false);
  EXPECT_EQ(reason_of([passed] {
              exit(self(), ExitReason::normal());
              *passed = true;
              throw Exit(boom);
            }),
            ExitReason::normal());
  EXPECT_FALSE(passed->load());
  EXPECT_EQ(reason_of([] {
              trap_exit(true);
              exit(self(), ExitReason::normal());
              const auto message = receive<ExitMessage>();
              throw Exit(message.pid == self() && message.reason.is_normal() ? ExitReason(boom) : message.reason);
            }),
            boom);
}

BEHAVIOUR_TEST(Processes, PR_050_an_exit_signal_to_oneself_acts_before_the_next_statement) {
  const auto passed = std::make_shared<std::atomic<bool>>(false);
  EXPECT_EQ(reason_of([passed] {
              exit(self(), boom);
              *passed = true;
            }),
            boom);
  EXPECT_FALSE(passed->load());
}

BEHAVIOUR_TEST(Processes, PR_051_killing_oneself_works_even_when_trapping) {
  const auto passed = std::make_shared<std::atomic<bool>>(false);
  EXPECT_EQ(reason_of([passed] {
              trap_exit(true);
              exit(self(), ExitReason::kill());
              *passed = true;
            }),
            ExitReason::killed());
  EXPECT_FALSE(passed->load());
}

BEHAVIOUR_TEST(Processes, PR_052_sending_an_exit_returns_true_and_harms_no_dead_pid) {
  trap_exit(true);
  const Pid dead = dead_pid();
  for (const Pid& pid : {dead, Pid{}, remote_pid()}) {
    EXPECT_TRUE(exit(pid, boom));
    EXPECT_TRUE(exit(pid, ExitReason::kill()));
  }
  EXPECT_FALSE(receive<ExitMessage>(0s));
  // Asynchronous: it returns although the receiver does not look.
  const Pid busy = spawn([] {
    trap_exit(true);
    sleep_for(infinity);
  });
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(exit(busy, ExitReason::normal()));
  finish(busy);
}

BEHAVIOUR_TEST(Processes, PR_053_an_exit_signal_needs_no_link) {
  const auto [pid, reference] = spawn_monitor([] { sleep_for(infinity); });
  EXPECT_TRUE(process_info(pid)->links.empty());
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
}

// The receiver must hold still, without taking anything in, between the sending and its own trap_exit: on threads only.
TEST(Processes, PR_054_trapping_is_decided_when_the_signal_is_received) {
  for (const bool traps_at_last : {true, false}) {
    behaviour::on_threads([traps_at_last] {
      const auto started = std::make_shared<std::atomic<bool>>(false);
      const auto sent = std::make_shared<std::atomic<bool>>(false);
      const auto [pid, reference] = spawn_monitor([started, sent, traps_at_last] {
        trap_exit(!traps_at_last);
        *started = true;
        while (!sent->load()) std::this_thread::yield();
        trap_exit(traps_at_last);
        const auto message = receive<ExitMessage>();
        throw Exit(ExitReason(tuple(Atom("trapped"), message.reason)));
      });
      // From a thread of its own: whichever worker the receiver occupies.
      const Pid me = self();
      std::thread sender([&runtime = runtime::core_of(*runtime::current_process()), pid = pid, me, started, sent] {
        const runtime::ThreadActsIn scope(runtime);
        while (!started->load()) std::this_thread::yield();
        exit(pid, boom);
        *sent = true;
        send(me, Ready{});
      });
      receive<Ready>();
      sender.join();
      EXPECT_EQ(await_reason(reference), traps_at_last ? ExitReason(tuple(Atom("trapped"), boom)) : ExitReason(boom));
    });
  }
}

BEHAVIOUR_TEST(Processes, PR_055_switching_trapping_off_leaves_queued_exit_messages) {
  const ExitReason reason = reason_of([] {
    trap_exit(true);
    const Pid child = spawn_link([] { throw Exit(boom); });
    await_end(child);
    while (process_info(self())->message_queue_len == 0) yield();
    trap_exit(false);
    const auto message = receive<ExitMessage>(0s);
    throw Exit(message && message->pid == child && message->reason == boom ? ExitReason(Atom("kept"))
                                                                           : ExitReason(Atom("lost")));
  });
  EXPECT_EQ(reason, Atom("kept"));
}

BEHAVIOUR_TEST(Processes, PR_056_an_exit_message_is_an_ordinary_message) {
  const Pid stranger = dead_pid();
  send(self(), ExitMessage{stranger, boom});  // forged; the receiver does not even trap
  const auto message = receive<ExitMessage>();
  EXPECT_EQ(message.pid, stranger);
  EXPECT_EQ(message.reason, boom);
}

BEHAVIOUR_TEST(Processes, PR_057_a_thrown_exit_can_be_caught) {
  EXPECT_EQ(reason_of([] {
              try {
                throw Exit(boom);
              } catch (const Exit& exit) {
                if (exit.reason() != boom) throw;
              }
              sleep_for(1ms);  // the process lives on, whole
              send(self(), Go{});
              receive<Go>();
            }),
            ExitReason::normal());
}

BEHAVIOUR_TEST(Processes, PR_057_a_sent_exit_signal_cannot_be_caught) {
  const auto caught = std::make_shared<std::atomic<bool>>(false);
  const auto [pid, reference] = spawn_monitor([caught] {
    try {
      sleep_for(infinity);
    } catch (const Exit&) {
      *caught = true;
    } catch (const std::exception&) {
      *caught = true;
    }
  });
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
  EXPECT_FALSE(caught->load());
}

// Ours: coppice::exit ends the process whatever stands around it; `throw Exit(reason)` is the one that may be caught.
BEHAVIOUR_TEST(Processes, PR_057_the_exit_of_oneself_by_function_cannot_be_caught) {
  const auto caught = std::make_shared<std::atomic<bool>>(false);
  const auto waited = std::make_shared<std::atomic<bool>>(false);
  EXPECT_EQ(reason_of([caught, waited] {
              try {
                coppice::exit(boom);
              } catch (const Exit&) {
                *caught = true;
              } catch (const std::exception&) {
                *caught = true;
              } catch (...) {  // may look on
              }
              sleep_for(1ms);
              *waited = true;
            }),
            boom);
  EXPECT_FALSE(caught->load());
  EXPECT_FALSE(waited->load());
}
