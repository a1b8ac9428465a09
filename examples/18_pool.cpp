// SPDX-License-Identifier: Apache-2.0
//
// A pool: two connections for many callers, a short queue, and back-pressure that is a value.
#include <coppice/adapter/sqlite.hpp>
#include <coppice/pool.hpp>
#include <coppice/print.hpp>
#include <coppice/receive.hpp>
#include <coppice/runtime.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/task.hpp>
using namespace coppice;
using sqlite::Connection;

inline constexpr Pool<Connection>::Name db{"Db"};

Result<int> answer(int factor) {
  return db.checkout(5s, [&](Connection& c) {
    while (db.info().rejected < 2) sleep_for(1ms);  // the connection is ours meanwhile
    return c.query_one<int>("select 6 * ?", factor).value();
  });
}

int main() {
  return coppice::run([] {
    const auto connect = [] { return Connection(":memory:"); };
    Supervisor::start_link({child<Pool<Connection>>({.name = db, .size = 2, .queue_max = 2}, connect)}).value();
    while (db.info().idle < 2) sleep_for(1ms);

    std::vector<TaskHandle<Result<int>>> tasks;
    for (int i = 0; i < 6; ++i) tasks.push_back(Task::async(answer, 7));
    int answered = 0, rejected = 0;
    for (const auto& task : tasks) {
      const Result<int> result = task.await();
      if (result) ++answered;
      if (!result && result.reason() == "rejected"_atom) ++rejected;
    }
    print("{} answered, {} rejected\n", answered, rejected);

    // Whoever dies with a connection loses it; the pool makes another.
    (void)spawn_monitor([] { (void)db.checkout([](Connection&) { exit("oops"_atom); }); });
    print("borrower: {}\n", receive<Down>().reason);
    while (db.info().idle < 2) sleep_for(1ms);
    print("idle {}, discarded {}\n", db.info().idle, db.info().discarded);
  });
}
