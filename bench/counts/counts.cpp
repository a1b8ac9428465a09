// SPDX-License-Identifier: Apache-2.0
//
// coppice_counts OPERATION N: does one operation N times on one worker and leaves at once. For bench/counts.sh, which
// runs it for N and for 2 N under valgrind and divides the difference of the instructions by N: what starting costs drops
// out, and what ending costs is never paid.
//
// The counts have to be the same each time. So there is one worker and no watchdog; nobody waits for anybody outside;
// no operation depends on the clock but by comparing deadlines that are far away; keys come from a fixed sequence; and
// every operation is done a thousand times before the N begin, so that memory and tables have grown.
//
// Without arguments: the operations, one a line, each with the N that counts.sh should use. `--build`: what the counts
// depend on besides our own source.
#include <gnu/libc-version.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/ets.hpp>
#include <coppice/gen_server.hpp>
#include <coppice/logger.hpp>
#include <coppice/receive.hpp>
#include <coppice/registry.hpp>
#include <coppice/task.hpp>
#include <coppice/timer.hpp>

namespace {

using namespace coppice;

constexpr long warm_up = 1000;

struct Done {};

void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "coppice_counts: wrong result: %s\n", what);
  std::_Exit(70);
}

// Numbers that do not follow each other.
class Scatter {
 public:
  explicit Scatter(long below) : below_(below) {}
  long next() {
    state_ = state_ * 16807 % 2147483647;
    return state_ % below_;
  }

 private:
  long state_ = 1;
  long below_;
};

// -- messages and calls

class Player : public GenServer<Player> {
 public:
  struct Ball {
    ServerRef<Player> from;
  };
  Player(long left, Pid main) : left_(left), main_(main) {}
  void handle_cast(Ball ball) {
    if (left_-- == 0) {
      coppice::send(main_, Done{});
    } else {
      ball.from.cast(Ball{self()});
    }
  }

 private:
  long left_;
  Pid main_;
};

void cast(long n) {
  const ServerRef<Player> one = Player::start(n / 2, self()).value();
  const ServerRef<Player> other = Player::start(n / 2, self()).value();
  one.cast(Player::Ball{other});
  receive<Done>();
}

struct Ping {
  Pid from;
};
struct Pong {};

void message(long n) {
  const Pid partner = spawn([] {
    for (;;) receive([](const Ping& ping) { send(ping.from, Pong{}); });
  });
  for (long i = 0; i < n / 2; ++i) {
    send(partner, Ping{self()});
    receive<Pong>();
  }
}

class Idle : public GenServer<Idle> {};

class Echo : public GenServer<Echo> {
 public:
  struct Get {
    using Reply = long;
  };
  struct Peek {
    using Reply = long;
    static constexpr bool never_waits = true;
  };
  static constexpr Name<Echo> name{"Echo"};
  long handle_call(Get) const { return 7; }
  long handle_call(Peek) const { return 7; }
};

void call(long n) {
  Echo::start().value();
  for (long i = 0; i < n; ++i) check(Echo::name.call(Echo::Get{}) == 7, "call");
}

void call_in_place(long n) {
  Echo::start().value();
  for (long i = 0; i < n; ++i) check(Echo::name.call(Echo::Peek{}) == 7, "call_in_place");
}

// The handler asks another process, and waits for its answer.
class Asking : public GenServer<Asking> {
 public:
  struct Get {
    using Reply = long;
  };
  static constexpr Name<Asking> name{"Asking"};
  explicit Asking(Pid helper) : helper_(helper) {}
  long handle_call(Get) const {
    send(helper_, Ping{coppice::self()});
    receive<Pong>();
    return 7;
  }

 private:
  Pid helper_;
};

void call_waits(long n) {
  const Pid helper = spawn([] {
    for (;;) receive([](const Ping& ping) { send(ping.from, Pong{}); });
  });
  Asking::start(helper).value();
  for (long i = 0; i < n; ++i) check(Asking::name.call(Asking::Get{}) == 7, "call_waits");
}

void call_busy(long n) {
  constexpr long callers = 8;
  Echo::start().value();
  for (long i = 0; i < callers; ++i) {
    spawn([main = self(), n] {
      for (long j = 0; j < n / callers; ++j) check(Echo::name.call(Echo::Get{}) == 7, "call_busy");
      send(main, Done{});
    });
  }
  for (long i = 0; i < callers; ++i) receive<Done>();
}

void call_noproc(long n) {
  for (long i = 0; i < n; ++i) check(!Echo::name.try_call(Echo::Get{}), "call_noproc");
}

inline constexpr Registry<std::string>::Name names{"Names"};

void call_via(long n) {
  (void)Registry<std::string>::start_link({.name = names}).value();
  const auto address = via<Echo>(names, "echo");
  Echo::start_as({.name = address}).value();
  for (long i = 0; i < n; ++i) check(address.call(Echo::Get{}) == 7, "call_via");
}

// -- processes

// In batches, as a program has several at a time.
void spawn_exit(long n) {
  constexpr long batch = 100;
  for (long made = 0; made < n; made += batch) {
    for (long i = 1; i < batch; ++i) spawn([] {});
    spawn([main = self()] { send(main, Done{}); });
    receive<Done>();
  }
}

void task(long n) {
  constexpr long batch = 100;
  for (long made = 0; made < n; made += batch) {
    std::vector<TaskHandle<long>> tasks;
    tasks.reserve(batch);
    for (long i = 0; i < batch; ++i) tasks.push_back(Task::async([i] { return i; }));
    for (long i = 0; i < batch; ++i) check(tasks[static_cast<std::size_t>(i)].await() == i, "task");
  }
}

