// SPDX-License-Identifier: Apache-2.0
//
// How tasks start, what they send, how they end: TK-001 to TK-019.
#include <memory>
#include <thread>

#include <coppice/child_spec.hpp>
#include <coppice/gen_server.hpp>

#include "conformance/logger_support.hpp"
#include "conformance/task_support.hpp"

using namespace conformance;

BEHAVIOUR_TEST(Task, TK_001_start_neither_links_nor_reports) {
  const Pid task = Task::start(held(1));
  EXPECT_TRUE(process_info(task)->links.empty());
  send(task, Release{});
  await_end(task);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_002_start_link_links_and_does_not_report) {
  trap_exit(true);
  const Pid task = Task::start_link(crash);
  EXPECT_EQ(receive<ExitMessage>().reason, boom);
  await_end(task);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_003_async_links_monitors_and_sends_the_value_to_its_owner) {
  const auto task = Task::async(held(7));
  const ProcessInfo info = *process_info(task.pid());
  EXPECT_EQ(info.links, std::vector<Pid>{self()});
  EXPECT_EQ(info.monitored_by, std::vector<Pid>{self()});
  EXPECT_EQ(task.owner(), self());
  send(task.pid(), Release{});
  EXPECT_EQ(task.await(), 7);
}

namespace {
struct Sum {
  int operator()(int a, int b) const { return a + b; }
};
int length(std::string text) { return static_cast<int>(text.size()); }
}  // namespace

BEHAVIOUR_TEST(Task, TK_004_a_function_with_arguments) {
  const auto sum = Task::async(Sum{}, 2, 3);
  EXPECT_EQ(sum.await(), 5);
  EXPECT_TRUE(sum.function().ends_with("Sum")) << sum.function();
  const char* text = "four";
  EXPECT_EQ(Task::async(length, text).await(), 4);
  EXPECT_EQ(Task::async([](std::unique_ptr<int> p) { return *p; }, std::make_unique<int>(6)).await(), 6);
  await_end(Task::start(Sum{}, 1, 1));
  await_end(Task::start_link(Sum{}, 1, 1));
}

BEHAVIOUR_TEST(Task, TK_005_the_default_child_specification) {
  const ChildSpec spec = child<Task>(held(1));
  EXPECT_EQ(spec.id(), detail::module_atom_of<Task>());
  EXPECT_EQ(spec.restart(), Restart::temporary);
  EXPECT_EQ(spec.shutdown(), Shutdown(5s));
  EXPECT_EQ(spec.type(), ChildType::worker);
}

BEHAVIOUR_TEST(Task, TK_006_a_supervisor_does_not_wait_for_the_work_of_a_task) {
  const ChildOutcome started = child<Task>(held(1)).start_function()->run();  // what a supervisor calls
  EXPECT_EQ(started.outcome.kind, StartOutcome::Kind::ok);
  EXPECT_TRUE(alive(started.outcome.pid));
  send(started.outcome.pid, Release{});
  await_end(started.outcome.pid);
}

BEHAVIOUR_TEST(Task, TK_007_a_task_records_its_ancestors_and_callers) {
  const Pid me = self();
  const auto outer = Task::async([me] {
    EXPECT_EQ(ancestors(), std::vector<Term>{Term(me)});
    EXPECT_EQ(callers(), std::vector<Pid>{me});
    const Pid here = self();
    return Task::async([me, here] {
             EXPECT_EQ(ancestors(), (std::vector<Term>{Term(here), Term(me)}));
             EXPECT_EQ(callers(), (std::vector<Pid>{here, me}));
             return 1;
           })
        .await();
  });
  EXPECT_EQ(outer.await(), 1);
  await_end(Task::start([me] { EXPECT_EQ(callers(), std::vector<Pid>{me}); }));
}

BEHAVIOUR_TEST(Task, TK_008_the_link_stands_before_the_function_runs) {
  const Pid me = self();
  const auto task = Task::async([me] { return process_info(self())->links == std::vector<Pid>{me}; });
  EXPECT_TRUE(task.await());
}

