// SPDX-License-Identifier: Apache-2.0
//
// What many of our programs and tests call alike, compiled once, in the files beside this one.
//
// The library is headers only, and what solves and plans in them is not small: whoever calls it
// compiles it.  But it is called through templates that are not inline, so a program of several
// files can say, as here, that they are compiled elsewhere.
#pragma once
#include "tessera/cost/cluster_model.hpp"
#include "tessera/plan/rematerialization.hpp"
#include "tessera/tessera.hpp"
