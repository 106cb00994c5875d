// SPDX-License-Identifier: Apache-2.0
//
// Where function bodies are compiled: in every file that includes them, or once.
//
// A header NAME.hpp declares functions as usual, and ends with
//
//   #ifdef TESSERA_HEADER_ONLY
//   #include "tessera/FOLDER/NAME.ipp"
//   #endif
//
// NAME.ipp holds their bodies, each marked TESSERA_INLINE.  By default the library is header-only
// and the mark means `inline`.  Where TESSERA_SEPARATE_COMPILATION is defined the mark is empty and
// headers declare only; then exactly one source file of a program includes tessera/src.hpp, or the
// program links the CMake target tessera::compiled, which does that.
#pragma once

#ifdef TESSERA_SEPARATE_COMPILATION
#define TESSERA_INLINE
#else
#define TESSERA_HEADER_ONLY
#define TESSERA_INLINE inline
#endif
