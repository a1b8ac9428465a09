// SPDX-License-Identifier: Apache-2.0
//
// The tour: a supervised application of everything that coppice has. See README.md.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include <coppice/application.hpp>

#include "settings.hpp"
#include "tour_app.hpp"

namespace {

// A standard stream that is closed is as good as empty; else a file that is opened later would take its place.
void open_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0) (void)::open("/dev/null", stream == 0 ? O_RDONLY : O_WRONLY);
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  if (const std::optional<int> status = tour::read_command_line(argc, argv)) return *status;
  const tour::DataDirectory data;
  if (!data.ready()) return 1;
  tour::settings().io = std::make_shared<coppice::asio::Context>();
  const int status = coppice::run<tour::TourApp>(1, argv);
  tour::settings().io.reset();
  return status;
}
