# SPDX-License-Identifier: Apache-2.0
# cmake -DCOMPILER=... -DINCLUDE=... -DSOURCE=... -P check.cmake
#
# The source must not compile, and its first error must be the sentence that its "// expect:" line
# promises.  Its twin, a token away (-DTWIN), must compile: so the refusal is for that token.
file(STRINGS ${SOURCE} expectation REGEX "^// expect: ")
string(REGEX REPLACE "^// expect: " "" sentence "${expectation}")
if(sentence STREQUAL "")
  message(FATAL_ERROR "${SOURCE} has no '// expect:' line")
endif()
set(command ${COMPILER} -std=c++20 -fsyntax-only -I${INCLUDE} ${SOURCE})

execute_process(COMMAND ${command} -DTWIN RESULT_VARIABLE result ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the twin does not compile:\n${errors}")
endif()

execute_process(COMMAND ${command} RESULT_VARIABLE result ERROR_VARIABLE errors)
if(result EQUAL 0)
  message(FATAL_ERROR "compiled, though it must not")
endif()
string(REGEX MATCH "error: [^\n]*" first_error "${errors}")
string(FIND "${first_error}" "${sentence}" found)
if(found EQUAL -1)
  message(FATAL_ERROR "the first error is not the sentence '${sentence}':\n${errors}")
endif()
message(STATUS "${first_error}")
