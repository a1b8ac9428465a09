// SPDX-License-Identifier: Apache-2.0
//
// A hash table by 64-bit keys whose elements carry their own link, so that to add one allocates nothing as a rule.
//
//   struct Alias { std::uint64_t id; Alias* next; ... };
//   inline std::uint64_t table_key(const Alias& alias) { return alias.id; }  // found beside the type
//   IntrusiveTable<Alias, &Alias::next> aliases;
//   aliases.insert(alias);
//   if (Alias* found = aliases.find(id)) ...
//   aliases.drain([](Alias& alias) { delete &alias; });
//
// The table owns nothing. An element must stay where it is, and keep its key, while it stands in the table; no two have the
// same key. A few elements stand in one chain and the table is two words; more of them get buckets, which grow with them and
// are given back when none is left. Find, insert and take are O(1) on average. The order in which
// elements are visited depends on the keys and on what was done to the table, on nothing else.
//
// Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace coppice::base {

template <class T, T* T::*Next>
class IntrusiveTable {
 public:
  IntrusiveTable() = default;
  ~IntrusiveTable() {
    if (bits_ != 0) delete[] buckets_;
  }
  IntrusiveTable(const IntrusiveTable&) = delete;
  IntrusiveTable& operator=(const IntrusiveTable&) = delete;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // The element with that key; null if there is none.
  [[nodiscard]] T* find(std::uint64_t key) const noexcept {
    T* element = bits_ == 0 ? chain_ : buckets_[place(key, bits_)];
    while (element != nullptr && table_key(*element) != key) element = element->*Next;
    return element;
  }

  // For who will look for many: fetch what find(key) reads first, and once that is there, what it reads next.
  void fetch_bucket(std::uint64_t key) const noexcept {
    if (bits_ != 0) __builtin_prefetch(&buckets_[place(key, bits_)], 1);
  }
  void fetch_first(std::uint64_t key) const noexcept {
    if (bits_ != 0) __builtin_prefetch(buckets_[place(key, bits_)], 1);
  }

  // Adds an element whose key is not in the table. May throw std::bad_alloc; nothing has changed then.
  void insert(T& element) {
    if (size_ >= (bits_ == 0 ? chain_max : std::size_t{1} << bits_)) grow();
    push(bits_ == 0 ? chain_ : buckets_[place(table_key(element), bits_)], element);
    ++size_;
  }

  // Removes the element with that key and returns it; null if there is none.
  T* take(std::uint64_t key) noexcept {
    T** link = bits_ == 0 ? &chain_ : &buckets_[place(key, bits_)];
    while (*link != nullptr && table_key(**link) != key) link = &((*link)->*Next);
    T* element = *link;
    if (element != nullptr) unlink(link);
    return element;
  }

  // Removes all elements and hands each to `take(element)`, which must not throw. The table is empty then, and may be used.
  template <class F>
  void drain(F&& take) noexcept {
    const unsigned bits = std::exchange(bits_, 0);
    T** buckets = bits == 0 ? nullptr : buckets_;
    T* element = bits == 0 ? chain_ : nullptr;
    chain_ = nullptr;
    size_ = 0;
    for (std::size_t bucket = 0; bucket < std::size_t{1} << bits; ++bucket) {
      if (buckets != nullptr) element = buckets[bucket];
      while (element != nullptr) {
        T* next = std::exchange(element->*Next, nullptr);
        take(*element);
        element = next;
      }
    }
    delete[] buckets;
  }

  // Calls `visit(element)` for each element; it must not change the table.
  template <class F>
  void for_each(F&& visit) const {
    if (bits_ == 0) return visit_chain(chain_, visit);
    for (std::size_t bucket = 0; bucket < std::size_t{1} << bits_; ++bucket) visit_chain(buckets_[bucket], visit);
  }

 private:
  static constexpr std::size_t chain_max = 4;
  static constexpr unsigned bits_first = 3;
  static constexpr unsigned bits_small =
      7;  // up to there it grows fourfold: to move the few elements is most of the price

  static std::size_t place(std::uint64_t key, unsigned bits) noexcept {
    return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15ULL) >> (64 - bits));
  }
  static void push(T*& chain, T& element) noexcept {
    element.*Next = chain;
    chain = &element;
  }
  template <class F>
  static void visit_chain(T* element, F& visit) {
    for (; element != nullptr; element = element->*Next) visit(*element);
  }

  void unlink(T** link) noexcept {
    T* element = *link;
    *link = std::exchange(element->*Next, nullptr);
    if (--size_ == 0 && bits_ != 0) {
      delete[] buckets_;
      bits_ = 0;
      chain_ = nullptr;
    }
  }

  void grow() {
    const unsigned bits = bits_ == 0 ? bits_first : bits_ < bits_small ? bits_ + 2 : bits_ + 1;
    T** buckets = new T*[std::size_t{1} << bits]();
    for (std::size_t bucket = 0; bucket < std::size_t{1} << bits_; ++bucket) {
      T* element = bits_ == 0 ? chain_ : buckets_[bucket];
      while (element != nullptr) {
        T* next = element->*Next;
        push(buckets[place(table_key(*element), bits)], *element);
        element = next;
      }
    }
    if (bits_ != 0) delete[] buckets_;
    buckets_ = buckets;
    bits_ = bits;
  }

  union {
    T* chain_ = nullptr;  // without buckets
    T** buckets_;
  };
  std::uint32_t size_ = 0;
  std::uint32_t bits_ = 0;  // log2 of the number of buckets; 0: none
};

}  // namespace coppice::base
