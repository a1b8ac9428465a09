// SPDX-License-Identifier: Apache-2.0
//
// PartitionSupervisor: N copies of one child, and a key that chooses among them.
//
//   PartitionSupervisor::start_link({.name = "Pools", .child_spec = child<DynamicSupervisor>()}).value();
//   const auto pool = PartitionSupervisor::via<DynamicSupervisor>("Pools", self());
//   DynamicSupervisor::start_child(pool, child<Session>("ann"));
//
// For one server that has become a bottleneck and whose work falls into independent parts. It is a Supervisor whose
// children have the numbers 0 to N-1 as ids. Which process has which number is read from a table that lies outside of it:
// routing asks nobody. Routing: an integer key goes to abs(key) mod N, any other to hash(key) mod N; it stays the same while
// N does, and is not promised across versions (PS-010). After the crash of a partition the route may give the dead pid until
// its restart is entered (PS-012).
//
// Any thread may route, ask and resize; starting is for processes. An unknown name fails with
// `{:noproc, {PartitionSupervisor, :partitions, [name]}}` (PS-011), misuse with `{badarg, text}`. Elixir:
// PartitionSupervisor; rules PS-*.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/children.hpp>
#include <coppice/server_name.hpp>
#include <coppice/server_ref.hpp>
#include <coppice/start_result.hpp>
#include <coppice/supervisor.hpp>

namespace coppice {
inline namespace v1 {

struct PartitionSupervisorOptions {
  ServerName name = {};                                   // required (PS-001)
  std::optional<ChildSpec> child_spec = std::nullopt;     // required; its id does not matter (PS-005)
  std::optional<std::int64_t> partitions = std::nullopt;  // positive; none: one for each scheduler (PS-002)
  Strategy strategy = Strategy::one_for_one;
  std::int64_t max_restarts = 3;
  std::int64_t max_seconds = 5;
  // Called for each partition when it starts, in the caller: gives that partition's specification (PS-004). Elixir's
  // function changes the list of arguments; here these have types, so it makes the specification.
  std::function<ChildSpec(const ChildSpec& spec, std::size_t partition)> with_arguments = nullptr;
};

namespace detail {
// {:via, PartitionSupervisor, {name, key}}.
[[nodiscard]] COPPICE_API ServerName partition_name(const ServerName& name, const Term& key);
}  // namespace detail

class COPPICE_API PartitionSupervisor {
 public:
  using Options = PartitionSupervisorOptions;

  // Starts all partitions, linked to the caller. Errors are those of Supervisor::start_link (PS-006, PS-007); without a name
  // or a specification, or with partitions below 1, the caller fails with `{badarg, text}`.
  static StartResult<PartitionSupervisor> start_link(Options options);
  // As a child: type supervisor, id its name (PS-022).
  [[nodiscard]] static ChildSpec child_spec(Options options);

  // The address of the partition for `key`, looked up at each use: for calls and sends, not to register anybody (PS-013).
  // S is the class of the partitions; where an address of a supervisor is asked for, it is any.
  template <class S>
  [[nodiscard]] static Via<S> via(const ServerName& name, const Term& key) {
    return Via<S>(detail::partition_name(name, key));
  }

  // How many partitions keys go to now (PS-015).
  [[nodiscard]] static std::size_t partitions(const ServerName& name);
  // Changes that, between 0 and the number at the start; returns what it was (PS-017). Shrinking publishes the new number,
  // then stops the surplus partitions; growing starts them again first (PS-018). One at a time (PS-019). Keys go elsewhere
  // afterwards, and what a partition held is not moved (PS-021). Fails with the error of a partition that does not start.
  // Elixir: resize!/2.
  static std::size_t resize(const ServerName& name, std::size_t partitions);

  // As for a Supervisor; ids are the numbers of the partitions (PS-016).
  [[nodiscard]] static std::vector<ChildInfo> which_children(const ServerAddress& supervisor) {
    return detail::which_children(supervisor);
  }
  [[nodiscard]] static ChildCounts count_children(const ServerAddress& supervisor) {
    return detail::count_children(supervisor);
  }
  static void stop(const ServerAddress& supervisor, const ExitReason& reason = ExitReason::normal(),
                   WaitTime timeout = infinity) {
    Supervisor::stop(supervisor, reason, timeout);
  }
};

}  // namespace v1
}  // namespace coppice
