// SPDX-License-Identifier: Apache-2.0
#include <coppice/pid.hpp>

#include <cstdio>
#include <string>

int main() {
  const std::string text = coppice::to_string(coppice::Pid{});
  std::puts(text.c_str());
  return text == "<0.0.0>" ? 0 : 1;
}
