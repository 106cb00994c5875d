// SPDX-License-Identifier: Apache-2.0
//
// The least number of any range of a list, in constant time.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

namespace tessera::solver::detail {

// O(1) for a run, after O(n log n).
template<class T>
class RangeMinimum {
 public:
  explicit RangeMinimum(std::vector<T> values) {
    levels_.push_back(std::move(values));
    for (std::size_t width = 1; 2 * width <= levels_[0].size(); width *= 2) {
      const std::vector<T>& below = levels_.back();
      std::vector<T> level(below.size() - width);
      for (std::size_t i = 0; i < level.size(); ++i)
        level[i] = std::min(below[i], below[i + width]);
      levels_.push_back(std::move(level));
    }
  }
  // @pre begin < end
  T operator()(std::size_t begin, std::size_t end) const {
    const auto level = static_cast<std::size_t>(std::bit_width(end - begin) - 1);
    return std::min(levels_[level][begin], levels_[level][end - (std::size_t{1} << level)]);
  }

 private:
  std::vector<std::vector<T>> levels_;  // levels_[l][i]: of the 2^l rows from i
};

}  // namespace tessera::solver::detail
