// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of plan/ that concern one mesh, for src.hpp.
#pragma once
#include "tessera/plan/formulate.ipp"
#include "tessera/plan/plan.ipp"
#include "tessera/plan/recompute.ipp"
