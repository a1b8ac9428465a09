// SPDX-License-Identifier: Apache-2.0
#include "model/explorer.hpp"

#include <boost/context/fiber.hpp>

#include <optional>
#include <utility>
#include <vector>

#include "model/memory.hpp"

namespace model {
namespace {

namespace context = boost::context;

constexpr std::size_t threads_max = 8;  // the program's own function is the first

struct Decision {
  std::size_t chosen = 0;
  std::size_t alternatives = 1;
};

// All that is tried: the decisions of the execution that runs, of which the first ones are given.
class Search {
 public:
  std::size_t choose(std::size_t alternatives) {
    if (alternatives <= 1) return 0;
    if (depth_ == path_.size()) path_.push_back({0, alternatives});
    return path_[depth_++].chosen;
  }
  // Prepares for the next execution; false: there is none.
  bool next() {
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().alternatives) path_.pop_back();
    depth_ = 0;
    if (path_.empty()) return false;
    ++path_.back().chosen;
    return true;
  }

 private:
  std::vector<Decision> path_;
  std::size_t depth_ = 0;
};

class Run final : public Execution {
 public:
  Run(const Options& options, Search& search) : options_(options), search_(search), memory_(threads_max) {}

  // -- the program's side
  void thread(std::function<void()> body) override;
  void join() override;

  // -- operations
  Memory& memory() noexcept { return memory_; }
  [[nodiscard]] std::size_t current() const noexcept { return current_; }
  void before_step();
  void wait_for_others();
  std::size_t choose_store(std::size_t location, std::memory_order order);
  std::size_t choose(std::size_t alternatives) { return search_.choose(alternatives); }
  bool fails_for_no_reason();
  [[noreturn]] void fail(const std::string& what);

  std::string run(const std::function<void(Execution&)>& program);

 private:
  struct Thread {
    context::fiber fiber;
    std::function<void()> body;
    bool ended = false;
    bool waits = false;   // for a step of another
    bool joins = false;   // for the end of all others
    bool reads_newest = false;
    bool has_read_old = false;  // since it last waited
  };
  [[nodiscard]] bool can_run(std::size_t thread) const;
  void go_on();
  void loop();
  context::fiber make(std::size_t thread);

  const Options& options_;
  Search& search_;
  Memory memory_;
  std::vector<Thread> threads_;
  context::fiber scheduler_;
  std::size_t current_ = 0;
  unsigned preemptions_ = 0;
  unsigned stale_loads_ = 0;
  unsigned steps_ = 0;
  std::string failure_;
};

Run* run_now = nullptr;

Run& here() {
  if (run_now == nullptr) std::abort();  // an Atomic outside of explore
  return *run_now;
}

context::fiber Run::make(std::size_t thread) {
  return context::fiber([this, thread](context::fiber&& from) {
    scheduler_ = std::move(from);
    threads_[thread].body();
    threads_[thread].ended = true;
    return std::move(scheduler_);
  });
}

void Run::thread(std::function<void()> body) {
  if (threads_.size() == threads_max) fail("there are too many threads");
  threads_.emplace_back();
  threads_.back().body = std::move(body);
  const std::size_t made = threads_.size() - 1;
  threads_.back().fiber = make(made);
  memory_.begin(made, current_);
}

bool Run::can_run(std::size_t thread) const {
  const Thread& candidate = threads_[thread];
  if (candidate.ended || candidate.waits) return false;
  if (!candidate.joins) return true;
  for (std::size_t other = 0; other < threads_.size(); ++other) {
    if (other != thread && !threads_[other].ended) return false;
  }
  return true;
}

void Run::go_on() { scheduler_ = std::move(scheduler_).resume(); }

void Run::join() {
  threads_[current_].joins = true;
  go_on();
  threads_[current_].joins = false;
  for (std::size_t other = 1; other < threads_.size(); ++other) memory_.join_thread(current_, other);
}

// Another thread may go on here.
void Run::before_step() {
  if (++steps_ > options_.steps_max) fail("the execution does not end");
  go_on();
  for (std::size_t other = 0; other < threads_.size(); ++other) {
    if (other != current_) threads_[other].waits = false;
  }
}

void Run::wait_for_others() {
  if (++steps_ > options_.steps_max) fail("the execution does not end");
  Thread& me = threads_[current_];
  me.waits = !std::exchange(me.has_read_old, false);  // what it waits for may be there already
  go_on();
  me.reads_newest = true;
}

std::size_t Run::choose_store(std::size_t location, std::memory_order order) {
  if (std::exchange(threads_[current_].reads_newest, false) || stale_loads_ == options_.stale_loads_max) return 0;
  const std::size_t choice = choose(memory_.choices(current_, location, order));
  if (choice != 0) {
    ++stale_loads_;
    threads_[current_].has_read_old = true;
  }
  return choice;
}

// It counts among the loads that do not read the newest store: else a loop could go on for ever.
bool Run::fails_for_no_reason() {
  if (stale_loads_ == options_.stale_loads_max || choose(2) == 0) return false;
  ++stale_loads_;
  return true;
}

// No exception: what is tried may be noexcept. The thread is left where it is.
void Run::fail(const std::string& what) {
  failure_ = what;
  go_on();
  std::abort();
}

// Picks threads until all have ended. The one that ran last comes first, so that to leave it is a choice that costs.
void Run::loop() {
  for (;;) {
    std::vector<std::size_t> able;
    const bool current_can = can_run(current_);
    if (current_can) able.push_back(current_);
    if (!current_can || preemptions_ < options_.preemptions_max) {
      for (std::size_t thread = 0; thread < threads_.size(); ++thread) {
        if (thread != current_ && can_run(thread)) able.push_back(thread);
      }
    }
    if (able.empty()) break;
    const std::size_t choice = choose(able.size());
    if (current_can && choice != 0) ++preemptions_;
    current_ = able[choice];
    threads_[current_].fiber = std::move(threads_[current_].fiber).resume();
    if (!failure_.empty()) break;
  }
  for (Thread& thread : threads_) {
    if (thread.ended) continue;
    if (failure_.empty()) failure_ = "all threads wait";
    // Forgotten, with its stack: to unwind it would run destructors in the middle of anything. It is the last execution.
    (void)new context::fiber(std::move(thread.fiber));
  }
}

std::string Run::run(const std::function<void(Execution&)>& program) {
  run_now = this;
  threads_.reserve(threads_max);
  threads_.emplace_back();
  threads_[0].body = [&] { program(*this); };
  threads_[0].fiber = make(0);
  loop();
  run_now = nullptr;
  return failure_;
}

}  // namespace

