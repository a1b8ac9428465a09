// SPDX-License-Identifier: Apache-2.0
//
// SQLite for processes. Link coppice::sqlite.
//
//   sqlite::Connection db("shop.db");                                   // or ":memory:"
//   db.execute("insert into users(name, age) values (?, ?)", "Ann", 42);
//   struct User { std::string name; std::optional<int> age; };
//   std::vector<User> users = db.query<User>("select name, age from users where age > ?", 18);
//   std::optional<int> age = db.query_one<int>("select age from users where name = ?", name);
//   db.transaction([&] { db.execute(...); db.execute(...); });          // all or nothing
//
// Who may use one. A Connection is a value that moves; it may be used by any process or foreign thread, one at a time:
// a second one that comes while it is in use fails with `{badarg, text}`. To share connections among processes:
// Pool<sqlite::Connection>.
//
// Blocking. In a process each call runs in blocking(...): the process waits, its worker thread does not. On a foreign
// thread it runs there. A signal that arrives meanwhile, also a kill, takes effect when the call is back: no statement
// is broken off half way. A process that ends inside transaction(...), by a throw, an exit or a kill, rolls back; one
// that is killed while its COMMIT runs has committed. Rolling back and closing run in the process itself, for they are
// short.
//
// Errors are exceptions, sqlite::DatabaseError, with SQLite's code and text and the statement: a database that fails is
// to a process what any exception is, and ends it if it knows nothing better. That there is no row is a value: nullopt,
// an empty vector. The error `full` (disk or max_pages) undoes the statement and leaves the database as it was;
// `corrupt` and `not_a_database` leave the file untouched.
//
// Limits: statements of at most 1 MB, at most `rows_max` rows for a query and `value_max` bytes for a value; more is
// `too_big`. Statements are prepared once and kept, the 64 used last.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <coppice/config.hpp>
#include <coppice/reflect.hpp>

