// SPDX-License-Identifier: Apache-2.0
//
// State that outlives its process, 2: written to a database at each change, and read again in a continue, so that
// neither the supervisor nor the start of the program waits for it. Lost, also at the end of the program: nothing that
// was answered.
#include <coppice/adapter/sqlite.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>

#include <cstdio>
using namespace coppice;

class Orders : public GenServer<Orders> {
 public:
  struct Load {};
  struct Place {
    using Reply = int;
    std::string item;
  };
  static constexpr Name<Orders> name{"Orders"};

  Init init() { return ok().then(Load{}); }  // start_link returns; Load runs before any other message
  void handle_continue(Load) {
    db_.emplace("16_reload.db");
    db_->execute("create table if not exists orders (item text not null)");
    items_ = db_->query<std::string>("select item from orders order by rowid");
    print("loaded {}\n", items_.size());
  }
  int handle_call(const Place& m) {
    if (m.item.empty()) throw std::runtime_error("what was ordered?");
    db_->execute("insert into orders values (?)", m.item);  // first where it survives, then here
    items_.push_back(m.item);
    return static_cast<int>(items_.size());
  }

 private:
  std::optional<sqlite::Connection> db_;
  std::vector<std::string> items_;
};

void remove_database() {
  for (const char* file : {"16_reload.db", "16_reload.db-wal", "16_reload.db-shm"}) std::remove(file);
}

int main() {
  remove_database();
  const int status = coppice::run([] {
    Supervisor::start_link({child<Orders>()}).value();
    Orders::name.call(Orders::Place{"tea"});
    print("orders {}\n", Orders::name.call(Orders::Place{"milk"}));
    const std::string why(Orders::name.try_call(Orders::Place{}).reason().exception_message());
    while (!Orders::name.pid()) sleep_for(1ms);                   // its supervisor starts it again
    const int orders = Orders::name.call(Orders::Place{"cake"});  // answered after its continue
    print("lost: {}\norders {}\n", why, orders);
  });
  remove_database();
  return status;
}
