// SPDX-License-Identifier: Apache-2.0
#include "application/environment.hpp"

namespace coppice::otp {

Term merged(const Term& base, const Term& over) {
  if (!base.is_map() || !over.is_map()) return over;
  std::vector<TermEntry> entries;
  const auto old = base.elements();
  for (std::size_t i = 0; i + 1 < old.size(); i += 2) entries.push_back({old[i], old[i + 1]});
  const auto fresh = over.elements();
  for (std::size_t i = 0; i + 1 < fresh.size(); i += 2) {
    const Term* before = base.find(fresh[i]);
    entries.push_back({fresh[i], before == nullptr ? fresh[i + 1] : merged(*before, fresh[i + 1])});
  }
  return Term::map_of(std::move(entries));  // of equal keys the last one counts
}

Values nested(const std::vector<std::string>& path, Term value) {
  for (std::size_t i = path.size(); i-- > 1;) value = map({{Atom(path[i]), std::move(value)}});
  return {{Atom(path.front()), std::move(value)}};
}

const Values* Environment::all(Atom app) const {
  const auto found = apps_.find(app);
  return found == apps_.end() ? nullptr : &found->second.current;
}

const Term* Environment::find(Atom app, Atom key) const {
  const Values* values = all(app);
  if (values == nullptr) return nullptr;
  const auto found = values->find(key);
  return found == values->end() ? nullptr : &found->second;
}

void Environment::put(Atom app, Atom key, Term value, bool persistent) {
  App& entry = apps_[app];
  if (persistent) entry.persistent.insert_or_assign(key, value);
  entry.current.insert_or_assign(key, std::move(value));
}

void Environment::erase(Atom app, Atom key, bool persistent) {
  const auto found = apps_.find(app);
  if (found == apps_.end()) return;
  if (persistent) found->second.persistent.erase(key);
  found->second.current.erase(key);
}

// What specification, configuration and persistent values say of one key.
void Environment::apply(App& app, Atom key) {
  if (const auto put = app.persistent.find(key); put != app.persistent.end()) {
    app.current.insert_or_assign(key, put->second);
    return;
  }
  const auto specified = app.specified.find(key);
  const auto configured = app.configured.find(key);
  if (configured == app.configured.end()) {
    if (specified != app.specified.end()) app.current.insert_or_assign(key, specified->second);
  } else if (specified == app.specified.end()) {
    app.current.insert_or_assign(key, configured->second);
  } else {
    app.current.insert_or_assign(key, merged(specified->second, configured->second));
  }
}

void Environment::configure(Atom app, const Values& values) {
  App& entry = apps_[app];
  for (const auto& [key, value] : values) {
    const auto before = entry.configured.find(key);
    entry.configured.insert_or_assign(key, before == entry.configured.end() ? value : merged(before->second, value));
    if (entry.loaded) apply(entry, key);
  }
}

void Environment::load(Atom app, Values specified) {
  App& entry = apps_[app];
  entry.loaded = true;
  entry.specified = std::move(specified);
  for (const Values* source : {&entry.specified, &entry.configured, &entry.persistent}) {
    for (const auto& [key, value] : *source) apply(entry, key);
  }
}

void Environment::unload(Atom app) {
  const auto found = apps_.find(app);
  if (found == apps_.end()) return;
  found->second.loaded = false;
  found->second.specified.clear();
  found->second.current.clear();
  if (found->second.configured.empty() && found->second.persistent.empty()) apps_.erase(found);
}

}  // namespace coppice::otp
