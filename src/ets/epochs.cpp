// SPDX-License-Identifier: Apache-2.0
#include "ets/epochs.hpp"

#include <algorithm>
#include <functional>
#include <thread>

namespace coppice::otp {
namespace {

class EpochsAnnex final : public runtime::Annex {
 public:
  explicit EpochsAnnex(runtime::Core& core)
      : epochs(std::make_shared<Epochs>(core.creation(), core.workers().size())) {}
  void process_ends(runtime::Process&) noexcept override {}
  void runtime_ends() noexcept override { epochs->collect(); }

  const std::shared_ptr<Epochs> epochs;
};

}  // namespace

Epochs::Epochs(std::uint32_t creation, std::size_t workers)
    : creation_(creation), workers_(workers), slots_(std::make_unique<Slot[]>(workers + foreign_slots)) {}

// Whoever could read holds a share of this object: there is no reader.
Epochs::~Epochs() {
  while (!garbage_.empty()) {
    const Garbage last = garbage_.back();
    garbage_.pop_back();
    last.free(last.object);
  }
}

const std::shared_ptr<Epochs>& Epochs::of(runtime::Core& core) {
  runtime::Annex& annex =
      core.annex(runtime::AnnexKind::epochs,
                 [](runtime::Core& c) -> std::unique_ptr<runtime::Annex> { return std::make_unique<EpochsAnnex>(c); });
  return static_cast<EpochsAnnex&>(annex).epochs;
}

bool Epochs::try_advance() noexcept {
  std::uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
  const std::size_t count = workers_ + foreign_used_.load(std::memory_order_seq_cst);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t seen = slots_[i].state.load(std::memory_order_seq_cst);
    if (seen != 0 && seen != epoch) return false;
  }
  return epoch_.compare_exchange_strong(epoch, epoch + 1, std::memory_order_seq_cst);
}

// The number of slots in use is raised before the slot is: whoever advances sees the one if it could see the other.
Epochs::Slot& Epochs::take_foreign_slot() noexcept {
  const std::size_t start = std::hash<std::thread::id>{}(std::this_thread::get_id());
  for (std::size_t i = 0;; ++i) {
    const std::size_t used = std::max<std::size_t>(foreign_used_.load(std::memory_order_seq_cst), 1);
    const std::size_t index = i < used ? (start + i) % used : i % foreign_slots;
    std::size_t seen = foreign_used_.load(std::memory_order_seq_cst);
    while (seen <= index && !foreign_used_.compare_exchange_weak(seen, index + 1, std::memory_order_seq_cst)) {
    }
    Slot& slot = slots_[workers_ + index];
    if (!slot.taken.load(std::memory_order_relaxed) && !slot.taken.exchange(true, std::memory_order_acquire))
      return slot;
    if (i >= foreign_slots) std::this_thread::yield();
  }
}

void Epochs::retire(void* object, void (*free)(void*) noexcept) {
  {
    const std::lock_guard lock(mutex_);
    garbage_.push_back({object, free, stamp()});
  }
  collect();
}

void Epochs::collect() noexcept {
  if (try_advance()) try_advance();
  std::vector<Garbage> over;
  {
    const std::lock_guard lock(mutex_);
    const auto first =
        std::partition(garbage_.begin(), garbage_.end(), [&](const Garbage& g) { return !is_over(g.stamp); });
    over.assign(first, garbage_.end());
    garbage_.erase(first, garbage_.end());
  }
  for (const Garbage& garbage : over) garbage.free(garbage.object);
}

}  // namespace coppice::otp
