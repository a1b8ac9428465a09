// SPDX-License-Identifier: Apache-2.0
//
// What the tests of registries share: their names, a server to put under a key, and starting and stopping.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/registry.hpp>
#include <coppice/supervisor.hpp>

#include "conformance/processes_support.hpp"

namespace conformance::registries {

using Users = Registry<std::string, int>;
using Entry = Users::Entry;
inline constexpr Users::Name users{"Users"};
inline constexpr Users::Name topics{"Topics"};

class Held : public GenServer<Held> {
 public:
  struct Get {
    using Reply = int;
  };
  struct Poke {};
  explicit Held(int value = 0) : value_(value) {}
  int handle_call(Get) const { return value_; }
  void handle_cast(Poke) { ++value_; }
  void handle_info(Poke) { ++value_; }

 private:
  int value_;
};

// A registry for the time of a test; the test's process may be registered in it when it ends.
class Running {
 public:
  explicit Running(Users::Options options) {
    trap_exit(true);
    supervisor_ = Users::start_link(std::move(options)).value();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (!stopped_) stop();
  }
  void stop() {
    stopped_ = true;
    supervisor_.stop();
  }
  [[nodiscard]] Pid pid() const { return supervisor_.pid(); }

 private:
  ServerRef<Supervisor> supervisor_;
  bool stopped_ = false;
};

struct Registered_ {};
// A process that runs `function`, says so and waits for ever.
template <class F>
Pid spawn_registered(F function) {
  const Pid pid = spawn([function, test = self()] {
    function();
    send(test, Registered_{});
    sleep_for(infinity);
  });
  receive<Registered_>();
  return pid;
}

inline bool links_to(const Pid& pid) {
  const std::vector<Pid> links = process_info(self())->links;
  return std::find(links.begin(), links.end(), pid) != links.end();
}
inline std::vector<int> values_of(const std::vector<Entry>& entries) {
  std::vector<int> values;
  for (const Entry& entry : entries) values.push_back(entry.value);
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace conformance::registries
