// SPDX-License-Identifier: Apache-2.0
//
// Memory and collectives of a run.
#pragma once
#include "tessera/report/execution_table.hpp"

#include <cstddef>

#include "tessera/report/detail/verification_text.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {
namespace detail {

TESSERA_INLINE std::string memory_text(const executor::Report& report) {
  return "memory   predicted " + bytes_text(report.predicted_peak) + ", held " +
         bytes_text(report.held_peak) + " per device at its peak (" +
         bytes_text(report.held_peak_in_all) + " with working copies and unfused ops)" +
         (report.memory_agrees() ? "\n" : ": MORE THAN PREDICTED\n");
}

TESSERA_INLINE std::string collectives_text(const graph::Graph& graph,
                                            const executor::Report& report) {
  if (report.collectives.empty()) return "no communication\n";
  Columns rows;
  std::size_t wrong = 0;
  for (const executor::CollectiveReport& collective : report.collectives) {
    wrong += !collective.agrees;
    // Shards of unequal size are padded to the largest; the plan does not count the padding.
    const bool is_padded = collective.moved > collective.counted;
    rows.add({executor::label_of(graph, collective.place), to_string(collective.kind),
              "@ axis " + std::to_string(collective.axis),
              "predicted " + bytes_text(collective.predicted),
              "counted " + bytes_text(collective.counted),
              !collective.agrees ? "DIFFERS"
              : is_padded        ? "(" + bytes_text(collective.moved) + " with padding)"
                                 : ""});
  }
  return collectives_title(report.collectives.size(), wrong) + rows.text();
}

}  // namespace detail

TESSERA_INLINE std::string execution_table(const graph::Graph& graph,
                                           const executor::Report& report) {
  return detail::outputs_text(graph, report) + detail::memory_text(report) +
         detail::collectives_text(graph, report);
}

}  // namespace tessera::report
