// SPDX-License-Identifier: Apache-2.0
#include "simulation/deciders.hpp"

#include <algorithm>
#include <utility>

namespace coppice::simulation {

Deviating::Deviating(std::vector<Deviation> deviations) : deviations_(std::move(deviations)) {
  std::ranges::sort(deviations_, {}, &Deviation::choice);
}

std::uint32_t Deviating::decide(std::uint64_t number, std::uint32_t alternatives, std::uint32_t policy) {
  while (next_ < deviations_.size() && deviations_[next_].choice < number) ++next_;
  if (next_ == deviations_.size() || deviations_[next_].choice != number) return policy;
  return std::min(deviations_[next_++].chosen, alternatives - 1);
}

// A choice of the last run that this one makes again has the same alternatives: the same was decided before it.
std::uint32_t DepthFirst::decide(std::uint32_t alternatives, std::uint32_t policy) {
  if (depth_ == path_.size()) path_.push_back({0, alternatives, policy});
  return path_[depth_++].chosen();
}

bool DepthFirst::next() {
  depth_ = 0;
  while (!path_.empty()) {
    Step& last = path_.back();
    const bool may = last.tried != 0 || deviations_ < deviations_max_;
    if (may && last.tried + 1 < last.alternatives) {
      if (last.tried++ == 0) ++deviations_;
      return true;
    }
    if (last.tried != 0) --deviations_;
    path_.pop_back();
  }
  return false;
}

std::vector<Deviation> fewest(std::vector<Deviation> deviations, std::uint64_t most,
                              const std::function<bool(const std::vector<Deviation>&)>& fails) {
  std::size_t part = std::max<std::size_t>(deviations.size() / 2, 1);
  while (!deviations.empty()) {
    bool fewer = false;
    for (std::size_t begin = 0; begin < deviations.size();) {
      const std::size_t end = std::min(begin + part, deviations.size());
      std::vector<Deviation> without(deviations.begin(), deviations.begin() + static_cast<std::ptrdiff_t>(begin));
      without.insert(without.end(), deviations.begin() + static_cast<std::ptrdiff_t>(end), deviations.end());
      if (most-- == 0) return deviations;
      if (fails(without)) {
        deviations = std::move(without);
        fewer = true;
      } else {
        begin = end;
      }
    }
    if (part > 1) {
      part /= 2;
    } else if (!fewer) {
      break;
    }
  }
  return deviations;
}

}  // namespace coppice::simulation
