// SPDX-License-Identifier: Apache-2.0
//
// What a runtime knows of its applications: which are loaded, which run, their environments. Read by any thread under a
// shared lock, so that nobody waits for the controller in order to read (AP-014).
//
// Who writes what: specifications and environments any thread, under the exclusive lock; `started` and `leaders` the
// controller only. Nothing of the user's runs under the lock.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include <coppice/application.hpp>

#include "application/decision.hpp"
#include "application/environment.hpp"
#include "runtime/annex.hpp"
#include "runtime/core.hpp"

namespace coppice::otp {

class Applications final : public runtime::Annex {
 public:
  struct Loaded {
    ApplicationSpec spec;
    const detail::ApplicationModule* module = nullptr;  // null: a library made from a specification
    [[nodiscard]] bool is_library() const noexcept { return module == nullptr || module->make == nullptr; }
  };

  [[nodiscard]] static Applications& of(runtime::Core& core);

  void process_ends(runtime::Process&) noexcept override {}
  void runtime_ends() noexcept override {}

  // -- loading; see application.hpp
  [[nodiscard]] Result<> load(const AppRef& app);
  [[nodiscard]] Result<> load(ApplicationSpec spec, const detail::ApplicationModule* module);
  [[nodiscard]] Result<> unload(Atom app);
  [[nodiscard]] std::optional<Loaded> loaded(Atom app) const;
  // What they and all that they need depend on, as far as it is known. Loads nothing.
  [[nodiscard]] std::map<Atom, Dependencies> graph(const std::vector<AppRef>& apps);
  // The classes of the applications that this one includes, and what they include, with their specifications.
  [[nodiscard]] std::vector<Loaded> included(const ApplicationSpec& spec) const;

  // -- running
  void note_leader(Atom app, const Pid& master);
  void forget_leader(const Pid& master);
  void note_started(Atom app);
  void forget_started(Atom app);
  [[nodiscard]] bool is_started(Atom app) const;
  [[nodiscard]] std::vector<Atom> started() const;  // in the order of their starts
  [[nodiscard]] std::optional<Atom> of_leader(std::uint64_t number) const;

  // Guarded by `mutex`.
  mutable std::shared_mutex mutex;
  Environment environment;
  std::map<Atom, Loaded> all;
  std::vector<std::string> arguments;
  Pid program;                                       // the process of `run`
  std::optional<std::chrono::nanoseconds> patience;  // of a stop that the controller begins by itself

 private:
  [[nodiscard]] const detail::ApplicationModule* module_of(const AppRef& app);
  void note_modules(const ApplicationSpec& spec);

  std::map<Atom, const detail::ApplicationModule*> known_;  // named by somebody with app<T>()
  std::vector<Atom> started_;
  std::map<std::uint64_t, Atom> leaders_;  // by Pid::number of the master
};

// {:not_started, app} and the like.
[[nodiscard]] Error app_error(const char* what, Atom app);

}  // namespace coppice::otp