Outcome explore(const Options& options, const std::function<void(Execution&)>& program) {
  Outcome outcome;
  Search search;
  do {
    ++outcome.executions;
    outcome.failure = Run(options, search).run(program);
    if (outcome.failed()) return outcome;
    if (outcome.executions == options.executions_max) return outcome;
  } while (search.next());
  outcome.complete = true;
  return outcome;
}

void check(bool holds, const char* what) {
  if (!holds) here().fail(what);
}

void yield() { here().wait_for_others(); }

namespace detail {

std::size_t add_location(std::uint64_t value) { return here().memory().add_location(value); }
std::size_t add_datum() { return here().memory().add_datum(); }

std::uint64_t load(std::size_t location, std::memory_order order) {
  Run& run = here();
  run.before_step();
  const std::size_t choice = run.choose_store(location, order);
  return run.memory().load(run.current(), location, order, choice);
}

void store(std::size_t location, std::uint64_t value, std::memory_order order) {
  Run& run = here();
  run.before_step();
  run.memory().store(run.current(), location, value, order);
}

std::uint64_t modify(std::size_t location, std::memory_order order,
                     std::uint64_t (*change)(std::uint64_t, std::uint64_t), std::uint64_t argument) {
  Run& run = here();
  run.before_step();
  const std::uint64_t next = change(run.memory().peek(location, 0), argument);
  return run.memory().exchange(run.current(), location, next, order);
}

// It succeeds only on the newest store; it may fail on an older one that it does not expect, and a weak one for no reason.
std::uint64_t compare_exchange(std::size_t location, std::uint64_t expected, std::uint64_t desired,
                               std::memory_order success, std::memory_order failure, bool weak, bool& done) {
  Run& run = here();
  run.before_step();
  Memory& memory = run.memory();
  const std::size_t choice = run.choose_store(location, failure);
  if (choice == 0 && memory.peek(location, 0) == expected && !(weak && run.fails_for_no_reason())) {
    done = true;
    return memory.exchange(run.current(), location, desired, success);
  }
  done = false;
  // A strong one cannot fail on the value that it expects: then it reads the newest, whatever that is.
  const bool impossible = !weak && memory.peek(location, choice) == expected;
  if (impossible && memory.peek(location, 0) == expected) {
    done = true;
    return memory.exchange(run.current(), location, desired, success);
  }
  return memory.load(run.current(), location, failure, impossible ? 0 : choice);
}

void fence(std::memory_order order) {
  Run& run = here();
  run.before_step();
  run.memory().fence(run.current(), order);
}

void read(std::size_t datum) {
  Run& run = here();
  if (!run.memory().read(run.current(), datum)) run.fail("a data race: read beside a write");
}

void write(std::size_t datum) {
  Run& run = here();
  if (!run.memory().write(run.current(), datum)) run.fail("a data race: write beside another access");
}

}  // namespace detail
}  // namespace model
