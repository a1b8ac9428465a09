// SPDX-License-Identifier: Apache-2.0
//
// A doubly linked list whose links are members of its elements.
//
//   struct Monitor { ListHook by_watcher; ListHook by_target; ... };
//   IntrusiveList<Monitor, &Monitor::by_watcher> watched;
//   IntrusiveList<Monitor, &Monitor::by_target> watchers;
//
//   watched.push_back(monitor);                                       // O(1), allocates nothing
//   IntrusiveList<Monitor, &Monitor::by_target>::remove(monitor);     // O(1), needs no list
//
// The list owns nothing. An element must stay where it is while it is linked, and is unlinked before it dies. An
// element stands in as many lists as it has hooks, and in one list a hook at a time. The list is circular and its head
// is a hook inside the list object, so the list object cannot be moved; `splice_back` hands elements over instead. Its
// size is not kept: an element leaves without its list being told.
//
// Not synchronised: whoever shares a list among threads brings the lock.
#pragma once

#include <bit>
#include <cstddef>
#include <iterator>

namespace coppice::base {

// The links of one element in one list. Both are null while the element is in no list. A copy of an element would carry
// links that nobody links back to, so hooks cannot be copied.
struct ListHook {
  ListHook* next = nullptr;
  ListHook* previous = nullptr;

  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;

  bool linked() const { return next != nullptr; }
};

template <class T, ListHook T::*Hook>
class IntrusiveList {
 public:
  // Walks from front to back. Removing the element on which an iterator stands invalidates that iterator and no other.
  class iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    iterator() = default;

    T& operator*() const { return element_of(*hook_); }
    T* operator->() const { return &element_of(*hook_); }

    iterator& operator++() {
      hook_ = hook_->next;
      return *this;
    }
    iterator operator++(int) {
      iterator before = *this;
      ++*this;
      return before;
    }
    iterator& operator--() {
      hook_ = hook_->previous;
      return *this;
    }
    iterator operator--(int) {
      iterator before = *this;
      --*this;
      return before;
    }

    friend bool operator==(iterator left, iterator right) { return left.hook_ == right.hook_; }

   private:
    friend class IntrusiveList;
    explicit iterator(ListHook* hook) : hook_(hook) {}

    ListHook* hook_ = nullptr;
  };

  IntrusiveList() { make_empty(); }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  // Unlinks what is left.
  ~IntrusiveList() { clear(); }

  bool empty() const { return head_.next == &head_; }

  // The first and the last element. The list must not be empty.
  T& front() { return element_of(*head_.next); }
  T& back() { return element_of(*head_.previous); }

  // Adds an element that is in no list through this hook.
  void push_front(T& element) { link_before(*head_.next, element.*Hook); }
  void push_back(T& element) { link_before(head_, element.*Hook); }

  // Adds `element`, which is in no list through this hook, in front of `place`, which is in one. Needs no list.
  static void insert_before(T& place, T& element) { link_before(place.*Hook, element.*Hook); }

  // Unlinks the first element and returns it; null if the list is empty.
  T* pop_front() {
    if (empty()) return nullptr;
    T& element = front();
    remove(element);
    return &element;
  }

  // Unlinks `element` from the list in which it stands. Returns false, and does nothing, if it stands in none. O(1).
  static bool remove(T& element) {
    ListHook& hook = element.*Hook;
    if (!hook.linked()) return false;
    hook.previous->next = hook.next;
    hook.next->previous = hook.previous;
    hook.next = hook.previous = nullptr;
    return true;
  }

  static bool linked(const T& element) { return (element.*Hook).linked(); }

  // Moves all elements of `other`, another list than this, behind those of this list, in their order. O(1).
  void splice_back(IntrusiveList& other) {
    if (other.empty()) return;
    other.head_.next->previous = head_.previous;
    head_.previous->next = other.head_.next;
    other.head_.previous->next = &head_;
    head_.previous = other.head_.previous;
    other.make_empty();
  }

  // Unlinks every element. O(n).
  void clear() {
    while (pop_front() != nullptr) {
    }
  }

  iterator begin() { return iterator(head_.next); }
  iterator end() { return iterator(&head_); }

  // Removes the element at `place` and returns the iterator behind it.
  iterator erase(iterator place) {
    iterator behind = place;
    ++behind;
    remove(*place);
    return behind;
  }

 private:
  // In the C++ ABI of every platform we build for (Itanium), a pointer to a data member is the member's offset. This is
  // the one way to have the offset without standard layout, without a fake object, and at no cost.
  static T& element_of(ListHook& hook) {
    static_assert(sizeof(Hook) == sizeof(std::ptrdiff_t));
    return *reinterpret_cast<T*>(reinterpret_cast<std::byte*>(&hook) - std::bit_cast<std::ptrdiff_t>(Hook));
  }

  static void link_before(ListHook& place, ListHook& hook) {
    hook.next = &place;
    hook.previous = place.previous;
    place.previous->next = &hook;
    place.previous = &hook;
  }

  void make_empty() { head_.next = head_.previous = &head_; }

  ListHook head_;
};

}  // namespace coppice::base
