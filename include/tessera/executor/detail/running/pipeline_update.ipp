// SPDX-License-Identifier: Apache-2.0
//
// Ops that run once per step, new weights, and copies of weights on other stages.
#pragma once
#include "tessera/executor/detail/running/pipeline_update.hpp"

#include <utility>

#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/errors.hpp"

namespace tessera::executor::detail {

inline void receive_for_update(PipelineDevice& device, SpanState& span, graph::OpId id) {
  const std::size_t number = *span.route_to[id];
  const TransferRoute& route = device.program.routes[number];
  if (device.is_here(route.from_stage)) return;  // it was delivered when it was computed
  const bool comes_once = route.sent == pipeline::Phase::update;
  for (std::int64_t m = 0; m < (comes_once ? 1 : device.program.microbatches); ++m)
    receive_by(device, number, static_cast<std::size_t>(m));
}

inline TensorPart mean_of(PipelineDevice& device, SpanState& span, graph::Value value) {
  const auto at = span.sums.find(value);
  if (at == span.sums.end())
    throw Unsupported(op_text(span.graph().op(value.op)) +
                      ": an update reads it, and no microbatch has computed it");
  // Values that were added up as they were received are not in the output sharding yet.
  TensorPart mean = at->second.mean();
  if (span.is_received_for_update(value.op)) mean = span.runner.finished(value.op, std::move(mean));
  device.memory.add_other(byte_size_of(mean));
  return mean;
}

inline TensorView operand_of_update(PipelineDevice& device, SpanState& span, graph::Value value) {
  if (span.is_weight(value.op)) return weight_of(span, value.op);
  HeldResults& held = span.once[value.op];
  held.resize(span.graph().op(value.op).results.size());
  if (!held[value.result]) {
    if (span.is_received_for_update(value.op)) receive_for_update(device, span, value.op);
    if (!held[value.result]) held[value.result] = mean_of(device, span, value);
  }
  return held[value.result]->view();
}

inline void run_update_op(PipelineDevice& device, SpanState& span, graph::OpId id) {
  std::vector<TensorView> operands;
  for (std::size_t i = 0; i < span.graph().operand_count(id); ++i)
    operands.push_back(operand_of_update(device, span, span.graph().operand(id, i)));
  OpRun ran = span.runner.run(id, std::move(operands));
  device.memory.note(ran.copies);
  span.once[id].resize(ran.results.size());
  for (std::uint32_t r = 0; r < ran.results.size(); ++r) {
    TensorPart& part = ran.results[r];
    if (span.is_output({id, r})) note_output(device, span, {id, r}, 0, part);
    send_by_routes(device, span, 0, {id, r}, part.view());
    device.memory.add_other(byte_size_of(part));
    span.once[id][r] = std::move(part);
  }
}

// All at once: a new value may be another weight's old one.
inline void replace_weights(PipelineDevice& device, SpanState& span) {
  std::vector<std::pair<graph::OpId, TensorPart>> updated;
  for (const graph::Alias& alias : span.graph().aliases) {
    if (alias.output.op == alias.parameter) continue;
    const TensorView part = operand_of_update(device, span, alias.output);
    updated.emplace_back(alias.parameter, TensorPart(*part.tensor, part.slice, part.whole));
  }
  for (auto& [parameter, part] : updated) span.state[parameter] = std::move(part);
}

// To the stages that have a copy.
inline void send_weight(PipelineDevice& device, std::size_t number) {
  const TransferRoute& route = device.program.routes[number];
  if (!route.is_weight) return;
  if (device.is_here(route.from_stage)) {
    SpanState& span = device.span_at(route.from_stage, route.from_span);
    send_by(device, number, 0, operand_of_update(device, span, route.value));
  } else if (device.is_here(route.to_stage)) {
    receive_by(device, number, 0);
  }
}

// Frees what is held for one step only.
inline void end_step(PipelineDevice& device, SpanState& span) {
  for (const auto& [value, sum] : span.sums) device.memory.add(-sum.byte_size());
  span.sums.clear();
  for (const HeldResults& results : span.once)
    for (const auto& result : results)
      if (result) device.memory.add_other(-byte_size_of(*result));
  span.once.clear();
  for (std::optional<TensorPart>& resharded : span.resharded) {
    if (resharded) device.memory.add(-byte_size_of(*resharded));
    resharded.reset();
  }
}

TESSERA_INLINE void run_update(PipelineDevice& device) {
  for (const auto& [origin, s, id] : device.updates) run_update_op(device, *device.spans[s], id);
  for (const auto& span : device.spans) replace_weights(device, *span);
  for (const auto& span : device.spans)
    for (const graph::Value output : span->graph().outputs)
      if (span->is_weight(output.op)) note_output(device, *span, output, 0, span->state[output.op]);
  for (std::size_t r = 0; r < device.program.routes.size(); ++r) send_weight(device, r);
  for (const auto& span : device.spans) end_step(device, *span);
}

}  // namespace tessera::executor::detail
