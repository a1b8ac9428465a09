// SPDX-License-Identifier: Apache-2.0
//
// Names of servers: local names, and names in a registry of the user's own (`via`).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <coppice/config.hpp>
#include <coppice/pid.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

// A registry of names: OTP's via module (GS-035). Its functions may be called by any process at any time. It must watch
// the processes that it names and forget those that end (GS-037).
class ViaModule {
 public:
  virtual ~ViaModule() = default;
  // False if the name is taken. Called by the new process for itself (GS-036).
  virtual bool register_name(const Term& name, const Pid& pid) = 0;
  virtual void unregister_name(const Term& name) = 0;
  [[nodiscard]] virtual Pid whereis_name(const Term& name) = 0;  // no pid if nobody has it
  // The atom that stands for the module in {:via, module, name} (GS-035).
  [[nodiscard]] virtual Atom module() const { return Atom("Via"); }
};

namespace detail {
// One name in some registry of names, whatever its type. Immutable, shared by the copies of a ServerName.
class COPPICE_API NameBinding {
 public:
  virtual ~NameBinding();
  virtual bool register_name(const Pid& pid) const = 0;  // by the new process, for itself
  virtual void unregister_name() const = 0;
  [[nodiscard]] virtual Pid whereis_name() const = 0;
  [[nodiscard]] virtual Term name() const = 0;  // {Sessions, "ann"}
  [[nodiscard]] virtual Term term() const = 0;  // {:via, Registry, {Sessions, "ann"}}
};
}  // namespace detail

// Under which name a server is started and addressed: none, a local name, or a name in a via module.
class ServerName {
 public:
  ServerName() = default;
  ServerName(const char* name) : local_(name) {}             // NOLINT: implicit on purpose
  ServerName(std::string name) : local_(std::move(name)) {}  // NOLINT
  ServerName(std::string_view name) : local_(name) {}        // NOLINT
  COPPICE_API ServerName(ViaModule& module, Term name);      // the module must outlive every use of the name
  explicit ServerName(std::shared_ptr<const detail::NameBinding> binding) : binding_(std::move(binding)) {}

  [[nodiscard]] bool empty() const noexcept { return local_.empty() && binding_ == nullptr; }
  [[nodiscard]] const std::string& local() const noexcept { return local_; }
  // The name in a via module or registry; null for a local one.
  [[nodiscard]] const detail::NameBinding* via() const noexcept { return binding_.get(); }

  // Who has the name now; no pid if nobody. Any thread.
  [[nodiscard]] COPPICE_API Pid whereis() const;
  // As exit reasons show it: the name as an atom, or {:via, module, name}.
  [[nodiscard]] COPPICE_API Term term() const;

 private:
  std::string local_;
  std::shared_ptr<const detail::NameBinding> binding_;
};

}  // namespace v1
}  // namespace coppice
