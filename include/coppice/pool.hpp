// SPDX-License-Identifier: Apache-2.0
//
// Pool: a few resources that are dear to make, lent to one process at a time.
//
//   inline constexpr Pool<Connection>::Name db{"Db"};
//
//   child<Pool<Connection>>({.name = db, .size = 5, .queue_max = 100}, [] { return Connection("data.db"); })
//
//   Result<int> n = db.checkout(5s, [](Connection& c) { return c.count("users"); });
//   if (!n && n.reason() == "rejected"_atom) return busy();      // back-pressure is a value
//
// The function runs in the caller's own process, with exclusive use of the resource; nothing is copied through the
// pool. Whoever finds all resources lent waits in a queue, served first come first served. `checkout` gives
//   what the function returns (Ok for nothing; a Result is passed on as it is), or the error
//   rejected       queue_max callers wait already
//   timeout        the time is over; the caller has left the queue
//   noproc         there is no such pool; or the reason for which the pool ended while the caller waited
// The time is that of waiting for a resource; how long the function takes is its own affair.
//
// What becomes of the resource. A function that returns gives it back, unless it has called `discard()` of its Lease (a
// second parameter: `[](Connection& c, Lease& lease)`): then it is destroyed and replaced. A function that throws or
// exits loses it in the same way, since nobody knows in which state it left it; what it threw goes through to the
// caller. `lease.keep_on_throw()` says that the resource is sound whatever is thrown. A borrower that is killed loses
// it too; the pool learns of its death, makes a new one and serves the next in the queue. A caller that dies while it
// waits leaves the queue at once. The resource of a borrower stays valid until it is given back, also if the pool ends.
//
// Making. The factory runs in a process of its own, linked to the pool, where it may wait, call servers and use
// blocking(...). It returns a Resource, a unique_ptr or shared_ptr to one, or a Result of these. If it fails (an error,
// a throw, an exit), that is logged as a warning, stands in `info().last_failure`, and is tried again after a delay
// that grows (`retry`); callers go on waiting meanwhile. start_link does not wait for it. Resources are destroyed in
// processes too: the borrower if it is the last that holds one, or one that the pool starts for it.
//
// A caller that borrows a second resource of the same pool while it holds one may wait for itself: with `size` nested
// callers all wait until their time is over.
//
// When not to use one: a server that is asked by many is no resource; call it. Elixir: NimblePool.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <coppice/child_spec.hpp>
#include <coppice/process.hpp>
#include <coppice/result.hpp>
#include <coppice/server_name.hpp>
#include <coppice/server_ref.hpp>
#include <coppice/start_result.hpp>

