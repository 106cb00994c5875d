// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of solver/, for src.hpp.
#pragma once
#include "tessera/solver/check.ipp"
