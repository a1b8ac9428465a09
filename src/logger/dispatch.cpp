// SPDX-License-Identifier: Apache-2.0
//
// One event, step by step, in the process that logs (LR-006):
//   (1) metadata: what the logger knows, then the primary, the process's and the call's, later ones winning (LR-008);
//   (2) the level of its module, else the primary level (LR-003);
//   (3) the message is made;
//   (4) the domains that are switched off (LR-012), then the primary filters (LR-004);
//   (5) for each handler: its level, its filters (LR-005), the handler itself.
// What throws in (4) or (5) is removed and reported once the event is through (LR-007). A process that is told to leave
// while a filter or handler waits is no failure of that filter: it is put off until the process waits again.
//
// A filter or handler that logs would be called by its own event, and so on without end. Whoever is inside one is noted in
// a short list; what it logs meanwhile skips all filters and goes only to handlers that never log themselves.
#include "logger/dispatch.hpp"

#include <cxxabi.h>
#include <pthread.h>

#include <algorithm>
#include <mutex>

#include "platform/world.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/wait.hpp"

namespace coppice::logging {

using logger::Answer;
using logger::FilterDefault;

// -- metadata ---------------------------------------------------------------------------------------------------------

void merge(Metadata& into, const Metadata& changes) {
  for (const auto& [key, value] : changes) {
    const auto found = std::ranges::find(into, key, &Metadata::value_type::first);
    if (found == into.end()) {
      into.emplace_back(key, value);
    } else {
      found->second = value;
    }
  }
}

namespace {

// Metadata of a thread that is no process. Static destructors run after those of the main thread's thread-locals, and may
// log: null from then on.
Metadata* thread_metadata() {
  static thread_local constinit bool ended = false;
  struct Holder {
    Metadata metadata;
    ~Holder() { ended = true; }
  };
  if (ended) return nullptr;
  static thread_local Holder holder;
  return &holder.metadata;
}

Term metadata_key() { return "$logger_metadata$"_atom; }

// The body of the calling process; null on a foreign thread.
runtime::Body* calling_body() {
  runtime::Process* process = runtime::current_process();
  return process == nullptr ? nullptr : process->body;
}

// A process keeps its metadata in its dictionary, as a list of pairs.
Metadata process_metadata(const runtime::Body& body) {
  Metadata metadata;
  const runtime::Rarities* rarities = body.rarities_if_any();
  if (rarities == nullptr) return metadata;
  const auto found = rarities->dictionary.find(metadata_key());
  if (found == rarities->dictionary.end()) return metadata;
  for (const Term& pair : found->second.elements()) metadata.emplace_back(*pair[0].as_atom(), pair[1]);
  return metadata;
}

void set_process_metadata(runtime::Body& body, const Metadata& metadata) {
  std::vector<Term> pairs;
  for (const auto& [key, value] : metadata) pairs.push_back(tuple(key, value));
  body.extension().rarities().dictionary[metadata_key()] = Term::list_of(std::move(pairs));
}

std::int64_t microseconds_now() {
  const runtime::Worker* worker = runtime::this_worker();
  platform::World* world = worker != nullptr ? &worker->core().world() : nullptr;
  std::shared_ptr<runtime::Core> held;
  if (world == nullptr && (held = runtime::current_core()) != nullptr) world = &held->world();
  if (world == nullptr) world = &platform::threads_world();
  return std::chrono::duration_cast<std::chrono::microseconds>(world->system_now().time_since_epoch()).count();
}

Metadata merged_metadata(const Configuration& configuration, const logger::detail::Site& site, const Metadata* call) {
  Metadata all;
  all.reserve(8);
  all.emplace_back("time"_atom, microseconds_now());
  if (const runtime::Body* body = calling_body()) {
    all.emplace_back("pid"_atom, body->pid);
    all.emplace_back("gl"_atom, body->group_leader);
  }
  if (site.file != nullptr) {
    all.emplace_back("file"_atom, site.file);
    all.emplace_back("line"_atom, site.line);
    all.emplace_back("function"_atom, site.function);
  }
  merge(all, configuration.metadata);
  if (const runtime::Body* body = calling_body()) {
    if (body->extension_ != nullptr) merge(all, process_metadata(*body));
  } else if (const Metadata* of_thread = thread_metadata()) {
    merge(all, *of_thread);
  }
  if (call != nullptr) merge(all, *call);
  return all;
}

// -- levels and domains -----------------------------------------------------------------------------------------------

bool passes_level(const Configuration& configuration, const Event& event) {
  Level level = configuration.primary_level;
  if (!configuration.module_levels.empty()) {
    std::string module;
    if (const Term* named = event.find("module"_atom)) {
      module = to_string(*named);
    } else if (const runtime::Body* body = calling_body()) {
      module = body->initial_call();  // Counter.init/1 of a server
      module = module.substr(0, module.rfind(".init/"));
    }
    const auto found = configuration.module_levels.find(module);
    if (found != configuration.module_levels.end()) level = found->second;
  }
  return event.level <= level;
}

bool is_switched_off(const Configuration& configuration, const Event& event) {
  if (configuration.otp_reports && configuration.sasl_reports) return false;
  const Term* domain = event.find("domain"_atom);
  if (domain == nullptr || !domain->is_list() || domain->empty() || !(*domain)[0].is_atom("otp"_atom)) return false;
  if (!configuration.otp_reports) return true;
  return domain->size() > 1 && (*domain)[1].is_atom("sasl"_atom);
}

// -- code of the user -------------------------------------------------------------------------------------------------

// Who runs a filter or a handler: a process, or a thread that is none.
struct Who {
  Pid pid;
  pthread_t thread{};
  friend bool operator==(const Who&, const Who&) = default;
};

Who calling() {
  if (const runtime::Body* body = calling_body()) return {body->pid, {}};
  return {{}, ::pthread_self()};
}

struct InUserCode {
  explicit InUserCode(const Who& who) : who_(who) {
    const std::lock_guard lock(mutex());
    list().push_back(who_);
  }
  ~InUserCode() {
    const std::lock_guard lock(mutex());
    list().erase(std::ranges::find(list(), who_));
  }
  InUserCode(const InUserCode&) = delete;
  InUserCode& operator=(const InUserCode&) = delete;

