// SPDX-License-Identifier: Apache-2.0
//
// Cost models, clusters, and reshardings as shortest paths.
#pragma once
#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/alpa.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/collective.hpp"
#include "tessera/cost/devices.hpp"
#include "tessera/cost/fusion.hpp"
#include "tessera/cost/model.hpp"
#include "tessera/cost/model_flops.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/cost/priced_step.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/cost/roofline.hpp"
#include "tessera/cost/time.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/cost/work.hpp"
#include "tessera/cost/workload.hpp"
