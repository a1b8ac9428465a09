// SPDX-License-Identifier: Apache-2.0
//
// SQLite for processes: values, errors, transactions, and what a kill leaves behind.
#if __has_include(<sqlite3.h>)
#include <coppice/adapter/sqlite.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <unistd.h>

#include <coppice/pool.hpp>

#include "behaviour/behaviour.hpp"

using namespace coppice;
using sqlite::Connection;
using sqlite::DatabaseError;
using sqlite::ErrorKind;

namespace {
inline namespace sqlite_probe {

// A directory of its own for a test, removed at its end.
struct Directory {
  std::filesystem::path path;
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "coppice-sqlite-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file(const char* name) const { return (path / name).string(); }
};

struct User {
  std::string name;
  std::optional<int> age;
};

template <class F>
ErrorKind kind_of(F&& function) {
  try {
    function();
  } catch (const DatabaseError& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::error;
}

Connection with_users() {
  Connection db(":memory:");
  db.execute("create table users (name text primary key, age integer)");
  db.execute("insert into users values (?, ?)", "Ann", 42);
  db.execute("insert into users values (?, ?)", std::string("Bob"), std::nullopt);
  return db;
}
int count(Connection& db) { return db.query_one<int>("select count(*) from users").value(); }

struct Ready {};

}  // namespace sqlite_probe
}  // namespace

BEHAVIOUR_TEST(Sqlite, rows_are_read_as_aggregates_tuples_and_single_values) {
  Connection db = with_users();
  const auto users = db.query<User>("select name, age from users order by name");
  ASSERT_EQ(users.size(), 2u);
  EXPECT_EQ(users[0].name, "Ann");
  EXPECT_EQ(users[0].age, 42);
  EXPECT_EQ(users[1].age, std::nullopt);
  const auto pairs = db.query<std::tuple<std::string, bool>>("select name, age is null from users order by name");
  EXPECT_EQ(pairs[1], std::tuple("Bob", true));
  EXPECT_EQ(db.query_one<std::string>("select name from users where age > ?", 18), "Ann");
  EXPECT_EQ(db.query_one<std::string>("select name from users where age > ?", 50), std::nullopt);
}

BEHAVIOUR_TEST(Sqlite, every_kind_of_value_comes_back_as_it_was) {
  Connection db(":memory:");
  db.execute("create table t (v)");
  const std::string text("with a \0 in it, and \xC3\xA9", 20);
  const sqlite::Blob blob{std::byte{0}, std::byte{255}, std::byte{7}};
  const auto there_and_back = [&]<class T>(const T& value) {
    db.execute("delete from t");
    db.execute("insert into t values (?)", value);
    return db.query_one<T>("select v from t").value();
  };
  EXPECT_EQ(there_and_back(std::int64_t{INT64_MIN}), INT64_MIN);
  EXPECT_EQ(there_and_back(std::uint32_t{4'000'000'000}), 4'000'000'000u);
  EXPECT_EQ(there_and_back(true), true);
  EXPECT_EQ(there_and_back(0.1), 0.1);
  EXPECT_EQ(there_and_back(text), text);
  EXPECT_EQ(there_and_back(std::string()), "");
  EXPECT_EQ(there_and_back(blob), blob);
  EXPECT_EQ(there_and_back(sqlite::Blob()), sqlite::Blob());
  EXPECT_EQ(there_and_back(std::optional<int>()), std::nullopt);
  EXPECT_EQ(there_and_back(sqlite::Value(1.5)), sqlite::Value(1.5));
}

BEHAVIOUR_TEST(Sqlite, execute_tells_how_many_rows_it_has_changed) {
  Connection db = with_users();
  EXPECT_EQ(db.execute("update users set age = 1"), 2);
  EXPECT_EQ(db.execute("delete from users where name = ?", "Ann"), 1);
  EXPECT_EQ(db.execute("select * from users"), 0);
}

BEHAVIOUR_TEST(Sqlite, errors_carry_their_kind_their_code_and_the_statement) {
  Connection db = with_users();
  try {
    db.execute("insert into users values (?, ?)", "Ann", 1);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DatabaseError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::constraint);
    EXPECT_EQ(error.code() & 0xff, 19);
    EXPECT_EQ(error.statement(), "insert into users values (?, ?)");
    EXPECT_NE(std::string(error.what()).find("UNIQUE"), std::string::npos) << error.what();
  }
  EXPECT_EQ(kind_of([&] { db.execute("selec 1"); }), ErrorKind::error);
  EXPECT_EQ(kind_of([&] { db.execute("select ?"); }), ErrorKind::error);
  EXPECT_EQ(kind_of([&] { db.execute("select 1; select 2"); }), ErrorKind::error);
  EXPECT_EQ(kind_of([&] { (void)db.query<int>("select 1, 2"); }), ErrorKind::error);
  EXPECT_EQ(kind_of([&] { (void)db.query<int>("select 'text'"); }), ErrorKind::error);
  EXPECT_EQ(kind_of([&] { (void)db.query<int>("select null"); }), ErrorKind::error);
  EXPECT_EQ(kind_of([&] { (void)db.query<std::uint8_t>("select 256"); }), ErrorKind::error);
  EXPECT_EQ(kind_of([] { Connection("/no/such/directory/x.db"); }), ErrorKind::cannot_open);
  EXPECT_EQ(count(db), 2);  // and it goes on
}

BEHAVIOUR_TEST(Sqlite, limits_are_errors) {
  Connection db(":memory:", {.rows_max = 3, .value_max = 1000});
  EXPECT_EQ(kind_of([&] { db.execute("select ?", std::string(2000, 'x')); }), ErrorKind::too_big);
  EXPECT_EQ(kind_of([&] { db.execute("select '" + std::string(2'000'000, 'x') + "'"); }), ErrorKind::too_big);
  const std::string four =
      "with recursive n(i) as (select 1 union all select i + 1 from n where i < 4) select i from n";
  EXPECT_EQ(kind_of([&] { (void)db.query<int>(four); }), ErrorKind::too_big);
  EXPECT_EQ(db.query_one<int>(four), 1);
}

TEST(SqliteOnThreads, a_statement_that_runs_too_long_is_interrupted) {
  behaviour::on_threads([] {
    Connection db(":memory:", {.statement_timeout = 20ms});
    const char* endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    EXPECT_EQ(kind_of([&] { db.execute(endless); }), ErrorKind::interrupted);
    EXPECT_EQ(db.query_one<int>("select 1"), 1);
  });
}

BEHAVIOUR_TEST(Sqlite, a_transaction_is_all_or_nothing) {
  Connection db = with_users();
  EXPECT_EQ(db.transaction([&] { return db.execute("delete from users"); }), 2);
  EXPECT_EQ(count(db), 0);
  EXPECT_THROW(db.transaction([&] {
    db.execute("insert into users values ('Cid', 1)");
    throw std::runtime_error("boom");
  }),
               std::runtime_error);
  EXPECT_FALSE(db.in_transaction());
  EXPECT_EQ(count(db), 0);
}

BEHAVIOUR_TEST(Sqlite, a_transaction_in_a_transaction_is_undone_alone) {
  Connection db = with_users();
  db.transaction([&] {
    db.execute("insert into users values ('Cid', 1)");
    try {
      db.transaction([&] {
        db.execute("delete from users");
        throw std::runtime_error("boom");
      });
    } catch (const std::runtime_error&) {
    }
    db.transaction([&] { db.execute("insert into users values ('Dan', 1)"); });
  });
  EXPECT_EQ(count(db), 4);
}

BEHAVIOUR_TEST(Sqlite, a_process_that_exits_or_is_killed_in_a_transaction_rolls_back) {
  const auto db = std::make_shared<Connection>(with_users());
  const Pid me = self();
  const auto [exiting, first] = spawn_monitor([db] {
    db->transaction([&] {
      db->execute("delete from users");
      exit("enough"_atom);
    });
  });
  EXPECT_EQ(receive<Down>().pid, exiting);
  EXPECT_FALSE(db->in_transaction());
  EXPECT_EQ(count(*db), 2);
  const auto [killed, second] = spawn_monitor([db, me] {
    db->transaction([&] {
      db->execute("delete from users");
      send(me, Ready{});
      receive<Ready>();
    });
  });
  receive<Ready>();
  exit(killed, ExitReason::kill());
  EXPECT_EQ(receive<Down>().pid, killed);
  EXPECT_FALSE(db->in_transaction());
  EXPECT_EQ(count(*db), 2);
  (void)first, (void)second;
}

BEHAVIOUR_TEST(Sqlite, wherever_a_kill_hits_the_database_is_whole) {
  const auto db = std::make_shared<Connection>(with_users());
  for (int pause = 0; pause < 8; ++pause) {
    const auto [pid, watch] = spawn_monitor([db] {
      for (;;) {
        db->transaction([&] {
          db->execute("delete from users");
          db->execute("insert into users values ('Ann', 1), ('Bob', 2)");
        });
      }
    });
    for (int i = 0; i < pause; ++i) yield();
    exit(pid, ExitReason::kill());
    EXPECT_EQ(receive<Down>().reference, watch);
    EXPECT_FALSE(db->in_transaction());
    EXPECT_EQ(count(*db), 2);
  }
}

BEHAVIOUR_TEST(Sqlite, a_second_user_of_a_connection_is_refused) {
  struct Stop {};
  const auto db = std::make_shared<Connection>(":memory:");
  const Pid me = self();
  // Many processes at once: whoever comes while another is in it gets badarg, and nothing breaks.
  for (int i = 0; i < 6; ++i) {
    (void)spawn([db, me] {
      bool sound = true;
      for (int j = 0; j < 5; ++j) {
        try {
          sound = sound && db->query_one<int>("select 7") == 7;
        } catch (const Exit& exit) {
          sound = sound && exit.reason().term().is_tuple(2);
        }
      }
      send(me, sound);
    });
  }
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(receive<bool>());
}

BEHAVIOUR_TEST(Sqlite, a_connection_that_was_moved_from_is_no_connection) {
  Connection first(":memory:");
  Connection second(std::move(first));
  EXPECT_TRUE(second.is_alive());
  EXPECT_THROW(first.execute("select 1"), Exit);  // NOLINT: on purpose
}

TEST(SqliteFiles, the_work_of_one_connection_is_seen_by_the_next_and_by_a_foreign_thread) {
  const Directory directory;
  behaviour::on_threads([&] {
    const std::string file = directory.file("shop.db");
    Connection(file).execute_script(
        "create table users (name text, age integer); insert into users values ('Ann', 1);");
    Connection again(file, {.mode = sqlite::Mode::read_only});
    EXPECT_EQ(count(again), 1);
    EXPECT_EQ(kind_of([&] { again.execute("delete from users"); }), ErrorKind::read_only);
    int seen = 0;
    std::thread([&] {
      Connection elsewhere(file);
      seen = count(elsewhere);
    }).join();
    EXPECT_EQ(seen, 1);
  });
}

TEST(SqliteFiles, a_lock_of_somebody_else_is_busy_after_its_time) {
  const Directory directory;
  behaviour::on_threads([&] {
    Connection one(directory.file("shop.db"));
    Connection other(directory.file("shop.db"), {.busy_timeout = 1ms});
    one.execute("create table users (name text)");
    one.transaction([&] {
      one.execute("insert into users values ('Ann')");
      EXPECT_EQ(kind_of([&] { other.execute("insert into users values ('Bob')"); }), ErrorKind::busy);
      EXPECT_EQ(count(other), 0);  // readers go on
    });
    EXPECT_EQ(count(other), 1);
  });
}

TEST(SqliteFiles, a_full_disk_is_an_error_that_loses_nothing) {
  const Directory directory;
  behaviour::on_threads([&] {
    Connection db(directory.file("small.db"), {.max_pages = 8});
    db.execute("create table users (name text)");
    const std::string page(3000, 'x');
    int stored = 0;
    const ErrorKind kind = kind_of([&] {
      for (;; ++stored) db.execute("insert into users values (?)", page);
    });
    EXPECT_EQ(kind, ErrorKind::full);
    EXPECT_GT(stored, 0);
    EXPECT_EQ(count(db), stored);
    // In a transaction the whole of it is undone.
    EXPECT_EQ(kind_of([&] {
                db.transaction([&] {
                  for (int i = 0; i < 9; ++i) db.execute("insert into users values (?)", page);
                });
              }),
              ErrorKind::full);
    EXPECT_FALSE(db.in_transaction());
    EXPECT_EQ(count(db), stored);
    EXPECT_EQ(db.query_one<std::string>("pragma integrity_check"), "ok");
    db.execute("delete from users");
    db.execute("insert into users values ('Ann')");  // there is space again
    EXPECT_EQ(count(db), 1);
  });
}

TEST(SqliteFiles, a_damaged_file_is_an_error_and_is_left_as_it_is) {
  const Directory directory;
  const std::string file = directory.file("shop.db");
  std::ofstream(file) << std::string(8192, '?');
  const auto before = std::filesystem::last_write_time(file);
  behaviour::on_threads([&] { EXPECT_EQ(kind_of([&] { Connection{file}; }), ErrorKind::not_a_database); });
  EXPECT_EQ(std::filesystem::last_write_time(file), before);
  EXPECT_EQ(std::filesystem::file_size(file), 8192u);
}

BEHAVIOUR_TEST(Sqlite, connections_are_pooled) {
  static constexpr Pool<Connection>::Name db{"SqliteTest.Db"};
  Pool<Connection>::start_link({.name = db, .size = 2, .is_alive = &Connection::is_alive}, [] {
    return Connection(":memory:");
  }).value();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(db.checkout(infinity, [](Connection& c) { return c.query_one<int>("select 7").value(); }).value(), 7);
  }
  EXPECT_EQ(db.info().discarded, 0u);
  db.stop();
}
#endif
