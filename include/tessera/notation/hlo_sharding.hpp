// SPDX-License-Identifier: Apache-2.0
//
// HLO's spelling of a sharding: "{devices=[2,1,4]0,1,2,3,4,5,6,7 last_tile_dim_replicate}".
//
// HLO knows no mesh.  It lists, for an array of tiles, which device holds each; the dims of that
// array are the tensor's, then one for each group of devices that do not split it (copies, partial
// sums).  Printing goes from axes to that array; parsing reads the text, in the explicit (V1) and
// the iota (V2) form, and says what is wrong with it; from_hlo() finds the axes again.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera::notation {

/// The contents of the devices of a subgroup over which a tensor is not split.
enum class SubgroupKind : std::uint8_t { manual, unreduced, replicated, maximal };

/// As HLO writes it.
const char* to_string(SubgroupKind kind) noexcept;

/// One array's sharding, as HLO writes it.
struct HloSharding {
  enum class Kind : std::uint8_t { replicated, maximal, manual, unreduced, unknown, tiled };

  Kind kind = Kind::replicated;
  std::vector<Extent> tile_dims;        ///< tiled: the tensor's dims, then one per subgroup
  std::vector<SubgroupKind> subgroups;  ///< what the trailing tile dims are
  std::vector<Device> devices;          ///< tiled: row-major over tile_dims; maximal: one

  friend bool operator==(const HloSharding&, const HloSharding&) = default;
};

/// The placement of `sharding` on a mesh.  The array of tiles is the mesh's coordinates in another
/// order of axes: those that split the dims, dim by dim, then those of the subgroups.  A partial
/// sum is an `unreduced` subgroup; HLO does not say which reduction.  O(devices) Throws
/// InvalidSharding where the sharding names an axis that the mesh does not have.
HloSharding to_hlo(DynamicSharding sharding, const DynamicMesh& mesh);

/// The same on a submesh: `count` devices from `first` on, of a cluster that has others too; `rank`
/// is the tensor's number of dims.  A tensor that all of them hold equally is written device by
/// device, since {replicated} would mean the whole cluster.  O(devices)
HloSharding on_submesh(HloSharding sharding, std::size_t rank, Device first, Extent count);

/// The sharding of a tensor of `rank` dims that places it so on the mesh; nothing where no lists of
/// axes do.  Unreduced subgroups are taken for sums.  Axes of one device are not used.
/// O(devices * rank)
std::optional<DynamicSharding> from_hlo(const HloSharding& text, const DynamicMesh& mesh,
                                        std::size_t rank);

/// In the explicit form, which every version of XLA reads.  O(devices)
std::string to_string(const HloSharding& sharding);

/// to_string(to_hlo(...)).  Throws what to_hlo() does.  O(devices)
std::string hlo_text(DynamicSharding sharding, const DynamicMesh& mesh);

/// An error in a sharding's text, with its offset.
class HloShardingError : public Error {
 public:
  HloShardingError(std::size_t offset, const std::string& message)
      : Error(message), offset_(offset) {}
  /// In bytes from the beginning of the text.
  std::size_t offset() const noexcept { return offset_; }

 private:
  std::size_t offset_;
};

/// The leaves of a sharding's text, one for an array, any number for a tuple.  O(text and devices)
/// Throws HloShardingError.
std::vector<HloSharding> parse_hlo_sharding(std::string_view text);

}  // namespace tessera::notation

#ifdef TESSERA_HEADER_ONLY
#include "tessera/notation/hlo_sharding.ipp"
#endif
