// SPDX-License-Identifier: Apache-2.0
//
// What the simulation decides, how it is told to decide, and the record by which two runs can be compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "platform/world.hpp"

namespace coppice::simulation {

inline constexpr std::size_t choice_count = static_cast<std::size_t>(platform::Choice::user) + 1;

// How choices of one kind are made.
struct ChoiceMode {
  enum class Source : std::uint8_t {
    seeded,  // drawn evenly from the alternatives
    policy,  // as the production code would have it
    fixed    // always `value`, or the last alternative if there are not so many
  };
  Source source = Source::seeded;
  std::uint32_t value = 0;            // for `fixed`
  std::uint32_t policy_permille = 0;  // for `seeded`: how often the policy is followed instead of a draw, of 1000
};

// One entry of the record of a run.
struct Decision {
  enum class Kind : std::uint8_t {
    choice,          // `result` of `alternatives` was chosen
    time,            // the clock was advanced to `result`
    random,          // random() answered `result`
    thread_started,  // thread number `result` was started
    thread_ended     // thread number `result` ended
  };
  Kind kind{};
  platform::Choice choice{};       // for Kind::choice
  std::uint32_t thread = 0;        // number of the running thread in the order of their starts; 0 is main and nobody
  std::uint32_t alternatives = 0;  // for Kind::choice
  std::uint32_t policy = 0;        // for Kind::choice: what the production code would have done
  std::uint64_t result = 0;

  friend bool operator==(const Decision&, const Decision&) = default;
};

// "thread 2 chose 1 of 3 for steal_victim": one line for one decision, for comparing two runs.
[[nodiscard]] std::string describe(const Decision& decision);
[[nodiscard]] std::string_view name_of(platform::Choice choice) noexcept;

}  // namespace coppice::simulation
