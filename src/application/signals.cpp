// SPDX-License-Identifier: Apache-2.0
#include "application/signals.hpp"

#include <semaphore.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "platform/fault.hpp"

namespace coppice::otp {
namespace {

// What the handler may touch: lock-free atomics, and a semaphore whose sem_post is made for handlers.
std::atomic<bool> in_use{false};
std::atomic<int> first_signal{0};  // 0: none yet
::sem_t woken;
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  const int saved = errno;
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, signal)) ::_exit(128 + signal);
  ::sem_post(&woken);
  errno = saved;
}

}  // namespace

TerminationSignals::TerminationSignals() {
  COPPICE_INVARIANT(!in_use.exchange(true), "coppice::run was called while another one runs in this program");
  first_signal.store(0);
  ::sem_init(&woken, 0, 0);
  struct ::sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGTERM, &action, &before_term_);
  ::sigaction(SIGINT, &action, &before_int_);
}

void TerminationSignals::watch(std::function<void(int)> tell) {
  thread_ = std::thread([tell = std::move(tell)] {
    while (::sem_wait(&woken) != 0) {
    }
    if (const int signal = first_signal.load(); signal != 0) tell(signal);
  });
}

TerminationSignals::~TerminationSignals() {
  ::sigaction(SIGTERM, &before_term_, nullptr);
  ::sigaction(SIGINT, &before_int_, nullptr);
  if (thread_.joinable()) {
    ::sem_post(&woken);
    thread_.join();
  }
  ::sem_destroy(&woken);
  in_use.store(false);
}

}  // namespace coppice::otp
