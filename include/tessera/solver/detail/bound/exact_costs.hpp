// SPDX-License-Identifier: Apache-2.0
//
// The exact costs of a component, behind an interface.
//
// Bounds and searches over a component guide themselves by doubles (weights.hpp), and read exact
// costs only where something is decided: the cost of an assignment, a bound, and the costs of a
// smaller component.  Those operations are declared here, so that all other code exists once,
// whether costs are 64-bit or 128-bit integers.
//
// Two lists of costs: of all variables' values, and of all tables' entries.  Tables with equal
// entries share them; "at" is where they begin.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/detail/presolve/cost_tables.hpp"

namespace tessera::solver::detail {

struct Component;
struct Multipliers;
struct Bound;
struct Messages;

// The value of each variable, counted from its first.
using Choice = std::vector<std::uint32_t>;

// Of some costs: the least, infinite ones included; of finite ones the largest, and the largest
// magnitude (both 0 where there are none).
struct CostRange {
  Wide least = 0, largest = 0, magnitude = 0;
};

class ExactCosts {
 public:
  ExactCosts() = default;
  ExactCosts(const ExactCosts&) = delete;
  ExactCosts& operator=(const ExactCosts&) = delete;
  virtual ~ExactCosts() = default;

  // --- Questions ---------------------------------------------------------------------------------

  virtual std::size_t values() const noexcept = 0;
  // Of sums of finite costs: below 2^bits.
  virtual int headroom_bits() const noexcept = 0;
  virtual CostRange range_of_values(std::size_t begin, std::size_t count) const = 0;
  virtual CostRange range_of_entries(std::size_t at, std::size_t count) const = 0;
  // By value or entry, whether it is finite.
  virtual std::vector<char> finite_values() const = 0;
  virtual std::vector<char> finite_entries(std::size_t at, std::size_t count) const = 0;
  // As doubles; infinite ones are `kernels::huge`.
  virtual void copy_values(std::size_t begin, std::size_t count, double* to) const = 0;
  virtual void copy_entries(std::size_t at, std::size_t count, double* to) const = 0;
  // Numbers that are equal where variables have equal costs.
  virtual std::vector<std::uint32_t> classes_of_variables(const Component& component) const = 0;

  // The cost of a choice; nothing where it takes a pair that is forbidden.
  virtual std::optional<Wide> cost_of(const Component& component, const Choice& choice) const = 0;
  // The change in cost of giving the changed variables (listed, and flagged by variable) their
  // values in `target`; nothing where that takes a forbidden pair.
  virtual std::optional<Wide> change_in_cost(const Component& component,
                                             std::span<const std::uint32_t> changed,
                                             const std::vector<char>& is_changed,
                                             const Choice& choice, const Choice& target) const = 0;
  // The cost of each value of variable i, given its neighbours' values.
  virtual void price_values(const Component& component, std::uint32_t i, const Choice& choice,
                            std::vector<Wide>& prices) const = 0;

  virtual Bound bound(const Component& component, const std::vector<double>& forward,
                      const Multipliers& multipliers, Messages* used) const = 0;

  // --- For presolve ------------------------------------------------------------------------------

  // The costs of the component's variables, as those of a problem without tables.
  virtual std::unique_ptr<CostTables> tables_of(const Component& component) const = 0;
  // @pre `tables` are of tables_of(), possibly of another object
  virtual EntriesId pooled(CostTables& tables, std::size_t at, std::size_t count) const = 0;

  // --- Building from the costs of another component, of the same type ----------------------------

  virtual std::shared_ptr<ExactCosts> make_empty() const = 0;
  // Appends these values' costs, each multiplied.
  virtual void append_values(const ExactCosts& from, std::span<const std::uint32_t> values,
                             std::int64_t factor = 1) = 0;
  // Appends the rows and columns that are named of a table.  Returns where.
  virtual std::size_t append_table(const ExactCosts& from, std::size_t at, std::size_t columns,
                                   std::span<const std::uint32_t> rows,
                                   std::span<const std::uint32_t> picked) = 0;
  // Appends a table of zeros.  Returns where.
  virtual std::size_t append_zeros(std::size_t count) = 0;
  // Adds entries of another component, each multiplied, to its own: entry k is at + x * row_step +
  // y * column_step there, where k = x * columns + y.
  virtual void add_to_table(std::size_t to, std::size_t rows, std::size_t columns,
                            const ExactCosts& from, std::size_t at, std::size_t row_step,
                            std::size_t column_step, std::int64_t factor) = 0;
  // Adds entry at + values[k] * step to the cost of each value begin + k.
  virtual void add_to_values(std::size_t begin, std::span<const std::uint32_t> values,
                             const ExactCosts& from, std::size_t at, std::size_t step,
                             std::int64_t factor = 1) = 0;
};

}  // namespace tessera::solver::detail
