// SPDX-License-Identifier: Apache-2.0
//
// What the processes of a scenario report, as OTP's loggers see it: {:report, level, label, what}.
#include <memory>

#include <coppice/logger_handler.hpp>

#include "against_otp/play.hpp"

namespace against_otp {

using namespace coppice;

namespace {

constexpr const char* handler_id = "scenario";

const Term* field(const logger::Report& report, const char* key) { return logger::find(report.fields, Atom(key)); }

Term or_none(const Term* term) { return term == nullptr ? Term() : *term; }

// One entry of a list of pairs.
Term entry(const Term& pairs, const char* key) {
  for (const Term& pair : pairs.elements()) {
    if (pair[0].is_atom(Atom(key))) return pair[1];
  }
  return {};
}

// An error without the stack that stands behind it.
Term bare(const Term& reason) {
  const bool with_stack = reason.is_tuple(2) && reason[0].is_map() && reason[1].is_list();
  return with_stack ? reason[0] : reason;
}

// A dynamic supervisor's children have no id: OTP says :undefined, and Elixir leaves it out when it shows the report.
Term child_of(const Term& facts) {
  const Term id = entry(facts, "id");
  return tuple(id.is_nil() ? Term(Atom("undefined")) : id, entry(facts, "pid"));
}

// What is compared of a report: who failed and why, not how it is described.
Term told(const logger::Event& event) {
  const logger::Report& report = *event.report;
  Term what = bare(or_none(field(report, "reason")));
  if (const Term* started = field(report, "started")) what = child_of(*started);
  if (const Term* offender = field(report, "offender")) what = tuple(what, child_of(*offender));
  if (const Term* error = field(report, "error_info")) what = tuple((*error)[0], bare((*error)[1]));
  return tuple(Atom("report"), Atom(logger::to_string(event.level)), report.label, what);
}

class Teller : public logger::Handler {
 public:
  explicit Teller(Stage& stage) : stage_(stage) {}
  void log(const logger::Event& event) override {
    // A plain process has no label in OTP, and is reported by another process.
    if (event.report && !event.report->label[0].is_atom(Atom("emulator"))) stage_.tell(event.pid(), told(event));
  }
  [[nodiscard]] bool never_logs() const noexcept override { return true; }

 private:
  Stage& stage_;
};

}  // namespace

void Stage::tell_reports() {
  tells_reports_ = true;
  logger::set_primary_level(logger::Level::debug);
  logger::set_sasl_reports(true);
  (void)logger::set_handler_level("default", logger::Level::none);
  (void)logger::add_handler(handler_id, std::make_shared<Teller>(*this)).value();
}

void Stage::end_of_reports() {
  (void)logger::remove_handler(handler_id).value();
  (void)logger::set_handler_level("default", logger::Level::all);
  logger::set_sasl_reports(false);
  logger::set_primary_level(logger::Level::none);
}

const Steps& report_steps() {
  static const Steps all{{"reports", [](Player& player, const Line&) { player.stage().tell_reports(); }}};
  return all;
}

}  // namespace against_otp
