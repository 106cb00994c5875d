# SPDX-License-Identifier: Apache-2.0
# cmake -DCOMPILER=... -DINCLUDE=... -P cheap_headers.cmake
#
# What the core headers may cost is held by what they include, which repeats, and not by seconds,
# which do not: nothing of a third party, and none of the standard library's expensive headers.
cmake_minimum_required(VERSION 3.22)
set(third_parties "boost/|[Ee]igen|rapidjson")
set(expensive "algorithm|functional|iostream|map|ranges|regex|sstream|thread|unordered_map")

# Sets `files` to what a header includes.
function(list_files header flags)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/cheap_${header}.cpp)
  file(WRITE ${source} "#include \"tessera/${header}.hpp\"\n")
  execute_process(COMMAND ${COMPILER} -std=c++20 ${flags} -I${INCLUDE} -M ${source}
    RESULT_VARIABLE result OUTPUT_VARIABLE files ERROR_VARIABLE errors)
  file(REMOVE ${source})
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${errors}")
  endif()
  string(REGEX MATCHALL "[^ \\\n]+" files "${files}")
  set(files "${files}" PARENT_SCOPE)
endfunction()

function(refuse header files pattern)
  foreach(file ${files})
    if(file MATCHES "${pattern}")
      message(FATAL_ERROR "tessera/${header}.hpp includes ${file}")
    endif()
  endforeach()
  list(LENGTH files count)
  message(STATUS "tessera/${header}.hpp: ${count} files in all")
endfunction()

# With bodies.
foreach(header fwd mesh sharding)
  list_files(${header} "")
  refuse(${header} "${files}" "${third_parties}|c\\+\\+/[0-9]+/(${expensive}|vector)$")
  if(header STREQUAL fwd AND files MATCHES "tessera/[a-z_]+/")
    message(FATAL_ERROR "tessera/fwd.hpp includes more than the standard library")
  endif()
endforeach()

# Declarations alone.
foreach(header notation graph models)
  list_files(${header} -DTESSERA_SEPARATE_COMPILATION)
  refuse(${header} "${files}" "${third_parties}|c\\+\\+/[0-9]+/(${expensive})$")
endforeach()
foreach(header cost strategy solver pipeline plan io report tessera)
  list_files(${header} -DTESSERA_SEPARATE_COMPILATION)
  refuse(${header} "${files}" "${third_parties}|c\\+\\+/[0-9]+/(iostream|ranges|regex|sstream|thread)$")
endforeach()
