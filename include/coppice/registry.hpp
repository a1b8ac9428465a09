// SPDX-License-Identifier: Apache-2.0
//
// Registry: processes under keys. A key is any C++ value; an entry belongs to the process that registered it, carries a
// value, and leaves with that process.
//
//   inline constexpr Registry<std::string>::Name sessions{"MyApp.Sessions"};
//   child<Registry<std::string>>({.name = sessions})                                  // in the tree
//
//   UserSession::start_link_as({.name = via<UserSession>(sessions, "ann")}, "ann");   // a unique key as a name
//   via<UserSession>(sessions, "ann").cast(Posted{"hello"});
//   if (auto ann = sessions.whereis<UserSession>("ann")) ann->cast(Posted{"hello"});
//
//   rooms.register_key("lobby");                                                       // publish and subscribe
//   rooms.dispatch("lobby", [](const auto& entries) { for (auto& entry : entries) send(entry.pid, Posted{"hello"}); });
//
// Everything runs in the calling process, on shared memory; looking up takes no lock and writes no memory that others
// look at. The registry's own processes, one for each partition under a supervisor, only stand for it: a process with
// entries is linked to its partition's process, and gets its exit signal if that ends (RG-009, RG-024).
//
// Differences from Elixir. Entries of a process that ends are gone before its death is announced, not some time after
// (RG-021): who hears of a death finds no entry of the dead. What a predicate or function throws goes to the caller.
//
// Any operation on a registry that is not there, or is starting again, is {badarg, text} in the caller (RG-006). Keys
// need `==` and std::hash, or to convert to Term; keys and values must be copyable. Comparisons and copies must not
// wait; predicates and functions given here run outside of every lock and may do what they want.
//
// Registering is for processes; reading also for foreign threads. A registry belongs to its runtime and does not span
// nodes. When not to use one: for one process of a fixed name, Name<S> is enough.
// Elixir: Registry; rules RG-*.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/result.hpp>
#include <coppice/server_name.hpp>
#include <coppice/server_ref.hpp>
#include <coppice/shared_object.hpp>
#include <coppice/start_result.hpp>

