// SPDX-License-Identifier: Apache-2.0
//
// RequestCollection: many requests under way at once, each with a label, answered in whatever order the servers do.
//
//   RequestCollection<int, std::string> requests;
//   for (const std::string& city : cities) requests.add(weather_of(city).send_request(GetTemperature{}), city);
//   while (auto next = requests.receive_response(Until{deadline})) {
//     if (next.response()) print("{}: {}", next.label(), next.response().value());
//   }
//
// A value of the process that sent the requests; movable. What is answered leaves the collection (OTP: `Delete` is true).
// OTP: gen_server:reqids_new/0 and the response functions with a collection; rules GS-077, GS-078.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>

namespace coppice {
inline namespace v1 {

// What asking a collection gives: an answer with its label, or why there is none. True if there is an answer.
template <class R, class Label>
class [[nodiscard]] CollectedResponse {
 public:
  enum class Kind : std::uint8_t {
    response,
    no_request,  // the collection was empty
    timeout,
    no_reply  // check_response: the message answers none of these requests
  };

  CollectedResponse(Kind kind) : kind_(kind) {}  // NOLINT: for the collection
  CollectedResponse(Result<R> response, Label label)
      : kind_(Kind::response), response_(std::move(response)), label_(std::move(label)) {}

  [[nodiscard]] explicit operator bool() const noexcept { return kind_ == Kind::response; }
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool is_no_request() const noexcept { return kind_ == Kind::no_request; }
  [[nodiscard]] bool is_timeout() const noexcept { return kind_ == Kind::timeout; }
  [[nodiscard]] bool is_no_reply() const noexcept { return kind_ == Kind::no_reply; }

  // The reply, or the bare cause: noproc, or the reason for which the server died. Only if there is an answer.
  [[nodiscard]] const Result<R>& response() const { return response_.value(); }
  // What add was given with the request. Only if there is an answer.
  [[nodiscard]] const Label& label() const { return label_.value(); }

 private:
  Kind kind_;
  std::optional<Result<R>> response_;
  std::optional<Label> label_;
};

// Requests whose replies are of type R.
template <class R, class Label = Term>
class RequestCollection {
 public:
  using Collected = CollectedResponse<R, Label>;

  // Takes a request of the calling process in; labels need not differ.
  void add(const Request<R>& request, Label label) {
    requests_.insert_or_assign(request.reference().id(), Entry{request, std::move(label)});
  }
  [[nodiscard]] std::size_t size() const noexcept { return requests_.size(); }
  [[nodiscard]] bool empty() const noexcept { return requests_.empty(); }
  // The requests that are not answered yet, in no order. OTP: reqids_to_list/1.
  [[nodiscard]] std::vector<std::pair<Request<R>, Label>> to_list() const {
    std::vector<std::pair<Request<R>, Label>> list;
    for (const auto& [id, entry] : requests_) list.emplace_back(entry.request, entry.label);
    return list;
  }

  // Waits for the next answer, whichever it is; after a timeout the requests go on: ask again.
  [[nodiscard]] Collected wait_response(WaitTime timeout) {
    if (requests_.empty()) return Collected::Kind::no_request;
    std::optional<Response> taken;
    receive(when([this](const Response& response) { return requests_.contains(response.request().id()); },
                 [&taken](Response response) { taken.emplace(std::move(response)); }),
            after(timeout, [] {}));
    if (!taken) return Collected::Kind::timeout;
    return take(*taken);
  }
  // The same, but a timeout gives all of them up: their answers will be dropped, and the collection is empty.
  [[nodiscard]] Collected receive_response(WaitTime timeout) {
    Collected response = wait_response(timeout);
    if (response.is_timeout()) abandon();
    return response;
  }
  // The same two with a deadline (GS-078).
  [[nodiscard]] Collected wait_response(const Until& deadline) { return wait_response(detail::time_left(deadline)); }
  [[nodiscard]] Collected receive_response(const Until& deadline) {
    return receive_response(detail::time_left(deadline));
  }

  // Is this message the answer to one of them?
  [[nodiscard]] Collected check_response(const Response& response) {
    if (requests_.empty()) return Collected::Kind::no_request;
    if (!requests_.contains(response.request().id())) return Collected::Kind::no_reply;
    return take(response);
  }

 private:
  struct Entry {
    Request<R> request;
    Label label;
  };

  Collected take(const Response& response) {
    auto entry = requests_.extract(response.request().id());
    return Collected(detail::read_response<R>(response), std::move(entry.mapped().label));
  }
  void abandon() {
    for (const auto& [id, entry] : requests_) {
      const Reference& request = entry.request.reference();
      if (!detail::abandon_request(request)) {  // its answer stands in the mailbox
        static_cast<void>(detail::take_response(request, std::chrono::seconds(0)));
      }
    }
    requests_.clear();
  }

  std::unordered_map<std::uint64_t, Entry> requests_;
};

}  // namespace v1
}  // namespace coppice
