// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of cost/ and strategy/, for src.hpp.
#pragma once
