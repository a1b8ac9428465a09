// SPDX-License-Identifier: Apache-2.0
//
// ets: tables in memory, owned by a process and usable by all. Reading sends no message and takes no lock.
//
//   using Table = ets::Table<std::string, User>;
//   static constexpr Table::Name users{"users"};
//   Table table = Table::create({.name = users, .access = ets::Access::public_});
//   table.insert("ann", User{"Ann", 7});
//   std::optional<User> ann = users.lookup("ann");                    // from any process
//   users.update_counter("ann", &User::visits, 1);                    // atomic
//   std::vector<Table::Object> frequent = users.select([](const std::string&, const User& u) { return u.visits > 5; });
//
// A table is owned by the process that created it and lives until it is deleted or its owner ends: then it goes to its
// heir, or is deleted before the death is announced (ET-010, ET-017). A Table value is only an address of it, and so is
// a Name: copying one copies no object. Misuse is {badarg, text} in the caller: a table that is not there (any more), a
// right that the caller has not, a name whose table holds other types.
//
// Concurrency (ET-058..ET-066). Every operation but those named below is atomic and isolated as a whole: insert and
// insert_new of many objects, take, remove, update_counter, update_element, clear, lookup, to_vector, save. Not
// isolated as a whole, but whole object by object: select and its kin, fold, for_each, first/next walks. They visit
// each object that stands there from beginning to end exactly once, in every type of table and without fixing it;
// objects that come, go or are replaced meanwhile may or may not be seen as such. A read that begins after a write has
// returned sees it. Readers take no lock and write no memory that other readers look at, but for to_vector and save,
// which wait for the writers at work, a moment each, and make others slower until they have gone over the table.
// Writers of different keys mostly do not wait for each other, but in ordered sets, and for writers of many objects at
// once, they take turns.
//
// Objects are copied in and out; keys and values must be copyable. A bag needs `==` of values; a set and a bag need
// std::hash of keys, or that keys convert to Term; an ordered_set needs `<`. Copies, comparisons and hashes must not
// wait. Predicates and functions given to select, fold and the like run outside of every lock and may do what
// they want, also use the table. A value that was removed is destroyed a little later, at the latest with its table, by
// whoever writes then.
//
// May be called by any process of the runtime; reading, and writing to public tables, also by foreign threads.
// OTP: ets; rules ET-*. Typed predicates stand for match specifications (ET-044..ET-052).
//
// What not to do: lookup then insert is not atomic: use update_counter, update_element, update, or let the owner do it.
#pragma once

#include <initializer_list>
#include <limits>

#include <coppice/ets_file.hpp>
#include <coppice/ets_table.hpp>

