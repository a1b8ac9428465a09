// SPDX-License-Identifier: Apache-2.0
#include <coppice/adapter/sqlite.hpp>

int main() {
  coppice::sqlite::Connection db(":memory:");
  return db.query_one<int>("select 6 * ?", 7) == 42 ? 0 : 1;
}
