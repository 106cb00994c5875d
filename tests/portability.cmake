# SPDX-License-Identifier: Apache-2.0
# cmake -DCOMPILER=... -DFLAGS=... -DHEADERS=all|solver_and_planner|bodies -DSOURCE=... -DWORK=... [-DEIGEN=...] -P portability.cmake
#
# One compiler, standard library and mode understands the library's headers: all of them with every
# tutorial and every C++ snippet of README.md; those of the solver and the planner alone; or the
# bodies that are compiled once.  Syntax and templates are checked, no code is made.
cmake_minimum_required(VERSION 3.22)

set(text "// Written by tests/portability.cmake.\n")
if(HEADERS STREQUAL bodies)
  string(APPEND text "#include \"tessera/src.hpp\"\n")
elseif(HEADERS STREQUAL solver_and_planner)
  foreach(header core mesh sharding notation solver plan)
    string(APPEND text "#include \"tessera/${header}.hpp\"\n")
  endforeach()
else()
  string(APPEND text "#include <iostream>\n#include \"tessera/tessera.hpp\"\n#include \"tessera/pipeline.hpp\"\n")
  if(EIGEN)
    string(APPEND text "#include \"tessera/executor.hpp\"\n")
  endif()

  # Every tutorial is a page with a main() of its own.
  file(GLOB tutorials ${SOURCE}/examples/tutorials/*.cpp)
  if(NOT EIGEN)
    list(FILTER tutorials EXCLUDE REGEX 07_run_a_plan)
  endif()
  foreach(tutorial ${tutorials})
    get_filename_component(name ${tutorial} NAME_WE)
    string(APPEND text "#define main main_of_${name}\n#include \"${tutorial}\"\n#undef main\n")
  endforeach()

  # The snippets of README.md follow on each other; "// error:" marks lines that must not compile.
  file(READ ${SOURCE}/README.md rest)
  set(snippets "")
  set(count 0)
  string(FIND "${rest}" "```cpp\n" begin)
  while(NOT begin EQUAL -1)
    math(EXPR begin "${begin} + 7")
    string(SUBSTRING "${rest}" ${begin} -1 rest)
    string(FIND "${rest}" "```" end)
    string(SUBSTRING "${rest}" 0 ${end} snippet)
    string(REGEX REPLACE "[^\n]*// error:[^\n]*\n" "" snippet "${snippet}")
    string(REGEX REPLACE "#include [^\n]*\n" "" snippet "${snippet}")
    string(APPEND snippets "${snippet}")
    math(EXPR count "${count} + 1")
    math(EXPR end "${end} + 3")
    string(SUBSTRING "${rest}" ${end} -1 rest)
    string(FIND "${rest}" "```cpp\n" begin)
  endwhile()
  if(count EQUAL 0)
    message(FATAL_ERROR "README.md has no C++ snippets")
  endif()
  # Weights and labels that the snippets leave to the reader to declare.
  string(APPEND text "void snippets(tessera::graph::Tensor up, tessera::graph::Tensor scale,\n"
    "              tessera::graph::Tensor head, tessera::graph::Tensor labels) {\n${snippets}}\n")
endif()

string(MD5 name "${COMPILER} ${FLAGS} ${HEADERS}")
set(file ${WORK}/portability_${name}.cpp)
file(WRITE ${file} "${text}")
separate_arguments(flags UNIX_COMMAND "${FLAGS}")
if(EIGEN)
  list(APPEND flags -isystem ${EIGEN})
endif()
execute_process(COMMAND ${COMPILER} ${flags} -fsyntax-only -I${SOURCE}/include ${file}
  RESULT_VARIABLE result ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${COMPILER} ${FLAGS}:\n${errors}")
endif()
file(REMOVE ${file})
