// SPDX-License-Identifier: Apache-2.0
//
// What applications decide, as pure functions: in which order to start, what an end means for the others, what a
// command line and the variables of the environment say. tests/unit/application_decision_test.cpp.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/application.hpp>

namespace coppice::otp {

// Whether the node ends because of an application's end (AP-036 to AP-038) or its failed start (AP-025).
[[nodiscard]] bool end_ends_node(RestartType type, const ExitReason& reason);
[[nodiscard]] bool failed_start_ends_node(RestartType type, const ExitReason& reason);

struct Dependencies {
  std::vector<Atom> required;
  std::vector<Atom> optional;
};
struct StartOrder {
  std::vector<Atom> order;   // what to start, each after what it depends on
  std::vector<Atom> circle;  // [a, b, a]: nothing can be started; else empty
};
// Depth first, in listed order (AP-030). `known` gives the dependencies of an application, or null if nobody knows it:
// such a one is left out if it is optional, else it takes its place in the order, and its start will fail. What
// `is_started` says is started is left out together with what it depends on.
[[nodiscard]] StartOrder start_order(const std::vector<Atom>& wanted,
                                     const std::function<const Dependencies*(Atom)>& known,
                                     const std::function<bool(Atom)>& is_started);

// -- the command line of `run` --------------------------------------------------------------------------------------

struct RunArguments {
  std::vector<std::string> config_files;
  std::vector<std::string> assignments;
  std::vector<std::string> rest;
  bool help = false;
  std::string error;  // a sentence; else empty
};
[[nodiscard]] RunArguments parse_arguments(const std::vector<std::string>& arguments);

// -- variables of the environment -----------------------------------------------------------------------------------

// The path that a variable of that name sets in the environment of `app`: MY_APP__HTTP__PORT is [http, port] for
// my_app. Empty if it speaks of something else.
[[nodiscard]] std::vector<std::string> variable_path(std::string_view app, std::string_view variable);

}  // namespace coppice::otp
