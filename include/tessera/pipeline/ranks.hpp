// SPDX-License-Identifier: Apache-2.0
//
// Which process is which: the coordinates of every rank, and the process groups for a launcher.
//
// Ranks are numbered as devices are.  An axis of a mesh has a role: its devices work on different
// data, hold different parts of tensors, are different stages, and so on.  A rank's coordinate in a
// role counts row-major over the axes that have it; a group is all ranks that differ only in some
// roles.
//
// Two ways to number.  Megatron's is one mesh over all ranks, with the stages among its axes, given
// by an order such as "tp-cp-ep-dp-pp", fastest first.  Ours are stages one after the other, each a
// mesh of its own, which need not be alike.  Where they are, and "pp" comes last, both say the
// same.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/mesh/replica_groups.hpp"

namespace tessera::pipeline {

enum class Role : std::uint8_t { tensor, context, expert, data, stage };
inline constexpr std::array all_roles{Role::tensor, Role::context, Role::expert, Role::data,
                                      Role::stage};

// Megatron's short names.
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

// Ranks first, first + 1, ... as a mesh, and what its axes are for.
struct RankBlock {
  Device first = 0;
  DynamicMesh mesh;
  Roles roles;  // one for each axis
};

class Ranks {
 public:
  // One mesh for all.  Throws InvalidArgument where axes and roles differ in number.
  explicit Ranks(RankBlock block) : Ranks(std::vector<RankBlock>{std::move(block)}, false) {}

  // A mesh for each stage, in the order of stages; none has an axis of stages.  The blocks must
  // tile the ranks from 0 on.  Throws InvalidArgument where they do not.
  static Ranks of_stages(std::vector<RankBlock> stages) { return Ranks(std::move(stages), true); }

  Device count() const noexcept { return count_; }

  // Throws InvalidArgument where there is no such rank.
  std::int64_t coordinate(Device rank, Role role) const {
    const std::size_t at = block_of(rank);
    if (are_stages_ && role == Role::stage) return static_cast<std::int64_t>(at);
    const RankBlock& block = blocks_[at];
    const Coordinates coordinates = coordinates_of(block.mesh, rank - block.first);
    std::int64_t coordinate = 0;
    for (std::size_t axis = 0; axis < block.roles.size(); ++axis)
      if (block.roles[axis] == role)
        coordinate = coordinate * block.mesh.extent(axis) + coordinates[axis];
    return coordinate;
  }

  // The groups of ranks that differ only in these roles, by their first ranks, and in them by rank.
  // Throws InvalidArgument for groups over stages that are not alike: there the ranks of one
  // stage have no counterparts in another, and neighbours() is what there is.
  Groups groups(const Roles& roles) const {
    const bool spans_stages = are_stages_ &&
                              std::find(roles.begin(), roles.end(), Role::stage) != roles.end();
    if (spans_stages) check_alike();
    Groups result;
    for (const RankBlock& block : blocks_) {
      const Groups groups = groups_of(block, roles);
      if (!spans_stages || result.empty()) {
        result.insert(result.end(), groups.begin(), groups.end());
        continue;
      }
      for (std::size_t i = 0; i < groups.size(); ++i)
        result[i].insert(result[i].end(), groups[i].begin(), groups[i].end());
    }
    for (Group& group : result) std::sort(group.begin(), group.end());
    std::sort(result.begin(), result.end());
    return result;
  }

  // For each stage but the last: its ranks and those of the next one, between which tensors go.
  Groups neighbours() const {
    const std::vector<Group> stages = ranks_by_stage();
    Groups result;
    for (std::size_t stage = 0; stage + 1 < stages.size(); ++stage) {
      result.push_back(stages[stage]);
      result.back().insert(result.back().end(), stages[stage + 1].begin(), stages[stage + 1].end());
      std::sort(result.back().begin(), result.back().end());
    }
    return result;
  }

