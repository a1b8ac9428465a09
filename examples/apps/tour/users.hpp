// SPDX-License-Identifier: Apache-2.0
//
// Users: the cache in front of the database. Functions of the caller's process, which talk to both.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "database.hpp"
#include "user_cache.hpp"

namespace tour::users {

// First to the database, then to the cache: what is in the cache is safe.
void put(const std::string& id, const std::string& name);
[[nodiscard]] std::optional<User> get(const std::string& id);
bool remove(const std::string& id);
// All of them, in the order of their ids. Throws Exit if the database gives no connection.
[[nodiscard]] std::vector<StoredUser> all();

}  // namespace tour::users
