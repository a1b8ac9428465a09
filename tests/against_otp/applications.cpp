// SPDX-License-Identifier: Apache-2.0
//
// Applications of scenarios. There are three, since a class stands for each: one, two and three. A block says what they
// depend on, which block is their tree, and what they do when they stop.
#include <algorithm>
#include <array>

#include <coppice/application.hpp>
#include <coppice/process.hpp>

#include "against_otp/play.hpp"

namespace against_otp {

using namespace coppice;

namespace {

// The stage of the scenario that is played; applications are made by their class, so that nobody can hand it to them.
Stage* stage = nullptr;

AppRef application_of(Atom name);

// What all three do; `name` is also that of their block.
struct Played {
  explicit Played(const char* name) : name_(name) {}

  ChildOutcome start(const StartType&) {
    const Line& block = stage->block(name_);
    for (const Line& line : block.body) {
      if (line.word != "start") continue;
      const std::optional<Verdict> verdict = Player(*stage, {}).run(line.body);
      if (verdict && verdict->kind == Verdict::Kind::stop)
        return StartOutcome{StartOutcome::Kind::error, {}, ExitReason(verdict->value), {}};
    }
    return start_link(*stage, stage->block(block.option("tree")->name));
  }
  void prep_stop() { play("prep_stop"); }
  void stop() { play("stop"); }

  static ApplicationSpec spec(const char* name) {
    const Line& block = stage->block(name);
    ApplicationSpec spec{.name = name};
    if (const Expression* others = block.option("applications")) {
      for (const Expression& other : others->elements)
        spec.applications.push_back(application_of(*other.literal.as_atom()));
    }
    if (const Expression* entries = block.option("env")) {
      for (const Expression& entry : entries->elements) {
        spec.env.push_back({*entry.elements[0].literal.as_atom(), entry.elements[1].literal});
      }
    }
    return spec;
  }

 private:
  void play(const char* when) {
    for (const Line& line : stage->block(name_).body) {
      if (line.word == when) (void)Player(*stage, {}).run(line.body);
    }
  }
  const char* name_;
};

}  // namespace

struct One : Application<One>, Played {
  One() : Played("one") {}
  static ApplicationSpec spec() { return Played::spec("one"); }
};
struct Two : Application<Two>, Played {
  Two() : Played("two") {}
  static ApplicationSpec spec() { return Played::spec("two"); }
};
struct Three : Application<Three>, Played {
  Three() : Played("three") {}
  static ApplicationSpec spec() { return Played::spec("three"); }
};

namespace {

constexpr std::array names{"one", "two", "three"};

AppRef application_of(Atom name) {
  if (name == Atom("one")) return app<One>();
  if (name == Atom("two")) return app<Two>();
  return name == Atom("three") ? app<Three>() : AppRef(name);
}

bool is_ours(Atom name) {
  return std::ranges::any_of(names, [&](const char* ours) { return name == Atom(ours); });
}

Term term_of(const Result<>& result) { return result ? Term(Atom("ok")) : tuple(Atom("error"), result.reason()); }

AppRef application(Player& player, const Line& line) {
  stage = &player.stage();
  return application_of(player.argument(line, 0).as_atom().value());
}

RestartType type(Player& player, const Line& line) {
  if (line.arguments.size() < 2) return RestartType::temporary;
  return player.argument(line, 1).is_atom(Atom("transient")) ? RestartType::transient : RestartType::temporary;
}

void load(Player& player, const Line& line) {
  player.tell("load", term_of(application::load(application(player, line))));
}
void unload(Player& player, const Line& line) {
  player.tell("unload", term_of(application::unload(application(player, line).name())));
}
void start_application(Player& player, const Line& line) {
  const AppRef which = application(player, line);
  player.tell("start", term_of(application::start(which, type(player, line))));
}
void ensure_started(Player& player, const Line& line) {
  const AppRef which = application(player, line);
  player.tell("ensure_started", term_of(application::ensure_started(which, type(player, line))));
}
void ensure_all_started(Player& player, const Line& line) {
  const Result<std::vector<Atom>> result = application::ensure_all_started({application(player, line)});
  if (!result) return player.tell("ensure_all_started", tuple(Atom("error"), result.reason()));
  std::vector<Term> started(result->begin(), result->end());
  player.tell("ensure_all_started", tuple(Atom("ok"), Term::list_of(std::move(started))));
}
void stop_application(Player& player, const Line& line) {
  player.tell("stop", term_of(application::stop(application(player, line).name())));
}
Term names_of(const std::vector<application::ApplicationInfo>& infos) {
  std::vector<Term> ours;
  for (const application::ApplicationInfo& info : infos) {
    if (is_ours(info.name)) ours.emplace_back(info.name);
  }
  return Term::list_of(std::move(ours));
}
void started(Player& player, const Line&) {
  player.tell("started_applications", names_of(application::started_applications()));
}
void loaded(Player& player, const Line&) {
  player.tell("loaded_applications", names_of(application::loaded_applications()));
}
void get_env(Player& player, const Line& line) {
  const auto found =
      application::get_env<Term>(application(player, line).name(), player.argument(line, 1).as_atom().value());
  player.tell("env", found ? *found : Term());
}
void put_env(Player& player, const Line& line) {
  application::put_env(application(player, line).name(), player.argument(line, 1).as_atom().value(),
                       player.argument(line, 2));
}
void application_of_process(Player& player, const Line& line) {
  const std::optional<Atom> name = application::get_application(player.process(line, 0));
  player.tell("application", name ? Term(*name) : Term());
}

}  // namespace

void end_of_applications() {
  for (const application::ApplicationInfo& info : application::started_applications()) {
    if (is_ours(info.name)) (void)application::stop(info.name);
  }
}

const Steps& application_steps() {
  static const Steps all{{"load_application", load},
                         {"unload_application", unload},
                         {"start_application", start_application},
                         {"ensure_started", ensure_started},
                         {"ensure_all_started", ensure_all_started},
                         {"stop_application", stop_application},
                         {"started_applications", started},
                         {"loaded_applications", loaded},
                         {"get_env", get_env},
                         {"put_env", put_env},
                         {"application_of", application_of_process}};
  return all;
}

}  // namespace against_otp
