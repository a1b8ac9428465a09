// SPDX-License-Identifier: Apache-2.0
//
// What the web server of the tour is asked and what it answers: JSON over HTTP/1.1. Nothing of Boost is seen here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace tour::http {

struct Request {
  std::string method;  // GET
  std::string target;  // /users/1
  std::string body;
};

struct Response {
  unsigned status = 200;
  std::string body;   // JSON
  std::string allow;  // with 405: what is allowed
};

// Answers a request. Runs in the process of the connection; what it throws is 500.
using Answer = std::function<Response(const Request&)>;

struct Limits {
  std::size_t header_bytes_max = 8 * 1024;        // more is 431
  std::size_t body_bytes_max = 64 * 1024;         // more is 413
  std::size_t connections_max = 64;               // more are told 503
  std::chrono::milliseconds request_time{5'000};  // from the first byte of a request to its last; more is 408
  std::chrono::milliseconds idle_time{30'000};    // between two requests; more ends the connection
  std::chrono::milliseconds drain_time{3'000};    // at the stop: how long a running request may take yet
};

}  // namespace tour::http
