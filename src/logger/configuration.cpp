// SPDX-License-Identifier: Apache-2.0
//
// The configuration of the logger, and the public functions that change it.
#include <coppice/logger_handler.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>

#include "logger/dispatch.hpp"

namespace coppice::logging {
namespace {

struct State {
  std::mutex mutex;
  std::shared_ptr<const Configuration> configuration;
};

// The level of the least severe event that can pass under this configuration.
std::uint8_t threshold_of(const Configuration& configuration) {
  Level level = configuration.primary_level;
  for (const auto& [module, module_level] : configuration.module_levels) level = std::max(level, module_level);
  return static_cast<std::uint8_t>(level);
}

std::shared_ptr<const Configuration> first_configuration() {
  auto configuration = std::make_shared<Configuration>();
  if (const char* text = std::getenv("COPPICE_LOG")) {
    if (const auto level = logger::level_of(text)) configuration->primary_level = *level;
  }
  configuration->handlers.push_back(
      {"default", std::make_shared<logger::ConsoleHandler>(), Level::all, {}, logger::FilterDefault::log});
  __atomic_store_n(&logger::detail::threshold, threshold_of(*configuration), __ATOMIC_RELAXED);
  return configuration;
}

State& state() {
  static State* const instance = [] {
    static State* made = new State;  // never freed: a static destructor may log
    made->configuration = first_configuration();
    // A mutex that another thread holds at a fork would be held for ever in the child.
    ::pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); }, [] { made->mutex.unlock(); });
    std::atexit([] { logger::flush(); });
    return made;
  }();
  return *instance;
}

}  // namespace

std::shared_ptr<const Configuration> configuration() {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  return all.configuration;
}

void update(const std::function<void(Configuration&)>& change) {
  State& all = state();
  std::shared_ptr<const Configuration> old;  // ended without the lock: a handler's destructor may take its time
  const std::lock_guard lock(all.mutex);
  auto changed = std::make_shared<Configuration>(*all.configuration);
  change(*changed);
  __atomic_store_n(&logger::detail::threshold, threshold_of(*changed), __ATOMIC_RELAXED);
  old = std::exchange(all.configuration, std::move(changed));
}

namespace {

HandlerEntry* find_handler(Configuration& configuration, std::string_view id) {
  const auto found = std::ranges::find(configuration.handlers, id, &HandlerEntry::id);
  return found == configuration.handlers.end() ? nullptr : &*found;
}

// A change that answers "" or the atom of its error.
template <class Change>
Result<> try_update(Change change) {
  const char* failure = nullptr;
  update([&](Configuration& configuration) { failure = change(configuration); });
  if (failure != nullptr) return error(failure);
  return {};
}

const char* add_filter(std::vector<SharedFilter>& filters, std::string_view id, logger::Filter& filter) {
  if (std::ranges::find(filters, id, &SharedFilter::id) != filters.end()) return "already_exists";
  filters.push_back({std::string(id), std::make_shared<const logger::Filter>(std::move(filter))});
  return nullptr;
}

const char* remove_filter(std::vector<SharedFilter>& filters, std::string_view id) {
  return std::erase_if(filters, [&](const SharedFilter& each) { return each.id == id; }) == 0 ? "not_found" : nullptr;
}

constexpr std::array<std::string_view, 10> level_names{"none",    "emergency", "alert", "critical", "error",
                                                       "warning", "notice",    "info",  "debug",    "all"};

}  // namespace
}  // namespace coppice::logging

