// SPDX-License-Identifier: Apache-2.0
//
// What every public header starts from: the version, and how a symbol is made visible.
// Nothing here includes anything.
#pragma once

#define COPPICE_VERSION_MAJOR 0
#define COPPICE_VERSION_MINOR 1
#define COPPICE_VERSION_PATCH 0

// Everything is built with hidden visibility; what a program may link against is marked with this.
#define COPPICE_API __attribute__((visibility("default")))

#if !defined(__cpp_exceptions)
#error "coppice needs exceptions: build without -fno-exceptions (a process leaves its stack by unwinding it)"
#endif
