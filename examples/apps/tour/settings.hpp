// SPDX-License-Identifier: Apache-2.0
//
// What the command line says, and what the whole tour shares. Filled by main before anything runs, and not changed after.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <coppice/adapter/asio.hpp>

namespace tour {

struct Settings {
  bool script = false;
  bool serve = false;
  std::string watch = {};  // a file to follow; empty: none
  std::string data = {};   // the directory of the database and the configuration file
  std::chrono::milliseconds session_idle{3'000};
  std::shared_ptr<coppice::asio::Context> io = {};
  std::shared_ptr<std::atomic<std::uint16_t>> port = std::make_shared<std::atomic<std::uint16_t>>(0);

  [[nodiscard]] std::string database_file() const { return data + "/tour.db"; }
  [[nodiscard]] std::string config_file() const { return data + "/tour.toml"; }
};

[[nodiscard]] Settings& settings();

// Reads the command line into settings(); the status to end with, if there is nothing to run.
[[nodiscard]] std::optional<int> read_command_line(int argc, char** argv);

// The directory for the data: the one that was asked for, made if need be; else a temporary one, which goes with this.
class DataDirectory {
 public:
  DataDirectory();
  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;
  [[nodiscard]] bool ready() const noexcept { return ready_; }  // if not, it has said why not

 private:
  bool temporary_ = false;
  bool ready_ = false;
};

}  // namespace tour