 private:
  Ranks(std::vector<RankBlock> blocks, bool are_stages)
      : blocks_(std::move(blocks)), are_stages_(are_stages) {
    for (const RankBlock& block : blocks_) {
      if (block.roles.size() != block.mesh.rank())
        refuse("a mesh " + tessera::to_string(block.mesh) + " with " +
               std::to_string(block.roles.size()) + " roles");
      if (are_stages &&
          std::find(block.roles.begin(), block.roles.end(), Role::stage) != block.roles.end())
        refuse("a stage with an axis of stages");
      count_ += block.mesh.device_count();
    }
    for (std::size_t i = 0; i < blocks_.size(); ++i) by_first_.push_back(i);
    std::sort(by_first_.begin(), by_first_.end(),
              [&](std::size_t a, std::size_t b) { return blocks_[a].first < blocks_[b].first; });
    Device next = 0;
    for (const std::size_t i : by_first_) {
      if (blocks_[i].first != next)
        refuse("stage " + std::to_string(i) + " begins at rank " +
               std::to_string(blocks_[i].first) + ", where " + std::to_string(next) +
               " would be next");
      next += blocks_[i].mesh.device_count();
    }
  }

  [[noreturn]] static void refuse(const std::string& what) {
    throw InvalidArgument("ranks: " + what);
  }

  std::size_t block_of(Device rank) const {
    if (rank < 0 || rank >= count_)
      refuse("there is no rank " + std::to_string(rank) + " of " + std::to_string(count_));
    const auto after = std::partition_point(by_first_.begin(), by_first_.end(), [&](std::size_t i) {
      return blocks_[i].first <= rank;
    });
    return *(after - 1);
  }

  static Groups groups_of(const RankBlock& block, const Roles& roles) {
    AxisSet axes;
    for (std::size_t axis = 0; axis < block.roles.size(); ++axis)
      if (std::find(roles.begin(), roles.end(), block.roles[axis]) != roles.end())
        axes.insert(axis);
    const ReplicaGroups groups(block.mesh, axes);
    Groups result(static_cast<std::size_t>(groups.size()));
    for (Extent group = 0; group < groups.size(); ++group)
      for (Extent member = 0; member < groups.group_size(); ++member)
        result[static_cast<std::size_t>(group)].push_back(block.first +
                                                          groups.device(group, member));
    return result;
  }

  void check_alike() const {
    for (std::size_t stage = 0; stage < blocks_.size(); ++stage)
      if (!(blocks_[stage].mesh == blocks_[0].mesh) || blocks_[stage].roles != blocks_[0].roles)
        refuse("stage " + std::to_string(stage) +
               " is not like the first one, so there are no groups over stages");
  }

  std::vector<Group> ranks_by_stage() const {
    std::vector<Group> stages;
    for (Device rank = 0; rank < count_; ++rank) {
      const auto stage = static_cast<std::size_t>(coordinate(rank, Role::stage));
      if (stage >= stages.size()) stages.resize(stage + 1);
      stages[stage].push_back(rank);
    }
    return stages;
  }