// The value and the end of a task stand in its owner's mailbox; what the owner does before it takes them in counts.
TEST(Task, PR_085_PR_089_a_value_is_dropped_if_its_alias_is_given_up_before_it_is_taken_in) {
  behaviour::on_threads([] {
    const auto token = std::make_shared<int>(1);
    for (const bool watched : {true, false}) {
      const auto task = Task::async([token] { return token; });
      while (alive(task.pid())) std::this_thread::yield();  // on the other scheduler
      EXPECT_TRUE(watched ? unalias(task.reference()) : demonitor(task.reference(), {.info = true}));
      const auto result = task.yield(5ms);
      EXPECT_EQ(result.has_value(), watched);
      if (watched) {
        EXPECT_TRUE(result->reason().is_normal());
      }
      EXPECT_EQ(messages(), 0u);
    }
    EXPECT_EQ(token.use_count(), 1);
  });
}

BEHAVIOUR_TEST(Task, TK_010_the_owner_gets_the_value_and_then_a_down_with_normal) {
  const auto task = Task::async([] { return std::string("value"); });
  const auto result = receive<TaskResult<std::string>, Down>();
  ASSERT_EQ(result.index(), 0u);
  EXPECT_EQ(std::get<0>(result).value(), "value");
  EXPECT_EQ(std::get<0>(result).reference(), task.reference());
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, task.reference());
  EXPECT_EQ(down.pid, task.pid());
  EXPECT_TRUE(down.reason.is_normal());
}

BEHAVIOUR_TEST(Task, TK_011_await_and_yield_leave_no_message) {
  const auto first = Task::async([] { return 1; });
  EXPECT_EQ(first.await(), 1);
  const auto second = Task::async([] { return 2; });
  EXPECT_EQ(second.yield()->value(), 2);
  await_end_of(first);
  await_end_of(second);
  const auto third = Task::async([] { return 3; });
  await_end_of(third);  // the Down is in the mailbox already
  EXPECT_EQ(third.await(), 3);
  EXPECT_EQ(messages(), 0u);
}

namespace {

struct Heard {
  std::string text;
};

class Asker : public GenServer<Asker> {
 public:
  struct Ask {
    bool flush;
    bool crashing = false;
  };
  struct Other {};
  explicit Asker(Pid watcher) : watcher_(watcher) { trap_exit(true); }
  void handle_cast(Ask ask) {
    flush_ = ask.flush;
    static_cast<void>(ask.crashing ? Task::async(crash) : Task::async([] { return 5; }));
  }
  void handle_cast(Other) {
    static_cast<void>(Task::async([] { return std::string("text"); }));
  }
  void handle_info(TaskResult<int> result) {
    if (flush_) demonitor(result.reference(), {.flush = true});
    send(watcher_, Heard{"value " + std::to_string(*result)});
  }
  void handle_info(Down down) { send(watcher_, Heard{"down " + to_string(down.reason)}); }
  void handle_info(ExitMessage exit) { send(watcher_, Heard{"exit " + to_string(exit.reason)}); }
  void handle_info(Term message) { send(watcher_, Heard{"other " + inspect(message)}); }

 private:
  Pid watcher_;
  bool flush_ = false;
};

std::string heard() { return receive<Heard>().text; }
std::vector<std::string> hear(int count) {
  std::vector<std::string> all;
  for (int i = 0; i < count; ++i) all.push_back(heard());
  return all;
}
using Texts = std::vector<std::string>;

}  // namespace

BEHAVIOUR_TEST(Task, TK_012_a_server_gets_the_two_messages_in_handle_info) {
  const auto asker = Asker::start(self()).value();
  asker.cast(Asker::Ask{.flush = false});
  Texts all = hear(3);
  EXPECT_EQ(all.front(), "value 5");
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, (Texts{"down :normal", "exit :normal", "value 5"}));
  asker.cast(Asker::Ask{.flush = true});
  EXPECT_EQ(hear(2), (Texts{"value 5", "exit :normal"}));  // the usual reaction: no Down
  asker.cast(Asker::Ask{.flush = false, .crashing = true});
  all = hear(2);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, (Texts{"down :boom", "exit :boom"}));
  asker.stop();
  EXPECT_EQ(receive<Heard>(0s).has_value(), false);
}

BEHAVIOUR_TEST(Task, TK_012_a_result_of_another_type_goes_to_the_catch_all) {
  const auto asker = Asker::start(self()).value();
  asker.cast(Asker::Other{});
  EXPECT_TRUE(heard().starts_with("other "));
  hear(2);  // its Down and its exit message
  asker.stop();
}

