// SPDX-License-Identifier: Apache-2.0
//
// From addresses to names. libbacktrace reads the program's debug information once, without malloc, and may be asked
// from several threads and from signal handlers; without it only the dynamic symbol table is known.
#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "platform/sanitizers.hpp"
#include "platform/signal_safe_text.hpp"
#include "platform/trace.hpp"

#if !defined(COPPICE_HAVE_LIBBACKTRACE)
#define COPPICE_HAVE_LIBBACKTRACE 0
#endif
#if COPPICE_HAVE_LIBBACKTRACE
#if __has_include(<backtrace.h>)
#include <backtrace.h>
#else
// g++ ships the library and its header in a directory of its own, which clang does not look into: the four functions
// that are used here.
extern "C" {
struct backtrace_state;
using backtrace_error_callback = void (*)(void* data, const char* message, int error);
using backtrace_full_callback = int (*)(void* data, std::uintptr_t address, const char* file, int line,
                                        const char* function);
using backtrace_syminfo_callback = void (*)(void* data, std::uintptr_t address, const char* symbol,
                                            std::uintptr_t value, std::uintptr_t size);
backtrace_state* backtrace_create_state(const char* file, int threaded, backtrace_error_callback error, void* data);
int backtrace_pcinfo(backtrace_state* state, std::uintptr_t address, backtrace_full_callback callback,
                     backtrace_error_callback error, void* data);
int backtrace_syminfo(backtrace_state* state, std::uintptr_t address, backtrace_syminfo_callback callback,
                      backtrace_error_callback error, void* data);
}
#endif
#endif

#if COPPICE_TSAN
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace coppice::platform {
namespace {

// libbacktrace hands what it has read from thread to thread by atomics that ThreadSanitizer, which has not compiled it,
// does not see; of what it does with this memory the sanitizer would see a part only, by memcpy and strlen.
class UnseenByTsan {
 public:
#if COPPICE_TSAN
  UnseenByTsan() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~UnseenByTsan() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  UnseenByTsan() {}
  ~UnseenByTsan() {}
#endif
  UnseenByTsan(const UnseenByTsan&) = delete;
  UnseenByTsan& operator=(const UnseenByTsan&) = delete;
};

// What is known about one frame. `function` is a mangled name; both may be null. `line` is 0 if unknown.
struct Place {
  const char* function;
  const char* file;
  int line;
};
using PlaceCallback = void (*)(void* data, const Place& place);

struct Lookup {
  PlaceCallback callback;
  void* data;
  bool found = false;
  Place last = {nullptr, nullptr, 0};  // not yet told: the innermost place whose turn has not come

  void tell(const Place& place) {
    found = true;
    callback(data, place);
  }
};

void look_up_dynamic(std::uintptr_t address, Lookup& lookup) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(address), &info) == 0) return;
  if (info.dli_sname == nullptr && info.dli_fname == nullptr) return;
  lookup.tell({info.dli_sname, info.dli_fname, 0});
}

#if COPPICE_HAVE_LIBBACKTRACE
void ignore_error(void* /*data*/, const char* /*message*/, int /*error*/) {}

backtrace_state* symbol_state() {
  static backtrace_state* const state = backtrace_create_state(nullptr, 1, &ignore_error, nullptr);
  return state;
}

int take_place(void* data, std::uintptr_t /*address*/, const char* file, int line, const char* function) {
  auto& lookup = *static_cast<Lookup*>(data);
  if (function == nullptr) return 0;
  if (lookup.last.function != nullptr) lookup.tell(lookup.last);
  lookup.last = {function, file, line};
  return 0;
}

// The symbol table's name of the function that really stands at the address, the one that is not inlined. The debug
// information has only a bare name for functions of unnamed namespaces.
void take_symbol(void* data, std::uintptr_t /*address*/, const char* symbol, std::uintptr_t /*value*/,
                 std::uintptr_t /*size*/) {
  auto& lookup = *static_cast<Lookup*>(data);
  if (symbol == nullptr) return;
  const bool has_mangled_name = lookup.last.function != nullptr && std::strncmp(lookup.last.function, "_Z", 2) == 0;
  if (!has_mangled_name) lookup.last.function = symbol;
}

void look_up_with_libbacktrace(std::uintptr_t address, Lookup& lookup) {
  backtrace_state* state = symbol_state();
  if (state == nullptr) return;
  const UnseenByTsan unseen;
  backtrace_pcinfo(state, address, &take_place, &ignore_error, &lookup);
  backtrace_syminfo(state, address, &take_symbol, &ignore_error, &lookup);
  if (lookup.last.function != nullptr) lookup.tell(lookup.last);
}
#endif

