// SPDX-License-Identifier: Apache-2.0
//
// One connection: a process each. It reads a request, answers it, and goes on until the client has enough.
#pragma once

#include <memory>
#include <utility>

#include <boost/asio/ip/tcp.hpp>

#include <coppice/adapter/asio.hpp>

#include "http/message.hpp"

namespace tour::http {

// A socket and the context it belongs to, which thus lives as long.
struct Connection {
  std::shared_ptr<coppice::asio::Context> io;
  boost::asio::ip::tcp::socket socket;
  Connection(std::shared_ptr<coppice::asio::Context> context, boost::asio::ip::tcp::socket accepted)
      : io(std::move(context)), socket(std::move(accepted)) {}
};

// Serves the connection in the calling process until it ends. Asked to stop (an exit signal `shutdown`), the process
// dies at once between two requests, and finishes the one that is running.
void serve(Connection& connection, const Limits& limits, const Answer& answer);

// Tells that there is no room, and ends the connection.
void turn_away(Connection& connection);

}  // namespace tour::http
