// SPDX-License-Identifier: Apache-2.0
//
// The type of a function as people read it: what agents and tasks show as what they run.
#include <coppice/agent.hpp>

#include "platform/trace.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {

std::string function_name(const std::type_info& type) { return platform::demangled(type.name()); }

}  // namespace detail
}  // namespace v1
}  // namespace coppice
