// SPDX-License-Identifier: Apache-2.0
//
// A connection that is made again when it is lost, with longer and longer pauses. Requests that come meanwhile wait.
#include <coppice/print.hpp>
#include <coppice/runtime.hpp>
#include <coppice/state_machine.hpp>

#include <string>
#include <variant>

using namespace coppice;

struct Disconnected {};
struct Connected {
  int session = 0;
};

class Connection : public StateMachine<Connection, std::variant<Disconnected, Connected>> {
 public:
  using State = std::variant<Disconnected, Connected>;
  struct Connect {};
  struct Lost {};
  struct Query {
    using Reply = std::string;
    std::string text;
  };

  // `fails`: how often the other side refuses before it lets us in.
  explicit Connection(int fails) : fails_(fails) {}
  Init init() { return ok(Disconnected{}).next_event(Connect{}); }

  Transition handle_internal(Connect) { return try_to_connect(1); }
  Transition handle_state_timeout(Disconnected&, Connect) { return try_to_connect(2 * pause_); }

  Transition handle_info(Connected&, Lost) {
    print("connection lost\n");
    fails_ = 1;
    return next_state(Disconnected{}).next_event(Connect{});
  }
  void handle_info(Disconnected&, Lost) {}

  Transition handle_call(Disconnected&, const Query&, From<std::string>&) { return keep_state().postpone(); }
  Transition handle_call(Connected& now, const Query& query, From<std::string>& from) {
    return keep_state().reply(from, query.text + " in session " + std::to_string(now.session));
  }

 private:
  Transition try_to_connect(int next_pause) {
    pause_ = next_pause;
    if (fails_-- > 0) {
      print("refused, next attempt in {} ms\n", pause_);
      return keep_state().state_timeout(std::chrono::milliseconds(pause_), Connect{});
    }
    print("connected\n");
    return next_state(Connected{++sessions_});
  }
  int fails_;
  int pause_ = 0;
  int sessions_ = 0;
};

int main() {
  return coppice::run([] {
    auto connection = Connection::start_link(3).value();
    print("{}\n", connection.call(Connection::Query{"first query"}));
    send(connection, Connection::Lost{});
    print("{}\n", connection.call(Connection::Query{"second query"}));
    connection.stop();
  });
}
