// SPDX-License-Identifier: Apache-2.0
//
// How a test sees that a process has misused something.
#pragma once

#include <coppice/exit.hpp>
#include <coppice/term.hpp>

namespace behaviour {

// Called by a process: whether `function` fails with `{badarg, text}`.
template <class F>
bool is_badarg(F function) {
  try {
    function();
  } catch (const coppice::Exit& exit) {
    const coppice::Term term = exit.reason().term();
    return term.kind() == coppice::TermKind::tuple && term[0].is_atom(coppice::Atom("badarg"));
  }
  return false;
}

}  // namespace behaviour
