// SPDX-License-Identifier: Apache-2.0
//
// The environment of applications: values under keys, from the application's specification, from configuration files
// and variables, and from code.
//
//   int port = application::get_env<int>("my_app", "port", 4000);
//   application::put_env("my_app", "port", 4001);
//   application::load_config_file("my_app.toml").value();
//
// Every application has its own. Values are Terms; a read says what type it wants, and a value of another type is an
// error that names application, key, wanted and found. Later sources win (AP-007): the specification, then
// configuration files in the order of their loading, then variables of the environment, then the command line; two
// tables are merged key by key. What put_env has set is overwritten by whatever a later load brings, unless it was put
// as persistent.
//
// All functions may be called by any thread and never wait for a process: reading takes a shared lock, writing an
// exclusive one, so that what has been written is seen by all at once (AP-009, AP-014). Names of applications and keys
// are atoms; where one is asked for, "port" will do.
//
// A TOML file has a table for each application: `[my_app]`. Integers, floats, booleans and strings are what they are in
// a Term; dates and times are strings as they are written; arrays are lists, tables are maps whose keys are atoms.
//
// OTP: application:get_env and the like; Elixir: Application.get_env, Config; rules AP-007 to AP-014.
#pragma once

#include <chrono>
#include <concepts>
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

#include <coppice/atom.hpp>
#include <coppice/config.hpp>
#include <coppice/result.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

// An atom or its text, for names of applications and keys.
struct AtomText {
  Atom atom = {};
  AtomText() = default;
  AtomText(Atom a) noexcept : atom(a) {}                        // NOLINT: implicit on purpose
  AtomText(const char* text) : atom(std::string_view(text)) {}  // NOLINT
  AtomText(std::string_view text) : atom(text) {}               // NOLINT
  AtomText(const std::string& text) : atom(text) {}             // NOLINT
  friend bool operator==(const AtomText&, const AtomText&) noexcept = default;
};

// One value of an environment: `{"port", 4000}`.
struct EnvEntry {
  AtomText key;
  Term value;
  friend bool operator==(const EnvEntry&, const EnvEntry&) noexcept = default;
};

// A value that is not there, or is not what was asked for. what() is a full sentence. Elixir: ArgumentError.
class COPPICE_API ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(const std::string& sentence) : std::runtime_error(sentence) {}
};

