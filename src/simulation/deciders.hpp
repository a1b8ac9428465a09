// SPDX-License-Identifier: Apache-2.0
//
// Who makes the choices of a run in place of the seed. Plain values, tested without a world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <coppice/testing/simulation.hpp>

namespace coppice::simulation {

using testing::Deviation;

// All by policy, but for some.
class Deviating {
 public:
  explicit Deviating(std::vector<Deviation> deviations);
  std::uint32_t decide(std::uint64_t number, std::uint32_t alternatives, std::uint32_t policy);

 private:
  std::vector<Deviation> deviations_;  // in the order of their choices
  std::size_t next_ = 0;
};

// All runs that deviate at most so often, depth first. A run is decided by decide(), from its first choice on; next()
// prepares the one after it.
class DepthFirst {
 public:
  explicit DepthFirst(unsigned deviations_max) : deviations_max_(deviations_max) {}
  std::uint32_t decide(std::uint32_t alternatives, std::uint32_t policy);
  // False: there is no other run.
  bool next();

 private:
  struct Step {
    std::uint32_t tried = 0;  // 0: policy; n: the n-th of the others
    std::uint32_t alternatives = 1;
    std::uint32_t policy = 0;
    [[nodiscard]] std::uint32_t chosen() const noexcept {
      return tried == 0 ? policy : tried <= policy ? tried - 1 : tried;
    }
  };
  unsigned deviations_max_;
  unsigned deviations_ = 0;  // in the path up to `depth_`
  std::vector<Step> path_;
  std::size_t depth_ = 0;
};

// Fewer of them with which `fails` is still true, by leaving out ever smaller parts; asks at most `most` times. `fails` is
// true of `deviations`.
[[nodiscard]] std::vector<Deviation> fewest(std::vector<Deviation> deviations, std::uint64_t most,
                                            const std::function<bool(const std::vector<Deviation>&)>& fails);

}  // namespace coppice::simulation
