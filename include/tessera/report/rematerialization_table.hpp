// SPDX-License-Identifier: Apache-2.0
//
// The tensors that a plan rematerializes instead of keeping them, as text for people.
#pragma once
#include <cstddef>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/plan/rematerialization.hpp"

namespace tessera::report {

/// The tensors that are rematerialized: the `most` largest ones, then the total of all.  Each has
/// its bytes and the price of computing it a second time.  Empty if nothing is rematerialized.
std::string rematerialization_table(const plan::RematerializingPlan& step, std::size_t most = 10);

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/rematerialization_table.ipp"
#endif
