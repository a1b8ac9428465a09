// SPDX-License-Identifier: Apache-2.0
//
// Shared tables: readers without a lock beside writers, and when memory is freed: epochs, latches, buckets, pages and the
// store, all in their own source. The value of an object is written before the object is stored and when it is destroyed,
// and read by readers: so an object that is seen too early, or too late, is a race. What is freed while a reader may stand
// on it is a failure, object or node.
#include <gtest/gtest.h>

#include <array>

#include "model/expect.hpp"
#include "model/explorer.hpp"
#include "model/tables_under_model.hpp"

namespace {

using coppice::detail::ObjectOps;
using coppice::detail::ObjectRef;
using coppice::detail::Probe;
using coppice::detail::SharedObject;
using coppice::otp_under_model::Epochs;
using coppice::otp_under_model::SharedStore;
using model::Execution;
using model::Operation;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

// -- objects

struct Object : SharedObject {
  Object(std::uint64_t the_key, int the_value) : key(the_key), value(the_value) {}
  std::uint64_t key;
  model::Data<int> value;
};
const Object& as_object(const SharedObject& object) { return static_cast<const Object&>(object); }

int compare_keys(std::uint64_t a, std::uint64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

const ObjectOps ops{
    .identity = nullptr,
    .size = sizeof(Object),
    .hashable = true,
    .destroy =
        [](SharedObject* object) noexcept {
          static_cast<Object*>(object)->value.set(-1);
          delete static_cast<Object*>(object);
        },
    .same_key = [](const SharedObject& a, const SharedObject& b) { return as_object(a).key == as_object(b).key; },
    .compare = [](const SharedObject& a,
                  const SharedObject& b) { return compare_keys(as_object(a).key, as_object(b).key); },
    .equal = nullptr,
    .rank = [](const SharedObject& object) { return as_object(object).key; },
    .exact = true,
};

ObjectRef make(std::uint64_t key, int value) {
  auto* object = new Object(key, value);
  object->hash = key;  // the first bits tell the bucket, the last ones the tag
  object->ops = &ops;
  object->value.set(value);
  return ObjectRef(object);
}

Probe probe_for(const std::uint64_t& key) {
  return {key,
          &key,
          [](const void* wanted, const SharedObject& object) {
            return *static_cast<const std::uint64_t*>(wanted) == as_object(object).key;
          },
          [](const void* wanted, const SharedObject& object) {
            return compare_keys(*static_cast<const std::uint64_t*>(wanted), as_object(object).key);
          },
          key,
          true};
}

// -- a table, and what is done to it

class Table {
 public:
  explicit Table(bool by_key) : epochs_(std::make_shared<Epochs>(1, 0)), store_(epochs_, by_key) {}

  // The value; 0 if the key is not there.
  int read(std::uint64_t key) {
    const Epochs::Pin pin(*epochs_);
    return value_of(store_.find(probe_for(key)));
  }
  // Twice within one pin: then memory is used long after it was found.
  int read_twice(std::uint64_t key) {
    const Epochs::Pin pin(*epochs_);
    const SharedObject* found = store_.find(probe_for(key));
    (void)value_of(store_.find(probe_for(key)));
    return value_of(found);
  }
  // How many there are, by a walk from the first to the last.
  int walk() {
    const Epochs::Pin pin(*epochs_);
    const SharedStore::View view = store_.view();
    int count = 0;
    for (const SharedObject* at = view.first(); at != nullptr; at = view.after(*at)) {
      (void)value_of(at);
      ++count;
    }
    return count;
  }
  void insert(std::uint64_t key, int value) {
    SharedStore::Writer writer(store_, key);
    writer.insert(make(key, value));
    writer.commit();
  }
  void overwrite(std::uint64_t key, int value) {
    ObjectRef fresh = make(key, value);
    if (store_.try_exchange(fresh)) return;
    SharedStore::Writer writer(store_, key);
    writer.exchange(*writer.view().find(probe_for(key)), std::move(fresh));
    writer.commit();
  }
  void erase(std::uint64_t key) {
    SharedStore::Writer writer(store_, key);
    writer.remove(*writer.view().find(probe_for(key)));
    writer.commit();
  }
  // All of them as one.
  template <std::size_t count>
  void overwrite_all(const std::array<std::uint64_t, count>& keys, int value) {
    SharedStore::Writer writer(store_);
    for (const std::uint64_t key : keys) writer.exchange(*writer.view().find(probe_for(key)), make(key, value));
    writer.commit();
  }
  void collect() { store_.collect(); }
  SharedStore& store() { return store_; }

 private:
  static int value_of(const SharedObject* object) { return object == nullptr ? 0 : as_object(*object).value.get(); }

  std::shared_ptr<Epochs> epochs_;
  SharedStore store_;
};

// Keys of one bucket, one segment and one stripe; their tags differ.
constexpr std::uint64_t key(std::uint64_t i) { return i + 1; }

constexpr model::Options few{.preemptions_max = 2, .stale_loads_max = 1};

// A reader beside one who overwrites and frees.
void overwritten(Execution& execution, bool by_key) {
  Table table(by_key);
  table.insert(key(0), 10);
  execution.thread([&] {
    const int value = table.read_twice(key(0));
    model::check(value == 10 || value == 20, "what is always there was not found");
  });
  execution.thread([&] {
    table.overwrite(key(0), 20);
    table.collect();
  });
  execution.join();
}

TEST(Tables, a_reader_sees_the_old_object_or_the_new_one) {
  model::expect_sound("tables, overwritten by hash", few, [](Execution& e) { overwritten(e, false); });
  model::expect_sound("tables, overwritten by key", few, [](Execution& e) { overwritten(e, true); });
}

// A reader beside one who erases what it looks for.
void erased(Execution& execution, bool by_key) {
  Table table(by_key);
  table.insert(key(0), 10);
  table.insert(key(1), 11);
  execution.thread([&] {
    const int value = table.read_twice(key(0));
    model::check(value == 10 || value == 0, "something else was found");
    model::check(table.read(key(1)) == 11, "what is always there was not found");
  });
  execution.thread([&] {
    table.erase(key(0));
    table.collect();
  });
  execution.join();
}

TEST(Tables, what_is_erased_stays_until_its_readers_have_gone) {
  model::expect_sound("tables, erased by hash", few, [](Execution& e) { erased(e, false); });
  model::expect_sound("tables, erased by key", few, [](Execution& e) { erased(e, true); });
}

// The ninth object replaces the segment by a larger one.
void grows(Execution& execution, bool walks) {
  Table table(false);
  for (std::uint64_t i = 0; i < 8; ++i) table.insert(key(i), 10);
  execution.thread([&] {
    if (walks) {
      const int count = table.walk();
      model::check(count == 8 || count == 9, "a walk misses what is always there");
    } else {
      model::check(table.read_twice(key(7)) == 10, "what is always there was not found");
    }
  });
  execution.thread([&] {
    table.insert(key(8), 20);
    table.collect();
  });
  execution.join();
}

TEST(Tables, a_segment_is_replaced_under_its_readers) {
  model::expect_sound("tables, grow", few, [](Execution& e) { grows(e, false); });
  model::expect_sound("tables, grow under a walk", {.preemptions_max = 1, .stale_loads_max = 1},
                      [](Execution& e) { grows(e, true); });
}

// A page gets one more object: another page in its place.
TEST(Tables, a_page_is_replaced_under_its_readers) {
  model::expect_sound("tables, page", few, [](Execution& execution) {
    Table table(true);
    for (std::uint64_t i = 0; i < 3; ++i) table.insert(2 * i + 2, 10);
    execution.thread([&] {
      const int count = table.walk();
      model::check(count == 3 || count == 4, "a walk misses what is always there");
    });
    execution.thread([&] {
      table.insert(3, 20);
      table.collect();
    });
    execution.join();
  });
}

// Several at once: who has seen one of them new sees no other old.
void together(Execution& execution, bool by_key) {
  Table table(by_key);
  const std::array<std::uint64_t, 2> keys{key(0), key(1)};
  for (const std::uint64_t one : keys) table.insert(one, 10);
  execution.thread([&] {
    const int first = table.read(keys[0]);
    const int second = table.read(keys[1]);
    model::check(first == 10 || first == 20, "what is always there was not found");
    model::check(second == 20 || first == 10, "a commit is seen in part");
  });
  execution.thread([&] {
    table.overwrite_all(keys, 20);
    table.collect();
  });
  execution.join();
}

TEST(Tables, a_commit_is_seen_as_a_whole) {
  model::expect_sound("tables, several by hash", few, [](Execution& e) { together(e, false); });
  model::expect_sound("tables, several by key", few, [](Execution& e) { together(e, true); });
}

TEST(Tables, two_writers_of_one_stripe_take_turns) {
  model::expect_sound("tables, two writers", few, [](Execution& execution) {
    Table table(false);
    for (std::uint64_t i = 0; i < 2; ++i) {
      execution.thread([&, i] { table.insert(key(i), 10); });
    }
    execution.join();
    model::check(table.read(key(0)) == 10 && table.read(key(1)) == 10 && table.store().size() == 2,
                 "an insert is lost");
  });
}

TEST(Tables, weaker_memory_orders_are_found) {
  const auto weak = [](const char* what, Operation operation, std::memory_order order, const char* function,
                       auto program) {
    model::expect_rejected(what, {.preemptions_max = 2, .stale_loads_max = 2, .weakened = {operation, order, function}},
                           program);
  };
  const auto by_hash = [](Execution& e) { overwritten(e, false); };
  const auto by_key = [](Execution& e) { overwritten(e, true); };
  weak("tables, links loaded without acquire", Operation::load, memory_order_relaxed, "otp_under_model::load(",
       by_hash);
  weak("tables, objects stored without release", Operation::store, memory_order_relaxed, "::try_exchange(", by_hash);
  weak("tables, pages stored without release", Operation::store, memory_order_relaxed, "::publish(", by_key);
  weak("epochs, pinned with release", Operation::store, memory_order_release, "Pin::Pin(", by_hash);
  weak("epochs, unpinned without release", Operation::store, memory_order_relaxed, "Pin::~Pin(", by_hash);
  weak("epochs, pins looked at without acquire", Operation::load, memory_order_relaxed, "::try_advance(", by_hash);
  weak("latch, freed without release", Operation::modify, memory_order_relaxed, "BasicLatch::unlock(",
       [](Execution& execution) {
         Table table(false);
         for (std::uint64_t i = 0; i < 2; ++i) {
           execution.thread([&, i] { table.insert(key(i), 10); });
         }
         execution.join();
         model::check(table.store().size() == 2, "an insert is lost");
       });
}

// Who frees after one turn of the epoch instead of two frees under a reader.
TEST(Tables, one_epoch_is_not_enough) {
  model::expect_rejected("epochs, one turn only", few, [](Execution& execution) {
    Epochs epochs(1, 0);
    model::Atomic<model::Data<int>*> root{new model::Data<int>(1)};
    execution.thread([&] {
      const Epochs::Pin pin(epochs);
      model::check(root.load()->get() == 1, "something else is read");
    });
    execution.thread([&] {
      model::Data<int>* old = root.exchange(new model::Data<int>(1));
      const std::uint64_t stamp = epochs.stamp();
      (void)epochs.try_advance();
      if (epochs.is_over(stamp - 1)) old->set(-1);
    });
    execution.join();
  });
}

}  // namespace