BEHAVIOUR_TEST(Task, TK_013_a_late_value_is_dropped) {
  const auto late = Task::async(held(1));
  EXPECT_EQ(exit_of([&] { return late.await(1ms); }), failed("timeout"_atom, "await", late, 1));
  const auto ignored = Task::async(held(2));
  EXPECT_FALSE(ignored.ignore());
  for (const auto& task : {late, ignored}) {
    send(task.pid(), Release{});
    await_end_of(task);
  }
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_014_a_completed_task_has_its_value_and_no_process) {
  const auto task = Task::completed(std::string("done"));
  EXPECT_FALSE(task.pid());
  EXPECT_EQ(task.owner(), self());
  EXPECT_EQ(messages(), 1u);
  EXPECT_EQ(task.await(0s), "done");
}

BEHAVIOUR_TEST(Task, TK_015_TK_016_how_a_task_ends) {
  trap_exit(true);
  const auto ending = [](auto function) {
    const auto task = Task::async([function] { return receive<Release>(), function(); });
    const Reference watch = monitor(task.pid());
    send(task.pid(), Release{});
    const ExitReason why = await_reason(watch);
    static_cast<void>(task.ignore());
    return why;
  };
  EXPECT_TRUE(ending([] { return 1; }).is_normal());
  const ExitReason raised = ending([]() -> int { throw std::runtime_error("bad"); });
  EXPECT_EQ(raised.exception_message(), "bad");
  EXPECT_EQ(ending([]() -> int { throw Exit(boom); }), boom);
  EXPECT_EQ(ending([] { return exit(boom), 1; }), boom);
  EXPECT_EQ(ending([]() -> int { throw 7; }).term()[0], Term(tuple("nocatch"_atom, "int")));
}

TEST(Task, TK_017_LR_031_a_failing_task_is_reported_once) {
  Capture capture;
  Pid owner;
  Pid failing;
  behaviour::on_threads([&] {
    trap_exit(true);
    owner = self();
    const auto bad = Task::async([]() -> int {
      set_label("worker");
      throw std::runtime_error("boom");
    });
    failing = bad.pid();
    await_end_of(bad);
    for (const ExitReason& quiet : {ExitReason::normal(), ExitReason::shutdown(), ExitReason::shutdown(Term(1))}) {
      await_end_of(Task::async([quiet] { throw Exit(quiet); }));
    }
  });
  const auto reports = capture.labelled(tuple(Atom("Elixir.Task.Supervisor"), "terminating"_atom));
  ASSERT_EQ(reports.size(), 1u);
  const Event& event = reports.front();
  EXPECT_EQ(event.level, Level::error);
  EXPECT_EQ(field(event, "name"_atom), Term(failing));
  EXPECT_EQ(field(event, "starter"_atom), Term(owner));
  EXPECT_EQ(field(event, "process_label"_atom), Term("worker"));
  EXPECT_EQ(*logger::find(event.metadata, "callers"_atom), list(owner));
  ASSERT_EQ(capture.texts().size(), 1u) << "no crash report beside it";
  const std::string text = capture.texts().front();
  EXPECT_TRUE(contains(text, "Task " + inspect(Term(failing)) + " started from " + inspect(Term(owner)))) << text;
  EXPECT_TRUE(contains(text, "boom")) << text;
  EXPECT_TRUE(contains(text, "lambda")) << text;
}

BEHAVIOUR_TEST(Task, TK_018_an_owner_that_does_not_trap_dies_with_the_task) {
  EXPECT_EQ(reason_of([] { static_cast<void>(Task::async(crash).await()); }), boom);
}

BEHAVIOUR_TEST(Task, TK_019_the_end_of_the_owner) {
  const Pid me = self();
  struct Made {
    Pid owner, task;
  };
  const auto make = [me](ExitReason reason) {
    spawn([me, reason] {
      const auto task = Task::async(held(1));
      send(me, Made{self(), task.pid()});
      receive<Release>();
      throw Exit(reason);
    });
    return receive<Made>();
  };
  const auto [failing, first] = make(boom);
  const Reference ended = monitor(first);
  send(failing, Release{});
  EXPECT_EQ(await_reason(ended), boom);
  const auto [normal, second] = make(ExitReason::normal());
  const Reference watch = monitor(second);
  send(normal, Release{});
  await_end(normal);
  EXPECT_TRUE(has_acted(second));  // it goes on
  send(second, Release{});
  EXPECT_TRUE(await_reason(watch).is_normal());
}
