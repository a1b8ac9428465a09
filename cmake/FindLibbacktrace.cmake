# SPDX-License-Identifier: Apache-2.0
#
# Finds the libbacktrace that ships inside g++ (also when the compiler is clang) and defines
# Libbacktrace::libbacktrace. The header lies among g++'s own intrinsics, which another compiler must never see, so it
# is copied to a directory of its own.
set(Libbacktrace_LIBRARY "")
foreach(compiler "${CMAKE_CXX_COMPILER}" g++)
  execute_process(COMMAND "${compiler}" -print-file-name=libbacktrace.a
    OUTPUT_VARIABLE candidate OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
  if(status EQUAL 0 AND IS_ABSOLUTE "${candidate}" AND EXISTS "${candidate}")
    get_filename_component(directory "${candidate}" DIRECTORY)
    if(EXISTS "${directory}/include/backtrace.h")
      set(Libbacktrace_LIBRARY "${candidate}")
      set(Libbacktrace_HEADER "${directory}/include/backtrace.h")
      break()
    endif()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libbacktrace REQUIRED_VARS Libbacktrace_LIBRARY Libbacktrace_HEADER)

if(Libbacktrace_FOUND AND NOT TARGET Libbacktrace::libbacktrace)
  set(directory "${CMAKE_CURRENT_BINARY_DIR}/libbacktrace")
  configure_file("${Libbacktrace_HEADER}" "${directory}/backtrace.h" COPYONLY)
  add_library(Libbacktrace::libbacktrace STATIC IMPORTED)
  set_target_properties(Libbacktrace::libbacktrace PROPERTIES
    IMPORTED_LOCATION "${Libbacktrace_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${directory}")
endif()
