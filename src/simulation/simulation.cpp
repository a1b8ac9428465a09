// SPDX-License-Identifier: Apache-2.0
#include <coppice/testing/simulation.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "runtime/core.hpp"
#include "simulation/simulated_world.hpp"

namespace coppice {
inline namespace v1 {
namespace testing {

namespace {

simulation::SimulatedWorldOptions world_options(const SimulationOptions& given) {
  simulation::SimulatedWorldOptions options;
  options.seed = given.seed;
  options.hardware_threads = given.schedulers;
  options.steps_max = given.steps_max;
  return options;
}

}  // namespace

struct Simulation::Impl {
  explicit Impl(const SimulationOptions& given)
      : options(given),
        world(world_options(given)) {
    options.runtime.schedulers = given.schedulers;
  }
  SimulationOptions options;
  simulation::SimulatedWorld world;
  StopReport report;
  std::size_t processes_left = 0;
  std::size_t timers_left = 0;
};

Simulation::Simulation(const SimulationOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Simulation::~Simulation() = default;

ExitReason Simulation::run(std::function<void()> main) {
  ExitReason reason;
  impl_->world.run([&] {
    Runtime runtime(impl_->world, impl_->options.runtime);
    const Runtime::Scope scope(runtime);
    reason = runtime.run(std::move(main));
    impl_->report = runtime.stop();
    impl_->processes_left = runtime.process_count();
    impl_->timers_left = runtime.timer_count();
  });
  return reason;
}

void Simulation::run_thread(std::function<void()> body) { impl_->world.run(std::move(body)); }

std::uint64_t Simulation::seed() const noexcept { return impl_->options.seed; }
platform::World& Simulation::world() noexcept { return impl_->world; }
std::uint32_t Simulation::choose(std::uint32_t alternatives) {
  return impl_->world.choose(platform::Choice::user, alternatives, 0);
}
std::uint64_t Simulation::decision_hash() const noexcept { return impl_->world.decision_hash(); }
std::uint64_t Simulation::decision_count() const noexcept { return impl_->world.decision_count(); }
const StopReport& Simulation::stop_report() const noexcept { return impl_->report; }
std::size_t Simulation::processes_left() const noexcept { return impl_->processes_left; }
std::size_t Simulation::timers_left() const noexcept { return impl_->timers_left; }

void for_each_seed(std::uint64_t count, const std::function<void(Simulation&)>& body, const SimulationOptions& options) {
  std::uint64_t first = 0;
  if (const char* only = std::getenv("COPPICE_SEED")) {
    first = std::strtoull(only, nullptr, 10);
    count = first + 1;
  }
  for (std::uint64_t seed = first; seed < count; ++seed) {
    SimulationOptions seeded = options;
    seeded.seed = seed;
    try {
      Simulation simulation(seeded);
      body(simulation);
    } catch (...) {
      std::fprintf(stderr, "simulation: seed %llu failed; COPPICE_SEED=%llu replays it\n",
                   static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
      throw;
    }
  }
}

}  // namespace testing
}  // namespace v1
}  // namespace coppice
