// SPDX-License-Identifier: Apache-2.0
#include "users.hpp"

namespace tour::users {

using namespace coppice;

void put(const std::string& id, const std::string& name) {
  Database::name.call(Database::Put{id, name});
  UserCache::name.cast(UserCache::Put{id, User{name}});
}

std::optional<User> get(const std::string& id) {
  if (auto user = UserCache::name.call(UserCache::Get{id})) return user;
  const auto name = database_pool.checkout([&](sqlite::Connection& connection) {
    return connection.query_one<std::string>("select name from users where id = ?", id);
  });
  if (!name) throw Exit(name.reason());
  if (!*name) return std::nullopt;
  UserCache::name.cast(UserCache::Put{id, User{**name}});
  return User{**name};
}

bool remove(const std::string& id) {
  const bool there = Database::name.call(Database::Delete{id});
  UserCache::name.cast(UserCache::Delete{id});
  return there;
}

std::vector<StoredUser> all() {
  auto stored = database_pool.checkout([](sqlite::Connection& connection) {
    return connection.query<StoredUser>("select id, name from users order by id");
  });
  if (!stored) throw Exit(stored.reason());
  return *std::move(stored);
}

}  // namespace tour::users
