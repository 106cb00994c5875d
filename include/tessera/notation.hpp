// SPDX-License-Identifier: Apache-2.0
//
// The spellings of a sharding in other systems.
#pragma once
#include "tessera/notation/alpa.hpp"
#include "tessera/notation/hlo_sharding.hpp"
