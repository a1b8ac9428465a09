// SPDX-License-Identifier: Apache-2.0
#include "runtime/inspection.hpp"

#include <coppice/receive.hpp>

#include "platform/fault.hpp"
#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/tie.hpp"
#include "runtime/wait.hpp"

namespace coppice {

namespace runtime {
namespace {

constexpr detail::TypeIdentity inspect_identity{0, &typeid(InspectNode), "inspect", false};
constexpr SignalTable inspect_reply{SignalKind::reply, 0,       nullptr, nullptr, &detail::destroy_node<InspectNode>,
                                    nullptr,           nullptr, nullptr};
constexpr SignalTable inspect_table{
    SignalKind::inspect, 0, nullptr, nullptr, &detail::destroy_node<InspectNode>, nullptr, nullptr, nullptr};

}  // namespace

bool inspect_in(const Pid& pid, void (*inspect)(Process&, void*), std::shared_ptr<void> argument, WaitTime timeout) {
  Process* here = current_process();
  if (here != nullptr && here->body->pid == pid) {
    take_in(*here);  // what the caller sent itself comes before the question
    inspect(*here, argument.get());
    return true;
  }
  auto* node = detail::make_node<InspectNode>();
  node->table = &inspect_table;
  node->reply_table = &inspect_reply;
  node->inspect = inspect;
  node->argument = std::move(argument);
  const detail::CallTarget target{.pid = pid};
  const detail::CallOutcome outcome = detail::perform_call(target, node, inspect_identity, timeout);
  if (outcome.node == nullptr) return false;
  outcome.node->table->destroy(outcome.node);
  return true;
}

std::vector<std::string> frames_of_program(const std::vector<std::uintptr_t>& addresses) {
  std::vector<std::string> frames = platform::symbolise(addresses, "coppice::runtime::PlainBody::run");
  std::erase_if(frames, [](const std::string& frame) {
    for (const char* ours : {"coppice::runtime::", "coppice::platform::", "coppice::otp::", "src/runtime/", "src/otp/",
                             "src/supervision/", "src/task/", "include/coppice/", "coppice::v1::detail::"}) {
      if (frame.find(ours) != std::string::npos) return true;
    }
    return false;
  });
  return frames;
}

bool bind_name(Process& process, std::string_view name, Pid* holder) {
  Body& body = *process.body;
  Core& core = *body.core;
  if (!NameTable::is_acceptable(name)) return false;
  const Extension* extension = body.extension_.get();
  if (extension != nullptr && !extension->name.empty() && core.names().whereis(extension->name) == body.pid)
    return false;
  const char* text = nullptr;
  if (!core.names().bind(name, body.pid, holder, &text)) return false;
  body.extension().name = std::string_view(text, name.size());
  body.extension().for_children.reset();  // they will record the name
  core.table().sight(process).name.store(text, std::memory_order_release);
  return true;
}

namespace {

ProcessStatus status_of(const Process& process, bool asked_itself) {
  if (process.body->leaving != Leave::no) return ProcessStatus::exiting;
  if ((process.flags.load(std::memory_order_relaxed) & flag::suspended) != 0) return ProcessStatus::suspended;
  return asked_itself ? ProcessStatus::running : ProcessStatus::waiting;
}

void describe_queue(const Process& process, ProcessInfo& info) {
  constexpr std::size_t shown_max = 100;
  if (process.queue == nullptr) return;
  const Signal* message = process.queue->next;
  for (std::size_t i = 0; i < shown_max; ++i, message = message->next) {
    info.messages.push_back(detail::term_of_message(message));
    if (message == process.queue) break;
  }
}

void describe_extension(const Extension& extension, const Body& body, ProcessInfo& info) {
  if (body.core->names().whereis(extension.name) == body.pid) info.registered_name = extension.name;
  extension.links.for_each([&](const LinkNode& node) {
    if (node.linked) info.links.push_back(node.peer);
  });
  extension.monitors.for_each([&](const DemonitorNode& own) { info.monitors.push_back(own.watched); });
  for (auto& node : const_cast<Extension&>(extension).watchers) info.monitored_by.push_back(node.watcher);
  if (extension.rarities_if_any == nullptr) return;
  info.label = extension.rarities_if_any->label;
  for (const auto& [key, value] : extension.rarities_if_any->dictionary) info.dictionary.emplace_back(key, value);
}

void describe(Process& process, ProcessInfo& info) {
  const Body& body = *process.body;
  const bool asked_itself = current_process() == &process && !body.in_wait;
  info.pid = body.pid;
  info.parent = body.parent;
  info.group_leader = body.group_leader;
  info.initial_call = body.initial_call();
  info.status = status_of(process, asked_itself && body.in_turn);
  info.trap_exit = body.trap_exit;
  info.message_queue_len = process.queue_length.load(std::memory_order_relaxed);
  info.message_queue_peak = body.queue_peak;
  info.messages_dropped = body.core->table().sight(process).dropped.load(std::memory_order_relaxed);
  info.reductions = body.reductions;
  describe_queue(process, info);
  info.ancestors = body.lineage.ancestors();
  if (watched_by_parent(body)) info.monitored_by.push_back(body.parent);
  if (body.extension_ != nullptr) describe_extension(*body.extension_, body, info);
  if (tied_to(body, body.parent)) info.links.push_back(body.parent);  // the oldest stands last
  if (body.in_wait || body.in_turn) {
    info.current_stacktrace = frames_of_program(platform::capture_trace(0));
    if (!info.current_stacktrace.empty()) info.current_function = info.current_stacktrace.front();
    info.stack_size = this_worker()->stack()->size;
  }
}

}  // namespace
}  // namespace runtime

inline namespace v1 {

std::optional<ProcessInfo> process_info(const Pid& pid) {
  auto info = std::make_shared<ProcessInfo>();
  const auto fill = [](runtime::Process& process, void* argument) {
    runtime::describe(process, *static_cast<ProcessInfo*>(argument));
  };
  if (!runtime::inspect_in(pid, fill, info)) return std::nullopt;
  return std::move(*info);
}

bool alive(const Pid& pid) {
  const auto core = runtime::require_core("alive");
  runtime::Process* here = runtime::current_process();
  if (pid && (pid.node != 0 || pid.creation != core->creation())) {
    detail::throw_badarg("alive takes the pid of a process of this node");
  }
  if (here != nullptr && here->body->pid == pid) return here->body->leaving == runtime::Leave::no;
  if (!core->is_local(pid)) return false;
  const runtime::Process& line = core->table().line(pid);
  const std::uint64_t word = line.head.load(std::memory_order_acquire);
  const std::uint32_t flags = line.flags.load(std::memory_order_acquire);
  if (line.serial.load(std::memory_order_acquire) != pid.number) return false;
  if ((word & runtime::head::dead) != 0 || (flags & runtime::flag::doomed) != 0) return false;
  // With nothing in its mailbox that it has not acted on, it lives. Else ask it: behind our own earlier signals.
  if (here == nullptr || (word & runtime::head::pointer_bits) == 0) return true;
  return runtime::inspect_in(
      pid, [](runtime::Process&, void*) {}, nullptr);
}

std::vector<Pid> processes() {
  const auto core = runtime::require_core("processes");
  std::vector<Pid> pids;
  for (const std::uint64_t number : core->table().numbers()) pids.push_back(core->pid_of(number));
  return pids;
}

Term get_label(const Pid& pid) {
  auto label = std::make_shared<Term>();
  const auto read = [](runtime::Process& process, void* argument) {
    if (const runtime::Rarities* rarities = process.body->rarities_if_any())
      *static_cast<Term*>(argument) = rarities->label;
  };
  return runtime::inspect_in(pid, read, label) ? *label : Term{};
}

void group_leader(const Pid& pid, const Pid& leader) {
  const auto set = [](runtime::Process& process, void* argument) {
    const Pid& given = *static_cast<Pid*>(argument);
    process.body->group_leader = given;
    runtime::Core& core = *process.body->core;
    core.table().badge(process).group_leader.store(core.is_local(given) ? given.number : 0, std::memory_order_release);
  };
  if (!runtime::inspect_in(pid, set, std::make_shared<Pid>(leader))) {
    detail::throw_badarg("group_leader of a process that does not exist");
  }
}

// -- names

bool register_name(const Pid& pid, std::string_view name) {
  const auto core = runtime::require_core("register_name");
  struct Question {
    std::string name;
    bool bound = false;
  };
  auto question = std::make_shared<Question>(Question{std::string(name)});
  const auto bind = [](runtime::Process& process, void* argument) {
    auto& asked = *static_cast<Question*>(argument);
    asked.bound = runtime::bind_name(process, asked.name);
  };
  const bool exists = core->is_local(pid) && runtime::inspect_in(pid, bind, question);
  if (exists && question->bound) return true;
  const std::string text =
      "register_name(" + inspect(pid) + ", \"" + question->name + "\"): " +
      (exists ? "the name is taken or reserved, or the process has a name" : "there is no such process on this node");
  detail::throw_badarg(text.c_str());
}

bool unregister_name(std::string_view name) {
  const auto core = runtime::require_core("unregister_name");
  const Pid pid = core->names().whereis(name);
  if (pid && core->names().unbind(name, pid)) {
    core->table().sight(core->table().line(pid)).name.store(nullptr, std::memory_order_release);
    return true;
  }
  const std::string text = "unregister_name(\"" + std::string(name) + "\"): nobody has that name";
  detail::throw_badarg(text.c_str());
}

Pid whereis(std::string_view name) {
  std::shared_ptr<runtime::Core> held;
  return runtime::acting_core(held, "whereis").names().whereis(name);
}

namespace detail {
Pid whereis(std::string_view name, std::uint64_t hash) {
  if (runtime::Worker* here = runtime::this_worker()) [[likely]]
    return here->core().names().whereis(name, hash);
  return runtime::require_core("whereis")->names().whereis(name, hash);
}
}  // namespace detail

std::vector<std::string> registered() { return runtime::require_core("registered")->names().registered(); }

}  // namespace v1
}  // namespace coppice
