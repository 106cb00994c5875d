// SPDX-License-Identifier: Apache-2.0
//
// Two steps on every device, and a report of them.
#pragma once
#include "tessera/executor/verify_pipeline.hpp"

#include <algorithm>
#include <utility>

#include "tessera/executor/detail/running/microbatches.hpp"
#include "tessera/executor/detail/verification/findings.hpp"
#include "tessera/executor/detail/verification/tolerances.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/threads.hpp"

namespace tessera::executor {

TESSERA_INLINE bool PipelineReport::outputs_agree() const {
  return std::all_of(outputs.begin(), outputs.end(),
                     [](const auto& o) { return o.report.agrees(); });
}
TESSERA_INLINE bool PipelineReport::bytes_agree() const {
  return std::all_of(collectives.begin(), collectives.end(),
                     [](const auto& c) { return c.report.agrees; }) &&
         std::all_of(transfers.begin(), transfers.end(), [](const auto& t) { return t.agrees(); });
}
TESSERA_INLINE bool PipelineReport::memory_agrees() const {
  return std::all_of(stages.begin(), stages.end(), [](const auto& s) { return s.agrees(); });
}

TESSERA_INLINE StepExpectation step_expectation_of(const graph::Graph& graph, StepInputs inputs) {
  StepExpectation result;
  const detail::StepOnOneDevice step(graph);
  const detail::StepOnOneDevice exact(with_floats(graph, ElementType::f64));
  result.inputs = std::move(inputs);
  const auto inputs_in = [&](ElementType element) {
    StepInputs converted;
    for (const std::vector<Tensor>& tensors : result.inputs)
      converted.push_back(with_floats(tensors, element));
    return converted;
  };
  result.inputs_in_double = inputs_in(ElementType::f64);
  result.names = step.outputs(static_cast<std::int64_t>(result.inputs.size()));
  for (const StepOutput& name : result.names) result.values.push_back(graph.outputs[name.output]);
  result.outputs = step.run(result.inputs);
  result.outputs_in_double = exact.run(result.inputs_in_double);
  StepInputs nudged;
  for (const std::vector<Tensor>& tensors : result.inputs_in_double)
    nudged.push_back(detail::nudged(tensors));
  const auto in_floats = [&] {
    return detail::StepOnOneDevice(with_floats(graph, ElementType::f32))
        .run(inputs_in(ElementType::f32));
  };
  result.tolerances = detail::tolerances_of(graph, result.outputs, result.outputs_in_double,
                                            exact.run(nudged), in_floats);
  return result;
}

namespace detail {

// Calls visit(stage, span, place) for every collective of a pipeline, in the same order everywhere.
template<class Visit>
void for_each_collective(const PipelineProgram& program, Visit&& visit) {
  for (std::size_t s = 0; s < program.stages.size(); ++s)
    for (std::size_t i = 0; i < program.stages[s].spans.size(); ++i)
      for (const StepPlace place : collectives_of(program.stages[s].spans[i].plan))
        visit(s, i, place);
}

// How far this device's parts of each output are from the reference; -1 where it has none.
inline std::vector<double> differences_of(const PipelineProgram& program,
                                          const StepExpectation& expected,
                                          const std::vector<std::vector<TensorPart>>& outputs,
                                          const std::vector<Tensor>& wanted) {
  std::vector<double> result(expected.names.size(), -1);
  for (std::size_t i = 0; i < expected.names.size(); ++i)
    for (std::size_t p = 0; p < outputs.size(); ++p) {
      if (program.outputs[p].output != expected.names[i].output || outputs[p].empty()) continue;
      const std::int64_t m = std::max<std::int64_t>(expected.names[i].microbatch, 0);
      result[i] =
          std::max(result[i], difference(outputs[p][static_cast<std::size_t>(m)], wanted[i]));
    }
  return result;
}

inline Extent sent_bytes(const TransferRoute& route, const std::vector<pipeline::Send>& sends) {
  Wide elements = 0;
  for (const pipeline::Send& send : sends) elements += send.elements.size();
  return static_cast<Extent>(elements * graph::bytes_of(route.type.element));
}

// A step in the program's own types, by one device: bytes by collective and then by route, memory
// by the devices of each stage, and how far its parts of the outputs are off.
inline Findings findings_of_step(const PipelineProgram& program, const StepExpectation& expected,
                                 Communicator& comm) {
  Findings found;
  const auto sent = [&](const TransferRoute& route) {
    return static_cast<std::int64_t>(comm.traffic().of(route.label).message);
  };
  std::vector<std::int64_t> sent_before;
  for (const TransferRoute& route : program.routes) sent_before.push_back(sent(route));

  DevicePipeline device(program, comm);
  device.load(expected.inputs[0]);
  found.differences =
      differences_of(program, expected, device.step(expected.inputs), expected.outputs);
  for_each_collective(program, [&](std::size_t stage, std::size_t span, StepPlace place) {
    const bool is_here = device.is_here(stage);
    found.sums.push_back(is_here ? device.payloads(stage, span)[place.op][place.step] : 0);
  });
  for (std::size_t l = 0; l < program.routes.size(); ++l)
    found.sums.push_back(sent(program.routes[l]) - sent_before[l]);
  found.largest.assign(2 * program.stage_count(), 0);
  found.largest[2 * device.stage()] = device.memory().peak;
  found.largest[2 * device.stage() + 1] = device.memory().peak_in_all;
  return found;
}

// The same step in double, of which only the differences count.
inline std::vector<double> differences_in_double(const PipelineProgram& program,
                                                 const StepExpectation& expected,
                                                 Communicator& comm) {
  const PipelineProgram exact = with_floats(program, ElementType::f64);
  DevicePipeline device(exact, comm);
  device.load(expected.inputs_in_double[0]);
  return differences_of(program, expected, device.step(expected.inputs_in_double),
                        expected.outputs_in_double);
}

// `sums`: of all devices, by collective and then by route.
inline void report_bytes(const PipelineProgram& program, const std::vector<std::int64_t>& sums,
                         PipelineReport& report) {
  std::size_t next = 0;
  for_each_collective(program, [&](std::size_t stage, std::size_t span, StepPlace place) {
    const SpanRun& run = program.stages[stage].spans[span];
    const std::int64_t runs = program.runs(stage, span, place.op);
    report.collectives.push_back({stage, span, label_of(run.program.graph, place),
                                  collective_report(run.plan, place, sums[next++], 0, runs), runs});
  });
  for (std::size_t l = 0; l < program.routes.size(); ++l) {
    const TransferRoute& route = program.routes[l];
    const Extent across = sent_bytes(route, route.transfer.across);
    const Extent once = across + sent_bytes(route, route.transfer.within);
    const bool is_once = route.sent == pipeline::Phase::update;
    report.transfers.push_back(
        {l, across, once * (is_once ? 1 : program.microbatches), sums[next++]});
  }
}

}  // namespace detail

TESSERA_INLINE PipelineReport verify(const PipelineProgram& program,
                                     const StepExpectation& expected, Communicator& comm,
                                     const VerifyOptions& options) {
  detail::Findings found = detail::findings_of_step(program, expected, comm);
  found.add(detail::differences_in_double(program, expected, comm));
  found.share(comm);

  PipelineReport report;
  for (std::size_t i = 0; i < expected.names.size(); ++i)
    report.outputs.push_back(
        {expected.names[i], detail::output_report(expected.values[i], i, found.differences,
                                                  expected.tolerances, options)});
  detail::report_bytes(program, found.sums, report);
  for (std::size_t s = 0; s < program.stage_count(); ++s)
    report.stages.push_back({program.stages[s].planned_bytes, program.stages[s].predicted_bytes,
                             found.largest[2 * s], found.largest[2 * s + 1]});
  return report;
}

TESSERA_INLINE PipelineReport verify_on_threads(const PipelineProgram& program,
                                                const StepExpectation& expected,
                                                const VerifyOptions& options,
                                                std::stop_token stop) {
  PipelineReport result;
  run_on_threads(
      program.devices(),
      [&](Communicator& comm) {
        const PipelineReport report = verify(program, expected, comm, options);
        if (comm.device() == 0) result = report;
      },
      stop);
  return result;
}

}  // namespace tessera::executor
