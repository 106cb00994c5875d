// SPDX-License-Identifier: Apache-2.0
//
// The moments of a program at which memory is counted, and the bytes held at each.
//
// An op's operands are resharded one after the other, each into a buffer that is held until the op
// has run; then its result is resharded to its output sharding.  cost/resharding_buffers.hpp has
// the sizes of these buffers; this file has their lifetimes.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::plan::detail {

// A program's time, finer than its ops: one moment for each operand that is resharded, and one for
// the op.  Tensors are held while ops run, buffers from moment to moment.
class Timeline {
 public:
  // `owns`: by op, whether its results have memory of their own (plan/memory.hpp).
  Timeline(const graph::Graph& graph, const std::vector<char>& owns)
      : first_(graph.op_count() + 1, 0), until_(graph.op_count()) {
    for (graph::OpId id = 0; id < graph.op_count(); ++id)
      first_[id + 1] = first_[id] + static_cast<std::int64_t>(graph.operand_count(id)) + 1;
    for (graph::OpId id = graph.op_count(); id-- > 0;) {
      until_[id] = id;
      if (owns[id] == 0)
        graph.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
          if (!use.is_next) until_[id] = std::max(until_[id], until_[reader]);
        });
    }
  }

  std::int64_t count() const noexcept { return first_.back(); }
  // The moments of an interval of ops.
  solver::Interval of(solver::Interval ops) const {
    if (ops.empty()) return {};
    return {first_[static_cast<std::size_t>(ops.begin)], first_[static_cast<std::size_t>(ops.end)]};
  }
  solver::Interval of(graph::Lifetime life) const {
    return of(solver::Interval{static_cast<std::int64_t>(life.begin),
                               static_cast<std::int64_t>(life.end)});
  }
  // While an operand is resharded, and from then until its reader has run.
  solver::Interval resharding_operand(graph::OpId reader, std::size_t operand) const {
    return moment(first_[reader] + static_cast<std::int64_t>(operand));
  }
  solver::Interval holding_operand(graph::OpId reader, std::size_t operand) const {
    return {resharding_operand(reader, operand).end, end_of(reader)};
  }
  // While a result is resharded, and from then until it has been read, where it is not in memory.
  solver::Interval resharding_result(graph::OpId id) const { return moment(first_[id + 1] - 1); }
  solver::Interval holding_result(graph::OpId id) const { return {first_[id + 1], end_of(id)}; }
  // When an op's operands are no longer needed: it has run, or the op into which it is fused has.
  std::int64_t end_of(graph::OpId id) const { return first_[until_[id] + 1]; }

 private:
  static solver::Interval moment(std::int64_t at) { return {at, at + 1}; }

  std::vector<std::int64_t> first_;  // by op
  std::vector<graph::OpId> until_;   // by op
};

// Bytes at each moment, from intervals with their bytes.
class TimelineUsage {
 public:
  explicit TimelineUsage(const Timeline& timeline)
      : change_(static_cast<std::size_t>(timeline.count()) + 1, Wide(0)) {}

  void add(solver::Interval interval, Extent bytes) {
    if (interval.empty() || bytes == 0) return;
    change_[static_cast<std::size_t>(interval.begin)] += bytes;
    change_[static_cast<std::size_t>(interval.end)] -= bytes;
  }
  // By moment.  O(moments)
  std::vector<Wide> in_use() const {
    std::vector<Wide> result(change_.begin(), change_.end() - 1);
    for (std::size_t at = 1; at < result.size(); ++at) result[at] += result[at - 1];
    return result;
  }
  Wide peak() const {
    Wide most = 0;
    for (const Wide bytes : in_use()) most = std::max(most, bytes);
    return most;
  }

 private:
  std::vector<Wide> change_;
};

}  // namespace tessera::plan::detail