  std::vector<RankBlock> blocks_;
  bool are_stages_;
  std::vector<std::size_t> by_first_;
  Device count_ = 0;
};

// --- Megatron's order ----------------------------------------------------------------------------

// What Megatron is told.  Layers of experts are split in a way of their own: expert_tensor ways
// instead of tensor, expert ways over experts, and data-parallel over whatever ranks that leaves.
struct MegatronDegrees {
  Extent tensor = 1, context = 1, data = 1, stages = 1;
  Extent expert = 1, expert_tensor = 1;
};

namespace detail {

// "tp-cp-ep-dp-pp" as roles, fastest first.  Each role once; those of one device may be left out.
inline Roles parse_order(std::string_view order) {
  Roles roles;
  const std::string whole(order);
  while (true) {
    const std::size_t at = order.find('-');
    const std::string_view name = order.substr(0, at);
    const auto role = std::find_if(all_roles.begin(), all_roles.end(),
                                   [&](Role r) { return name == to_string(r); });
    if (role == all_roles.end() || std::find(roles.begin(), roles.end(), *role) != roles.end())
      throw InvalidArgument("rank order '" + whole + "': '" + std::string(name) +
                                  "' is none of tp, cp, ep, dp, pp, or is there twice");
    roles.push_back(*role);
    if (at == std::string_view::npos) return roles;
    order.remove_prefix(at + 1);
  }
}

// Megatron counts its fastest axis first, meshes have theirs last.
inline Ranks megatron_ranks(const Roles& order,
                            const std::array<Extent, all_roles.size()>& degrees) {
  RankBlock block;
  std::vector<Extent> extents;
  for (std::size_t i = order.size(); i-- > 0;) {
    block.roles.push_back(order[i]);
    extents.push_back(degrees[static_cast<std::size_t>(order[i])]);
  }
  for (const Role role : all_roles)
    if (degrees[static_cast<std::size_t>(role)] > 1 &&
        std::find(order.begin(), order.end(), role) == order.end())
      throw InvalidArgument(std::string("rank order: ") + to_string(role) +
                                  " has several ranks, but no place in the order");
  block.mesh = DynamicMesh(extents);
  return Ranks(std::move(block));
}

}  // namespace detail

inline constexpr std::string_view megatron_order = "tp-cp-ep-dp-pp";

// The ranks as layers without experts see them.  Throws InvalidArgument for an order that is
// none, InvalidMesh for degrees that are none.
inline Ranks megatron_ranks(const MegatronDegrees& degrees,
                            std::string_view order = megatron_order) {
  return detail::megatron_ranks(detail::parse_order(order),
                                {degrees.tensor, degrees.context, 1, degrees.data, degrees.stages});
}

// The same ranks as layers of experts see them.  Throws InvalidArgument also where the ranks
// can not be split so, or a rank would be in another stage than without experts.
inline Ranks megatron_expert_ranks(const MegatronDegrees& degrees,
                                   std::string_view order = megatron_order) {
  const Ranks dense = megatron_ranks(degrees, order);
  const Extent split =
      checked_mul(checked_mul(degrees.expert, degrees.expert_tensor), degrees.stages);
  if (split < 1 || dense.count() % split != 0)
    throw InvalidArgument("ranks: " + std::to_string(dense.count()) +
                                " can not be split over " + std::to_string(degrees.expert) +
                                " experts, " + std::to_string(degrees.expert_tensor) +
                                " ways each, and " + std::to_string(degrees.stages) + " stages");
  const Ranks ranks = detail::megatron_ranks(
      detail::parse_order(order),
      {degrees.expert_tensor, 1, degrees.expert, dense.count() / split, degrees.stages});
  if (ranks.groups({Role::stage}) != dense.groups({Role::stage}))
    throw InvalidArgument(
        "ranks: stages of layers with experts and without would be on different ranks; let 'pp' "
        "come last in the order");
  return ranks;
}

struct NamedGroups {
  std::string name;
  Groups groups;
};

// The groups that Megatron makes, by its names: dense layers' first, then those of experts, then
// the first and last ranks of every pipeline, which share the embedding.  Throws as the two above.
inline std::vector<NamedGroups> megatron_groups(const MegatronDegrees& degrees,
                                                std::string_view order = megatron_order) {
  const Ranks dense = megatron_ranks(degrees, order);
  const Ranks experts = megatron_expert_ranks(degrees, order);
  std::vector<NamedGroups> result{
      {"tp", dense.groups({Role::tensor})},
      {"cp", dense.groups({Role::context})},
      {"dp", dense.groups({Role::data})},
      {"pp", dense.groups({Role::stage})},
      {"dp-cp", dense.groups({Role::data, Role::context})},
      {"tp-cp", dense.groups({Role::tensor, Role::context})},
      {"tp-pp", dense.groups({Role::tensor, Role::stage})},
      {"tp-dp-cp", dense.groups({Role::tensor, Role::data, Role::context})},
      {"ep", experts.groups({Role::expert})},
      {"expert tp", experts.groups({Role::tensor})},
      {"expert dp", experts.groups({Role::data})},
      {"expert tp-ep", experts.groups({Role::tensor, Role::expert})},
      {"expert tp-ep-pp", experts.groups({Role::tensor, Role::expert, Role::stage})},
      {"embedding", {}}};
  for (const Group& pipeline : dense.groups({Role::stage}))
    result.back().groups.push_back(pipeline.size() == 1 ? pipeline
                                                        : Group{pipeline.front(), pipeline.back()});
  return result;
}

}  // namespace tessera::pipeline
