// SPDX-License-Identifier: Apache-2.0
//
// Atoms that exist before any code runs, so that a boolean or a predefined exit reason needs neither memory nor a look
// into the table of atoms.
#pragma once

#include <cstddef>
#include <cstdint>

#include <coppice/atom.hpp>
#include <coppice/config.hpp>

namespace coppice::term {

// In the order of `preset_atoms`. nil is not among them: it is detail::nil_atom.
enum class Preset : std::uint8_t {
  true_,
  false_,
  normal,
  shutdown,
  killed,
  kill,
  noproc,
  noconnection,
  timeout,
  badarg,
  nan,
  infinity,
  neg_infinity,
};
inline constexpr std::size_t preset_count = 13;

extern const detail::AtomData preset_atoms[preset_count];

[[nodiscard]] inline Atom preset(Preset which) noexcept { return Atom(&preset_atoms[static_cast<std::size_t>(which)]); }

}  // namespace coppice::term
