// SPDX-License-Identifier: Apache-2.0
//
// How requests reach a supervisor's process: those that every kind of supervisor answers, and how they are sent.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <coppice/children.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>

namespace coppice::otp {

namespace request {

struct WhichChildren {
  using Reply = std::vector<ChildInfo>;
};
struct StartChild {
  using Reply = StartChildResult;
  ChildSpec spec;
};
struct CountChildren {
  using Reply = ChildCounts;
};
// For Supervisor::tree: the children in start order.
struct Described {
  ChildInfo info;
  Restart restart = Restart::permanent;
};
struct DescribeChildren {
  using Reply = std::vector<Described>;
};

}  // namespace request

// A supervisor of class S at an address that its caller gave: what fails is told with that address.
template <class S>
struct AddressOf : Addressed<AddressOf<S>, S> {
  const ServerAddress& address;
  explicit AddressOf(const ServerAddress& given) : address(given) {}
  [[nodiscard]] detail::CallTarget target_at(const Pid& pid) const { return address.target_at(pid); }
  [[nodiscard]] Pid pid() const { return address.pid(); }
};

// Whether that process runs a server of class S. Any thread; a dead process runs nothing.
[[nodiscard]] bool runs_class(const Pid& pid, const detail::ServerTable& table);
// What the process is called and which class it runs; both empty for a dead one.
struct Facade {
  std::string name;
  std::string module;
};
[[nodiscard]] Facade facade_of(const Pid& pid);

// [module] or :dynamic and so on, as which_children tells it.
[[nodiscard]] ChildInfo describe_child(const ChildSpec& spec, Term id, ChildStatus status, const Pid& pid);

}  // namespace coppice::otp