namespace coppice {
inline namespace v1 {

template <class Resource>
class Pool;

// Every field has a default. The functions run in the process of the borrower, which holds the resource then; they may
// wait and block as its own function may. One that throws counts as false; one that exits ends the borrower.
template <class Resource>
struct PoolOptions {
  ServerName name = {};
  std::size_t size = 10;             // resources at most; 0 is `{badarg, text}`
  std::size_t queue_max = 1'000;     // callers that wait, beside those for whom a resource is being made; 0: nobody
  bool lazy = false;                 // made when first needed instead of at the start
  WaitTime idle_timeout = infinity;  // one that nobody has used for so long is destroyed (and replaced, unless lazy)
  std::uint64_t max_uses = 0;        // replaced after so many; 0: never
  Backoff retry = {};                // delays after a factory that failed
  std::function<bool(Resource&)> is_alive = {};    // before each use but the first; false: replaced, caller goes first
  std::function<bool(Resource&)> on_checkin = {};  // when a function has returned; false: replaced
};

// A pool as it is now; the counters begin with its start.
struct PoolInfo {
  std::size_t size = 0;
  std::size_t idle = 0;                         // ready to be lent
  std::size_t busy = 0;                         // lent
  std::size_t making = 0;                       // the factory is at work, or will be after a delay
  std::size_t waiting = 0;                      // callers in the queue
  std::uint64_t served = 0;                     // callers that got a resource
  std::uint64_t rejected = 0;                   // callers that found the queue full
  std::uint64_t gave_up = 0;                    // callers that left the queue: timeout or death
  std::uint64_t discarded = 0;                  // resources destroyed, for whatever cause
  std::uint64_t failures = 0;                   // of the factory
  std::optional<ExitReason> last_failure = {};  // of the factory; none since it last succeeded
};

namespace detail {

// The options without their type.
struct PoolLimits {
  std::size_t size;
  std::size_t queue_max;
  bool lazy;
  WaitTime idle_timeout;
  std::uint64_t max_uses;
  Backoff retry;
};
struct PoolHooks {
  std::function<bool(void*)> is_alive;
  std::function<bool(void*)> on_checkin;
};
struct PoolSetup {
  PoolLimits limits;
  PoolHooks hooks;
  std::function<Result<std::shared_ptr<void>>()> factory;
  const std::type_info* type;
  std::string shown;  // Pool<Connection>
};
[[nodiscard]] COPPICE_API StartOutcome start_pool(const ServerName& name, PoolSetup setup, bool linked);
[[nodiscard]] COPPICE_API PoolInfo pool_info(const CallTarget& target);

// A resource in the hands of a borrower.
struct Loan {
  Pid pool;
  Reference ticket;
  std::shared_ptr<void> resource;
  std::shared_ptr<const PoolHooks> hooks;
};
[[nodiscard]] COPPICE_API Result<Loan> borrow(const CallTarget& target, const std::type_info& type, WaitTime timeout);

}  // namespace detail

// A borrowed resource's fate: the second parameter of a function for checkout. Ends with that function.
class COPPICE_API Lease {
 public:
  // The resource is not to be used again: it is destroyed and replaced. Elixir: `:remove`.
  void discard() noexcept { discarded_ = true; }
  // It is given back also if the function throws or exits. Not if its process is killed.
  void keep_on_throw() noexcept { keep_on_throw_ = true; }

  explicit Lease(detail::Loan loan) noexcept : loan_(std::move(loan)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease();  // gives the resource back or drops it

  // For checkout.
  [[nodiscard]] void* resource() const noexcept { return loan_.resource.get(); }
  void succeed();  // the function has returned

 private:
  detail::Loan loan_;
  bool discarded_ = false;
  bool keep_on_throw_ = false;
  bool succeeded_ = false;
};

namespace detail {

template <class T>
struct checkout_result {
  using type = Result<T>;
};
template <>
struct checkout_result<void> {
  using type = Result<>;
};
template <class T>
struct checkout_result<Result<T>> {
  using type = Result<T>;
};

template <class F, class Resource>
decltype(auto) use_resource(F& function, Resource& resource, Lease& lease) {
  if constexpr (std::is_invocable_v<F&, Resource&, Lease&>) {
    return function(resource, lease);
  } else {
    return function(resource);
  }
}

// What can be done with the address of a pool: Pool<R>::Name, Pool<R>::Ref, a via.
template <class Address, class Resource>
class AddedOperations<Address, Pool<Resource>> {
 public:
  // Runs function(resource) or function(resource, lease) in the calling process; see the head of this file. What it
  // returns must not refer to the resource. Any thread; a foreign one blocks.
  template <class F>
  auto checkout(WaitTime timeout, F&& function) const {
    using R = std::remove_cvref_t<decltype(use_resource(function, std::declval<Resource&>(), std::declval<Lease&>()))>;
    using Outcome = typename checkout_result<R>::type;
    static_assert(!std::is_pointer_v<R> || std::is_function_v<R>,
                  "a function for checkout may not return a pointer: the resource is not the caller's afterwards");
    Result<Loan> loan = borrow(static_cast<const Address&>(*this).target(), typeid(Resource), timeout);
    if (!loan) return Outcome(Error{loan.reason()});
    Lease lease(*std::move(loan));
    Resource& resource = *static_cast<Resource*>(lease.resource());
    if constexpr (std::is_void_v<R>) {
      use_resource(function, resource, lease);
      lease.succeed();
      return Outcome();
    } else {
      Outcome outcome(use_resource(function, resource, lease));
      lease.succeed();
      return outcome;
    }
  }
  // The same with 5 s.
  template <class F>
  auto checkout(F&& function) const {
    return checkout(std::chrono::seconds(5), std::forward<F>(function));
  }

  // Throws Exit as a call does if there is no such pool. Any thread.
  [[nodiscard]] PoolInfo info() const { return pool_info(static_cast<const Address&>(*this).target()); }
};

template <class Resource, class Made>
Result<std::shared_ptr<void>> made_resource(Made made) {
  if constexpr (std::is_same_v<Made, Resource>) {
    return std::shared_ptr<void>(std::make_shared<Resource>(std::move(made)));
  } else if constexpr (requires {
                         made.has_value();
                         made.reason();
                       }) {
    if (!made) return Error{made.reason()};
    return made_resource<Resource>(*std::move(made));
  } else {
    std::shared_ptr<Resource> shared(std::move(made));
    if (shared == nullptr) return error("no_resource");
    return std::shared_ptr<void>(std::move(shared));
  }
}

}  // namespace detail

template <class Resource>
class Pool {
 public:
  using Options = PoolOptions<Resource>;
  using Name = coppice::Name<Pool<Resource>>;  // constexpr: `inline constexpr Pool<Connection>::Name db{"Db"}`
  using Ref = ServerRef<Pool<Resource>>;       // what start_link's value() is; start_link, checkout, info, stop

  // Starts a pool linked to the caller, by a process. Error: `{:already_started, pid}`, or `{badarg, text}` for options
  // that make no sense. The factory is copied: it must not need anything that ends before the pool.
  template <class F>
  static StartResult<Pool> start_link(Options options, F factory) {
    return StartResult<Pool>(start(std::move(options), std::move(factory), true));
  }
  // The same without a link; also by a foreign thread.
  template <class F>
  static StartResult<Pool> start(Options options, F factory) {
    return StartResult<Pool>(start(std::move(options), std::move(factory), false));
  }
  // Its id is the pool's name, or Pool<Resource> if it has none.
  template <class F>
  [[nodiscard]] static ChildSpec child_spec(Options options, F factory) {
    const bool named = !options.name.empty();
    const Term name = options.name.term();
    ChildSpec spec = detail::default_child_spec<Pool>(std::move(options), std::move(factory));
    if (named) spec.id(name);
    return spec;
  }

 private:
  template <class F>
  static StartOutcome start(Options options, F factory, bool linked) {
    detail::PoolSetup setup{
        {options.size, options.queue_max, options.lazy, options.idle_timeout, options.max_uses, options.retry},
        {erase(std::move(options.is_alive)), erase(std::move(options.on_checkin))},
        [make = std::move(factory)]() mutable { return detail::made_resource<Resource>(make()); },
        &typeid(Resource),
        "Pool<" + std::string(type_name_of<Resource>()) + ">"};
    return detail::start_pool(options.name, std::move(setup), linked);
  }
  static std::function<bool(void*)> erase(std::function<bool(Resource&)> hook) {
    if (!hook) return {};
    return [hook = std::move(hook)](void* resource) { return hook(*static_cast<Resource*>(resource)); };
  }
};

}  // namespace v1
}  // namespace coppice
