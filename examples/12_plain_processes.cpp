// SPDX-License-Identifier: Apache-2.0
//
// Plain processes: spawn, send, selective receive, links and monitors, with nothing on top.
#include <optional>

#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>
#include <coppice/receive.hpp>
using namespace coppice;

struct Ping {
  Pid from;
};
struct Pong {};
struct Watch {
  Pid pid;
  Pid from;
};
struct Watching {};
struct Go {};
struct Note {
  int number;
};

int main() {
  return coppice::run([] {
    Pid echo = spawn_link([] {
      for (;;)
        receive([](const Ping& ping) { send(ping.from, Pong{}); },
                [](const Watch& watch) {
                  (void)monitor(watch.pid);
                  send(watch.from, Watching{});
                },
                when([](const Down& down) { return down.reason != ExitReason::normal(); },
                     [](const Down& down) { logger::warning("{} is gone: {}", down.pid, down.reason); }),
                after(30s, [] { exit(ExitReason::normal()); }));
    });

    send(self(), Note{1});
    send(self(), Note{2});
    send(echo, Ping{self()});
    std::optional<Pong> pong = receive<Pong>(1s);  // selective: other messages stay queued, in order
    println("pong: {}", pong.has_value() ? "came" : "did not come");
    println("note: {}", receive<Note>().number);
    println("note: {}", receive<Note>().number);

    // A process that ends for a reason of its own: those who watch it are told, with the reason.
    Pid worker = spawn([] {
      receive<Go>();
      exit(tuple("out_of"_atom, "paper"_atom));
    });
    send(echo, Watch{worker, self()});
    receive<Watching>();
    (void)monitor(worker);
    send(worker, Go{});
    const Down down = receive<Down>();
    println("{} is gone: {}", down.pid == worker ? "the worker" : "another", down.reason);

    // Linked processes go together: whoever traps exits gets a message instead.
    trap_exit(true);
    exit(echo, ExitReason::shutdown());
    const ExitMessage message = receive<ExitMessage>();
    println("linked process ended: {}, {}", message.pid == echo ? "echo" : "another", message.reason);
  });
}
