// SPDX-License-Identifier: Apache-2.0
//
// The version of the library, for #if and for messages.  CMakeLists.txt reads it from here.
#pragma once

#define TESSERA_VERSION_MAJOR 0
#define TESSERA_VERSION_MINOR 2
#define TESSERA_VERSION_PATCH 0
#define TESSERA_VERSION_STRING "0.2.0"

/// One number that grows with every release: TESSERA_VERSION >= 200 means 0.2.0 or newer.
#define TESSERA_VERSION \
  (TESSERA_VERSION_MAJOR * 10000 + TESSERA_VERSION_MINOR * 100 + TESSERA_VERSION_PATCH)
