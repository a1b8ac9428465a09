// SPDX-License-Identifier: Apache-2.0
//
// At the end of a test program what its simulations have done is added, as one line, to the file that COPPICE_TALLY names:
// runs, steps, kills, stalls, late timers, refused stacks, refused processes. tests/sim.sh adds them up.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include <coppice/testing/simulation.hpp>

namespace {

class Tally final : public ::testing::Environment {
 public:
  void TearDown() override {
    const char* path = std::getenv("COPPICE_TALLY");
    if (path == nullptr) return;
    std::FILE* file = std::fopen(path, "a");
    ASSERT_NE(file, nullptr) << path;
    const coppice::testing::Totals all = coppice::testing::totals();
    const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    std::fprintf(file, "%llu %llu %llu %llu %llu %llu %llu\n", number(all.runs), number(all.steps),
                 number(all.faults.kills), number(all.faults.stalls), number(all.faults.late_timers),
                 number(all.faults.refused_stacks), number(all.faults.refused_processes));
    std::fclose(file);
  }
};

[[maybe_unused]] const auto* const registered = ::testing::AddGlobalTestEnvironment(new Tally);

}  // namespace
