// SPDX-License-Identifier: Apache-2.0
//
// The buckets under hashed tables, against std::map: with hashes that are spread, that collide, that share their first
// bits or their last, while they grow and shrink, beside snapshots, and with many changes committed or given up at once.
#include "ets/shared_store.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>

namespace coppice::otp {
namespace {

using Object = detail::ObjectOf<int, int>;
using Position = std::pair<std::uint64_t, std::uint64_t>;  // hash, sequence
using Walked = std::vector<int>;

int key_of(const SharedObject& object) { return static_cast<const Object&>(object).key; }

SharedObject* object_with(std::uint64_t hash, int key) {
  SharedObject* object = detail::new_object<int, int>(key, key);
  object->hash = hash;
  return object;
}

// Finds its object by key, whatever its hash is.
Probe probe_for(std::uint64_t hash, const int& key) {
  return {hash, &key,
          [](const void* k, const SharedObject& object) { return *static_cast<const int*>(k) == key_of(object); },
          nullptr};
}

Walked walk(const SharedStore::View& view) {
  Walked keys;
  for (const SharedObject* o = view.first(); o != nullptr; o = view.after(*o)) keys.push_back(key_of(*o));
  return keys;
}
Walked listed(const SharedStore::View& view) {
  Walked keys;
  view.for_each([&](const SharedObject& object) {
    keys.push_back(key_of(object));
    return true;
  });
  return keys;
}

class Model {
 public:
  Model() : epochs_(std::make_shared<Epochs>(1, 1)), store(epochs_, false) {}

  void insert(std::uint64_t hash) {
    const int key = ++last_key_;
    SharedObject* object = object_with(hash, key);
    SharedStore::Writer writer(store, hash);
    writer.insert(detail::ObjectRef(object));
    writer.commit();
    model_.emplace(Position(hash, object->sequence), key);
  }
  void remove(std::size_t at) {
    const auto found = std::next(model_.begin(), static_cast<std::ptrdiff_t>(at));
    const Epochs::Pin pin(*epochs_);
    SharedStore::Writer writer(store, found->first.first);
    writer.remove(*find(*found));
    writer.commit();
    model_.erase(found);
  }
  void exchange(std::size_t at) {
    const auto found = std::next(model_.begin(), static_cast<std::ptrdiff_t>(at));
    const int key = ++last_key_;
    const Epochs::Pin pin(*epochs_);
    SharedStore::Writer writer(store, found->first.first);
    writer.exchange(*find(*found), detail::ObjectRef(object_with(found->first.first, key)));
    writer.commit();
    found->second = key;
  }
  // `count` at once; given up if not `commits`.
  void insert_many(std::size_t count, bool commits, const std::function<std::uint64_t()>& hash_for) {
    std::map<Position, int> more;
    const Walked before = expected();
    {
      SharedStore::Writer writer(store);
      for (std::size_t i = 0; i < count; ++i) {
        const int key = ++last_key_;
        SharedObject* object = object_with(hash_for(), key);
        writer.insert(detail::ObjectRef(object));
        more.emplace(Position(object->hash, object->sequence), key);
        EXPECT_EQ(writer.view().find(probe_for(object->hash, key)), object);
        if (i % 3 == 2) {
          writer.remove(*object);
          more.erase(Position(object->hash, object->sequence));
        }
      }
      const Epochs::Pin pin(*epochs_);
      EXPECT_EQ(walk(store.view()), before);  // nobody else sees any of it
      if (commits) writer.commit();
    }
    if (commits) model_.merge(more);
  }
  void check() {
    const Epochs::Pin pin(*epochs_);
    const Walked all = expected();
    EXPECT_EQ(walk(store.view()), all);
    const Walked some = listed(store.view());
    EXPECT_EQ(std::set<int>(some.begin(), some.end()), std::set<int>(all.begin(), all.end()));
    EXPECT_EQ(some.size(), all.size());
    EXPECT_EQ(store.size(), all.size());
    for (const auto& [position, key] : model_) {
      const SharedObject* found = store.find(probe_for(position.first, key));
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(key_of(*found), key);
    }
    EXPECT_EQ(store.find(probe_for(model_.empty() ? 1 : model_.begin()->first.first, -1)), nullptr);
  }
  [[nodiscard]] std::size_t size() const { return model_.size(); }
  [[nodiscard]] Epochs& epochs() { return *epochs_; }
  [[nodiscard]] Walked expected() const {
    Walked keys;
    for (const auto& [position, key] : model_) keys.push_back(key);
    return keys;
  }

 private:
  const SharedObject* find(const std::pair<const Position, int>& entry) {
    return store.find(probe_for(entry.first.first, entry.second));
  }

  std::shared_ptr<Epochs> epochs_;
  std::map<Position, int> model_;
  int last_key_ = 0;

