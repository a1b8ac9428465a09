// SPDX-License-Identifier: Apache-2.0
#include "term/node.hpp"

#include <cstring>
#include <memory>
#include <new>

namespace coppice {
inline namespace v1 {
namespace detail {
namespace {

SizedNode* allocate_sized(TermKind kind, std::uint8_t flags, std::size_t size, std::size_t payload_bytes) {
  return new (::operator new(sizeof(SizedNode) + payload_bytes)) SizedNode{{1, kind, flags}, size};
}

Term* mutable_terms_of(TermNode* node) noexcept { return const_cast<Term*>(terms_of(node)); }

// Gives the memory of a node back. Its Terms have been dropped already.
void free_node(TermNode* node) noexcept {
  if ((node->flags & flag_exception) != 0) static_cast<ExceptionNode*>(node)->info.~ExceptionInfo();
  ::operator delete(node);
}

// Nodes that are to end, linked through the place of their first Term, which has been dropped already. So ending a
// value needs neither memory nor a stack that grows with its depth.
class EndingNodes {
 public:
  void add(TermNode* node) noexcept {
    while (node != nullptr) {
      if (!holds_terms(node)) {
        free_node(node);
        return;
      }
      Term* first = mutable_terms_of(node);
      const TermNode* child = TermAccess::drop(*first);
      std::memcpy(static_cast<void*>(first), &newest_, sizeof(newest_));
      newest_ = node;
      node = const_cast<TermNode*>(child);
    }
  }

  TermNode* take() noexcept {
    TermNode* node = newest_;
    if (node != nullptr) std::memcpy(&newest_, static_cast<void*>(mutable_terms_of(node)), sizeof(newest_));
    return node;
  }

 private:
  TermNode* newest_ = nullptr;
};

}  // namespace

void destroy_term_node(const TermNode* root) noexcept {
  EndingNodes ending;
  ending.add(const_cast<TermNode*>(root));
  while (TermNode* node = ending.take()) {
    Term* terms = mutable_terms_of(node);
    for (std::size_t i = 1; i < sized(node)->size; ++i) {
      ending.add(const_cast<TermNode*>(TermAccess::drop(terms[i])));
    }
    free_node(node);
  }
}

const TermNode* make_terms_node(TermKind kind, std::uint8_t flags, std::span<Term> terms) {
  SizedNode* node = allocate_sized(kind, flags, terms.size(), terms.size_bytes());
  std::uninitialized_move(terms.begin(), terms.end(), mutable_terms_of(node));
  return node;
}

const TermNode* make_bytes_node(TermKind kind, std::string_view bytes, std::size_t bits) {
  const std::size_t count = bits / 8 + (bits % 8 != 0 ? 1 : 0);
  SizedNode* node = allocate_sized(kind, 0, bits, count);
  char* target = const_cast<char*>(bytes_of(node));
  if (count != 0) std::memcpy(target, bytes.data(), count);
  if (bits % 8 != 0) {
    const unsigned mask = 0xffU << (8 - bits % 8);
    target[count - 1] = static_cast<char>(static_cast<unsigned char>(target[count - 1]) & mask);
  }
  return node;
}

const TermNode* make_integer_node(bool negative, std::span<const std::uint32_t> limbs) {
  SizedNode* node =
      allocate_sized(TermKind::integer, negative ? flag_negative : std::uint8_t{0}, limbs.size(), limbs.size_bytes());
  std::memcpy(const_cast<std::uint32_t*>(limbs_of(node)), limbs.data(), limbs.size_bytes());
  return node;
}

const TermNode* make_exception_node(Term error, ExceptionInfo info) {
  // No padding, hence the elements stand right behind the SizedNode, as terms_of expects.
  static_assert(sizeof(ExceptionNode) == sizeof(SizedNode) + 2 * sizeof(Term) + sizeof(ExceptionInfo));
  void* memory = ::operator new(sizeof(ExceptionNode));
  auto* node = new (memory) ExceptionNode{{{1, TermKind::tuple, flag_exception}, 2}, {}, std::move(info)};
  Term* elements = mutable_terms_of(node);
  new (&elements[0]) Term(std::move(error));
  new (&elements[1]) Term(TermAccess::adopt(TermKind::list, nullptr));
  return node;
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