void timer_cancel(long n) {
  for (long i = 0; i < n; ++i) {
    const Reference timer = send_after(self(), Done{}, std::chrono::seconds(1000));
    check(cancel_timer(timer).has_value(), "timer_cancel");
  }
}

void monitor_demonitor(long n) {
  const Pid partner = spawn([] { receive<Done>(); });
  for (long i = 0; i < n; ++i) demonitor(monitor(partner));
}

void start_child(long n) {
  const auto supervisor = DynamicSupervisor::start_link().value();
  const ChildSpec spec = child<Idle>();
  for (long i = 0; i < n; ++i) (void)DynamicSupervisor::start_child(supervisor, spec).value();
}

void start_terminate_child(long n) {
  const auto supervisor = DynamicSupervisor::start_link().value();
  const ChildSpec spec = child<Idle>();
  for (long i = 0; i < n; ++i) {
    const Pid pid = DynamicSupervisor::start_child(supervisor, spec).value();
    check(static_cast<bool>(DynamicSupervisor::terminate_child(supervisor, pid)), "terminate_child");
  }
}

// -- shared tables

constexpr long entries = 10'000;

void registry_lookup(long n) {
  (void)Registry<std::string>::start_link({.name = names}).value();
  std::vector<std::string> keys;
  for (long i = 0; i < entries; ++i) {
    keys.push_back("name " + std::to_string(i));
    check(static_cast<bool>(names.register_key(keys.back())), "register_key");
  }
  Scatter scatter(entries);
  const Pid owner = self();
  for (long i = 0; i < n; ++i) {
    check(names.pid(keys[static_cast<std::size_t>(scatter.next())]) == owner, "registry_lookup");
  }
}

using Strings = ets::Table<std::int64_t, std::string>;

Strings filled_table(ets::Type type) {
  Strings table = Strings::create({.type = type, .access = ets::Access::public_});
  for (long i = 0; i < entries; ++i) table.insert(i, std::string(64, 'a'));
  return table;
}

void lookup_all(const Strings& table, long n) {
  Scatter scatter(entries);
  for (long i = 0; i < n; ++i) check(table.lookup(scatter.next())->size() == 64, "lookup");
}

void ets_lookup(long n) { lookup_all(filled_table(ets::Type::set), n); }
void ets_ordered_lookup(long n) { lookup_all(filled_table(ets::Type::ordered_set), n); }

void ets_overwrite(long n) {
  const Strings table = filled_table(ets::Type::set);
  Scatter scatter(entries);
  const std::string value(64, 'z');
  for (long i = 0; i < n; ++i) table.insert(scatter.next(), value);
}

// -- the program

struct Operation {
  std::string_view name;
  long count;
  void (*run)(long n);
};

constexpr std::array<Operation, 18> operations{{
    {"cast", 20'000, cast},
    {"message", 20'000, message},
    {"call", 20'000, call},
    {"call_in_place", 20'000, call_in_place},
    {"call_via", 10'000, call_via},
    {"call_busy", 20'000, call_busy},
    {"call_waits", 10'000, call_waits},
    {"call_noproc", 20'000, call_noproc},
    {"spawn_exit", 10'000, spawn_exit},
    {"task", 5'000, task},
    {"timer_cancel", 20'000, timer_cancel},
    {"monitor_demonitor", 20'000, monitor_demonitor},
    {"start_child", 4'000, start_child},
    {"start_terminate_child", 2'000, start_terminate_child},
    {"registry_lookup", 20'000, registry_lookup},
    {"ets_lookup", 20'000, ets_lookup},
    {"ets_ordered_lookup", 20'000, ets_ordered_lookup},
    {"ets_overwrite", 20'000, ets_overwrite},
}};

void print_build() {
#if defined(__clang__)
  const char* compiler = "clang++";
  const std::string version = std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__) + "." +
                              std::to_string(__clang_patchlevel__);
#else
  const char* compiler = "g++";
  const std::string version =
      std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__) + "." + std::to_string(__GNUC_PATCHLEVEL__);
#endif
#if defined(__x86_64__)
  const char* processor = "x86_64";
#elif defined(__aarch64__)
  const char* processor = "aarch64";
#else
  const char* processor = "another processor";
#endif
  std::printf("%s %s, glibc %s, %s\n", compiler, version.c_str(), ::gnu_get_libc_version(), processor);
}

[[noreturn]] void run(const Operation& operation, long n) {
  logger::set_primary_level(logger::Level::none);
  // Never destroyed: the first process leaves the program when it has done its work.
  auto* runtime =
      new Runtime({.schedulers = 1, .high_water_mark = SIZE_MAX, .long_schedule = std::chrono::milliseconds(0)});
  (void)runtime->run([&] {
    operation.run(n);
    std::_Exit(0);
  });
  std::_Exit(70);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    for (const Operation& operation : operations) std::printf("%s %ld\n", operation.name.data(), operation.count);
    return 0;
  }
  const std::string_view name = argv[1];
  if (argc == 2 && name == "--build") {
    print_build();
    return 0;
  }
  const long n = argc == 3 ? std::atol(argv[2]) : 0;
  for (const Operation& operation : operations) {
    if (operation.name == name && n > 0) run(operation, warm_up + n);
  }
  std::fprintf(stderr, "usage: coppice_counts [--build | OPERATION N]\n");
  return 64;
}
