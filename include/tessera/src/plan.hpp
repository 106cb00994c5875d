// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of plan/ that concern one mesh, for src.hpp.
#pragma once
