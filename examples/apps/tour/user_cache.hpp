// SPDX-License-Identifier: Apache-2.0
//
// UserCache: users by their id, as far as they were asked for. Whoever asks gets values of his own; nothing is shared.
// What it loses in a crash is in the database: see users.hpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include <coppice/gen_server.hpp>

#include "farewell.hpp"

namespace tour {

struct User {
  std::string name;
};

class UserCache : public coppice::GenServer<UserCache> {
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
  static constexpr coppice::Name<UserCache> name{"UserCache"};

  void handle_cast(Put m) { users_.insert_or_assign(std::move(m.id), std::move(m.user)); }
  void handle_cast(const Delete& m) { users_.erase(m.id); }
  std::optional<User> handle_call(const Get& m) const {
    const auto found = users_.find(m.id);
    if (found == users_.end()) return std::nullopt;
    return found->second;
  }
  std::map<std::string, User> handle_call(All) const { return users_; }

 private:
  std::map<std::string, User> users_;
  Farewell farewell_{"UserCache"};
};

}  // namespace tour
