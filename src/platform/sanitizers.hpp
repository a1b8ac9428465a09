// SPDX-License-Identifier: Apache-2.0
//
// Which sanitizer this translation unit is compiled for: COPPICE_ASAN and COPPICE_TSAN are 0 or 1, with g++ and clang.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define COPPICE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COPPICE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define COPPICE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COPPICE_TSAN 1
#endif
#endif

#ifndef COPPICE_ASAN
#define COPPICE_ASAN 0
#endif
#ifndef COPPICE_TSAN
#define COPPICE_TSAN 0
#endif

#if COPPICE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if COPPICE_TSAN
#include <sanitizer/tsan_interface.h>
#endif
