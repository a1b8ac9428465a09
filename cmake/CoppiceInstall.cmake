# SPDX-License-Identifier: Apache-2.0
#
# The library, its headers, a CMake package and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(coppice_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/coppice")
install(TARGETS coppice coppice_asio EXPORT coppiceTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(TARGET coppice_sqlite)
  install(TARGETS coppice_sqlite EXPORT coppiceTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(EXPORT coppiceTargets NAMESPACE coppice:: DESTINATION "${coppice_package_dir}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/coppice" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.hpp")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/coppiceConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/coppiceConfig.cmake" INSTALL_DESTINATION "${coppice_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/coppiceConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/coppiceConfig.cmake"
  "${PROJECT_BINARY_DIR}/coppiceConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/FindLibbacktrace.cmake"
  DESTINATION "${coppice_package_dir}")

# A static coppice hands what it was built on to the consumer's linker.
set(coppice_pc_libs "")
if(NOT BUILD_SHARED_LIBS)
  set(coppice_pc_libs "-lfmt -lboost_context ${Libbacktrace_LIBRARY} -pthread -ldl")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/coppice.pc.in" "${PROJECT_BINARY_DIR}/coppice.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/coppice.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
