// SPDX-License-Identifier: Apache-2.0
//
// Amounts in units, and the layout of columns.
#pragma once
#include "tessera/report/text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <span>

namespace tessera::report {
namespace detail {

// In the largest unit that leaves 1 or more; each unit is `step` of the one before.  Two decimals,
// except in the first unit, which is exact.
TESSERA_INLINE std::string in_units(Wide amount, double step, std::span<const char* const> units) {
  double value = static_cast<double>(amount);
  std::size_t unit = 0;
  while (value >= step && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
  return buffer;
}

TESSERA_INLINE std::vector<std::size_t> column_widths(
    const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c == widths.size()) widths.push_back(0);
      widths[c] = std::max(widths[c], row[c].size());
    }
  return widths;
}

}  // namespace detail

TESSERA_INLINE std::string bytes_text(Wide bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  return detail::in_units(bytes, 1024, units);
}

TESSERA_INLINE std::string time_text(Wide picoseconds) {
  constexpr const char* units[] = {"ps", "ns", "us", "ms", "s"};
  return detail::in_units(picoseconds, 1000, units);
}

TESSERA_INLINE std::string flops_text(Wide flops) {
  constexpr const char* units[] = {"FLOP",  "kFLOP", "MFLOP", "GFLOP",
                                   "TFLOP", "PFLOP", "EFLOP", "ZFLOP"};
  return detail::in_units(flops, 1000, units);
}

TESSERA_INLINE std::string percent_text(double share) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f%%", 100 * share);
  return buffer;
}

TESSERA_INLINE std::string gap_text(Wide cost, Wide bound) {
  if (cost == bound) return "0%";
  if (cost == 0) return "-";
  const Wide magnitude = cost < 0 ? Wide(-cost) : cost;
  const double gap = static_cast<double>(Wide(cost - bound)) / static_cast<double>(magnitude);
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g%%", 100 * gap);
  return buffer;
}

TESSERA_INLINE std::string Columns::text(const std::string& indent) const {
  const std::vector<std::size_t> widths = detail::column_widths(rows_);
  std::string text;
  for (const auto& row : rows_) {
    std::string line = indent;
    for (std::size_t c = 0; c < row.size(); ++c) {
      line += row[c];
      if (c + 1 < row.size()) line.append(widths[c] - row[c].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace tessera::report
