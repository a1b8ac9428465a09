// SPDX-License-Identifier: Apache-2.0
//
// State that outlives its process, 3: a stash. A second process keeps the last state that was known to be good, and the
// server begins with it. With rest_for_one the stash stands first: it takes the server with it, never the other way
// round. Lost at a crash: what was not stashed. Lost when the stash, its supervisor or the program ends: all.
#include <coppice/agent.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>
using namespace coppice;

inline constexpr Agent<int>::Name stash{"Stash"};

class Sequence : public GenServer<Sequence> {
 public:
  struct Next {
    using Reply = int;
  };
  struct Step {
    int by;
  };
  static constexpr Name<Sequence> name{"Sequence"};
  static constexpr bool trap_exit = true;

  Sequence() : number_(stash.get([](int number) { return number; })) {}
  int handle_call(Next) { return number_ += step_; }
  void handle_cast(Step m) {
    if (m.by <= 0) throw std::runtime_error("a step goes up");
    step_ = m.by;  // not stashed: the default again after a crash
  }
  // Runs also after a throw, but not after a kill. The state is as the handler left it: stash only what cannot be the
  // cause.
  void terminate(const ExitReason&) {
    stash.update([number = number_](int& kept) { kept = number; });
  }

 private:
  int number_;
  int step_ = 1;
};

int main() {
  return coppice::run([] {
    const ChildSpec keeper = child<Agent<int>>({.name = stash}, [] { return 100; });
    Supervisor::start_link({keeper, child<Sequence>()}, {.strategy = Strategy::rest_for_one}).value();
    Sequence::name.cast(Sequence::Step{10});
    print("{}\n", Sequence::name.call(Sequence::Next{}));
    const Pid before = Sequence::name.pid();
    Sequence::name.cast(Sequence::Step{-1});
    while (!Sequence::name.pid() || Sequence::name.pid() == before) sleep_for(1ms);
    print("{}\n", Sequence::name.call(Sequence::Next{}));
  });
}
