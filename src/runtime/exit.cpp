// SPDX-License-Identifier: Apache-2.0
#include <coppice/exit.hpp>
#include <coppice/result.hpp>

namespace coppice {
inline namespace v1 {

Error error(const char* atom) { return {ExitReason(Atom(atom))}; }

namespace detail {
void throw_bad_match(const ExitReason& reason) {
  throw Exit(ExitReason(tuple(Atom("badmatch"), tuple(Atom("error"), reason))));
}
}  // namespace detail

// `{cause, {Module, :call, [...]}}` is how the reason of a failed call is built.
ExitReason Exit::cause() const {
  if (failure_.server.empty()) return reason_;
  const Term term = reason_.term();
  if (term.kind() == TermKind::tuple && term.size() == 2) return ExitReason(term[0]);
  return reason_;
}

std::string Exit::message() const {
  std::string text = format_exit(reason_);
  if (failure_.server.empty()) return text;
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(failure_.waited).count();
  text += "\n    server: " + failure_.server;
  const std::string pid = failure_.pid ? inspect(failure_.pid) : std::string();
  if (!pid.empty() && pid != failure_.server) text += " " + pid;
  text += "\n    request: " + failure_.request + ", waited " + std::to_string(waited) + " ms";
  text += "\n    its mailbox: " + std::to_string(failure_.queue_length) + " messages";
  text += "\n    it was " + (failure_.doing.empty() ? std::string("idle or gone") : "handling " + failure_.doing);
  return text;
}

}  // namespace v1
}  // namespace coppice
