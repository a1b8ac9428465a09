// SPDX-License-Identifier: Apache-2.0
#include "application/decision.hpp"

#include <algorithm>
#include <set>

namespace coppice::otp {

bool end_ends_node(RestartType type, const ExitReason& reason) {
  switch (type) {
    case RestartType::temporary: return false;
    case RestartType::transient: return !reason.is_normal();
    case RestartType::permanent: return true;
  }
  return false;
}

// The failure that is excused is {{:EXIT, :normal}, call}: `start` ended its process with `normal`.
bool failed_start_ends_node(RestartType type, const ExitReason& reason) {
  if (type == RestartType::temporary) return false;
  if (type == RestartType::permanent) return true;
  const Term term = reason.term();
  return !(term.is_tuple(2) && term[0] == tuple("EXIT"_atom, "normal"_atom));
}

namespace {

class Sorter {
 public:
  Sorter(const std::function<const Dependencies*(Atom)>& known, const std::function<bool(Atom)>& is_started)
      : known_(known), is_started_(is_started) {}

  // False when there is a circle.
  bool visit(Atom app) {
    if (done_.contains(app) || is_started_(app)) return true;
    const auto on_path = std::find(path_.begin(), path_.end(), app);
    if (on_path != path_.end()) {
      result.circle.assign(on_path, path_.end());
      result.circle.push_back(app);
      result.order.clear();
      return false;
    }
    path_.push_back(app);
    if (const Dependencies* dependencies = known_(app)) {
      for (const Atom needed : dependencies->required) {
        if (!visit(needed)) return false;
      }
      for (const Atom wished : dependencies->optional) {
        if (known_(wished) != nullptr && !visit(wished)) return false;
      }
    }
    path_.pop_back();
    done_.insert(app);
    result.order.push_back(app);
    return true;
  }

  StartOrder result;

 private:
  const std::function<const Dependencies*(Atom)>& known_;
  const std::function<bool(Atom)>& is_started_;
  std::vector<Atom> path_;
  std::set<Atom> done_;
};

}  // namespace

StartOrder start_order(const std::vector<Atom>& wanted, const std::function<const Dependencies*(Atom)>& known,
                       const std::function<bool(Atom)>& is_started) {
  Sorter sorter(known, is_started);
  for (const Atom app : wanted) {
    if (!sorter.visit(app)) break;
  }
  return std::move(sorter.result);
}

// -- the command line of `run` --------------------------------------------------------------------------------------

RunArguments parse_arguments(const std::vector<std::string>& arguments) {
  RunArguments parsed;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      parsed.rest.insert(parsed.rest.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (argument == "--help" || argument == "-h") {
      parsed.help = true;
      continue;
    }
    bool ours = false;
    for (const std::string option : {"--config", "--set"}) {
      auto& list = option == "--set" ? parsed.assignments : parsed.config_files;
      if (argument == option) {
        ours = true;
        if (i + 1 == arguments.size()) {
          parsed.error = option + (option == "--set" ? " wants an assignment: --set APP.KEY=VALUE"
                                                     : " wants a file: --config FILE");
          return parsed;
        }
        list.push_back(arguments[++i]);
      } else if (argument.starts_with(option + "=")) {
        ours = true;
        list.push_back(argument.substr(option.size() + 1));
      }
    }
    if (!ours) parsed.rest.push_back(argument);
  }
  return parsed;
}

// -- variables of the environment -----------------------------------------------------------------------------------

std::vector<std::string> variable_path(std::string_view app, std::string_view variable) {
  std::string prefix;
  for (const char c : app) prefix += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  prefix += "__";
  if (!variable.starts_with(prefix)) return {};
  std::string rest;
  for (const char c : variable.substr(prefix.size())) {
    rest += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  std::vector<std::string> path;
  for (std::size_t begin = 0;;) {
    const std::size_t end = rest.find("__", begin);
    path.push_back(rest.substr(begin, end == std::string::npos ? end : end - begin));
    if (path.back().empty()) return {};
    if (end == std::string::npos) return path;
    begin = end + 2;
  }
}

}  // namespace coppice::otp
