// SPDX-License-Identifier: Apache-2.0
//
// The bodies of pruning.hpp.
#pragma once
#include "tessera/strategy/detail/pruning.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace tessera::strategy::detail {

using ShardingNumber = PriceTable::Number;

// The strategies of a column by numbers, since so many pairs of them are compared.
struct NumberedColumn {
  std::size_t operand_count = 0, result_count = 0;
  std::vector<ShardingNumber> operand_numbers, result_numbers;  // of each strategy in turn
  std::vector<Cost> prices;                                     // of each strategy
  std::vector<BufferBytes> buffers;                             // of each strategy, for its result

  std::span<const ShardingNumber> results(std::size_t x) const {
    return {result_numbers.data() + x * result_count, result_count};
  }
  const ShardingNumber* operands(std::size_t x) const {
    return operand_numbers.data() + x * operand_count;
  }
};

// Strategies with the same output shardings.  There are thousands of strategies but only hundreds
// of these, so whether one could replace another is asked for groups first.
struct ChoiceGroup {
  std::vector<std::uint32_t> members;
  Cost least = 0;  // of their prices
};
// A group whose output shardings could replace another group's, and the price that readers would
// pay for that.
struct Substitute {
  std::uint32_t group = 0;
  Cost extra = 0;
};

TESSERA_INLINE NumberedColumn numbered(const graph::Rule& rule, const Column& column,
                                       const OpTables& tables) {
  NumberedColumn result;
  result.operand_count = tables.operands.size();
  result.result_count = tables.results.size();
  for (const Choice& choice : column) {
    result.prices.push_back(choice.price);
    for (std::size_t r = 0; r < tables.results.size(); ++r)
      result.result_numbers.push_back(tables.results[r]->number_of(choice.results[r]));
    for (std::size_t i = 0; i < tables.operands.size(); ++i)
      result.operand_numbers.push_back(tables.operands[i]->number_of(choice.operands[i]));
  }
  result.buffers.assign(column.size(), BufferBytes());
  if (tables.result_buffers.size() != 1) return result;
  for (std::size_t x = 0; x < column.size(); ++x) {
    const DynamicSharding computed = sharding_of(rule, column[x].strategy, rule.operand_count());
    result.buffers[x] = tables.result_buffers[0]->of_result(tables.results[0]->number_of(computed),
                                                            result.results(x)[0]);
  }
  return result;
}

TESSERA_INLINE std::vector<ChoiceGroup> groups_of(const NumberedColumn& column) {
  std::map<std::vector<ShardingNumber>, std::size_t> numbers;
  std::vector<ChoiceGroup> groups;
  for (std::uint32_t x = 0; x < column.prices.size(); ++x) {
    const auto results = column.results(x);
    const auto [at, is_new] = numbers.try_emplace({results.begin(), results.end()}, groups.size());
    if (is_new) groups.push_back({{}, column.prices[x]});
    ChoiceGroup& group = groups[at->second];
    group.members.push_back(x);
    group.least = std::min(group.least, column.prices[x]);
  }
  return groups;
}

// The price that readers pay to get the results `x` from the results `y`; nothing where y can not
// replace x, or takes more memory.
TESSERA_INLINE std::optional<Cost> extra_for_readers(std::span<const ShardingNumber> y,
                                                     std::span<const ShardingNumber> x,
                                                     const ColumnNeeds& needs,
                                                     const OpTables& tables) {
  Cost total = 0;
  for (std::size_t r = 0; r < x.size(); ++r) {
    PriceTable& table = *tables.results[r];
    if (needs.is_tied && y[r] != x[r]) return std::nullopt;
    if (table.local_bytes(y[r]) > table.local_bytes(x[r])) return std::nullopt;
    if (needs.uses[r] == 0) continue;
    const Cost each = table.price(y[r], x[r]);
    for (std::size_t use = 0; each != 0 && use < needs.uses[r] && is_finite(total); ++use)
      total = saturating_add(total, each);
  }
  return total;
}

// Whether readers never need larger buffers for results `y` than for `x`.
TESSERA_INLINE bool leaves_no_more(std::span<const ShardingNumber> y,
                                   std::span<const ShardingNumber> x, const ColumnNeeds& needs,
                                   const OpTables& tables) {
  for (std::size_t r = 0; r < tables.result_buffers.size(); ++r)
    if (needs.uses[r] != 0 && !tables.result_buffers[r]->leaves_no_more(y[r], x[r])) return false;
  return true;
}

