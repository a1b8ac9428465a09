// SPDX-License-Identifier: Apache-2.0
#include <coppice/exit_reason.hpp>

#include <ostream>

#include "term/node.hpp"
#include "term/preset_atoms.hpp"

namespace coppice {
inline namespace v1 {

using detail::TermAccess;

namespace {

bool is_box(const detail::TermNode* node) noexcept { return (node->flags & detail::flag_box) != 0; }

// %RuntimeError{message: what}, which is what Elixir has for an exception that only has a text.
Term runtime_error(std::string_view what) {
  return map({{"__exception__"_atom, true}, {"__struct__"_atom, "Elixir.RuntimeError"_atom}, {"message"_atom, what}});
}

}  // namespace

// -- making --

ExitReason::ExitReason(Atom atom) noexcept {
  if (atom != term::preset(term::Preset::normal)) word_ = reinterpret_cast<std::uintptr_t>(atom.data()) | 1;
}

ExitReason::ExitReason(Term term) {
  if (const std::optional<Atom> atom = term.as_atom()) {
    *this = ExitReason(*atom);
    return;
  }
  const detail::TermNode* node = TermAccess::counted(term)
                                     ? TermAccess::release(std::move(term))
                                     : detail::make_terms_node(TermKind::tuple, detail::flag_box, {&term, 1});
  word_ = reinterpret_cast<std::uintptr_t>(node);
}

ExitReason ExitReason::shutdown() noexcept { return term::preset(term::Preset::shutdown); }
ExitReason ExitReason::killed() noexcept { return term::preset(term::Preset::killed); }
ExitReason ExitReason::kill() noexcept { return term::preset(term::Preset::kill); }
ExitReason ExitReason::noproc() noexcept { return term::preset(term::Preset::noproc); }
ExitReason ExitReason::noconnection() noexcept { return term::preset(term::Preset::noconnection); }
ExitReason ExitReason::timeout() noexcept { return term::preset(term::Preset::timeout); }

ExitReason ExitReason::shutdown(Term term) { return tuple(term::preset(term::Preset::shutdown), std::move(term)); }

ExitReason ExitReason::badarg(std::string_view text) { return tuple(term::preset(term::Preset::badarg), text); }

ExitReason ExitReason::exception(std::string_view type_name, std::string_view what, std::vector<std::uintptr_t> stack,
                                 std::exception_ptr pointer) {
  return exception(runtime_error(what), type_name, what, std::move(stack), std::move(pointer));
}

ExitReason ExitReason::exception(Term error, std::string_view type_name, std::string_view what,
                                 std::vector<std::uintptr_t> stack, std::exception_ptr pointer) {
  detail::ExceptionInfo info{std::string(type_name), std::string(what), std::move(stack), std::move(pointer)};
  ExitReason reason;
  reason.word_ = reinterpret_cast<std::uintptr_t>(detail::make_exception_node(std::move(error), std::move(info)));
  return reason;
}

void ExitReason::release_node() const noexcept {
  if (__atomic_fetch_sub(&node()->references, 1, __ATOMIC_ACQ_REL) == 1) detail::destroy_term_node(node());
}

// -- reading --

bool ExitReason::is_shutdown_kind() const noexcept {
  if (is_normal()) return true;
  const Atom shutdown = term::preset(term::Preset::shutdown);
  const Term value = term();
  return value.is_atom(shutdown) || (value.is_tuple(2) && value.elements()[0].is_atom(shutdown));
}

bool ExitReason::is_exception() const noexcept { return is_node() && detail::exception_info(node()) != nullptr; }

std::string_view ExitReason::exception_message() const noexcept {
  return is_exception() ? std::string_view(detail::exception_info(node())->message) : std::string_view();
}

std::string_view ExitReason::exception_type() const noexcept {
  return is_exception() ? std::string_view(detail::exception_info(node())->type) : std::string_view();
}

std::exception_ptr ExitReason::exception_pointer() const noexcept {
  return is_exception() ? detail::exception_info(node())->pointer : std::exception_ptr();
}

const std::vector<std::uintptr_t>& ExitReason::stack() const noexcept {
  static const std::vector<std::uintptr_t> none;
  return is_exception() ? detail::exception_info(node())->stack : none;
}

Term ExitReason::term() const noexcept {
  if (is_normal()) return term::preset(term::Preset::normal);
  if (!is_node()) return Atom(reinterpret_cast<const detail::AtomData*>(word_ & ~std::uintptr_t{1}));
  if (is_box(node())) return detail::terms_of(node())[0];
  __atomic_fetch_add(&node()->references, 1, __ATOMIC_RELAXED);
  return TermAccess::adopt(node()->kind, node());
}

// -- comparing and printing --

bool ExitReason::equals(const ExitReason& other) const noexcept {
  if (word_ == other.word_) return true;
  // Atoms, normal among them, are equal only if their words are.
  return is_node() && other.is_node() && term() == other.term();
}

std::size_t ExitReason::hash() const noexcept { return term().hash(); }

std::string to_string(const ExitReason& reason) {
  const Term term = reason.term();
  if (!reason.is_exception() || reason.stack().empty()) return inspect(term);
  return "{" + inspect(term[0]) + ", [stack]}";
}

std::ostream& operator<<(std::ostream& out, const ExitReason& reason) { return out << to_string(reason); }

}  // namespace v1
}  // namespace coppice
