# SPDX-License-Identifier: Apache-2.0
#
# bench/*.cpp together are one program, coppice_bench; bench/counts is the program whose instructions are counted. The
# programs of the peers live in folders below and are built by bench/run.sh.
file(GLOB bench_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.cpp")
if(bench_sources)
  add_executable(coppice_bench EXCLUDE_FROM_ALL ${bench_sources})
  set_target_properties(coppice_bench PROPERTIES CXX_EXTENSIONS OFF
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
  target_link_libraries(coppice_bench PRIVATE coppice::coppice coppice_flags)
  add_executable(coppice_counts EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/bench/counts/counts.cpp")
  set_target_properties(coppice_counts PROPERTIES CXX_EXTENSIONS OFF
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
  target_link_libraries(coppice_counts PRIVATE coppice::coppice coppice_flags)
endif()
