// SPDX-License-Identifier: Apache-2.0
//
// Cleaning up: a server that follows a file, wakes itself up by timers, and closes the file whatever ends it.
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <unistd.h>

#include <coppice/gen_server.hpp>
#include <coppice/receive.hpp>
using namespace coppice;

struct NewLine {
  std::string text;
};

class FileWatcher : public GenServer<FileWatcher> {
 public:
  struct Check {};
  static constexpr bool trap_exit = true;  // as in OTP: only then does terminate run at a supervisor's shutdown
  FileWatcher(std::filesystem::path path, Pid reader) : path_(std::move(path)), reader_(reader) {}
  Init init() {
    file_.open(path_);
    if (!file_) return stop("enoent"_atom);
    send_after(self(), Check{}, interval);
    return ok();
  }
  void handle_info(Check) {
    read_new_lines();
    send_after(self(), Check{}, interval);
  }
  void terminate(const ExitReason& reason) {  // and destructors always run: RAII holds, trapping or not
    file_.close();
    println("the watcher has closed its file: {}", reason);
  }

 private:
  static constexpr auto interval = 20ms;  // a real one would be longer: 1s
  void read_new_lines();
  std::filesystem::path path_;
  Pid reader_;
  std::ifstream file_;
};

void FileWatcher::read_new_lines() {
  file_.clear();  // the end of the file, reached the last time
  std::streampos begin = file_.tellg();
  for (std::string line; std::getline(file_, line); begin = file_.tellg()) {
    if (file_.eof()) break;  // the end of this line has not been written yet
    send(reader_, NewLine{std::move(line)});
  }
  file_.clear();
  file_.seekg(begin);
}

int main() {
  return coppice::run([] {
    const auto path = std::filesystem::temp_directory_path() / format("coppice_example_10_{}", ::getpid());
    println("without a file: {}", FileWatcher::start(path, self()).reason());

    std::ofstream file(path);
    const ServerRef<FileWatcher> watcher = FileWatcher::start_link(path, self()).value();
    file << "one\ntwo\nthr" << std::flush;
    println("new line: {}", receive<NewLine>().text);
    println("new line: {}", receive<NewLine>().text);
    file << "ee\n" << std::flush;
    println("new line: {}", receive<NewLine>().text);

    // What a supervisor does to stop a child: it asks, and waits until the child is gone.
    const Reference gone = monitor(watcher);
    unlink(watcher);
    exit(watcher, ExitReason::shutdown());
    println("the watcher is gone: {}", receive(when([gone](const Down& down) { return down.reference == gone; },
                                                    [](Down down) { return down.reason; })));
    std::filesystem::remove(path);
  });
}
