// SPDX-License-Identifier: Apache-2.0
#include "application/callbacks.hpp"

#include <coppice/receive.hpp>

#include "logger/application_reports.hpp"
#include "runtime/death.hpp"
#include "runtime/wait.hpp"

namespace coppice::otp {

Term start_call(Atom module, const StartType& type) {
  return tuple(module, "start"_atom, list(type.to_term(), Term::list_of({})));
}

ExitReason crashed_start(const Term& call, const ExitReason& reason) {
  const Term exit = tuple("EXIT"_atom, reason);
  if (reason.is_normal()) return ExitReason(tuple(exit, call));
  return ExitReason(tuple("bad_return"_atom, tuple(call, exit)));
}

namespace {

// What `callback` threw; nothing if it returned. A process that is told to leave leaves.
template <class F>
std::optional<ExitReason> thrown_by(F&& callback) {
  try {
    callback();
    return std::nullopt;
  } catch (const Exit& exit) {
    return exit.reason();
  } catch (const runtime::LeaveStack&) {
    throw;
  } catch (...) {
    return runtime::reason_of_current_exception();
  }
}

class Callbacks {
 public:
  Callbacks(const MasterJob& job, const Pid& master) : job_(job), master_(master) {}

  void run() {
    if (std::optional<ExitReason> failure = begin()) {
      send(master_, Failed{*std::move(failure)});
      return;
    }
    send(master_, Begun{child_});
    wait_for_end();
  }

 private:
  std::optional<ExitReason> begin() {
    const Term call = start_call(module(), job_.type);
    std::optional<ChildOutcome> started;
    const std::optional<ExitReason> thrown = thrown_by([&] {
      object_ = job_.loaded.module->make();
      started.emplace(object_->start(job_.type));
    });
    if (thrown) return crashed_start(call, *thrown);
    const StartOutcome& outcome = started->outcome;
    if (outcome.kind == StartOutcome::Kind::error) return ExitReason(tuple(outcome.reason, call));
    if (outcome.kind == StartOutcome::Kind::ignore) {
      return ExitReason(tuple("bad_return"_atom, tuple(call, "ignore"_atom)));
    }
    child_ = outcome.pid;
    link(child_);  // AP-018; an end that came before shows as an exit message with `noproc`
    std::optional<ExitReason> failure = run_phases();
    if (failure) end_tree();  // AP-028
    return failure;
  }

  // AP-026, AP-027, AP-029.
  std::optional<ExitReason> run_phases() {
    const ApplicationSpec& spec = job_.loaded.spec;
    std::vector<std::unique_ptr<detail::ApplicationInstance>> parts(job_.included.size());
    for (const StartPhase& phase : spec.start_phases) {
      if (auto failure = run_phase(*object_, module(), phase)) return failure;
      for (std::size_t i = 0; spec.start_included && i < parts.size(); ++i) {
        const Applications::Loaded& part = job_.included[i];
        if (part.is_library()) continue;
        for (const StartPhase& own : part.spec.start_phases) {
          if (own.phase != phase.phase) continue;
          if (parts[i] == nullptr) parts[i] = part.module->make();
          if (auto failure = run_phase(*parts[i], part.module->module(), own)) return failure;
        }
      }
    }
    return std::nullopt;
  }

  std::optional<ExitReason> run_phase(detail::ApplicationInstance& object, Atom of, const StartPhase& phase) {
    const Term call = tuple(of, "start_phase"_atom, list(phase.phase.atom, job_.type.to_term(), phase.argument));
    Term value;
    const std::optional<ExitReason> thrown =
        thrown_by([&] { value = object.start_phase(phase.phase.atom, job_.type, phase.argument); });
    if (thrown) value = tuple("EXIT"_atom, *thrown);
    if (value.is_atom("ok"_atom)) return std::nullopt;
    if (value.is_tuple(2) && value[0].is_atom("error"_atom)) return ExitReason(tuple(value[1], call));
    return ExitReason(tuple("bad_return_value"_atom, tuple(call, value)));
  }

  // Whatever else arrives is dropped: nobody else has business with this process.
  void wait_for_end() {
    for (;;) {
      std::optional<ExitReason> ended;  // the tree by itself
      bool asked = false;
      receive([&](const StopRequest&) { asked = true; },
              [&](const ExitMessage& message) {
                if (message.pid == child_) ended = message.reason;
                if (message.pid == master_) asked = true;
              },
              [](const Term&) {});
      if (asked) {
        before_stop();
        end_tree();
        after_stop();
        return;
      }
      if (ended) {  // AP-035
        before_stop();
        after_stop();
        throw Exit(*ended);
      }
    }
  }

  void before_stop() {
    if (const auto thrown = thrown_by([&] { object_->prep_stop(); })) {
      logging::prep_stop_failed_report(module(), *thrown);
    }
  }
  void after_stop() {
    static_cast<void>(thrown_by([&] { object_->stop(); }));
  }

  // Without limit: whoever waits for us has one (AP-043).
  void end_tree() {
    const Reference watch = monitor(child_);
    coppice::exit(child_, ExitReason::shutdown());
    receive(when([&](const Down& down) { return down.reference == watch; }, [](const Down&) {}));
  }

  [[nodiscard]] Atom module() const { return job_.loaded.module->module(); }

  const MasterJob& job_;
  const Pid master_;
  std::unique_ptr<detail::ApplicationInstance> object_;
  Pid child_;
};

}  // namespace

void run_callbacks(const MasterJob& job, const Pid& master) {
  trap_exit(true);
  Callbacks(job, master).run();
}

}  // namespace coppice::otp
