// SPDX-License-Identifier: Apache-2.0
//
// Two runs on every device, and a report of them.
#pragma once
#include "tessera/executor/verify.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/executor/detail/verification/findings.hpp"
#include "tessera/executor/detail/verification/tolerances.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::executor {

TESSERA_INLINE bool Report::outputs_agree() const {
  return std::all_of(outputs.begin(), outputs.end(), [](const auto& o) { return o.agrees(); });
}
TESSERA_INLINE bool Report::is_true() const {
  return memory_agrees() && outputs_agree() &&
         std::all_of(collectives.begin(), collectives.end(),
                     [](const auto& c) { return c.agrees; });
}

TESSERA_INLINE double difference(const TensorPart& part, const Tensor& whole) {
  const TensorPart expected = detail::cut(whole_view(whole), part.slice);
  double scale = 0, largest = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    if (const double value = std::abs(whole.number(i)); std::isfinite(value))
      scale = std::max(scale, value);
  for (std::size_t i = 0; i < part.tensor.size(); ++i) {
    const double a = part.tensor.number(i), b = expected.tensor.number(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(a - b));
  }
  return largest == 0 ? 0 : scale == 0 ? std::numeric_limits<double>::infinity() : largest / scale;
}

TESSERA_INLINE Expectation expectation_of(const graph::Graph& graph, std::vector<Tensor> inputs) {
  Expectation result;
  result.graph_in_double = with_floats(graph, ElementType::f64);
  result.inputs = std::move(inputs);
  result.inputs_in_double = with_floats(result.inputs, ElementType::f64);
  result.outputs = interpret(graph, result.inputs);
  result.outputs_in_double = interpret(result.graph_in_double, result.inputs_in_double);
  const std::vector<Tensor> nudged_outputs =
      interpret(result.graph_in_double, detail::nudged(result.inputs_in_double));
  const auto in_floats = [&] {
    return interpret(with_floats(graph, ElementType::f32),
                     with_floats(result.inputs, ElementType::f32));
  };
  result.tolerances = detail::tolerances_of(graph, result.outputs, result.outputs_in_double,
                                            nudged_outputs, in_floats);
  return result;
}

namespace detail {

// How far this device's parts are from the reference, by output.
inline std::vector<double> differences_of(const std::vector<TensorPart>& parts,
                                          const std::vector<Tensor>& expected) {
  std::vector<double> result;
  for (std::size_t i = 0; i < parts.size(); ++i)
    result.push_back(difference(parts[i], expected[i]));
  return result;
}

// A run in the program's own types on one device: of each collective its payload, and among the
// largest the bytes that the communicator moved and then the number of runs; last the memory that
// was held.
inline Findings findings_of_run(const graph::Graph& graph, const plan::Plan& plan,
                                const Expectation& expected, const std::vector<StepPlace>& places,
                                Communicator& comm) {
  Findings found;
  const auto moved = [&](StepPlace place) {
    return static_cast<std::int64_t>(comm.traffic().of(label_of(graph, place)).message);
  };
  for (const StepPlace place : places) found.largest.push_back(-moved(place));

  DevicePlan device(graph, plan, comm);
  found.differences = differences_of(device(device.shards_of(expected.inputs)), expected.outputs);
  for (std::size_t i = 0; i < places.size(); ++i) {
    found.sums.push_back(device.payloads()[places[i].op][places[i].step]);
    found.largest[i] += moved(places[i]);
  }
  for (const StepPlace place : places) found.largest.push_back(device.runs()[place.op][place.step]);
  found.largest.push_back(device.memory().peak);
  found.largest.push_back(device.memory().peak_in_all);
  return found;
}

// The same run in double, of which only the differences count.
inline std::vector<double> differences_in_double(const plan::Plan& plan,
                                                 const Expectation& expected, Communicator& comm) {
  DevicePlan device(expected.graph_in_double, plan, comm);
  return differences_of(device(device.shards_of(expected.inputs_in_double)),
                        expected.outputs_in_double);
}

}  // namespace detail

TESSERA_INLINE Report verify(const graph::Graph& graph, const plan::Plan& plan,
                             const Expectation& expected, Communicator& comm,
                             const VerifyOptions& options) {
  const std::vector<StepPlace> places = collectives_of(plan);
  detail::Findings found = detail::findings_of_run(graph, plan, expected, places, comm);
  found.add(detail::differences_in_double(plan, expected, comm));
  found.share(comm);

  Report report;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i)
    report.outputs.push_back(detail::output_report(graph.outputs[i], i, found.differences,
                                                   expected.tolerances, options));
  for (std::size_t i = 0; i < places.size(); ++i)
    report.collectives.push_back(detail::collective_report(
        plan, places[i], found.sums[i], found.largest[i], found.largest[places.size() + i]));
  report.predicted_peak = plan.memory.bytes;
  report.held_peak = found.largest[2 * places.size()];
  report.held_peak_in_all = found.largest[2 * places.size() + 1];
  return report;
}

TESSERA_INLINE Report verify_on_threads(const graph::Graph& graph, const plan::Plan& plan,
                                        const Expectation& expected, const VerifyOptions& options,
                                        std::stop_token stop) {
  Report result;
  run_on_threads(
      plan.mesh.device_count(),
      [&](Communicator& comm) {
        const Report report = verify(graph, plan, expected, comm, options);
        if (comm.device() == 0) result = report;
      },
      stop);
  return result;
}

TESSERA_INLINE std::optional<graph::OpId> first_wrong_op(const graph::Graph& graph,
                                                         const plan::Plan& plan,
                                                         const Expectation& expected,
                                                         std::stop_token stop) {
  constexpr double tolerance = 1e-6;
  const std::vector<std::size_t> loops = graph::innermost_loops(graph);
  std::vector<std::vector<Tensor>> values(graph.op_count());
  interpret(expected.graph_in_double, expected.inputs_in_double,
            [&](graph::OpId id, std::span<const TensorPart> results) {
              values[id].clear();
              for (const TensorPart& result : results) values[id].push_back(result.tensor);
            });
  std::vector<graph::OpId> first(static_cast<std::size_t>(plan.mesh.device_count()),
                                 graph.op_count());  // by device
  const auto run = [&](Communicator& comm) {
    DevicePlan device(expected.graph_in_double, plan, comm);
    graph::OpId& own = first[static_cast<std::size_t>(comm.device())];
    device(device.shards_of(expected.inputs_in_double),
           [&](graph::OpId id, std::span<const TensorPart> results) {
             for (std::size_t r = 0; r < results.size() && own == graph.op_count(); ++r)
               if (plan.ops[id].results[r].partial_axes().empty() && loops[id] == graph::no_loop &&
                   difference(results[r], values[id][r]) > tolerance)
                 own = id;
           });
  };
  run_on_threads(plan.mesh.device_count(), run, stop);
  const graph::OpId found = *std::min_element(first.begin(), first.end());
  return found < graph.op_count() ? std::optional(found) : std::nullopt;
}
}  // namespace tessera::executor
