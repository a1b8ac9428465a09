// SPDX-License-Identifier: Apache-2.0
#include "api.hpp"

#include <array>
#include <string>
#include <string_view>

#include <coppice/application_env.hpp>
#include <coppice/format.hpp>
#include <coppice/process.hpp>

#include "cache.hpp"
#include "counter.hpp"
#include "http/server.hpp"
#include "json.hpp"
#include "session_manager.hpp"
#include "terminal.hpp"
#include "tree.hpp"
#include "users.hpp"

namespace tour {
namespace {

using namespace coppice;
using http::Request;
using http::Response;

constexpr std::size_t id_bytes_max = 40;
constexpr std::size_t value_bytes_max = 4096;

Response ok(std::string body) { return {200, std::move(body), {}}; }
Response failure(unsigned status, std::string_view text) { return {status, json::error(text), {}}; }
Response not_allowed(std::string allowed) {
  return {405, json::error("this can only be asked with " + allowed), std::move(allowed)};
}

Response all_users() {
  json::Array array;
  for (const StoredUser& user : users::all()) array.add("id", user.id, "name", user.name);
  return ok(array.text());
}

Response one_user(const Request& request, const std::string& id) {
  if (request.method == "GET") {
    const auto user = users::get(id);
    return user ? ok(json::object("name", user->name)) : failure(404, "there is no user " + id);
  }
  if (request.method == "DELETE") {
    return users::remove(id) ? ok(json::object("deleted", id)) : failure(404, "there is no user " + id);
  }
  if (request.method != "PUT") return not_allowed("GET, PUT, DELETE");
  const auto name = json::text_of(request.body, "name");
  if (!name || name->empty() || name->size() > value_bytes_max) return failure(400, R"(the body is {"name": TEXT})");
  users::put(id, printable(*name));
  return ok(json::object("name", printable(*name)));
}

Response one_entry(const Request& request, const std::string& key) {
  if (request.method == "GET") {
    const auto value = Cache::get(key);
    return value ? ok(json::object("value", *value)) : failure(404, "there is nothing under " + key);
  }
  if (request.method != "PUT") return not_allowed("GET, PUT");
  const auto value = json::text_of(request.body, "value");
  if (!value || value->size() > value_bytes_max) return failure(400, R"(the body is {"value": TEXT})");
  Cache::put(key, *value);
  return ok(json::object("value", *value));
}

Response sessions(const Request& request) {
  if (request.method == "GET") {
    json::Array array;
    for (const auto& session : SessionManager::open()) array.add("id", session.id, "pid", to_string(session.pid));
    return ok(array.text());
  }
  if (request.method != "POST") return not_allowed("GET, POST");
  const auto id = json::text_of(request.body, "id");
  if (!id || id->empty() || id->size() > id_bytes_max) return failure(400, R"(the body is {"id": TEXT})");
  const auto refreshed = SessionManager::refresh(printable(*id));
  return {refreshed.anew ? 201u : 200u, json::object("pid", to_string(refreshed.session)), {}};
}

// The kill comes a moment later: it may hit the web server itself, and this answer is to arrive.
Response crash(const Request& request, const std::string& name) {
  if (request.method != "POST") return not_allowed("POST");
  const auto place = find_place(name);
  if (!place) return failure(404, "there is no child " + name);
  if (place->name == root) return failure(400, "the root may not be killed: nobody would start it again");
  spawn([pid = place->pid] {
    sleep_for(50ms);
    exit(pid, ExitReason::kill());
  });
  return {202, json::object("killing", place->name + " " + to_string(place->pid)), {}};
}

Response health() {
  return ok(format(R"({{"status":"ok","greeting":{},"connections":{}}})",
                   inspect(Term(application::get_env<std::string>("tour_app", "greeting", ""))),
                   http::WebServer::count_connections()));
}

}  // namespace

Response answer(const Request& request) {
  Counter::increment();
  const std::string& target = request.target;
  const auto below = [&](std::string_view path) -> std::optional<std::string> {
    if (!target.starts_with(path)) return std::nullopt;
    std::string rest = printable(target.substr(path.size()));
    if (rest.empty() || rest.size() > id_bytes_max || rest.find('/') != std::string::npos) return std::nullopt;
    return rest;
  };
  const bool reads = request.method == "GET";
  if (target == "/sessions") return sessions(request);
  if (const auto id = below("/users/")) return one_user(request, *id);
  if (const auto key = below("/cache/")) return one_entry(request, *key);
  if (const auto name = below("/crash/")) return crash(request, *name);
  for (const std::string_view path : {"/tree", "/users", "/counter", "/health"}) {
    if (target == path && !reads) return not_allowed("GET");
  }
  if (target == "/tree") return ok(json::tree(Supervisor::tree(root)));
  if (target == "/users") return all_users();
  if (target == "/counter") return ok(json::object("count", Counter::get_value()));
  if (target == "/health") return health();
  return failure(404, "there is no such thing here; try /tree, /users, /sessions, /cache/KEY, /counter, /health");
}

}  // namespace tour