 public:
  SharedStore store;
};

// Hashes of few kinds: equal ones, ones that differ in the last bits or in the first, and any.
std::uint64_t hash_for(std::uint64_t number) {
  static constexpr std::uint64_t bases[] = {0, 0x8000000000000000ULL, 0x0123456789abcdefULL, ~std::uint64_t{0}};
  if (number % 8 == 7) return number * 0x9e3779b97f4a7c15ULL;
  if (number % 8 == 6) return number << 32;
  return bases[number % 4] ^ (number / 8 % 16);
}

TEST(SharedBuckets, objects_stand_in_the_order_of_hash_and_insertion_whatever_their_hashes) {
  std::mt19937_64 random(2);
  Model model;
  for (int step = 0; step < 6000; ++step) {
    const auto what = random() % 8;
    if (model.size() < 5 || what < 4) {
      model.insert(hash_for(random()));
    } else if (what == 4) {
      model.exchange(random() % model.size());
    } else {
      model.remove(random() % model.size());
    }
    if (step % 500 == 0) model.check();
  }
  model.check();
  while (model.size() != 0) model.remove(random() % model.size());
  model.check();
}

TEST(SharedBuckets, a_store_grows_with_what_it_holds_and_gives_most_of_it_back) {
  std::mt19937_64 random(3);
  Model model;
  for (int i = 0; i < 40'000; ++i) model.insert(random());
  model.check();
  const std::size_t full = model.store.bytes();
  EXPECT_LT(full, 40'000 * (sizeof(Object) + 64));
  while (model.size() > 100) model.remove(random() % std::min<std::size_t>(model.size(), 64));
  model.check();
  EXPECT_LT(model.store.bytes(), full / 8);
}

// The directory does not grow for the sake of hashes that no bit of it tells apart.
TEST(SharedBuckets, hashes_that_share_their_first_bits_cost_no_more_memory_than_others) {
  Model model;
  for (std::uint64_t i = 0; i < 3000; ++i) model.insert(0x5555555555000000ULL + i);
  model.check();
  EXPECT_LT(model.store.bytes(), 3000 * (sizeof(Object) + 64));
}

TEST(SharedBuckets, many_changes_become_visible_at_once_or_not_at_all) {
  std::mt19937_64 random(4);
  Model model;
  for (int round = 0; round < 60; ++round) {
    model.insert_many(random() % 200, round % 3 != 0, [&] { return hash_for(random()); });
    for (int i = 0; i < 20; ++i) model.insert(random());
    for (int i = 0; i < 10 && model.size() != 0; ++i) model.remove(random() % model.size());
    if (round % 10 == 0) model.check();
  }
  model.insert_many(20'000, false, [&] { return random(); });
  model.check();
  model.insert_many(20'000, true, [&] { return random(); });
  model.check();
}

TEST(SharedBuckets, a_snapshot_stays_as_it_was_whatever_is_written) {
  std::mt19937_64 random(5);
  Model model;
  for (int i = 0; i < 3000; ++i) model.insert(hash_for(random()));
  const Walked first = model.expected();
  const Epochs::Pin pin(model.epochs());
  std::optional<SharedStore::Snapshot> snapshot;
  snapshot.emplace(model.store);
  for (int i = 0; i < 3000; ++i) model.insert(random());
  for (int i = 0; i < 1000; ++i) model.exchange(random() % model.size());
  const Walked second = model.expected();
  const SharedStore::Snapshot later(model.store);
  EXPECT_EQ(walk(snapshot->view()), first);
  for (int i = 0; i < 3000; ++i) model.remove(random() % model.size());
  model.insert_many(500, true, [&] { return random(); });
  EXPECT_EQ(walk(snapshot->view()), first);
  snapshot.reset();
  for (int i = 0; i < 1000; ++i) model.insert(random());
  {
    SharedStore::Writer writer(model.store);
    writer.clear();
  }
  model.check();
  EXPECT_EQ(walk(later.view()), second);
}

TEST(SharedBuckets, an_emptied_store_is_empty_at_once_and_can_be_filled_again) {
  std::mt19937_64 random(6);
  const auto epochs = std::make_shared<Epochs>(1, 1);
  SharedStore store(epochs, false);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t hash = random();
      SharedStore::Writer writer(store, hash);
      writer.insert(detail::ObjectRef(object_with(hash, i)));
      writer.commit();
    }
    EXPECT_EQ(store.size(), 2000u);
    SharedStore::Writer writer(store);
    writer.clear();
    writer.commit();
    const Epochs::Pin pin(*epochs);
    EXPECT_EQ(store.size(), 0u);
    EXPECT_EQ(store.view().first(), nullptr);
  }
}

}  // namespace
}  // namespace coppice::otp
