// SPDX-License-Identifier: Apache-2.0
#include "model/expect.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

namespace model {
namespace {

// Of all programs of this run.
class Sum final : public ::testing::Environment {
 public:
  void TearDown() override {
    std::printf("model executions %llu accepted %u rejected %u\n", static_cast<unsigned long long>(executions),
                accepted, rejected);
  }
  std::uint64_t executions = 0;
  unsigned accepted = 0;
  unsigned rejected = 0;
};

Sum& sum = *static_cast<Sum*>(::testing::AddGlobalTestEnvironment(new Sum));

void write_figures(const char* name, const Outcome& outcome) {
  const char* path = std::getenv("COPPICE_MODEL_FIGURES");
  if (path == nullptr) return;
  std::FILE* file = std::fopen(path, "a");
  if (file == nullptr) {
    ADD_FAILURE() << "cannot write to " << path;
    return;
  }
  std::fprintf(file, "%llu %s %s %s\n", static_cast<unsigned long long>(outcome.executions),
               outcome.failed() ? "rejected" : "accepted", outcome.failed() || outcome.complete ? "all" : "some", name);
  std::fclose(file);
}

}  // namespace

Outcome explore_and_tell(const char* name, const Options& options, const std::function<void(Execution&)>& program) {
  Outcome outcome = explore(options, program);
  sum.executions += outcome.executions;
  ++(outcome.failed() ? sum.rejected : sum.accepted);
  std::printf("model %s executions %llu %s%s\n", name, static_cast<unsigned long long>(outcome.executions),
              outcome.failed()   ? "rejected: "
              : outcome.complete ? "accepted"
                                 : "accepted, not all",
              outcome.failure.c_str());
  std::fflush(stdout);
  write_figures(name, outcome);
  return outcome;
}

void expect_sound(const char* name, const Options& options, const std::function<void(Execution&)>& program) {
  const Outcome outcome = explore_and_tell(name, options, program);
  EXPECT_FALSE(outcome.failed()) << name << ": " << outcome.failure;
  EXPECT_TRUE(outcome.complete || outcome.executions == options.executions_max) << name;
}

void expect_rejected(const char* name, const Options& options, const std::function<void(Execution&)>& program) {
  EXPECT_TRUE(explore_and_tell(name, options, program).failed()) << name << ": its fault was not found";
}

}  // namespace model
