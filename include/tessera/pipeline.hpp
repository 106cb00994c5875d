// SPDX-License-Identifier: Apache-2.0
//
// Pipelines: layers, the choice of stages, and what follows from it.
#pragma once
#include "tessera/pipeline/in_flight.hpp"
#include "tessera/pipeline/layers.hpp"
#include "tessera/pipeline/paper_stages.hpp"
#include "tessera/pipeline/ranks.hpp"
#include "tessera/pipeline/schedule.hpp"
#include "tessera/pipeline/simulate.hpp"
#include "tessera/pipeline/span_program.hpp"
#include "tessera/pipeline/stage_problem.hpp"
#include "tessera/pipeline/stage_proof.hpp"
#include "tessera/pipeline/stage_search.hpp"
#include "tessera/pipeline/submesh.hpp"
#include "tessera/pipeline/transfer.hpp"
