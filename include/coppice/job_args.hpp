// SPDX-License-Identifier: Apache-2.0
//
// The arguments of jobs as JSON text, written and read by reflection: what lies in the database between the program
// that inserts a job and the one that performs it, perhaps after an update.
//
//   struct Args { std::string to; int copies = 1; static constexpr auto fields = names("to", "copies"); };
//   {"to":"ann@example.org","copies":1}           without names: ["ann@example.org",1]
//
// Taken are bool, integers, enumerations (as integers), double, std::string, durations (as their count), optional,
// std::vector, std::map with text as key, and aggregates of these. Reading is made for change: a field that is missing
// keeps its default, a named one that nobody knows is skipped. Whatever else does not fit throws std::invalid_argument.
// What is written in a file of the user's own should have names.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/config.hpp>
#include <coppice/reflect.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

COPPICE_API void write_json_text(std::string& out, std::string_view text);
COPPICE_API void write_json_integer(std::string& out, std::int64_t value);
COPPICE_API void write_json_double(std::string& out, double value);

// Reads a text from left to right; nesting of at most 100.
class COPPICE_API JsonReader {
 public:
  explicit JsonReader(std::string_view text) noexcept : text_(text) {}
  [[nodiscard]] bool take(char c);  // if it comes next, blanks aside
  [[nodiscard]] bool take_word(std::string_view word);
  void expect(char c);
  void enter();  // one level deeper
  void leave() noexcept { --depth_; }
  [[nodiscard]] std::string text();
  [[nodiscard]] std::int64_t integer();
  [[nodiscard]] double number();
  void skip();  // one value, whatever it is
  void end();   // nothing may follow
  [[noreturn]] void fail(std::string_view wanted) const;

 private:
  char next();
  void append_escape(std::string& out);
  unsigned hex4();
  std::string_view number_text();
  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

template <class T>
struct is_json_optional : std::false_type {};
template <class T>
struct is_json_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_json_vector : std::false_type {};
template <class T>
struct is_json_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_json_map : std::false_type {};
template <class T>
struct is_json_map<std::map<std::string, T>> : std::true_type {};
template <class T>
struct is_json_duration : std::false_type {};
template <class R, class P>
struct is_json_duration<std::chrono::duration<R, P>> : std::true_type {};

template <class T>
void write_json(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    if (!std::in_range<std::int64_t>(value)) throw std::invalid_argument("an integer of a job is too big");
    write_json_integer(out, static_cast<std::int64_t>(value));
  } else if constexpr (std::is_enum_v<T>) {
    write_json(out, static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    write_json_double(out, static_cast<double>(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    write_json_text(out, value);
  } else if constexpr (is_json_duration<T>::value) {
    write_json(out, value.count());
  } else if constexpr (is_json_optional<T>::value) {
    if (value) {
      write_json(out, *value);
    } else {
      out += "null";
    }
  } else if constexpr (is_json_vector<T>::value) {
    char before = '[';
    for (const typename T::value_type& element : value) out += std::exchange(before, ','), write_json(out, element);
    out += value.empty() ? "[]" : "]";
  } else if constexpr (is_json_map<T>::value) {
    char before = '{';
    for (const auto& [key, mapped] : value) {
      out += std::exchange(before, ',');
      write_json_text(out, key);
      out += ':';
      write_json(out, mapped);
    }
    out += value.empty() ? "{}" : "}";
  } else {
    static_assert(Reflectable<T>, "the arguments of a job are aggregates, text, numbers, and containers of these");
    constexpr bool named = HasFieldNames<T>;
    char before = named ? '{' : '[';
    for_each_field(value, [&](std::string_view name, const auto& field) {
      out += std::exchange(before, ',');
      if constexpr (named) {
        write_json_text(out, name);
        out += ':';
      }
      write_json(out, field);
    });
    if (before != ',') out += before;
    out += named ? '}' : ']';
  }
}

template <class T>
void read_json(JsonReader& in, T& value);

template <class F>
void read_json_elements(JsonReader& in, char close, F&& element) {
  in.enter();
  if (!in.take(close)) {
    do {
      element();
    } while (in.take(','));
    in.expect(close);
  }
  in.leave();
}

template <class T>
void read_json_aggregate(JsonReader& in, T& value) {
  if constexpr (HasFieldNames<T>) {
    in.expect('{');
    read_json_elements(in, '}', [&] {
      const std::string key = in.text();
      in.expect(':');
      bool known = false;
      for_each_field(value, [&](std::string_view name, auto& field) {
        if (!known && name == key) known = true, read_json(in, field);
      });
      if (!known) in.skip();
    });
  } else {
    in.expect('[');
    std::size_t at = 0;
    read_json_elements(in, ']', [&] {
      std::size_t index = 0;
      for_each_field(value, [&](std::string_view, auto& field) {
        if (index++ == at) read_json(in, field);
      });
      if (at++ >= index) in.fail("no more fields");
    });
  }
}

template <class T>
void read_json(JsonReader& in, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (in.take_word("true")) {
      value = true;
    } else if (in.take_word("false")) {
      value = false;
    } else {
      in.fail("true or false");
    }
  } else if constexpr (std::is_integral_v<T>) {
    const std::int64_t integer = in.integer();
    if (!std::in_range<T>(integer)) in.fail("an integer that fits its type");
    value = static_cast<T>(integer);
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> number{};
    read_json(in, number);
    value = static_cast<T>(number);
  } else if constexpr (std::is_floating_point_v<T>) {
    value = static_cast<T>(in.number());
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = in.text();
  } else if constexpr (is_json_duration<T>::value) {
    typename T::rep count{};
    read_json(in, count);
    value = T(count);
  } else if constexpr (is_json_optional<T>::value) {
    if (in.take_word("null")) {
      value.reset();
    } else {
      read_json(in, value.emplace());
    }
  } else if constexpr (is_json_vector<T>::value) {
    value.clear();
    in.expect('[');
    read_json_elements(in, ']', [&] {
      typename T::value_type element{};
      read_json(in, element);
      value.push_back(std::move(element));
    });
  } else if constexpr (is_json_map<T>::value) {
    value.clear();
    in.expect('{');
    read_json_elements(in, '}', [&] {
      const std::string key = in.text();
      in.expect(':');
      read_json(in, value[key]);
    });
  } else {
    read_json_aggregate(in, value);
  }
}

}  // namespace detail

// The text of arguments. Throws std::invalid_argument for a double that is no number.
template <class Args>
[[nodiscard]] std::string write_job_args(const Args& args) {
  std::string text;
  detail::write_json(text, args);
  return text;
}
// The arguments from their text.
template <class Args>
[[nodiscard]] Args read_job_args(std::string_view text) {
  Args args{};
  detail::JsonReader in(text);
  detail::read_json(in, args);
  in.end();
  return args;
}

}  // namespace v1
}  // namespace coppice