  static bool holds(const Who& who) {
    const std::lock_guard lock(mutex());
    return std::ranges::find(list(), who) != list().end();
  }

 private:
  static std::mutex& mutex() {
    static auto* instance = new std::mutex;
    return *instance;
  }
  static std::vector<Who>& list() {
    static auto* instance = new std::vector<Who>;
    return *instance;
  }
  const Who who_;
};

// What is to be removed once the event is through.
struct Failure {
  const void* what = nullptr;  // the filter or handler that failed
  std::string text;
};

// Runs one of the user's functions; a failure is noted.
template <class Function>
void guarded(std::vector<Failure>& failures, const void* what, const std::string& name, Function function) {
  const InUserCode inside(calling());
  try {
    function();
  } catch (const runtime::LeaveStack&) {
    // The process is leaving, not the filter failing; its next wait tells it again.
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    const ExitReason reason = runtime::reason_of_current_exception();
    failures.push_back({what, name + " was removed because it failed: " + format_exit(reason)});
  }
}

// The event as the filters leave it: null if they stop it; `changed` holds it if one of them has changed it.
const Event* filter(const std::vector<SharedFilter>& filters, FilterDefault otherwise, const Event& event,
                    std::optional<Event>& changed, const std::string& owner, std::vector<Failure>& failures) {
  const Event* current = &event;
  bool has_opinion = false;
  for (const SharedFilter& each : filters) {
    bool stopped = false;
    const std::string name =
        owner.empty() ? "The primary filter " + each.id : "The filter " + each.id + " of the log handler " + owner;
    guarded(failures, each.filter.get(), name, [&] {
      logger::FilterAnswer answer = (*each.filter)(*current);
      stopped = answer.answer() == Answer::stop;
      has_opinion = has_opinion || answer.answer() == Answer::log;
      if (answer.event()) current = &changed.emplace(*std::move(answer.event()));
    });
    if (stopped) return nullptr;
  }
  return has_opinion || otherwise == FilterDefault::log ? current : nullptr;
}

void remove_failed(const std::vector<Failure>& failures) {
  update([&](Configuration& configuration) {
    const auto failed = [&](const SharedFilter& each) {
      return std::ranges::find(failures, static_cast<const void*>(each.filter.get()), &Failure::what) != failures.end();
    };
    std::erase_if(configuration.filters, failed);
    for (HandlerEntry& entry : configuration.handlers) std::erase_if(entry.filters, failed);
    std::erase_if(configuration.handlers, [&](const HandlerEntry& entry) {
      return std::ranges::find(failures, static_cast<const void*>(entry.handler.get()), &Failure::what) !=
             failures.end();
    });
  });
}

void dispatch(const Configuration& configuration, const Event& event) {
  const bool nested = InUserCode::holds(calling());
  std::vector<Failure> failures;
  std::optional<Event> changed;
  const Event* passed = &event;
  if (is_switched_off(configuration, event)) return;
  if (!nested) passed = filter(configuration.filters, configuration.filter_default, event, changed, {}, failures);
  if (passed != nullptr) {
    for (const HandlerEntry& entry : configuration.handlers) {
      if (passed->level > entry.level) continue;
      if (nested && !entry.handler->never_logs()) continue;
      std::optional<Event> changed_here;
      const Event* here = passed;
      if (!nested) here = filter(entry.filters, entry.filter_default, *passed, changed_here, entry.id, failures);
      if (here == nullptr) continue;
      guarded(failures, entry.handler.get(), "The log handler " + entry.id, [&] { entry.handler->log(*here); });
    }
  }
  if (failures.empty()) return;
  remove_failed(failures);
  const Metadata metadata{{"domain"_atom, list("otp"_atom, "logger"_atom)}};
  for (const Failure& failure : failures) {
    submit(Level::error, {}, &metadata, [&](Event& note) { note.text = failure.text; });
  }
}

}  // namespace

void submit(Level level, const logger::detail::Site& site, const Metadata* call,
            const std::function<void(Event&)>& fill) {
  try {
    const auto all = configuration();
    Event event;
    event.level = std::clamp(level, Level::emergency, Level::debug);
    event.metadata = merged_metadata(*all, site, call);
    if (!passes_level(*all, event)) return;
    fill(event);
    dispatch(*all, event);
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    // No memory for the event, or the process is leaving: the event is lost, the caller is not disturbed (LR-011).
  }
}

}  // namespace coppice::logging

