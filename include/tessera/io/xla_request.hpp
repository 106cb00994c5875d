// SPDX-License-Identifier: Apache-2.0
//
// Requests in the format of XLA's auto-sharding solver: validate, convert, evaluate, compare.
#pragma once
#include "tessera/io/xla_request/comparison.hpp"
#include "tessera/io/xla_request/evaluation.hpp"
#include "tessera/io/xla_request/problem.hpp"
#include "tessera/io/xla_request/request.hpp"
