// SPDX-License-Identifier: Apache-2.0
//
// Bytes from a client of the tour's web server. Whatever they are, the connection ends, and what was answered is HTTP.
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>

#include <coppice/adapter/asio.hpp>

#include "fuzz/fuzz.hpp"
#include "http/connection.hpp"

namespace {

std::string read_all(int socket) {
  std::string bytes;
  char part[4096];
  for (;;) {
    const ssize_t got = ::read(socket, part, sizeof part);
    if (got <= 0) return bytes;
    bytes.append(part, static_cast<std::size_t>(got));
  }
}

}  // namespace

void fuzz::http(std::string_view input) {
  constexpr std::size_t bytes_max = 4096;  // the answers to it fit into the socket's buffer
  input = input.substr(0, bytes_max);
  int ends[2];
  must(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "there is no socket");
  must(::write(ends[0], input.data(), input.size()) == static_cast<ssize_t>(input.size()), "the socket takes no bytes");
  ::shutdown(ends[0], SHUT_WR);
  in_process([&] {
    static const auto io = std::make_shared<coppice::asio::Context>();
    boost::asio::ip::tcp::socket socket(io->executor());
    socket.assign(boost::asio::ip::tcp::v4(), ends[1]);
    tour::http::Connection connection(io, std::move(socket));
    tour::http::Limits limits;
    limits.header_bytes_max = 1024;
    limits.body_bytes_max = 512;
    tour::http::serve(connection, limits, [](const tour::http::Request& request) -> tour::http::Response {
      if (request.body.size() % 7 == 3) throw std::runtime_error("an answer that fails");
      return {200, "{}", {}};
    });
  });
  const std::string answer = read_all(ends[0]);
  ::close(ends[0]);
  must(answer.empty() || answer.starts_with("HTTP/1."), "an answer is no HTTP");
}
