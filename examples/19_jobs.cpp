// SPDX-License-Identifier: Apache-2.0
//
// Jobs: work that is done later, again after a failure, and in order for each key. The queue lies in SQLite.
#include <coppice/jobs.hpp>
#include <coppice/print.hpp>
#include <coppice/runtime.hpp>
#include <coppice/supervisor.hpp>
using namespace coppice;

struct SendMail : Worker<SendMail> {
  struct Args {
    std::string to, subject;
    static constexpr auto fields = names("to", "subject");
  };
  static constexpr std::string_view queue = "mail";
  static constexpr int max_attempts = 3;
  static constexpr Backoff backoff{.first = 50ms};

  JobResult perform(const Args& mail, const Job& job) {
    if (mail.to == "nobody") return cancel("no_such_address"_atom);
    if (mail.to == "ann" && job.attempt == 1) return error("smtp_down");
    print("to {}: {} (attempt {})\n", mail.to, mail.subject, job.attempt);
    return ok();
  }
};

int main() {
  return coppice::run([] {
    // ":memory:" for the example; a file keeps the jobs over a restart of the program.
    const auto jobs = child<Jobs>({.database = ":memory:", .queues = {{"mail", 5}}, .workers = workers<SendMail>()});
    Supervisor::start_link({jobs}).value();

    Jobs::insert<SendMail>({"ann", "Welcome"}, {.key = "ann"}).value();
    Jobs::insert<SendMail>({"ann", "Your first invoice"}, {.key = "ann"}).value();  // waits for the first
    const JobId hopeless = Jobs::insert<SendMail>({"nobody", "Hello"}).value().id;
    while (Jobs::count({.state = JobState::completed}).value() < 2) sleep_for(10ms);
    Jobs::insert<SendMail>({"bob", "Reminder"}, {.schedule_in = 100ms}).value();

    while (Jobs::count({.state = JobState::completed}).value() < 3) sleep_for(10ms);
    const JobInfo info = Jobs::get(hopeless).value();
    print("{}: {} because of {}\n", info.args, to_string(info.state), info.last_error);
  });
}
