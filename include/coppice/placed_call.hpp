// SPDX-License-Identifier: Apache-2.0
//
// Calls without an envelope: the typed half of what runtime/in_place.hpp tells. A call whose handler returns its reply needs
// no message while its caller stands by: the request and the place for the reply are in the caller's frame. Users include
// gen_server.hpp; all of this is namespace detail.
//
// The handler runs on a stack of its own, unless it has promised never to wait. It may wait there, and then its caller may be
// gone when it goes on. So it works on a message of its own, and its reply goes into the caller's frame only while that is there;
// else there is an envelope for it (ServerBody::unanswered), as after any other call.
#pragma once

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include <coppice/gen_server_dispatch.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

// A handler that gives its reply to a From, or asks for more than a reply, takes an envelope. So does what is large: without
// one it stands on two stacks.
inline constexpr std::size_t placed_size_max = 1024;
template <class S, class M>
consteval bool needs_no_envelope() {
  if constexpr (IsMachine<S> || HandlesFromCall<S, M>) {
    return false;
  } else if constexpr (sizeof(M) + sizeof(typename M::Reply) > placed_size_max) {
    return false;
  } else {
    using Returned = decltype(std::declval<S&>().handle_call(std::declval<M>()));
    return !std::is_void_v<Returned> && !std::is_base_of_v<Wish, Returned>;  // void: refused by deliver_call
  }
}

// While one of these lives, what would wait ends the server.
class MustGoOn {
 public:
  explicit MustGoOn(ServerBody& body) noexcept : body_(body) { set(body, true); }
  ~MustGoOn() { set(body_, false); }
  MustGoOn(const MustGoOn&) = delete;
  MustGoOn& operator=(const MustGoOn&) = delete;

 private:
  COPPICE_API static void set(ServerBody& body, bool on) noexcept;
  ServerBody& body_;
};

template <class S, class M>
struct PlacedRequest : PlacedCall {
  using R = typename M::Reply;
  M request;
  std::optional<R> reply;

  explicit PlacedRequest(M&& message)
      : PlacedCall{&type_identity<M>, server_table<S>(), &run_handler, &put_into_envelope, promises_not_to_wait<M>()},
        request(std::move(message)) {
    check_message<M>();
    static_assert(safe_message<R>, "a reply may not hold a bare pointer, reference, string_view or span");
  }
  static void run_handler(ServerBody& body, PlacedCall& call) {
    auto& placed = static_cast<PlacedRequest&>(call);
    if constexpr (promises_not_to_wait<M>()) {
      placed.reply.emplace(server_of<S>(body).handle_call(std::move(placed.request)));
      placed.answered = true;
    } else {
      run_apart(body, placed);
    }
  }
  // If the handler waits, its caller may be gone when it goes on: nothing of it touches the caller's frame. Then there is
  // an envelope for the reply.
  static void run_apart(ServerBody& body, PlacedRequest& placed) {
    R value = reply_to(body, placed);
    if (auto* node = static_cast<ReplyNode<R>*>(body.unanswered)) [[unlikely]] {
      node->reply.emplace(std::move(value));
      note_reply<R>(body, node);
      body.unanswered = nullptr;
      send_reply(node);
      return;
    }
    if constexpr (std::is_trivially_move_constructible_v<R>) {
      placed.reply.emplace(std::move(value));
    } else {
      const MustGoOn meanwhile(body);
      placed.reply.emplace(std::move(value));
    }
    placed.answered = true;
  }
  static R reply_to(ServerBody& body, PlacedRequest& placed) {
    M message = take_request(body, placed);
    return R(server_of<S>(body).handle_call(std::move(message)));
  }
  static M take_request(ServerBody& body, PlacedRequest& placed) {
    if constexpr (std::is_trivially_move_constructible_v<M>) {
      return std::move(placed.request);
    } else {
      const MustGoOn meanwhile(body);
      return std::move(placed.request);
    }
  }
  static CallNode* put_into_envelope(PlacedCall& call) {
    return make_call<S>(std::move(static_cast<PlacedRequest&>(call).request));
  }
};

// How a request shows in an exit reason: the tag of its type. Its value has gone to the server.
template <class M>
Term request_term() {
  return Term(type_tag_of<M>());
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
