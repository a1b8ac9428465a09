// SPDX-License-Identifier: Apache-2.0
//
// The JSON interface of the tour.
//
//   GET /tree                      the supervision tree
//   GET /sessions                  POST /sessions {"id": "7"}
//   GET /users                     GET, PUT {"name": "ann"}, DELETE /users/ID
//   GET, PUT {"value": "x"} /cache/KEY
//   GET /counter                   GET /health
//   POST /crash/NAME               kills the child of that name
#pragma once

#include "http/message.hpp"

namespace tour {

// Errors: 400 for a body that makes no sense, 404, 405; 503 (http/connection.cpp) if whoever had to be asked is not there.
[[nodiscard]] http::Response answer(const http::Request& request);

}  // namespace tour
