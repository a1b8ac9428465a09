// SPDX-License-Identifier: Apache-2.0
//
// The little JSON that the tour speaks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <coppice/supervisor.hpp>

namespace tour::json {

// {"error": text}
[[nodiscard]] std::string error(std::string_view text);
// {key: value}
[[nodiscard]] std::string object(std::string_view key, std::string_view value);
[[nodiscard]] std::string object(std::string_view key, std::int64_t value);
// The text under a key of an object; nullopt if `body` is no object, or has no text there.
[[nodiscard]] std::optional<std::string> text_of(std::string_view body, std::string_view key);
[[nodiscard]] std::string tree(const coppice::SupervisorTree& tree);

// An array of objects, made piece by piece.
class Array {
 public:
  Array();
  ~Array();
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  // Adds {key: value, key: value}.
  void add(std::string_view key, std::string_view value, std::string_view key2, std::string_view value2);
  [[nodiscard]] std::string text() const;

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace tour::json
