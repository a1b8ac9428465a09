// SPDX-License-Identifier: Apache-2.0
//
// use_process: operations of Boost.Asio as blocking calls of a process. On real threads only, for the operations are real;
// nothing here depends on how long something takes.
#if defined(__SANITIZE_THREAD__)
#define BOOST_ASIO_DISABLE_FENCED_BLOCK  // it knows no fences, and g++ warns; the mutexes of Asio's queues are enough
#endif

#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <boost/asio/write.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <coppice/adapter/asio.hpp>
#include <coppice/supervisor.hpp>

#include "behaviour/behaviour.hpp"

using namespace coppice;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using boost::system::error_code;
using boost::system::system_error;
using Stream = boost::asio::local::stream_protocol::socket;

namespace {

using SharedContext = std::shared_ptr<asio::Context>;

SharedContext make_context() { return std::make_shared<asio::Context>(); }

struct Waiting {};
struct Finished {};

struct Pair {
  Stream left;
  Stream right;
  explicit Pair(asio::Context& io) : left(io.executor()), right(io.executor()) {
    boost::asio::local::connect_pair(left, right);
  }
};

// Returns when the process waits in its operation: its status says so.
void wait_until_it_waits(const Pid& pid) {
  for (;;) {
    const auto info = process_info(pid);
    if (!info || info->status == ProcessStatus::waiting) return;
    yield();
  }
}

// Tells by its destruction that a frame was left.
struct OnLeave {
  Pid whom;
  ~OnLeave() { send(whom, Finished{}); }
};

}  // namespace

