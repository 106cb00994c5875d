// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of pipeline/, and of the part of plan/ that concerns stages, for src.hpp.
#pragma once
