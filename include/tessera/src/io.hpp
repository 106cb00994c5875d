// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of io/ and report/.  They need RapidJSON, for src.hpp.
#pragma once
