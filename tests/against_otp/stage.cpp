// SPDX-License-Identifier: Apache-2.0
#include "against_otp/stage.hpp"

#include <algorithm>
#include <chrono>

#include <coppice/receive.hpp>

#include "against_otp/play.hpp"

namespace against_otp {

using namespace coppice;
using std::chrono::milliseconds;

// Watches all players.
class Stage::Watcher : public GenServer<Watcher> {
 public:
  struct Watch {
    using Reply = Ok;
    std::string name;
    Pid pid;
  };
  explicit Watcher(Stage* stage) : stage_(stage) {}

  Ok handle_call(const Watch& watch) {
    {
      const std::lock_guard lock(stage_->mutex_);
      stage_->processes_[watch.name] = watch.pid;
      if (stage_->players_.contains(watch.pid)) return {};
      const auto number =
          std::ranges::count_if(stage_->players_, [&](const auto& player) { return player.second.name == watch.name; });
      stage_->players_.emplace(watch.pid, Player{watch.name, static_cast<int>(number) + 1});
    }
    (void)monitor(watch.pid);
    return {};
  }
  void handle_info(const Down& down) { stage_->note(down.pid, tuple(Atom("ended"), down.reason)); }

 private:
  Stage* stage_;
};

Stage::Stage(const Line& scenario) : scenario_(scenario) {}

const Line& Stage::block(const std::string& name) const {
  for (const Line& line : scenario_.body) {
    if (line.name() == name) return line;
  }
  throw std::out_of_range("the scenario has no block " + name);
}

const Line* Stage::block_of(const Pid& pid) const {
  const std::lock_guard lock(mutex_);
  const auto player = players_.find(pid);
  return player == players_.end() ? nullptr : &block(player->second.name);
}

void Stage::watch(const std::string& name, const Pid& pid) {
  (void)ServerRef<Watcher>(watcher_).call(Watcher::Watch{name, pid}, infinity);
}

void Stage::tell(const Term& term) { note(self(), term); }

void Stage::note(const Pid& pid, Term term) {
  const std::lock_guard lock(mutex_);
  told_.emplace_back(pid, std::move(term));
}

Processes Stage::processes() const {
  const std::lock_guard lock(mutex_);
  return processes_;
}

std::string Stage::play() {
  const auto watcher = Watcher::start(this).value();
  watcher_ = watcher;
  const auto [pid, reference] = spawn_monitor([this] { run_process(*this, block("main")); });
  receive(when([&](const Down& down) { return down.reference == reference; }, [](const Down&) {}));
  sleep_for(milliseconds(2));  // in virtual time: until all others wait
  watcher.stop();
  std::string told = result();
  end_of_applications();
  if (tells_reports_) end_of_reports();
  return told;
}

// -- showing ---------------------------------------------------------------------------------------------------------

namespace {

bool is_module_call(const Term& term) {
  return term.is_tuple(3) && term[2].is_list() &&
         (term[0].is_atom(Atom("Elixir.GenServer")) || term[0].is_atom(Atom("Elixir.Task")) ||
          term[0].is_atom(Atom("gen_statem")));
}

bool is_error_with_stack(const Term& term) {
  return term.is_tuple(2) && term[0].is_map() && term[0].contains(Atom("__exception__")) && term[1].is_list();
}

}  // namespace

// Processes by name, references and stacks without their contents.
Term Stage::clean(const Term& term) const {
  if (const auto pid = term.as_pid()) {
    const auto player = players_.find(*pid);
    return Atom("<" + (player == players_.end() ? "pid" : player->second.shown()) + ">");
  }
  if (term.is_reference()) return Atom("<ref>");
  if (is_module_call(term)) return tuple(term[0], term[1]);
  if (term.is_tuple(9) && term[0].is_atom(Atom("child"))) return Atom("<child>");
  if (is_error_with_stack(term)) return tuple(clean(term[0]), Atom("<stack>"));
  if (term.is_tuple() || term.is_list()) {
    std::vector<Term> elements;
    for (const Term& element : term.elements()) elements.push_back(clean(element));
    return term.is_tuple() ? Term::tuple_of(std::move(elements)) : Term::list_of(std::move(elements));
  }
  return term;
}

std::string Stage::show(const Term& term) const {
  std::string text = inspect(clean(term), {.limit = InspectOptions::infinity});
  for (std::size_t at = 0; (at = text.find(":\"<", at)) != std::string::npos;) {
    const std::size_t end = text.find(">\"", at);
    if (end == std::string::npos) break;
    text.erase(end + 1, 1);
    text.erase(at, 2);
  }
  return text;
}

std::string Stage::result() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<Pid, Player>> players(players_.begin(), players_.end());
  std::ranges::sort(players, {},
                    [](const auto& player) { return std::pair(player.second.name, player.second.number); });
  std::string text = "scenario " + scenario_.text + "\n";
  for (const auto& [pid, player] : players) {
    text += "  " + player.shown() + "\n";
    for (const auto& [from, term] : told_) {
      if (from == pid) text += "    " + show(term) + "\n";
    }
  }
  return text;
}

}  // namespace against_otp
