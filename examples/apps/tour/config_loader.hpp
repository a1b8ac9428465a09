// SPDX-License-Identifier: Apache-2.0
//
// ConfigLoader: reads the configuration file into the environment of the application, whenever it starts. Those that
// depend on it are started after it, and again after it: rest_for_one.
#pragma once

#include <string>
#include <utility>

#include <coppice/application_env.hpp>
#include <coppice/gen_server.hpp>

#include "farewell.hpp"

namespace tour {

class ConfigLoader : public coppice::GenServer<ConfigLoader> {
 public:
  static constexpr coppice::Name<ConfigLoader> name{"ConfigLoader"};

  explicit ConfigLoader(std::string path) : path_(std::move(path)) {}
  // A file that cannot be read, or makes no sense, is the error of the start.
  Init init() {
    const auto loaded = coppice::application::load_config_file(path_);
    return loaded ? ok() : stop(loaded.reason());
  }

 private:
  std::string path_;
  Farewell farewell_{"ConfigLoader"};
};

}  // namespace tour
