// SPDX-License-Identifier: Apache-2.0
//
// What the tests of handlers that never wait share: a server whose handlers have all promised it, and all ways to break that.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <coppice/blocking.hpp>
#include <coppice/task.hpp>

#include "behaviour/hand_off_support.hpp"
#include "runtime/core.hpp"

namespace in_place {

using namespace calls;

struct Note {
  int number;
};
struct Finished {
  ExitReason reason;
};

// Waits as it is told, within a handler or in a destructor.
enum class Wait {
  receive,
  look,
  sleep,
  call,
  call_nobody,
  start,
  task,
  block,
  hibernate,
  yield,
  checkpoint,
  swallow_once,
  swallow_for_ever,
  in_a_destructor
};
inline void wait(Wait how);
struct WaitsAtItsEnd {
  ~WaitsAtItsEnd() { wait(Wait::sleep); }
};

class Quick : public GenServer<Quick> {
 public:
  struct Add {
    using Reply = int;
    static constexpr bool never_waits = true;
    int value;
  };
  struct SlowGet {
    using Reply = int;
  };
  struct GetWhenTold {
    using Reply = int;
    Pid test;
  };
  struct Do {
    using Reply = int;
    static constexpr bool never_waits = true;
    Wait how;
  };
  struct DoAsCast {
    static constexpr bool never_waits = true;  // of a call only
    Wait how;
  };
  struct Raise {
    using Reply = int;
    static constexpr bool never_waits = true;
    std::string text;
  };
  struct Leave {
    using Reply = int;
    static constexpr bool never_waits = true;
  };
  struct Stop {
    using Reply = int;
    static constexpr bool never_waits = true;
    bool with_reply;
    Pid test;
  };
  struct Continue {
    using Reply = int;
    static constexpr bool never_waits = true;
    Pid test;
  };
  struct Arm {
    using Reply = int;
    static constexpr bool never_waits = true;
    Pid test;
    std::chrono::milliseconds time;
  };
  struct Bad {
    using Reply = int;
    static constexpr bool never_waits = true;
  };
  struct Who {
    using Reply = Pid;
    static constexpr bool never_waits = true;
  };
  struct Remember {
    using Reply = Term;
    static constexpr bool never_waits = true;
    int value;
  };
  struct Tell {
    using Reply = int;
    static constexpr bool never_waits = true;
    Pid whom;
    int count;
  };
  struct KillCaller {
    using Reply = int;
    static constexpr bool never_waits = true;
  };
  struct KillSelf {
    using Reply = int;
    static constexpr bool never_waits = true;
  };
  struct Defer {
    using Reply = int;
    static constexpr bool never_waits = true;
    Pid whom;
  };
  struct Drop {
    using Reply = int;
    static constexpr bool never_waits = true;
  };
  struct ReplyThenRaise {
    using Reply = int;
    static constexpr bool never_waits = true;
  };
  struct Uncaught {
    using Reply = int;
    static constexpr bool never_waits = true;
  };
  struct IsCallerCommitted {  // its wait; no observer could ask so
    using Reply = bool;
    static constexpr bool never_waits = true;
  };

  explicit Quick(Pid test = {}) : test_(test) {}

  int handle_call(Add message) { return sum_ += message.value; }
  int handle_call(SlowGet) {
    yield();
    return sum_;
  }
  int handle_call(GetWhenTold message) {
    send(message.test, Ready{coppice::self()});
    receive<Go>();
    return sum_;
  }
  int handle_call(Do message) {
    wait(message.how);
    return ++sum_;
  }
  void handle_cast(DoAsCast message) {
    wait(message.how);
    ++sum_;
  }
  int handle_call(Raise message) { throw std::runtime_error(message.text); }
  int handle_call(Leave) { exit(Atom("had_enough")); }
  Answer<int> handle_call(Stop message) {
    test_ = message.test;
    if (message.with_reply) return stop(boom, 5);
    return stop(boom);
  }
  Answer<int> handle_call(Continue message) { return reply(1).then(Note{static_cast<int>(message.test.slot() != 0)}); }
  void handle_continue(Note) {
    sleep_for(1ms);  // a continuation has promised nothing
    sum_ += 100;
  }
  Answer<int> handle_call(Arm message) {
    test_ = message.test;
    return reply(1).timeout(message.time);
  }
  Answer<int> handle_call(Bad) { return reply(1).timeout(-1ms); }
  void handle_info(Timeout) { send(test_, Note{sum_}); }
  Pid handle_call(Who) { return coppice::self(); }
  Term handle_call(Remember message) { return dictionary::put("value", message.value); }
  int handle_call(Tell message) {
    for (int i = 0; i < message.count; ++i) send(message.whom, Note{i});
    return message.count;
  }
  void handle_call(KillCaller, From<int> from) {
    coppice::exit(from.pid(), ExitReason::kill());
    from.reply(1);
  }
  int handle_call(KillSelf) {
    coppice::exit(coppice::self(), ExitReason::kill());
    return 1;
  }
  void handle_call(Defer message, From<int> from) { send(message.whom, Handed{std::move(from)}); }
  void handle_call(Drop, From<int>) {}
  void handle_call(ReplyThenRaise, From<int> from) {
    from.reply(3);
    throw std::runtime_error("after the reply");
  }
  int handle_call(Uncaught) { return std::uncaught_exceptions() + (std::current_exception() == nullptr ? 0 : 100); }
  void handle_call(IsCallerCommitted, From<bool> from) {
    runtime::Core& core = runtime::this_worker()->core();
    from.reply((core.table().line(from.pid()).head.load() & runtime::head::waiting) != 0);
  }
  void terminate(const ExitReason& reason) {
    if (!test_) return;
    sleep_for(1ms);  // neither has terminate
    send(test_, Terminated{reason});
  }

 private:
  int sum_ = 0;
  Pid test_;
};

class Forwarder : public GenServer<Forwarder> {
 public:
  struct Ask {
    using Reply = int;
    std::vector<Pid> rest;
  };
  int handle_call(Ask message) {
    if (message.rest.empty()) return 1;
    if (message.rest.size() == 1) return ServerRef<Quick>(message.rest.back()).call(Quick::Add{1}, infinity);
    const ServerRef<Forwarder> next(message.rest.back());
    message.rest.pop_back();
    return 1 + next.call(Ask{std::move(message.rest)}, infinity);
  }
};

inline void wait(Wait how) {
  const auto no_matter = [] {};
  switch (how) {
    case Wait::receive: receive<Go>(); return;
    case Wait::look: (void)receive<Go>(0ms); return;
    case Wait::sleep: sleep_for(1ms); return;
    case Wait::call: (void)ServerRef<Quick>(self()).try_call(Quick::Add{1}, 1s); return;
    case Wait::call_nobody: (void)ServerRef<Quick>(Pid{}).try_call(Quick::Add{1}, 1s); return;
    case Wait::start: (void)Quick::start(); return;
    case Wait::task: (void)Task::async([] { return 1; }).await(); return;
    case Wait::block: blocking(no_matter); return;
    case Wait::hibernate: hibernate(); return;
    case Wait::yield: yield(); return;
    case Wait::checkpoint:
      for (int i = 0; i < 1000; ++i) checkpoint();
      return;
    case Wait::swallow_once: try { receive<Go>();
      } catch (...) {
      }
      return;
    case Wait::swallow_for_ever:
      for (;;) {
        try {
          receive<Go>();
        } catch (...) {
        }
      }
    case Wait::in_a_destructor: {
      const WaitsAtItsEnd last;
      throw std::runtime_error("thrown by the handler");
    }
  }
}

}  // namespace in_place
