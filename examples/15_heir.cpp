// SPDX-License-Identifier: Apache-2.0
//
// State that outlives its process, 1: a table with an heir. When the server dies the table goes to a keeper that does
// nothing else, and so has no reason to die; the new server gets it back. Lost at a crash: nothing that was inserted.
#include <coppice/ets.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>
#include <coppice/supervisor.hpp>
using namespace coppice;
using Scores = ets::Table<std::string, int>;

class Keeper : public GenServer<Keeper> {
 public:
  using Messages = coppice::Messages<Scores::Transfer>;
  struct Fetch {
    using Reply = bool;
    Pid to;
  };
  static constexpr Name<Keeper> name{"Keeper"};

  Keeper() : scores_(Scores::create({.label = "scores", .heir = ets::Heir{self().pid()}})) {}
  void handle_call(Fetch m, From<bool> from) { waiting_.emplace(m.to, std::move(from)), hand_over(); }
  void handle_info(Scores::Transfer m) { scores_ = m.table, here_ = true, hand_over(); }

 private:
  void hand_over() {
    if (!here_ || !waiting_) return;
    scores_.give_away(waiting_->first);
    waiting_->second.reply(true);
    waiting_.reset(), here_ = false;
  }
  Scores scores_;
  bool here_ = true;
  std::optional<std::pair<Pid, From<bool>>> waiting_;  // a server that asked before the table was here
};

class Game : public GenServer<Game> {
 public:
  using Messages = coppice::Messages<Scores::Transfer>;
  struct Add {
    using Reply = int;
    std::string player;
    int points;
  };
  static constexpr Name<Game> name{"Game"};

  Game() {
    Keeper::name.call(Keeper::Fetch{self()});
    scores_ = receive<Scores::Transfer>().table;
  }
  int handle_call(const Add& m) {
    if (m.points < 0) throw std::runtime_error("no points");
    return scores_.update_counter(m.player, m.points, 0);
  }
  void handle_info(const Scores::Transfer&) {}

 private:
  Scores scores_;
};
int main() {
  return coppice::run([] {
    Supervisor::start_link({child<Keeper>(), child<Game>()}).value();
    print("ann {}\n", Game::name.call(Game::Add{"ann", 5}));
    print("{}\n", Game::name.try_call(Game::Add{"ann", -1}).reason().exception_message());
    while (!Game::name.pid()) sleep_for(1ms);  // its supervisor starts it again
    print("ann {}\n", Game::name.call(Game::Add{"ann", 2}));
  });
}
