// SPDX-License-Identifier: Apache-2.0
//
// How a stream starts its tasks, for those that do it otherwise than by spawning them.
#pragma once

#include <memory>
#include <vector>

#include <coppice/result.hpp>
#include <coppice/task.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

// Runs in the helper of a stream, which monitors the task before it runs. `callers` is what the task records: the
// consumer and its callers (TK-075).
struct StartedJob {
  Pid pid;
  Reference monitor;
};
struct StreamStarter {
  virtual ~StreamStarter() = default;
  [[nodiscard]] virtual Result<StartedJob> start(std::shared_ptr<StreamJob> job, const std::type_info& function,
                                                 const std::vector<Pid>& callers) const = 0;
  [[nodiscard]] virtual bool links() const = 0;  // to the helper
};

}  // namespace detail
}  // namespace v1
}  // namespace coppice
