// SPDX-License-Identifier: Apache-2.0
//
// Pieces of reports for people: aligned columns, amounts in units, gaps.
#pragma once
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::report {

/// Bytes, as "1.50 MiB"; exact below a KiB.
std::string bytes_text(Wide bytes);

/// A time, as "11.08 ms".
std::string time_text(Wide picoseconds);

/// Floating-point operations, as "5.64 PFLOP".
std::string flops_text(Wide flops);

/// A share, as "41.2%" for 0.412.
std::string percent_text(double share);

/// How far a cost is above its lower bound, relative to the cost: "0%", "1.25%"; "-" if the cost is
/// 0 and the bound is not.
std::string gap_text(Wide cost, Wide bound);

/// Rows of cells, each column as wide as its widest cell.
class Columns {
 public:
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const noexcept { return rows_.empty(); }

  /// One line per row, each with the indent and a newline.
  std::string text(const std::string& indent = "  ") const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/text.ipp"
#endif
