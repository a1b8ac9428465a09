// SPDX-License-Identifier: Apache-2.0
//
// A connection. All that may touch the disk goes through use(), which makes sure that one user at a time is in it and
// moves the work off the scheduler. How deep the transaction is stands in the Handle and changes in the same step as
// the database, so that whoever unwinds, wherever a kill has hit, sees what is open.
#include <coppice/adapter/sqlite.hpp>

#include <sqlite3.h>

#include <atomic>
#include <limits>
#include <list>
#include <unordered_map>

#include <coppice/blocking.hpp>

namespace coppice {
inline namespace v1 {
namespace sqlite {
namespace {

constexpr int statement_max = 1'000'000;
constexpr std::size_t cached_max = 64;

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ErrorKind::busy;
    case SQLITE_CONSTRAINT: return ErrorKind::constraint;
    case SQLITE_FULL: return ErrorKind::full;
    case SQLITE_CORRUPT: return ErrorKind::corrupt;
    case SQLITE_NOTADB: return ErrorKind::not_a_database;
    case SQLITE_CANTOPEN: return ErrorKind::cannot_open;
    case SQLITE_READONLY:
    case SQLITE_PERM: return ErrorKind::read_only;
    case SQLITE_IOERR: return ErrorKind::io;
    case SQLITE_INTERRUPT: return ErrorKind::interrupted;
    case SQLITE_TOOBIG: return ErrorKind::too_big;
    default: return ErrorKind::error;
  }
}

// A prepared statement at rest: reset, nothing bound.
struct Prepared {
  sqlite3_stmt* statement = nullptr;
  explicit Prepared(sqlite3_stmt* s) : statement(s) {}
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;
  ~Prepared() { sqlite3_finalize(statement); }
};
struct Resting {
  sqlite3_stmt* statement;
  ~Resting() {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  }
};

}  // namespace

namespace detail {

struct Handle {
  sqlite3* database = nullptr;
  std::string path;
  ConnectionOptions options;
  std::atomic<bool> in_use{false};
  int depth = 0;                                   // of transactions
  std::chrono::steady_clock::time_point deadline;  // of the statement that runs
  using Cached = std::pair<std::string, Prepared>;
  std::list<Cached> cache;                                                   // used last first
  std::unordered_map<std::string_view, std::list<Cached>::iterator> cached;  // the keys lie in the list

  ~Handle() {
    cached.clear();
    cache.clear();
    sqlite3_close_v2(database);
  }

  [[noreturn]] void fail(int code, std::string_view statement) const {
    const std::string what = database == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(database);
    throw DatabaseError(kind_of(code), code, path + ": " + what, std::string(statement));
  }
  void check(int code, std::string_view statement) const {
    if (code != SQLITE_OK) fail(code, statement);
  }

  sqlite3_stmt* prepare(std::string_view text) {
    if (const auto found = cached.find(text); found != cached.end()) {
      cache.splice(cache.begin(), cache, found->second);
      return found->second->second.statement;
    }
    if (text.size() > static_cast<std::size_t>(statement_max)) {
      throw DatabaseError(ErrorKind::too_big, 0, path + ": a statement of more than 1 MB",
                          std::string(text.substr(0, 80)));
    }
    sqlite3_stmt* statement = nullptr;
    const char* tail = nullptr;
    check(sqlite3_prepare_v3(database, text.data(), static_cast<int>(text.size()), SQLITE_PREPARE_PERSISTENT,
                             &statement, &tail),
          text);
    const std::string_view rest = text.substr(static_cast<std::size_t>(tail - text.data()));
    if (statement == nullptr || rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
      sqlite3_finalize(statement);
      throw DatabaseError(
          ErrorKind::error, 0,
          path + (statement == nullptr ? ": an empty statement" : ": more than one statement; see execute_script"),
          std::string(text));
    }
    cache.emplace_front(std::piecewise_construct, std::forward_as_tuple(text), std::forward_as_tuple(statement));
    cached.emplace(cache.front().first, cache.begin());
    if (cache.size() > cached_max) {
      cached.erase(cache.back().first);
      cache.pop_back();
    }
    return statement;
  }

