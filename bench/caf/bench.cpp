// SPDX-License-Identifier: Apache-2.0
//
// CAF's side of the benchmark, for CAF 0.17 (Debian's libcaf-dev). One workload a run:
//
//   caf_bench WORKLOAD --threads N --scale S [--repeats R]
//
// The scale multiplies the workload's number of operations (1 is the full size). Every repeat prints one line
// "workload<TAB>threads<TAB>value<TAB>unit". The workloads are defined in ../README.md. What is particular to CAF:
//
//   - All actors are event based: CAF's blocking actors are threads. bytes_blocked_process is therefore missing.
//   - ping_pong_servers are stateful actors, ping_pong_plain are function-based ones; below the surface they are alike.
//   - call: an event-based client looks the server up in the actor registry and uses request(...).then, with a deadline
//     of five seconds; the next call leaves from the handler of the last reply.
//   - cast_then_get uses the server's handle, not its name; CAF has no cast by name.
//   - call_busy: as call, but the callers hold the server's handle.
//   - foreign_call_*: a scoped actor of the main thread. Timers cannot be cancelled one by one: timer_cancel is missing.
//   - Each repeat has an actor_system of its own. The set-up of the system is not measured.
#include "more.hpp"
#include "support.hpp"

namespace {

// -- ping_pong_servers ------------------------------------------------------------------------------------------------

struct PingPongState {
  std::int64_t left = 0;
};

behavior ping_pong_server(caf::stateful_actor<PingPongState>* self, std::int64_t count, Done* done) {
  self->state.left = count;
  return {
      [=](ball_atom, const actor& from) {
        if (self->state.left-- == 0) {
          done->set_value(Clock::now());
        } else {
          self->send(from, ball_atom::value, caf::actor_cast<actor>(self));
        }
      },
      [=](stop_atom) { self->quit(); },
  };
}

// -- ping_pong_plain --------------------------------------------------------------------------------------------------

behavior ping_pong_plain(event_based_actor* self, std::int64_t count, Done* done) {
  return {
      [=](ball_atom, const actor& from) mutable {
        if (count-- == 0) {
          done->set_value(Clock::now());
        } else {
          self->send(from, ball_atom::value, caf::actor_cast<actor>(self));
        }
      },
      [=](stop_atom) { self->quit(); },
  };
}

template <class Function>
Measured ping_pong(caf::actor_system& system, std::int64_t n, Function function) {
  const std::int64_t each = std::max<std::int64_t>(n / 2, 1);
  Done done;
  auto finished = done.get_future();
  actor one = system.spawn(function, each, &done);
  actor two = system.spawn(function, each, &done);
  const auto start = Clock::now();
  caf::anon_send(one, ball_atom::value, two);
  const auto end = finished.get();
  for (const actor& player : {one, two}) caf::anon_send(player, stop_atom::value);
  return {2.0 * static_cast<double>(each), seconds_between(start, end)};
}

// -- call, cast_then_get ----------------------------------------------------------------------------------------------

struct CounterState {
  std::int64_t value = 0;
};

behavior counter(caf::stateful_actor<CounterState>* self) {
  return {
      [=](increment_atom) { ++self->state.value; },
      [=](get_atom) { return self->state.value; },
      [=](stop_atom) { self->quit(); },
  };
}

struct CallerState {
  std::int64_t left = 0;
  Done* done = nullptr;
};

using Caller = caf::stateful_actor<CallerState>;

void call_next(Caller* self) {
  if (self->state.left-- == 0) {
    self->state.done->set_value(Clock::now());
    return self->quit();
  }
  const auto server = caf::actor_cast<actor>(self->system().registry().get(counter_name));
  self->request(server, std::chrono::seconds(5), get_atom::value).then([=](std::int64_t) { call_next(self); });
}

behavior caller(Caller* self, std::int64_t count, Done* done) {
  self->state.left = count;
  self->state.done = done;
  return {[=](next_atom) { call_next(self); }};
}

behavior caster(event_based_actor* self, std::int64_t count, const actor& server, Done* done) {
  return {[=](next_atom) {
    for (std::int64_t i = 0; i < count; ++i) self->send(server, increment_atom::value);
    self->request(server, caf::infinite, get_atom::value).then([=](std::int64_t value) {
      if (value != count) std::abort();
      done->set_value(Clock::now());
      self->quit();
    });
  }};
}

Measured call(caf::actor_system& system, std::int64_t n) {
  Done done;
  actor server = system.spawn(counter);
  system.registry().put(counter_name, server);
  const Measured measured = run_client(system.spawn(caller, n, &done), n, done);
  system.registry().erase(counter_name);
  caf::anon_send(server, stop_atom::value);
  return measured;
}

Measured cast_then_get(caf::actor_system& system, std::int64_t n) {
  Done done;
  actor server = system.spawn(counter);
  const Measured measured = run_client(system.spawn(caster, n, server, &done), n, done);
  caf::anon_send(server, stop_atom::value);
  return measured;
}

// -- fan_in -----------------------------------------------------------------------------------------------------------

behavior receiver(event_based_actor* self, std::int64_t left, Done* done) {
  return {[=](std::int64_t) mutable {
    if (--left > 0) return;
    done->set_value(Clock::now());
    self->quit();
  }};
}

void sender(event_based_actor* self, const actor& to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) self->send(to, i);
}

