// SPDX-License-Identifier: Apache-2.0
//
// A server with a timeout: a session that ends by itself when nothing has refreshed it for a while.
#include <string>
#include <utility>

#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>
#include <coppice/receive.hpp>
using namespace coppice;

class SessionManager : public GenServer<SessionManager> {
 public:
  struct Refresh {};
  explicit SessionManager(std::string id) : id_(std::move(id)) {}
  Init init() { return ok().timeout(idle_limit); }
  Action handle_cast(Refresh) { return noreply().timeout(idle_limit); }
  Action handle_info(Timeout) {
    logger::info("Session {} timed out", id_);
    return stop(ExitReason::normal());
  }

 private:
  static constexpr auto idle_limit = 500ms;  // a real one would be longer: 60s
  std::string id_;
};

int main() {
  return coppice::run([] {
    const auto started = SessionManager::start_monitor("ann");
    const ServerRef<SessionManager> session = started.value();
    for (int i = 0; i < 3; ++i) session.cast(SessionManager::Refresh{});
    println("the session is alive: {}", alive(session));

    const Down down = receive<Down>();
    println("the session has ended: {}", down.reason);
    println("the session is alive: {}", alive(session));
  });
}
