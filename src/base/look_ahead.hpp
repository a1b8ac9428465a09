// SPDX-License-Identifier: Apache-2.0
//
// LookAhead<Node, &Node::link, distance>: a place in a queue that is linked by `link`, a few nodes before its front. Who
// works through a queue of things that lie cold in memory asks for each of them `distance` nodes before its turn comes, so
// that the waits for memory overlap with the turns between. Each node is shown once, if its turn does not come first; it
// is read when it is shown, so it must be alive until it is taken.
//
// It is told of each node that is pushed or taken, and never looks at one that was taken. One thread.
#pragma once

#include <cstdint>

namespace coppice::base {

template <class Node, Node* Node::*link, std::uint32_t distance>
class LookAhead {
 public:
  // Was pushed, behind all others.
  void pushed(Node* node) noexcept {
    if (at_ == nullptr) at_ = node;
  }
  // Is about to be taken from the front: its link still leads to the next.
  void taken(Node* node) noexcept {
    if (shown_ != 0) {
      --shown_;
    } else {
      at_ = node->*link;
    }
  }
  // Calls show(Node&) for those among the first `distance` nodes that it was not called for yet.
  template <class Show>
  void advance(Show show) noexcept {
    for (; at_ != nullptr && shown_ < distance; ++shown_, at_ = at_->*link) show(*at_);
  }

 private:
  Node* at_ = nullptr;       // the first that was not shown; null: all were
  std::uint32_t shown_ = 0;  // of those in the queue, which are its first
};

}  // namespace coppice::base
