// SPDX-License-Identifier: Apache-2.0
//
// The functions of environments that their callers run.
#include <coppice/application_env.hpp>

#include <unistd.h>

#include <map>
#include <mutex>
#include <set>

#include <coppice/application.hpp>

#include "application/applications.hpp"
#include "application/config_file.hpp"

namespace coppice {

using otp::Applications;

inline namespace v1 {
namespace {

struct Here {
  std::shared_ptr<runtime::Core> core;
  Applications& all;
  explicit Here(const char* function) : core(runtime::require_core(function)), all(Applications::of(*core)) {}
};

std::string described(const Term& value) {
  const std::string shown = inspect(value, {.limit = 10, .printable_limit = 60});
  switch (value.kind()) {
    case TermKind::integer: return "the integer " + shown;
    case TermKind::floating: return "the float " + shown;
    case TermKind::atom: return value.is_boolean() ? "the boolean " + shown : "the atom " + shown;
    case TermKind::list: return "the list " + shown;
    case TermKind::map: return "the table " + shown;
    case TermKind::tuple: return "the tuple " + shown;
    case TermKind::bitstring: return value.is_binary() ? "the string " + shown : "the bitstring " + shown;
    default: return "the term " + shown;
  }
}

}  // namespace

namespace detail {

std::optional<Term> find_env(Atom app, Atom key) {
  const Here here("application::get_env");
  const std::shared_lock lock(here.all.mutex);
  const Term* found = here.all.environment.find(app, key);
  return found == nullptr ? std::nullopt : std::optional<Term>(*found);
}

std::optional<Term> find_own_env(Atom key, Atom* app) {
  const std::optional<Atom> own = application::get_application();
  if (!own) return std::nullopt;
  *app = *own;
  return find_env(*own, key);
}

std::string wrong_type_sentence(Atom app, Atom key, const Term& found, const std::string& wanted) {
  return "application " + to_string(app) + ": the value of " + to_string(key) + " is " + described(found) + ", but " +
         wanted + " was asked for";
}

// The words are Elixir's.
std::string missing_sentence(Atom app, Atom key) {
  const Here here("application::require_env");
  const std::string begin =
      "could not fetch application environment " + inspect(key) + " for application " + inspect(app);
  if (!here.all.loaded(app)) return begin + " because the application was not loaded nor configured";
  return begin + " because configuration at " + inspect(key) + " was not set";
}

}  // namespace detail

namespace application {

std::vector<EnvEntry> get_all_env(AtomText app) {
  const Here here("application::get_all_env");
  const std::shared_lock lock(here.all.mutex);
  std::vector<EnvEntry> entries;
  if (const otp::Values* values = here.all.environment.all(app.atom)) {
    for (const auto& [key, value] : *values) entries.push_back({key, value});
  }
  return entries;
}

void put_env(AtomText app, AtomText key, Term value, const PutOptions& options) {
  const Here here("application::put_env");
  const std::unique_lock lock(here.all.mutex);
  here.all.environment.put(app.atom, key.atom, std::move(value), options.persistent);
}

Result<> put_all_env(const std::vector<AppEnv>& environments, const PutOptions& options) {
  std::set<Atom> apps;
  for (const AppEnv& one : environments) {
    if (!apps.insert(one.app.atom).second) {
      return error(ExitReason::badarg("duplicate application config: " + to_string(one.app.atom)));
    }
    std::set<Atom> keys;
    for (const EnvEntry& entry : one.env) {
      if (keys.insert(entry.key.atom).second) continue;
      return error(ExitReason::badarg("application: " + to_string(one.app.atom) +
                                      "; duplicate parameter: " + to_string(entry.key.atom)));
    }
  }
  const Here here("application::put_all_env");
  const std::unique_lock lock(here.all.mutex);
  for (const AppEnv& one : environments) {
    for (const EnvEntry& entry : one.env) {
      here.all.environment.put(one.app.atom, entry.key.atom, entry.value, options.persistent);
    }
  }
  return {};
}

void delete_env(AtomText app, AtomText key, const PutOptions& options) {
  const Here here("application::delete_env");
  const std::unique_lock lock(here.all.mutex);
  here.all.environment.erase(app.atom, key.atom, options.persistent);
}

// -- configuration ----------------------------------------------------------------------------------------------------

Result<> load_config(std::string_view toml, const std::string& name) {
  const Result<otp::Configuration> parsed = otp::parse_config(toml, name);
  if (!parsed) return error(parsed.reason());
  const Here here("application::load_config");
  const std::unique_lock lock(here.all.mutex);
  for (const auto& [app, values] : parsed.value()) here.all.environment.configure(app, values);
  return {};
}

Result<> load_config_file(const std::string& path) {
  const Result<std::string> text = otp::read_config_file(path);
  if (!text) return error(text.reason());
  return load_config(text.value(), path);
}

void load_config_variables(AtomText app) {
  const Here here("application::load_config_variables");
  std::map<std::vector<std::string>, std::string_view> found;  // a table before what stands in it
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    std::vector<std::string> path = otp::variable_path(app.atom.text(), text.substr(0, equals));
    if (!path.empty()) found.insert_or_assign(std::move(path), text.substr(equals + 1));
  }
  for (const auto& [path, text] : found) {
    try {
      const otp::Values values = otp::nested(path, otp::parse_config_value(text));
      const std::unique_lock lock(here.all.mutex);
      here.all.environment.configure(app.atom, values);
    } catch (const std::invalid_argument&) {  // no key has such a name
    }
  }
}

Result<> set_config(std::string_view assignment) {
  const Result<otp::Assignment> parsed = otp::parse_assignment(assignment);
  if (!parsed) return error(parsed.reason());
  const Here here("application::set_config");
  const std::unique_lock lock(here.all.mutex);
  here.all.environment.configure(parsed.value().app, parsed.value().values);
  return {};
}

}  // namespace application
}  // namespace v1
}  // namespace coppice
