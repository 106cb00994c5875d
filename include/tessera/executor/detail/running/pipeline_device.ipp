// SPDX-License-Identifier: Apache-2.0
//
// Holding, freeing, sending and receiving values.
#pragma once
#include "tessera/executor/detail/running/pipeline_device.hpp"

#include <algorithm>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/detail/running/transfer.hpp"
#include "tessera/executor/errors.hpp"

namespace tessera::executor::detail {

// --- Construction --------------------------------------------------------------------------------

TESSERA_INLINE SpanState::SpanState(const PipelineProgram& whole, std::size_t of_chunk,
                                    std::size_t of_span, Communicator& comm)
    : chunk(of_chunk),
      number(of_span),
      run(whole.stages[chunk].spans[number]),
      program(run.program),
      runner(program.graph, run.plan, comm, whole.stages[chunk].first_device),
      ends(program, run.rematerialized, whole.has_split_backward()),
      varies(pipeline::varying(program)),
      summed(program.graph.op_count()),
      routes_from(program.graph.op_count()),
      route_to(program.graph.op_count()) {
  for (graph::OpId id = 0; id < graph().op_count(); ++id)
    summed[id].assign(graph().op(id).results.size(), 0);
  for (const graph::Value value : pipeline::read_afterwards(program))
    summed[value.op][value.result] = 1;
}

TESSERA_INLINE bool SpanState::is_output(graph::Value value) const {
  return std::find(graph().outputs.begin(), graph().outputs.end(), value) != graph().outputs.end();
}

TESSERA_INLINE void SpanState::begin_step(std::int64_t microbatches) {
  std::vector<HeldResults> none(graph().op_count());
  for (graph::OpId id = 0; id < none.size(); ++id) none[id].resize(graph().op(id).results.size());
  values.assign(static_cast<std::size_t>(microbatches), none);
  sums.clear();
  once.assign(graph().op_count(), {});
}

// To the spans that it begins and ends at, where those are here.
inline void enter_route(PipelineDevice& device, std::size_t number) {
  const TransferRoute& route = device.program.routes[number];
  if (route.is_weight) return;
  if (device.is_here(route.from_stage))
    device.span_at(route.from_stage, route.from_span).routes_from[route.value.op].push_back(number);
  if (device.is_here(route.to_stage))
    for (const SpanParameter& reader : route.readers)
      device.span_at(route.to_stage, reader.span).route_to[reader.op] = number;
}

// Updates run in the order of the whole program, so that no stages wait for each other in a cycle.
inline std::vector<UpdateOp> ordered_updates(const PipelineDevice& device) {
  std::vector<UpdateOp> updates;
  for (std::size_t s = 0; s < device.spans.size(); ++s) {
    const SpanState& span = *device.spans[s];
    for (graph::OpId id = 0; id < span.graph().op_count(); ++id)
      if (!span.is_parameter(id) && span.phase(id) == pipeline::Phase::update)
        updates.emplace_back(span.program.origin[id], s, id);
  }
  std::sort(updates.begin(), updates.end());
  return updates;
}

TESSERA_INLINE PipelineDevice::PipelineDevice(const PipelineProgram& its_program,
                                              Communicator& its_comm)
    : program(its_program),
      comm(its_comm),
      number(program.stage_of(comm.device())),
      stage(program.stages[number]) {
  for (std::size_t chunk = number; chunk < program.stages.size(); chunk += program.stage_count())
    for (std::size_t i = 0; i < program.stages[chunk].spans.size(); ++i)
      spans.push_back(std::make_unique<SpanState>(program, chunk, i, comm));
  for (std::size_t r = 0; r < program.routes.size(); ++r) enter_route(*this, r);
  updates = ordered_updates(*this);
}

TESSERA_INLINE SpanState& PipelineDevice::span_at(std::size_t chunk, std::size_t span) const {
  for (const auto& it : spans)
    if (it->chunk == chunk && it->number == span) return *it;
  throw InternalError("a span of another stage's devices");
}

// --- Holding -------------------------------------------------------------------------------------

TESSERA_INLINE TensorView weight_of(const SpanState& span, graph::OpId id) {
  return span.resharded[id] ? span.resharded[id]->view() : span.state[id].view();
}

inline void count_value(PipelineDevice& device, const SpanState& span, graph::Value value,
                        Extent bytes) {
  if (span.is_counted(value))
    device.memory.add(bytes);
  else
    device.memory.add_other(bytes);
}

// Partial sums are added up as they are.
inline void add_up(PipelineDevice& device, SpanState& span, graph::Value value,
                   const TensorView& part) {
  const DynamicSharding sharding = span.run.plan.ops[value.op].results[value.result];
  const bool is_sum = sharding.partial_axes().empty() || sharding.reduction() == Reduction::sum;
  const bool is_same = span.varies[value.op] == 0 && !span.is_received_for_update(value.op);
  if (is_same && span.sums.contains(value)) return;
  if (!is_same && !is_sum && device.program.microbatches > 1)
    throw Unsupported(op_text(span.graph().op(value.op)) +
                      ": a partial result by another reduction than a sum can not be added up over "
                      "microbatches");
  const ElementType element = part.element();
  const ElementType type = device.program.microbatches > 1 ? sum_type(element) : element;
  const auto [at, is_new] = span.sums.try_emplace(value, element, type);
  at->second.add(part);
  if (is_new) device.memory.add(at->second.byte_size());
}

TESSERA_INLINE void note_output(PipelineDevice& device, const SpanState& span, graph::Value value,
                                std::size_t microbatch, const TensorPart& part) {
  for (std::size_t o = 0; o < device.program.outputs.size(); ++o) {
    const OutputPlace& place = device.program.outputs[o];
    if (place.stage == span.chunk && place.span == span.number && place.value == value)
      device.outputs[o][microbatch] = part;
  }
}

TESSERA_INLINE void hold_value(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                               graph::Value value, TensorPart part, bool is_rematerialized) {
  if (!is_rematerialized) {
    if (span.summed[value.op][value.result] != 0) add_up(device, span, value, part.view());
    if (span.is_output(value)) note_output(device, span, value, microbatch, part);
    send_by_routes(device, span, microbatch, value, part.view());
  }
  count_value(device, span, value, byte_size_of(part));
  span.values[microbatch][value.op][value.result] = std::move(part);
}

TESSERA_INLINE void free_value(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                               graph::Value value) {
  std::optional<TensorPart>& held = span.values[microbatch][value.op][value.result];
  if (!held) return;
  count_value(device, span, value, -byte_size_of(*held));
  held.reset();
}

// --- Transfers -----------------------------------------------------------------------------------

// To all readers.  A value that comes with each microbatch, but is read once per step, is added up.
inline void deliver(PipelineDevice& device, const TransferRoute& route, std::size_t microbatch,
                    const TensorPart& part) {
  for (const SpanParameter& reader : route.readers) {
    SpanState& span = device.span_at(route.to_stage, reader.span);
    if (route.is_weight) {
      span.state[reader.op] = part;
    } else if (route.received != pipeline::Phase::update) {
      hold_value(device, span, microbatch, {reader.op, 0}, span.runner.finished(reader.op, part));
    } else if (route.sent != pipeline::Phase::update) {
      add_up(device, span, {reader.op, 0}, part.view());
    } else {
      span.once[reader.op].resize(1);
      span.once[reader.op][0] = span.runner.finished(reader.op, part);
      device.memory.add_other(byte_size_of(*span.once[reader.op][0]));
    }
  }
}

// This device's part of what a route brings, to be filled.
inline TensorPart incoming(const PipelineDevice& device, const TransferRoute& route) {
  const Device here = device.comm.device() - device.stage.first_device;
  return {route.type, slice_of(route.sharding, device.stage.mesh, route.type.dims, here)};
}

TESSERA_INLINE void send_by(PipelineDevice& device, std::size_t number, std::size_t microbatch,
                            const TensorView& part) {
  const TransferRoute& route = device.program.routes[number];
  const TransferRun run{route.transfer, device.comm, static_cast<Tag>(number), route.label};
  if (!device.is_here(route.to_stage)) return send_part(run, part);
  TensorPart there = incoming(device, route);
  exchange_parts(run, part, there);
  deliver(device, route, microbatch, there);
}

TESSERA_INLINE void receive_by(PipelineDevice& device, std::size_t number, std::size_t microbatch) {
  const TransferRoute& route = device.program.routes[number];
  TensorPart here = incoming(device, route);
  receive_part({route.transfer, device.comm, static_cast<Tag>(number), route.label}, here);
  deliver(device, route, microbatch, here);
}

TESSERA_INLINE void send_by_routes(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                                   graph::Value value, const TensorView& part) {
  for (const std::size_t route : span.routes_from[value.op])
    if (device.program.routes[route].value == value) send_by(device, route, microbatch, part);
}

}  // namespace tessera::executor::detail
