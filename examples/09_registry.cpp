// SPDX-License-Identifier: Apache-2.0
//
// Registries: servers under keys of a unique one, publish and subscribe through a duplicate one.
#include <string>
#include <utility>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/registry.hpp>
#include <coppice/supervisor.hpp>
using namespace coppice;

inline constexpr Registry<std::string>::Name sessions{"MyApp.Sessions"};  // Registry<Key, Value> carries a value
inline constexpr Registry<std::string>::Name rooms{"MyApp.Rooms"};

class UserSession : public GenServer<UserSession> {
 public:
  struct Posted {
    std::string text;
  };
  struct Read {
    using Reply = std::vector<std::string>;
  };
  using Messages = coppice::Messages<Posted>;  // what may reach it through a bare Pid or from another node
  static auto start_link(std::string user) { return start_link_as({.name = via<UserSession>(sessions, user)}, user); }
  static Result<> deliver(const std::string& user, std::string text) {
    auto session = sessions.whereis<UserSession>(user);
    if (!session) return error("not_found");
    session->cast(Posted{std::move(text)});
    return {};
  }
  explicit UserSession(std::string user) : user_(std::move(user)) { rooms.register_key("lobby"); }
  void handle_cast(Posted m) { messages_.push_back(std::move(m.text)); }
  void handle_info(Posted m) { messages_.push_back(std::move(m.text)); }
  std::vector<std::string> handle_call(Read) const { return messages_; }

 private:
  std::string user_;
  std::vector<std::string> messages_;
};

int main() {
  return coppice::run([] {
    auto tree = Supervisor::start_link({
                                           child<Registry<std::string>>({.name = sessions}),
                                           child<Registry<std::string>>({.name = rooms, .keys = Keys::duplicate}),
                                           child<UserSession>("ann").id("ann"),
                                           child<UserSession>("bob").id("bob"),
                                       })
                    .value();

    print("ann {}\n", UserSession::deliver("ann", "hello, Ann") ? "found" : "not found");
    print("eve {}\n", UserSession::deliver("eve", "hello, Eve").reason());
    rooms.dispatch("lobby", [&](const auto& entries) {
      for (auto& entry : entries) send(entry.pid, UserSession::Posted{"hello"});
    });
    for (const char* user : {"ann", "bob"}) {
      for (const std::string& text : via<UserSession>(sessions, user).call(UserSession::Read{}))
        print("{}: {}\n", user, text);
    }
    print("a second ann: {}\n", UserSession::start_link("ann") ? "started" : "refused");
    print("in the lobby: {}\n", rooms.lookup("lobby").size());
    (void)Supervisor::terminate_child(tree, "bob");
    print("in the lobby without bob: {}\n", rooms.lookup("lobby").size());
    tree.stop();
  });
}
