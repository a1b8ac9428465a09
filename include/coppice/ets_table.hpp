// SPDX-License-Identifier: Apache-2.0
//
// The untyped half of ets.hpp: options, info, and what the typed shell calls. Users include ets.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/config.hpp>
#include <coppice/pid.hpp>
#include <coppice/process.hpp>
#include <coppice/result.hpp>
#include <coppice/shared_object.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {
namespace ets {

// What a table holds under one key (ET-002).
enum class Type : std::uint8_t {
  set,          // one object
  ordered_set,  // one object; the objects stand in the order of `<` of their keys (Terms: by value, so that 1 and 1.0 are
                // one key, ET-003)
  bag,          // many, no two of them equal
  duplicate_bag  // many, also equal ones
};

// Who may do what (ET-005).
enum class Access : std::uint8_t {
  public_,     // all read and write
  protected_,  // all read, the owner writes
  private_     // the owner reads and writes
};

// Who becomes the owner when the owner ends, and what it is told (ET-018).
struct Heir {
  Pid pid;
  Term data = {};
};

// What a table is, at one moment; size is exact only when nobody writes (ET-014, ET-066).
struct Info {
  std::uint64_t id = 0;  // differs from every other table's of this runtime
  std::string name;
  bool named_table = false;
  Type type = Type::set;
  Access protection = Access::protected_;
  Pid owner;
  Pid heir;                // none: no pid
  std::size_t size = 0;    // objects
  std::size_t memory = 0;  // bytes of objects and of the structure; not what keys and values allocate themselves
  bool fixed = false;
};

// All tables of the runtime, weakly consistent (ET-015). Any thread.
[[nodiscard]] COPPICE_API std::vector<Info> all();

// How many results select gives at a time.
struct Limit {
  std::size_t count;
};

// One step of update_counter: adds `increment` to a field; with a threshold, a result beyond it becomes `set_to`
// (ET-032).
template <class V, class N>
struct CounterOp {
  N V::*field;
  N increment;
  std::optional<N> threshold = {};
  N set_to = {};
};

// What a file of a saved table says about itself (ET-070).
struct FileInfo {
  std::uint32_t version = 0;
  std::string name;
  bool named_table = false;
  Type type = Type::set;
  Access protection = Access::protected_;
  std::uint64_t size = 0;  // objects
};
// Reads a file's header; the reasons of Table::load.
[[nodiscard]] COPPICE_API Result<FileInfo> file_info(const std::string& path);

namespace impl {

template <class N>
N counted(N value, N increment) {
  N sum{};
  if (__builtin_add_overflow(value, increment, &sum))
    detail::throw_badarg("update_counter: the counter would overflow");
  return sum;
}
template <class N>
N counted(N value, N increment, const std::optional<N>& threshold, N set_to) {
  const N sum = counted(value, increment);
  if (threshold && (increment >= 0 ? sum > *threshold : sum < *threshold)) return set_to;
  return sum;
}

}  // namespace impl
}  // namespace ets

namespace detail {

class TableState;  // src/ets/ets_state.hpp
using TableHandle = std::shared_ptr<TableState>;

// How a table is addressed: through a handle, or by its name.
struct TableRef {
  const TableHandle* handle = nullptr;
  std::string_view name = {};
  std::uint64_t hash = 0;  // hash_text(name)
  const ObjectOps* ops = nullptr;
};

struct TableCreation {
  std::string name;
  bool named = false;
  ets::Type type = ets::Type::set;
  ets::Access access = ets::Access::protected_;
  std::optional<ets::Heir> heir;
  const ObjectOps* ops = nullptr;
  Signal* (*make_transfer)(const TableHandle& table, const Pid& from, const Term& data) = nullptr;
};

enum class Neighbour : std::uint8_t { first, last, next, previous };
using SeeObject = FunctionRef<bool(const SharedObject&)>;

// All of them throw {badarg, text} if there is no such table (any more), it holds other types, or the caller has not
// the right. What is called under a pin (`see`, comparisons) must not wait.
[[nodiscard]] COPPICE_API TableHandle create_table(TableCreation creation);
[[nodiscard]] COPPICE_API TableHandle whereis_table(const TableRef& table);  // null: no such table
COPPICE_API void delete_table(const TableRef& table);
COPPICE_API void rename_table(const TableRef& table, const char* name);
[[nodiscard]] COPPICE_API std::optional<ets::Info> table_info(const TableRef& table);
COPPICE_API void give_table_away(const TableRef& table, const Pid& pid, const Term& data);
COPPICE_API void set_table_heir(const TableRef& table, std::optional<ets::Heir> heir);
COPPICE_API void fix_table(const TableRef& table, bool on);

COPPICE_API void read_key(const TableRef& table, const Probe& key, SeeObject see);
COPPICE_API void read_first(const TableRef& table, const Probe& key, SeeObject see);  // the oldest of the key
COPPICE_API void read_all(const TableRef& table, SeeObject see);
[[nodiscard]] COPPICE_API ObjectRef read_neighbour(const TableRef& table, Neighbour which, const Probe* key);
// The next objects behind `position` (null: from the start), at most `max`; moves `position`. Empty at the end.
COPPICE_API std::vector<ObjectRef> read_batch(const TableRef& table, ObjectRef& position, bool reverse,
                                              std::size_t max);

COPPICE_API bool insert_objects(const TableRef& table, std::span<ObjectRef> objects, bool only_new);
// Removes the objects of a key, those equal to `only` if that is given; returns them if asked.
COPPICE_API void remove_key(const TableRef& table, const Probe& key, const SharedObject* only,
                            std::vector<ObjectRef>* taken);
// Removes those of the objects that still stand in the table; how many did.
COPPICE_API std::size_t remove_objects(const TableRef& table, std::span<const ObjectRef> objects);
COPPICE_API void remove_all(const TableRef& table);
// Replaces the object of a key by what `change` makes of it; without one, by what it makes of `otherwise`; false
// without that either. Sets only. `change` runs under the table's lock; if it throws nothing has happened.
COPPICE_API bool change_object(const TableRef& table, const Probe& key, ObjectRef otherwise,
                               FunctionRef<SharedObject*(const SharedObject&)> change);
// Puts `fresh` in the place of `old`, if that still stands there. Sets only.
COPPICE_API bool exchange_object(const TableRef& table, const SharedObject& old, ObjectRef fresh);
COPPICE_API void check_may_write(const TableRef& table);

// -- files (ets_file.hpp)
struct FileWriting {
  std::uint64_t schema;  // of the types, as they are written
  std::uint64_t count;
  std::string body;
};
COPPICE_API Result<> save_table(const TableRef& table, const std::string& path, FileWriting writing);
struct FileReading {
  ets::FileInfo info;
  std::string body;
};
[[nodiscard]] COPPICE_API Result<FileReading> load_file(const std::string& path, std::uint64_t schema);

}  // namespace detail
}  // namespace v1
}  // namespace coppice