TESSERA_INLINE std::vector<Substitute> substitutes_for(const ChoiceGroup& group,
                                                       const std::vector<ChoiceGroup>& groups,
                                                       const NumberedColumn& column,
                                                       const ColumnNeeds& needs,
                                                       const OpTables& tables) {
  std::vector<Substitute> substitutes;
  Cost most = 0;
  for (const std::uint32_t x : group.members) most = std::max(most, column.prices[x]);
  const std::span<const ShardingNumber> of_group = column.results(group.members[0]);
  for (std::uint32_t other = 0; other < groups.size(); ++other) {
    if (groups[other].least > most) continue;
    const std::span<const ShardingNumber> of_other = column.results(groups[other].members[0]);
    const auto extra = extra_for_readers(of_other, of_group, needs, tables);
    if (extra && saturating_add(groups[other].least, *extra) <= most &&
        leaves_no_more(of_other, of_group, needs, tables))
      substitutes.push_back({other, *extra});
  }
  return substitutes;
}

// Whether the op itself never needs larger buffers by strategy `y` than by `x`.
TESSERA_INLINE bool needs_no_more(std::uint32_t y, std::uint32_t x, const NumberedColumn& column,
                                  const OpTables& tables) {
  if (!fits(column.buffers[y], column.buffers[x])) return false;
  const ShardingNumber *const at_y = column.operands(y), *const at_x = column.operands(x);
  for (std::size_t i = 0; i < tables.operand_buffers.size(); ++i)
    if (!tables.operand_buffers[i]->needs_no_more(at_y[i], at_x[i])) return false;
  return true;
}

// Whether strategy `y` can replace `x`, where readers pay `extra` for that.
TESSERA_INLINE bool can_replace(std::uint32_t y, std::uint32_t x, Cost extra,
                                const NumberedColumn& column, const OpTables& tables) {
  const ShardingNumber *const at_y = column.operands(y), *const at_x = column.operands(x);
  Cost total = saturating_add(column.prices[y], extra);
  for (std::size_t i = 0; i < column.operand_count && total <= column.prices[x]; ++i)
    total = saturating_add(total, tables.operands[i]->price(at_x[i], at_y[i]));
  return total <= column.prices[x] && needs_no_more(y, x, column, tables);
}

TESSERA_INLINE bool is_replaceable(std::uint32_t x, const std::vector<ChoiceGroup>& groups,
                                   const std::vector<Substitute>& substitutes,
                                   const std::vector<char>& gone, const NumberedColumn& column,
                                   const OpTables& tables) {
  for (const Substitute& substitute : substitutes) {
    const ChoiceGroup& group = groups[substitute.group];
    if (saturating_add(group.least, substitute.extra) > column.prices[x]) continue;
    for (const std::uint32_t y : group.members)
      if (y != x && gone[y] == 0 && can_replace(y, x, substitute.extra, column, tables))
        return true;
  }
  return false;
}

TESSERA_INLINE void erase(Column& column, const std::vector<char>& gone) {
  std::size_t kept = 0;
  for (std::size_t x = 0; x < column.size(); ++x)
    if (gone[x] == 0) {
      if (kept != x) column[kept] = std::move(column[x]);
      ++kept;
    }
  column.resize(kept);
}

TESSERA_INLINE void drop_replaceable(const graph::Rule& rule, Column& column,
                                     const ColumnNeeds& needs, const OpTables& tables,
                                     const std::function<void()>& checkpoint) {
  const NumberedColumn numbers = numbered(rule, column, tables);
  const std::vector<ChoiceGroup> groups = groups_of(numbers);
  std::vector<char> gone(column.size(), 0);
  for (const ChoiceGroup& group : groups) {
    const std::vector<Substitute> substitutes =
        substitutes_for(group, groups, numbers, needs, tables);
    for (const std::uint32_t x : group.members) {
      if (checkpoint) checkpoint();
      gone[x] = is_replaceable(x, groups, substitutes, gone, numbers, tables) ? 1 : 0;
    }
  }
  erase(column, gone);
}

}  // namespace tessera::strategy::detail
