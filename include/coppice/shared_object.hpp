// SPDX-License-Identifier: Apache-2.0
//
// What shared tables (ets.hpp, registry.hpp) store: objects of a key and a value, behind a header that untyped code
// understands. Namespace detail: not for users.
//
// An object is immutable once it stands in a table. It is counted: the table holds one count, and so does whoever keeps
// the object beyond the moment of reading.
#pragma once

#include <atomic>
#include <bit>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <coppice/config.hpp>
#include <coppice/message.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

struct SharedObject;

// What untyped code can do with the objects of one key type and one value type.
struct ObjectOps {
  const TypeIdentity* identity;
  std::size_t size;  // bytes of an object
  bool hashable;
  void (*destroy)(SharedObject*) noexcept;
  bool (*same_key)(const SharedObject&, const SharedObject&);
  int (*compare)(const SharedObject&, const SharedObject&);  // of keys; null: they have no order
  bool (*equal)(const SharedObject&, const SharedObject&);   // of values; null: they cannot be compared
  std::uint64_t (*rank)(const SharedObject&);                // of the key: rank_key
  bool exact;                                                // KeyExact
};

struct SharedObject {
  mutable std::atomic<std::uint32_t> references{1};
  mutable std::atomic<bool> removed{false};  // no longer what the table holds under its key
  std::uint64_t hash = 0;
  std::uint64_t sequence = 0;  // when it was inserted; of one key the smaller came first
  const ObjectOps* ops = nullptr;

  void retain() const noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  // The last one destroys: acquire, so that all other users' reads come before. Whoever has the only count need not
  // lower it: nobody else is there to take another.
  void release() const noexcept {
    if (references.load(std::memory_order_acquire) == 1 || references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      ops->destroy(const_cast<SharedObject*>(this));
    }
  }
};

template <class K, class V>
struct ObjectOf : SharedObject, Pooled {
  K key;
  V value;
  template <class Key, class Value>
  ObjectOf(Key&& k, Value&& v) : key(std::forward<Key>(k)), value(std::forward<Value>(v)) {}
};

