// SPDX-License-Identifier: Apache-2.0
//
// An argument that cannot be copied at each start of a child.
//
// expect: the arguments of a child are copied at each start: they must be copyable
// also-compiles-with: -DGOOD
#include <memory>

#include <coppice/child_spec.hpp>
#include <coppice/gen_server.hpp>

using namespace coppice;

#ifdef GOOD
using Argument = std::shared_ptr<int>;
#else
using Argument = std::unique_ptr<int>;
#endif

struct Counter : GenServer<Counter> {
  explicit Counter(Argument argument) : argument_(std::move(argument)) {}

 private:
  Argument argument_;
};

int main() { (void)child<Counter>(Argument(new int(1))); }
