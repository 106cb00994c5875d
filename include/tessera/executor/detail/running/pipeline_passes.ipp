// SPDX-License-Identifier: Apache-2.0
//
// Forward and backward passes, span by span.
#pragma once
#include "tessera/executor/detail/running/pipeline_passes.hpp"

#include <utility>

#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/detail/running/pipeline_update.hpp"
#include "tessera/executor/errors.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE void load_weights(PipelineDevice& device, std::span<const Tensor> inputs) {
  device.memory = {};
  for (const auto& span : device.spans) {
    span->state.assign(span->graph().op_count(), {});
    span->resharded.assign(span->graph().op_count(), {});
    for (graph::OpId id = 0; id < span->graph().op_count(); ++id) {
      if (!span->is_weight(id)) continue;
      span->state[id] = span->runner.shard_of(id, device.input_of(*span, id, inputs));
      const Extent bytes = byte_size_of(span->state[id]);
      if (span->stays_in_place(id))
        device.memory.add(bytes);
      else
        device.memory.add_other(bytes);
    }
  }
}

// Weights in their output sharding, and a microbatch's data.
inline void prepare_parameter(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                              graph::OpId id) {
  if (!span.is_parameter(id) || span.is_received(id)) return;
  if (!span.is_weight(id)) {
    const Tensor& whole = device.input_of(span, id, (*device.inputs)[microbatch]);
    hold_value(device, span, microbatch, {id, 0},
               span.runner.finished(id, span.runner.shard_of(id, whole)));
  } else if (!span.stays_in_place(id)) {
    const bool is_first = !span.resharded[id].has_value();
    span.resharded[id] = span.runner.finished(id, span.state[id]);
    if (is_first) device.memory.add(byte_size_of(*span.resharded[id]));
  }
}

// A value that an op of a pass reads.
inline TensorView operand_of_pass(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                                  graph::Value value) {
  if (span.is_weight(value.op)) return weight_of(span, value.op);
  std::optional<TensorPart>& held = span.values[microbatch][value.op][value.result];
  if (!held && span.is_received(value.op)) receive_by(device, *span.route_to[value.op], microbatch);
  if (!held)
    throw Unsupported(op_text(span.graph().op(value.op)) +
                      ": is read before it is computed: the layers are no pipeline");
  return held->view();
}

inline void run_op(PipelineDevice& device, SpanState& span, std::size_t microbatch, graph::OpId id,
                   bool is_rematerialized) {
  std::vector<TensorView> operands;
  for (std::size_t i = 0; i < span.graph().operand_count(id); ++i)
    operands.push_back(operand_of_pass(device, span, microbatch, span.graph().operand(id, i)));
  OpRun ran = span.runner.run(id, std::move(operands));
  device.memory.note(ran.copies);
  for (std::uint32_t r = 0; r < ran.results.size(); ++r)
    hold_value(device, span, microbatch, {id, r}, std::move(ran.results[r]), is_rematerialized);
}

inline void run_ops(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                    pipeline::PassKind kind, bool is_rematerialized) {
  for (graph::OpId id = 0; id < span.graph().op_count(); ++id) {
    if (!span.ends.is_in(kind, id) || (is_rematerialized && !span.ends.runs_again(id))) continue;
    if (!span.is_parameter(id)) run_op(device, span, microbatch, id, is_rematerialized);
    for (const graph::Value done : span.ends.after(id, is_rematerialized))
      free_value(device, span, microbatch, done);
  }
}

inline void run_forward(PipelineDevice& device, SpanState& span, std::size_t microbatch) {
  for (graph::OpId id = 0; id < span.graph().op_count(); ++id)
    prepare_parameter(device, span, microbatch, id);
  run_ops(device, span, microbatch, pipeline::PassKind::forward, false);
}

// All of it or half.
inline void run_backward(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                         pipeline::PassKind kind) {
  using enum pipeline::PassKind;
  if (kind != weight_backward) run_ops(device, span, microbatch, forward, true);
  run_ops(device, span, microbatch, kind, false);
  if (kind == input_backward) return;
  for (graph::OpId id = 0; id < span.graph().op_count(); ++id)
    for (std::uint32_t r = 0; r < span.values[microbatch][id].size(); ++r)
      free_value(device, span, microbatch, {id, r});
}

inline void run_pass(PipelineDevice& device, const pipeline::Pass& pass) {
  const auto microbatch = static_cast<std::size_t>(pass.microbatch);
  const bool is_forward = pass.kind == pipeline::PassKind::forward;
  for (std::size_t i = 0; i < device.spans.size(); ++i) {
    SpanState& span = *device.spans[is_forward ? i : device.spans.size() - 1 - i];
    if (span.chunk != static_cast<std::size_t>(pass.chunk)) continue;
    if (is_forward)
      run_forward(device, span, microbatch);
    else
      run_backward(device, span, microbatch, pass.kind);
  }
}

TESSERA_INLINE void run_training_step(PipelineDevice& device, const StepInputs& inputs) {
  const PipelineProgram& program = device.program;
  device.inputs = &inputs;
  device.outputs.assign(program.outputs.size(), {});
  for (const auto& span : device.spans) span->begin_step(program.microbatches);
  for (std::size_t o = 0; o < device.outputs.size(); ++o)
    if (device.is_here(program.outputs[o].stage))
      device.outputs[o].resize(static_cast<std::size_t>(program.microbatches));
  for (const pipeline::Pass& pass : program.schedule.orders[device.number]) run_pass(device, pass);
  run_update(device);
}

}  // namespace tessera::executor::detail
