// SPDX-License-Identifier: Apache-2.0
//
// For adapters, not for users: lets a process wait for something that a foreign thread will complete, such as the
// operation of another library's event loop. Users meet it as coppice/adapter/asio.hpp.
//
//   detail::ForeignWait wait("use_process", timeout);        // in the process
//   if (!wait.may_wait()) return aborted;
//   start_operation(wait.completion());                      // goes to the other thread
//   if (!wait.wait()) {                                      // the deadline has passed, or the process must die
//     cancel_operation();
//     wait.wait_for_end();                                   // the other side is done with our memory after this
//   }
//   wait.leave_if_due();                                     // here a process that must die leaves
//
// The promise that everything rests on: the frame that holds the ForeignWait is not left before the Completion was
// completed. So the operation may use memory on the process's stack. Between the two waits nothing may throw.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <coppice/process.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

struct ForeignWaitState;

class COPPICE_API ForeignWait {
 public:
  // The right, and the duty, to say once that the operation has ended. Move-only; any thread. What was written before
  // complete() is visible to the process afterwards. To drop it is to complete it.
  class COPPICE_API Completion {
   public:
    explicit Completion(std::shared_ptr<ForeignWaitState> state) noexcept : state_(std::move(state)) {}
    Completion(Completion&& other) noexcept : state_(std::move(other.state_)) {}
    Completion& operator=(Completion&&) = delete;
    Completion(const Completion&) = delete;
    ~Completion() { complete(); }
    void complete() noexcept;
    [[nodiscard]] bool completed() const noexcept { return state_ == nullptr; }

   private:
    std::shared_ptr<ForeignWaitState> state_;
  };

  // By the process that will wait. `function` is what the user called: a foreign thread ends the program with a sentence
  // that names it; in a simulation, which has no other threads, the process gets `{badarg, text}`; so it does for a
  // negative timeout. A process that must die leaves here, before anything is started.
  ForeignWait(const char* function, WaitTime timeout);
  ~ForeignWait();
  ForeignWait(const ForeignWait&) = delete;
  ForeignWait& operator=(const ForeignWait&) = delete;

  // False while the stack of a dying process is being unwound: then nothing may be started and nothing be waited for.
  [[nodiscard]] bool may_wait() const noexcept;
  // At most once.
  [[nodiscard]] Completion completion();
  // Waits: true once completed, false if the deadline has passed or the process must die. Throws nothing.
  [[nodiscard]] bool wait() noexcept;
  // Waits for the completion alone: neither a kill nor a deadline ends it. Throws nothing.
  void wait_for_end() noexcept;
  // True if wait() ended by the deadline.
  [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }
  // Takes in what has arrived; a process that must die leaves its stack here.
  void leave_if_due();

 private:
  std::shared_ptr<ForeignWaitState> state_;
  std::uint64_t deadline_ = 0;
  bool timed_out_ = false;
  bool may_wait_ = true;
};

}  // namespace detail
}  // namespace v1
}  // namespace coppice