// Owns one count of an object.
class ObjectRef {
 public:
  ObjectRef() = default;
  explicit ObjectRef(const SharedObject* object) noexcept : object_(object) {}
  ObjectRef(const ObjectRef& other) noexcept : object_(other.object_) {
    if (object_ != nullptr) object_->retain();
  }
  ObjectRef(ObjectRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  ObjectRef& operator=(ObjectRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~ObjectRef() {
    if (object_ != nullptr) object_->release();
  }
  [[nodiscard]] const SharedObject* get() const noexcept { return object_; }
  [[nodiscard]] const SharedObject& operator*() const noexcept { return *object_; }
  [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
  [[nodiscard]] const SharedObject* forget() noexcept { return std::exchange(object_, nullptr); }

 private:
  const SharedObject* object_ = nullptr;
};

// -- keys -------------------------------------------------------------------------------------------------------------

template <class K>
concept StdHashable = requires(const K& key) {
  { std::hash<K>{}(key) } -> std::convertible_to<std::size_t>;
};
template <class K>
concept KeyHashable = StdHashable<K> || ToTerm<K>;
template <class K>
concept KeyOrdered = requires(const K& a, const K& b) {
  { a < b } -> std::convertible_to<bool>;
};
template <class K>
concept KeyComparable = requires(const K& a, const K& b) {
  { a == b } -> std::convertible_to<bool>;
};

// Keys of which no two have one hash, nor one rank: who has compared those need not compare keys.
template <class K>
concept KeyExact = std::is_integral_v<K> && sizeof(K) <= sizeof(std::uint64_t);
template <class K>
concept KeyText = std::is_same_v<K, std::string> || std::is_same_v<K, std::string_view>;

// Spreads what std::hash leaves as it is (integers). One to one.
constexpr std::uint64_t mix_hash(std::uint64_t h) noexcept {
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 31);
}
// Of a text: 16 bytes with each multiplication of 64 bits to 128, whose halves are folded together.
inline std::uint64_t hash_bytes(std::string_view text) noexcept {
  __extension__ using Wide = unsigned __int128;
  constexpr std::uint64_t first = 0xa0761d6478bd642fULL;
  constexpr std::uint64_t second = 0xe7037ed1a0b428dbULL;
  const auto fold = [](std::uint64_t a, std::uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  const auto read = [&]<class N>(std::size_t at, N number) -> std::uint64_t {
    std::memcpy(&number, text.data() + at, sizeof number);
    return number;
  };
  std::uint64_t state = first ^ text.size();
  std::size_t at = 0;
  for (; text.size() - at > 16; at += 16) {
    state = fold(read(at, std::uint64_t{}) ^ second, read(at + 8, std::uint64_t{}) ^ state);
  }
  const std::size_t rest = text.size() - at;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (rest >= 8) {
    a = read(at, std::uint64_t{});
    b = read(text.size() - 8, std::uint64_t{});
  } else if (rest >= 4) {
    a = read(at, std::uint32_t{});
    b = read(text.size() - 4, std::uint32_t{});
  } else if (rest > 0) {
    const auto byte = [&](std::size_t i) -> std::uint64_t { return static_cast<unsigned char>(text[i]); };
    a = byte(at) << 16 | byte(at + rest / 2) << 8 | byte(text.size() - 1);
  }
  return fold(second ^ text.size(), fold(a ^ second, b ^ state));
}
template <class K>
std::uint64_t hash_key(const K& key) {
  if constexpr (KeyExact<K>) {
    return mix_hash(static_cast<std::uint64_t>(key));
  } else if constexpr (KeyText<K>) {
    return hash_bytes(key);
  } else if constexpr (StdHashable<K>) {
    return mix_hash(std::hash<K>{}(key));
  } else if constexpr (ToTerm<K>) {
    return mix_hash(Term(key).hash());
  } else {
    return 0;  // only ordered tables take such keys
  }
}
// Terms by value: in an ordered table 1 and 1.0 are one key, as in OTP (ET-003).
template <class A, class B>
int compare_keys(const A& a, const B& b) {
  if constexpr (std::is_same_v<A, Term> && std::is_same_v<B, Term>) {
    const std::weak_ordering order = compare_values(a, b);
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  } else {
    return a < b ? -1 : b < a ? 1 : 0;
  }
}
template <class A, class B>
bool same_key(const A& a, const B& b) {
  if constexpr (requires { a == b; }) {
    return a == b;
  } else {
    return !(a < b) && !(b < a);
  }
}

// A number that does not fall as keys grow: rank_key(a) < rank_key(b) only if a < b. 0 for all keys of types of which we
// know nothing.
template <class K>
constexpr std::uint64_t rank_key(const K& key) noexcept {
  if constexpr (KeyExact<K>) {
    constexpr std::uint64_t lowest = std::is_signed_v<K> ? std::uint64_t{1} << 63 : 0;
    return static_cast<std::uint64_t>(key) ^ lowest;
  } else if constexpr (KeyText<K>) {
    if (!std::is_constant_evaluated() && std::endian::native == std::endian::little && key.size() >= 8) {
      std::uint64_t first = 0;
      std::memcpy(&first, key.data(), sizeof first);
      return __builtin_bswap64(first);
    }
    std::uint64_t rank = 0;
    for (std::size_t i = 0; i < sizeof(rank); ++i) {
      rank = rank << 8 | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0);
    }
    return rank;
  } else {
    return 0;
  }
}

// A key to look for.
struct Probe {
  std::uint64_t hash;
  const void* key;
  bool (*matches)(const void* key, const SharedObject& object);
  int (*compare)(const void* key, const SharedObject& object);  // key to object's key; null: they have no order
  std::uint64_t rank = 0;
  bool exact = false;  // an object of the same hash, or of the same rank, has the key
};

// What stands for a key of type K in a look-up: a string_view for a string, so that no string is made; else the key.
template <class K>
using KeyView = std::conditional_t<std::is_same_v<K, std::string>, std::string_view, const K&>;

// Calls function(probe).
template <class K, class V, class F>
decltype(auto) with_probe(const std::type_identity_t<KeyView<K>>& key, F&& function) {
  using View = std::remove_cvref_t<KeyView<K>>;
  Probe probe{hash_key(key), &key,
              [](const void* k, const SharedObject& object) {
                return same_key(*static_cast<const View*>(k), static_cast<const ObjectOf<K, V>&>(object).key);
              },
              nullptr};
  probe.exact = KeyExact<K>;
  if constexpr (KeyOrdered<K>) {
    probe.compare = [](const void* k, const SharedObject& object) {
      return compare_keys(*static_cast<const View*>(k), static_cast<const ObjectOf<K, V>&>(object).key);
    };
    probe.rank = rank_key(key);
  }
  return function(static_cast<const Probe&>(probe));
}

template <class K, class V>
struct OpsOf {
  using Object = ObjectOf<K, V>;
  static void destroy(SharedObject* object) noexcept { delete static_cast<Object*>(object); }
  static bool same(const SharedObject& a, const SharedObject& b) {
    return same_key(static_cast<const Object&>(a).key, static_cast<const Object&>(b).key);
  }
  static int compare(const SharedObject& a, const SharedObject& b) {
    return compare_keys(static_cast<const Object&>(a).key, static_cast<const Object&>(b).key);
  }
  static bool equal(const SharedObject& a, const SharedObject& b) {
    return static_cast<const Object&>(a).value == static_cast<const Object&>(b).value;
  }
  static std::uint64_t rank(const SharedObject& object) { return rank_key(static_cast<const Object&>(object).key); }
  static consteval ObjectOps make() {
    ObjectOps made{
        &type_identity<Object>, sizeof(Object), KeyHashable<K>, &destroy, &same, nullptr, nullptr, &rank, KeyExact<K>};
    if constexpr (KeyOrdered<K>) made.compare = &compare;
    if constexpr (KeyComparable<V>) made.equal = &equal;
    return made;
  }
  static constexpr ObjectOps ops = make();
};

template <class K, class V, class Key, class Value>
[[nodiscard]] SharedObject* new_object(Key&& key, Value&& value) {
  auto* object = new ObjectOf<K, V>(std::forward<Key>(key), std::forward<Value>(value));
  object->ops = &OpsOf<K, V>::ops;
  ObjectRef owner(object);
  object->hash = hash_key(object->key);
  (void)owner.forget();
  return object;
}

// A function that lives as long as the call it is passed to.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, FunctionRef>)
  FunctionRef(F&& function) noexcept  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(function)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace detail
}  // namespace v1
}  // namespace coppice
