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
    default: return Branch::bytes(branch_of(link).count());
  }
}

Link new_branch(std::uint32_t bitmap, Link kind, const Link* children) {
  const auto count = static_cast<std::uint32_t>(std::popcount(bitmap));
  auto* branch = ::new (detail::allocate_node(Branch::bytes(count))) Branch{bitmap, 0};
  for (std::uint32_t i = 0; i < count; ++i) ::new (branch->children() + i) Slot(children[i]);
  return reinterpret_cast<Link>(branch) | kind;
}

}  // namespace

std::uint32_t& Change::mark_of(Link node) noexcept {
  switch (kind_of(node)) {
    case kind_tree: return tree_of(node)->mark;
    case kind_page: return page_of(node).mark;
    default: return branch_of(node).mark;
  }
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

Link Change::make_branch(std::uint32_t bitmap, const Link* children) {
  make_room();
  return note(new_branch(bitmap, kind_branch, children));
}

Link Change::make_fan(const Link* children) {
  make_room();
  return note(new_branch(~std::uint32_t{0}, kind_fan, children));
}

Link Change::make_page(std::uint32_t count, const std::uint64_t* ranks, const Link* objects, const Link* children) {
  make_room();
  const bool inner = children != nullptr;
  auto* page = ::new (detail::allocate_node(Page::bytes(count, inner)))
      Page{static_cast<std::uint16_t>(count), inner, 0};
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
  detail::free_node(reinterpret_cast<void*>(node & ~kind_bits), bytes_of(node));
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
    default: {
      const Branch& branch = branch_of(root);
      const std::uint32_t count = branch.count();
      for (std::uint32_t i = 0; i < count; ++i) free_all(load(branch.children()[i]));
    }
  }
  free_node(root);
}

}  // namespace coppice::otp
