// SPDX-License-Identifier: Apache-2.0
//
// What came of running a plan, for people: each collective's bytes as planned and as counted, the
// memory, and the outputs that are off.
//
// Included by itself, since the executor needs Eigen and the rest of report/ does not.
#pragma once
#include <algorithm>
#include <cstdio>
#include <string>

#include "tessera/executor/verify.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {

namespace detail {

inline std::string number_text(double number) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2g", number);
  return buffer;
}

inline std::string outputs_text(const graph::Graph& graph, const executor::Report& report) {
  double largest = 0, largest_in_double = 0;
  Columns off;
  for (const executor::OutputReport& output : report.outputs) {
    largest = std::max(largest, output.difference);
    largest_in_double = std::max(largest_in_double, output.difference_in_double);
    if (output.agrees()) continue;
    off.add({graph.op(output.value.op).name, to_string(graph.type_of(output.value)),
             "off by " + number_text(output.difference),
             "(allowed " + number_text(output.tolerance) + ")",
             "in double by " + number_text(output.difference_in_double),
             "(allowed " + number_text(output.tolerance_in_double) + ")"});
  }
  const std::string extremes = number_text(largest) +
                               " of an output's largest element, in double " +
                               number_text(largest_in_double);
  if (off.empty())
    return "outputs  all " + std::to_string(report.outputs.size()) + " agree, to " + extremes +
           '\n';
  return "outputs  some differ from the unsharded run, by up to " + extremes + '\n' + off.text();
}

// Above the rows of `count` collectives, of which so many are not as predicted.
inline std::string collectives_title(std::size_t count, std::size_t wrong) {
  const std::string all = std::to_string(count);
  return "bytes    " + (wrong == 0 ? "as predicted in all " + all + " collectives\n"
                                   : "not as predicted in " + std::to_string(wrong) + " of " + all +
                                         " collectives\n");
}

inline std::string collectives_text(const graph::Graph& graph, const executor::Report& report) {
  if (report.collectives.empty()) return "no communication at all\n";
  Columns rows;
  std::size_t wrong = 0;
  for (const executor::CollectiveReport& collective : report.collectives) {
    wrong += !collective.agrees;
    // The largest shards are sent, where shards are not equal: padding is not part of the plan.
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

// Several lines, each ended; what is not as planned stands in capitals.  `report` is of a plan of
// `graph`.
inline std::string execution_table(const graph::Graph& graph, const executor::Report& report) {
  std::string text = detail::outputs_text(graph, report);
  text += "memory   predicted " + bytes_text(report.predicted_peak) + ", held " +
          bytes_text(report.held_peak) + " per device at its peak (" +
          bytes_text(report.held_peak_in_all) + " with working copies and what is not fused)";
  text += report.memory_agrees() ? "\n" : ": MORE THAN PREDICTED\n";
  return text + detail::collectives_text(graph, report);
}

}  // namespace tessera::report
