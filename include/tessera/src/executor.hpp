// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of executor/, and of its tables in report/.  They need Eigen, for src.hpp.
#pragma once
#include "tessera/report/execution_table.ipp"
#include "tessera/report/pipeline_execution_table.ipp"
