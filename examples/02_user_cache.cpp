// SPDX-License-Identifier: Apache-2.0
//
// A GenServer with more state and several calls. What the calls give back are values: nobody shares the map.
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <coppice/gen_server.hpp>
using namespace coppice;

struct User {
  std::string name;
  int age;
};

class UserCache : public GenServer<UserCache> {
 public:
  struct Put {
    std::string id;
    User user;
  };
  struct Delete {
    std::string id;
  };
  struct Get {
    using Reply = std::optional<User>;
    std::string id;
  };
  struct All {
    using Reply = std::map<std::string, User>;
  };
  static constexpr Name<UserCache> name{"UserCache"};

  void handle_cast(Put m) { users_.insert_or_assign(std::move(m.id), std::move(m.user)); }
  void handle_cast(const Delete& m) { users_.erase(m.id); }
  std::optional<User> handle_call(const Get& m) const;
  std::map<std::string, User> handle_call(All) const { return users_; }

 private:
  std::map<std::string, User> users_;
};

std::optional<User> UserCache::handle_call(const Get& m) const {
  const auto found = users_.find(m.id);
  if (found == users_.end()) return std::nullopt;
  return found->second;
}

int main() {
  return coppice::run([] {
    UserCache::start_link().value();
    UserCache::name.cast(UserCache::Put{"1", {"ann", 41}});
    UserCache::name.cast(UserCache::Put{"2", {"bob", 27}});
    UserCache::name.cast(UserCache::Put{"3", {"cem", 35}});
    UserCache::name.cast(UserCache::Put{"2", {"bob", 28}});
    UserCache::name.cast(UserCache::Delete{"3"});

    // The messages of one sender arrive in order: all of the above has happened when the answer is given.
    println("user 2: {}", UserCache::name.call(UserCache::Get{"2"}));
    println("user 3: {}", UserCache::name.call(UserCache::Get{"3"}));
    for (const auto& [id, user] : UserCache::name.call(UserCache::All{})) {
      println("{}: {}, {} years old", id, user.name, user.age);
    }
  });
}
