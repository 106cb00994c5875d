// SPDX-License-Identifier: Apache-2.0
//
// All function bodies of the library, to be compiled once.
//
// Define TESSERA_SEPARATE_COMPILATION for the whole program, and include this header in exactly one
// of its source files.  A program that is built by CMake links tessera::compiled instead.  To
// compile in parallel, include each of the headers below in a source file of its own.
#pragma once

#ifndef TESSERA_SEPARATE_COMPILATION
#error "tessera/src.hpp is for programs that define TESSERA_SEPARATE_COMPILATION; others need no source file"
#endif

#include "tessera/src/cost.hpp"
#include "tessera/src/executor.hpp"
#include "tessera/src/graph.hpp"
#include "tessera/src/io.hpp"
#include "tessera/src/pipeline.hpp"
#include "tessera/src/plan.hpp"
#include "tessera/src/solver.hpp"
