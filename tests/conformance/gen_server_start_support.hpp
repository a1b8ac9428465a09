// SPDX-License-Identifier: Apache-2.0
//
// What the tests of starting, addressing and calling servers share: a server whose start is a script of the test, a
// witness that hears the end of a process which is still starting, and short ways to say what a call ended with.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/sys.hpp>

#include "conformance/processes_support.hpp"

namespace conformance {

// From a process that starts: here it is, and it waits for Go.
struct Born {
  Pid pid;
};
struct Go {};
struct Ended {
  ExitReason reason;
};
struct Terminated {
  ExitReason reason;
};

// A server whose init is `script`; terminate tells the owner.
class Scripted : public GenServer<Scripted> {
 public:
  using Init = GenServer<Scripted>::Init;
  using GenServer<Scripted>::ok;
  using GenServer<Scripted>::ignore;
  using GenServer<Scripted>::stop;
  using Script = std::function<Init()>;
  struct Who {
    using Reply = Pid;
  };

  Scripted(const Pid& owner, Script script) : owner_(owner), script_(std::move(script)) {}
  Init init() { return script_(); }
  Pid handle_call(Who) { return coppice::self(); }
  void terminate(const ExitReason& reason) { send(owner_, Terminated{reason}); }

 private:
  Pid owner_;
  Script script_;
};

// Sends the owner an Ended with the reason for which the next process ends that calls report_to it.
class Witness {
 public:
  Witness() {
    pid_ = spawn([me = self()] {
      const Born born = receive<Born>();
      const Reference reference = monitor(born.pid);
      send(born.pid, Go{});
      send(me, Ended{await_reason(reference)});
    });
  }
  // In the process that is watched from now on.
  static void report_to(const Pid& witness) {
    send(witness, Born{self()});
    receive<Go>();
  }
  [[nodiscard]] const Pid& pid() const { return pid_; }
  [[nodiscard]] static ExitReason reason() { return receive<Ended>().reason; }

 private:
  Pid pid_;
};

// `{cause, {GenServer, :call, [server, request, timeout]}}`.
inline ExitReason call_failure(const ExitReason& cause, const Term& server, const Term& request, const Term& timeout) {
  return ExitReason(tuple(cause, tuple(Atom("Elixir.GenServer"), Atom("call"), list(server, request, timeout))));
}

// The Exit that `function` throws; fails the test if it throws none.
template <class F>
Exit exit_of(F function) {
  try {
    function();
  } catch (const Exit& exit) {
    return exit;
  }
  ADD_FAILURE() << "no Exit was thrown";
  return Exit(ExitReason(Atom("no_exit_was_thrown")));
}

// Is the reason an exception with this message?
inline bool is_exception(const ExitReason& reason, std::string_view message) {
  return reason.is_exception() && reason.exception_message() == message;
}

// {:badarg, text}, whatever the text.
inline bool is_badarg(const ExitReason& reason) {
  const Term term = reason.term();
  return term.is_tuple(2) && term[0] == Term(Atom("badarg"));
}

// Messages in the caller's mailbox.
inline std::size_t mailbox_length() { return process_info(self())->message_queue_len; }

// A via module of the test: a list, and a process for each entry that removes it when the named process has ended.
class Directory final : public ViaModule {
 public:
  bool register_name(const Term& name, const Pid& pid) override {
    {
      const std::lock_guard lock(entries_->mutex);
      registrars.push_back(self());
      for (const auto& [known, holder] : entries_->list) {
        if (known == name) return false;
      }
      entries_->list.emplace_back(name, pid);
    }
    spawn([entries = entries_, name, pid] {  // may outlive this object
      await_end(pid);
      forget(*entries, name, pid);
    });
    return true;
  }
  void unregister_name(const Term& name) override {
    ++unregistered;
    forget(*entries_, name, whereis_name(name));
  }
  Pid whereis_name(const Term& name) override {
    const std::lock_guard lock(entries_->mutex);
    for (const auto& [known, holder] : entries_->list) {
      if (known == name) return holder;
    }
    return {};
  }

  std::vector<Pid> registrars;  // who called register_name
  int unregistered = 0;

 private:
  struct Entries {
    std::mutex mutex;
    std::vector<std::pair<Term, Pid>> list;
  };
  static void forget(Entries& entries, const Term& name, const Pid& pid) {
    const std::lock_guard lock(entries.mutex);
    std::erase_if(entries.list, [&](const auto& entry) { return entry.first == name && entry.second == pid; });
  }
  std::shared_ptr<Entries> entries_ = std::make_shared<Entries>();
};

}  // namespace conformance