namespace coppice {
inline namespace v1 {
namespace logger {

namespace detail {

void log(Level level, const Site& site, const Metadata* metadata, std::string_view text,
         v1::detail::FormatArguments arguments) {
  logging::submit(level, site, metadata, [&](Event& event) {
    event.format = text;
    try {
      event.text = v1::detail::format(text, arguments);
    } catch (const std::exception& error) {
      event.text = std::string(text) + " (an argument could not be formatted: " + error.what() + ")";
    }
  });
}

}  // namespace detail

void text(Level level, std::string text, const Metadata& metadata) {
  if (!enabled(level)) return;
  logging::submit(level, {}, &metadata, [&](Event& event) { event.text = std::move(text); });
}

void report(Level level, Report report, const Metadata& metadata) {
  if (!enabled(level)) return;
  logging::submit(level, {}, &metadata, [&](Event& event) { event.report = std::move(report); });
}

void metadata(const Metadata& changes) {
  Metadata all = metadata();
  logging::merge(all, changes);
  std::erase_if(all, [](const auto& entry) { return entry.second.is_nil(); });
  reset_metadata(all);
}

Metadata metadata() {
  if (const runtime::Body* body = logging::calling_body()) return logging::process_metadata(*body);
  const Metadata* of_thread = logging::thread_metadata();
  return of_thread != nullptr ? *of_thread : Metadata();
}

void reset_metadata(const Metadata& metadata) {
  Metadata whole;
  logging::merge(whole, metadata);
  if (runtime::Body* body = logging::calling_body()) {
    logging::set_process_metadata(*body, whole);
  } else if (Metadata* of_thread = logging::thread_metadata()) {
    *of_thread = std::move(whole);
  }
}

const Term* find(const Metadata& metadata, Atom key) noexcept {
  const auto found = std::ranges::find(metadata, key, &Metadata::value_type::first);
  return found == metadata.end() ? nullptr : &found->second;
}

}  // namespace logger
}  // namespace v1
}  // namespace coppice
