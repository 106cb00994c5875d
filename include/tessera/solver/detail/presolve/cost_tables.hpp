// SPDX-License-Identifier: Apache-2.0
//
// The exact costs of a problem that presolve makes smaller, behind an interface.
//
// Presolve itself (reduced.hpp, presolve.hpp) never looks at a cost: it decides which operation
// applies where, and that code exists once.  Costs are 64-bit integers, or 128-bit integers where
// totals need them (numbers/arithmetic.hpp).  Only the operations on costs below exist for both.
//
// Each variable has a vector of costs, one per value.  Tables and their entries live in a pool
// (numbers/pool.hpp): equal ones have one number.  A table is row-major: rows are the values of its
// first end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::solver::detail {

using Variable = std::uint32_t;
using Value = std::uint32_t;
using EntriesId = std::uint32_t;  // the number of a list of costs in the pool

class ExactCosts;  // of a component (bound/exact_costs.hpp)

class CostTables {
 public:
  CostTables() = default;
  CostTables(const CostTables&) = delete;
  CostTables& operator=(const CostTables&) = delete;
  virtual ~CostTables() = default;

  // --- Building ----------------------------------------------------------------------------------

  // Adds a variable, with these costs multiplied by 2^shift.
  virtual void add_variable(std::span<const Cost> costs, int shift) = 0;
  // Adds a variable whose costs are these entries of a list.
  virtual void add_variable(EntriesId entries, std::span<const std::uint32_t> indices) = 0;
  virtual EntriesId pooled(std::span<const Cost> costs, int shift) = 0;
  // The costs of a variable, as a list.
  virtual EntriesId pooled_costs(Variable w) = 0;
  // The table that allows column values[x] only in row x, at no cost.
  virtual EntriesId assignment_table(std::span<const Value> values, std::size_t columns) = 0;

  // --- Questions ---------------------------------------------------------------------------------

  virtual std::vector<std::uint32_t> finite_indices(EntriesId entries) const = 0;
  virtual bool is_finite(Variable w, Value x) const = 0;
  virtual bool all_finite(Variable w) const = 0;
  // The least cost of a variable; nothing where all are infinite.
  virtual std::optional<Wide> least_cost(Variable w) const = 0;
  // The rows with a finite entry in one of the given columns.
  virtual std::vector<Value> supported_rows(EntriesId table, std::size_t columns,
                                            std::span<const Value> allowed) const = 0;
  // For each row its only finite column; empty where some row has more than one, or none.
  virtual std::vector<Value> only_columns(EntriesId table, std::size_t rows) const = 0;
  // Whether a table is finite and a sum of two vectors.
  virtual bool is_separable(EntriesId table, std::size_t columns) const = 0;
  // For every value one that can always replace it, or itself (dominance.hpp).
  virtual std::vector<Value> replacements(
      Variable w, std::span<const EntriesId> tables,
      std::vector<std::span<const std::int64_t>> usages) const = 0;
  // The value that minimises costs[x] + the sum over i of tables[i][x][columns[i]].
  virtual Value best_value(EntriesId costs, std::span<const EntriesId> tables,
                           std::span<const Value> columns) const = 0;

  // --- New tables --------------------------------------------------------------------------------

  virtual EntriesId transposed(EntriesId table, std::size_t columns) = 0;
  virtual EntriesId picked_rows(EntriesId table, std::size_t columns,
                                std::span<const Value> rows) = 0;
  virtual EntriesId picked_columns(EntriesId table, std::size_t columns,
                                   std::span<const Value> picked) = 0;
  virtual EntriesId sum(EntriesId a, EntriesId b) = 0;
  // result[y][z] = min over x of costs[x] + a[x][y] + b[x][z]
  virtual EntriesId min_plus(EntriesId costs, EntriesId a, EntriesId b) = 0;

  // --- Changes of a variable's costs -------------------------------------------------------------

  // Keeps only these values.
  virtual void pick_values(Variable w, std::span<const Value> kept) = 0;
  // Adds entries [x * step] to the cost of each value x.
  virtual void add_costs(Variable w, EntriesId entries, std::size_t step) = 0;
  // Adds min over x of w's costs[x] + table[x][y] to the cost of each value y of `to`.
  virtual void add_minima(Variable to, Variable w, EntriesId table) = 0;
  // Adds a separable table to the costs of its two ends.
  virtual void add_separable(EntriesId table, Variable u, Variable v) = 0;
  // Adds from's cost of image[x] and table[x][image[x]] to the cost of each value x of `into`.
  virtual void add_image(Variable into, Variable from, EntriesId table,
                         std::span<const Value> image) = 0;

  // --- Components --------------------------------------------------------------------------------

  // The costs of these variables, one after the other, and then these tables.
  virtual std::shared_ptr<const ExactCosts> extract(std::span<const Variable> variables,
                                                    std::span<const EntriesId> tables) const = 0;
};

}  // namespace tessera::solver::detail
