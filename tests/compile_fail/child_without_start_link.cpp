// SPDX-License-Identifier: Apache-2.0
//
// A child of a class that cannot be started (SV-003).
//
// expect: the class of a child has a start_link for these arguments
// also-compiles-with: -DGOOD
#include <coppice/child_spec.hpp>
#include <coppice/gen_server.hpp>

using namespace coppice;

#ifdef GOOD
struct Counter : GenServer<Counter> {};
#else
struct Counter {};
#endif

int main() { (void)child<Counter>(); }
