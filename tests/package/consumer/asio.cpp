// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/steady_timer.hpp>

#include <coppice/adapter/asio.hpp>
#include <coppice/runtime.hpp>

int main() {
  coppice::asio::Context io;
  return coppice::run([&io] {
    boost::asio::steady_timer timer(io.executor(), std::chrono::milliseconds(1));
    timer.async_wait(coppice::asio::use_process);
  });
}