namespace detail {

// How a T is read from the Term of an environment: whether and as what, and how T is called in a sentence.
template <class T>
struct EnvReader;

template <class T>
concept EnvInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <class T>
  requires std::same_as<T, Term>
struct EnvReader<T> {
  static std::optional<Term> read(const Term& value) { return value; }
  static std::string name() { return "a term"; }
};
template <>
struct EnvReader<bool> {
  static std::optional<bool> read(const Term& value) { return value.as_bool(); }
  static std::string name() { return "a boolean"; }
};
template <EnvInteger T>
struct EnvReader<T> {
  static std::optional<T> read(const Term& value) {
    if constexpr (std::is_signed_v<T>) {
      const std::optional<std::int64_t> number = value.as_int64();
      if (!number || *number < std::numeric_limits<T>::min() || *number > std::numeric_limits<T>::max()) return {};
      return static_cast<T>(*number);
    } else {
      const std::optional<std::uint64_t> number = value.as_uint64();
      if (!number || *number > std::numeric_limits<T>::max()) return {};
      return static_cast<T>(*number);
    }
  }
  static std::string name() {
    return "an integer of " + std::to_string(sizeof(T) * 8) + " bits" + (std::is_signed_v<T> ? "" : " without sign");
  }
};
// An integer will do: 5 is as good as 5.0 in a configuration file.
template <std::floating_point T>
struct EnvReader<T> {
  static std::optional<T> read(const Term& value) {
    if (const std::optional<double> number = value.as_double()) return static_cast<T>(*number);
    if (const std::optional<std::int64_t> number = value.as_int64()) return static_cast<T>(*number);
    return {};
  }
  static std::string name() { return "a number"; }
};
template <>
struct EnvReader<std::string> {
  static std::optional<std::string> read(const Term& value) {
    const std::optional<std::string_view> text = value.as_text();
    return text ? std::optional<std::string>(*text) : std::nullopt;
  }
  static std::string name() { return "a string"; }
};
// An atom, or the text of one: no file can hold an atom.
template <>
struct EnvReader<Atom> {
  static std::optional<Atom> read(const Term& value) {
    if (const std::optional<Atom> atom = value.as_atom()) return atom;
    const std::optional<std::string_view> text = value.as_text();
    return text ? std::optional<Atom>(Atom(*text)) : std::nullopt;
  }
  static std::string name() { return "an atom"; }
};
// Milliseconds.
template <class Rep, class Period>
struct EnvReader<std::chrono::duration<Rep, Period>> {
  using Duration = std::chrono::duration<Rep, Period>;
  static std::optional<Duration> read(const Term& value) {
    const std::optional<std::int64_t> number = value.as_int64();
    if (!number) return {};
    return std::chrono::duration_cast<Duration>(std::chrono::milliseconds(*number));
  }
  static std::string name() { return "an integer (milliseconds)"; }
};
// nil is nothing.
template <class T>
struct EnvReader<std::optional<T>> {
  static std::optional<std::optional<T>> read(const Term& value) {
    if (value.is_nil()) return std::optional<T>();
    std::optional<T> inner = EnvReader<T>::read(value);
    if (!inner) return {};
    return std::optional<std::optional<T>>(std::move(inner));
  }
  static std::string name() { return EnvReader<T>::name() + " or nil"; }
};
template <class T>
struct EnvReader<std::vector<T>> {
  static std::optional<std::vector<T>> read(const Term& value) {
    if (!value.is_proper_list()) return {};
    std::vector<T> elements;
    for (const Term& element : value.elements()) {
      std::optional<T> one = EnvReader<T>::read(element);
      if (!one) return {};
      elements.push_back(*std::move(one));
    }
    return elements;
  }
  static std::string name() { return "a list, each element " + EnvReader<T>::name(); }
};
// A table of a file.
template <class T>
struct EnvReader<std::map<std::string, T>> {
  static std::optional<std::map<std::string, T>> read(const Term& value) {
    if (!value.is_map()) return {};
    std::map<std::string, T> entries;
    const auto elements = value.elements();
    for (std::size_t i = 0; i + 1 < elements.size(); i += 2) {
      std::optional<T> one = EnvReader<T>::read(elements[i + 1]);
      if (!one) return {};
      entries.insert_or_assign(to_string(elements[i]), *std::move(one));
    }
    return entries;
  }
  static std::string name() { return "a table, each value " + EnvReader<T>::name(); }
};

[[nodiscard]] COPPICE_API std::optional<Term> find_env(Atom app, Atom key);
[[nodiscard]] COPPICE_API std::optional<Term> find_own_env(Atom key, Atom* app);
// "application my_app: the value of port is a string ("abc"), but an integer of 32 bits was asked for"
[[nodiscard]] COPPICE_API std::string wrong_type_sentence(Atom app, Atom key, const Term& found,
                                                          const std::string& wanted);
[[nodiscard]] COPPICE_API std::string missing_sentence(Atom app, Atom key);

template <class T>
T read_env(Atom app, Atom key, const Term& value) {
  std::optional<T> read = EnvReader<T>::read(value);
  if (!read) throw ConfigError(wrong_type_sentence(app, key, value, EnvReader<T>::name()));
  return *std::move(read);
}

}  // namespace detail

// What can be read from an environment: Term, bool, integers, floats (an integer will do), std::string, Atom (a string
// will do), durations (integers: milliseconds), and std::optional, std::vector and std::map<std::string, T> of these.
template <class T>
concept EnvValue = requires(const Term& value) { detail::EnvReader<T>::read(value); };

