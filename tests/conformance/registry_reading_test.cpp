// SPDX-License-Identifier: Apache-2.0
//
// Reading registries, values, meta, dispatch, via names (RG-026 to RG-047).
#include "conformance/registry_support.hpp"

namespace conformance::registries {
namespace {

const auto odd = [](int value) { return value % 2 == 1; };

BEHAVIOUR_TEST(Registry, RG_026_lookup_gives_the_entries_of_a_key) {
  const Running registry({.name = users});
  EXPECT_TRUE(users.lookup("x").empty());
  users.register_key("x", 1);
  EXPECT_EQ(users.lookup("x"), (std::vector<Entry>{{self(), 1}}));
}

BEHAVIOUR_TEST(Registry, RG_027_values_and_keys_of_a_process) {
  const Running registry({.name = topics, .keys = Keys::duplicate, .partitions = 2});
  for (const int value : {1, 2}) topics.register_key("x", value);
  topics.register_key("y", 3);
  const Pid other = spawn_registered([] { topics.register_key("x", 9); });
  EXPECT_EQ(topics.values("x", self()), (std::vector<int>{1, 2}));
  std::vector<std::string> keys = topics.keys(self());
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(keys, (std::vector<std::string>{"x", "x", "y"}));
  EXPECT_EQ(topics.keys(other), (std::vector<std::string>{"x"}));
  finish(other);
}

BEHAVIOUR_TEST(Registry, RG_028_match_and_count_match) {
  const Running registry({.name = topics, .keys = Keys::duplicate});
  for (const int value : {1, 2, 3}) topics.register_key("x", value);
  EXPECT_EQ(values_of(topics.match("x", odd)), (std::vector<int>{1, 3}));
  EXPECT_EQ(topics.count_match("x", odd), 2u);
}

BEHAVIOUR_TEST(Registry, RG_029_count_counts_duplicates) {
  const Running registry({.name = topics, .keys = Keys::duplicate, .partitions = 2});
  for (int i = 0; i < 3; ++i) topics.register_key("x", 1);
  EXPECT_EQ(topics.count(), 3u);
}

BEHAVIOUR_TEST(Registry, RG_030_select_goes_over_all_partitions) {
  const Running registry({.name = users, .partitions = 4});
  for (const char* key : {"a", "b", "c", "d"}) users.register_key(key, key[0] - 'a');
  const auto chosen =
      users.select([](const std::string&, const Pid& pid, int value) { return pid == self() && value % 2 == 1; });
  std::vector<std::string> keys;
  for (const auto& selected : chosen) keys.push_back(selected.key);
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(keys, (std::vector<std::string>{"b", "d"}));
  EXPECT_EQ(users.count_select([](const std::string& key, const Pid&, int) { return key > "a"; }), 3u);
}

BEHAVIOUR_TEST(Registry, RG_032_an_entry_is_seen_whole_while_others_write) {
  const Running registry({.name = users});
  const auto [writer, gone] = spawn_monitor([] {
    users.register_key("x", 0);
    for (int i = 0; i < 20; ++i) users.update_value("x", [](int value) { return value + 1; });
    users.unregister("x");
  });
  int last = 0;
  for (int i = 0; i < 20; ++i) {
    for (const Entry& entry : users.lookup("x")) {
      EXPECT_EQ(entry.pid, writer);
      EXPECT_GE(entry.value, last);
      last = entry.value;
    }
    checkpoint();
  }
  await_down(gone);
}

BEHAVIOUR_TEST(Registry, RG_033_update_value_gives_new_and_old_to_the_owner_only) {
  const Running registry({.name = users});
  const Pid other = spawn_registered([] { users.register_key("theirs", 1); });
  users.register_key("x", 1);
  const auto twice = [](int value) { return value * 10; };
  EXPECT_EQ(users.update_value("x", twice), std::pair(10, 1));
  EXPECT_FALSE(users.update_value("theirs", twice));
  EXPECT_FALSE(users.update_value("nobodys", twice));
  finish(other);
  const Running duplicates({.name = topics, .keys = Keys::duplicate});
  EXPECT_TRUE(is_badarg([&] { (void)topics.update_value("x", twice); }));
}

BEHAVIOUR_TEST(Registry, RG_034_an_updated_value_is_seen_by_all_and_told_to_none) {
  register_name(self(), "listener");
  const Running registry({.name = users, .listeners = {"listener"}});
  users.register_key("x", 1);
  receive<Users::Registered>();
  (void)users.update_value("x", [](int) { return 2; });
  EXPECT_TRUE(reason_of([] { EXPECT_EQ(users.lookup("x").front().value, 2); }).is_normal());
  EXPECT_FALSE(receive<Users::Registered>(0s));
  users.unregister("x");
  EXPECT_EQ(users.count(), 0u);
}

BEHAVIOUR_TEST(Registry, RG_035_meta_is_put_got_and_deleted_and_goes_with_the_registry) {
  const Term key(Atom("limit"));
  {
    const Running registry({.name = users});
    EXPECT_FALSE(users.get_meta(key));
    users.put_meta(key, Term(5));
    EXPECT_EQ(users.get_meta(key), Term(5));
    users.delete_meta(key);
    EXPECT_FALSE(users.get_meta(key));
    EXPECT_TRUE(is_badarg([] { users.put_meta(Term(1), Term(1)); }));
    users.put_meta(tuple(1, 2), Term(6));
  }
  const Running again({.name = users});
  EXPECT_FALSE(users.get_meta(tuple(1, 2)));
}

BEHAVIOUR_TEST(Registry, RG_036_dispatch_calls_the_function_in_the_caller_if_there_are_entries) {
  const Running registry({.name = users});
  int calls = 0;
  const auto note = [&](const std::vector<Entry>& entries) {
    ++calls;
    EXPECT_EQ(entries, (std::vector<Entry>{{self(), 1}}));
  };
  users.dispatch("x", note);
  EXPECT_EQ(calls, 0);
  users.register_key("x", 1);
  users.dispatch("x", note);
  EXPECT_EQ(calls, 1);
}

// Registers processes until each of two partitions has one; returns them.
std::vector<Pid> fill_both_partitions() {
  std::vector<Pid> pids;
  std::vector<Pid> partitions;
  while (partitions.size() < 2) {
    pids.push_back(spawn([test = self()] {
      send(test, topics.register_key("x", 1).value());
      sleep_for(infinity);
    }));
    const Pid partition = receive<Pid>();
    if (std::find(partitions.begin(), partitions.end(), partition) == partitions.end()) partitions.push_back(partition);
  }
  return pids;
}

BEHAVIOUR_TEST(Registry, RG_037_dispatch_calls_once_for_each_partition_of_a_duplicate_registry) {
  const Running registry({.name = topics, .keys = Keys::duplicate, .partitions = 2});
  const std::vector<Pid> pids = fill_both_partitions();
  std::size_t calls = 0;
  std::size_t entries = 0;
  topics.dispatch("x", [&](const std::vector<Entry>& part) {
    ++calls;
    entries += part.size();
  });
  EXPECT_EQ(calls, 2u);
  EXPECT_EQ(entries, pids.size());
  for (const Pid& pid : pids) finish(pid);
}

BEHAVIOUR_TEST(Registry, RG_037_RG_046_by_key_one_partition_is_visited) {
  const Running registry({.name = topics, .keys = Keys::duplicate_by_key, .partitions = 2});
  std::vector<Pid> pids;
  std::vector<Pid> partitions;
  for (int i = 0; i < 4; ++i) {
    pids.push_back(spawn([test = self()] {
      send(test, topics.register_key("x", 1).value());
      sleep_for(infinity);
    }));
    partitions.push_back(receive<Pid>());
  }
  EXPECT_EQ(std::count(partitions.begin(), partitions.end(), partitions.front()), 4);
  int calls = 0;
  topics.dispatch("x", [&](const std::vector<Entry>& entries) {
    ++calls;
    EXPECT_EQ(entries.size(), 4u);
  });
  EXPECT_EQ(calls, 1);
  for (const Pid& pid : pids) finish(pid);
  EXPECT_EQ(topics.count(), 0u);
}

BEHAVIOUR_TEST(Registry, RG_038_parallel_dispatch_runs_in_linked_processes_and_waits) {
  const Running registry({.name = topics, .keys = Keys::duplicate, .partitions = 2});
  const std::vector<Pid> pids = fill_both_partitions();
  topics.dispatch("x", [test = self()](const std::vector<Entry>&) { send(test, self()); }, {.parallel = true});
  const Pid first = receive<Pid>();
  EXPECT_NE(first, self());
  EXPECT_NE(receive<Pid>(), first);
  for (const Pid& pid : pids) finish(pid);
}

BEHAVIOUR_TEST(Registry, RG_039_what_the_function_throws_goes_to_the_caller) {
  const Running registry({.name = topics, .keys = Keys::duplicate, .partitions = 2});
  const std::vector<Pid> pids = fill_both_partitions();
  int calls = 0;
  const auto fails = [&](const std::vector<Entry>&) {
    ++calls;
    throw std::runtime_error("no");
  };
  EXPECT_THROW(topics.dispatch("x", fails), std::runtime_error);
  EXPECT_EQ(calls, 1);  // the other partition was not served
  const ExitReason reason = reason_of([] {
    topics.dispatch("x", [](const std::vector<Entry>&) { throw Exit(ExitReason(boom)); }, {.parallel = true});
  });
  EXPECT_EQ(reason, ExitReason(boom));
  for (const Pid& pid : pids) finish(pid);
}

struct News {
  int number;
};
BEHAVIOUR_TEST(Registry, RG_041_subscribers_get_what_is_published_in_order) {
  const Running registry({.name = topics, .keys = Keys::duplicate});
  const auto publish = [](int number) {
    topics.dispatch("news", [&](const auto& entries) {
      for (const auto& entry : entries) send(entry.pid, News{number});
    });
  };
  publish(1);
  topics.register_key("news", 0);
  publish(2);
  publish(3);
  topics.unregister("news");
  publish(4);
  EXPECT_EQ(receive<News>().number, 2);
  EXPECT_EQ(receive<News>().number, 3);
  EXPECT_FALSE(receive<News>(0s));
}

BEHAVIOUR_TEST(Registry, RG_042_a_server_is_started_and_found_under_a_key_with_and_without_a_value) {
  const Running registry({.name = users});
  const auto plain = Held::start_link_as({.name = via<Held>(users, "plain")}, 1).value();
  const auto valued = Held::start_link_as({.name = via<Held>(users, "valued", 5)}, 2).value();
  EXPECT_EQ(via<Held>(users, "plain").call(Held::Get{}), 1);
  EXPECT_EQ(via<Held>(users, "valued").call(Held::Get{}), 2);
  EXPECT_EQ(users.lookup("valued"), (std::vector<Entry>{{valued.pid(), 5}}));
  EXPECT_EQ(users.lookup("plain").front().value, 0);
  EXPECT_EQ(ServerName(via<Held>(users, "plain")).term(),
            tuple(Atom("via"), Atom("Elixir.Registry"), tuple(Atom("Users"), "plain")));
  plain.stop();
  valued.stop();
}

BEHAVIOUR_TEST(Registry, RG_043_a_taken_key_is_already_started_a_duplicate_registry_badarg) {
  const Running registry({.name = users});
  const Running duplicates({.name = topics, .keys = Keys::duplicate});
  const auto first = Held::start_link_as({.name = via<Held>(users, "x")}).value();
  EXPECT_EQ(Held::start_link_as({.name = via<Held>(users, "x")}).reason().term(),
            tuple(Atom("already_started"), first.pid()));
  EXPECT_TRUE(is_badarg([] { (void)Held::start_link_as({.name = via<Held>(topics, "x")}); }));
  first.stop();
}

BEHAVIOUR_TEST(Registry, RG_043_of_many_starts_under_one_key_one_succeeds_and_the_others_are_told_who) {
  const Running registry({.name = users, .partitions = 2});
  for (int i = 0; i < 4; ++i) {
    spawn([test = self()] {
      const auto result = Held::start_as({.name = via<Held>(users, "x")});
      send(test, result ? Term(result.value().pid()) : result.reason().term()[1]);
    });
  }
  const Term first = receive<Term>();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive<Term>(), first);
  via<Held>(users, "x").stop();
}

BEHAVIOUR_TEST(Registry, RG_044_a_killed_holder_counts_as_not_registered) {
  const Running registry({.name = users});
  const Pid held = Held::start_as({.name = via<Held>(users, "x")}).value().pid();
  const auto address = via<Held>(users, "x");
  EXPECT_EQ(address.pid(), held);
  EXPECT_EQ(users.whereis<Held>("x")->pid(), held);
  const Reference gone = monitor(held);
  exit(held, ExitReason::kill());
  EXPECT_FALSE(address.pid());
  EXPECT_FALSE(users.whereis<Held>("x"));
  await_down(gone);
}

BEHAVIOUR_TEST(Registry, an_address_that_was_used_follows_the_key_to_its_next_holder) {
  const Running registry({.name = users});
  const auto address = via<Held>(users, "x");
  for (int round = 0; round < 3; ++round) {
    const auto held = Held::start_link_as({.name = address}, round).value();
    EXPECT_EQ(address.call(Held::Get{}), round);
    EXPECT_EQ(address.pid(), held.pid());
    held.stop();
    EXPECT_FALSE(address.pid());
  }
}

BEHAVIOUR_TEST(Registry, RG_045_a_call_to_nobody_is_noproc_a_cast_succeeds_a_send_is_badarg) {
  const Running registry({.name = users});
  const auto nobody = via<Held>(users, "x");
  EXPECT_EQ(nobody.try_call(Held::Get{}).reason(), ExitReason::noproc());
  try {
    (void)nobody.call(Held::Get{});
    ADD_FAILURE();
  } catch (const Exit& exit) {
    const Term target = exit.reason().term()[1][2][0];
    EXPECT_EQ(target, ServerName(nobody).term());
  }
  nobody.cast(Held::Poke{});
  EXPECT_TRUE(is_badarg([&] { nobody.send(Held::Poke{}); }));
}

BEHAVIOUR_TEST(Registry, RG_046_RG_047_partitioned_registries_answer_as_one) {
  for (const std::size_t partitions : {std::size_t{1}, std::size_t{4}}) {
    for (const Keys keys : {Keys::unique, Keys::duplicate, Keys::duplicate_by_key}) {
      const Running registry({.name = users, .keys = keys, .partitions = partitions});
      for (int i = 0; i < 12; ++i) users.register_key(std::to_string(i), i);
      EXPECT_EQ(users.count(), 12u);
      EXPECT_EQ(users.keys(self()).size(), 12u);
      for (int i = 0; i < 12; ++i) EXPECT_EQ(users.lookup(std::to_string(i)), (std::vector<Entry>{{self(), i}}));
      for (int i = 0; i < 12; ++i) users.unregister(std::to_string(i));
      EXPECT_EQ(users.count(), 0u);
    }
  }
}

TEST(Registry, foreign_threads_look_up_and_call) {
  coppice::Runtime runtime({.schedulers = 2});
  const coppice::Runtime::Scope scope(runtime);
  struct Ready {};
  std::atomic<bool> ready{false};
  std::thread process([&] {
    const coppice::Runtime::Scope inner(runtime);
    runtime.run([&] {
      const Running registry({.name = users});
      const auto held = Held::start_link_as({.name = via<Held>(users, "x")}, 4).value();
      ready = true;
      ready.notify_all();
      receive(when([](const ExitMessage& message) { return message.reason.is_normal(); }, [](const ExitMessage&) {}));
      (void)held;
    });
  });
  ready.wait(false);
  const auto address = via<Held>(users, "x");
  EXPECT_EQ(address.call(Held::Get{}), 4);
  EXPECT_EQ(users.whereis<Held>("x")->pid(), address.pid());
  address.stop();
  process.join();
}

}  // namespace
}  // namespace conformance::registries
