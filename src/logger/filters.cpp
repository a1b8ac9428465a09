// SPDX-License-Identifier: Apache-2.0
//
// The filters of OTP's logger_filters.
#include <coppice/logger_handler.hpp>

#include <algorithm>

#include "runtime/core.hpp"

namespace coppice {
inline namespace v1 {
namespace logger {
namespace filters {
namespace {

// Whether `part` is how `whole` begins; two equal domains are each the beginning of the other.
bool begins_with(const std::vector<Term>& whole, const std::vector<Term>& part) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

bool matches(Compare compare, const std::vector<Term>& of_event, const std::vector<Term>& wanted) {
  switch (compare) {
    case Compare::equal: return of_event == wanted;
    case Compare::sub: return begins_with(of_event, wanted);
    case Compare::super: return begins_with(wanted, of_event);
    case Compare::not_equal: return of_event != wanted;
    case Compare::undefined: return false;
  }
  return false;
}

bool is_progress(const Term& label) {
  return label.is_tuple(2) && label[1].is_atom("progress"_atom) &&
         (label[0].is_atom("supervisor"_atom) || label[0].is_atom("application_controller"_atom));
}

}  // namespace

Filter domain(Answer matched, Compare compare, std::vector<Atom> wanted_atoms) {
  std::vector<Term> wanted(wanted_atoms.begin(), wanted_atoms.end());
  return [matched, compare, wanted = std::move(wanted)](const Event& event) -> FilterAnswer {
    const Term* domain = event.find("domain"_atom);
    if (domain == nullptr || !domain->is_list()) {
      return compare == Compare::undefined || compare == Compare::not_equal ? matched : Answer::ignore;
    }
    const auto elements = domain->elements();
    const std::vector<Term> of_event(elements.begin(), elements.end());
    return matches(compare, of_event, wanted) ? matched : Answer::ignore;
  };
}

Filter level(Answer matched, Level wanted) {
  return [=](const Event& event) -> FilterAnswer { return event.level == wanted ? matched : Answer::ignore; };
}

Filter progress(Answer matched) {
  return [=](const Event& event) -> FilterAnswer {
    return event.report && is_progress(event.report->label) ? matched : Answer::ignore;
  };
}

Filter remote_group_leader(Answer matched) {
  return [=](const Event& event) -> FilterAnswer {
    const Pid leader = event.group_leader();
    if (!leader) return Answer::ignore;
    const auto core = runtime::current_core();
    const bool is_local = leader.node == 0 && (core == nullptr || leader.creation == core->creation());
    return is_local ? Answer::ignore : matched;
  };
}

}  // namespace filters
}  // namespace logger
}  // namespace v1
}  // namespace coppice
