// SPDX-License-Identifier: Apache-2.0
#include "runtime/watch.hpp"

#include <bit>

#include "runtime/core.hpp"

namespace coppice::runtime {

void Watch::appoint() {
  for (;;) {
    const std::uint64_t mask = idle_mask_.load(std::memory_order_seq_cst);
    if (mask == 0) return;
    const auto worker = static_cast<std::uint32_t>(std::countr_zero(mask));
    const std::uint64_t bit = std::uint64_t{1} << worker;
    std::uint32_t nobody = 0;
    if (!watcher_.compare_exchange_strong(nobody, worker + 1, std::memory_order_seq_cst)) return;
    if ((idle_mask_.fetch_and(~bit, std::memory_order_seq_cst) & bit) != 0) {
      core_.world().unpark(core_.workers()[worker]->parker());
      return;
    }
    give_up(worker);
  }
}

bool Watch::others_are_busy(std::uint32_t worker) const noexcept {
  const std::size_t count = core_.workers().size();
  const std::uint64_t all = count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
  const std::uint64_t own = std::uint64_t{1} << worker;
  return ((idle_mask_.load(std::memory_order_seq_cst) | own) & all) != all;
}

bool Watch::take_role(std::uint32_t worker) noexcept {
  if (!others_are_busy(worker)) {
    give_up(worker);
    return false;
  }
  std::uint32_t nobody = 0;
  return watcher_.compare_exchange_strong(nobody, worker + 1, std::memory_order_seq_cst) || nobody == worker + 1;
}

void Watch::give_up(std::uint32_t worker) noexcept {
  std::uint32_t expected = worker + 1;
  if (watcher_.load(std::memory_order_seq_cst) == expected) {
    watcher_.compare_exchange_strong(expected, 0, std::memory_order_seq_cst);
  }
}

void Watch::hand_over(std::uint32_t worker) {
  give_up(worker);
  call();
}

}  // namespace coppice::runtime
