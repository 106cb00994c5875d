// SPDX-License-Identifier: Apache-2.0
//
// The minimum of a component without its usage constraints, by bucket elimination.
#pragma once
#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "tessera/solver/detail/certificate/checker.hpp"

namespace tessera::solver::detail::certificate {

// A cost for every combination of values of some variables, of which the last changes fastest.
struct CostFunction {
  std::vector<VariableId> scope;
  std::vector<Wide> cost;

  bool depends_on(VariableId w) const {
    return std::find(scope.begin(), scope.end(), w) != scope.end();
  }
};

// Takes the functions that depend on w, which are its bucket, out of the list.
inline std::vector<CostFunction> take_bucket(VariableId w, std::vector<CostFunction>& functions) {
  std::vector<CostFunction> bucket;
  std::erase_if(functions, [&](CostFunction& function) {
    if (!function.depends_on(w)) return false;
    bucket.push_back(std::move(function));
    return true;
  });
  return bucket;
}

// The function without w, with every cost still forbidden.
inline CostFunction empty_result(const CheckedProblem& problem, VariableId w,
                                 const std::vector<CostFunction>& bucket) {
  constexpr std::size_t most = std::size_t{1} << 24;
  CostFunction result;
  std::size_t size = 1;
  for (const CostFunction& function : bucket)
    for (const VariableId v : function.scope) {
      if (v == w || result.depends_on(v)) continue;
      result.scope.push_back(v);
      size *= problem.variables[v].cost.size();
      require(size <= most, "the variable has too many neighbours to be eliminated");
    }
  result.cost.assign(size, forbidden);
  return result;
}

// Counts through all combinations of values of some variables, the last fastest, and follows the
// index of each combination in several functions of them.
struct Odometer {
  std::vector<std::size_t> size, value;          // by variable
  std::vector<std::vector<std::size_t>> stride;  // by function and variable
  std::vector<std::size_t> index;                // by function

  void advance() {
    for (std::size_t d = value.size(); d-- > 0;) {
      const bool wraps = ++value[d] == size[d];
      for (std::size_t f = 0; f < index.size(); ++f)
        index[f] = wraps ? index[f] - stride[f][d] * (value[d] - 1) : index[f] + stride[f][d];
      if (!wraps) break;
      value[d] = 0;
    }
  }
};

inline std::vector<std::size_t> strides_of(const CheckedProblem& problem,
                                           const CostFunction& function,
                                           const std::vector<VariableId>& variables) {
  std::vector<std::size_t> strides(variables.size(), 0);
  std::size_t stride = 1;
  for (std::size_t i = function.scope.size(); i-- > 0;) {
    const auto found = std::find(variables.begin(), variables.end(), function.scope[i]);
    strides[static_cast<std::size_t>(found - variables.begin())] += stride;
    stride *= problem.variables[function.scope[i]].cost.size();
  }
  return strides;
}

inline Odometer make_odometer(const CheckedProblem& problem,
                              const std::vector<CostFunction>& functions,
                              const std::vector<VariableId>& variables) {
  Odometer odometer;
  for (const VariableId v : variables) odometer.size.push_back(problem.variables[v].cost.size());
  odometer.value.assign(variables.size(), 0);
  for (const CostFunction& function : functions)
    odometer.stride.push_back(strides_of(problem, function, variables));
  odometer.index.assign(functions.size(), 0);
  return odometer;
}

// The minimum over w's values of the sum of its bucket, for every combination of the others.
inline CostFunction eliminate_from(const CheckedProblem& problem, VariableId w,
                                   std::vector<CostFunction>& functions) {
  const std::vector<CostFunction> bucket = take_bucket(w, functions);
  CostFunction result = empty_result(problem, w, bucket);
  std::vector<VariableId> variables = result.scope;
  variables.push_back(w);
  Odometer odometer = make_odometer(problem, bucket, variables);
  const std::size_t values = problem.variables[w].cost.size();
  for (Wide& least : result.cost)
    for (std::size_t x = 0; x < values; ++x) {
      Wide cost = 0;
      for (std::size_t f = 0; f < bucket.size(); ++f)
        cost = sum(cost, bucket[f].cost[odometer.index[f]]);
      least = std::min(least, cost);
      odometer.advance();
    }
  return result;
}

// The costs of the current scope: one function per variable and table.
inline std::vector<CostFunction> functions_of_scope(const Checker& checker) {
  const CheckedProblem& problem = checker.problem;
  std::vector<CostFunction> functions;
  for_each_variable(checker, [&](VariableId w) {
    const Variable& here = problem.variables[w];
    functions.push_back({{w}, here.cost});
    for (std::size_t x = 0; x < here.cost.size(); ++x)
      if (here.remains[x] == 0) functions.back().cost[x] = forbidden;
    for (const TableId e : here.tables)
      if (problem.tables[e].u == w)
        functions.push_back({{w, problem.tables[e].v}, problem.tables[e].cost});
  });
  return functions;
}

// All variables of the current scope, each once.
inline std::vector<VariableId> read_order(const Checker& checker, Line& line) {
  std::set<VariableId> waiting;
  for_each_variable(checker, [&](VariableId w) { waiting.insert(w); });
  std::vector<VariableId> order;
  while (!line.at_end()) {
    order.push_back(read_variable(checker, line));
    require(waiting.erase(order.back()) == 1, "a variable is eliminated twice");
  }
  require(waiting.empty(), "a variable is not eliminated");
  return order;
}

// bucket_elimination W W ...
inline void verify_bucket_elimination(Checker& checker, Line& line) {
  require(checker.scope.id != 0, "a lower bound needs a component");
  std::vector<CostFunction> functions = functions_of_scope(checker);
  Total total = 0;
  for (const VariableId w : read_order(checker, line)) {
    CostFunction result = eliminate_from(checker.problem, w, functions);
    if (!result.scope.empty())
      functions.push_back(std::move(result));
    else if (!is_allowed(result.cost[0]))
      return close_as_infeasible(checker);
    else
      total += Total(result.cost[0]);
  }
  raise_bound(checker, scaled(checker, total) + scope_constant(checker));
}

}  // namespace tessera::solver::detail::certificate