namespace coppice {
inline namespace v1 {
namespace sqlite {

using Blob = std::vector<std::byte>;

// One value of a row, or to bind: NULL, INTEGER, REAL, TEXT, BLOB.
using Value = std::variant<std::monostate, std::int64_t, double, std::string, Blob>;

// What went wrong, coarsely; the rest is in code() and what().
enum class ErrorKind : std::uint8_t {
  error,           // SQL that makes no sense, no such table; a value that does not fit its type
  busy,            // somebody else has locked the database for longer than busy_timeout
  constraint,      // unique, not null, foreign key, check
  full,            // no space on the disk, or max_pages
  corrupt,         // the file is damaged
  not_a_database,  // the file is something else
  cannot_open,     // no such file or directory, or no permission
  read_only,
  io,           // the operating system said no
  interrupted,  // statement_timeout
  too_big       // one of the limits
};

class COPPICE_API DatabaseError : public std::runtime_error {
 public:
  DatabaseError(ErrorKind kind, int code, const std::string& message, std::string statement = {});
  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  [[nodiscard]] int code() const noexcept { return code_; }  // SQLite's extended result code; 0 for an error of ours
  [[nodiscard]] const std::string& statement() const noexcept { return statement_; }

 private:
  ErrorKind kind_;
  int code_;
  std::string statement_;
};

enum class Mode : std::uint8_t { read_write_create, read_write, read_only };
// What a commit waits for. `full`: survives a loss of power. `normal`: with a write-ahead log the last commits may be
// lost then, but nothing is damaged, and a killed program loses nothing. `off`: a loss of power may damage the file.
enum class Synchronous : std::uint8_t { off, normal, full };

struct ConnectionOptions {
  Mode mode = Mode::read_write_create;
  std::chrono::milliseconds busy_timeout{5'000};  // how long to wait for a lock of somebody else
  bool wal = true;                                // a write-ahead log: readers and a writer at once. Not in memory
  bool foreign_keys = true;
  Synchronous synchronous = Synchronous::full;
  std::chrono::milliseconds statement_timeout{0};  // a statement that runs longer is `interrupted`; 0: none
  std::int64_t max_pages = 0;                      // size of the database in pages (of 4096 bytes); 0: no limit
  std::size_t rows_max = 1'000'000;                // of one query
  std::size_t value_max = 64 * 1024 * 1024;        // bytes of one text or blob, and of a row
};

namespace detail {

struct Handle;  // around the sqlite3*
struct CloseHandle {
  COPPICE_API void operator()(Handle* handle) const noexcept;
};
struct Rows {
  std::size_t columns = 0;
  std::vector<Value> values;  // row by row
};
[[noreturn]] COPPICE_API void throw_mismatch(std::size_t column, const char* wanted, const Value& found);
[[noreturn]] COPPICE_API void throw_wrong_columns(std::size_t wanted, std::size_t found);

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_tuple : std::false_type {};
template <class... Ts>
struct is_tuple<std::tuple<Ts...>> : std::true_type {};

template <class T>
Value to_value(T&& given) {
  using U = std::decay_t<T>;
  if constexpr (std::is_same_v<U, Value>) {
    return std::forward<T>(given);
  } else if constexpr (std::is_same_v<U, std::nullopt_t> || std::is_same_v<U, std::monostate>) {
    return Value();
  } else if constexpr (is_optional<U>::value) {
    return given ? to_value(*std::forward<T>(given)) : Value();
  } else if constexpr (std::is_integral_v<U>) {
    static_assert(sizeof(U) < 8 || std::is_signed_v<U>, "SQLite has no unsigned integers of 64 bits");
    return Value(static_cast<std::int64_t>(given));
  } else if constexpr (std::is_floating_point_v<U>) {
    return Value(static_cast<double>(given));
  } else if constexpr (std::is_same_v<U, Blob>) {
    return Value(std::forward<T>(given));
  } else {
    static_assert(std::is_convertible_v<T, std::string_view>,
                  "a parameter is an integer, a double, text, a Blob, an optional of these, nullopt, or a Value");
    return Value(std::string(std::string_view(given)));
  }
}

template <class T>
T from_value(Value&& value, std::size_t column) {
  if constexpr (std::is_same_v<T, Value>) {
    return std::move(value);
  } else if constexpr (is_optional<T>::value) {
    if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
    return from_value<typename T::value_type>(std::move(value), column);
  } else if constexpr (std::is_integral_v<T>) {
    const auto* integer = std::get_if<std::int64_t>(&value);
    if (integer == nullptr) throw_mismatch(column, "an integer", value);
    if constexpr (std::is_same_v<T, bool>) {
      return *integer != 0;
    } else {
      if (!std::in_range<T>(*integer)) throw_mismatch(column, "an integer that fits its type", value);
      return static_cast<T>(*integer);
    }
  } else if constexpr (std::is_floating_point_v<T>) {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<T>(*integer);
    const auto* real = std::get_if<double>(&value);
    if (real == nullptr) throw_mismatch(column, "a number", value);
    return static_cast<T>(*real);
  } else if constexpr (std::is_same_v<T, std::string>) {
    auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) throw_mismatch(column, "text", value);
    return std::move(*text);
  } else {
    static_assert(std::is_same_v<T, Blob>,
                  "a column is read as an integer, bool, double, std::string, Blob, Value, or an optional of these");
    auto* blob = std::get_if<Blob>(&value);
    if (blob == nullptr) throw_mismatch(column, "a blob", value);
    return std::move(*blob);
  }
}

template <class Row>
consteval std::size_t columns_of() {
  if constexpr (is_tuple<Row>::value) {
    return std::tuple_size_v<Row>;
  } else if constexpr (Reflectable<Row> && !is_optional<Row>::value && !std::is_same_v<Row, Value>) {
    return field_count_of<Row>;
  } else {
    return 1;
  }
}

template <class Row>
Row read_row(Value* values) {
  if constexpr (is_tuple<Row>::value) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Row{from_value<std::tuple_element_t<I, Row>>(std::move(values[I]), I)...};
    }(std::make_index_sequence<std::tuple_size_v<Row>>());
  } else if constexpr (Reflectable<Row> && !is_optional<Row>::value && !std::is_same_v<Row, Value>) {
    Row row{};
    std::size_t column = 0;
    for_each_field(row, [&]<class Field>(std::string_view, Field& field) {
      field = from_value<Field>(std::move(values[column]), column);
      ++column;
    });
    return row;
  } else {
    return from_value<Row>(std::move(values[0]), 0);
  }
}

}  // namespace detail

class COPPICE_API Connection {
 public:
  // Opens the database, and creates it if it is not there and the mode allows it. Throws DatabaseError.
  explicit Connection(const std::string& path, const ConnectionOptions& options = {});
  Connection(Connection&&) noexcept = default;
  Connection& operator=(Connection&&) noexcept = default;
  // Rolls back what is not committed, and closes. A connection that was moved from has nothing to close.
  ~Connection() = default;

