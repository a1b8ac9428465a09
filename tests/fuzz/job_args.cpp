// SPDX-License-Identifier: Apache-2.0
//
// The arguments of jobs. What is no such text is refused with std::invalid_argument; what is read, written and read again
// is the same.
#include <chrono>
#include <map>
#include <optional>
#include <stdexcept>
#include <vector>

#include <coppice/job_args.hpp>

#include "fuzz/fuzz.hpp"

namespace {

using namespace coppice;

enum class Colour : std::uint8_t { red, green };
struct Inner {
  static constexpr auto fields = names("text", "number");
  std::string text;
  double number = 0;
  friend bool operator==(const Inner&, const Inner&) = default;
};
struct Outer {
  static constexpr auto fields = names("id", "small", "inner", "list", "map", "maybe", "colour", "time", "on");
  std::int64_t id = 0;
  std::int8_t small = 0;
  Inner inner;
  std::vector<Inner> list;
  std::map<std::string, std::vector<int>> map;
  std::optional<std::string> maybe;
  Colour colour = Colour::red;
  std::chrono::milliseconds time{};
  bool on = false;
  friend bool operator==(const Outer&, const Outer&) = default;
};
struct Plain {
  int number = 0;
  std::string text;
  std::vector<std::vector<std::string>> deep;
  friend bool operator==(const Plain&, const Plain&) = default;
};

template <class Args>
void read(std::string_view text) {
  try {
    const Args args = read_job_args<Args>(text);
    fuzz::must(read_job_args<Args>(write_job_args(args)) == args, "arguments that are written are read as others");
  } catch (const std::invalid_argument& error) {
    fuzz::must(std::string_view(error.what()).size() > 5, "arguments are refused without a word");
  }
}

}  // namespace

void fuzz::job_args(std::string_view input) {
  read<Outer>(input);
  read<Plain>(input);
  read<std::vector<Outer>>(input);
}
