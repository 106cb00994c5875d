// SPDX-License-Identifier: Apache-2.0
//
// plan(): the whole road in one call, and plan_pipeline(), which chooses pipeline stages.
#pragma once
#include "tessera/plan/budget.hpp"
#include "tessera/plan/buffers.hpp"
#include "tessera/plan/data_parallel.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/free_choice.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/moments.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/plan/plan_pipeline.hpp"
#include "tessera/plan/planned_ops.hpp"
#include "tessera/plan/recompute.hpp"
#include "tessera/plan/rerun_problem.hpp"
#include "tessera/plan/second_run.hpp"
#include "tessera/plan/shortage.hpp"
#include "tessera/plan/span_price.hpp"
#include "tessera/plan/stage_memory.hpp"
#include "tessera/plan/staged_ops.hpp"
#include "tessera/plan/tidy.hpp"
