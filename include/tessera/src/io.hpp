// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of io/ and report/.  They need RapidJSON, for src.hpp.
#pragma once
#include "tessera/io/xla_request/comparison.ipp"
#include "tessera/io/xla_request/evaluation.ipp"
#include "tessera/io/xla_request/problem.ipp"
#include "tessera/io/xla_request/request.ipp"
