// SPDX-License-Identifier: Apache-2.0
//
// What supervisors tell of their children, as values; and the tree below one.
#include <coppice/children.hpp>

#include <ostream>
#include <unordered_set>

#include "supervision/dynamic_supervisor_process.hpp"
#include "supervision/supervisor_process.hpp"

namespace coppice {
namespace otp {
namespace {

using State = SupervisorTree::State;

Atom name_of(ChildType type) { return type == ChildType::supervisor ? "supervisor"_atom : "worker"_atom; }

Atom name_of(State state) {
  switch (state) {
    case State::running: return "running"_atom;
    case State::undefined: return "undefined"_atom;
    case State::restarting: return "restarting"_atom;
    case State::busy: return "busy"_atom;
    case State::gone: return "gone"_atom;
  }
  return {};
}

Atom name_of(Restart restart) {
  switch (restart) {
    case Restart::permanent: return "permanent"_atom;
    case Restart::transient: return "transient"_atom;
    case Restart::temporary: return "temporary"_atom;
  }
  return {};
}

class TreeWalk {
 public:
  explicit TreeWalk(WaitTime timeout) : timeout_(timeout) {}

  // Fills in what the process itself says, and, of a supervisor, its children.
  void visit(SupervisorTree& node) {
    Facade facade = facade_of(node.pid);
    node.name = std::move(facade.name);
    node.module = std::move(facade.module);
    const bool dynamic = runs_class(node.pid, *detail::server_table<DynamicSupervisor>());
    const bool plain = runs_class(node.pid, *detail::server_table<Supervisor>());
    if ((!dynamic && !plain) || !visited_.insert(node.pid).second) return;  // a child may name itself as its supervisor
    const ServerAddress address(node.pid);
    const auto described = dynamic
                               ? AddressOf<DynamicSupervisor>(address).try_call(request::DescribeChildren{}, timeout_)
                               : AddressOf<Supervisor>(address).try_call(request::DescribeChildren{}, timeout_);
    if (!described) {
      node.state = described.reason() == ExitReason::timeout() ? State::busy : State::gone;
      return;
    }
    for (const request::Described& child : *described) {
      SupervisorTree below;
      below.id = child.info.id;
      below.pid = child.info.pid;
      below.type = child.info.type;
      below.restart = child.restart;
      below.state = static_cast<State>(child.info.status);
      if (below.state == State::running) visit(below);
      node.children.push_back(std::move(below));
    }
  }

 private:
  WaitTime timeout_;
  std::unordered_set<Pid> visited_;
};
static_assert(static_cast<int>(State::restarting) == static_cast<int>(ChildStatus::restarting));

// My.Supervisor <0.4.0> Supervisor id: Storage permanent
void print_tree(std::string& text, const SupervisorTree& node, std::size_t depth) {
  text.append(2 * depth, ' ');
  std::string line;
  const auto add = [&](const std::string& part) {
    if (!line.empty() && !part.empty()) line += ' ';
    line += part;
  };
  add(node.name);
  if (node.pid) add(to_string(node.pid));
  add(node.module);
  if (node.restart) {
    if (!node.id.is_atom("undefined"_atom)) add("id: " + inspect(node.id));
    add(to_string(name_of(*node.restart)));
  }
  if (node.state != State::running) add("(" + to_string(name_of(node.state)) + ")");
  text += line + "\n";
  for (const SupervisorTree& below : node.children) print_tree(text, below, depth + 1);
}

}  // namespace
}  // namespace otp

inline namespace v1 {

Term ChildInfo::to_term() const {
  Term child = Term(pid);
  if (status == ChildStatus::undefined) child = "undefined"_atom;
  if (status == ChildStatus::restarting) child = "restarting"_atom;
  return tuple(id, child, otp::name_of(type), modules);
}

Term ChildCounts::to_term() const {
  return keyword(
      {{"specs"_atom, specs}, {"active"_atom, active}, {"supervisors"_atom, supervisors}, {"workers"_atom, workers}});
}

StartChildResult::StartChildResult(Error error)
    : outcome_(StartOutcome{StartOutcome::Kind::error, {}, std::move(error.reason), {}}), kind_(Kind::error) {}

Pid StartChildResult::value() const {
  if (kind_ == Kind::ignore || kind_ == Kind::error) detail::throw_bad_start(outcome_.outcome);
  return outcome_.outcome.pid;
}

Term StartChildResult::to_term() const {
  switch (kind_) {
    case Kind::undefined: return tuple("ok"_atom, "undefined"_atom);
    case Kind::ignore: return "ignore"_atom;
    case Kind::error: return tuple("error"_atom, reason());
    case Kind::ok: break;
  }
  const Pid& pid = outcome_.outcome.pid;
  return info() ? tuple("ok"_atom, pid, *info()) : tuple("ok"_atom, pid);
}

SupervisorTree Supervisor::tree(const ServerAddress& supervisor, WaitTime timeout) {
  SupervisorTree root;
  root.pid = supervisor.pid();
  if (!root.pid) root.state = SupervisorTree::State::gone;
  otp::TreeWalk(timeout).visit(root);
  return root;
}

Term SupervisorTree::to_term() const {
  std::vector<Term> below;
  for (const SupervisorTree& child : children) below.push_back(child.to_term());
  return map({{"id"_atom, id},
              {"pid"_atom, pid ? Term(pid) : Term()},
              {"name"_atom, name},
              {"module"_atom, module},
              {"type"_atom, otp::name_of(type)},
              {"restart"_atom, restart ? Term(otp::name_of(*restart)) : Term()},
              {"state"_atom, otp::name_of(state)},
              {"children"_atom, Term::list_of(std::move(below))}});
}

std::string to_string(const SupervisorTree& tree) {
  std::string text;
  otp::print_tree(text, tree, 0);
  return text;
}

std::ostream& operator<<(std::ostream& out, const SupervisorTree& tree) { return out << to_string(tree); }

}  // namespace v1
}  // namespace coppice
