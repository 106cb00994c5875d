// SPDX-License-Identifier: Apache-2.0
//
// In what order ops run, and what is over after each: program order, but for loops, whose ops run
// again as long as the loop's condition holds.
//
// A loop begins with its states, which take their initial values; then its condition is computed,
// and where it holds, the body, and the states take their next values, all at once.  Where it does
// not, the loop is over, and the rest of its ops are passed over.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "tessera/executor/kernels.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"

namespace tessera::executor {

// A program may go round for ever; nobody waits for that.
inline constexpr std::int64_t most_rounds = 100'000;

// Throws Unsupported where it is not settled what runs: loops whose condition is not known.
inline void check_order(const graph::Graph& graph) {
  for (const graph::Loop& loop : graph.loops)
    if (!loop.condition || !graph.type_of(*loop.condition).dims.empty())
      throw Unsupported(detail::op_text(graph.op(loop.begin)) +
                        ": a loop can not be executed without a condition of one element");
}
// Throws Unsupported where there is a loop at all.
inline void check_straight(const graph::Graph& graph) {
  check_order(graph);
  for (const graph::Loop& loop : graph.loops)
    throw Unsupported(detail::op_text(graph.op(loop.begin)) +
                      ": loops can not be executed in parts");
}

// Whether a loop looks at it, which no op's operands tell.
inline bool is_condition(const graph::Graph& graph, graph::Value value) {
  return std::any_of(graph.loops.begin(), graph.loops.end(),
                     [&](const graph::Loop& loop) { return loop.condition == value; });
}

// What is not needed any more: after an op, each time that it has run, and after a loop.
class Releases {
 public:
  explicit Releases(const graph::Graph& graph)
      : graph_(graph), after_op_(graph.op_count()), after_loop_(graph.loops.size()) {}

  // `last`: the last op, in program order, that needs the value.
  void add(graph::Value value, graph::OpId last) {
    std::size_t loop = graph_.loops.size();  // the outermost that the value must outlive
    for (std::size_t l = 0; l < graph_.loops.size(); ++l) {
      const graph::Loop& it = graph_.loops[l];
      const bool reaches_into = it.begin <= last && last < it.end;
      const bool is_from_outside = value.op < it.begin;
      if (!reaches_into || !(is_from_outside || is_carried(value, it))) continue;
      if (loop == graph_.loops.size() || is_longer(it, graph_.loops[loop])) loop = l;
    }
    if (loop == graph_.loops.size())
      after_op_[last].push_back(value);
    else
      after_loop_[loop].push_back(value);
  }

  const std::vector<graph::Value>& after_op(graph::OpId id) const { return after_op_[id]; }
  const std::vector<graph::Value>& after_loop(std::size_t loop) const { return after_loop_[loop]; }

 private:
  // States of the loop, and what they are next.
  bool is_carried(graph::Value value, const graph::Loop& loop) const {
    const graph::Op& op = graph_.op(value.op);
    bool carried = op.is_loop_state && value.op >= loop.begin && value.op < loop.end;
    graph_.for_each_use(value.op, [&](graph::OpId state, const graph::Use& use) {
      carried = carried || (use.is_next && use.result == value.result && state >= loop.begin &&
                            state < loop.end);
    });
    return carried;
  }
  static bool is_longer(const graph::Loop& a, const graph::Loop& b) {
    return a.end - a.begin > b.end - b.begin;
  }

  const graph::Graph& graph_;
  std::vector<std::vector<graph::Value>> after_op_, after_loop_;
};

// Runs all ops.  `Machine` is who computes:
//
//   run(id)                      an op, or takes a parameter
//   begin_state(id)              a state takes its initial value
//   next_states(loop, end)       states, which are ops loop.begin to end, take their next values,
//                                all at once; what the round has computed is over
//   holds(condition)             what the value of a truth value is
//   leave(loop, number)          the loop is over
template<class Machine>
class OrderedRun {
 public:
  OrderedRun(const graph::Graph& graph, Machine& machine) : graph_(graph), machine_(machine) {}

  // Throws Unsupported for a loop that does not end.
  void run() { run(0, graph_.op_count(), graph_.loops.size()); }

 private:
  // Ops from `begin` to `end`, inside the loop of that number.
  void run(graph::OpId begin, graph::OpId end, std::size_t inside) {
    for (graph::OpId id = begin; id < end;) {
      const std::size_t loop = loop_at(id, inside);
      if (loop == graph_.loops.size()) {
        machine_.run(id++);
      } else {
        run_loop(loop);
        id = graph_.loops[loop].end;
      }
    }
  }
  std::size_t loop_at(graph::OpId id, std::size_t inside) const {
    std::size_t found = 0;
    while (found < graph_.loops.size() && (found == inside || graph_.loops[found].begin != id))
      ++found;
    return found;
  }

  void run_loop(std::size_t number) {
    const graph::Loop& loop = graph_.loops[number];
    graph::OpId states = loop.begin;
    while (states < loop.end && graph_.op(states).is_loop_state) machine_.begin_state(states++);
    const graph::OpId body = std::max(states, loop.condition->op + 1);
    for (std::int64_t round = 0;; ++round) {
      run(states, body, number);
      if (!machine_.holds(*loop.condition)) break;
      if (round == most_rounds)
        throw Unsupported(detail::op_text(graph_.op(loop.begin)) + ": went round " +
                          std::to_string(most_rounds) + " times, and is not over");
      run(body, loop.end, number);
      machine_.next_states(loop, states);
    }
    machine_.leave(loop, number);
  }

  const graph::Graph& graph_;
  Machine& machine_;
};

}  // namespace tessera::executor
