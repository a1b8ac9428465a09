// SPDX-License-Identifier: Apache-2.0
#include <coppice/child_spec.hpp>

#include <ostream>
#include <vector>

namespace coppice {
inline namespace v1 {
namespace {

Atom name_of(Restart restart) {
  switch (restart) {
    case Restart::permanent: return "permanent"_atom;
    case Restart::transient: return "transient"_atom;
    case Restart::temporary: return "temporary"_atom;
  }
  return Atom(std::to_string(static_cast<int>(restart)));
}

StartOutcome failed(ExitReason reason) { return {StartOutcome::Kind::error, {}, std::move(reason), {}}; }

StartOutcome started(const Pid& pid) {
  return pid ? StartOutcome{StartOutcome::Kind::ok, pid, {}, {}} : failed(ExitReason::noproc());
}

}  // namespace

Term Shutdown::to_term() const {
  if (brutal_) return "brutal_kill"_atom;
  if (time_.is_infinite()) return "infinity"_atom;
  return Term(std::chrono::nanoseconds(time_.nanoseconds()));
}

// -- outcomes -------------------------------------------------------------------------------------------------------------

ChildOutcome::ChildOutcome(const Pid& pid) : outcome(started(pid)) {}

ChildOutcome::ChildOutcome(const Pid& pid, Term fact) : outcome(started(pid)), info(std::move(fact)) {}

ChildOutcome::ChildOutcome(Result<Pid> result) : outcome(result ? started(*result) : failed(result.reason())) {}

ChildOutcome::ChildOutcome(const Term& answer) {
  if (answer.is_atom("ignore"_atom)) {
    outcome.kind = StartOutcome::Kind::ignore;
  } else if ((answer.is_tuple(2) || answer.is_tuple(3)) && answer[0].is_atom("ok"_atom) && answer[1].is_pid()) {
    outcome = started(*answer[1].as_pid());
    if (answer.is_tuple(3)) info = answer[2];
  } else if (answer.is_tuple(2) && answer[0].is_atom("error"_atom)) {
    outcome = failed(ExitReason(answer[1]));
  } else {
    outcome = failed(ExitReason(answer));
  }
}

namespace detail {

StartFunction::~StartFunction() = default;

Atom module_atom(std::string_view class_name) { return Atom("Elixir." + std::string(class_name)); }

}  // namespace detail

// -- the specification ------------------------------------------------------------------------------------------------------

ChildSpec::ChildSpec() = default;
ChildSpec::ChildSpec(const ChildSpec&) = default;
ChildSpec::ChildSpec(ChildSpec&&) noexcept = default;
ChildSpec& ChildSpec::operator=(const ChildSpec&) = default;
ChildSpec& ChildSpec::operator=(ChildSpec&&) noexcept = default;
ChildSpec::~ChildSpec() = default;

ChildSpec& ChildSpec::id(Term id) & {
  id_ = std::move(id);
  has_id_ = true;
  return *this;
}

ChildSpec& ChildSpec::modules(Term modules) & {
  modules_ = std::move(modules);
  return *this;
}

ChildSpec& ChildSpec::start_with(std::shared_ptr<const detail::StartFunction> start) & {
  start_ = std::move(start);
  forgotten_ = false;
  return *this;
}

ChildSpec& ChildSpec::default_to(const ChildDefaults& defaults) & {
  restart_ = defaults.restart;
  shutdown_ = defaults.shutdown;
  significant_ = defaults.significant;
  type_ = defaults.type;
  return *this;
}

void ChildSpec::forget_arguments() {
  if (start_ == nullptr) return;
  module_ = start_->module;
  function_ = start_->function;
  start_.reset();
  forgotten_ = true;
}

Term ChildSpec::start() const {
  if (start_ != nullptr) return tuple(start_->module, start_->function, start_->arguments());
  return forgotten_ ? tuple(module_, function_, "undefined"_atom) : Term();
}

Shutdown ChildSpec::shutdown() const noexcept {
  if (shutdown_) return *shutdown_;
  return type_ == ChildType::supervisor ? Shutdown(infinity) : Shutdown(std::chrono::seconds(5));
}

Term ChildSpec::modules() const {
  if (modules_) return *modules_;
  if (start_ == nullptr && !forgotten_) return Term::list_of({});
  const Atom module = start_ != nullptr ? start_->module : module_;
  return module == "erlang"_atom ? Term("dynamic"_atom) : list(module);
}

Term ChildSpec::to_term() const {
  std::vector<TermEntry> entries;
  if (has_id_) entries.push_back({"id"_atom, id_});
  if (start_ != nullptr || forgotten_) entries.push_back({"start"_atom, start()});
  entries.push_back({"restart"_atom, name_of(restart_)});
  entries.push_back({"shutdown"_atom, shutdown()});
  entries.push_back({"type"_atom, type_ == ChildType::supervisor ? "supervisor"_atom : "worker"_atom});
  entries.push_back({"modules"_atom, modules()});
  entries.push_back({"significant"_atom, significant_});
  return Term::map_of(std::move(entries));
}

// Copies of one specification have one start function: then nothing need be shown in order to be compared.
bool operator==(const ChildSpec& left, const ChildSpec& right) {
  if (left.start_ == right.start_ && left.forgotten_ == right.forgotten_ && left.module_ == right.module_ &&
      left.function_ == right.function_ && left.modules_ == right.modules_) {
    return left.has_id_ == right.has_id_ && left.id_ == right.id_ && left.restart_ == right.restart_ &&
           left.type_ == right.type_ && left.significant_ == right.significant_ &&
           left.shutdown() == right.shutdown() && left.backoff_ == right.backoff_;
  }
  return left.to_term() == right.to_term() && left.backoff_ == right.backoff_;
}

std::string to_string(const ChildSpec& spec) { return inspect(spec.to_term()); }

std::ostream& operator<<(std::ostream& out, const ChildSpec& spec) { return out << to_string(spec); }

}  // namespace v1
}  // namespace coppice
