// SPDX-License-Identifier: Apache-2.0
#include "file_watcher.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "counter.hpp"
#include "terminal.hpp"

namespace tour {

using namespace coppice;

namespace {

constexpr auto interval = 100ms;
constexpr int last_lines = 5;                     // of a file that is there already
constexpr std::size_t line_bytes_max = 4096;      // the rest of a longer line is left out
constexpr std::size_t check_bytes_max = 1 << 20;  // then other messages have their turn

bool same_file(const struct ::stat& one, const struct ::stat& other) noexcept {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void File::close() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

FileWatcher::FileWatcher(std::filesystem::path path)
    : path_(std::move(path)), shown_(printable(path_.filename().string())) {}

FileWatcher::Init FileWatcher::init() {
  open(Start::at_the_last_lines);
  if (file_) tell("watching {}", shown_);
  send(self(), Check{});
  return ok();
}

void FileWatcher::handle_info(Check) {
  if (file_) read_new_lines();
  if (!more_) look_for_another_file();
  send_after(self(), Check{}, more_ ? 0ms : interval);
}

void FileWatcher::terminate(const ExitReason&) {
  if (file_) read_new_lines();
  file_.close();
  tell("no longer watching {}", shown_);
}

void FileWatcher::open(Start start) {
  // Not blocking: what has this name by now may be a pipe without a writer.
  File file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file || ::fstat(file.get(), &identity_) != 0) return complain("cannot read", errno);
  if (!S_ISREG(identity_.st_mode)) return complain("cannot follow", S_ISDIR(identity_.st_mode) ? EISDIR : ESPIPE);
  file_ = std::move(file);
  line_.clear();
  cut_ = false;
  complaint_.clear();
  offset_ = start == Start::at_the_beginning ? 0 : start_of_last_lines(identity_.st_size);
}

// Has our file been emptied, or does another one have its name?
void FileWatcher::look_for_another_file() {
  struct ::stat now {};
  if (file_ && ::fstat(file_.get(), &now) == 0 && now.st_size < offset_) {
    tell("{} has been emptied", shown_);
    offset_ = 0;
    line_.clear();
    cut_ = false;
    more_ = true;
    return;
  }
  const bool there = ::stat(path_.c_str(), &now) == 0;
  if (file_ && there && same_file(now, identity_)) return;
  if (file_ && !there) return complain("is gone:", errno);  // what still holds it may append to it
  if (file_) {
    tell("{} is another file now", shown_);
    if (!line_.empty()) show_line();
    file_.close();
    open(Start::at_the_beginning);
  } else {
    open(Start::at_the_beginning);
    if (file_) tell("{} is there now", shown_);
  }
  more_ = static_cast<bool>(file_);
}

void FileWatcher::read_new_lines() {
  std::array<char, 64 * 1024> bytes;
  more_ = false;
  for (std::size_t total = 0; total < check_bytes_max;) {
    const ssize_t count = ::pread(file_.get(), bytes.data(), bytes.size(), offset_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return complain("cannot read", errno);
    if (count == 0) return;
    offset_ += count;
    total += static_cast<std::size_t>(count);
    take({bytes.data(), static_cast<std::size_t>(count)});
  }
  more_ = true;
}

void FileWatcher::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    const std::size_t room = line_bytes_max - line_.size();
    cut_ = cut_ || part.size() > room;
    line_.append(part.substr(0, room));
    if (end == std::string_view::npos) return;
    show_line();
    bytes.remove_prefix(end + 1);
  }
}

void FileWatcher::show_line() {
  if (line_.ends_with('\r')) line_.pop_back();
  tell("{}: {}{}", shown_, printable(line_), cut_ ? " ..." : "");
  line_.clear();
  cut_ = false;
  ++lines_;
  Counter::increment();
}

void FileWatcher::complain(std::string_view what, int error) {
  std::string complaint = error == ENOENT && !file_
                              ? format("waiting for {} to appear", shown_)
                              : format("{} {}: {}", what, shown_, std::generic_category().message(error));
  if (error == ENOENT && file_) complaint = format("{} has been removed or renamed", shown_);
  if (complaint == complaint_) return;
  complaint_ = std::move(complaint);
  tell("{}", complaint_);
}

// Where the last few lines of what is there begin, so that whoever appended just before we came is not overlooked.
std::int64_t FileWatcher::start_of_last_lines(std::int64_t size) const {
  std::array<char, 4096> bytes;
  const std::int64_t begin = std::max<std::int64_t>(0, size - static_cast<std::int64_t>(bytes.size()));
  const ssize_t count = ::pread(file_.get(), bytes.data(), static_cast<std::size_t>(size - begin), begin);
  if (count <= 0) return size;
  int lines = 0;
  for (ssize_t i = count - 1; i > 0; --i) {
    if (bytes[static_cast<std::size_t>(i - 1)] == '\n' && ++lines == last_lines) return begin + i;
  }
  return begin;
}

}  // namespace tour
