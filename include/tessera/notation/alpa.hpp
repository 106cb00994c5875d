// SPDX-License-Identifier: Apache-2.0
//
// Alpa's spelling of a sharding: one symbol per dim, "S0R", "RS01", digits major to minor.
//
// Alpa has no partial sums; ours follow in words: "RR+sum[1]".  A scalar reads "R".
#pragma once
#include <string>

#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera::notation {

/// A sharding as Alpa writes it; types (Sharding<...>) convert.  O(axes)
std::string alpa_text(DynamicSharding sharding);

}  // namespace tessera::notation

#ifdef TESSERA_HEADER_ONLY
#include "tessera/notation/alpa.ipp"
#endif
