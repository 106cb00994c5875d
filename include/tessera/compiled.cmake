# SPDX-License-Identifier: Apache-2.0
#
# Defines the target tessera::compiled: the library compiled once, for programs of several files.
# Included by CMakeLists.txt and by the installed package.  The library is compiled in the build tree
# of the project that links it, with that project's compiler and flags.
if(NOT TARGET tessera_compiled)
  set(_tessera_sources)
  foreach(_tessera_part graph cost solver plan pipeline io executor)
    set(_tessera_source ${CMAKE_CURRENT_BINARY_DIR}/tessera_compiled/${_tessera_part}.cpp)
    file(CONFIGURE OUTPUT ${_tessera_source}
      CONTENT "#include \"tessera/src/${_tessera_part}.hpp\"\n")
    list(APPEND _tessera_sources ${_tessera_source})
  endforeach()
  add_library(tessera_compiled STATIC EXCLUDE_FROM_ALL ${_tessera_sources})
  add_library(tessera::compiled ALIAS tessera_compiled)
  target_link_libraries(tessera_compiled PUBLIC tessera::tessera)
  target_compile_definitions(tessera_compiled PUBLIC TESSERA_SEPARATE_COMPILATION)
  target_compile_features(tessera_compiled PUBLIC cxx_std_20)
endif()
