// SPDX-License-Identifier: Apache-2.0
#include "supervision/supervisor_decision.hpp"

#include <algorithm>
#include <unordered_set>

namespace coppice::otp {
namespace {

using Fate = EndVerdict::Fate;

Term wrong(Atom what, Term value) { return tuple(what, std::move(value)); }

template <class Enum>
bool is_one_of(Enum value, Enum last) {
  return static_cast<unsigned>(value) <= static_cast<unsigned>(last);
}
template <class Enum>
Term shown(Enum value) {
  return Term(static_cast<unsigned>(value));
}

std::optional<Term> check_significance(const ChildSpec& spec, std::optional<AutoShutdown> mode) {
  if (!spec.is_significant()) return std::nullopt;
  if (mode == AutoShutdown::never) {
    return wrong("bad_combination"_atom, keyword({{"auto_shutdown"_atom, "never"_atom}, {"significant"_atom, true}}));
  }
  if (spec.restart() == Restart::permanent) {
    return wrong("bad_combination"_atom, keyword({{"restart"_atom, "permanent"_atom}, {"significant"_atom, true}}));
  }
  return std::nullopt;
}

std::optional<Term> check_modules(const Term& modules) {
  if (modules.is_atom("dynamic"_atom)) return std::nullopt;
  if (!modules.is_proper_list()) return wrong("invalid_modules"_atom, modules);
  for (const Term& module : modules.elements()) {
    if (!module.is_atom()) return wrong("invalid_module"_atom, module);
  }
  return std::nullopt;
}

}  // namespace

EndVerdict judge_end(Restart restart, const ExitReason& reason) {
  if (restart == Restart::permanent) return {Fate::restart, true};
  const bool quiet = reason.is_shutdown_kind();
  if (restart == Restart::temporary) return {Fate::forget, !quiet};
  return quiet ? EndVerdict{Fate::keep_stopped, false} : EndVerdict{Fate::restart, true};
}

bool is_expected_end(const Shutdown& shutdown, Restart restart, const ExitReason& reason) {
  if (reason == (shutdown.is_brutal_kill() ? ExitReason::killed() : ExitReason::shutdown())) return true;
  return restart != Restart::permanent && reason.is_shutdown_kind();
}

bool is_expected_dynamic_end(const Shutdown& shutdown, Restart restart, const ExitReason& reason) {
  if (shutdown.is_brutal_kill()) return reason == ExitReason::killed();
  return reason.is_normal() ? restart != Restart::permanent : reason.is_shutdown_kind();
}

bool ends_supervisor(AutoShutdown mode, bool significant, std::size_t others) {
  if (!significant || mode == AutoShutdown::never) return false;
  return mode == AutoShutdown::any_significant || others == 0;
}

GroupPlan plan_group(std::span<const Sibling> group) {
  GroupPlan plan;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (group[i].running) plan.stop.push_back(i);
    (group[i].temporary ? plan.forget : plan.start).push_back(i);
  }
  std::reverse(plan.stop.begin(), plan.stop.end());
  return plan;
}

bool RestartWindow::admit(std::int64_t now_s) {
  while (!counts_.empty() && counts_.front().first < now_s - seconds_) {
    total_ -= counts_.front().second;
    counts_.pop_front();
  }
  if (counts_.empty() || counts_.back().first != now_s) counts_.emplace_back(now_s, 0);
  ++counts_.back().second;
  return ++total_ <= restarts_max_;
}

Delay next_delay(const Backoff& backoff, std::chrono::nanoseconds previous, std::chrono::nanoseconds ran,
                 double chance) {
  using std::chrono::nanoseconds;
  nanoseconds base = std::min(backoff.first, backoff.max);
  if (previous > nanoseconds(0) && ran < backoff.max) {
    const double longer = static_cast<double>(previous.count()) * std::max(backoff.factor, 1.0);
    base = longer >= static_cast<double>(backoff.max.count()) ? backoff.max
                                                              : nanoseconds(static_cast<std::int64_t>(longer));
  }
  base = std::max(base, nanoseconds(0));
  const double kept = 1 - std::clamp(backoff.jitter, 0.0, 1.0) * std::clamp(chance, 0.0, 1.0);
  return {base, nanoseconds(static_cast<std::int64_t>(static_cast<double>(base.count()) * kept))};
}

std::optional<Term> check_flags(const SupervisorFlags& flags) {
  if (!is_one_of(flags.strategy, Strategy::rest_for_one)) return wrong("invalid_strategy"_atom, shown(flags.strategy));
  if (flags.max_restarts < 0) return wrong("invalid_intensity"_atom, flags.max_restarts);
  if (flags.max_seconds <= 0) return wrong("invalid_period"_atom, flags.max_seconds);
  if (!is_one_of(flags.auto_shutdown, AutoShutdown::all_significant)) {
    return wrong("invalid_auto_shutdown"_atom, shown(flags.auto_shutdown));
  }
  return std::nullopt;
}

std::optional<Term> check_child(const ChildSpec& spec, std::optional<AutoShutdown> mode) {
  if (!spec.has_id()) return Term("missing_id"_atom);
  if (spec.start_function() == nullptr) return Term("missing_start"_atom);
  if (spec.start_function()->is_empty()) return wrong("invalid_mfa"_atom, spec.start());
  if (!is_one_of(spec.restart(), Restart::temporary)) return wrong("invalid_restart_type"_atom, shown(spec.restart()));
  if (auto error = check_significance(spec, mode)) return error;
  if (!is_one_of(spec.type(), ChildType::supervisor)) return wrong("invalid_child_type"_atom, shown(spec.type()));
  if (spec.shutdown().time().is_negative()) return wrong("invalid_shutdown"_atom, spec.shutdown().to_term());
  if (!spec.has_modules()) return std::nullopt;
  return check_modules(spec.modules());
}

std::optional<Term> check_children(std::span<const ChildSpec> specs, std::optional<AutoShutdown> mode) {
  std::unordered_set<Term> ids;
  for (const ChildSpec& spec : specs) {
    if (auto error = check_child(spec, mode)) return error;
    if (!ids.insert(spec.id()).second) return wrong("duplicate_child_name"_atom, spec.id());
  }
  return std::nullopt;
}

}  // namespace coppice::otp
