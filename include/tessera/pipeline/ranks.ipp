// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of ranks.hpp.
#pragma once
#include "tessera/pipeline/ranks.hpp"

#include <algorithm>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/mesh/replica_groups.hpp"

namespace tessera::pipeline {
namespace detail {

[[noreturn]] TESSERA_INLINE void refuse_ranks(const std::string& what) {
  throw InvalidArgument("ranks: " + what);
}

TESSERA_INLINE Groups groups_of(const RankBlock& block, const Roles& roles) {
  AxisSet axes;
  for (std::size_t axis = 0; axis < block.roles.size(); ++axis)
    if (std::find(roles.begin(), roles.end(), block.roles[axis]) != roles.end()) axes.insert(axis);
  const ReplicaGroups groups(block.mesh, axes);
  Groups result(static_cast<std::size_t>(groups.size()));
  for (Extent group = 0; group < groups.size(); ++group)
    for (Extent member = 0; member < groups.group_size(); ++member)
      result[static_cast<std::size_t>(group)].push_back(block.first + groups.device(group, member));
  return result;
}

// "tp-cp-ep-dp-pp" as roles, fastest first.  Each role once; those of one device may be left out.
TESSERA_INLINE Roles parse_order(std::string_view order) {
  Roles roles;
  const std::string whole(order);
  while (true) {
    const std::size_t at = order.find('-');
    const std::string_view name = order.substr(0, at);
    const auto role = std::find_if(all_roles.begin(), all_roles.end(),
                                   [&](Role r) { return name == to_string(r); });
    if (role == all_roles.end() || std::find(roles.begin(), roles.end(), *role) != roles.end())
      throw InvalidArgument("rank order '" + whole + "': '" + std::string(name) +
                            "' is none of tp, cp, ep, dp, pp, or stands there twice");
    roles.push_back(*role);
    if (at == std::string_view::npos) return roles;
    order.remove_prefix(at + 1);
  }
}

// Megatron counts its fastest axis first, meshes have theirs last.
TESSERA_INLINE Ranks megatron_ranks(const Roles& order,
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
                            " has a degree above 1, but no place in the order");
  block.mesh = DynamicMesh(extents);
  return Ranks(std::move(block));
}

}  // namespace detail

TESSERA_INLINE Ranks::Ranks(std::vector<RankBlock> blocks, bool are_stages)
    : blocks_(std::move(blocks)), are_stages_(are_stages) {
  for (const RankBlock& block : blocks_) {
    if (block.roles.size() != block.mesh.rank())
      detail::refuse_ranks("the mesh " + tessera::to_string(block.mesh) + " has " +
                           std::to_string(block.roles.size()) + " roles; give one for each axis");
    if (are_stages &&
        std::find(block.roles.begin(), block.roles.end(), Role::stage) != block.roles.end())
      detail::refuse_ranks("the mesh of a stage has an axis of stages");
    count_ += block.mesh.device_count();
  }
  for (std::size_t i = 0; i < blocks_.size(); ++i) by_first_.push_back(i);
  std::sort(by_first_.begin(), by_first_.end(),
            [&](std::size_t a, std::size_t b) { return blocks_[a].first < blocks_[b].first; });
  Device next = 0;
  for (const std::size_t i : by_first_) {
    if (blocks_[i].first != next)
      detail::refuse_ranks("stage " + std::to_string(i) + " begins at rank " +
                           std::to_string(blocks_[i].first) + "; the next free rank is " +
                           std::to_string(next));
    next += blocks_[i].mesh.device_count();
  }
}

TESSERA_INLINE std::int64_t Ranks::coordinate(Device rank, Role role) const {
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

TESSERA_INLINE Groups Ranks::groups(const Roles& roles) const {
  const bool spans_stages = are_stages_ &&
                            std::find(roles.begin(), roles.end(), Role::stage) != roles.end();
  if (spans_stages) check_equal_stages();
  Groups result;
  for (const RankBlock& block : blocks_) {
    const Groups groups = detail::groups_of(block, roles);
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

TESSERA_INLINE Groups Ranks::neighbours() const {
  const std::vector<Group> stages = ranks_by_stage();
  Groups result;
  for (std::size_t stage = 0; stage + 1 < stages.size(); ++stage) {
    result.push_back(stages[stage]);
    result.back().insert(result.back().end(), stages[stage + 1].begin(), stages[stage + 1].end());
    std::sort(result.back().begin(), result.back().end());
  }
  return result;
}

TESSERA_INLINE std::size_t Ranks::block_of(Device rank) const {
  if (rank < 0 || rank >= count_)
    detail::refuse_ranks("there is no rank " + std::to_string(rank) + " of " +
                         std::to_string(count_));
  const auto after = std::partition_point(by_first_.begin(), by_first_.end(),
                                          [&](std::size_t i) { return blocks_[i].first <= rank; });
  return *(after - 1);
}

TESSERA_INLINE void Ranks::check_equal_stages() const {
  for (std::size_t stage = 0; stage < blocks_.size(); ++stage)
    if (!(blocks_[stage].mesh == blocks_[0].mesh) || blocks_[stage].roles != blocks_[0].roles)
      detail::refuse_ranks("stage " + std::to_string(stage) +
                           " has another mesh than the first one, so there are no groups over "
                           "stages");
}

TESSERA_INLINE std::vector<Group> Ranks::ranks_by_stage() const {
  std::vector<Group> stages;
  for (Device rank = 0; rank < count_; ++rank) {
    const auto stage = static_cast<std::size_t>(coordinate(rank, Role::stage));
    if (stage >= stages.size()) stages.resize(stage + 1);
    stages[stage].push_back(rank);
  }
  return stages;
}

TESSERA_INLINE Ranks megatron_ranks(const MegatronDegrees& degrees, std::string_view order) {
  return detail::megatron_ranks(detail::parse_order(order),
                                {degrees.tensor, degrees.context, 1, degrees.data, degrees.stages});
}

TESSERA_INLINE Ranks megatron_expert_ranks(const MegatronDegrees& degrees, std::string_view order) {
  const Ranks dense = megatron_ranks(degrees, order);
  const Extent split =
      checked_mul(checked_mul(degrees.expert, degrees.expert_tensor), degrees.stages);
  if (split < 1 || dense.count() % split != 0)
    throw InvalidArgument("ranks: " + std::to_string(dense.count()) +
                          " ranks can not be split over " + std::to_string(degrees.expert) +
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

TESSERA_INLINE std::vector<NamedGroups> megatron_groups(const MegatronDegrees& degrees,
                                                        std::string_view order) {
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
