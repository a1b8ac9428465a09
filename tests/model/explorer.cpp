// SPDX-License-Identifier: Apache-2.0
#include "model/explorer.hpp"

#include <malloc.h>

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/memory.hpp"

namespace model {
namespace {

namespace context = boost::context;

constexpr std::size_t threads_max = 8;  // the program's own function is the first
constexpr unsigned passes_max = 3;

// Stacks are used again: to map them anew took most of the time of an execution.
class Stacks {
 public:
  context::stack_context allocate() {
    if (spare_.empty()) return context::fixedsize_stack(64 * 1024).allocate();
    const context::stack_context stack = spare_.back();
    spare_.pop_back();
    return stack;
  }
  void deallocate(context::stack_context& stack) { spare_.push_back(stack); }

 private:
  std::vector<context::stack_context> spare_;
};
Stacks stacks;

struct StackOfPool {
  context::stack_context allocate() { return stacks.allocate(); }
  void deallocate(context::stack_context& stack) { stacks.deallocate(stack); }
};

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

// Does the program run, and not the explorer? Of the one OS thread.
bool in_program = false;

// Within the explorer, from a call of the program's to its return.
class Inside {
 public:
  Inside() noexcept : before_(std::exchange(in_program, false)) {}
  ~Inside() { in_program = before_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  bool before_;
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
  void before_access(std::size_t location);
  void has_stored();
  [[nodiscard]] std::memory_order weakened(Operation operation, std::memory_order order,
                                           const detail::Where& where) const;
  void keep(void* memory);
  void wait_for_others();
  void let_others_go();
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
    bool waits = false;        // for a store of another
    bool pauses = false;       // until another has run, if there is one that can
    bool joins = false;        // for the end of all others
    unsigned passed_over = 0;  // how often others were chosen, when somebody had to be
    bool reads_newest = false;
    bool has_read_old = false;  // since it last waited
  };
  [[nodiscard]] bool can_run(std::size_t thread) const;
  void only_who_was_passed_over(std::vector<std::size_t>& able) const;
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
  std::vector<void*> kept_;  // what the program has freed
};

Run* run_now = nullptr;

Run& here() {
  if (run_now == nullptr) std::abort();  // an Atomic outside of explore
  return *run_now;
}

context::fiber Run::make(std::size_t thread) {
  return context::fiber(std::allocator_arg, StackOfPool{}, [this, thread](context::fiber&& from) {
    scheduler_ = std::move(from);
    in_program = true;
    threads_[thread].body();
    in_program = false;
    threads_[thread].ended = true;
    return std::move(scheduler_);
  });
}

void Run::thread(std::function<void()> body) {
  const Inside inside;
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
  const Inside inside;
  threads_[current_].joins = true;
  go_on();
  threads_[current_].joins = false;
  for (std::size_t other = 1; other < threads_.size(); ++other) memory_.join_thread(current_, other);
}

// Another thread may go on here.
void Run::before_step() {
  if (++steps_ > options_.steps_max) fail("the execution does not end");
  go_on();
}

// What others wait for may be there now.
void Run::has_stored() {
  for (std::size_t other = 0; other < threads_.size(); ++other) {
    if (other != current_) threads_[other].waits = false;
  }
}

void Run::before_access(std::size_t location) {
  before_step();
  if (!memory_.touch(current_, location)) fail("freed memory is used");
}

// A function's name without template arguments, which compilers write differently.
const std::string& plain_name(const char* function) {
  static std::unordered_map<const char*, std::string> known;
  std::string& plain = known[function];
  if (!plain.empty()) return plain;
  int depth = 0;
  for (const char* at = function; *at != '\0'; ++at) {
    if (*at == '<') ++depth;
    if (depth == 0) plain += *at;
    if (*at == '>' && depth > 0) --depth;
  }
  return plain;
}

std::memory_order Run::weakened(Operation operation, std::memory_order order, const detail::Where& where) const {
  const Weakened& weak = options_.weakened;
  const bool meant = weak.function != nullptr && weak.operation == operation &&
                     plain_name(where.function_name()).find(weak.function) != std::string::npos;
  return meant ? weak.order : order;
}

void Run::keep(void* memory) {
  kept_.push_back(memory);
  if (!memory_.free(current_, memory, ::malloc_usable_size(memory))) fail("memory is freed that may be in use");
}

void Run::wait_for_others() {
  if (++steps_ > options_.steps_max) fail("the execution does not end");
  Thread& me = threads_[current_];
  me.waits = !std::exchange(me.has_read_old, false);  // what it waits for may be there already
  go_on();
  me.reads_newest = true;
}

void Run::let_others_go() {
  if (++steps_ > options_.steps_max) fail("the execution does not end");
  threads_[current_].pauses = true;
  go_on();
  threads_[current_].pauses = false;
  threads_[current_].reads_newest = true;
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

// Threads that wait or pause could let each other go on for ever while a third one never does.
void Run::only_who_was_passed_over(std::vector<std::size_t>& able) const {
  for (const std::size_t thread : able) {
    if (threads_[thread].passed_over < passes_max) continue;
    able = {thread};
    return;
  }
}

// Picks threads until all have ended. The one that ran last comes first, so that to leave it is a choice that costs.
void Run::loop() {
  for (;;) {
    std::vector<std::size_t> able;
    const bool pauses = threads_[current_].pauses;
    const bool current_can = can_run(current_) && !pauses;
    if (current_can) able.push_back(current_);
    if (!current_can || preemptions_ < options_.preemptions_max) {
      for (std::size_t i = 1; i < threads_.size(); ++i) {
        const std::size_t thread = (current_ + i) % threads_.size();
        if (can_run(thread)) able.push_back(thread);
      }
    }
    // After a pause the next one in turn goes on; any other is a choice that costs.
    if (pauses && !able.empty() && preemptions_ == options_.preemptions_max) able.resize(1);
    if (!current_can) only_who_was_passed_over(able);
    if (able.empty() && pauses && can_run(current_)) able.push_back(current_);
    if (able.empty()) break;
    const std::size_t choice = choose(able.size());
    if ((current_can || pauses) && choice != 0) ++preemptions_;
    if (!current_can) {
      for (const std::size_t thread : able) ++threads_[thread].passed_over;
    }
    current_ = able[choice];
    threads_[current_].passed_over = 0;
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
  if (failure_.empty()) {  // else what is left behind may still refer to it
    for (void* memory : kept_) std::free(memory);
  }
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
  if (holds) return;
  const Inside inside;
  here().fail(what);
}

void yield() {
  const Inside inside;
  here().wait_for_others();
}

void pause() {
  const Inside inside;
  here().let_others_go();
}

std::size_t choose(std::size_t alternatives) {
  const Inside inside;
  return here().choose(alternatives);
}

namespace detail {

std::size_t add_location(std::uintptr_t address, std::uint64_t value) {
  const Inside inside;
  return here().memory().add_location(address, value);
}
std::size_t add_datum() {
  const Inside inside;
  return here().memory().add_datum();
}

std::uint64_t load(std::size_t location, std::memory_order order, const Where& where) {
  const Inside inside;
  Run& run = here();
  run.before_access(location);
  order = run.weakened(Operation::load, order, where);
  const std::size_t choice = run.choose_store(location, order);
  return run.memory().load(run.current(), location, order, choice);
}

void store(std::size_t location, std::uint64_t value, std::memory_order order, const Where& where) {
  const Inside inside;
  Run& run = here();
  run.before_access(location);
  run.memory().store(run.current(), location, value, run.weakened(Operation::store, order, where));
  run.has_stored();
}

std::uint64_t modify(std::size_t location, std::memory_order order,
                     std::uint64_t (*change)(std::uint64_t, std::uint64_t), std::uint64_t argument,
                     const Where& where) {
  const Inside inside;
  Run& run = here();
  run.before_access(location);
  const std::uint64_t next = change(run.memory().peek(location, 0), argument);
  run.has_stored();
  return run.memory().exchange(run.current(), location, next, run.weakened(Operation::modify, order, where));
}

// It succeeds only on the newest store; it may fail on an older one that it does not expect, and a weak one for no reason.
std::uint64_t compare_exchange(std::size_t location, std::uint64_t expected, std::uint64_t desired,
                               std::memory_order success, std::memory_order failure, bool weak, bool& done,
                               const Where& where) {
  const Inside inside;
  Run& run = here();
  run.before_access(location);
  success = run.weakened(Operation::exchange_if, success, where);
  Memory& memory = run.memory();
  const std::size_t choice = run.choose_store(location, failure);
  if (choice == 0 && memory.peek(location, 0) == expected && !(weak && run.fails_for_no_reason())) {
    done = true;
    run.has_stored();
    return memory.exchange(run.current(), location, desired, success);
  }
  done = false;
  // A strong one cannot fail on the value that it expects: then it reads the newest, whatever that is.
  const bool impossible = !weak && memory.peek(location, choice) == expected;
  if (impossible && memory.peek(location, 0) == expected) {
    done = true;
    run.has_stored();
    return memory.exchange(run.current(), location, desired, success);
  }
  return memory.load(run.current(), location, failure, impossible ? 0 : choice);
}

void fence(std::memory_order order) {
  const Inside inside;
  Run& run = here();
  run.before_step();
  run.memory().fence(run.current(), order);
}

bool keep(void* memory) noexcept {
  if (!in_program) return false;
  const Inside inside;
  if (memory != nullptr) here().keep(memory);
  return true;
}

void read(std::size_t datum) {
  const Inside inside;
  Run& run = here();
  if (!run.memory().read(run.current(), datum)) run.fail("a data race: read beside a write");
}

void write(std::size_t datum) {
  const Inside inside;
  Run& run = here();
  if (!run.memory().write(run.current(), datum)) run.fail("a data race: write beside another access");
}

}  // namespace detail
}  // namespace model
