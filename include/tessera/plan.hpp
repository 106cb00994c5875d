// SPDX-License-Identifier: Apache-2.0
//
// plan(): the whole road in one call; plan_rematerializing(), which recomputes forward results; and
// plan_pipeline(), which chooses pipeline stages.
#pragma once
#include "tessera/plan/data_parallel.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/options.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/plan/plan_pipeline.hpp"
#include "tessera/plan/planned_ops.hpp"
#include "tessera/plan/rematerialization.hpp"
#include "tessera/plan/span_price.hpp"
#include "tessera/plan/stage_memory.hpp"
#include "tessera/plan/staged_ops.hpp"
