// SPDX-License-Identifier: Apache-2.0
//
// The resharding buffers of a program: when each is there, and which choices decide its size.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/detail/memory/timeline.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/strategy/choice.hpp"

namespace tessera::plan::detail {

// One end of a resharding: a node of the problem, and for each of its strategies the strategy of an
// op that it stands for.
struct ReshardingEnd {
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  solver::NodeId node = 0;
  const strategy::Column* column = nullptr;
  std::size_t tensor = 0;  // which of its results, or of its operands
  // By the node's strategies; none: it produces or needs nothing.  Empty: the same ones.
  std::vector<std::uint32_t> strategies = {};

  std::uint32_t strategy(std::uint32_t of_node) const {
    return strategies.empty() ? of_node : strategies[of_node];
  }
  std::size_t size() const { return strategies.empty() ? column->size() : strategies.size(); }
  // All that its shardings depend on, whatever the node.
  auto key() const { return std::tuple(column, tensor, strategies); }
};

// A buffer for one interval of its life.
struct BufferUse {
  const graph::Op* op = nullptr;  // that needs an operand, or has a result
  const graph::TensorType* type = nullptr;
  bool owns = false;                  // whether the tensor at `from` has memory of its own
  std::optional<ReshardingEnd> from;  // of an operand; nothing for a result
  ReshardingEnd to;
  solver::Interval interval;
  bool is_during = false;  // the most while the resharding runs; else what is held from then on
  // Where there is one: a node whose strategies decide whether the buffer is there at all.
  struct Gate {
    solver::NodeId node = 0;
    std::vector<char> is_open;
  };
  std::optional<Gate> gate = {};
};

// Adds those of an operand of an op; `from` and `to` are the ends, `to` of no tensor yet.
void add_operand_uses(std::vector<BufferUse>& uses, const graph::Graph& graph,
                      const Timeline& timeline, graph::OpId reader, std::size_t operand, bool owns,
                      const ReshardingEnd& from, ReshardingEnd to);

// Adds those of an op's result, where it has one.
void add_result_uses(std::vector<BufferUse>& uses, const graph::Graph& graph,
                     const Timeline& timeline, graph::OpId id, bool owns, const ReshardingEnd& to);

// The buffers of a program whose problem is the formulation's, into whose columns they point.
// `owns`: by op, whether its results have memory of their own.
std::vector<BufferUse> buffer_uses_of(const graph::Graph& graph, const Formulation& formulation,
                                      const std::vector<char>& owns, const Timeline& timeline);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/memory/buffer_use.ipp"
#endif
