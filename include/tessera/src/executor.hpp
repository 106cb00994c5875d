// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of executor/.  They need Eigen, for src.hpp.
#pragma once
