// SPDX-License-Identifier: Apache-2.0
#include "application/applications.hpp"

#include <algorithm>
#include <mutex>
#include <set>

namespace coppice::otp {

namespace {

Term charlist(std::string_view text) {
  std::vector<Term> elements;
  for (const char c : text) elements.emplace_back(static_cast<std::int64_t>(c));
  return Term::list_of(std::move(elements));
}

// What OTP says when there is no file NAME.app.
Error unknown(Atom app) {
  return {ExitReason(tuple(charlist("no such file or directory"), charlist(to_string(app) + ".app")))};
}

Dependencies dependencies_of(const ApplicationSpec& spec) {
  Dependencies result;
  for (const AppRef& app : spec.applications) result.required.push_back(app.name());
  for (const AppRef& app : spec.optional_applications) result.optional.push_back(app.name());
  return result;
}

}  // namespace

Error app_error(const char* what, Atom app) { return {ExitReason(tuple(Atom(what), app))}; }

Applications& Applications::of(runtime::Core& core) {
  const auto make = [](runtime::Core&) -> std::unique_ptr<runtime::Annex> { return std::make_unique<Applications>(); };
  return static_cast<Applications&>(core.annex(runtime::AnnexKind::applications, make));
}

// -- loading
// ------------------------------------------------------------------------------------------------------------

const detail::ApplicationModule* Applications::module_of(const AppRef& app) {
  const std::unique_lock lock(mutex);
  if (app.module() != nullptr) return known_.insert_or_assign(app.name(), app.module()).first->second;
  const auto found = known_.find(app.name());
  return found == known_.end() ? nullptr : found->second;
}

void Applications::note_modules(const ApplicationSpec& spec) {
  for (const auto* list : {&spec.applications, &spec.optional_applications, &spec.included_applications}) {
    for (const AppRef& app : *list) {
      if (app.module() != nullptr) static_cast<void>(module_of(app));
    }
  }
}

Result<> Applications::load(const AppRef& app) {
  const Atom name = app.name();
  if (loaded(name)) return app_error("already_loaded", name);
  const detail::ApplicationModule* module = module_of(app);
  if (module == nullptr) return unknown(name);
  return load(module->spec(), module);
}

Result<> Applications::load(ApplicationSpec spec, const detail::ApplicationModule* module) {
  const Atom name = spec.name.atom;
  if (name == Atom()) return error(ExitReason(tuple("bad_application"_atom, spec.to_term())));
  note_modules(spec);
  {
    const std::unique_lock lock(mutex);
    if (all.contains(name)) return app_error("already_loaded", name);
    Values values;
    for (const EnvEntry& entry : spec.env) values.insert_or_assign(entry.key.atom, entry.value);
    environment.load(name, std::move(values));
    all.insert_or_assign(name, Loaded{spec, module});
  }
  for (const AppRef& part : spec.included_applications) {
    const Result<> result = load(part);
    if (result || result.reason() == app_error("already_loaded", part.name()).reason) continue;
    static_cast<void>(unload(name));
    return error(result.reason());
  }
  return {};
}

Result<> Applications::unload(Atom app) {
  std::vector<AppRef> parts;
  {
    const std::unique_lock lock(mutex);
    const auto found = all.find(app);
    if (found == all.end()) return app_error("not_loaded", app);
    const bool runs = std::find(started_.begin(), started_.end(), app) != started_.end() ||
                      std::any_of(leaders_.begin(), leaders_.end(), [&](const auto& one) { return one.second == app; });
    if (runs) return app_error("running", app);
    parts = found->second.spec.included_applications;
    all.erase(found);
    environment.unload(app);
  }
  for (const AppRef& part : parts) static_cast<void>(unload(part.name()));
  return {};
}

std::optional<Applications::Loaded> Applications::loaded(Atom app) const {
  const std::shared_lock lock(mutex);
  const auto found = all.find(app);
  return found == all.end() ? std::nullopt : std::optional<Loaded>(found->second);
}

std::map<Atom, Dependencies> Applications::graph(const std::vector<AppRef>& apps) {
  std::map<Atom, Dependencies> result;
  std::vector<AppRef> open = apps;
  while (!open.empty()) {
    const AppRef app = open.back();
    open.pop_back();
    const Atom name = app.name();
    const detail::ApplicationModule* module = module_of(app);
    if (result.contains(name)) continue;
    ApplicationSpec spec;
    if (const std::optional<Loaded> known = loaded(name)) {
      spec = known->spec;
    } else if (module != nullptr) {
      spec = module->spec();
    } else {
      continue;
    }
    result.emplace(name, dependencies_of(spec));
    open.insert(open.end(), spec.applications.begin(), spec.applications.end());
    open.insert(open.end(), spec.optional_applications.begin(), spec.optional_applications.end());
  }
  return result;
}

std::vector<Applications::Loaded> Applications::included(const ApplicationSpec& spec) const {
  std::vector<Loaded> result;
  std::set<Atom> seen{spec.name.atom};
  const auto add = [&](const ApplicationSpec& of, const auto& again) -> void {
    for (const AppRef& part : of.included_applications) {
      if (!seen.insert(part.name()).second) continue;
      const std::optional<Loaded> found = loaded(part.name());
      if (!found) continue;
      result.push_back(*found);
      again(found->spec, again);
    }
  };
  add(spec, add);
  return result;
}

// -- running
// ------------------------------------------------------------------------------------------------------------

void Applications::note_leader(Atom app, const Pid& master) {
  const std::unique_lock lock(mutex);
  leaders_.insert_or_assign(master.number, app);
}

void Applications::forget_leader(const Pid& master) {
  const std::unique_lock lock(mutex);
  leaders_.erase(master.number);
}

void Applications::note_started(Atom app) {
  const std::unique_lock lock(mutex);
  started_.push_back(app);
}

void Applications::forget_started(Atom app) {
  const std::unique_lock lock(mutex);
  std::erase(started_, app);
}

bool Applications::is_started(Atom app) const {
  const std::shared_lock lock(mutex);
  return std::find(started_.begin(), started_.end(), app) != started_.end();
}

std::vector<Atom> Applications::started() const {
  const std::shared_lock lock(mutex);
  return started_;
}

std::optional<Atom> Applications::of_leader(std::uint64_t number) const {
  const std::shared_lock lock(mutex);
  const auto found = leaders_.find(number);
  return found == leaders_.end() ? std::nullopt : std::optional<Atom>(found->second);
}

}  // namespace coppice::otp
