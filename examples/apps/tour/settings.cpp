// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace tour {
namespace {

constexpr std::string_view usage =
    "usage: tour [--script] [--serve] [--port N] [--data DIR] [--watch FILE]\n"
    "  --script       play the script, whatever standard input is\n"
    "  --serve        keep running, for curl and for commands, until SIGTERM, SIGINT or `quit`\n"
    "  --port N       the port of the web server on 127.0.0.1; 0, the default: one that is free\n"
    "  --data DIR     keep database and configuration there; else they are temporary\n"
    "  --watch FILE   follow FILE and show the lines that others append to it\n"
    "Commands come from standard input, one a line; `help` lists them. Without any, the script is played.\n";

constexpr std::string_view default_config =
    "# The configuration of the tour. The ConfigLoader reads it whenever it starts.\n"
    "[tour_app]\n"
    "greeting = \"hello from the configuration file\"\n"
    "pool_size = 3\n"
    "connections_max = 64\n"
    "request_ms = 5000\n"
    "drain_ms = 3000\n";

std::optional<std::string> refuse_file(const std::string& path) {
  struct ::stat status {};
  if (path.empty()) return "--watch wants the name of a file";
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;  // it may come yet
  if (!S_ISREG(status.st_mode)) return path + " is no regular file";
  if (::access(path.c_str(), R_OK) != 0) return path + ": " + std::strerror(errno);
  return std::nullopt;
}

std::optional<std::string> take_port(const std::string& text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return "--port wants a number from 0 to 65535";
  settings().port->store(port);
  return std::nullopt;
}

// Sets what an option with a value asks for; what is wrong with it, if anything.
std::optional<std::string> take(std::string_view name, std::string value) {
  if (name == "--port") return take_port(value);
  if (name == "--data") {
    if (value.empty()) return "--data wants the name of a directory";
    settings().data = std::move(value);
    return std::nullopt;
  }
  settings().watch = value;
  return refuse_file(value);
}

}  // namespace

Settings& settings() {
  static Settings value;
  return value;
}

std::optional<int> read_command_line(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    std::optional<std::string> trouble;
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    if (argument == "--help" || argument == "-h") {
      std::fwrite(usage.data(), 1, usage.size(), stdout);
      return 0;
    }
    if (argument == "--script") {
      settings().script = true;
    } else if (argument == "--serve") {
      settings().serve = true;
    } else if (name == "--watch" || name == "--port" || name == "--data") {
      if (equals != std::string_view::npos) {
        trouble = take(name, std::string(argument.substr(equals + 1)));
      } else if (i + 1 < argc) {
        trouble = take(name, argv[++i]);
      } else {
        trouble = std::string(name) + " wants a value";
      }
    } else {
      trouble = "what is " + std::string(argument) + "?";
    }
    if (trouble) {
      std::fprintf(stderr, "tour: %s\n%s", trouble->c_str(), usage.data());
      return 2;
    }
  }
  return std::nullopt;
}

DataDirectory::DataDirectory() {
  std::string& directory = settings().data;
  std::error_code error;
  if (directory.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path(error) / "coppice_tour_XXXXXX").string();
    temporary_ = ::mkdtemp(pattern.data()) != nullptr;
    if (!temporary_) error = std::error_code(errno, std::generic_category());
    directory = pattern;
  } else {
    std::filesystem::create_directories(directory, error);
  }
  if (!error && !std::filesystem::exists(settings().config_file())) {
    std::ofstream file(settings().config_file());
    file << default_config << std::flush;
    if (!file) error = std::make_error_code(std::errc::io_error);
  }
  ready_ = !error;
  if (error) std::fprintf(stderr, "tour: %s: %s\n", directory.c_str(), error.message().c_str());
}

DataDirectory::~DataDirectory() {
  std::error_code ignored;
  if (temporary_) std::filesystem::remove_all(settings().data, ignored);
}

}  // namespace tour