  void bind(sqlite3_stmt* statement, std::span<const Value> values, std::string_view text) const {
    const int wanted = sqlite3_bind_parameter_count(statement);
    if (static_cast<std::size_t>(wanted) != values.size()) {
      throw DatabaseError(ErrorKind::error, 0,
                          path + ": the statement has " + std::to_string(wanted) + " parameters, but there are " +
                              std::to_string(values.size()) + " arguments",
                          std::string(text));
    }
    for (std::size_t i = 0; i < values.size(); ++i)
      check(bind_one(statement, static_cast<int>(i) + 1, values[i]), text);
  }
  static int bind_one(sqlite3_stmt* statement, int at, const Value& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return sqlite3_bind_int64(statement, at, *integer);
    if (const auto* real = std::get_if<double>(&value)) return sqlite3_bind_double(statement, at, *real);
    if (const auto* text = std::get_if<std::string>(&value)) {  // it outlives the statement's run
      return sqlite3_bind_text64(statement, at, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    if (const auto* blob = std::get_if<Blob>(&value)) {
      if (blob->empty()) return sqlite3_bind_zeroblob(statement, at, 0);
      return sqlite3_bind_blob64(statement, at, blob->data(), blob->size(), SQLITE_STATIC);
    }
    return sqlite3_bind_null(statement, at);
  }

  // True if there is a row.
  bool step(sqlite3_stmt* statement, std::string_view text) const {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) fail(code, text);
    return false;
  }
  static Value read(sqlite3_stmt* statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
      case SQLITE_INTEGER: return static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
      case SQLITE_FLOAT: return sqlite3_column_double(statement, column);
      case SQLITE_TEXT: {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
        return std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
      }
      case SQLITE_BLOB: {
        const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement, column));
        return Blob(bytes, bytes + sqlite3_column_bytes(statement, column));
      }
      default: return {};
    }
  }

  // Runs one statement and hands each row to `row(statement)` until that says no; returns how many rows it has changed.
  template <class OnRow>
  std::int64_t run(std::string_view text, std::span<const Value> values, OnRow&& row) {
    sqlite3_stmt* statement = prepare(text);
    const Resting resting{statement};
    bind(statement, values, text);
    start_clock();
    const std::int64_t before = sqlite3_total_changes64(database);
    while (step(statement, text)) {
      if (!row(statement)) break;
    }
    return sqlite3_stmt_readonly(statement) != 0 ? 0 : sqlite3_total_changes64(database) - before;
  }
  void run(std::string_view text) {
    run(text, {}, [](sqlite3_stmt*) { return true; });
  }
  void start_clock() {
    if (options.statement_timeout.count() > 0) deadline = std::chrono::steady_clock::now() + options.statement_timeout;
  }
  static int ask_clock(void* handle) {
    return std::chrono::steady_clock::now() > static_cast<Handle*>(handle)->deadline ? 1 : 0;
  }

  // Undoes what is open beyond `wanted`. Never throws: what cannot be undone is undone when the connection closes.
  void roll_back_to(int wanted) noexcept {
    if (depth <= wanted) return;
    deadline = std::chrono::steady_clock::time_point::max();
    if (sqlite3_get_autocommit(database) != 0) {  // SQLite has rolled back by itself
      depth = 0;
      return;
    }
    const std::string undo =
        wanted == 0 ? "ROLLBACK"
                    : "ROLLBACK TO coppice_" + std::to_string(wanted) + "; RELEASE coppice_" + std::to_string(wanted);
    sqlite3_exec(database, undo.c_str(), nullptr, nullptr, nullptr);
    depth = wanted;
  }
};

void CloseHandle::operator()(Handle* handle) const noexcept { delete handle; }

void throw_mismatch(std::size_t column, const char* wanted, const Value& found) {
  static constexpr const char* names[] = {"NULL", "an integer", "a double", "text", "a blob"};
  throw DatabaseError(
      ErrorKind::error, 0,
      "column " + std::to_string(column + 1) + " holds " + names[found.index()] + ", wanted is " + wanted);
}
void throw_wrong_columns(std::size_t wanted, std::size_t found) {
  throw DatabaseError(ErrorKind::error, 0,
                      "a row has " + std::to_string(found) + " columns, wanted are " + std::to_string(wanted));
}

}  // namespace detail

namespace {

using detail::Handle;

struct InUse {
  Handle& handle;
  explicit InUse(Handle* h) : handle(require(h)) {
    if (handle.in_use.exchange(true, std::memory_order_acquire)) {
      coppice::detail::throw_badarg("sqlite::Connection: another process is using this connection");
    }
  }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;
  ~InUse() { handle.in_use.store(false, std::memory_order_release); }

 private:
  static Handle& require(Handle* h) {
    if (h == nullptr) coppice::detail::throw_badarg("sqlite::Connection: this connection was moved from");
    return *h;
  }
};

template <class F>
auto use(Handle* handle, F&& work) {
  const InUse in_use(handle);
  return may_block([&] { return work(in_use.handle); });
}

void open(Handle& handle) {
  const ConnectionOptions& options = handle.options;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (options.mode) {
    case Mode::read_only: flags |= SQLITE_OPEN_READONLY; break;
    case Mode::read_write: flags |= SQLITE_OPEN_READWRITE; break;
    case Mode::read_write_create: flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE; break;
  }
  handle.check(sqlite3_open_v2(handle.path.c_str(), &handle.database, flags, nullptr), "open");
  sqlite3_busy_timeout(handle.database, static_cast<int>(options.busy_timeout.count()));
  sqlite3_limit(handle.database, SQLITE_LIMIT_SQL_LENGTH, statement_max);
  sqlite3_limit(handle.database, SQLITE_LIMIT_LENGTH,
                static_cast<int>(std::min<std::size_t>(options.value_max, std::numeric_limits<int>::max())));
  if (options.statement_timeout.count() > 0) {
    sqlite3_progress_handler(handle.database, 1000, &Handle::ask_clock, &handle);
    handle.start_clock();
  }
  const auto set = [&](const std::string& pragma) { handle.run("PRAGMA " + pragma); };
  set("schema_version");  // reads the file: what is no database is told here, before anything is written
  if (options.wal && options.mode != Mode::read_only) set("journal_mode = WAL");
  static constexpr const char* levels[] = {"OFF", "NORMAL", "FULL"};
  set(std::string("synchronous = ") + levels[static_cast<int>(options.synchronous)]);
  set(options.foreign_keys ? "foreign_keys = ON" : "foreign_keys = OFF");
  if (options.max_pages > 0) set("max_page_count = " + std::to_string(options.max_pages));
}

}  // namespace

