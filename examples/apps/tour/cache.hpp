// SPDX-License-Identifier: Apache-2.0
//
// Cache: texts under keys, in a table that many may read at once. Writes go through the server, reads send no message.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <coppice/ets.hpp>
#include <coppice/gen_server.hpp>

#include "farewell.hpp"

namespace tour {

class Cache : public coppice::GenServer<Cache> {
 public:
  using Table = coppice::ets::Table<std::string, std::string>;
  struct Put {
    using Reply = coppice::Ok;
    std::string key;
    std::string value;
  };
  static constexpr coppice::Name<Cache> name{"Cache"};
  static constexpr Table::Name table{"Cache"};

  static void put(std::string key, std::string value) { name.call(Put{std::move(key), std::move(value)}); }
  static std::optional<std::string> get(std::string_view key) { return table.lookup(key); }

  Cache()
      : table_(Table::create(
            {.name = table, .type = coppice::ets::Type::set, .access = coppice::ets::Access::protected_})) {}
  coppice::Ok handle_call(Put m) {
    table_.insert(std::move(m.key), std::move(m.value));
    return {};
  }

 private:
  Table table_;  // goes with its owner: the cache of a new Cache is empty
  Farewell farewell_{"Cache"};
};

}  // namespace tour
