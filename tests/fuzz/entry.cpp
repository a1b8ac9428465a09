// SPDX-License-Identifier: Apache-2.0
//
// What libFuzzer calls; compiled once for each target, whose name is FUZZ_TARGET.
#include <cstddef>
#include <cstdint>

#include "fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
