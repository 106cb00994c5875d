// SPDX-License-Identifier: Apache-2.0
//
// Plans and progress as text for people, schedules as pictures.
#pragma once
#include "tessera/report/pipeline_table.hpp"
#include "tessera/report/plan_table.hpp"
#include "tessera/report/rematerialization_table.hpp"
#include "tessera/report/solve_log.hpp"
#include "tessera/report/text.hpp"
#include "tessera/report/timeline.hpp"
