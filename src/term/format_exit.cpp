// SPDX-License-Identifier: Apache-2.0
//
// Elixir's Exception.format_exit/1: an exit reason as sentences. Left out is Elixir's advice on duplicate child ids,
// which is about its own syntax, and whether the module of an undefined function is available, which only its node
// knows.
#include <coppice/exit_reason.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "platform/trace.hpp"
#include "term/node.hpp"
#include "term/text.hpp"

namespace coppice::term {
namespace {

constexpr std::string_view indent = "    ";
constexpr std::size_t nesting_max = 64;

std::string format(const Term& reason, const std::string& joiner, std::size_t nesting);

// "(1, :a)" of a list, "/2" of a number.
std::string format_arity(const Term& arity) {
  if (!arity.is_list()) return "/" + inspect(arity);
  std::string text = "(";
  for (std::size_t i = 0; i < arity.size(); ++i) {
    if (i != 0) text += ", ";
    text += inspect(arity[i]);
  }
  return text + ")";
}

// Of a frame that holds the arguments, how many there are.
Term arity_of(const Term& arity) { return arity.is_list() ? Term(arity.size()) : arity; }

// "GenServer.call(...)"; nothing if this is no module, function and arity.
std::optional<std::string> format_mfa(const Term& module, const Term& function, const Term& arity) {
  const std::optional<Atom> module_name = module.as_atom();
  const std::optional<Atom> function_name = function.as_atom();
  const bool is_arity = arity.is_proper_list() || (arity.is_integer() && !arity.is_negative());
  if (!module_name || !function_name || !is_arity) return std::nullopt;
  std::string text;
  append_atom(text, *module_name);
  text.push_back('.');
  append_call(text, *function_name);
  return text + format_arity(arity);
}

// "lib/counter.ex:12: Counter.bump/1" for one entry of a stack trace that came from the BEAM.
std::optional<std::string> format_beam_frame(const Term& entry) {
  if (!entry.is_tuple(4) || !entry[3].is_list()) return std::nullopt;
  std::optional<std::string> call = format_mfa(entry[0], entry[1], entry[2]);
  if (!call) return std::nullopt;
  const Term* file = keyword_find(entry[3], "file"_atom);
  const Term* line = keyword_find(entry[3], "line"_atom);
  if (file == nullptr) return call;
  std::string place = to_string(*file);
  if (file->is_list()) {
    place.clear();
    for (const Term& c : file->elements()) place.push_back(static_cast<char>(c.as_int64().value_or('?')));
  }
  place += ":";
  if (line != nullptr && *line != Term(0)) place += inspect(*line) + ":";
  return place + " " + *call;
}

// The names and messages that Elixir gives to the errors of the BEAM itself. `first_frame` is where it was raised.
std::string error_banner(const Term& error, const Term& first_frame) {
  if (const Term* module = error.find("__struct__"_atom)) {
    const Term* message = error.find("message"_atom);
    const std::string text = message != nullptr && message->is_binary() ? to_string(*message) : inspect(error);
    return "** (" + inspect(*module) + ") " + text;
  }
  if (error.is_atom("badarg"_atom)) return "** (ArgumentError) argument error";
  if (error.is_atom("undef"_atom) || error.is_atom("function_clause"_atom)) {
    const std::string function = format_mfa(first_frame[0], first_frame[1], arity_of(first_frame[2])).value();
    if (error.is_atom("undef"_atom)) return "** (UndefinedFunctionError) function " + function + " is undefined";
    return "** (FunctionClauseError) no function clause matching in " + function;
  }
  if (error.is_atom("badarith"_atom)) return "** (ArithmeticError) bad argument in arithmetic expression";
  if (error.is_tuple(2) && error[0].is_atom("badmatch"_atom)) {
    return "** (MatchError) no match of right hand side value: " + inspect(error[1]);
  }
  if (error.is_tuple(2) && error[0].is_atom("case_clause"_atom)) {
    return "** (CaseClauseError) no case clause matching: " + inspect(error[1]);
  }
  return "** (ErlangError) Erlang error: " + inspect(error);
}

std::string with_frames(const std::string& banner, const std::vector<std::string>& frames, const std::string& joiner) {
  std::string text = "an exception was raised:" + joiner + banner;
  for (const std::string& frame : frames) text.append(joiner).append(indent).append(frame);
  return text;
}

std::string format_exception(const detail::ExceptionInfo& info, const std::string& joiner) {
  const bool is_plain = info.type.empty() || info.type == "std::runtime_error";
  const std::string banner = "** (" + (is_plain ? "RuntimeError" : info.type) + ") " + info.message;
  return with_frames(banner, info.stack.empty() ? std::vector<std::string>() : platform::symbolise(info.stack), joiner);
}

// {error, stack trace} from the BEAM; nothing if the second element is no stack trace.
std::optional<std::string> format_beam_exception(const Term& reason, const std::string& joiner) {
  if (!reason.is_tuple(2) || !reason[1].is_proper_list() || reason[1].empty()) return std::nullopt;
  std::vector<std::string> frames;
  for (const Term& entry : reason[1].elements()) {
    std::optional<std::string> frame = format_beam_frame(entry);
    if (!frame) return std::nullopt;
    frames.push_back(*std::move(frame));
  }
  return with_frames(error_banner(reason[0], reason[1][0]), frames, joiner);
}

// The reasons that have a sentence, and those of two elements that have a beginning of one.
struct Phrase {
  std::string_view atom;
  std::string_view text;
};
constexpr std::array phrases{
    Phrase{"normal", "normal"},
    Phrase{"shutdown", "shutdown"},
    Phrase{"calling_self", "process attempted to call itself"},
    Phrase{"timeout", "time out"},
    Phrase{"killed", "killed"},
    Phrase{"noconnection", "no connection"},
    Phrase{"noproc",
           "no process: the process is not alive or there's no process currently associated with the given name, "
           "possibly because its application isn't started"},
};
constexpr std::array pair_phrases{
    Phrase{"shutdown", "shutdown: "},
    Phrase{"already_started", "already started: "},
    Phrase{"bad_return_value", "bad return value: "},
    Phrase{"bad_call", "bad call: "},
    Phrase{"bad_cast", "bad cast: "},
    Phrase{"bad_start_spec", "bad child specification, invalid children: "},
};
constexpr std::array start_spec_phrases{
    Phrase{"invalid_child_spec", "invalid child specification: "},
    Phrase{"invalid_mfa", "invalid mfa: "},
    Phrase{"invalid_module", "invalid module: "},
    Phrase{"invalid_child_type", "invalid child type: "},
    Phrase{"invalid_restart_type", "invalid restart type: "},
    Phrase{"invalid_shutdown", "invalid shutdown: "},
    Phrase{"invalid_modules", "invalid modules: "},
};
constexpr std::array start_spec_endings{
    Phrase{"invalid_module", ". Must be an atom."},
    Phrase{"invalid_child_type", ". Must be :worker or :supervisor."},
    Phrase{"invalid_restart_type", ". Must be :permanent, :transient or :temporary."},
    Phrase{"invalid_shutdown", ". Must be an integer >= 0, :infinity or :brutal_kill."},
    Phrase{"invalid_modules", ". Must be a list of atoms or :dynamic."},
};
constexpr std::array supervisor_phrases{
    Phrase{"invalid_type", "invalid type: "},
    Phrase{"invalid_strategy", "invalid strategy: "},
    Phrase{"invalid_intensity", "invalid max_restarts (intensity): "},
    Phrase{"invalid_period", "invalid max_seconds (period): "},
    Phrase{"invalid_max_children", "invalid max_children: "},
    Phrase{"invalid_extra_arguments", "invalid extra_arguments: "},
};

template <class Phrases>
std::string_view find_phrase(const Phrases& list, const Term& atom) noexcept {
  const std::optional<Atom> name = atom.as_atom();
  if (!name) return {};
  for (const Phrase& phrase : list) {
    if (phrase.atom == name->text()) return phrase.text;
  }
  return {};
}

// Elixir's format_sup_spec: what is wrong with a child specification.
std::string format_start_spec(const Term& fault) {
  if (!fault.is_tuple(2)) return "got: " + inspect(fault);
  if (fault[0].is_atom("duplicate_child_name"_atom)) {
    return "more than one child specification has the id: " + inspect(fault[1]);
  }
  const std::string_view beginning = find_phrase(start_spec_phrases, fault[0]);
  if (beginning.empty()) return "got: " + inspect(fault);
  return std::string(beginning) + inspect(fault[1]) + std::string(find_phrase(start_spec_endings, fault[0]));
}

std::string format_supervisor_data(const Term& fault) {
  const std::string_view beginning = fault.is_tuple(2) ? find_phrase(supervisor_phrases, fault[0]) : std::string_view();
  if (beginning.empty()) return "got: " + inspect(fault);
  return std::string(beginning) + inspect(fault[1]);
}

// Elixir's format_exit_reason: what holds no further reason.
std::string format_plain(const Term& reason) {
  if (const std::string_view text = find_phrase(phrases, reason); !text.empty()) return std::string(text);
  if (!reason.is_tuple(2)) return inspect(reason);
  const Term& fact = reason[1];
  if (const std::string_view text = find_phrase(pair_phrases, reason[0]); !text.empty()) {
    return std::string(text) + inspect(fact);
  }
  if (reason[0].is_atom("nodedown"_atom) && fact.is_atom())
    return "no connection to " + std::string(fact.as_atom()->text());
  if (reason[0].is_atom("bad_return"_atom) && fact.is_tuple(3) && fact[0].is_atom() && fact[1].is_atom("init"_atom)) {
    return format_mfa(fact[0], fact[1], 1).value() + " returned a bad value: " + inspect(fact[2]);
  }
  if (reason[0].is_atom("start_spec"_atom)) return "bad child specification, " + format_start_spec(fact);
  if (reason[0].is_atom("supervisor_data"_atom)) {
    return "bad supervisor configuration, " + format_supervisor_data(fact);
  }
  return inspect(reason);
}

// {:shutdown, {:failed_to_start_child, child, reason}}, with {:EXIT, reason} or the bare reason.
bool is_failed_child(const Term& reason) noexcept {
  return reason.is_tuple(2) && reason.elements()[0].is_atom("shutdown"_atom) && reason.elements()[1].is_tuple(3) &&
         reason.elements()[1].elements()[0].is_atom("failed_to_start_child"_atom);
}

std::string format(const Term& reason, const std::string& joiner, std::size_t nesting) {
  if (nesting == nesting_max) return inspect(reason);
  const auto nested = [&](const Term& inner) {
    const std::string deeper = joiner + std::string(indent);
    return joiner + "** (EXIT) " + format(inner, deeper, nesting + 1);
  };
  if (const detail::ExceptionInfo* info = detail::exception_info(detail::TermAccess::node(reason))) {
    return format_exception(*info, joiner);
  }
  if (std::optional<std::string> text = format_beam_exception(reason, joiner)) return *std::move(text);
  if (is_failed_child(reason)) {
    const Term& child = reason[1][1];
    const Term& inner = reason[1][2];
    const bool is_exit = inner.is_tuple(2) && inner[0].is_atom("EXIT"_atom);
    return "shutdown: failed to start child: " + inspect(child) + nested(is_exit ? inner[1] : inner);
  }
  if (reason.is_tuple(2) && reason[1].is_tuple(3) && reason[1][2].is_proper_list() && reason[1][2].size() < 256) {
    if (const auto call = format_mfa(reason[1][0], reason[1][1], reason[1][2])) {
      return "exited in: " + *call + nested(reason[0]);
    }
  }
  return format_plain(reason);
}

}  // namespace
}  // namespace coppice::term

namespace coppice {
inline namespace v1 {

std::string format_exit(const ExitReason& reason) { return term::format(reason.term(), "\n    ", 0); }

}  // namespace v1
}  // namespace coppice
