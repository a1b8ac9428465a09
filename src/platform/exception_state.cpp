// SPDX-License-Identifier: Apache-2.0
#include "platform/exception_state.hpp"

#include <cxxabi.h>

namespace coppice::platform {
namespace {

// The head of `__cxa_eh_globals` as the Itanium C++ ABI lays it out (section 2.2.2).
struct Globals {
  void* caught;
  unsigned int uncaught;
};

// `__cxa_get_globals` is declared `const`, so a compiler that sees two calls may keep the address from before a switch
// for after it, and link-time optimisation looks through `noinline`. The barrier makes each address a new one.
[[gnu::noinline]] Globals& globals_of_thread() noexcept {
  auto* globals = reinterpret_cast<Globals*>(abi::__cxa_get_globals());
  asm volatile("" : "+r"(globals) : : "memory");
  return *globals;
}

}  // namespace

[[gnu::noinline]] ExceptionState take_exception_state() noexcept {
  Globals& globals = globals_of_thread();
  const ExceptionState state{globals.caught, globals.uncaught};
  globals.caught = nullptr;
  globals.uncaught = 0;
  return state;
}

[[gnu::noinline]] void put_exception_state(const ExceptionState& state) noexcept {
  Globals& globals = globals_of_thread();
  globals.caught = state.caught;
  globals.uncaught = state.uncaught;
}

}  // namespace coppice::platform
