// SPDX-License-Identifier: Apache-2.0
#include "http/server.hpp"

#include <utility>

#include <boost/asio/ip/tcp.hpp>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/logger.hpp>
#include <coppice/proc_lib.hpp>
#include <coppice/timer.hpp>

#include "farewell.hpp"
#include "http/connection.hpp"

namespace tour::http {
namespace {

using namespace coppice;
using boost::asio::ip::tcp;
using boost::system::error_code;

// The listening socket, or the error of the start.
tcp::acceptor listen(const ServerOptions& options) {
  const std::uint16_t port = options.port->load();
  error_code error;
  tcp::acceptor acceptor(options.io->executor());
  const tcp::endpoint address(boost::asio::ip::address_v4::loopback(), port);
  acceptor.open(address.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(address, error);
  if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (error) {
    const Term reason = error == boost::asio::error::address_in_use ? tuple(Atom("eaddrinuse"), port)
                                                                    : tuple(Atom("listen"), error.message(), port);
    proc_lib::init_fail(tuple(Atom("error"), reason), ExitReason(reason));
  }
  options.port->store(acceptor.local_endpoint().port());
  return acceptor;
}

// A process for the connection; there may be so many, and no more.
void hand_over(const ServerOptions& options, tcp::socket accepted) {
  auto connection = std::make_shared<Connection>(options.io, std::move(accepted));
  const auto start = [connection, limits = options.limits, answer = options.answer] {
    return spawn_link([connection, limits, answer] { serve(*connection, limits, answer); }, {.label = "connection"});
  };
  const auto started = DynamicSupervisor::start_child(
      WebServer::connections,
      child("connection", start).restart(Restart::temporary).shutdown(options.limits.drain_time));
  if (started) return;
  logger::warning("the web server turns a client away: {}", started.reason());
  spawn([connection] { turn_away(*connection); });
}

void accept_for_ever(const ServerOptions& options) {
  tcp::acceptor acceptor = listen(options);
  const Farewell farewell("WebServer.Listener");
  proc_lib::init_ack(tuple(Atom("ok"), self()));
  for (;;) {
    error_code error;
    tcp::socket accepted = acceptor.async_accept(asio::use_process(error));
    if (!error) {
      hand_over(options, std::move(accepted));
    } else if (error != boost::asio::error::connection_aborted) {
      logger::error("the web server cannot accept: {}", error.message());  // no descriptors left, as a rule
      sleep_for(100ms);
    }
  }
}

}  // namespace

SupervisorInit WebServer::init(ServerOptions options) {
  const auto limit = static_cast<std::int64_t>(options.limits.connections_max);
  const auto start = [options] {
    return proc_lib::start_link([options] { accept_for_ever(options); }, infinity, {.name = listener});
  };
  return Supervisor::init(
      {
          child<DynamicSupervisor>({.name = connections, .max_children = limit}),
          child(listener, start),
      },
      {.strategy = Strategy::rest_for_one});
}

std::size_t WebServer::count_connections() { return DynamicSupervisor::count_children(connections).active; }

}  // namespace tour::http