// Calls back for each function, inlined ones first, that stands at this address of return.
void look_up(std::uintptr_t return_address, PlaceCallback callback, void* data) {
  Lookup lookup{callback, data};
  const std::uintptr_t address = return_address - 1;  // inside the call
#if COPPICE_HAVE_LIBBACKTRACE
  look_up_with_libbacktrace(address, lookup);
#endif
  if (!lookup.found) look_up_dynamic(address, lookup);
  if (!lookup.found) callback(data, {nullptr, nullptr, 0});
}

std::string hexadecimal(std::uintptr_t address) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%zx", static_cast<std::size_t>(address));
  return text;
}

struct Reading {
  std::vector<std::string> lines;
  std::string_view cut_below;
  std::uintptr_t address = 0;
  bool cut = false;
};

void add_line(void* data, const Place& place) {
  auto& reading = *static_cast<Reading*>(data);
  if (reading.cut) return;
  std::string line = place.function != nullptr ? demangled(place.function) : hexadecimal(reading.address);
  reading.cut = !reading.cut_below.empty() && line.find(reading.cut_below) != std::string::npos;
  if (place.file != nullptr) line.append("  ").append(place.file);
  if (place.file != nullptr && place.line > 0) line.append(":").append(std::to_string(place.line));
  reading.lines.push_back(std::move(line));
}

// -- from a signal handler -------------------------------------------------------------------------------------------

// Reads the head of a mangled name: the part that says which function it is. The demangler of the C++ runtime
// allocates, so it is of no use here.
class NameReader {
 public:
  NameReader(const char* mangled, SignalSafeText& out) : at_(mangled), out_(out) {}

  void read() {
    if (std::strncmp(at_, "_Z", 2) != 0) {
      out_.text(at_);
      return;
    }
    const char* whole = at_;
    at_ += 2;
    bool local = false;
    for (; *at_ == 'Z'; ++at_) local = true;  // something inside a function: the function's name comes first
    const bool nested = *at_ == 'N';
    if (nested) {
      for (++at_; *at_ != '\0' && std::strchr("rVKRO", *at_) != nullptr;) ++at_;
    }
    while (read_component() && nested) {
    }
    if (!any_) {
      out_.text(whole);
    } else if (local) {
      out_.text("::{local}");
    }
  }

 private:
  // One component of a qualified name; false at the end and at anything that would need the whole grammar.
  bool read_component() {
    if (*at_ == 'L') ++at_;
    if (*at_ >= '0' && *at_ <= '9') return read_source_name();
    if (std::strncmp(at_, "St", 2) == 0) {
      at_ += 2;
      begin("std");
      return *at_ >= '0' && *at_ <= '9' ? read_source_name() : true;
    }
    if (*at_ == 'B') {  // an ABI tag
      ++at_;
      skip(read_length());
      return true;
    }
    if ((*at_ == 'C' || *at_ == 'D') && last_ != nullptr && at_[1] >= '0' && at_[1] <= '9') {
      begin(*at_ == 'D' ? "~" : "");
      append(last_, last_length_);
      return false;
    }
    if (*at_ == 'I') out_.text("<...>");
    if (std::strncmp(at_, "cl", 2) == 0) begin("operator()");
    if (std::strncmp(at_, "Ul", 2) == 0) begin("{lambda}");
    return false;
  }

  bool read_source_name() {
    const std::size_t length = read_length();
    last_ = at_;
    skip(length);
    last_length_ = static_cast<std::size_t>(at_ - last_);
    const bool anonymous = std::strncmp(last_, "_GLOBAL__N", 10) == 0;
    begin(anonymous ? "(anonymous namespace)" : "");
    if (!anonymous) append(last_, last_length_);
    return true;
  }

  std::size_t read_length() {
    std::size_t length = 0;
    for (; *at_ >= '0' && *at_ <= '9'; ++at_) length = length * 10 + static_cast<std::size_t>(*at_ - '0');
    return length;
  }

  void skip(std::size_t length) {
    for (; length > 0 && *at_ != '\0'; --length) ++at_;
  }

  void begin(const char* words) {
    if (any_) out_.text("::");
    any_ = true;
    out_.text(words);
  }

  void append(const char* words, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) out_.character(words[i]);
  }

  const char* at_;
  SignalSafeText& out_;
  const char* last_ = nullptr;
  std::size_t last_length_ = 0;
  bool any_ = false;
};

