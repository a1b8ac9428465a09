// SPDX-License-Identifier: Apache-2.0
//
// The web server of the tour: a supervisor over the connections and the listener.
//
//   WebServer                  rest_for_one
//     WebServer.Connections    a dynamic supervisor: a process for each connection
//     WebServer.Listener       accepts, and has a process started for each connection
//
// It stops in the reverse order: first nothing more is accepted, then each connection may finish its request, for at most
// `drain_time`; those that are idle end at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <coppice/adapter/asio.hpp>
#include <coppice/supervisor.hpp>

#include "http/message.hpp"

namespace tour::http {

struct ServerOptions {
  std::shared_ptr<coppice::asio::Context> io;
  // The port to listen on, of the loopback interface; 0: one that is free. Then it becomes the one that was taken, so
  // that a listener that is restarted has the same.
  std::shared_ptr<std::atomic<std::uint16_t>> port;
  Limits limits = {};
  Answer answer;
};

class WebServer : public coppice::ModuleSupervisor<WebServer> {
 public:
  static constexpr coppice::Name<coppice::Supervisor> name{"WebServer"};
  static constexpr const char* connections = "WebServer.Connections";
  static constexpr const char* listener = "WebServer.Listener";

  // A port that is taken is the error of the start: {:eaddrinuse, port}.
  coppice::SupervisorInit init(ServerOptions options);

  // How many connections there are now.
  [[nodiscard]] static std::size_t count_connections();
};

}  // namespace tour::http
