// SPDX-License-Identifier: Apache-2.0
//
// The pieces of text that printing terms and printing exit reasons share.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <coppice/atom.hpp>

namespace coppice::term {

// The text between quotes, with Elixir's escapes, at most `limit` code points; returns whether all of it was written.
bool append_escaped(std::string& out, std::string_view text, char quote, std::size_t limit);

// An atom as a value (`:foo`, `nil`, `Foo.Bar`, `:"foo bar"`), as the key of a keyword list or map (`foo:`,
// `"foo bar":`), and as the function of a remote call (`foo`, `"foo bar"`).
void append_atom(std::string& out, Atom atom);
void append_key(std::string& out, Atom atom);
void append_call(std::string& out, Atom atom);

// Whether the atom names an Elixir module: "Elixir.Foo.Bar".
[[nodiscard]] bool is_alias(std::string_view text) noexcept;

}  // namespace coppice::term
