# SPDX-License-Identifier: Apache-2.0
# cmake -DHOW=subdirectory|package|plain -DSOURCE=... -DBUILD=... -DCOMPILER=... -P check.cmake
#
# Builds and runs consumer/main.cpp the way a user would.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed: ${ARGN}\n${output}")
  endif()
endfunction()

set(consumer ${SOURCE}/tests/consumer)
set(work ${BUILD}/consumer_${HOW})
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
if(HOW STREQUAL plain)
  # One file, one include path, every warning a user may have on as an error.
  run(${COMPILER} -std=c++20 -O2 -Wall -Wextra -Wpedantic -Werror -I${SOURCE}/include
      ${consumer}/main.cpp -o ${work}/consumer)
  run(${work}/consumer)
  return()
endif()
set(configure ${CMAKE_COMMAND} -S ${consumer}/${HOW} -B ${work}/build -G Ninja
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Debug)
if(HOW STREQUAL subdirectory)
  run(${configure} -DTESSERA_SOURCE=${SOURCE})
else()
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix)
  run(${configure} -DCMAKE_PREFIX_PATH=${work}/prefix)
endif()
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/consumer)
