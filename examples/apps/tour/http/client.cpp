// SPDX-License-Identifier: Apache-2.0
#include "http/client.hpp"

#include <sstream>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <coppice/adapter/asio.hpp>

#include "settings.hpp"

namespace tour::http {

using boost::asio::ip::tcp;

Response fetch(std::uint16_t port, const Request& request, std::chrono::milliseconds time) {
  namespace beast = boost::beast::http;
  const auto io = settings().io;
  const auto wait = coppice::asio::use_process.timeout(time);
  tcp::socket socket(io->executor());
  socket.async_connect({boost::asio::ip::address_v4::loopback(), port}, wait);

  beast::request<beast::string_body> message(beast::string_to_verb(request.method), request.target, 11, request.body);
  message.set(beast::field::host, "127.0.0.1");
  message.keep_alive(false);
  message.prepare_payload();
  std::ostringstream text;
  text << message;
  const std::string bytes = text.str();
  boost::asio::async_write(socket, boost::asio::buffer(bytes), wait);

  std::string answer;
  boost::system::error_code error;
  boost::asio::async_read(socket, boost::asio::dynamic_buffer(answer, 1024 * 1024), wait(error));
  if (error && error != boost::asio::error::eof) throw boost::system::system_error(error);
  beast::response_parser<beast::string_body> parser;
  parser.eager(true);
  error = {};
  parser.put(boost::asio::buffer(answer), error);
  if (!error && !parser.is_done()) parser.put_eof(error);
  if (error) throw boost::system::system_error(error);
  return {parser.get().result_int(), parser.get().body(), {}};
}

}  // namespace tour::http
