// SPDX-License-Identifier: Apache-2.0
//
// Whether a plan is true: it is run, and held against the program run on one device.
//
//   const auto expected = executor::expectation_of(graph, executor::random_inputs(graph, seed));
//   const executor::Report report = executor::verify_on_threads(graph, plan, expected);
//   report.is_true()    // outputs agree, bytes are as planned, memory is no more than planned
//
// Every shard of every device is looked at, copies too.  The plan is run twice, in the program's
// own types and with all its numbers in double, since in bf16 a wrong sum may hide in the rounding.
// An output agrees where each element is within a tolerance of the unsharded run's, relative to the
// largest of that output.  Bytes agree where the payloads of all groups of a collective add up
// to what the plan's messages do, exactly; of a halo exchange the plan gives what an inner device
// sends, so that is what is sent at most.
//
// Where the unsharded run itself is off by more than a thirty-second of an output's largest
// element, rounding has left nothing to hold a run in the program's own types against: of such an
// output they must be numbers where the unsharded run's are, and the run in double is its judge.
// That one takes the same steps with the same shards, so what is wrong with a plan is wrong there,
// too.  What it may be off by is measured in double itself, by inputs that are off by their last
// bit: rounding in the program's own types, which may overflow, can only make it less.  Some
// outputs are nothing but rounding even so, as the gradient of a bias that softmax takes no notice
// of.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "tessera/core/integer.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/spmd.hpp"
#include "tessera/executor/threads.hpp"

