// SPDX-License-Identifier: Apache-2.0
//
// The prices of spans in a folder, kept from run to run.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"

namespace tessera::plan {
struct PriceStore;
}

namespace tessera::io {

/// Keeps prices in a folder, which is made where there is none.  A file that can not be read counts
/// as absent; a price that can not be written is given up, since it can be computed again.
/// @throws InputError where the folder can not be made
plan::PriceStore price_store(const std::string& folder);

}  // namespace tessera::io

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/price_store.ipp"
#endif
