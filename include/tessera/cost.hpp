// SPDX-License-Identifier: Apache-2.0
//
// Cost models, clusters, and reshardings as shortest paths.
#pragma once
#include "tessera/cost/alpa.hpp"
#include "tessera/cost/collective.hpp"
#include "tessera/cost/model.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/cost/resharding.hpp"