  // Runs one statement; the arguments stand for its `?` in order, or for `:name` and the like in the order in which
  // they first appear. Returns how many rows it has changed. Rows that it yields are dropped.
  template <class... Args>
  std::int64_t execute(std::string_view statement, Args&&... args) {
    const Value values[] = {detail::to_value(std::forward<Args>(args))..., Value()};
    return run_changes(statement, std::span<const Value>(values, sizeof...(Args)));
  }

  // Runs several statements, separated by semicolons, without arguments: a schema.
  void execute_script(std::string_view statements);

  // All rows. Row is an aggregate or std::tuple, a column for each field in order, or, for a single column, an integer,
  // bool, double, std::string, Blob, Value or an optional of these. Types are exact: text is never read as a number,
  // and NULL only as an optional or Value; a mismatch throws.
  template <class Row, class... Args>
  [[nodiscard]] std::vector<Row> query(std::string_view statement, Args&&... args) {
    const Value values[] = {detail::to_value(std::forward<Args>(args))..., Value()};
    detail::Rows rows = run_rows(statement, std::span<const Value>(values, sizeof...(Args)), false);
    return read_rows<Row>(rows);
  }
  // The first row, or nullopt.
  template <class Row, class... Args>
  [[nodiscard]] std::optional<Row> query_one(std::string_view statement, Args&&... args) {
    const Value values[] = {detail::to_value(std::forward<Args>(args))..., Value()};
    detail::Rows rows = run_rows(statement, std::span<const Value>(values, sizeof...(Args)), true);
    std::vector<Row> read = read_rows<Row>(rows);
    if (read.empty()) return std::nullopt;
    return std::move(read.front());
  }

  // Runs function() between BEGIN IMMEDIATE and COMMIT and returns what it returns. If it throws or exits, or its
  // process is killed, or the commit fails, all is rolled back. Inside another one it is a savepoint: undone alone.
  template <class F>
  auto transaction(F&& function) {
    Transaction open(*this);
    if constexpr (std::is_void_v<decltype(function())>) {
      function();
      open.commit();
    } else {
      auto value = function();
      open.commit();
      return value;
    }
  }

  [[nodiscard]] std::int64_t last_insert_id() const noexcept;
  [[nodiscard]] bool in_transaction() const noexcept;
  [[nodiscard]] std::string path() const;
  // Whether the database still answers: for PoolOptions::is_alive.
  [[nodiscard]] bool is_alive();

  // A transaction as an object, for code that does not fit into one function: rolled back unless commit() was called.
  class COPPICE_API Transaction {
   public:
    explicit Transaction(Connection& connection);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

   private:
    Connection& connection_;
    int depth_;
    bool open_ = true;
  };

 private:
  friend class Transaction;
  std::int64_t run_changes(std::string_view statement, std::span<const Value> values);
  detail::Rows run_rows(std::string_view statement, std::span<const Value> values, bool only_first);
  template <class Row>
  static std::vector<Row> read_rows(detail::Rows& rows) {
    constexpr std::size_t columns = detail::columns_of<Row>();
    if (rows.columns != columns) detail::throw_wrong_columns(columns, rows.columns);
    std::vector<Row> read;
    read.reserve(rows.values.size() / columns);
    for (std::size_t at = 0; at < rows.values.size(); at += columns) {
      read.push_back(detail::read_row<Row>(&rows.values[at]));
    }
    return read;
  }

  std::unique_ptr<detail::Handle, detail::CloseHandle> handle_;
};

}  // namespace sqlite
}  // namespace v1
}  // namespace coppice
