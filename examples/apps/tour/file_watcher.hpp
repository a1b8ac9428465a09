// SPDX-License-Identifier: Apache-2.0
//
// FileWatcher: follows a text file that others append to, and shows each new line when it is complete. The file need
// not exist yet; it may be emptied, removed, or replaced by another one of the same name (as log rotation does).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <coppice/gen_server.hpp>

namespace tour {

// An open file; closed when it goes.
class File {
 public:
  File() = default;
  explicit File(int descriptor) noexcept : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  File& operator=(File&& other) noexcept;
  ~File() { close(); }
  void close() noexcept;
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] explicit operator bool() const noexcept { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

class FileWatcher : public coppice::GenServer<FileWatcher> {
 public:
  struct Check {};
  struct CountLines {
    using Reply = std::uint64_t;
  };                                       // shown so far
  static constexpr bool trap_exit = true;  // so that terminate runs when the tour ends
  static constexpr coppice::Name<FileWatcher> name{"FileWatcher"};

  explicit FileWatcher(std::filesystem::path path);
  Init init();
  void handle_info(Check);
  std::uint64_t handle_call(CountLines) const { return lines_; }
  void terminate(const coppice::ExitReason&);

 private:
  enum class Start { at_the_beginning, at_the_last_lines };

  void open(Start start);
  void look_for_another_file();
  void read_new_lines();
  void take(std::string_view bytes);
  void show_line();
  void complain(std::string_view what, int error);
  [[nodiscard]] std::int64_t start_of_last_lines(std::int64_t size) const;

  std::filesystem::path path_;
  std::string shown_;  // its name in what we show
  File file_;
  struct ::stat identity_ {};
  std::int64_t offset_ = 0;  // how far we have read
  std::string line_;         // the beginning of a line whose end has not been written yet
  bool cut_ = false;         // ... of which the rest is left out
  bool more_ = false;        // the last check left something unread
  std::string complaint_;    // the last one, so that each is shown once
  std::uint64_t lines_ = 0;
};

}  // namespace tour
