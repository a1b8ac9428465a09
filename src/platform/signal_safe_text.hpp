// SPDX-License-Identifier: Apache-2.0
//
// Text for signal handlers: a fixed buffer, no allocation, no locale. What does not fit is cut.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace coppice::platform {

class SignalSafeText {
 public:
  SignalSafeText& text(const char* words) noexcept {
    while (words != nullptr && *words != '\0') character(*words++);
    return *this;
  }

  SignalSafeText& character(char c) noexcept {
    if (length_ + 1 < sizeof buffer_) buffer_[length_++] = c;
    buffer_[length_] = '\0';
    return *this;
  }

  SignalSafeText& decimal(std::uint64_t value) noexcept { return number(value, 10); }

  SignalSafeText& hexadecimal(std::uint64_t value) noexcept { return text("0x").number(value, 16); }

  // Writes everything to the descriptor and begins anew. A descriptor that takes nothing more is given up on.
  void write_to(int descriptor) noexcept {
    std::size_t done = 0;
    while (done < length_) {
      const ssize_t written = ::write(descriptor, buffer_ + done, length_ - done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) break;
      done += static_cast<std::size_t>(written);
    }
    length_ = 0;
    buffer_[0] = '\0';
  }

  [[nodiscard]] const char* c_str() const noexcept { return buffer_; }
  [[nodiscard]] bool empty() const noexcept { return length_ == 0; }

 private:
  SignalSafeText& number(std::uint64_t value, unsigned base) noexcept {
    char digits[24];
    std::size_t count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0) character(digits[--count]);
    return *this;
  }

  char buffer_[1024] = {};
  std::size_t length_ = 0;
};

}  // namespace coppice::platform
