// SPDX-License-Identifier: Apache-2.0
//
// Lines that the tables of a plan's run and of a pipeline's run share.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>

#include "tessera/executor/verify.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report::detail {

inline std::string number_text(double number) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2g", number);
  return buffer;
}

inline void add_difference(const graph::Graph& graph, const executor::OutputReport& output,
                           Columns& rows) {
  rows.add({graph.op(output.value.op).name, to_string(graph.type_of(output.value)),
            "off by " + number_text(output.difference),
            "(allowed " + number_text(output.tolerance) + ")",
            "in double by " + number_text(output.difference_in_double),
            "(allowed " + number_text(output.tolerance_in_double) + ")"});
}

inline std::string outputs_text(const graph::Graph& graph, const executor::Report& report) {
  double largest = 0, largest_in_double = 0;
  Columns off;
  for (const executor::OutputReport& output : report.outputs) {
    largest = std::max(largest, output.difference);
    largest_in_double = std::max(largest_in_double, output.difference_in_double);
    if (!output.agrees()) add_difference(graph, output, off);
  }
  const std::string extremes = number_text(largest) +
                               " of an output's largest element, in double " +
                               number_text(largest_in_double);
  if (off.empty())
    return "outputs  all " + std::to_string(report.outputs.size()) + " agree, to " + extremes +
           '\n';
  return "outputs  some differ from the unsharded run, by up to " + extremes + '\n' + off.text();
}

// Above the rows of `count` collectives, `wrong` of which are not as predicted.
inline std::string collectives_title(std::size_t count, std::size_t wrong) {
  const std::string all = std::to_string(count);
  return "bytes    " + (wrong == 0 ? "as predicted in all " + all + " collectives\n"
                                   : "not as predicted in " + std::to_string(wrong) + " of " + all +
                                         " collectives\n");
}

}  // namespace tessera::report::detail
