// SPDX-License-Identifier: Apache-2.0
//
// Process ranks: the coordinates of every rank, and the process groups for a launcher.
//
// Ranks are numbered as devices are.  An axis of a mesh has a role: its devices work on different
// data, hold different parts of tensors, are different stages, and so on.  A rank's coordinate in a
// role counts row-major over the axes that have it.  A group holds all ranks that differ only in
// some roles.
//
// There are two ways to number ranks.  Megatron's is one mesh over all ranks, with the stages among
// its axes, given by an order such as "tp-cp-ep-dp-pp", fastest first.  Tessera's plans have stages
// one after the other, each a mesh of its own, which may differ from stage to stage.  Where all
// stages have the same mesh and "pp" comes last, both numberings are the same.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::pipeline {

/// The use of a mesh axis: its devices differ in this respect.
enum class Role : std::uint8_t { tensor, context, expert, data, stage };
inline constexpr std::array all_roles{Role::tensor, Role::context, Role::expert, Role::data,
                                      Role::stage};

/// Megatron's short names.
constexpr const char* to_string(Role role) noexcept {
  switch (role) {
    case Role::tensor: return "tp";
    case Role::context: return "cp";
    case Role::expert: return "ep";
    case Role::data: return "dp";
    case Role::stage: return "pp";
  }
  return "";
}

using Roles = std::vector<Role>;
using Group = std::vector<Device>;
using Groups = std::vector<Group>;

/// Ranks first, first + 1, ... as a mesh, with the roles of its axes.
struct RankBlock {
  Device first = 0;
  DynamicMesh mesh;
  Roles roles;  ///< one for each axis
};

/// All ranks of a job.
class Ranks {
 public:
  /// One mesh for all.  Throws InvalidArgument where axes and roles differ in number.
  explicit Ranks(RankBlock block) : Ranks(std::vector<RankBlock>{std::move(block)}, false) {}

  /// A mesh for each stage, in the order of stages; none has an axis of stages.  Throws
  /// InvalidArgument where the blocks do not tile the ranks from 0 on.
  static Ranks of_stages(std::vector<RankBlock> stages) { return Ranks(std::move(stages), true); }

  Device count() const noexcept { return count_; }

  /// Throws InvalidArgument where there is no such rank.
  std::int64_t coordinate(Device rank, Role role) const;

  /// The groups of ranks that differ only in these roles, by their first ranks, and in them by
  /// rank. Throws InvalidArgument for groups over stages with different meshes: there the ranks of
  /// one stage have no counterparts in another; use neighbours().
  Groups groups(const Roles& roles) const;

  /// For each stage but the last: its ranks and those of the next stage, which exchange tensors.
  Groups neighbours() const;

 private:
  Ranks(std::vector<RankBlock> blocks, bool are_stages);
  std::size_t block_of(Device rank) const;
  void check_equal_stages() const;
  std::vector<Group> ranks_by_stage() const;

  std::vector<RankBlock> blocks_;
  bool are_stages_;
  std::vector<std::size_t> by_first_;
  Device count_ = 0;
};

/// The degrees of parallelism in Megatron's command line.  Layers of experts have their own:
/// expert_tensor instead of tensor, expert over experts, and data over the ranks that remain.
struct MegatronDegrees {
  Extent tensor = 1, context = 1, data = 1, stages = 1;
  Extent expert = 1, expert_tensor = 1;
};

inline constexpr std::string_view megatron_order = "tp-cp-ep-dp-pp";

/// The ranks as layers without experts see them.  Throws InvalidArgument for an invalid order, and
/// InvalidMesh for invalid degrees.
Ranks megatron_ranks(const MegatronDegrees& degrees, std::string_view order = megatron_order);

/// The same ranks as layers of experts see them.  Throws InvalidArgument also where the ranks can
/// not be split so, or where a rank would be in another stage than without experts.
Ranks megatron_expert_ranks(const MegatronDegrees& degrees,
                            std::string_view order = megatron_order);

struct NamedGroups {
  std::string name;
  Groups groups;
};

/// The groups that Megatron makes, by its names: dense layers' first, then those of experts, then
/// the first and last ranks of every pipeline, which share the embedding.  Throws as the functions
/// above do.
std::vector<NamedGroups> megatron_groups(const MegatronDegrees& degrees,
                                         std::string_view order = megatron_order);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/ranks.ipp"
#endif
