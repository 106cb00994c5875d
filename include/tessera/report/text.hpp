// SPDX-License-Identifier: Apache-2.0
//
// Small pieces of reports for people: aligned columns, bytes, gaps.
#pragma once
#include <algorithm>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/wide.hpp"

namespace tessera::report {

namespace detail {

// In the largest of these units, each `step` of the one before, that leaves 1 or more; to two
// places, and exact in the first unit.
inline std::string in_units(Wide amount, double step, std::span<const char* const> units) {
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

}  // namespace detail

// "1.50 MiB"; exact below a KiB.
inline std::string bytes_text(Wide bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  return detail::in_units(bytes, 1024, units);
}

// "11.08 ms", from picoseconds.
inline std::string time_text(Wide picoseconds) {
  constexpr const char* units[] = {"ps", "ns", "us", "ms", "s"};
  return detail::in_units(picoseconds, 1000, units);
}

// "5.64 PFLOP"
inline std::string flops_text(Wide flops) {
  constexpr const char* units[] = {"FLOP",  "kFLOP", "MFLOP", "GFLOP",
                                   "TFLOP", "PFLOP", "EFLOP", "ZFLOP"};
  return detail::in_units(flops, 1000, units);
}

// "41.2%", from a share of 1.
inline std::string percent_text(double share) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f%%", 100 * share);
  return buffer;
}

// How far above its lower bound a cost is: "0%", "1.25%", "-" where that means nothing.
inline std::string gap_text(Wide cost, Wide bound) {
  if (cost == bound) return "0%";
  if (cost == 0) return "-";
  const Wide magnitude = cost < 0 ? Wide(-cost) : cost;
  const double gap = static_cast<double>(Wide(cost - bound)) / static_cast<double>(magnitude);
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g%%", 100 * gap);
  return buffer;
}

// Rows of cells, each column as wide as its widest cell.
class Columns {
 public:
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const noexcept { return rows_.empty(); }

  std::string text(const std::string& indent = "  ") const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_)
      for (std::size_t c = 0; c < row.size(); ++c) {
        if (c == widths.size()) widths.push_back(0);
        widths[c] = std::max(widths[c], row[c].size());
      }
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

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tessera::report