namespace coppice {
inline namespace v1 {

class Supervisor;

// How often a key may be registered, and, with several partitions, where an entry stands (RG-046).
enum class Keys : std::uint8_t {
  unique,           // by one process at a time
  duplicate,        // by many, and many times; entries stand with their process: reading a key visits all partitions
  duplicate_by_key  // the same; entries stand with their key: reading a key visits one
};

// The value of an entry that has none. OTP: nil.
struct NoValue {
  friend constexpr bool operator==(NoValue, NoValue) noexcept { return true; }
  [[nodiscard]] Term to_term() const { return {}; }
};

namespace detail {

struct RegistryOps {
  const ObjectOps* object;
  const Pid& (*pid)(const SharedObject&);
};
struct RegistryRef {
  std::string_view name;
  std::uint64_t hash;  // hash_text(name)
  const RegistryOps* ops;
};
struct RegistryCreation {
  std::string name;
  Keys keys = Keys::unique;
  std::size_t partitions = 1;
  std::vector<std::string> listeners;
  std::vector<std::pair<Term, Term>> meta;
  const RegistryOps* ops = nullptr;
};
using SeeEntry = FunctionRef<bool(const SharedObject&)>;

COPPICE_API StartOutcome start_registry(RegistryCreation creation);
[[nodiscard]] COPPICE_API ChildSpec registry_child(ChildSpec spec, const char* name);
// The listeners that are to be told, if it succeeds. `unique_only`: badarg for duplicate keys.
[[nodiscard]] COPPICE_API Result<Pid> register_entry(const RegistryRef& registry, ObjectRef object, bool unique_only,
                                                     std::vector<std::string>& listeners);
// Removes the caller's entries of a key for which `match` is true. True if none of them is left; then `listeners` are
// told.
COPPICE_API bool unregister_entries(const RegistryRef& registry, const Probe& key, SeeEntry match,
                                    std::vector<std::string>& listeners);
COPPICE_API bool exchange_entry(const RegistryRef& registry, const SharedObject& old, ObjectRef fresh);
[[nodiscard]] COPPICE_API Keys registry_keys(const RegistryRef& registry);
[[nodiscard]] COPPICE_API std::size_t registry_partitions(const RegistryRef& registry);
[[nodiscard]] COPPICE_API std::size_t registry_count(const RegistryRef& registry);
// Under a pin: must not wait. In one partition, or in all.
COPPICE_API void read_entries(const RegistryRef& registry, const Probe& key, SeeEntry see);
COPPICE_API void read_entries_in(const RegistryRef& registry, std::size_t partition, const Probe& key, SeeEntry see);
[[nodiscard]] COPPICE_API std::vector<ObjectRef> all_entries(const RegistryRef& registry);
[[nodiscard]] COPPICE_API std::vector<ObjectRef> entries_of(const RegistryRef& registry, const Pid& pid);
// The live process that has a unique key; none otherwise. Badarg for duplicate keys.
[[nodiscard]] COPPICE_API Pid whereis_entry(const RegistryRef& registry, const Probe& key, ObjectRef* found);
// Does the entry still stand, and does its process live, in the runtime of the caller?
[[nodiscard]] COPPICE_API bool entry_stands(const SharedObject& object, const Pid& pid);
COPPICE_API void put_registry_meta(const RegistryRef& registry, const Term& key, std::optional<Term> value);
[[nodiscard]] COPPICE_API std::optional<Term> registry_meta(const RegistryRef& registry, const Term& key);
// Holds a lock of a registry from its making to its end.
class COPPICE_API RegistryLock {
 public:
  RegistryLock(const RegistryRef& registry, const Term& key);
  ~RegistryLock();
  RegistryLock(const RegistryLock&) = delete;
  RegistryLock& operator=(const RegistryLock&) = delete;

 private:
  Pid partition_;
  Reference lock_;
};
COPPICE_API void run_in_parallel(std::size_t count, const std::function<void(std::size_t)>& function);

}  // namespace detail

template <class Key, class Value = NoValue>
class Registry {
 public:
  // One process under a key.
  struct Entry {
    Pid pid;
    Value value;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  // The same with its key.
  struct Selected {
    Key key;
    Pid pid;
    Value value;
    friend bool operator==(const Selected&, const Selected&) = default;
  };

  // What listeners are sent (RG-015, RG-018). They are not told of entries that leave because their process ended
  // (RG-022): they may monitor it.
  struct Registered {
    std::string registry;
    Key key;
    Pid pid;
    Value value;
  };
  struct Unregistered {
    std::string registry;
    Key key;
    Pid pid;
  };

  struct DispatchOptions {
    bool parallel = false;  // Keys::duplicate with several partitions: a linked process for each (RG-038)
  };

  // What register_key gives: the partition's process, or {:already_registered, pid}.
  class RegisterResult : public Result<Pid> {
   public:
    RegisterResult(Result<Pid> result) : Result<Pid>(std::move(result)) {}  // NOLINT
  };

  // The name of a registry, as a constant, and all that can be done with it.
  class Name {
   public:
    using KeyType = Key;
    using ValueType = Value;
    using View = detail::KeyView<Key>;  // how a key is asked for: a string_view for a string

    constexpr explicit Name(const char* text) noexcept : text_(text), hash_(detail::hash_text(text)) {}
    [[nodiscard]] constexpr const char* text() const noexcept { return text_; }
    operator ServerName() const { return ServerName(text_); }  // NOLINT: the name of its supervisor

    // -- registering: for the calling process (RG-014)

    // Registers the caller (RG-008). Unique: {:error, {:already_registered, pid}} if a live process has the key, the
    // caller included (RG-010); of many at once exactly one succeeds (RG-012). Duplicate: always succeeds, as often as
    // it is called (RG-013). Listeners are told; one whose name nobody has is badarg, the entry staying (RG-016).
    RegisterResult register_key(Key key, Value value = {}) const {
      return enter(std::move(key), std::move(value), false);
    }
    // Removes all entries of the caller under the key, if there are any (RG-017).
    void unregister(View key) const {
      unregister_those(key, [](const detail::SharedObject&) { return true; });
    }
    // Those for whose value the predicate is true; listeners are told if none is left (RG-019).
    template <class P>
    void unregister_match(View key, P predicate) const {
      unregister_those(key, [&](const detail::SharedObject& object) { return predicate(typed(object).value.value); });
    }
    // Unique only: replaces the caller's value by function(value); the new one and the old one, or nothing if the
    // caller has not the key (RG-033). Listeners are not told (RG-034).
    template <class F>
    std::optional<std::pair<Value, Value>> update_value(View key, F function) const {
      if (detail::registry_keys(ref()) != Keys::unique) detail::throw_badarg("update_value is for unique keys");
      const detail::ObjectRef old = find(key);
      if (!old || typed(*old).value.pid != self()) return std::nullopt;
      const Value before = typed(*old).value.value;
      Value after = function(Value(before));
      detail::ObjectRef fresh(detail::new_object<Key, Entry>(typed(*old).key, Entry{self(), after}));
      if (!detail::exchange_entry(ref(), *old, std::move(fresh))) return std::nullopt;
      return std::pair<Value, Value>(std::move(after), before);
    }

    // -- reading: any thread

    // All entries of a key; at most one if keys are unique (RG-026).
    [[nodiscard]] std::vector<Entry> lookup(View key) const {
      std::vector<Entry> entries;
      probing(key, [&](const detail::Probe& probe) {
        detail::read_entries(ref(), probe, [&](const detail::SharedObject& object) {
          entries.push_back(typed(object).value);
          return true;
        });
      });
      return entries;
    }
    // The live server that has a unique key; what it runs is checked when it is sent something (RG-044).
    template <class S>
    [[nodiscard]] std::optional<ServerRef<S>> whereis(View key) const {
      const Pid pid = this->pid(key);
      return pid ? std::optional(ServerRef<S>(pid)) : std::nullopt;
    }
    // The same without a type: a pid, none if nobody has the key. Both are badarg for duplicate keys.
    [[nodiscard]] Pid pid(View key) const {
      return probing(key, [&](const detail::Probe& probe) { return detail::whereis_entry(ref(), probe, nullptr); });
    }
    // The values of one process under a key, and the keys of one process, with repetition (RG-027).
    [[nodiscard]] std::vector<Value> values(View key, const Pid& pid) const {
      std::vector<Value> found;
      for (const Entry& entry : lookup(key)) {
        if (entry.pid == pid) found.push_back(entry.value);
      }
      return found;
    }
    [[nodiscard]] std::vector<Key> keys(const Pid& pid) const {
      std::vector<Key> found;
      for (const auto& object : detail::entries_of(ref(), pid)) found.push_back(typed(*object).key);
      return found;
    }
    // predicate(value): the entries of a key whose value matches, and their number (RG-028).
    template <class P>
    [[nodiscard]] std::vector<Entry> match(View key, P predicate) const {
      std::vector<Entry> entries = lookup(key);
      std::erase_if(entries, [&](const Entry& entry) { return !predicate(entry.value); });
      return entries;
    }
    template <class P>
    [[nodiscard]] std::size_t count_match(View key, P predicate) const {
      return match(key, std::move(predicate)).size();
    }
    // All entries of all keys (RG-029).
    [[nodiscard]] std::size_t count() const { return detail::registry_count(ref()); }
    // predicate(key, pid, value): those of all entries for which it is true, and their number (RG-030).
    template <class P>
    [[nodiscard]] std::vector<Selected> select(P predicate) const {
      std::vector<Selected> found;
      for (const auto& object : detail::all_entries(ref())) {
        const auto& [pid, value] = typed(*object).value;
        if (predicate(typed(*object).key, pid, value)) found.push_back({typed(*object).key, pid, value});
      }
      return found;
    }
    template <class P>
    [[nodiscard]] std::size_t count_select(P predicate) const {
      return select(std::move(predicate)).size();
    }

    // Calls function(entries) with the std::vector<Entry> of a key, in the caller, unless there are none (RG-036); with
    // Keys::duplicate once for each partition that has some (RG-037). What it throws goes to the caller, and the other
    // partitions are not served (RG-039).
    template <class F>
    void dispatch(View key, F function, const DispatchOptions& options = {}) const {
      const std::size_t parts =
          detail::registry_keys(ref()) == Keys::duplicate ? detail::registry_partitions(ref()) : std::size_t{1};
      if (parts == 1) {
        const std::vector<Entry> entries = lookup(key);
        if (!entries.empty()) function(entries);
        return;
      }
      const auto serve = [this, function, kept = Key(key)](std::size_t part) mutable {
        std::vector<Entry> entries;
        probing(kept, [&](const detail::Probe& probe) {
          detail::read_entries_in(ref(), part, probe, [&](const detail::SharedObject& object) {
            entries.push_back(typed(object).value);
            return true;
          });
        });
        if (!entries.empty()) function(entries);
      };
      if (options.parallel) return detail::run_in_parallel(parts, serve);
      auto in_turn = serve;
      for (std::size_t part = 0; part < parts; ++part) in_turn(part);
    }

    // -- meta: facts about the registry itself; keys are atoms or tuples (RG-035). Lost when it stops.
    [[nodiscard]] std::optional<Term> get_meta(const Term& key) const { return detail::registry_meta(ref(), key); }
    void put_meta(const Term& key, Term value) const { detail::put_registry_meta(ref(), key, std::move(value)); }
    void delete_meta(const Term& key) const { detail::put_registry_meta(ref(), key, std::nullopt); }

    // -- locks

    // Runs function() in the caller while it holds the lock `key`, and returns what it returns; lock keys have nothing to
    // do with registered keys (RG-048). Waiters are served first come, first served (RG-049). The lock is free again when
    // the function has returned or thrown, or the caller has ended (RG-050). Who waits longer than 5 s gives up: the Exit
    // of a call, with timeout, and his place in the queue is gone (RG-051; in Elixir he keeps it: RG-052). Not re-entrant:
    // a lock taken again inside waits for itself (RG-053).
    template <class F>
    auto lock(const Term& key, F function) const {
      const detail::RegistryLock held(ref(), key);
      return function();
    }

    // -- for via
    [[nodiscard]] detail::RegistryRef ref() const { return {text_, hash_, &ops}; }
    [[nodiscard]] RegisterResult enter(Key key, Value value, bool unique_only) const {
      detail::ObjectRef object(detail::new_object<Key, Entry>(std::move(key), Entry{self(), std::move(value)}));
      const detail::ObjectRef kept(object);
      std::vector<std::string> listeners;
      Result<Pid> result = detail::register_entry(ref(), std::move(object), unique_only, listeners);
      for (const std::string& listener : listeners) {
        coppice::send(listener.c_str(), Registered{text_, typed(*kept).key, self(), typed(*kept).value.value});
      }
      return result;
    }
    [[nodiscard]] detail::ObjectRef find(View key) const {
      detail::ObjectRef found;
      probing(key, [&](const detail::Probe& probe) { (void)detail::whereis_entry(ref(), probe, &found); });
      return found;
    }

   private:
    using Typed = detail::ObjectOf<Key, Entry>;
    static const Typed& typed(const detail::SharedObject& object) { return static_cast<const Typed&>(object); }
    template <class F>
    static decltype(auto) probing(View key, F&& function) {
      return detail::with_probe<Key, Entry>(key, std::forward<F>(function));
    }
    template <class F>
    void unregister_those(View key, F match) const {
      std::vector<std::string> listeners;
      probing(key, [&](const detail::Probe& probe) { detail::unregister_entries(ref(), probe, match, listeners); });
      for (const std::string& listener : listeners) {
        coppice::send(listener.c_str(), Unregistered{text_, Key(key), self()});
      }
    }
    static constexpr detail::RegistryOps ops{
        &detail::OpsOf<Key, Entry>::ops,
        [](const detail::SharedObject& object) -> const Pid& { return static_cast<const Typed&>(object).value.pid; }};

    const char* text_;
    std::uint64_t hash_;
  };

  struct Options {
    std::optional<Name> name = {};  // required
    Keys keys = Keys::unique;
    std::size_t partitions = 1;               // at least 1; more for registries that many cores write to
    std::vector<std::string> listeners = {};  // names of processes that are told of registrations
    std::vector<std::pair<Term, Term>> meta = {};
  };

  static constexpr ChildDefaults child_defaults{.type = ChildType::supervisor};

  // Starts a registry linked to the caller: a supervisor of that name, with a process for each partition (RG-003). A
  // wrong option is badarg (RG-002); a name in use {:error, {:already_started, pid}} (RG-004). By a process.
  static StartResult<Supervisor> start_link(Options options) {
    return StartResult<Supervisor>(detail::start_registry(
        {options.name ? options.name->text() : "", options.keys, options.partitions, std::move(options.listeners),
         std::move(options.meta), options.name ? options.name->ref().ops : nullptr}));
  }
  // id = name (RG-005).
  [[nodiscard]] static ChildSpec child_spec(Options options) {
    const char* name = options.name ? options.name->text() : "";
    return detail::registry_child(detail::default_child_spec<Registry>(std::move(options)), name);
  }
};

namespace detail {

// The entry that a via address found, for as long as it stands: then the next look-up needs no search. Set once; one
// that has gone leaves the address to search each time.
class EntryCache {
 public:
  EntryCache() = default;
  EntryCache(const EntryCache&) noexcept {}
  EntryCache& operator=(const EntryCache&) = delete;
  ~EntryCache() {
    if (const SharedObject* object = object_.load(std::memory_order_acquire)) object->release();
  }
  // Acquire pairs with the release below: the entry's bytes are seen as they were written.
  [[nodiscard]] const SharedObject* get() const noexcept { return object_.load(std::memory_order_acquire); }
  void keep(ObjectRef found) noexcept {
    const SharedObject* none = nullptr;
    if (object_.compare_exchange_strong(none, found.get(), std::memory_order_acq_rel)) (void)found.forget();
  }

 private:
  std::atomic<const SharedObject*> object_{nullptr};
};

template <class K, class V>
class RegistryBinding final : public NameBinding {
 public:
  using Name = typename Registry<K, V>::Name;
  RegistryBinding(Name registry, K key, V value)
      : registry_(registry), key_(std::move(key)), value_(std::move(value)) {}

  bool register_name(const Pid&) const override { return registry_.enter(key_, value_, true).has_value(); }
  void unregister_name() const override {
    try {
      registry_.unregister(key_);
    } catch (const Exit&) {  // the registry has gone, and the entry with it
    }
  }
  [[nodiscard]] Pid whereis_name() const override {
    using Entry = ObjectOf<K, typename Registry<K, V>::Entry>;
    if (const SharedObject* known = cache_.get()) {
      const Pid& pid = static_cast<const Entry*>(known)->value.pid;
      if (entry_stands(*known, pid)) return pid;
    }
    ObjectRef found;
    const Pid pid = with_probe<K, typename Registry<K, V>::Entry>(
        key_, [&](const Probe& probe) { return whereis_entry(registry_.ref(), probe, &found); });
    if (pid && cache_.get() == nullptr) cache_.keep(std::move(found));
    return pid;
  }
  [[nodiscard]] Term name() const override { return tuple(Atom(registry_.text()), describe_payload<K>(&key_)); }
  [[nodiscard]] Term term() const override { return tuple(Atom("via"), Atom("Elixir.Registry"), name()); }

 private:
  Name registry_;
  K key_;
  V value_;
  mutable EntryCache cache_;
};

}  // namespace detail

// The address of the server S that has a unique key of a registry: takes call, cast, send and the rest, and is a name
// to start a server under. Copies share what they have found. OTP: {:via, Registry, {registry, key}} (RG-042).
template <class S>
class RegisteredAs : public Addressed<RegisteredAs<S>, S> {
 public:
  explicit RegisteredAs(std::shared_ptr<const detail::NameBinding> binding) : binding_(std::move(binding)) {}
  operator ServerName() const { return ServerName(binding_); }  // NOLINT: goes where a name is asked for
  [[nodiscard]] Pid pid() const { return binding_->whereis_name(); }
  [[nodiscard]] ServerRef<S> whereis() const { return ServerRef<S>(pid()); }
  [[nodiscard]] detail::CallTarget target_at(const Pid& pid) const { return {.pid = pid, .binding = binding_.get()}; }
  // To handle_info; {badarg, text} if nobody has the key (RG-045).
  template <class M>
  void send(M&& message) const {
    const Pid to = pid();
    if (!to) detail::throw_badarg("send to a key of a registry that nobody has");
    ServerRef<S>(to).send(std::forward<M>(message));
  }

 private:
  std::shared_ptr<const detail::NameBinding> binding_;
};

// `via<UserSession>(sessions, "ann")`: see RegisteredAs. `value` is registered with the key.
template <class S, class RegistryName>
[[nodiscard]] RegisteredAs<S> via(const RegistryName& registry, typename RegistryName::KeyType key,
                                  typename RegistryName::ValueType value = {}) {
  using Binding = detail::RegistryBinding<typename RegistryName::KeyType, typename RegistryName::ValueType>;
  return RegisteredAs<S>(std::make_shared<Binding>(registry, std::move(key), std::move(value)));
}

}  // namespace v1
}  // namespace coppice
