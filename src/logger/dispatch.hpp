// SPDX-License-Identifier: Apache-2.0
//
// The way of an event from the call to the handlers, and the configuration that it is judged by.
//
// The configuration is an immutable value behind a mutex that is held only to copy or replace a pointer; whoever logs
// works on the configuration of that moment. It is made at first use and never destroyed, so that static destructors
// and threads that outlive main may log.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <coppice/logger_handler.hpp>

namespace coppice::logging {

using logger::Event;
using logger::Level;
using logger::Metadata;

struct SharedFilter {
  std::string id;
  std::shared_ptr<const logger::Filter> filter;  // its address is its identity
};

struct HandlerEntry {
  std::string id;
  std::shared_ptr<logger::Handler> handler;
  Level level = Level::all;
  std::vector<SharedFilter> filters;
  logger::FilterDefault filter_default = logger::FilterDefault::log;
};

struct Configuration {
  Level primary_level = Level::debug;
  std::map<std::string, Level, std::less<>> module_levels;
  std::vector<SharedFilter> filters;
  logger::FilterDefault filter_default = logger::FilterDefault::log;
  Metadata metadata;
  bool sasl_reports = false;
  bool otp_reports = true;
  std::vector<HandlerEntry> handlers;
};

[[nodiscard]] std::shared_ptr<const Configuration> configuration();
// Replaces the configuration by a changed copy, and adjusts what `enabled` compares with.
void update(const std::function<void(Configuration&)>& change);

// Makes an event from a call: metadata merged, level and module judged, then `fill` puts the message in. Throws nothing
// but the unwinding of a cancelled thread.
void submit(Level level, const logger::detail::Site& site, const Metadata* call,
            const std::function<void(Event&)>& fill);

// `changes` over `into`: a key at most once, the later value wins.
void merge(Metadata& into, const Metadata& changes);

}  // namespace coppice::logging