namespace coppice {
inline namespace v1 {
namespace logger {

namespace detail {
constinit std::uint8_t threshold = static_cast<std::uint8_t>(Level::debug);
}

std::string to_string(Level level) {
  const auto index = static_cast<std::size_t>(level);
  return std::string(index < logging::level_names.size() ? logging::level_names[index] : "unknown");
}

std::optional<Level> level_of(std::string_view name) noexcept {
  const auto found = std::ranges::find(logging::level_names, name);
  if (found == logging::level_names.end()) return std::nullopt;
  return static_cast<Level>(found - logging::level_names.begin());
}

void set_primary_level(Level level) {
  logging::update([&](logging::Configuration& all) { all.primary_level = level; });
}
Level primary_level() { return logging::configuration()->primary_level; }

void set_module_level(std::string_view module, Level level) {
  logging::update([&](logging::Configuration& all) { all.module_levels.insert_or_assign(std::string(module), level); });
}
void unset_module_level(std::string_view module) {
  logging::update([&](logging::Configuration& all) { all.module_levels.erase(std::string(module)); });
}

void set_primary_metadata(const Metadata& metadata) {
  logging::update([&](logging::Configuration& all) {
    all.metadata.clear();
    logging::merge(all.metadata, metadata);
  });
}

void set_sasl_reports(bool on) {
  logging::update([&](logging::Configuration& all) { all.sasl_reports = on; });
}
void set_otp_reports(bool on) {
  logging::update([&](logging::Configuration& all) { all.otp_reports = on; });
}

Result<> add_handler(std::string_view id, std::shared_ptr<Handler> handler, HandlerOptions options) {
  if (handler == nullptr) return v1::error("badarg");
  return logging::try_update([&](logging::Configuration& all) -> const char* {
    if (logging::find_handler(all, id) != nullptr) return "already_exists";
    logging::HandlerEntry entry{std::string(id), std::move(handler), options.level, {}, options.filter_default};
    for (NamedFilter& named : options.filters) {
      if (const char* failure = logging::add_filter(entry.filters, named.id, named.filter)) return failure;
    }
    all.handlers.push_back(std::move(entry));
    return nullptr;
  });
}

Result<> remove_handler(std::string_view id) {
  std::shared_ptr<Handler> removed;  // ended after the change
  return logging::try_update([&](logging::Configuration& all) -> const char* {
    logging::HandlerEntry* entry = logging::find_handler(all, id);
    if (entry == nullptr) return "not_found";
    removed = entry->handler;
    all.handlers.erase(all.handlers.begin() + (entry - all.handlers.data()));
    return nullptr;
  });
}

Result<> set_handler_level(std::string_view id, Level level) {
  return logging::try_update([&](logging::Configuration& all) -> const char* {
    logging::HandlerEntry* entry = logging::find_handler(all, id);
    if (entry == nullptr) return "not_found";
    entry->level = level;
    return nullptr;
  });
}

Result<> add_handler_filter(std::string_view id, std::string_view filter_id, Filter filter) {
  return logging::try_update([&](logging::Configuration& all) -> const char* {
    logging::HandlerEntry* entry = logging::find_handler(all, id);
    return entry == nullptr ? "not_found" : logging::add_filter(entry->filters, filter_id, filter);
  });
}

Result<> remove_handler_filter(std::string_view id, std::string_view filter_id) {
  return logging::try_update([&](logging::Configuration& all) -> const char* {
    logging::HandlerEntry* entry = logging::find_handler(all, id);
    return entry == nullptr ? "not_found" : logging::remove_filter(entry->filters, filter_id);
  });
}

Result<> add_primary_filter(std::string_view filter_id, Filter filter) {
  return logging::try_update(
      [&](logging::Configuration& all) { return logging::add_filter(all.filters, filter_id, filter); });
}

Result<> remove_primary_filter(std::string_view filter_id) {
  return logging::try_update(
      [&](logging::Configuration& all) { return logging::remove_filter(all.filters, filter_id); });
}

void set_primary_filter_default(FilterDefault answer) {
  logging::update([&](logging::Configuration& all) { all.filter_default = answer; });
}

std::vector<std::string> handlers() {
  std::vector<std::string> ids;
  for (const logging::HandlerEntry& entry : logging::configuration()->handlers) ids.push_back(entry.id);
  return ids;
}

bool flush() {
  bool all_written = true;
  for (const logging::HandlerEntry& entry : logging::configuration()->handlers) {
    all_written = entry.handler->flush(std::chrono::milliseconds(1000)) && all_written;
  }
  return all_written;
}

}  // namespace logger
}  // namespace v1
}  // namespace coppice
