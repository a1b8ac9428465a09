# SPDX-License-Identifier: Apache-2.0
#
# What the compiler is told. `coppice_flags` carries the flags of our own sources, tests and examples; none of them
# reaches a consumer. The sanitizers are the one exception: they must be everywhere or nowhere, so they are set for the
# directory, and only at the top level.
include(CheckCXXCompilerFlag)

# A process leaves its stack by unwinding it, so exceptions are not optional.
get_directory_property(coppice_directory_options COMPILE_OPTIONS)
if("${CMAKE_CXX_FLAGS} ${coppice_directory_options}" MATCHES "-fno-exceptions")
  message(FATAL_ERROR
    "coppice: cannot be built with -fno-exceptions. A process that exits or is killed leaves its stack by unwinding. "
    "Remove -fno-exceptions from CMAKE_CXX_FLAGS and from add_compile_options.")
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "coppice: needs g++ 12 or later, this is ${CMAKE_CXX_COMPILER_VERSION}")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16)
  message(FATAL_ERROR "coppice: needs clang 16 or later, this is ${CMAKE_CXX_COMPILER_VERSION}")
endif()

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Kind of build" FORCE)
endif()

add_library(coppice_flags INTERFACE)
target_compile_options(coppice_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Wno-invalid-offsetof  # g++ and clang both support it for single inheritance without virtual functions
  -fvisibility=hidden -fvisibility-inlines-hidden
  -fno-omit-frame-pointer)  # the traces of waiting processes walk the frame pointers

# g++ 12 sees overruns in std::string's own operator+ that are none (GCC bug 105329 and its kin).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(coppice_flags INTERFACE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow)
endif()

foreach(flag -mno-omit-leaf-frame-pointer -fstack-clash-protection)
  string(MAKE_C_IDENTIFIER "COPPICE_KNOWS${flag}" known)
  check_cxx_compiler_flag("-Werror ${flag}" ${known})
  if(${known})
    target_compile_options(coppice_flags INTERFACE ${flag})
  endif()
endforeach()

if(COPPICE_SANITIZE)
  add_compile_options(-fsanitize=${COPPICE_SANITIZE} -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${COPPICE_SANITIZE})
endif()

# A compiler cache, where there is one. It has to be told that precompiled headers may be trusted.
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(COPPICE_CCACHE ccache)
  if(COPPICE_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER
      "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;${COPPICE_CCACHE}")
  endif()
endif()