Measured fan_in(caf::actor_system& system, std::int64_t n) {
  const std::int64_t each = std::max<std::int64_t>(n / 8, 1);
  Done done;
  auto finished = done.get_future();
  const auto start = Clock::now();
  actor to = system.spawn(receiver, 8 * each, &done);
  for (int i = 0; i < 8; ++i) system.spawn(sender, to, each);
  return {8.0 * static_cast<double>(each), seconds_between(start, finished.get())};
}

// -- spawn ------------------------------------------------------------------------------------------------------------

behavior spawner(event_based_actor* self, std::int64_t batches, std::atomic<int>* left, Done* done) {
  return {[=](next_atom) mutable {
    if (batches-- == 0) {
      done->set_value(Clock::now());
      return self->quit();
    }
    left->store(1000);
    const auto parent = caf::actor_cast<actor>(self);
    for (int i = 0; i < 1000; ++i) {
      self->spawn([=](event_based_actor*) {
        if (left->fetch_sub(1) == 1) caf::anon_send(parent, next_atom::value);
      });
    }
  }};
}

Measured spawn(caf::actor_system& system, std::int64_t n) {
  const std::int64_t batches = std::max<std::int64_t>(n / 1000, 1);
  std::atomic<int> left{0};
  Done done;
  return run_client(system.spawn(spawner, batches, &left, &done), 1000 * batches, done);
}

// -- bytes_idle_server ------------------------------------------------------------------------------------------------

double resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::strtod(line.c_str() + 6, nullptr) * 1024;
  }
  std::abort();
}

behavior idle_server(caf::stateful_actor<CounterState>* self, std::int64_t value, std::atomic<std::int64_t>* running) {
  self->state.value = value;
  running->fetch_add(1);
  return {
      [=](increment_atom) { ++self->state.value; },
      [=](get_atom) { return self->state.value; },
  };
}

double bytes_idle_server(caf::actor_system& system, std::int64_t n) {
  std::atomic<std::int64_t> running{0};
  // CAF destroys an actor that nobody refers to, so the handles are kept, in memory that is touched beforehand.
  std::vector<actor> servers(static_cast<std::size_t>(n));
  const double before = resident_bytes();
  for (std::int64_t i = 0; i < n; ++i) servers[static_cast<std::size_t>(i)] = system.spawn(idle_server, i, &running);
  while (running.load() < n) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const double bytes = (resident_bytes() - before) / static_cast<double>(n);
  // To end so many actors in order takes far longer than to measure them.
  std::printf("bytes_idle_server\t%zu\t%.1f\tbytes\n", system.scheduler().num_workers(), bytes);
  std::fflush(stdout);
  std::_Exit(0);
}

