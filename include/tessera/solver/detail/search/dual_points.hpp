// SPDX-License-Identifier: Apache-2.0
//
// Messages and multipliers go from a node of the tree to its children: from a restriction of a
// component to the component, and on to a smaller restriction.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/bound/relaxation.hpp"

namespace tessera::solver::detail {

// A component and a restriction of it; `kept` has the component's value of each of the
// restriction's.
struct Restriction {
  const Component& component;
  const Component& restricted;
  const std::vector<std::uint32_t>& kept;
};

using TableEnd = std::uint32_t Component::Table::*;

// Messages by the restricted values, as messages by the component's; others are 0.
inline std::vector<double> widened(const Restriction& of, const std::vector<double>& messages,
                                   TableEnd end) {
  std::vector<double> wide;
  std::size_t at = 0;
  for (const Component::Table& table : of.restricted.tables) {
    const std::uint32_t w = table.*end;
    const std::size_t begin = wide.size();
    wide.resize(begin + of.component.value_count(w), 0);
    for (std::uint32_t y = 0; y < of.restricted.value_count(w); ++y)
      wide[begin + of.kept[of.restricted.first[w] + y] - of.component.first[w]] = messages[at++];
  }
  return wide;
}
// And back.
inline std::vector<double> narrowed(const Restriction& of, const std::vector<double>& messages,
                                    TableEnd end) {
  std::vector<double> narrow;
  std::size_t begin = 0;
  for (const Component::Table& table : of.restricted.tables) {
    const std::uint32_t w = table.*end;
    for (std::uint32_t y = 0; y < of.restricted.value_count(w); ++y)
      narrow.push_back(
          messages[begin + of.kept[of.restricted.first[w] + y] - of.component.first[w]]);
    begin += of.component.value_count(w);
  }
  return narrow;
}

inline DualPoint widened(const Restriction& of, const DualPoint& point) {
  return {widened(of, point.forward, &Component::Table::v),
          widened(of, point.backward, &Component::Table::u), point.lambda};
}

// Starts a relaxation of the restriction at a point of the component, whose messages may be empty.
inline void load(const Restriction& of, const DualPoint& point, Relaxation& relaxation) {
  if (point.forward.empty()) {
    relaxation.set_lambda(point.lambda);
    return;
  }
  relaxation.set_point({narrowed(of, point.forward, &Component::Table::v),
                        narrowed(of, point.backward, &Component::Table::u), point.lambda});
}

}  // namespace tessera::solver::detail
