// SPDX-License-Identifier: Apache-2.0
//
// The regions in which large-neighbourhood search looks for improvements: sets of variables.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "tessera/core/random.hpp"
#include "tessera/solver/detail/search/choice_state.hpp"

namespace tessera::solver::detail {

enum class RegionKind : std::size_t {
  ball,        // variables near one another in the graph
  tight_time,  // variables that use something at a time that is nearly at capacity
  window,      // variables next to each other in the program's order
  all
};
inline constexpr std::size_t region_kinds = 4, region_size_classes = 4;

class RegionPicker {
 public:
  // @pre both outlive it
  RegionPicker(const Component& component, RandomSource& random)
      : component_(component), random_(random), is_in_region_(component.size(), 0) {}

  // A region of this kind, larger the larger its size class.
  const std::vector<std::uint32_t>& pick(RegionKind kind, std::size_t size_class,
                                         const ChoiceState& state) {
    const std::size_t size = size_of(size_class);
    region_.clear();
    if (kind == RegionKind::all) {
      region_.resize(component_.size());
      std::iota(region_.begin(), region_.end(), 0U);
      return region_;
    }
    if (kind == RegionKind::window) {
      const std::uint32_t first = random_.below(component_.size());
      for (std::size_t i = 0; i < size; ++i)
        region_.push_back(static_cast<std::uint32_t>((first + i) % component_.size()));
      return region_;
    }
    if (kind == RegionKind::tight_time) add_tight_time(size, state);
    if (region_.empty()) add(random_.below(component_.size()));
    grow(size);
    for (const std::uint32_t v : region_) is_in_region_[v] = 0;
    return region_;
  }

 private:
  std::size_t size_of(std::size_t size_class) {
    constexpr double least = 20, most = 6000;
    const double share = (static_cast<double>(size_class) + random_.uniform()) /
                         region_size_classes;
    const double top = std::min<double>(most, static_cast<double>(component_.size()));
    const double size = least * std::pow(std::max(top / least, 1.0), share);
    return std::min(component_.size(), static_cast<std::size_t>(size));
  }

  void add(std::uint32_t v) {
    if (std::exchange(is_in_region_[v], 1) == 0) region_.push_back(v);
  }

  // Variables that use something at one time that is nearly at capacity.
  void add_tight_time(std::size_t size, const ChoiceState& state) {
    if (component_.capacity.empty()) return;
    std::size_t row = 0;
    for (int attempt = 0; attempt < 200; ++attempt) {
      row = random_.below(component_.capacity.size());
      if (relative_excess(component_, row, state.usage(row)) > -0.01) break;
    }
    const std::uint32_t first = random_.below(component_.size());
    for (std::size_t i = 0; i < component_.size() && region_.size() < size; ++i) {
      const auto v = static_cast<std::uint32_t>((first + i) % component_.size());
      for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k)
        if (component_.items[k].begin <= row && row < component_.items[k].end) {
          add(v);
          break;
        }
    }
  }

  // Breadth first; where the graph ends, from somewhere else.
  void grow(std::size_t size) {
    for (std::size_t next = 0; region_.size() < size; ++next) {
      if (next == region_.size()) {
        int attempts = 50;
        while (next == region_.size() && attempts-- > 0) add(random_.below(component_.size()));
        if (next == region_.size()) return;
      }
      const std::uint32_t v = region_[next];
      for (const std::uint32_t e : component_.lower[v])
        if (region_.size() < size) add(component_.tables[e].u);
      for (const std::uint32_t e : component_.higher[v])
        if (region_.size() < size) add(component_.tables[e].v);
    }
  }

  const Component& component_;
  RandomSource& random_;
  std::vector<std::uint32_t> region_;
  std::vector<char> is_in_region_;  // zero between calls
};

}  // namespace tessera::solver::detail
