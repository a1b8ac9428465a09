// SPDX-License-Identifier: Apache-2.0
#include "otp/debug.hpp"

#include <cstdio>

namespace coppice {
namespace otp {
namespace {

std::string describe(const std::string& name, const sys::Event& event) {
  std::string text = "*DBG* " + name;
  switch (event.kind) {
    case sys::Event::Kind::in: return text + " got " + inspect(event.message);
    case sys::Event::Kind::out:
      return text + " sent " + inspect(event.message) + " to " + inspect(event.to) + ", new state " +
             inspect(event.state);
    case sys::Event::Kind::noreply: return text + " new state " + inspect(event.state);
  }
  return text;
}

}  // namespace

void Debug::event(const std::string& name, const sys::Event& event) {
  if (statistics) {
    counts.messages_in += event.kind == sys::Event::Kind::in;
    counts.messages_out += event.kind == sys::Event::Kind::out;
  }
  if (trace) std::printf("%s\n", describe(name, event).c_str());
  if (log_size != 0) {
    log.push_back(event);
    while (log.size() > log_size) log.pop_front();
  }
  for (std::size_t i = 0; i < functions.size();) {
    bool stays = false;
    try {
      stays = functions[i].second(event);
    } catch (...) {  // an exit of the process, too, is not stopped by that: it is due again at the next step
      stays = false;
    }
    if (stays) {
      ++i;
    } else {
      functions.erase(functions.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

}  // namespace otp

inline namespace v1 {
namespace sys {

Term Event::to_term() const {
  switch (kind) {
    case Kind::in: return Term(tuple(Atom("in"), message));
    case Kind::out: return Term(tuple(Atom("out"), message, Term(to), state));
    case Kind::noreply: return Term(tuple(Atom("noreply"), state));
  }
  return {};
}

}  // namespace sys
}  // namespace v1
}  // namespace coppice
