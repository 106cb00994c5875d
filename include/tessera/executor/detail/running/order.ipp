// SPDX-License-Identifier: Apache-2.0
//
// Program order, with loops inside loops.
#pragma once
#include "tessera/executor/detail/running/order.hpp"

#include <algorithm>
#include <string>

#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/errors.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE void check_order(const graph::Graph& graph) {
  for (const graph::Loop& loop : graph.loops)
    if (!loop.condition || !graph.type_of(*loop.condition).dims.empty())
      throw Unsupported(op_text(graph.op(loop.begin)) +
                        ": a loop can not be executed without a condition of one element");
}
TESSERA_INLINE void check_without_loops(const graph::Graph& graph) {
  check_order(graph);
  for (const graph::Loop& loop : graph.loops)
    throw Unsupported(op_text(graph.op(loop.begin)) + ": loops can not be executed in parts");
}

TESSERA_INLINE bool is_condition(const graph::Graph& graph, graph::Value value) {
  return std::any_of(graph.loops.begin(), graph.loops.end(),
                     [&](const graph::Loop& loop) { return loop.condition == value; });
}

// --- Releases ------------------------------------------------------------------------------------

// Whether it is a state of the loop, or a state's next value.
inline bool is_carried(const graph::Graph& graph, graph::Value value, const graph::Loop& loop) {
  const graph::Op& op = graph.op(value.op);
  bool carried = op.is_loop_state && value.op >= loop.begin && value.op < loop.end;
  graph.for_each_use(value.op, [&](graph::OpId state, const graph::Use& use) {
    carried = carried || (use.is_next && use.result == value.result && state >= loop.begin &&
                          state < loop.end);
  });
  return carried;
}

TESSERA_INLINE void Releases::add(graph::Value value, graph::OpId last) {
  const auto size_of = [&](std::size_t loop) {
    return graph_.loops[loop].end - graph_.loops[loop].begin;
  };
  const std::size_t none = graph_.loops.size();
  std::size_t outermost = none;  // of the loops that the value must outlive
  for (std::size_t l = 0; l < none; ++l) {
    const graph::Loop& loop = graph_.loops[l];
    const bool reaches_into = loop.begin <= last && last < loop.end;
    const bool is_from_outside = value.op < loop.begin;
    if (!reaches_into || !(is_from_outside || is_carried(graph_, value, loop))) continue;
    if (outermost == none || size_of(l) > size_of(outermost)) outermost = l;
  }
  if (outermost == none)
    after_op_[last].push_back(value);
  else
    after_loop_[outermost].push_back(value);
}

// --- Running -------------------------------------------------------------------------------------

void run_loop(const graph::Graph& graph, Machine& machine, std::size_t number);

// Ops from `begin` to `end`, inside the loop of that number.
inline void run_range(const graph::Graph& graph, Machine& machine, graph::OpId begin,
                      graph::OpId end, std::size_t inside) {
  const auto loop_at = [&](graph::OpId id) {
    std::size_t found = 0;
    while (found < graph.loops.size() && (found == inside || graph.loops[found].begin != id))
      ++found;
    return found;
  };
  for (graph::OpId id = begin; id < end;) {
    const std::size_t loop = loop_at(id);
    if (loop == graph.loops.size()) {
      machine.run(id++);
    } else {
      run_loop(graph, machine, loop);
      id = graph.loops[loop].end;
    }
  }
}

TESSERA_INLINE void run_loop(const graph::Graph& graph, Machine& machine, std::size_t number) {
  const graph::Loop& loop = graph.loops[number];
  graph::OpId states = loop.begin;
  while (states < loop.end && graph.op(states).is_loop_state) machine.begin_state(states++);
  const graph::OpId body = std::max(states, loop.condition->op + 1);
  for (std::int64_t round = 0;; ++round) {
    run_range(graph, machine, states, body, number);
    if (!machine.holds(*loop.condition)) break;
    if (round == most_rounds)
      throw Unsupported(op_text(graph.op(loop.begin)) + ": the loop has run " +
                        std::to_string(most_rounds) + " rounds and has not ended");
    run_range(graph, machine, body, loop.end, number);
    machine.next_states(loop, states);
  }
  machine.end_loop(number);
}

TESSERA_INLINE void run_in_order(const graph::Graph& graph, Machine& machine) {
  run_range(graph, machine, 0, graph.op_count(), graph.loops.size());
}

}  // namespace tessera::executor::detail