DatabaseError::DatabaseError(ErrorKind kind, int code, const std::string& message, std::string statement)
    : std::runtime_error(statement.empty() ? message : message + " (" + statement.substr(0, 200) + ")"),
      kind_(kind),
      code_(code),
      statement_(std::move(statement)) {}

Connection::Connection(const std::string& path, const ConnectionOptions& options) : handle_(new Handle) {
  handle_->path = path;
  handle_->options = options;
  use(handle_.get(), [](Handle& handle) { open(handle); });
}

std::int64_t Connection::run_changes(std::string_view statement, std::span<const Value> values) {
  return use(handle_.get(),
             [&](Handle& handle) { return handle.run(statement, values, [](sqlite3_stmt*) { return true; }); });
}

void Connection::execute_script(std::string_view statements) {
  use(handle_.get(), [&](Handle& handle) {
    handle.start_clock();
    const std::string text(statements);
    handle.check(sqlite3_exec(handle.database, text.c_str(), nullptr, nullptr, nullptr), statements);
  });
}

detail::Rows Connection::run_rows(std::string_view statement, std::span<const Value> values, bool only_first) {
  return use(handle_.get(), [&](Handle& handle) {
    detail::Rows rows;
    std::size_t count = 0;
    sqlite3_stmt* prepared = handle.prepare(statement);
    handle.run(statement, values, [&](sqlite3_stmt* row) {
      if (++count > handle.options.rows_max) {
        throw DatabaseError(ErrorKind::too_big, 0,
                            handle.path + ": more than " + std::to_string(handle.options.rows_max) + " rows",
                            std::string(statement));
      }
      const int columns = sqlite3_column_count(row);
      for (int i = 0; i < columns; ++i) rows.values.push_back(Handle::read(row, i));
      return !only_first;
    });
    rows.columns = static_cast<std::size_t>(sqlite3_column_count(prepared));
    return rows;
  });
}

std::int64_t Connection::last_insert_id() const noexcept {
  return handle_ ? sqlite3_last_insert_rowid(handle_->database) : 0;
}
bool Connection::in_transaction() const noexcept { return handle_ && sqlite3_get_autocommit(handle_->database) == 0; }
std::string Connection::path() const { return handle_ ? handle_->path : std::string(); }

bool Connection::is_alive() {
  try {
    return query_one<int>("select 1") == 1;
  } catch (const DatabaseError&) {
    return false;
  }
}

// -- transactions -----------------------------------------------------------------------------------------------------

namespace {

// Undoes when the stack is unwound by whatever.
struct RollBack {
  Handle& handle;
  int depth;
  bool armed = true;
  ~RollBack() {
    if (armed) handle.roll_back_to(depth);
  }
};

}  // namespace

Connection::Transaction::Transaction(Connection& connection) : connection_(connection), depth_(0) {
  { const InUse checked(connection.handle_.get()); }
  Handle& handle = *connection.handle_;
  depth_ = handle.depth;
  RollBack undo{handle, depth_};  // a kill may take effect between BEGIN and the end of this function
  use(&handle, [this](Handle& h) {
    h.run(depth_ == 0 ? std::string("BEGIN IMMEDIATE") : "SAVEPOINT coppice_" + std::to_string(depth_));
    ++h.depth;
  });
  undo.armed = false;
}

void Connection::Transaction::commit() {
  if (!open_) return;
  use(connection_.handle_.get(), [this](Handle& h) {
    if (sqlite3_get_autocommit(h.database) != 0) {
      h.depth = 0;
      throw DatabaseError(ErrorKind::error, 0, h.path + ": the transaction was rolled back before it was committed");
    }
    h.run(depth_ == 0 ? std::string("COMMIT") : "RELEASE coppice_" + std::to_string(depth_));
    h.depth = depth_;
  });
  open_ = false;
}

Connection::Transaction::~Transaction() {
  if (open_ && connection_.handle_) connection_.handle_->roll_back_to(depth_);
}

}  // namespace sqlite
}  // namespace v1
}  // namespace coppice
