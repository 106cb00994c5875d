// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of cost/ and strategy/, for src.hpp.
#pragma once
#include "tessera/cost/cluster.ipp"
#include "tessera/cost/cluster_model.ipp"
#include "tessera/cost/collective.ipp"
#include "tessera/cost/fusion.ipp"
#include "tessera/cost/presets.ipp"
#include "tessera/cost/roofline.ipp"
#include "tessera/cost/utilisation.ipp"
#include "tessera/cost/workload.ipp"
