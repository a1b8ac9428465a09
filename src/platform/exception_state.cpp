// SPDX-License-Identifier: Apache-2.0
#include "platform/exception_state.hpp"

#include <cxxabi.h>

#include <utility>

namespace coppice::platform {

// `__cxa_get_globals` is declared `const`, so a compiler that sees two calls may keep the address from before a switch
// for after it, and link-time optimisation looks through `noinline`. The barrier makes each address a new one.
[[gnu::noinline]] ExceptionState& exception_state_of_thread() noexcept {
  auto* state = reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
  asm volatile("" : "+r"(state) : : "memory");
  return *state;
}

[[gnu::noinline]] ExceptionState take_exception_state() noexcept {
  return std::exchange(exception_state_of_thread(), ExceptionState{});
}

[[gnu::noinline]] void put_exception_state(const ExceptionState& state) noexcept {
  exception_state_of_thread() = state;
}

}  // namespace coppice::platform
