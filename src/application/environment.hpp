// SPDX-License-Identifier: Apache-2.0
//
// The environments of all applications, as plain data: what was specified, what was configured, what was put, and what
// follows from them. Whoever shares one guards it. tests/unit/application_environment_test.cpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <coppice/application_env.hpp>

namespace coppice::otp {

using Values = std::map<Atom, Term>;

// `over` wins; two maps are merged key by key, at every depth.
[[nodiscard]] Term merged(const Term& base, const Term& over);

// {a: {b: value}} for the path [a, b].
[[nodiscard]] Values nested(const std::vector<std::string>& path, Term value);

class Environment {
 public:
  [[nodiscard]] const Term* find(Atom app, Atom key) const;
  [[nodiscard]] const Values* all(Atom app) const;

  void put(Atom app, Atom key, Term value, bool persistent);
  void erase(Atom app, Atom key, bool persistent);

  // Configuration: later ones are merged over earlier ones. Seen once the application is loaded.
  void configure(Atom app, const Values& values);

  // AP-010, AP-011: specification, then configuration, then what was put as persistent; other keys that stand there
  // stay.
  void load(Atom app, Values specified);
  // Only what was configured or put as persistent comes back with the next load.
  void unload(Atom app);

 private:
  struct App {
    bool loaded = false;
    Values specified;
    Values configured;
    Values persistent;
    Values current;
  };
  static void apply(App& app, Atom key);

  std::map<Atom, App> apps_;
};

}  // namespace coppice::otp
