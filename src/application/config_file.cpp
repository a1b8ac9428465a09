// SPDX-License-Identifier: Apache-2.0
#include "application/config_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <sstream>
#include <system_error>

// The parser and the destructors of its trees recurse, and may stand on the small stack of a process.
#define TOML_MAX_NESTED_VALUES 40
#include <toml++/toml.h>

namespace coppice::otp {

Error bad_config(const std::string& file, std::size_t line, std::size_t column, const std::string& sentence) {
  return {ExitReason(tuple("bad_config"_atom, map({{"file"_atom, file},
                                                   {"line"_atom, line},
                                                   {"column"_atom, column},
                                                   {"message"_atom, sentence}})))};
}

namespace {

constexpr const char* too_deep = "a key has more parts than tables may be nested";

// Something that TOML allows and we do not.
struct Refusal {
  toml::source_position place;
  std::string sentence;
};

Atom key_atom(const toml::key& key) {
  if (key.str().empty()) throw Refusal{key.source().begin, "a key must not be empty"};
  try {
    return Atom(key.str());
  } catch (const std::invalid_argument&) {
    throw Refusal{key.source().begin, "a key must be UTF-8 text of at most 255 characters"};
  }
}

template <class T>
std::string as_written(const toml::value<T>& value) {
  std::ostringstream text;
  text << value.get();
  return text.str();
}

// The line in which a key has more parts (a.b.c) than values may be nested; 0 if there is none. toml++ makes a table of
// each part, however many. Reads no more of TOML than what a dot may stand in: strings and comments.
std::size_t line_of_deep_key(std::string_view text) {
  std::size_t line = 1;
  std::size_t dots = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (c == '#') {
      while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
    } else if (c == '"' || c == '\'') {
      const bool long_one = text.substr(i, 3) == std::string(3, c);
      const std::string end(long_one ? 3 : 1, c);
      for (i += end.size(); i < text.size() && text.substr(i, end.size()) != end; ++i) {
        if (text[i] == '\n') {
          ++line;
          if (!long_one) break;
        }
        if (text[i] == '\\' && c == '"') ++i;
      }
      if (long_one) i += 2;
    } else if (c == '\n' || c == '=' || c == ',' || c == '{' || c == '[') {
      dots = 0;
    } else if (c == '.' && ++dots > TOML_MAX_NESTED_VALUES) {
      return line;
    }
  }
  return 0;
}

Values values_of(const toml::table& table);

Term term_of(const toml::node& node) {
  return node.visit([](const auto& typed) -> Term {
    using Type = std::remove_cvref_t<decltype(typed)>;
    if constexpr (std::is_same_v<Type, toml::table>) {
      std::vector<TermEntry> entries;
      for (auto& [key, value] : values_of(typed)) entries.push_back({key, value});
      return Term::map_of(std::move(entries));
    } else if constexpr (std::is_same_v<Type, toml::array>) {
      std::vector<Term> elements;
      for (const toml::node& element : typed) elements.push_back(term_of(element));
      return Term::list_of(std::move(elements));
    } else if constexpr (toml::is_date<Type> || toml::is_time<Type> || toml::is_date_time<Type>) {
      return Term(as_written(typed));
    } else {
      return Term(typed.get());
    }
  });
}

Values values_of(const toml::table& table) {
  Values values;
  for (const auto& [key, node] : table) values.insert_or_assign(key_atom(key), term_of(node));
  return values;
}

std::string sentence_of(const toml::parse_error& error) {
  std::string text(error.description());
  constexpr std::string_view prefix = "Error while parsing ";
  if (text.starts_with(prefix)) text = "wrong in a " + text.substr(prefix.size());
  return text;
}

}  // namespace

Result<Configuration> parse_config(std::string_view text, const std::string& name) {
  if (text.size() > application::config_file_bytes_max) {
    return bad_config(name, 0, 0, "a configuration has at most " + std::to_string(application::config_file_bytes_max) +
                                      " bytes, this one has " + std::to_string(text.size()));
  }
  if (const std::size_t line = line_of_deep_key(text)) return bad_config(name, line, 1, too_deep);
  try {
    const toml::table root = toml::parse(text, std::string_view(name));
    Configuration configuration;
    for (const auto& [key, node] : root) {
      const Atom app = key_atom(key);
      const toml::table* table = node.as_table();
      if (table == nullptr) {
        throw Refusal{key.source().begin, "\"" + std::string(key.str()) +
                                              "\" stands outside of any table: the values of an application stand "
                                              "below [its_name]"};
      }
      configuration.insert_or_assign(app, values_of(*table));
    }
    return configuration;
  } catch (const toml::parse_error& error) {
    return bad_config(name, error.source().begin.line, error.source().begin.column, sentence_of(error));
  } catch (const Refusal& refusal) {
    return bad_config(name, refusal.place.line, refusal.place.column, refusal.sentence);
  }
}

Result<std::string> read_config_file(const std::string& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (code) return bad_config(path, 0, 0, "the file cannot be read: " + code.message());
  if (std::filesystem::is_directory(status)) return bad_config(path, 0, 0, "this is a directory and no file");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return bad_config(path, 0, 0, std::string("the file cannot be read: ") + std::strerror(errno));
  std::string text;
  char buffer[16 * 1024];
  while (text.size() <= application::config_file_bytes_max) {
    const std::size_t count = std::fread(buffer, 1, sizeof(buffer), file.get());
    if (count == 0) break;
    text.append(buffer, count);
  }
  if (std::ferror(file.get()) != 0) return bad_config(path, 0, 0, "the file cannot be read to its end");
  if (text.size() > application::config_file_bytes_max) {
    return bad_config(path, 0, 0, "a configuration has at most " + std::to_string(application::config_file_bytes_max) +
                                      " bytes, this file has more");
  }
  return text;
}

Term parse_config_value(std::string_view text) {
  if (text.size() <= application::config_file_bytes_max && line_of_deep_key(text) == 0) {
    try {
      const toml::table table = toml::parse("value = " + std::string(text));
      const toml::node* value = table.get("value");
      if (value != nullptr && table.size() == 1) return term_of(*value);  // no second line hides in it
    } catch (const toml::parse_error&) {
    } catch (const Refusal&) {
    }
  }
  return Term(text);
}

Result<Assignment> parse_assignment(std::string_view text) {
  const auto wrong = [&](const std::string& sentence) {
    return bad_config("--set " + std::string(text), 0, 0, sentence);
  };
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return wrong("an assignment is APP.KEY=VALUE");
  std::vector<std::string> path;
  const std::string_view left = text.substr(0, equals);
  for (std::size_t begin = 0;;) {
    const std::size_t end = left.find('.', begin);
    path.emplace_back(left.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (path.back().empty()) return wrong("an assignment is APP.KEY=VALUE, and no part of APP.KEY is empty");
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
  if (path.size() > TOML_MAX_NESTED_VALUES) return bad_config("--set " + path.front(), 0, 0, too_deep);
  if (path.size() < 2) return wrong("an assignment names an application and a key: APP.KEY=VALUE");
  try {
    const Atom app{std::string_view(path.front())};
    path.erase(path.begin());
    return Assignment{app, nested(path, parse_config_value(text.substr(equals + 1)))};
  } catch (const std::invalid_argument&) {
    return wrong("names must be UTF-8 text of at most 255 characters");
  }
}

}  // namespace coppice::otp
