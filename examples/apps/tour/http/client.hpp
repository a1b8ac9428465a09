// SPDX-License-Identifier: Apache-2.0
//
// The other side: asks a web server on this machine. Blocks the calling process, never a thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "http/message.hpp"

namespace tour::http {

// Sends the request on a connection of its own and returns the answer. Throws boost::system::system_error, a
// std::exception, if there is no server, or no answer within `time`.
[[nodiscard]] Response fetch(std::uint16_t port, const Request& request,
                             std::chrono::milliseconds time = std::chrono::seconds(5));

}  // namespace tour::http
