// SPDX-License-Identifier: Apache-2.0
//
// Cost models, clusters, and reshardings as shortest paths.
#pragma once
#include "tessera/cost/alpa.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/model.hpp"
#include "tessera/cost/model_flops.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/cost/workload.hpp"