// -- main -------------------------------------------------------------------------------------------------------------

struct Workload {
  const char* name;
  std::int64_t size;
  const char* unit;
  Measured (*run)(caf::actor_system&, std::int64_t);
};

const Workload workloads[] = {
    {"ping_pong_servers", 2'000'000, "messages/s",
     [](caf::actor_system& system, std::int64_t n) { return ping_pong(system, n, ping_pong_server); }},
    {"ping_pong_plain", 2'000'000, "messages/s",
     [](caf::actor_system& system, std::int64_t n) { return ping_pong(system, n, ping_pong_plain); }},
    {"call", 500'000, "calls/s", call},
    {"cast_then_get", 5'000'000, "casts/s", cast_then_get},
    {"fan_in", 4'000'000, "messages/s", fan_in},
    {"spawn", 1'000'000, "spawns/s", spawn},
    {"bytes_idle_server", 200'000, "bytes", nullptr},
    {"call_busy", 500'000, "calls/s", call_busy},
    {"ring_100", 5'000'000, "hops/s", ring_100},
    {"ring_10000", 5'000'000, "hops/s", ring_10000},
    {"big", 640'000, "pings/s", big},
    {"spawn_monitor", 1'000'000, "spawns/s", spawn_monitor},
    {"timer_due", 1'000'000, "timers/s", timer_due},
    {"foreign_call_hot", 100'000, "us", foreign_call_hot},
    {"foreign_call_idle", 50, "us", foreign_call_idle},
    {"wakeups_empty", 10'000, "wakeups", wakeups_empty},
};

struct Options {
  std::string workload;
  int threads = 2;
  double scale = 1;
  int repeats = 1;
};

bool parse(int argc, char** argv, Options& options) {
  if (argc < 2 || argc % 2 != 0) return false;
  options.workload = argv[1];
  for (int i = 2; i < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--threads") {
      options.threads = std::atoi(argv[i + 1]);
    } else if (option == "--scale") {
      options.scale = std::atof(argv[i + 1]);
    } else if (option == "--repeats") {
      options.repeats = std::atoi(argv[i + 1]);
    } else {
      return false;
    }
  }
  return options.threads > 0 && options.scale > 0 && options.repeats > 0;
}

void run_once(const Workload& workload, const Options& options, std::int64_t n, bool print) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", static_cast<std::size_t>(options.threads));
  caf::actor_system system{config};
  if (workload.run == nullptr) bytes_idle_server(system, n);
  const Measured measured = workload.run(system, n);
  if (!print) return;
  std::printf("%s\t%zu\t%.3f\t%s\n", workload.name, system.scheduler().num_workers(),
              measured.seconds == 0 ? measured.operations : measured.operations / measured.seconds, workload.unit);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--version") {
    std::printf("%d.%d.%d\n", CAF_VERSION / 10000, CAF_VERSION / 100 % 100, CAF_VERSION % 100);
    return 0;
  }
  Options options;
  if (parse(argc, argv, options)) {
    for (const Workload& workload : workloads) {
      if (options.workload != workload.name) continue;
      const auto n =
          std::max<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(workload.size) * options.scale), 1);
      // The first run of a rate, a twentieth of the size, is not measured.
      if (std::string(workload.unit).find("/s") != std::string::npos)
        run_once(workload, options, std::max<std::int64_t>(n / 20, 1), false);
      for (int i = 0; i < options.repeats; ++i) run_once(workload, options, n, true);
      return 0;
    }
  }
  std::fprintf(stderr,
               "usage: %s WORKLOAD --threads N --scale S [--repeats R]\n       %s --version\nworkloads:", argv[0],
               argv[0]);
  for (const Workload& workload : workloads) std::fprintf(stderr, " %s", workload.name);
  std::fprintf(stderr, "\n");
  return 64;
}
