// SPDX-License-Identifier: Apache-2.0
#include "http/connection.hpp"

#include <array>
#include <optional>
#include <sstream>
#include <string>

#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <coppice/logger.hpp>
#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

#include "json.hpp"

namespace tour::http {
namespace {

using namespace coppice;
namespace beast = boost::beast::http;
using boost::system::error_code;

constexpr auto write_time = 5s;
constexpr auto linger_time = 1s;
constexpr std::size_t linger_bytes_max = 1024 * 1024;

// How the attempt to read a request ended: with one, with an answer that says what is wrong, or with neither.
struct Attempt {
  std::optional<beast::request<beast::string_body>> request;
  std::optional<Response> refusal;
};

Response refuse(unsigned status, std::string_view text) { return {status, json::error(text), {}}; }

Response refusal_of(const error_code& error) {
  if (error == beast::error::header_limit) return refuse(431, "the head of the request is too long");
  if (error == beast::error::body_limit) return refuse(413, "the body of the request is too long");
  return refuse(400, "this is no request: " + error.message());
}

class Server {
 public:
  Server(Connection& connection, const Limits& limits, const Answer& answer)
      : socket_(connection.socket), limits_(limits), answer_(answer) {}

  void run() {
    for (;;) {
      if (buffered_.empty() && !wait_for_first_byte()) return;
      // From here on a stop waits for us: it comes as a message.
      trap_exit(true);
      if (!serve_one()) return;
      trap_exit(false);
      if (receive<ExitMessage>(0ms)) return;
    }
  }

 private:
  bool wait_for_first_byte() {
    error_code error;
    socket_.async_wait(boost::asio::ip::tcp::socket::wait_read, asio::use_process(error).timeout(limits_.idle_time));
    return !error;
  }

  // Returns whether the connection stays.
  bool serve_one() {
    Attempt attempt = read_request();
    if (attempt.refusal) {
      write(*attempt.refusal, false, 11);
      linger();
      return false;
    }
    if (!attempt.request) return false;
    const auto& request = *attempt.request;
    const bool stays = request.keep_alive();
    return write(answer_safely(request), stays, request.version()) && stays;
  }

  Attempt read_request() {
    const auto deadline = monotonic_time() + limits_.request_time;
    beast::request_parser<beast::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
    parser.body_limit(limits_.body_bytes_max);
    parser.eager(true);
    bool told_to_go_on = false;
    for (;;) {
      error_code error;
      if (!buffered_.empty()) {
        const std::size_t used = parser.put(boost::asio::buffer(buffered_), error);
        buffered_.erase(0, used);
        if (error && error != beast::error::need_more) return {std::nullopt, refusal_of(error)};
        if (parser.is_done()) return {parser.release(), std::nullopt};
        // The parser wants to see a head whole: what it has not used stays in front of what comes.
        if (buffered_.size() > limits_.header_bytes_max) return {std::nullopt, refusal_of(beast::error::header_limit)};
      }
      if (parser.is_header_done() && !told_to_go_on && parser.get()[beast::field::expect] == "100-continue") {
        told_to_go_on = true;
        if (!write_text("HTTP/1.1 100 Continue\r\n\r\n")) return {};
      }
      if (!read_some(deadline - monotonic_time(), error)) {
        if (error == boost::asio::error::timed_out) return {std::nullopt, refuse(408, "the request came too slowly")};
        if (error != boost::asio::error::eof) return {};
        if (!parser.got_some() && buffered_.empty()) return {};  // the client is done
        return {std::nullopt, refuse(400, "the request was cut off")};
      }
    }
  }

  bool read_some(std::chrono::nanoseconds time, error_code& error) {
    if (time <= 0ns) {
      error = boost::asio::error::timed_out;
      return false;
    }
    std::array<char, 4096> bytes;
    const std::size_t count =
        socket_.async_read_some(boost::asio::buffer(bytes), asio::use_process(error).timeout(time));
    buffered_.append(bytes.data(), count);
    return !error;
  }

  Response answer_safely(const beast::request<beast::string_body>& request) {
    try {
      return answer_({std::string(request.method_string()), std::string(request.target()), request.body()});
    } catch (const std::exception& error) {
      logger::error("the web server could not answer {}: {}", std::string_view(request.target()), error.what());
      return refuse(500, error.what());
    } catch (const Exit& exit) {  // a call that failed: the server it went to was not there, or too slow
      return refuse(503, exit.message());
    }
  }

  bool write(const Response& response, bool stays, unsigned version) {
    beast::response<beast::string_body> message(static_cast<beast::status>(response.status), version, response.body);
    message.set(beast::field::server, "coppice tour");
    message.set(beast::field::content_type, "application/json");
    if (!response.allow.empty()) message.set(beast::field::allow, response.allow);
    message.keep_alive(stays);
    message.prepare_payload();
    std::ostringstream text;
    text << message;
    return write_text(text.str());
  }

  bool write_text(const std::string& text) {
    error_code error;
    boost::asio::async_write(socket_, boost::asio::buffer(text), asio::use_process(error).timeout(write_time));
    return !error;
  }

  // Reads away, for a while, what the client still sends: to close at once could take our answer from it.
  void linger() {
    error_code error;
    socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, error);
    const auto deadline = monotonic_time() + linger_time;
    for (std::size_t total = 0; total < linger_bytes_max; total += buffered_.size()) {
      buffered_.clear();
      if (!read_some(deadline - monotonic_time(), error)) return;
    }
  }

  friend void tour::http::turn_away(Connection& connection);

  boost::asio::ip::tcp::socket& socket_;
  const Limits& limits_;
  const Answer& answer_;
  std::string buffered_;  // read, and not used by the parser yet
};

}  // namespace

void serve(Connection& connection, const Limits& limits, const Answer& answer) {
  Server(connection, limits, answer).run();
}

void turn_away(Connection& connection) {
  const Limits limits;
  const Answer nobody;
  Server server(connection, limits, nobody);
  server.write(refuse(503, "too many connections"), false, 11);
  server.linger();
}

}  // namespace tour::http