namespace tessera::executor {

// How far a part is from the whole that it should be one of: the largest difference of two
// elements, relative to the largest magnitude in the whole.  0 where all are equal; infinity where
// one is no number, or infinite, and the other is not so.
// The element types may differ.
inline double difference(const OwnedPart& part, const Tensor& whole) {
  const OwnedPart expected = cut(whole_part(whole), part.slice);
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

struct OutputReport {
  graph::Value value;
  double difference = 0;  // from the unsharded run, the largest of any device's
  double tolerance = 0;
  double difference_in_double = 0;  // the same of the program in double
  double tolerance_in_double = 0;

  bool agrees() const noexcept {
    return difference <= tolerance && difference_in_double <= tolerance_in_double;
  }
};

struct CollectiveReport {
  StepPlace place;
  StepKind kind{};
  Axis axis = 0;
  Extent predicted = 0;  // bytes, as the plan prints them
  Extent counted = 0;    // the mean of all groups, rounded up; of a halo exchange, of all devices
  Extent moved = 0;      // what the communicator was given to move, padding included, at most
  bool agrees = false;
};

struct Report {
  std::vector<OutputReport> outputs;
  std::vector<CollectiveReport> collectives;
  Wide predicted_peak = 0;
  Extent held_peak = 0;         // of the device that held most
  Extent held_peak_in_all = 0;  // with what no plan counts: working copies

  bool memory_agrees() const noexcept { return held_peak <= predicted_peak; }
  bool outputs_agree() const {
    return std::all_of(outputs.begin(), outputs.end(), [](const auto& o) { return o.agrees(); });
  }
  bool is_true() const {
    return memory_agrees() && outputs_agree() &&
           std::all_of(collectives.begin(), collectives.end(),
                       [](const auto& c) { return c.agrees; });
  }
};

struct VerifyOptions {
  std::optional<double> tolerance;  // of outputs in the program's own types, in place of our own
};

// By output, what a sharded run may be off by.
struct Tolerances {
  std::vector<double> own, in_double;
};

// What the plan's run is held against: the program's outputs on one device, as it is and in double.
struct Expectation {
  graph::Graph graph_in_double;
  std::vector<Tensor> inputs, inputs_in_double;
  std::vector<Tensor> outputs, outputs_in_double;
  Tolerances tolerances;
};

namespace detail {

// The largest relative rounding error of one operation.
inline double rounding_unit(ElementType element) {
  switch (element) {
    case ElementType::bf16: return 0x1p-9;
    case ElementType::f16: return 0x1p-12;
    case ElementType::f64: return 0x1p-54;
    default: return 0x1p-25;
  }
}
inline double coarsest_unit(const graph::Graph& graph) {
  double unit = rounding_unit(ElementType::f64);
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (const TensorType& type : graph.op(id).results)
      if (graph::is_floating(type.element)) unit = std::max(unit, rounding_unit(type.element));
  return unit;
}

inline double whole_difference(const Tensor& a, const Tensor& b) {
  return difference({a, whole_slice(a.dims()), a.dims()}, b);
}

// Numbers in double, each a last bit more or less than it was.
inline std::vector<Tensor> nudged(std::vector<Tensor> tensors) {
  for (Tensor& tensor : tensors) {
    if (tensor.element() != ElementType::f64) continue;
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      const double limit = mix_bits(i) % 2 == 0 ? std::numeric_limits<double>::max()
                                                : std::numeric_limits<double>::lowest();
      const double number = tensor.number(i);
      if (number != 0 && std::isfinite(number)) tensor.set_number(i, std::nextafter(number, limit));
    }
  }
  return tensors;
}

// By how much each output is off the same in double.  Of floating-point numbers at least by what
// half of the outputs are: one may happen to be off by less.
inline std::vector<double> roundings_of(const std::vector<Tensor>& outputs,
                                        const std::vector<Tensor>& outputs_in_double) {
  std::vector<double> off;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    off.push_back(whole_difference(outputs[i], outputs_in_double[i]));
  std::vector<double> sorted = off;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(off.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  for (std::size_t i = 0; i < off.size(); ++i)
    if (graph::is_floating(outputs[i].element())) off[i] = std::max(off[i], *middle);
  return off;
}

// What an output may be off by in its own type, where rounding puts the unsharded one off by so
// much, and where it may be off by `in_double` in double.
inline double tolerance_in(ElementType element, double rounding, double in_double) {
  if (!graph::is_floating(element)) return rounding;
  // Where a small sum is left of large terms, partial sums round by any multiple of that: such
  // numbers tell nothing but that they are numbers, and those in double all.
  if (rounding > 0x1p-5)
    return std::isfinite(rounding) ? std::numeric_limits<double>::max()
                                   : std::numeric_limits<double>::infinity();
  if (element == ElementType::f64) return in_double;
  return std::max(10 * rounding, 100 * rounding_unit(element));
}

// Rounding is measured and not guessed: by how much the unsharded run is off the same in double
// (where it is in double, that in float is off), a sharded one may be off it too, several times
// over.  In double as much of that is left as the types differ, which is next to nothing, and no
// more than the last bits of its inputs make.
// `outputs` are the unsharded run's; `nudged_outputs` those in double of inputs that were nudged();
// in_floats() runs it with all numbers in float.
template<class InFloats>
Tolerances tolerances_of(const graph::Graph& graph, const std::vector<Tensor>& outputs,
                         const std::vector<Tensor>& outputs_in_double,
                         const std::vector<Tensor>& nudged_outputs, InFloats&& in_floats) {
  Tolerances result;
  if (outputs.empty()) return result;
  double unit = coarsest_unit(graph);
  const bool is_in_double = unit == rounding_unit(ElementType::f64);
  if (is_in_double) unit = rounding_unit(ElementType::f32);
  const double share = rounding_unit(ElementType::f64) / unit;
  const std::vector<double> roundings =
      roundings_of(is_in_double ? in_floats() : outputs, outputs_in_double);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const ElementType element = outputs[i].element();
    const double last_bits = whole_difference(nudged_outputs[i], outputs_in_double[i]);
    const double left = std::min(roundings[i] * share, last_bits);
    const double in_double = graph::is_floating(element) ? std::max(1000 * left, 1e-10) : 0;
    result.in_double.push_back(in_double);
    result.own.push_back(tolerance_in(element, roundings[i], in_double));
  }
  return result;
}

}  // namespace detail

// Throws what interpret() does.
inline Expectation expectation_of(const graph::Graph& graph, std::vector<Tensor> inputs) {
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

// What one device has counted and compared; shared, what all have.
struct Findings {
  std::vector<std::int64_t> sums, largest;  // to be summed up, and to take the largest of
  std::vector<double> differences;          // the largest of which counts, too

  void add(const std::vector<double>& more) {
    differences.insert(differences.end(), more.begin(), more.end());
  }
  // Called on all devices.  @pre they have as many of each
  template<Communicator C>
  void share(C& comm) {
    std::vector<Device> all(static_cast<std::size_t>(comm.size()));
    std::iota(all.begin(), all.end(), Device{0});
    comm.all_reduce(all, Reduction::sum, std::span(sums));
    comm.all_reduce(all, Reduction::max, std::span(largest));
    comm.all_reduce(all, Reduction::max, std::span(differences));
  }
};

// Counted against planned, of one collective: `payloads` is the sum of all devices' in so many
// runs.
inline CollectiveReport collective_report(const plan::Plan& plan, StepPlace place, Wide payloads,
                                          Extent moved, std::int64_t runs = 1) {
  const plan::PlannedStep& planned = plan.ops[place.op].steps[place.step];
  const Extent devices = plan.mesh.device_count(), members = plan.mesh.extent(planned.step.axis);
  const StepKind kind = planned.step.kind;
  CollectiveReport report{place, kind, planned.step.axis, planned.bytes(), 0, moved, false};
  const auto mean = [](Wide sum, Wide count) {
    return count == 0 ? Extent{0} : static_cast<Extent>((sum + count - 1) / count);
  };
  const Wide divided_by = planned.message.divided_by;
  if (kind == StepKind::halo_exchange) {
    report.counted = mean(payloads, Wide(devices) * runs);
    report.agrees = payloads * divided_by <= Wide(planned.message.bytes) * devices * runs;
    return report;
  }
  // Of these, each member's operand is the message; of the others, all operands together are.
  const bool is_shared = kind == StepKind::all_reduce || kind == StepKind::reduce_scatter;
  const Wide messages = is_shared ? payloads / members : payloads;
  const Extent groups = devices / members;
  report.counted = mean(messages, Wide(groups) * runs);
  report.agrees = messages * divided_by == Wide(planned.message.bytes) * groups * runs;
  return report;
}

// How far this device's parts are off, by output.
inline std::vector<double> differences_of(const std::vector<OwnedPart>& parts,
                                          const std::vector<Tensor>& expected) {
  std::vector<double> result;
  for (std::size_t i = 0; i < parts.size(); ++i)
    result.push_back(difference(parts[i], expected[i]));
  return result;
}

// A run in the program's own types, by one device: of each collective its payload and then, as what
// is largest, what the communicator moved and how often it ran; last the memory that was held.
template<Communicator C>
Findings findings_of_run(const graph::Graph& graph, const plan::Plan& plan,
                         const Expectation& expected, const std::vector<StepPlace>& places,
                         C& comm) {
  Findings found;
  const auto moved = [&](StepPlace place) {
    return static_cast<std::int64_t>(comm.traffic().of(label_of(graph, place)).message);
  };
  for (const StepPlace place : places) found.largest.push_back(-moved(place));

  DevicePlan<C> device(graph, plan, comm);
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

// The same run in double, of which only numbers count.
template<Communicator C>
std::vector<double> differences_in_double(const plan::Plan& plan, const Expectation& expected,
                                          C& comm) {
  DevicePlan<C> device(expected.graph_in_double, plan, comm);
  return differences_of(device(device.shards_of(expected.inputs_in_double)),
                        expected.outputs_in_double);
}

// Of output i.  `differences`: by output in the program's own types, and then in double; an output
// that nobody has, which is one below 0, is as wrong as can be.
inline OutputReport output_report(graph::Value value, std::size_t i,
                                  const std::vector<double>& differences,
                                  const Tolerances& tolerances, const VerifyOptions& options) {
  const auto found = [&](std::size_t at) {
    return differences[at] < 0 ? std::numeric_limits<double>::infinity() : differences[at];
  };
  return {value, found(i), options.tolerance.value_or(tolerances.own[i]),
          found(tolerances.own.size() + i), tolerances.in_double[i]};
}

}  // namespace detail

// One device's part in the verification, called on all of them; the report is the same on all.
// Throws what DevicePlan does.
template<Communicator C>
Report verify(const graph::Graph& graph, const plan::Plan& plan, const Expectation& expected,
              C& comm, const VerifyOptions& options = {}) {
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

// The first op that hands on something else than the unsharded program in double computes, to tell
// where a plan that is not true goes wrong; nothing where none does.  Partial results are passed
// over: what they should be nobody knows before they are finished; and so are ops in loops, which
// have other values every round.
inline std::optional<graph::OpId> first_wrong_op(const graph::Graph& graph, const plan::Plan& plan,
                                                 const Expectation& expected,
                                                 std::stop_token stop = {}) {
  constexpr double tolerance = 1e-6;
  const std::vector<std::size_t> loops = graph::innermost_loops(graph);
  std::vector<std::vector<Tensor>> values(graph.op_count());
  interpret(expected.graph_in_double, expected.inputs_in_double,
            [&](graph::OpId id, std::span<const OwnedPart> results) {
              values[id].clear();
              for (const OwnedPart& result : results) values[id].push_back(result.tensor);
            });
  std::vector<graph::OpId> first(static_cast<std::size_t>(plan.mesh.device_count()),
                                 graph.op_count());  // by device
  const auto run = [&](ThreadCommunicator& comm) {
    DevicePlan device(expected.graph_in_double, plan, comm);
    graph::OpId& own = first[static_cast<std::size_t>(comm.rank())];
    device(device.shards_of(expected.inputs_in_double),
           [&](graph::OpId id, std::span<const OwnedPart> results) {
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

// On a thread for each device.  Throws what run_on_threads() does.
inline Report verify_on_threads(const graph::Graph& graph, const plan::Plan& plan,
                                const Expectation& expected, const VerifyOptions& options = {},
                                std::stop_token stop = {}) {
  Report result;
  run_on_threads(
      plan.mesh.device_count(),
      [&](ThreadCommunicator& comm) {
        const Report report = verify(graph, plan, expected, comm, options);
        if (comm.rank() == 0) result = report;
      },
      stop);
  return result;
}

}  // namespace tessera::executor
