// SPDX-License-Identifier: Apache-2.0
//
// CALL_TEST_IN_ALL_WAYS(Suite, name) { ... } runs its body with calls to idle servers forced through hand-off (or in place),
// forced through the mailbox, and left to the seed (on threads: as in production); each on threads and in simulation.
#pragma once

#include "behaviour/calls_support.hpp"

#define CALL_TEST_IN_ONE_WAY(suite, name, mode)                                            \
  TEST(suite, name##_##mode##_on_threads) {                                                \
    behaviour::on_threads(suite##_##name##_body, {.hand_off = coppice::HandOff::mode});    \
  }                                                                                        \
  TEST(suite, name##_##mode##_in_simulation) {                                             \
    behaviour::in_simulation(suite##_##name##_body, {.hand_off = coppice::HandOff::mode}); \
  }
#define CALL_TEST_IN_ALL_WAYS(suite, name)     \
  static void suite##_##name##_body();         \
  CALL_TEST_IN_ONE_WAY(suite, name, always)    \
  CALL_TEST_IN_ONE_WAY(suite, name, never)     \
  CALL_TEST_IN_ONE_WAY(suite, name, automatic) \
  static void suite##_##name##_body()