#define ASIO_TEST(name)                                    \
  static void asio_##name();                               \
  TEST(Asio, name) { behaviour::on_threads(asio_##name); } \
  static void asio_##name()

ASIO_TEST(a_timer_is_a_blocking_call) {
  const auto io = make_context();
  boost::asio::steady_timer timer(io->executor(), 1ms);
  timer.async_wait(asio::use_process);
  EXPECT_LE(timer.expiry(), std::chrono::steady_clock::now());
}

ASIO_TEST(it_returns_what_the_handler_is_given) {
  const auto io = make_context();
  Pair pair(*io);
  EXPECT_EQ(boost::asio::async_write(pair.left, boost::asio::buffer("hello", 5), asio::use_process), 5u);
  std::array<char, 16> bytes;
  const std::size_t count = pair.right.async_read_some(boost::asio::buffer(bytes), asio::use_process);
  EXPECT_EQ(std::string(bytes.data(), count), "hello");
}

ASIO_TEST(a_value_that_is_only_movable_is_returned) {
  const auto io = make_context();
  tcp::acceptor acceptor(io->executor(), {boost::asio::ip::address_v4::loopback(), 0});
  const tcp::endpoint address = acceptor.local_endpoint();
  (void)spawn_monitor([io, address] {
    tcp::socket socket(io->executor());
    socket.async_connect(address, asio::use_process);
    boost::asio::async_write(socket, boost::asio::buffer("x", 1), asio::use_process);
  });
  tcp::socket accepted = acceptor.async_accept(asio::use_process);
  char byte = 0;
  EXPECT_EQ(boost::asio::async_read(accepted, boost::asio::buffer(&byte, 1), asio::use_process), 1u);
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(receive<Down>().reason, ExitReason::normal());
}

ASIO_TEST(an_error_is_thrown) {
  const auto io = make_context();
  Pair pair(*io);
  pair.right.close();
  char byte = 0;
  try {
    (void)pair.left.async_read_some(boost::asio::buffer(&byte, 1), asio::use_process);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const system_error& error) {
    EXPECT_EQ(error.code(), boost::asio::error::eof);
  }
}

ASIO_TEST(or_stored_together_with_the_value) {
  const auto io = make_context();
  Pair pair(*io);
  boost::asio::async_write(pair.right, boost::asio::buffer("abc", 3), asio::use_process);
  pair.right.close();
  std::array<char, 8> bytes;
  error_code error;
  EXPECT_EQ(boost::asio::async_read(pair.left, boost::asio::buffer(bytes), asio::use_process(error)), 3u);
  EXPECT_EQ(error, boost::asio::error::eof);
}

ASIO_TEST(an_uncaught_error_ends_the_process) {
  const auto io = make_context();
  (void)spawn_monitor([io] {
    Stream socket(io->executor());
    char byte = 0;
    (void)socket.async_read_some(boost::asio::buffer(&byte, 1), asio::use_process);  // not open
  });
  EXPECT_FALSE(receive<Down>().reason.is_normal());
}

ASIO_TEST(an_exception_of_the_start_is_thrown) {
  const auto io = make_context();
  const auto start = [](auto handler) {
    (void)handler;
    throw std::runtime_error("not today");
  };
  const auto operation = [&] {
    boost::asio::async_initiate<const asio::UseProcess<boost::asio::io_context::executor_type>, void()>(
        start, asio::use_process.on(io->executor()));
  };
  EXPECT_THROW(operation(), std::runtime_error);
}

ASIO_TEST(a_timeout_cancels_the_operation) {
  const auto io = make_context();
  Pair pair(*io);
  std::array<char, 8> bytes;
  error_code error;
  EXPECT_EQ(pair.left.async_read_some(boost::asio::buffer(bytes), asio::use_process(error).timeout(1ms)), 0u);
  EXPECT_EQ(error, boost::asio::error::timed_out);
  // The socket is whole: the next operation has what it waits for.
  boost::asio::async_write(pair.right, boost::asio::buffer("late", 4), asio::use_process);
  EXPECT_EQ(pair.left.async_read_some(boost::asio::buffer(bytes), asio::use_process), 4u);
}

ASIO_TEST(a_timeout_of_a_composed_operation_tells_what_was_read) {
  const auto io = make_context();
  Pair pair(*io);
  boost::asio::async_write(pair.right, boost::asio::buffer("ab", 2), asio::use_process);
  std::array<char, 8> bytes;
  error_code error;
  EXPECT_EQ(boost::asio::async_read(pair.left, boost::asio::buffer(bytes), asio::use_process(error).timeout(20ms)), 2u);
  EXPECT_EQ(error, boost::asio::error::timed_out);
}

ASIO_TEST(a_negative_timeout_is_misuse) {
  const auto io = make_context();
  boost::asio::steady_timer timer(io->executor(), 1h);
  try {
    timer.async_wait(asio::use_process.timeout(-1ms));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.reason().term().elements()[0], Term("badarg"_atom));
  }
}

ASIO_TEST(messages_do_not_end_the_wait) {
  const auto io = make_context();
  Pair pair(*io);
  const auto [reader, watch] = spawn_monitor([&pair] {
    char byte = 0;
    EXPECT_EQ(pair.left.async_read_some(boost::asio::buffer(&byte, 1), asio::use_process), 1u);
    EXPECT_EQ(receive<int>(0ms), 1);
    EXPECT_EQ(receive<int>(0ms), 2);
  });
  wait_until_it_waits(reader);
  send(reader, 1);
  send(reader, 2);
  boost::asio::async_write(pair.right, boost::asio::buffer("x", 1), asio::use_process);
  EXPECT_EQ(receive<Down>().reason, ExitReason::normal());
}

ASIO_TEST(a_process_that_is_killed_in_its_wait_leaves_when_the_operation_has_ended) {
  const auto io = make_context();
  Pair pair(*io);
  const Pid me = self();
  const auto [reader, watch] = spawn_monitor([&pair, me] {
    const OnLeave leave{me};
    std::array<char, 4096> bytes;
    (void)pair.left.async_read_some(boost::asio::buffer(bytes), asio::use_process);
  });
  wait_until_it_waits(reader);
  exit(reader, ExitReason::kill());
  EXPECT_EQ(receive<Down>().reason, ExitReason::killed());
  EXPECT_TRUE(receive<Finished>(0ms));
  // What comes now is nobody's: the operation is gone, and the bytes are still there to be read.
  boost::asio::async_write(pair.right, boost::asio::buffer("x", 1), asio::use_process);
  char byte = 0;
  EXPECT_EQ(pair.left.async_read_some(boost::asio::buffer(&byte, 1), asio::use_process), 1u);
}

ASIO_TEST(a_link_ends_it_as_well) {
  const auto io = make_context();
  const Pid me = self();
  (void)spawn_monitor([io, me] {
    const auto [child, watch] = spawn_monitor([io, me] {
      const OnLeave leave{me};
      boost::asio::steady_timer timer(io->executor(), 1h);
      timer.async_wait(asio::use_process);
    });
    link(child);
    wait_until_it_waits(child);
    exit(ExitReason("enough"_atom));
  });
  EXPECT_EQ(receive<Down>().reason, "enough"_atom);
  receive<Finished>();
}

ASIO_TEST(a_process_that_swallows_its_kill_still_leaves) {
  const auto io = make_context();
  const auto [stubborn, watch] = spawn_monitor([io] {
    boost::asio::steady_timer timer(io->executor(), 1h);
    for (int i = 0; i < 3; ++i) {
      try {
        timer.async_wait(asio::use_process);
      } catch (...) {
      }
    }
  });
  wait_until_it_waits(stubborn);
  exit(stubborn, ExitReason::kill());
  EXPECT_EQ(receive<Down>().reason, ExitReason::killed());
}

ASIO_TEST(in_a_destructor_of_a_dying_process_nothing_is_started) {
  const auto io = make_context();
  const Pid me = self();
  struct Closer {
    SharedContext io;
    Pid whom;
    ~Closer() {
      boost::asio::steady_timer timer(io->executor(), 1h);
      error_code error;
      timer.async_wait(asio::use_process(error));
      send(whom, error == boost::asio::error::operation_aborted);
    }
  };
  const auto [pid, watch] = spawn_monitor([io, me] {
    const Closer closer{io, me};
    sleep_for(infinity);
  });
  wait_until_it_waits(pid);
  exit(pid, ExitReason::kill());
  EXPECT_TRUE(receive<bool>());
  EXPECT_EQ(receive<Down>().reason, ExitReason::killed());
}

ASIO_TEST(kill_and_completion_may_cross) {
  const auto io = make_context();
  for (int i = 0; i < 300; ++i) {
    Pair pair(*io);
    const auto [reader, watch] = spawn_monitor([&pair] {
      std::array<char, 64> bytes;
      (void)pair.left.async_read_some(boost::asio::buffer(bytes), asio::use_process);
    });
    if (i % 3 != 0) wait_until_it_waits(reader);
    (void)spawn_monitor(
        [&pair] { boost::asio::async_write(pair.right, boost::asio::buffer("x", 1), asio::use_process); });
    exit(reader, ExitReason::kill());
    receive<Down>();
    receive<Down>();
  }
}

ASIO_TEST(timeout_and_completion_may_cross) {
  const auto io = make_context();
  for (int i = 0; i < 100; ++i) {
    boost::asio::steady_timer timer(io->executor(), 1ms);
    error_code error;
    timer.async_wait(asio::use_process(error).timeout(1ms));
    EXPECT_TRUE(!error || error == boost::asio::error::timed_out) << error.message();
  }
}

ASIO_TEST(many_at_once) {
  const auto io = make_context();
  constexpr int count = 200;
  for (int i = 0; i < count; ++i) {
    (void)spawn_monitor([io, i] {
      Pair pair(*io);
      for (int j = 0; j < 5; ++j) {
        const std::string text = std::to_string(i * 10 + j);
        boost::asio::async_write(pair.left, boost::asio::buffer(text), asio::use_process);
        std::string back(text.size(), ' ');
        boost::asio::async_read(pair.right, boost::asio::buffer(back), asio::use_process);
        EXPECT_EQ(back, text);
      }
    });
  }
  for (int i = 0; i < count; ++i) EXPECT_EQ(receive<Down>().reason, ExitReason::normal());
}

ASIO_TEST(a_context_that_goes_aborts_what_waits) {
  auto io = make_context();
  auto timer = std::make_unique<boost::asio::steady_timer>(io->executor(), 1h);
  const Pid me = self();
  const auto [pid, watch] = spawn_monitor([&timer, me] {
    error_code error;
    timer->async_wait(asio::use_process(error));
    send(me, error == boost::asio::error::operation_aborted);
  });
  wait_until_it_waits(pid);
  boost::asio::steady_timer(io->executor(), 0ms).async_wait(asio::use_process);  // its thread has begun the other wait
  io->io().stop();
  timer.reset();  // an I/O object must not outlive its context
  io.reset();
  EXPECT_TRUE(receive<bool>());
  EXPECT_EQ(receive<Down>().reason, ExitReason::normal());
}

ASIO_TEST(a_context_server_gives_its_context) {
  const auto supervisor = Supervisor::start_link({child<asio::ContextServer>()}, {.strategy = Strategy::one_for_one});
  const auto children = Supervisor::which_children(supervisor.value());
  const SharedContext io = ServerRef<asio::ContextServer>(children.front().pid).call(asio::ContextServer::Get{});
  boost::asio::steady_timer timer(io->executor(), 1ms);
  timer.async_wait(asio::use_process);
  Supervisor::stop(supervisor.value());
}

TEST(Asio, in_a_simulation_it_is_misuse) {
  const auto io = make_context();
  behaviour::in_simulation([&] {
    boost::asio::steady_timer timer(io->executor(), 1ms);
    EXPECT_THROW(timer.async_wait(asio::use_process), Exit);
  });
}

TEST(AsioDeathTest, a_foreign_thread_ends_the_program) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        asio::Context io;
        boost::asio::steady_timer timer(io.executor(), 1ms);
        timer.async_wait(asio::use_process);
      },
      "use_process");
}
