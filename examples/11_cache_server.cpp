// SPDX-License-Identifier: Apache-2.0
//
// A table owned by a server: writes go through the server, reads go to the table and send no message.
#include <optional>
#include <string>
#include <string_view>

#include <coppice/ets.hpp>
#include <coppice/gen_server.hpp>
using namespace coppice;

class CacheServer : public GenServer<CacheServer> {
 public:
  using Table = ets::Table<std::string, std::string>;
  struct Put {
    using Reply = Ok;
    std::string key, value;
  };
  static constexpr Name<CacheServer> name{"CacheServer"};
  static constexpr Table::Name table{"CacheServer"};

  static void put(std::string key, std::string value) { name.call(Put{std::move(key), std::move(value)}); }
  static std::optional<std::string> get(std::string_view key) { return table.lookup(key); }  // no message

  CacheServer() : cache_(Table::create({.name = table, .type = ets::Type::set, .access = ets::Access::protected_})) {}
  Ok handle_call(Put m) {
    cache_.insert(std::move(m.key), std::move(m.value));
    return {};
  }

 private:
  Table cache_;  // the table dies with its owner, or goes to its heir
};

int main() {
  return coppice::run([] {
    const auto server = CacheServer::start_link().value();
    CacheServer::put("user:1", "Ann");
    CacheServer::put("user:2", "Bob");
    print("user:1 {}\n", CacheServer::get("user:1").value_or("nobody"));
    print("user:3 {}\n", CacheServer::get("user:3").value_or("nobody"));
    print("size {}\n", CacheServer::table.size());
    try {
      CacheServer::table.insert("user:3", "Eve");  // protected: the owner writes
    } catch (const Exit& exit) {
      print("refused: {}\n", exit.reason());
    }
    server.stop();
    print("table {}\n", CacheServer::table.info() ? "is there" : "went with its owner");
  });
}
