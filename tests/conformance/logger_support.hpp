// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the logger share: a logger that writes to memory, and is as it was when the test is over.
#pragma once

#include <coppice/logger_handler.hpp>

#include "behaviour/behaviour.hpp"

namespace conformance {

using namespace coppice;
using namespace std::chrono_literals;
using logger::Answer;
using logger::Event;
using logger::Level;

// While it lives, events go to memory only, and the configuration is the one that a program starts with.
struct Capture {
  std::shared_ptr<logger::MemoryHandler> memory = std::make_shared<logger::MemoryHandler>();

  Capture() {
    defaults();
    static_cast<void>(logger::remove_handler("default"));
    EXPECT_TRUE(logger::add_handler("memory", memory).has_value());
  }
  ~Capture() {
    for (const std::string& id : logger::handlers()) static_cast<void>(logger::remove_handler(id));
    defaults();
    logger::set_primary_level(Level::none);
    EXPECT_TRUE(logger::add_handler("default", std::make_shared<logger::ConsoleHandler>()).has_value());
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  [[nodiscard]] std::vector<std::string> texts() const { return memory->texts(); }
  [[nodiscard]] std::vector<Event> events() const { return memory->events(); }
  // The events with this label.
  [[nodiscard]] std::vector<Event> labelled(const Term& label) const {
    std::vector<Event> found;
    for (Event& event : memory->events()) {
      if (event.report && event.report->label == label) found.push_back(std::move(event));
    }
    return found;
  }
  [[nodiscard]] std::vector<Event> terminate_reports() const {
    return labelled(tuple("gen_server"_atom, "terminate"_atom));
  }
  [[nodiscard]] std::vector<Event> crash_reports() const { return labelled(tuple("proc_lib"_atom, "crash"_atom)); }

 private:
  static void defaults() {
    logger::set_primary_level(Level::debug);
    logger::set_sasl_reports(false);
    logger::set_otp_reports(true);
    logger::set_primary_metadata({});
    logger::set_primary_filter_default(logger::FilterDefault::log);
  }
};

// A field of a report.
inline Term field(const Event& event, Atom key) {
  const Term* found = event.report ? logger::find(event.report->fields, key) : nullptr;
  return found == nullptr ? Term("there is no such field") : *found;
}

inline bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

inline ExitReason await_end_of(const Reference& reference) {
  return receive(when([reference](const Down& down) { return down.reference == reference; },
                      [](const Down& down) { return down.reason; }));
}

}  // namespace conformance
