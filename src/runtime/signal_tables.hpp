// SPDX-License-Identifier: Apache-2.0
//
// The static tables of the nodes that signals.cpp and relations.cpp make and pass on.
#pragma once

#include <cstddef>

#include "runtime/process.hpp"

namespace coppice::runtime {

#pragma GCC diagnostic push
// Single inheritance without virtual functions: both compilers agree.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
template <class Node>
consteval std::uint16_t payload_offset() {
  return static_cast<std::uint16_t>(offsetof(Node, payload));
}
#pragma GCC diagnostic pop

template <class Node>
constexpr SignalTable signal_table(SignalKind kind) {
  return {kind, 0, nullptr, nullptr, &detail::destroy_node<Node>, nullptr, nullptr, nullptr};
}
// Of a node whose `payload` is, or becomes, a message.
template <class Node, class Payload>
constexpr SignalTable payload_table(SignalKind kind) {
  return {kind,
          payload_offset<Node>(),
          &detail::type_identity<Payload>,
          nullptr,
          &detail::destroy_node<Node>,
          nullptr,
          nullptr,
          &detail::describe_payload<Payload>};
}

}  // namespace coppice::runtime
