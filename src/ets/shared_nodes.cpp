// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_nodes.hpp"

#include <algorithm>
#include <new>

namespace coppice::otp {
namespace {

std::size_t bytes_of(Link link) noexcept {
  switch (kind_of(link)) {
    case kind_tree: return sizeof(TreeNode);
    case kind_page: return Page::bytes(page_of(link).count, page_of(link).inner);
    case kind_directory: return Directory::bytes(directory_of(link).depth);
    case kind_pending: return sizeof(Pending);
    default: return segment_of(link).bytes();
  }
}

constexpr auto line = std::align_val_t{64};

void free_segment(Segment& segment) noexcept {
  for (std::size_t i = 0; i < segment.count(); ++i) {
    Link overflow = load(segment.buckets()[i].slots.back());
    while (kind_of(overflow) == kind_overflow) {
      Bucket& bucket = overflow_of(overflow);
      overflow = load(bucket.slots.back());
      ::operator delete(&bucket, line);
    }
  }
  ::operator delete(&segment, line);
}

// The leaves of a bucket and of its overflows.
void free_leaves(const Bucket& bucket) noexcept {
  for (const Slot& slot : bucket.slots) {
    const Link link = load(slot);
    if (kind_of(link) == kind_overflow) return free_leaves(overflow_of(link));
    Change::free_all(link);
  }
}

}  // namespace

std::uint32_t& Change::mark_of(Link node) noexcept {
  return kind_of(node) == kind_tree ? tree_of(node)->mark : page_of(node).mark;
}

Change::~Change() {
  end_step();
  for (std::size_t i = 0; i < fresh_.size(); ++i) {
    if (fresh_[i] != no_link) free_node(fresh_[i]);
  }
}

// -- making: room is made before the node is, so that noting it cannot fail

void Change::make_room() {
  if (holes_.size() == 0) fresh_.make_room();
}

Link Change::note(Link node) noexcept {
  std::size_t place = fresh_.size();
  if (holes_.size() != 0) {
    place = holes_.pop();
    fresh_[place] = node;
  } else {
    fresh_.push(node);
  }
  mark_of(node) = static_cast<std::uint32_t>(place) + 1;
  bytes_ += static_cast<std::ptrdiff_t>(bytes_of(node));
  return node;
}

const TreeNode* Change::make_tree(const TreeNode* left, const SharedObject* object, const TreeNode* right) {
  const std::uint32_t height = 1 + std::max(left ? left->height : 0, right ? right->height : 0);
  make_room();
  const auto* node = ::new (detail::allocate_node(sizeof(TreeNode))) TreeNode{left, right, object, height, 0};
  note(link_to(node));
  return node;
}

Link Change::make_page(std::uint32_t count, const std::uint64_t* ranks, const Link* objects, const Link* children) {
  make_room();
  const bool inner = children != nullptr;
  auto* page =
      ::new (detail::allocate_node(Page::bytes(count, inner))) Page{static_cast<std::uint16_t>(count), inner, 0};
  std::copy_n(ranks, count, page->ranks());
  for (std::uint32_t i = 0; i < count; ++i) ::new (page->objects() + i) Slot(objects[i]);
  for (std::uint32_t i = 0; inner && i <= count; ++i) ::new (page->children() + i) Slot(children[i]);
  return note(reinterpret_cast<Link>(page) | kind_page);
}

// -- replacing

void Change::replace(Link node) {
  std::uint32_t& mark = mark_of(node);
  if (mark == 0) {
    replaced_.push(node);
  } else {
    holes_.make_room();
    spent_.push(node);
    holes_.push(mark - 1);
    fresh_[mark - 1] = no_link;
    mark = 0;
  }
  bytes_ -= static_cast<std::ptrdiff_t>(bytes_of(node));
}

void Change::end_step() noexcept {
  for (std::size_t i = 0; i < spent_.size(); ++i) free_node(spent_[i]);
  spent_.clear();
}

void Change::commit() noexcept {
  end_step();
  for (std::size_t i = 0; i < fresh_.size(); ++i) {
    if (fresh_[i] != no_link) mark_of(fresh_[i]) = 0;
  }
  fresh_.clear();
  holes_.clear();
}

// -- freeing

void Change::free_node(Link node) noexcept {
  if (kind_of(node) == kind_segment) return free_segment(segment_of(node));
  if (kind_of(node) == kind_directory) return ::operator delete(node_of<void>(node));
  detail::free_node(node_of<void>(node), bytes_of(node));
}

void Change::free_all(Link root) noexcept {
  if (root == no_link) return;
  switch (kind_of(root)) {
    case kind_object: object_of(root)->release(); return;
    case kind_tree: {
      const TreeNode* node = tree_of(root);
      free_all(link_to(node->left));
      free_all(link_to(node->right));
      node->object->release();
      break;
    }
    case kind_page: {
      const Page& page = page_of(root);
      for (std::uint32_t i = 0; i < page.count; ++i) free_all(load(page.objects()[i]));
      for (std::uint32_t i = 0; page.inner && i <= page.count; ++i) free_all(load(page.children()[i]));
      break;
    }
    case kind_directory: {
      const Directory& directory = directory_of(root);
      Link last = no_link;  // entries of one segment stand together
      for (std::size_t i = 0; i < directory.count(); ++i) {
        if (const Link segment = load(directory.entries()[i]); segment != last) free_all(last = segment);
      }
      break;
    }
    default: {
      const Segment& segment = segment_of(root);
      for (std::size_t i = 0; i < segment.count(); ++i) free_leaves(segment.buckets()[i]);
    }
  }
  free_node(root);
}

}  // namespace coppice::otp
