// SPDX-License-Identifier: Apache-2.0
//
// What the tests of supervisors' reports share: what is reported, and children that do not end as they should.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "conformance/logger_support.hpp"
#include "conformance/supervisor_support.hpp"

namespace conformance {
inline namespace supervisors {

// What is reported while `act` runs, in order: "child_terminated :boom, progress".
inline std::string reported(const std::function<void()>& act) {
  const Capture capture;
  logger::set_sasl_reports(true);
  act();
  std::string all;
  for (const Event& event : capture.events()) {
    if (!event.report || !event.report->label.is_tuple(2) || !event.report->label[0].is_atom("supervisor"_atom))
      continue;
    all += (all.empty() ? "" : ", ") + to_string(event.report->label[1]);
    if (logger::find(event.report->fields, "reason"_atom) != nullptr) all += " " + inspect(field(event, "reason"_atom));
  }
  return all;
}

// Ends with that reason when it is stopped.
struct Ending : GenServer<Ending> {
  static constexpr bool trap_exit = true;
  explicit Ending(ExitReason reason) : reason_(std::move(reason)) {}
  void terminate(const ExitReason&) { throw Exit(reason_); }

 private:
  ExitReason reason_;
};

struct Hanging : GenServer<Hanging> {
  static constexpr bool trap_exit = true;
  void terminate(const ExitReason&) { sleep_for(infinity); }
};

}  // namespace supervisors
}  // namespace conformance