namespace application {

// -- reading ----------------------------------------------------------------------------------------------------------

// The value under the key, or `otherwise` (AP-008). Throws ConfigError if it is of another type.
template <EnvValue T>
[[nodiscard]] T get_env(AtomText app, AtomText key, std::type_identity_t<T> otherwise) {
  const std::optional<Term> value = detail::find_env(app.atom, key.atom);
  return value ? detail::read_env<T>(app.atom, key.atom, *value) : std::move(otherwise);
}
// The same without a default: nothing if it is not set.
template <EnvValue T = Term>
[[nodiscard]] std::optional<T> get_env(AtomText app, AtomText key) {
  const std::optional<Term> value = detail::find_env(app.atom, key.atom);
  if (!value) return std::nullopt;
  return detail::read_env<T>(app.atom, key.atom, *value);
}
// The value, or an error: `undefined` if it is not set, {:badarg, sentence} if it is of another type. Throws nothing of
// its own. Elixir: fetch_env.
template <EnvValue T = Term>
[[nodiscard]] Result<T> fetch_env(AtomText app, AtomText key) {
  const std::optional<Term> value = detail::find_env(app.atom, key.atom);
  if (!value) return error("undefined");
  using Reader = detail::EnvReader<T>;
  std::optional<T> read = Reader::read(*value);
  if (read) return *std::move(read);
  return error(ExitReason::badarg(detail::wrong_type_sentence(app.atom, key.atom, *value, Reader::name())));
}
// The value, which must be there: else throws ConfigError, whose sentence tells an application that is not loaded from
// a key that is not set. Elixir: fetch_env!.
template <EnvValue T = Term>
[[nodiscard]] T require_env(AtomText app, AtomText key) {
  const std::optional<Term> value = detail::find_env(app.atom, key.atom);
  if (!value) throw ConfigError(detail::missing_sentence(app.atom, key.atom));
  return detail::read_env<T>(app.atom, key.atom, *value);
}
// In the order of the keys; empty for an unknown application.
[[nodiscard]] COPPICE_API std::vector<EnvEntry> get_all_env(AtomText app);

// The same of the application that the calling process belongs to (AP-013), by its group leader: the default, or
// nothing, if it belongs to none. Erlang: application:get_env(Key).
template <EnvValue T>
[[nodiscard]] T own_env(AtomText key, std::type_identity_t<T> otherwise) {
  Atom app;
  const std::optional<Term> value = detail::find_own_env(key.atom, &app);
  return value ? detail::read_env<T>(app, key.atom, *value) : std::move(otherwise);
}
template <EnvValue T = Term>
[[nodiscard]] std::optional<T> own_env(AtomText key) {
  Atom app;
  const std::optional<Term> value = detail::find_own_env(key.atom, &app);
  if (!value) return std::nullopt;
  return detail::read_env<T>(app, key.atom, *value);
}

// -- writing ----------------------------------------------------------------------------------------------------------

struct PutOptions {
  bool persistent = false;  // wins over the specification on every later load, and survives unload (AP-011)
};

// Sets a value; the application need not be known (AP-009).
COPPICE_API void put_env(AtomText app, AtomText key, Term value, const PutOptions& options = {});

// The values of one application.
struct AppEnv {
  AtomText app;
  std::vector<EnvEntry> env;
};
// Sets values of several applications, all or none (AP-012). An application or a key that stands there twice is the
// error {:badarg, sentence}.
COPPICE_API Result<> put_all_env(const std::vector<AppEnv>& environments, const PutOptions& options = {});

// Removes a value; with `persistent` also what would bring it back.
COPPICE_API void delete_env(AtomText app, AtomText key, const PutOptions& options = {});

// -- configuration ----------------------------------------------------------------------------------------------------

inline constexpr std::size_t config_file_bytes_max = 1024 * 1024;

// Reads a TOML file with a table for each application: takes effect at once for those that are loaded, and for the
// others when they are. Nothing is applied if anything is wrong; then the error is {:bad_config, place}, a map with
// file, line and column (counted from 1; 0 if there is none) and a message. format_error(reason) is "app.toml:3:8:
// ...". At most config_file_bytes_max. Blocks the calling thread while it reads.
COPPICE_API Result<> load_config_file(const std::string& path);
// The same from a text; `name` stands in errors in place of the file.
COPPICE_API Result<> load_config(std::string_view toml, const std::string& name);

// Takes the variables of the environment that speak of the application: MY_APP__PORT is the key `port` of my_app, and
// MY_APP__HTTP__PORT the key `port` in the table `http`. A value is read as a value of TOML (4000, true, [1, 2],
// "a\tb"); one that is none is a string as it stands.
COPPICE_API void load_config_variables(AtomText app);

// One assignment as on the command line: "my_app.port=4000"; further dots lead into tables. The value as that of a
// variable. Error: {:bad_config, place}, without a line.
COPPICE_API Result<> set_config(std::string_view assignment);

// -- reasons for people ----------------------------------------------------------------------------------------------

// A sentence for the errors of this and the next header; any other reason as format_exit has it. Elixir: format_error.
[[nodiscard]] COPPICE_API std::string format_error(const ExitReason& reason);

}  // namespace application
}  // namespace v1
}  // namespace coppice
