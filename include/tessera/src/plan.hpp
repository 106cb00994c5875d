// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of plan/ that concern one mesh, for src.hpp.
#pragma once
#include "tessera/plan/data_parallel.ipp"
#include "tessera/plan/detail/memory/buffer_budget.ipp"
#include "tessera/plan/detail/memory/buffer_nodes.ipp"
#include "tessera/plan/detail/memory/buffer_use.ipp"
#include "tessera/plan/detail/memory/least_memory.ipp"
#include "tessera/plan/detail/mesh/op_writer.ipp"
#include "tessera/plan/detail/mesh/planner.ipp"
#include "tessera/plan/detail/mesh/smaller_shards.ipp"
#include "tessera/plan/detail/rematerialization/candidates.ipp"
#include "tessera/plan/detail/rematerialization/min_cut.ipp"
#include "tessera/plan/detail/rematerialization/problem.ipp"
#include "tessera/plan/formulate.ipp"
#include "tessera/plan/memory.ipp"
#include "tessera/plan/plan.ipp"
#include "tessera/plan/rematerialization.ipp"