namespace coppice {
inline namespace v1 {
namespace ets {

template <class Key, class Value>
class Table;

namespace impl {

template <class Key, class Value>
struct Object {
  Key key;
  Value value;
  friend bool operator==(const Object&, const Object&) = default;
};

// The operations. `Self` has `ref()`.
template <class Self, class Key, class Value>
class Operations {
 public:
  using Object = impl::Object<Key, Value>;
  using View = detail::KeyView<Key>;  // how a key is asked for: a string_view for a string

  // -- writing: who may is the table's access -------------------------------------------------------------------------

  // Replaces what is under the key in sets, adds in bags; an equal object is not added to a bag twice (ET-022).
  void insert(Key key, Value value) const {
    detail::ObjectRef object(detail::new_object<Key, Value>(std::move(key), std::move(value)));
    detail::insert_objects(ref(), {&object, 1}, false);
  }
  // All at once: nobody sees a part of it (ET-023). Of several with one key in a set the last stays (ET-024).
  void insert(std::vector<Object> objects) const {
    std::vector<detail::ObjectRef> made = make(std::move(objects));
    detail::insert_objects(ref(), made, false);
  }
  // Only if the key is not there; tells whether (ET-026).
  bool insert_new(Key key, Value value) const {
    detail::ObjectRef object(detail::new_object<Key, Value>(std::move(key), std::move(value)));
    return detail::insert_objects(ref(), {&object, 1}, true);
  }
  // Only if none of the keys is there: all or nothing.
  bool insert_new(std::vector<Object> objects) const {
    std::vector<detail::ObjectRef> made = make(std::move(objects));
    return detail::insert_objects(ref(), made, true);
  }
  // Removes all objects of a key, if there are any (ET-027). OTP: delete/2.
  void remove(View key) const {
    probing(key, [&](const detail::Probe& probe) { detail::remove_key(ref(), probe, nullptr, nullptr); });
  }
  // Removes every object that equals this one. OTP: delete_object/2.
  void remove_object(const Key& key, const Value& value) const {
    static_assert(detail::KeyComparable<Value>, "remove_object needs == of values");
    const detail::ObjectRef object(detail::new_object<Key, Value>(key, value));
    probing(key, [&](const detail::Probe& probe) { detail::remove_key(ref(), probe, object.get(), nullptr); });
  }
  // Empties the table, at once. OTP: delete_all_objects/1.
  void clear() const { detail::remove_all(ref()); }
  // Removes and returns all objects of a key (ET-028).
  std::vector<Object> take(View key) const {
    std::vector<detail::ObjectRef> taken;
    probing(key, [&](const detail::Probe& probe) { detail::remove_key(ref(), probe, nullptr, &taken); });
    std::vector<Object> objects;
    for (const auto& object : taken) objects.push_back(copy(*object));
    return objects;
  }

  // Adds to a value that is a number and returns the new one, atomically. Sets only. A missing key is badarg, unless a
  // value to begin with is given (ET-030, ET-034); so is an overflow, and then nothing has changed.
  template <class N = Value>
    requires std::is_integral_v<Value>
  Value update_counter(View key, N increment, std::optional<Value> otherwise = {}) const {
    return update_counter(key, increment, std::optional<Value>(), Value{}, std::move(otherwise));
  }
  // With a threshold: a result beyond it becomes `set_to` (ET-032).
  template <class N = Value>
    requires std::is_integral_v<Value>
  Value update_counter(View key, N increment, std::optional<Value> threshold, Value set_to,
                       std::optional<Value> otherwise = {}) const {
    Value result{};
    change(key, std::move(otherwise), "update_counter: there is no such key", [&](const Value& old) {
      return result = impl::counted<Value>(old, static_cast<Value>(increment), threshold, set_to);
    });
    return result;
  }
  // The same for a field of the value.
  template <class N, class V>
    requires std::is_base_of_v<V, Value>
  N update_counter(View key, N V::*field, std::type_identity_t<N> increment,
                   std::optional<Value> otherwise = {}) const {
    return update_counter(key, {CounterOp<V, N>{field, increment}}, std::move(otherwise)).front();
  }
  // Several steps, one after another, on the same or different fields: all or none (ET-033). The new values, in order.
  template <class N, class V>
    requires std::is_base_of_v<V, Value>
  std::vector<N> update_counter(View key, std::initializer_list<CounterOp<V, N>> ops,
                                std::optional<Value> otherwise = {}) const {
    std::vector<N> results;
    change(key, std::move(otherwise), "update_counter: there is no such key", [&](const Value& old) {
      Value value(old);
      results.clear();
      for (const auto& op : ops) {
        value.*op.field = impl::counted<N>(value.*op.field, op.increment, op.threshold, op.set_to);
        results.push_back(value.*op.field);
      }
      return value;
    });
    return results;
  }

  // Replaces the value, or one or several of its fields, of a key that is there; tells whether it is (ET-029). Sets
  // only.
  bool update_element(View key, Value value) const {
    return change(key, {}, nullptr, [&](const Value&) { return value; });
  }
  template <class F, class T, class... More>
    requires std::is_member_object_pointer_v<F>
  bool update_element(View key, F field, T value, More... more) const {
    return change(key, {}, nullptr, [&](const Value& old) {
      Value fresh(old);
      set_fields(fresh, field, value, more...);
      return fresh;
    });
  }
  // Replaces the value by `function(value)`, atomically: if somebody writes the key meanwhile the function runs anew.
  // False without such a key. Sets only. The function may do what it wants.
  template <class F>
  bool update(View key, F function) const {
    for (;;) {
      const detail::ObjectRef old = find(key);
      detail::check_may_write(ref());
      if (!old) return false;
      detail::ObjectRef fresh(detail::new_object<Key, Value>(typed(*old).key, function(Value(typed(*old).value))));
      if (detail::exchange_object(ref(), *old, std::move(fresh))) return true;
    }
  }

  // -- reading --------------------------------------------------------------------------------------------------------

  // A copy of the value under a key; of several in a bag the oldest.
  [[nodiscard]] std::optional<Value> lookup(View key) const {
    std::optional<Value> value;
    see_first(key, [&](const auto& object) { value.emplace(object.value); });
    return value;
  }
  // All objects of a key, in the order of their insertion (ET-036). OTP: lookup/2.
  [[nodiscard]] std::vector<Object> lookup_all(View key) const {
    std::vector<Object> objects;
    see_key(key, [&](const auto& object) {
      objects.push_back({object.key, object.value});
      return true;
    });
    return objects;
  }
  // The value, or a field of it; {badarg, text} without such a key (ET-037).
  [[nodiscard]] Value lookup_element(View key) const { return must(lookup(key)); }
  template <class T, class V>
    requires std::is_base_of_v<V, Value>
  [[nodiscard]] T lookup_element(View key, T V::*field) const {
    std::optional<T> found;
    see_first(key, [&](const auto& object) { found.emplace(object.value.*field); });
    return must(std::move(found));
  }
  // With a value for a key that is not there.
  template <class T, class V>
    requires std::is_base_of_v<V, Value>
  [[nodiscard]] T lookup_element(View key, T V::*field, std::type_identity_t<T> otherwise) const {
    see_first(key, [&](const auto& object) { otherwise = object.value.*field; });
    return otherwise;
  }
  [[nodiscard]] bool member(View key) const {
    bool found = false;
    see_first(key, [&](const auto&) { found = true; });
    return found;
  }
  // Walks: the first key, and the next to a key, or none at the end. In order for ordered sets, whether the key is
  // there or not; for other types in an order of their own, in which last is first and prev is next, and a key that is
  // not there is badarg unless the table is fixed (ET-039, ET-040).
  [[nodiscard]] std::optional<Key> first() const { return neighbour(detail::Neighbour::first, nullptr); }
  [[nodiscard]] std::optional<Key> last() const { return neighbour(detail::Neighbour::last, nullptr); }
  [[nodiscard]] std::optional<Key> next(View key) const {
    return probing(key, [&](const detail::Probe& probe) { return neighbour(detail::Neighbour::next, &probe); });
  }
  [[nodiscard]] std::optional<Key> prev(View key) const {
    return probing(key, [&](const detail::Probe& probe) { return neighbour(detail::Neighbour::previous, &probe); });
  }
  // All objects, as they were at one moment. OTP: tab2list/1.
  [[nodiscard]] std::vector<Object> to_vector() const {
    std::vector<Object> objects;
    detail::read_all(ref(), [&](const detail::SharedObject& object) {
      objects.push_back(copy(object));
      return true;
    });
    return objects;
  }
  // function(key, value, accumulator) -> accumulator over all objects; foldr goes down an ordered set (ET-041).
  template <class A, class F>
  [[nodiscard]] A fold(A accumulator, F function) const {
    each(false, [&](const auto& object) { accumulator = function(object.key, object.value, std::move(accumulator)); });
    return accumulator;
  }
  template <class A, class F>
  [[nodiscard]] A foldr(A accumulator, F function) const {
    each(true, [&](const auto& object) { accumulator = function(object.key, object.value, std::move(accumulator)); });
    return accumulator;
  }
  template <class F>
  void for_each(F function) const {
    each(false, [&](const auto& object) { function(object.key, object.value); });
  }

  // -- selecting: predicate(key, value) -------------------------------------------------------------------------------

  // The objects for which the predicate is true, in key order for ordered sets (ET-046, ET-055). What the predicate
  // throws goes to the caller.
  template <class P>
  [[nodiscard]] std::vector<Object> select(P predicate) const {
    return select(std::move(predicate), [](const Key& key, const Value& value) { return Object{key, value}; });
  }
  // What `project(key, value)` makes of them.
  template <class P, class F>
    requires std::is_invocable_v<F&, const Key&, const Value&>
  [[nodiscard]] auto select(P predicate, F project) const {
    std::vector<std::invoke_result_t<F&, const Key&, const Value&>> results;
    each(false, [&](const auto& object) {
      if (predicate(object.key, object.value)) results.push_back(project(object.key, object.value));
    });
    return results;
  }
  // Down an ordered set (ET-054).
  template <class P>
  [[nodiscard]] std::vector<Object> select_reverse(P predicate) const {
    std::vector<Object> results;
    each(true, [&](const auto& object) {
      if (predicate(object.key, object.value)) results.push_back({object.key, object.value});
    });
    return results;
  }

  // Some results, and how to go on (ET-053).
  template <class P>
  struct Part {
    std::vector<Object> objects;
    P predicate;
    Limit limit;
    detail::ObjectRef position;
  };
  // At most so many results at a time: `for (auto part = t.select(p, Limit{100}); part; part = t.select(*part))`. None
  // at the end of the table. Between the parts the table may change.
  template <class P>
  [[nodiscard]] std::optional<Part<P>> select(P predicate, Limit limit) const {
    return go_on(Part<P>{{}, std::move(predicate), limit, {}});
  }
  template <class P>
  [[nodiscard]] std::optional<Part<P>> select(const Part<P>& part) const {
    return go_on(Part<P>{{}, part.predicate, part.limit, part.position});
  }

  template <class P>
  [[nodiscard]] std::size_t select_count(P predicate) const {
    std::size_t count = 0;
    each(false, [&](const auto& object) { count += predicate(object.key, object.value) ? 1 : 0; });
    return count;
  }
  // Deletes the objects for which the predicate is true; how many (ET-051). One that was replaced meanwhile stays.
  template <class P>
  std::size_t select_delete(P predicate) const {
    detail::check_may_write(ref());
    std::size_t count = 0;
    batches(false, [&](const std::vector<detail::ObjectRef>& batch) {
      std::vector<detail::ObjectRef> doomed;
      for (const auto& object : batch) {
        if (predicate(typed(*object).key, typed(*object).value)) doomed.push_back(object);
      }
      count += detail::remove_objects(ref(), doomed);
    });
    return count;
  }
  // function(key, value) -> std::optional<Value>: replaces the value where there is one; how many (ET-052). Each object
  // atomically: one that somebody writes meanwhile is left to him. Not for bags.
  template <class F>
  std::size_t select_replace(F function) const {
    detail::check_may_write(ref());
    std::size_t count = 0;
    batches(false, [&](const std::vector<detail::ObjectRef>& batch) {
      for (const auto& object : batch) {
        std::optional<Value> value = function(typed(*object).key, typed(*object).value);
        if (!value) continue;
        detail::ObjectRef fresh(detail::new_object<Key, Value>(typed(*object).key, *std::move(value)));
        if (detail::exchange_object(ref(), *object, std::move(fresh))) ++count;
      }
    });
    return count;
  }

  // -- the table itself -----------------------------------------------------------------------------------------------

  // Nothing if there is no such table (ET-014). Anybody may ask, also about a private table (ET-006).
  [[nodiscard]] std::optional<Info> info() const { return detail::table_info(ref()); }
  [[nodiscard]] std::size_t size() const {
    const std::optional<Info> found = info();
    if (!found) detail::throw_badarg("ets: there is no such table");
    return found->size;
  }
  // Deletes the table: by its owner, by anybody if it is public (ET-011). OTP: delete/1.
  void destroy() const { detail::delete_table(ref()); }
  // Gives the table to a live local process, which is sent a Table::Transfer; by the owner only (ET-020).
  void give_away(const Pid& pid, const Term& data = {}) const { detail::give_table_away(ref(), pid, data); }
  // Changes the heir, or takes it away; by the owner only (ET-021).
  void set_heir(std::optional<Heir> heir) const { detail::set_table_heir(ref(), std::move(heir)); }
  // While a table is fixed, next and prev take keys that are gone, in every type of table. Counted for each process;
  // undone by as many calls with false, or by its end (ET-062). The walk is safe without it as long as its keys stay.
  void safe_fixtable(bool on) const { detail::fix_table(ref(), on); }

  // Writes the table, as it is at this moment, to a file: first to `<path>.new`, which takes the place of the file when
  // it is complete and on the disk. An error ({:error, :enospc} and the like) leaves the old file as it was (ET-067).
  Result<> save(const std::string& path) const {
    detail::FileWriting writing{detail::schema_of<Key, Value>(), 0, {}};
    detail::read_all(ref(), [&](const detail::SharedObject& object) {
      detail::encode(writing.body, typed(object).key);
      detail::encode(writing.body, typed(object).value);
      ++writing.count;
      return true;
    });
    return detail::save_table(ref(), path, std::move(writing));
  }

 private:
  using Typed = detail::ObjectOf<Key, Value>;
  [[nodiscard]] detail::TableRef ref() const { return static_cast<const Self&>(*this).ref(); }
  static const Typed& typed(const detail::SharedObject& object) { return static_cast<const Typed&>(object); }
  static Object copy(const detail::SharedObject& object) { return {typed(object).key, typed(object).value}; }
  static std::vector<detail::ObjectRef> make(std::vector<Object> objects) {
    std::vector<detail::ObjectRef> made;
    for (Object& object : objects) {
      made.emplace_back(detail::new_object<Key, Value>(std::move(object.key), std::move(object.value)));
    }
    return made;
  }
  template <class F>
  static decltype(auto) probing(View key, F&& function) {
    return detail::with_probe<Key, Value>(key, std::forward<F>(function));
  }
  template <class F>
  void see_first(View key, F see) const {
    probing(key, [&](const detail::Probe& probe) {
      detail::read_first(ref(), probe, [&](const detail::SharedObject& object) {
        see(typed(object));
        return false;
      });
    });
  }
  template <class F>
  void see_key(View key, F see) const {
    probing(key, [&](const detail::Probe& probe) {
      detail::read_key(ref(), probe, [&](const detail::SharedObject& object) { return see(typed(object)); });
    });
  }
  [[nodiscard]] detail::ObjectRef find(View key) const {
    detail::ObjectRef found;
    probing(key, [&](const detail::Probe& probe) {
      detail::read_first(ref(), probe, [&](const detail::SharedObject& object) {
        object.retain();
        found = detail::ObjectRef(&object);
        return false;
      });
    });
    return found;
  }
  template <class T>
  static T must(std::optional<T> found) {
    if (!found) detail::throw_badarg("lookup_element: there is no such key");
    return *std::move(found);
  }
  [[nodiscard]] std::optional<Key> neighbour(detail::Neighbour which, const detail::Probe* key) const {
    const detail::ObjectRef found = detail::read_neighbour(ref(), which, key);
    return found ? std::optional<Key>(typed(*found).key) : std::nullopt;
  }
  template <class F>
  void batches(bool reverse, F function) const {
    detail::ObjectRef position;
    for (;;) {
      const std::vector<detail::ObjectRef> batch = detail::read_batch(ref(), position, reverse, 128);
      if (batch.empty()) return;
      function(batch);
    }
  }
  template <class F>
  void each(bool reverse, F function) const {
    batches(reverse, [&](const std::vector<detail::ObjectRef>& batch) {
      for (const auto& object : batch) function(typed(*object));
    });
  }
  template <class P>
  std::optional<Part<P>> go_on(Part<P> part) const {
    if (part.limit.count == 0) detail::throw_badarg("select: the limit must be positive");
    while (part.objects.size() < part.limit.count) {
      const auto batch = detail::read_batch(ref(), part.position, false, part.limit.count - part.objects.size());
      if (batch.empty()) break;
      for (const auto& object : batch) {
        if (part.predicate(typed(*object).key, typed(*object).value)) part.objects.push_back(copy(*object));
      }
    }
    if (part.objects.empty()) return std::nullopt;
    return std::optional<Part<P>>(std::move(part));
  }
  template <class F>
  bool change(View key, std::optional<Value> otherwise, const char* missing, F function) const {
    return probing(key, [&](const detail::Probe& probe) {
      detail::ObjectRef begin;
      if (otherwise) begin = detail::ObjectRef(detail::new_object<Key, Value>(Key(key), *std::move(otherwise)));
      const bool found = detail::change_object(ref(), probe, std::move(begin), [&](const detail::SharedObject& old) {
        return detail::new_object<Key, Value>(typed(old).key, function(typed(old).value));
      });
      if (!found && missing != nullptr) detail::throw_badarg(missing);
      return found;
    });
  }
  template <class F, class T, class... More>
  static void set_fields(Value& value, F field, const T& to, const More&... more) {
    value.*field = to;
    if constexpr (sizeof...(More) > 0) set_fields(value, more...);
  }
};

}  // namespace impl

// An address of a table: as good as its name, and good for tables without one. Copies lead to the same table. A default
// one leads nowhere: badarg.
template <class Key, class Value>
class Table : public impl::Operations<Table<Key, Value>, Key, Value> {
  static_assert(std::is_copy_constructible_v<Key> && std::is_copy_constructible_v<Value>,
                "a table hands out copies: keys and values must be copyable (share one as std::shared_ptr<const T>)");
  static_assert(
      detail::safe_message<Key> && detail::safe_message<Value>,
      "a table may not hold a bare pointer, reference, string_view or span: its owner may be gone when it is read");

 public:
  // The name of a table, as a constant. Each use looks it up, without a lock.
  class Name : public impl::Operations<Name, Key, Value> {
   public:
    constexpr explicit Name(const char* text) noexcept : text_(text), hash_(detail::hash_text(text)) {}
    [[nodiscard]] constexpr const char* text() const noexcept { return text_; }
    // Who has the name now; nothing if nobody (ET-013).
    [[nodiscard]] std::optional<Table> whereis() const {
      detail::TableHandle handle = detail::whereis_table(ref());
      return handle == nullptr ? std::nullopt : std::optional<Table>(Table(std::move(handle)));
    }
    [[nodiscard]] detail::TableRef ref() const { return {nullptr, text_, hash_, &detail::OpsOf<Key, Value>::ops}; }

   private:
    const char* text_;
    std::uint64_t hash_;
  };

  // Sent to the new owner of a table: OTP's {:"ETS-TRANSFER", table, from, data} (ET-018, ET-020). A server lists it in
  // its Messages.
  struct Transfer {
    Table table;
    Pid from;   // the former owner
    Term data;  // of the heir's setting, or of give_away
  };

  // Every field has a default.
  struct Options {
    std::optional<Name> name = {};  // in use by another table: badarg (ET-007)
    std::string label = {};         // of a table without a name, shown by info; need not be unique
    Type type = Type::set;
    Access access = Access::protected_;
    std::optional<Heir> heir = {};  // a process of this node (ET-019)
  };

  Table() = default;
  // Makes a table that the calling process owns (ET-001). OTP: new/2.
  [[nodiscard]] static Table create(const Options& options = {}) {
    return Table(detail::create_table({.name = options.name ? options.name->text() : options.label,
                                       .named = options.name.has_value(),
                                       .type = options.type,
                                       .access = options.access,
                                       .heir = options.heir,
                                       .ops = &detail::OpsOf<Key, Value>::ops,
                                       .make_transfer = &make_transfer}));
  }
  // Makes a table from a file that `save` has written: with its type, its protection and its name, owned by the caller
  // (ET-068). Errors, and then there is no table: the system's (enoent, ...), not_a_table_file, unknown_version,
  // other_types, truncated, damaged; cannot_create_table if the name is taken.
  [[nodiscard]] static Result<Table> load(const std::string& path) {
    Result<detail::FileReading> file = detail::load_file(path, detail::schema_of<Key, Value>());
    if (!file) return Error{file.reason()};
    std::vector<detail::ObjectRef> objects;
    detail::Decoder decoder{file->body};
    if (!decoder.may_hold(file->info.size, detail::bytes_min<Key>() + detail::bytes_min<Value>())) {
      return error("damaged");
    }
    for (std::uint64_t i = 0; i < file->info.size; ++i) {
      std::optional<Key> key = detail::decode<Key>(decoder);
      std::optional<Value> value = key ? detail::decode<Value>(decoder) : std::nullopt;
      if (!value) return error("damaged");
      objects.emplace_back(detail::new_object<Key, Value>(*std::move(key), *std::move(value)));
    }
    if (!decoder.rest.empty()) return error("damaged");
    const FileInfo& info = file->info;
    if (info.named_table &&
        detail::whereis_table({nullptr, info.name, detail::hash_text(info.name), nullptr}) != nullptr) {
      return error("cannot_create_table");
    }
    const Table table(detail::create_table({.name = info.name,
                                            .named = info.named_table,
                                            .type = info.type,
                                            .access = info.protection,
                                            .heir = {},
                                            .ops = &detail::OpsOf<Key, Value>::ops,
                                            .make_transfer = &make_transfer}));
    detail::insert_objects(table.ref(), objects, false);
    return Result<Table>(table);
  }
  // Gives a named table another name, which must be free (ET-012). By whoever may write.
  void rename(const Name& name) const { detail::rename_table(ref(), name.text()); }
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }
  friend bool operator==(const Table& left, const Table& right) noexcept { return left.handle_ == right.handle_; }

  [[nodiscard]] detail::TableRef ref() const { return {&handle_, {}, 0, &detail::OpsOf<Key, Value>::ops}; }

 private:
  explicit Table(detail::TableHandle handle) noexcept : handle_(std::move(handle)) {}
  static detail::Signal* make_transfer(const detail::TableHandle& table, const Pid& from, const Term& data) {
    return detail::make_message(Transfer{Table(table), from, data});
  }

  detail::TableHandle handle_;
};

}  // namespace ets
}  // namespace v1
}  // namespace coppice
