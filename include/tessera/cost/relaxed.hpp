// SPDX-License-Identifier: Apache-2.0
//
// Lower bounds for the price of reaching one sharding, for searches that must not wander.
//
// The same steps at the same prices, but it is forgotten in which order axes split a dim, how
// evenly, and which dim it is that an axis splits, unless it is the target's.  What is left has a
// few thousand states instead of millions, and its shortest paths are all found at once, from the
// target backwards.  No real path can be cheaper, and no step lowers the bound by more than its
// price.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost {

class RelaxedPrices {
 public:
  // price(kind, axis, others) is that of a step while the axes `others` split the tensor.
  template<class Price>
  RelaxedPrices(const DynamicMesh& mesh, DynamicSharding target, graph::ReductionSet reductions,
                Price&& price)
      : target_(target) {
    std::size_t size = 1;
    for (Axis axis = 0; axis < mesh.rank(); ++axis) {
      Roles roles{{Kind::copies}};
      if (mesh.extent(axis) > 1) {
        roles.push_back({Kind::split_elsewhere});
        if (target.is_split(axis)) roles.push_back({Kind::split_as_target});
        for (unsigned r = 1; r < 8; ++r)
          if ((reductions & (1U << r)) != 0)
            roles.push_back({Kind::partial, static_cast<Reduction>(r)});
      }
      strides_.push_back(size);
      size *= roles.size();
      roles_.push_back(roles);
    }
    bounds_.assign(size, infinite);
    run(price);
  }

  // @pre the sharding is one that the search may meet
  Cost operator[](DynamicSharding sharding) const {
    std::size_t state = 0;
    for (std::size_t axis = 0; axis < roles_.size(); ++axis)
      state += strides_[axis] * number_of(axis, sharding);
    return bounds_[state];
  }

  // Whether some path's price did not fit in 64 bits.
  bool has_overflowed() const noexcept { return has_overflowed_; }

 private:
  enum class Kind : std::uint8_t { copies, split_elsewhere, split_as_target, partial };
  struct Role {
    Kind kind = Kind::copies;
    Reduction reduction = Reduction::none;

    constexpr bool is_split() const noexcept {
      return kind == Kind::split_elsewhere || kind == Kind::split_as_target;
    }
    friend constexpr bool operator==(const Role&, const Role&) noexcept = default;
  };
  using Roles = InlineVector<Role, 10>;  // three, and one for each reduction

  std::size_t number_of(std::size_t axis, DynamicSharding sharding) const {
    Role role;
    if (sharding.is_partial(axis))
      role = {Kind::partial, sharding.reduction()};
    else if (sharding.is_split(axis))
      role.kind = target_.is_split(axis) && target_.dim_of(axis) == sharding.dim_of(axis)
                      ? Kind::split_as_target
                      : Kind::split_elsewhere;
    std::size_t number = 0;
    while (!(roles_[axis][number] == role)) ++number;
    return number;
  }

  // The step by which an axis changes its role.  @pre not from one partial result to another
  static StepKind step_between(Role before, Role after) {
    if (before.kind == Kind::copies) return after.is_split() ? StepKind::slice : StepKind::mask;
    if (before.kind == Kind::partial)
      return after.is_split() ? StepKind::reduce_scatter : StepKind::all_reduce;
    return after.is_split() ? StepKind::all_to_all : StepKind::all_gather;
  }
  static bool has_step(Role before, Role after) {
    if (before == after) return false;
    return after.kind != Kind::partial || before.kind == Kind::copies;
  }

  // Dijkstra's algorithm over the steps reversed.
  template<class Price>
  void run(Price&& price) {
    using Entry = std::pair<Cost, std::size_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    std::size_t goal = 0;
    for (std::size_t axis = 0; axis < roles_.size(); ++axis)
      goal += strides_[axis] * number_of(axis, target_);
    bounds_[goal] = 0;
    queue.emplace(0, goal);
    while (!queue.empty()) {
      const auto [bound, after] = queue.top();
      queue.pop();
      if (bound > bounds_[after]) continue;  // a better one came first
      AxisSet split;
      for (std::size_t axis = 0; axis < roles_.size(); ++axis)
        if (roles_[axis][digit(after, axis)].is_split()) split.insert(axis);
      for (std::size_t axis = 0; axis < roles_.size(); ++axis) {
        AxisSet others = split;
        others.erase(axis);
        const std::size_t now = digit(after, axis);
        for (std::size_t number = 0; number < roles_[axis].size(); ++number) {
          const Role role = roles_[axis][number];
          if (!has_step(role, roles_[axis][now])) continue;
          const Cost step =
              price(step_between(role, roles_[axis][now]), static_cast<Axis>(axis), others);
          const Cost total = saturating_add(bound, step);
          has_overflowed_ = has_overflowed_ || (is_finite(step) && !is_finite(total));
          const std::size_t before = after - now * strides_[axis] + number * strides_[axis];
          if (total >= bounds_[before]) continue;
          bounds_[before] = total;
          queue.emplace(total, before);
        }
      }
    }
  }

  std::size_t digit(std::size_t state, std::size_t axis) const {
    return state / strides_[axis] % roles_[axis].size();
  }

  DynamicSharding target_;
  InlineVector<Roles, max_axes> roles_;  // what each axis may do
  InlineVector<std::size_t, max_axes> strides_;
  std::vector<Cost> bounds_;  // of every combination of roles, the first axis' running fastest
  bool has_overflowed_ = false;
};

}  // namespace tessera::cost
