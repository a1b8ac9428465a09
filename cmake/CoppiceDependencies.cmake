# SPDX-License-Identifier: Apache-2.0
#
# What coppice is built on. Nothing is downloaded; what is missing is named together with the Debian package.
function(coppice_require found what package)
  if(NOT ${found})
    message(FATAL_ERROR "coppice: ${what} was not found. On Debian and Ubuntu: apt-get install ${package}")
  endif()
endfunction()

find_package(Threads REQUIRED)

# A static coppice takes the static Boost.Context: the switch between two stacks is then a direct call.
if(NOT DEFINED Boost_USE_STATIC_LIBS AND NOT BUILD_SHARED_LIBS)
  set(Boost_USE_STATIC_LIBS ON)
endif()
find_package(Boost 1.81 QUIET COMPONENTS context)
coppice_require(Boost_FOUND "Boost.Context 1.81 or later" "libboost1.81-dev libboost-context1.81-dev")

find_package(fmt 9 QUIET)
coppice_require(fmt_FOUND "fmt 9 or later" "libfmt-dev")

# Reads configuration files. Used as headers only, inside the library: who uses coppice needs it no more.
find_path(COPPICE_TOML_INCLUDE_DIR toml++/toml.h)
mark_as_advanced(COPPICE_TOML_INCLUDE_DIR)
coppice_require(COPPICE_TOML_INCLUDE_DIR "toml++ 3" "libtomlplusplus-dev")
add_library(coppice_toml INTERFACE)
target_include_directories(coppice_toml SYSTEM INTERFACE "${COPPICE_TOML_INCLUDE_DIR}")
target_compile_definitions(coppice_toml INTERFACE TOML_HEADER_ONLY=1)

# Ships with g++; without it, traces show names from the dynamic symbol table only.
find_package(Libbacktrace QUIET)
if(NOT Libbacktrace_FOUND)
  message(STATUS "coppice: no libbacktrace beside the compiler; stack traces will lack files and lines")
endif()

# For the component coppice::sqlite; without it, that component, its tests and its examples are left out.
find_package(SQLite3 QUIET)
if(NOT SQLite3_FOUND)
  message(STATUS "coppice: no SQLite 3; coppice::sqlite is not built. On Debian and Ubuntu: apt-get install libsqlite3-dev")
endif()
