// SPDX-License-Identifier: Apache-2.0
//
// Sizes of mesh axes and tensor dims, and device numbers.
#pragma once
#include <cstdint>

namespace tessera {

/// The size of a mesh axis (in devices) or of a tensor dim (in elements).
using Extent = std::int64_t;

/// The extent of an axis that a mesh type leaves open.  Not 0: an axis of no devices is a mistake
/// to report.
inline constexpr Extent dynamic = -1;

/// A row-major device number.
using Device = std::int64_t;

}  // namespace tessera
