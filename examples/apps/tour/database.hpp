// SPDX-License-Identifier: Apache-2.0
//
// The database: a file of SQLite. All writes go through one server, which owns a connection; readers borrow one of a few
// from a pool and never disturb each other.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <coppice/adapter/sqlite.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/pool.hpp>

#include "farewell.hpp"

namespace tour {

struct StoredUser {
  std::string id;
  std::string name;
};

// Owns the connection that writes, and sees to it that the tables are there.
class Database : public coppice::GenServer<Database> {
 public:
  struct Put {
    using Reply = coppice::Ok;
    std::string id;
    std::string name;
  };
  struct Delete {
    using Reply = bool;  // whether it was there
    std::string id;
  };
  static constexpr coppice::Name<Database> name{"Database"};

  explicit Database(const std::string& path) : connection_(path) {
    connection_.execute_script("create table if not exists users(id text primary key, name text not null)");
  }
  coppice::Ok handle_call(const Put& m) {
    connection_.execute("insert into users(id, name) values (?, ?) on conflict(id) do update set name = excluded.name",
                        m.id, m.name);
    return {};
  }
  bool handle_call(const Delete& m) { return connection_.execute("delete from users where id = ?", m.id) != 0; }

 private:
  coppice::sqlite::Connection connection_;
  Farewell farewell_{"Database"};
};

inline constexpr coppice::Pool<coppice::sqlite::Connection>::Name database_pool{"DatabasePool"};

}  // namespace tour
