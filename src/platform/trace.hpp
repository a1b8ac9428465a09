// SPDX-License-Identifier: Apache-2.0
//
// Back-traces: taken cheaply as addresses, symbolised when somebody reads them. Addresses are found with the unwind
// tables on running stacks and along the frame pointers on suspended ones. Symbolisation uses libbacktrace where the
// compiler ships it (COPPICE_HAVE_LIBBACKTRACE), else the dynamic symbol table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "platform/context.hpp"

namespace coppice::platform {

// -- taking traces ---------------------------------------------------------------------------------------------------

// Addresses of return, innermost first, at most `frames_max`; `skip` innermost frames are left out (0 keeps the caller
// of capture_trace as the first). Safe on borrowed stacks and on threads.
[[nodiscard]] std::vector<std::uintptr_t> capture_trace(std::size_t skip = 0, std::size_t frames_max = 64);

// The same of a suspended context, from any thread. The caller makes sure that nobody resumes it meanwhile. Frames of
// code compiled without frame pointers may be missing. Empty on processors other than x86-64 and aarch64, and for a
// context that has not run yet.
[[nodiscard]] std::vector<std::uintptr_t> capture_trace_of(const Context& suspended, std::size_t frames_max = 64);

// -- where an exception was thrown -----------------------------------------------------------------------------------

// Whether throws on this thread are recorded from now on; at first they are not. Costs a walk over at most 32 frames
// per throw when on, and the look at one flag when off. The records belong to the thread, not to the context. Switching
// it off forgets what was recorded.
void set_record_throws(bool on) noexcept;

// Throws of exactly this type are recorded by frame pointers, which costs a tenth of unwinding. For a type that is thrown by
// functions compiled with frame pointers only, and often; else frames are missing, that of the thrower among them. Set once.
void set_own_exception(const std::type_info& type) noexcept;

// Where the exception object was thrown: addresses as in capture_trace, the place of the throw first. `exception` is
// the pointer that a std::exception_ptr holds. Empty if it was thrown on another thread, while recording was off, or
// before the last few throws of this thread; always empty where the hook on the throw path is not built in (sanitizer
// builds, COPPICE_NO_THROW_HOOK) or another one is linked before ours.
[[nodiscard]] std::vector<std::uintptr_t> trace_of_exception(const void* exception);

// The same of the exception that is being handled (std::current_exception()).
[[nodiscard]] std::vector<std::uintptr_t> trace_of_current_exception();

// -- reading traces --------------------------------------------------------------------------------------------------

// "function  file:line" for each address, demangled; "0x1234" where nothing is known. An address inside inlined
// functions gives one line for each of them, innermost first. If `cut_below` is not empty, everything after the first
// line whose function's name contains it is dropped: the frames of the machinery below a process's own.
[[nodiscard]] std::vector<std::string> symbolise(const std::vector<std::uintptr_t>& addresses,
                                                 std::string_view cut_below = {});

// The name of a type or function as people write it; the mangled one itself if it is none. Allocates.
[[nodiscard]] std::string demangled(const char* mangled);

// Whether this build knows files, lines and the names of functions that are not exported: it has libbacktrace.
[[nodiscard]] bool symbols_have_lines() noexcept;

// Loads what symbolisation needs, so that write_trace_signal_safe can do without the dynamic loader. Idempotent.
void prepare_symbols();

// Writes the calling thread's trace to the file descriptor, from a signal handler or anywhere else: without malloc and
// without locks of ours. Names are shortened: parameters are left out and template arguments become "<...>". A long
// trace loses frames in its middle. If `from` is not zero, frames before the one at that address are left out: the
// handler's own, where `from` is the program counter that the signal interrupted.
void write_trace_signal_safe(int descriptor, std::uintptr_t from = 0) noexcept;

}  // namespace coppice::platform
