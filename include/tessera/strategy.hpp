// SPDX-License-Identifier: Apache-2.0
//
// The strategies of an op: enumerated, priced, pruned, put in words.
#pragma once
#include "tessera/strategy/annotation.hpp"
#include "tessera/strategy/choice.hpp"
#include "tessera/strategy/column.hpp"
#include "tessera/strategy/enumerate.hpp"
#include "tessera/strategy/halo.hpp"
#include "tessera/strategy/price_table.hpp"
#include "tessera/strategy/strategy.hpp"
#include "tessera/strategy/text.hpp"
