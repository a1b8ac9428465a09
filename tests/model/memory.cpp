// SPDX-License-Identifier: Apache-2.0
#include "model/memory.hpp"

#include <algorithm>

namespace model {
namespace {

bool acquires(std::memory_order order) {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
         order == std::memory_order_consume || order == std::memory_order_seq_cst;
}
bool releases(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}

void join_all(std::vector<std::uint32_t>& left, const std::vector<std::uint32_t>& right) {
  if (left.size() < right.size()) left.resize(right.size());
  for (std::size_t i = 0; i < right.size(); ++i) left[i] = std::max(left[i], right[i]);
}

}  // namespace

void View::join(const View& other) {
  join_all(stores, other.stores);
  join_all(steps, other.steps);
}

void View::see(std::size_t location, std::uint32_t index) {
  if (stores.size() <= location) stores.resize(location + 1);
  stores[location] = std::max(stores[location], index);
}

std::size_t Memory::add_location(std::uintptr_t address, std::uint64_t value) {
  Location& made = locations_.emplace_back();
  made.stores.push_back({value, {}});
  made.address = address;
  return locations_.size() - 1;
}

bool Memory::touch(std::size_t thread, std::size_t location) {
  locations_[location].touched[thread] = threads_[thread].now.step(thread) + 1;
  return !locations_[location].freed;
}

bool Memory::free(std::size_t thread, const void* begin, std::size_t size) {
  const auto first = reinterpret_cast<std::uintptr_t>(begin);
  const View& now = threads_[thread].now;
  for (Location& place : locations_) {
    const std::uintptr_t offset = place.address - first;
    if (offset >= size || place.freed) continue;
    place.freed = true;
    for (std::size_t other = 0; other < place.touched.size(); ++other) {
      if (other != thread && now.step(other) < place.touched[other]) return false;
    }
  }
  return true;
}

std::size_t Memory::add_datum() {
  data_.emplace_back();
  return data_.size() - 1;
}

void Memory::begin(std::size_t thread, std::size_t parent) {
  step(parent);
  threads_[thread] = {threads_[parent].now, {}, {}};
  step(thread);
}

void Memory::join_thread(std::size_t thread, std::size_t ended) { threads_[thread].now.join(threads_[ended].now); }

void Memory::step(std::size_t thread) {
  std::vector<std::uint32_t>& steps = threads_[thread].now.steps;
  if (steps.size() < threads_.size()) steps.resize(threads_.size());
  ++steps[thread];
}

std::size_t Memory::choices(std::size_t thread, std::size_t location, std::memory_order order) const {
  const Location& place = locations_[location];
  std::uint32_t oldest = threads_[thread].now.store(location);
  if (order == std::memory_order_seq_cst) {
    oldest = std::max({oldest, place.newest_seq_cst, seq_cst_fences_.store(location)});
  }
  return place.stores.size() - oldest;
}

std::uint64_t Memory::peek(std::size_t location, std::size_t choice) const {
  const std::vector<Store>& stores = locations_[location].stores;
  return stores[stores.size() - 1 - choice].value;
}

void Memory::take(std::size_t thread, const View& carried, std::memory_order order) {
  (acquires(order) ? threads_[thread].now : threads_[thread].of_relaxed_loads).join(carried);
}

View Memory::carried_by(std::size_t thread, std::memory_order order) const {
  return releases(order) ? threads_[thread].now : threads_[thread].at_release_fence;
}

std::uint64_t Memory::load(std::size_t thread, std::size_t location, std::memory_order order, std::size_t choice) {
  step(thread);
  const auto index = static_cast<std::uint32_t>(locations_[location].stores.size() - 1 - choice);
  threads_[thread].now.see(location, index);
  take(thread, locations_[location].stores[index].carried, order);
  return locations_[location].stores[index].value;
}

void Memory::store(std::size_t thread, std::size_t location, std::uint64_t value, std::memory_order order) {
  step(thread);
  Location& place = locations_[location];
  const auto index = static_cast<std::uint32_t>(place.stores.size());
  threads_[thread].now.see(location, index);
  place.stores.push_back({value, carried_by(thread, order)});
  place.stores.back().carried.see(location, index);
  if (order == std::memory_order_seq_cst) {
    place.newest_seq_cst = index;
    seq_cst_stores_.see(location, index);
  }
}

std::uint64_t Memory::exchange(std::size_t thread, std::size_t location, std::uint64_t value, std::memory_order order) {
  const std::uint64_t before = load(thread, location, order, 0);
  const View sequence = locations_[location].stores.back().carried;
  store(thread, location, value, order);
  locations_[location].stores.back().carried.join(sequence);
  return before;
}

void Memory::fence(std::size_t thread, std::memory_order order) {
  step(thread);
  ThreadView& view = threads_[thread];
  if (acquires(order)) view.now.join(view.of_relaxed_loads);
  if (order == std::memory_order_seq_cst) {
    view.now.join(seq_cst_stores_);
    view.now.join(seq_cst_fences_);
    // Only what may be read is ordered by it: it makes nothing happen before.
    join_all(seq_cst_fences_.stores, view.now.stores);
  }
  if (releases(order)) view.at_release_fence = view.now;
}

bool Memory::read(std::size_t thread, std::size_t datum) {
  step(thread);
  Datum& place = data_[datum];
  const View& now = threads_[thread].now;
  if (place.written != 0 && place.writer != thread && now.step(place.writer) < place.written) return false;
  if (place.reads.size() < threads_.size()) place.reads.resize(threads_.size());
  place.reads[thread] = now.step(thread);
  return true;
}

bool Memory::write(std::size_t thread, std::size_t datum) {
  step(thread);
  Datum& place = data_[datum];
  const View& now = threads_[thread].now;
  if (place.written != 0 && place.writer != thread && now.step(place.writer) < place.written) return false;
  for (std::size_t reader = 0; reader < place.reads.size(); ++reader) {
    if (reader != thread && now.step(reader) < place.reads[reader]) return false;
  }
  place.writer = thread;
  place.written = now.step(thread);
  place.reads.clear();
  return true;
}

}  // namespace model
