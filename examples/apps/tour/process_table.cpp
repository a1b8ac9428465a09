// SPDX-License-Identifier: Apache-2.0
#include "process_table.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

#include <coppice/format.hpp>
#include <coppice/process.hpp>

#include "terminal.hpp"

namespace tour {
namespace {

using namespace coppice;

std::string_view word_for(ProcessStatus status) noexcept {
  switch (status) {
    case ProcessStatus::runnable: return "runnable";
    case ProcessStatus::running: return "running";
    case ProcessStatus::waiting: return "waiting";
    case ProcessStatus::suspended: return "suspended";
    case ProcessStatus::exiting: return "exiting";
  }
  return "?";
}

// Types of the tour and of coppice go without their namespaces; too long a name keeps its beginning.
std::string shortened(std::string text, std::size_t width) {
  for (const std::string_view prefix : {"tour::", "(anonymous namespace)::", "{anonymous}::", "coppice::", "v1::"}) {
    for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
  }
  if (text.size() > width) text = text.substr(0, width - 2) + "..";
  return text;
}

}  // namespace

std::string process_table() {
  std::string table =
      format("{:<11} {:<16} {:<22} {:<9} {:>5} {:>10}", "PID", "NAME", "INITIAL CALL", "STATUS", "QUEUE", "REDUCTIONS");
  for (const Pid& pid : processes()) {
    const std::optional<ProcessInfo> info = process_info(pid);
    if (!info) continue;  // it has ended meanwhile
    std::string name = info->registered_name;
    if (name.empty() && info->label != Term()) name = format("({})", info->label);
    table +=
        format("\n{:<11} {:<16} {:<22} {:<9} {:>5} {:>10}", to_string(pid), shortened(printable(name), 16),
               shortened(info->initial_call, 22), word_for(info->status), info->message_queue_len, info->reductions);
  }
  return table;
}

}  // namespace tour
