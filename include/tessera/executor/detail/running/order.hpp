// SPDX-License-Identifier: Apache-2.0
//
// The order in which ops run, and when values are no longer needed: program order, except for
// loops, whose ops run again as long as the loop's condition holds.
//
// A loop begins with its states, which take their initial values.  Then its condition is computed,
// and where it holds, the body; then the states take their next values, all at once.  Where the
// condition does not hold the loop ends, and the rest of its ops are skipped.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor::detail {

// A loop that has not ended by then is reported.
inline constexpr std::int64_t most_rounds = 100'000;

// Throws Unsupported for a loop whose condition is not known.
void check_order(const graph::Graph& graph);
// Throws Unsupported for any loop.
void check_without_loops(const graph::Graph& graph);

// Whether it is the condition of a loop, which no op's operands tell.
bool is_condition(const graph::Graph& graph, graph::Value value);

// The values that are no longer needed: after an op, each time it has run, and after a loop.
class Releases {
 public:
  explicit Releases(const graph::Graph& graph)
      : graph_(graph), after_op_(graph.op_count()), after_loop_(graph.loops.size()) {}

  // `last`: the last op, in program order, that needs the value.
  void add(graph::Value value, graph::OpId last);

  const std::vector<graph::Value>& after_op(graph::OpId id) const { return after_op_[id]; }
  const std::vector<graph::Value>& after_loop(std::size_t loop) const { return after_loop_[loop]; }

 private:
  const graph::Graph& graph_;
  std::vector<std::vector<graph::Value>> after_op_, after_loop_;
};

// Computes ops, as run_in_order() tells it.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual void run(graph::OpId id) = 0;          // an op, or takes a parameter
  virtual void begin_state(graph::OpId id) = 0;  // a state takes its initial value
  // States, which are ops loop.begin to end, take their next values, all at once; the values of the
  // round are dropped.
  virtual void next_states(const graph::Loop& loop, graph::OpId end) = 0;
  virtual bool holds(graph::Value condition) const = 0;
  virtual void end_loop(std::size_t loop) = 0;

 protected:
  Machine() = default;
  Machine(const Machine&) = default;
  Machine& operator=(const Machine&) = default;
};

// Runs all ops.  Throws Unsupported for a loop that does not end.
void run_in_order(const graph::Graph& graph, Machine& machine);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/order.ipp"
#endif
