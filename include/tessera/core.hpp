// SPDX-License-Identifier: Apache-2.0
//
// Errors with positions, fixed strings, small vectors, exact integers.
#pragma once
#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/fault.hpp"
#include "tessera/core/fixed_string.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/core/number.hpp"
#include "tessera/core/text.hpp"
#include "tessera/core/wide.hpp"