struct Writing {
  int descriptor;
  std::size_t index;
  std::uintptr_t address;
};

void write_line(void* data, const Place& place) {
  auto& writing = *static_cast<Writing*>(data);
  SignalSafeText line;
  line.text("    #").decimal(writing.index).text("  ");
  if (place.function != nullptr) {
    NameReader(place.function, line).read();
  } else {
    line.hexadecimal(writing.address);
  }
  if (place.file != nullptr) line.text("  ").text(place.file);
  if (place.file != nullptr && place.line > 0) line.character(':').decimal(static_cast<std::uint64_t>(place.line));
  line.character('\n').write_to(writing.descriptor);
}

// The innermost frames, and of the rest the outermost.
struct LongWalk {
  static constexpr std::size_t head_max = 32;
  static constexpr std::size_t tail_max = 8;
  static constexpr std::size_t frames_max = 100'000;  // a walk that finds no end is given up
  std::uintptr_t from = 0;
  std::size_t count = 0;
  std::uintptr_t head[head_max] = {};
  std::uintptr_t tail[tail_max] = {};
};

_Unwind_Reason_Code take_frame(_Unwind_Context* frame, void* argument) {
  auto& walk = *static_cast<LongWalk*>(argument);
  int before_instruction = 0;
  const std::uintptr_t address = _Unwind_GetIPInfo(frame, &before_instruction);
  if (address == 0 || walk.count == LongWalk::frames_max) return _URC_END_OF_STACK;
  if (walk.from != 0 && address != walk.from) return _URC_NO_REASON;
  walk.from = 0;
  const std::uintptr_t return_address = address + (before_instruction != 0 ? 1 : 0);
  if (walk.count < LongWalk::head_max) {
    walk.head[walk.count] = return_address;
  } else {
    walk.tail[(walk.count - LongWalk::head_max) % LongWalk::tail_max] = return_address;
  }
  ++walk.count;
  return _URC_NO_REASON;
}

}  // namespace

std::string demangled(const char* mangled) {
  int status = 0;
  char* readable = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string result = status == 0 && readable != nullptr ? readable : mangled;
  std::free(readable);
  return result;
}

std::vector<std::string> symbolise(const std::vector<std::uintptr_t>& addresses, std::string_view cut_below) {
  Reading reading;
  reading.cut_below = cut_below;
  for (const std::uintptr_t address : addresses) {
    reading.address = address;
    look_up(address, &add_line, &reading);
    if (reading.cut) break;
  }
  return std::move(reading.lines);
}

bool symbols_have_lines() noexcept { return COPPICE_HAVE_LIBBACKTRACE != 0; }

void prepare_symbols() {
  // The first look-up reads the debug information; the first walk loads the unwinder.
  const std::vector<std::uintptr_t> here = capture_trace(0, 1);
  look_up(
      here.empty() ? reinterpret_cast<std::uintptr_t>(&prepare_symbols) + 1 : here.front(), [](void*, const Place&) {},
      nullptr);
}

[[gnu::noinline]] void write_trace_signal_safe(int descriptor, std::uintptr_t from) noexcept {
  LongWalk walk;
  walk.from = from;
  _Unwind_Backtrace(&take_frame, &walk);
  if (walk.count == 0 && from != 0) {  // the interrupted frame was not met: everything is better than nothing
    walk = LongWalk{};
    _Unwind_Backtrace(&take_frame, &walk);
  }
  const std::size_t first = from == 0 ? 1 : 0;  // without this function's own frame
  for (std::size_t i = first; i < walk.count && i < LongWalk::head_max; ++i) {
    Writing writing{descriptor, i - first, walk.head[i]};
    look_up(walk.head[i], &write_line, &writing);
  }
  if (walk.count <= LongWalk::head_max) return;
  const std::size_t rest = walk.count - LongWalk::head_max;
  const std::size_t shown = rest < LongWalk::tail_max ? rest : LongWalk::tail_max;
  if (rest > shown) SignalSafeText().text("    ... ").decimal(rest - shown).text(" frames ...\n").write_to(descriptor);
  for (std::size_t i = rest - shown; i < rest; ++i) {
    Writing writing{descriptor, LongWalk::head_max + i - first, walk.tail[i % LongWalk::tail_max]};
    look_up(walk.tail[i % LongWalk::tail_max], &write_line, &writing);
  }
}

}  // namespace coppice::platform
