// SPDX-License-Identifier: Apache-2.0
//
// What the tests of applications share: applications that tell the test what happens to them, and fail as they are
// told.
#pragma once

#include <coppice/application.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>

#include "conformance/processes_support.hpp"

namespace conformance {
inline namespace applications {  // others have helpers of the same names, in the same program

struct Note {
  std::string text;
};
// Tells whoever is registered as "test".
inline void note(std::string text) {
  if (const Pid test = whereis("test")) send(test, Note{std::move(text)});
}
inline std::string next_note() { return receive<Note>().text; }
// The notes that are there now, in order.
inline std::string notes() {
  std::string all;
  while (const std::optional<Note> one = receive<Note>(0s)) all += (all.empty() ? "" : ", ") + one->text;
  return all;
}
inline void be_the_test() { register_name(self(), "test"); }

struct Go {};
struct Wake {};

struct Idle : GenServer<Idle> {};

// Does as the key `how` of its environment says.
class Probe : public Application<Probe> {
 public:
  static ApplicationSpec spec() {
    return {.description = "a probe",
            .vsn = "1.2.3",
            .modules = {application::module<Idle>()},
            .registered = {"Probe.Supervisor"},
            .env = {{"port", 4000}, {"host", "localhost"}},
            .start_phases = phases};
  }
  static inline std::vector<StartPhase> phases;  // set by a test before it loads the probe

  StartResult<Supervisor> start(StartType type) {
    const std::string how = get_env<std::string>("how", "ok");
    note("start " + to_string(type.to_term()));
    if (how == "error") return error("nope");
    if (how == "throw") throw std::runtime_error("boom");
    if (how == "exit") throw Exit(ExitReason("boom"_atom));
    if (how == "normal") throw Exit(ExitReason::normal());
    if (how == "leave") coppice::exit(ExitReason("left"_atom));
    if (how == "ignore") return StartResult<Supervisor>(StartOutcome{StartOutcome::Kind::ignore, {}, {}, {}});
    if (how == "wait") receive<Go>();
    if (how == "stray") {
      spawn([] {
        trap_exit(true);
        register_name(self(), "stray");
        sleep_for(infinity);
      });
      while (!whereis("stray")) yield();
    }
    ++starts_;
    return Supervisor::start_link({child<Idle>()}, {.name = "Probe.Supervisor"});
  }
  Term start_phase(Atom phase, StartType, const Term& argument) {
    note("phase " + to_string(phase) + " " + inspect(argument));
    if (phase == "fail"_atom) return tuple("error"_atom, "r"_atom);
    if (phase == "throw"_atom) throw Exit(ExitReason("boom"_atom));
    if (phase == "bad"_atom) return 17;
    return "ok"_atom;
  }
  void prep_stop() {
    note("prep_stop " + std::to_string(starts_) + (whereis("Probe.Supervisor") ? " up" : " down"));
    if (get_env<std::string>("how", "") == "bad prep_stop") throw std::runtime_error("prep_stop failed");
    if (get_env<std::string>("how", "") == "hang") sleep_for(infinity);
  }
  void stop() {
    note(std::string("stop ") + (whereis("Probe.Supervisor") ? "up" : "down"));
    if (get_env<std::string>("how", "") == "bad stop") throw std::runtime_error("stop failed");
  }

 private:
  int starts_ = 0;
};

// {Probe, :start, [:normal, []]}
inline Term start_of_probe() {
  return tuple(application::module<Probe>(), "start"_atom, list("normal"_atom, Term::list_of({})));
}
inline void probe_does(const char* how) { application::put_env("probe", "how", how); }

// One that only says when it starts and stops; D are what it depends on.
template <class App, class... D>
class Part : public Application<App> {
 public:
  static ApplicationSpec spec() { return {.applications = {app<D>()...}}; }
  StartResult<Supervisor> start() {
    note("start " + to_string(Application<App>::name()));
    if (Application<App>::template get_env<bool>("fails", false)) return error("nope");
    return Supervisor::start_link({});
  }
  void stop() { note("stop " + to_string(Application<App>::name())); }
};
class Base : public Part<Base> {};
class Middle : public Part<Middle, Base> {};
class Other : public Part<Other, Base> {};
class Top : public Part<Top, Middle, Other> {};

// A library.
class Library : public Application<Library> {};

// Ends the tree of the probe with that reason, and waits until the application is gone.
inline void end_probe(const ExitReason& reason) {
  const Pid top = whereis("Probe.Supervisor");
  Supervisor::stop(top, reason);
}
inline bool runs(AtomText app) {
  for (const auto& one : application::started_applications()) {
    if (one.name == app.atom) return true;
  }
  return false;
}
inline void await_stopped(AtomText app) {
  while (runs(app)) yield();
}

inline ExitReason reason_of_start(RestartType type = RestartType::temporary) {
  return application::start<Probe>(type).reason();
}

}  // namespace applications
}  // namespace conformance
