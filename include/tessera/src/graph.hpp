// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of core/, mesh/, sharding/, notation/, graph/ and models/, for src.hpp.
#pragma once
