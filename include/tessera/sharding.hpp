// SPDX-License-Identifier: Apache-2.0
//
// Shardings as types and as values, what each device holds, the steps of a resharding.
#pragma once
#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/sharding/local.hpp"
#include "tessera/sharding/reduction.hpp"
#include "tessera/sharding/reshard.hpp"
#include "tessera/sharding/rules.hpp"
#include "tessera/sharding/shape.hpp"
#include "tessera/sharding/sharding.hpp"
