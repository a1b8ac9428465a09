// SPDX-License-Identifier: Apache-2.0
//
// What the tests of calls share: a server that does with its callers what it is told, and short waits.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/sys.hpp>

#include "behaviour/behaviour.hpp"

namespace calls {

using namespace coppice;
using namespace std::chrono_literals;

inline const Atom boom{"boom"};

struct Go {};
struct Ready {
  Pid pid;
};
struct Told {
  int index;
  ExitReason reason;
};
struct Terminated {
  ExitReason reason;
};

inline ExitReason await_reason(const Reference& reference) {
  return receive(when([reference](const Down& down) { return down.reference == reference; },
                      [](const Down& down) { return down.reason; }));
}
inline void await_end(const Pid& pid) { await_reason(monitor(pid)); }
inline void kill_and_wait(const Pid& pid) {
  exit(pid, ExitReason::kill());
  await_end(pid);
}
inline std::size_t mailbox_length() { return process_info(self())->message_queue_len; }

inline bool is_exception(const ExitReason& reason, std::string_view message) {
  return reason.is_exception() && reason.exception_message() == message;
}

struct Handed {
  From<int> from;
};
struct Take {};

// Does with its From what it is told.
class Keeper : public GenServer<Keeper> {
 public:
  struct Drop {
    using Reply = int;
  };
  struct Keep {
    using Reply = int;
    Pid test;
  };
  struct HandTo {
    using Reply = int;
    Pid whom;
  };
  struct DropThenFail {
    using Reply = int;
    enum class How { raise, stop, exit } how;
  };
  struct DropThenWait {
    using Reply = int;
    Pid test;
  };
  struct ReplyThenFail {
    using Reply = int;
  };
  struct Forget {};
  struct Stop {
    ExitReason reason;
  };
  struct Fail {};
  struct Ask {
    using Reply = int;
  };

  void handle_call(Drop, From<int>) {}
  void handle_call(Keep message, From<int> from) {
    kept_.push_back(std::move(from));
    send(message.test, Ready{coppice::self()});
  }
  void handle_call(HandTo message, From<int> from) { send(message.whom, Handed{std::move(from)}); }
  Action handle_call(DropThenFail message, From<int> from) {
    { const From<int> dropped = std::move(from); }
    switch (message.how) {
      case DropThenFail::How::raise: throw std::runtime_error("after the drop");
      case DropThenFail::How::stop: return stop(boom);
      case DropThenFail::How::exit: coppice::exit(boom);
    }
    return noreply();
  }
  void handle_call(ReplyThenFail, From<int> from) {
    from.reply(5);
    throw std::runtime_error("after the reply");
  }
  void handle_cast(Forget) { kept_.clear(); }
  Action handle_cast(Stop message) { return stop(message.reason); }
  void handle_cast(Fail) { throw std::runtime_error("failed later"); }
  int handle_call(Ask) const { return static_cast<int>(kept_.size()); }

 private:
  std::vector<From<int>> kept_;
};

// Calls `server` in a process of its own, which sends how that went.
template <class M>
Pid call_aside(const ServerRef<Keeper>& server, M message) {
  return spawn([server, message, me = self()] { send(me, Told{0, server.try_call(message, infinity).reason()}); });
}

}  // namespace calls
