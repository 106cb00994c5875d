// SPDX-License-Identifier: Apache-2.0
//
// One device's run of a pipeline: the passes of its stage, in the order of the schedule, and the
// update.  Interleaved, a stage's devices have several chunks of the model.
//
//   const auto program = executor::pipeline_program(graph, plan, cluster);  // shared by all
//   executor::DevicePipeline run(program, comm);             // on each device, its communicator
//   run.load(inputs[0]);                                     // its shards of the weights
//   const auto& outputs = run.step(inputs);                  // inputs by microbatch
//
// A pass runs the ops of its part in program order: forward through the chunk's spans, backward
// through them from the last to the first; in halves, first what gradients that are sent on are
// made of, later the rest.  What another stage needs is sent as soon as it is computed, which does
// not wait; what comes from another stage is received when it is first read.  So whatever the
// schedule, devices wait for data and for nothing else.
//
// Of each microbatch in flight a stage keeps what its backward pass will read.  Where the plan says
// that activations are computed again, it keeps what came into each span, and runs the span's
// forward part a second time right before its backward part.  What the update reads is added up,
// partial results as they are, and once per step the mean is what it gets (microbatches.hpp).
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/microbatches.hpp"
#include "tessera/executor/op_runner.hpp"
#include "tessera/executor/pipeline_program.hpp"
#include "tessera/executor/spmd.hpp"
#include "tessera/executor/sub_communicator.hpp"
#include "tessera/executor/transfer.hpp"

namespace tessera::executor {

template<Communicator C>
class DevicePipeline {
 public:
  // Keeps references to both.  Throws InvalidArgument where there are not as many devices as
  // the pipeline has.
  DevicePipeline(const PipelineProgram& program, C& comm)
      : program_(program),
        comm_(checked(program, comm)),
        number_(program.stage_of(comm.rank())),
        stage_(program.stages[number_]),
        sub_(comm, stage_.first_device, stage_.devices()) {
    for (std::size_t chunk = number_; chunk < program.stages.size(); chunk += program.stage_count())
      for (std::size_t i = 0; i < program.stages[chunk].spans.size(); ++i)
        spans_.push_back(std::make_unique<Span>(program, chunk, i, sub_));
    for (std::size_t l = 0; l < program.links.size(); ++l) enter(l);
    order_updates();
  }

  // The weights, and what an optimizer remembers.  @pre a tensor for each parameter of the program
  void load(std::span<const Tensor> inputs) {
    memory_ = {};
    for (const auto& span : spans_) {
      span->state.assign(span->graph().op_count(), {});
      span->handed.assign(span->graph().op_count(), {});
      for (graph::OpId id = 0; id < span->graph().op_count(); ++id) {
        if (!span->is_weight(id)) continue;
        span->state[id] = span->runner.shard_of(id, whole_input(*span, id, inputs));
        if (span->is_handed_on_as_it_is(id))
          memory_.add(byte_size(span->state[id]));
        else
          memory_.add_other(byte_size(span->state[id]));
      }
    }
  }

  // One step, after which the weights are updated.  By OutputPlace of the program a part for each
  // microbatch, or the first alone of what there is once per step; nothing of other stages'
  // outputs.
  // @pre load() was called; as many inputs as microbatches
  const std::vector<std::vector<OwnedPart>>& step(const StepInputs& inputs) {
    inputs_ = &inputs;
    outputs_.assign(program_.outputs.size(), {});
    for (const auto& span : spans_) span->begin_step(program_.microbatches);
    for (std::size_t o = 0; o < outputs_.size(); ++o)
      if (is_here(program_.outputs[o].stage))
        outputs_[o].resize(static_cast<std::size_t>(program_.microbatches));
    for (const pipeline::Pass& pass : program_.schedule.orders[number_]) run(pass);
    update();
    return outputs_;
  }

  // Whether this device runs that one of PipelineProgram::stages.
  bool is_here(std::size_t stage) const noexcept {
    return stage % program_.stage_count() == number_;
  }
  // Of a span of a stage that is here, by op, then by its steps: bytes of all runs so far, without
  // padding.
  const std::vector<std::vector<Extent>>& payloads(std::size_t stage, std::size_t span) const {
    return span_at(stage, span).runner.payloads();
  }
  const HeldMemory& memory() const noexcept { return memory_; }
  // The first of those that are here.
  std::size_t stage() const noexcept { return number_; }

 private:
  using Sub = SubCommunicator<C>;
  using Results = std::vector<std::optional<OwnedPart>>;

  struct Span {
    Span(const PipelineProgram& whole, std::size_t of_chunk, std::size_t of_span, Sub& comm)
        : chunk(of_chunk),
          number(of_span),
          run(whole.stages[chunk].spans[number]),
          program(run.program),
          runner(program.graph, run.plan, comm),
          ends(program, run.again, whole.has_halves()),
          varies(pipeline::varying(program)),
          summed(program.graph.op_count()),
          links_from(program.graph.op_count()),
          link_to(program.graph.op_count()) {
      for (graph::OpId id = 0; id < graph().op_count(); ++id)
        summed[id].assign(graph().op(id).results.size(), 0);
      for (const graph::Value value : pipeline::read_afterwards(program))
        summed[value.op][value.result] = 1;
    }

    const graph::Graph& graph() const { return program.graph; }
    pipeline::Phase part(graph::OpId id) const { return program.phases[id]; }
    bool is_parameter(graph::OpId id) const { return graph().op(id).is_parameter; }
    bool is_weight(graph::OpId id) const {
      return is_parameter(id) && pipeline::is_permanent(program, id);
    }
    bool is_received(graph::OpId id) const {
      return is_parameter(id) && program.parameter_kinds[id] == pipeline::ParameterKind::received;
    }
    bool is_output(graph::Value value) const {
      return std::find(graph().outputs.begin(), graph().outputs.end(), value) !=
             graph().outputs.end();
    }
    bool is_handed_on_as_it_is(graph::OpId parameter) const {
      return run.plan.ops[parameter].steps.empty();
    }
    // Whether the plan counts its memory among what one microbatch has.
    bool is_counted(graph::Value value) const {
      return ends.owns(value.op) && summed[value.op][value.result] == 0;
    }
    void begin_step(std::int64_t microbatches) {
      std::vector<Results> none(graph().op_count());
      for (graph::OpId id = 0; id < none.size(); ++id)
        none[id].resize(graph().op(id).results.size());
      values.assign(static_cast<std::size_t>(microbatches), none);
      sums.clear();
      once.assign(graph().op_count(), {});
    }

    std::size_t chunk, number;  // which of PipelineProgram::stages, and of its spans
    const SpanRun& run;
    const pipeline::SpanProgram& program;
    OpRunner<Sub> runner;
    plan::PassEnds ends;
    std::vector<char> varies;                          // by op
    std::vector<std::vector<char>> summed;             // by op and result: read afterwards
    std::vector<std::vector<std::size_t>> links_from;  // by op
    std::vector<std::optional<std::size_t>> link_to;   // by op: of parameters that are received
    std::vector<OwnedPart> state;                      // by op: weights' shards
    std::vector<std::optional<OwnedPart>> handed;      // by op: those in another sharding
    std::vector<std::vector<Results>> values;          // by microbatch, op and result
    std::map<graph::Value, MicrobatchMean> sums;
    std::vector<Results> once;  // by op and result: of the update
  };

  static C& checked(const PipelineProgram& program, C& comm) {
    if (program.devices() != comm.size())
      throw InvalidArgument("the pipeline is for " + std::to_string(program.devices()) +
                            " devices, and there are " + std::to_string(comm.size()));
    return comm;
  }
  static Extent byte_size(const OwnedPart& part) {
    return static_cast<Extent>(part.tensor.byte_size());
  }

  void enter(std::size_t l) {
    const Link& link = program_.links[l];
    if (is_here(link.from_stage) && !link.is_weight)
      span_at(link.from_stage, link.from_span).links_from[link.value.op].push_back(l);
    if (is_here(link.to_stage) && !link.is_weight)
      for (const Reader& reader : link.readers)
        span_at(link.to_stage, reader.span).link_to[reader.op] = l;
  }
  // @pre the stage is here
  Span& span_at(std::size_t stage, std::size_t span) const {
    for (const auto& it : spans_)
      if (it->chunk == stage && it->number == span) return *it;
    throw InternalError("a span of another stage's devices");
  }

  // Updates run in the order of the whole program, so that no stage waits for one that waits for
  // it.
  void order_updates() {
    for (std::size_t s = 0; s < spans_.size(); ++s)
      for (graph::OpId id = 0; id < spans_[s]->graph().op_count(); ++id)
        if (!spans_[s]->is_parameter(id) && spans_[s]->part(id) == pipeline::Phase::update)
          updates_.emplace_back(spans_[s]->program.origin[id], s, id);
    std::sort(updates_.begin(), updates_.end());
  }

  const Tensor& whole_input(const Span& span, graph::OpId id,
                            std::span<const Tensor> inputs) const {
    return inputs[program_.parameter_numbers[span.program.origin[id]]];
  }

  // --- Passes ------------------------------------------------------------------------------------

  void run(const pipeline::Pass& pass) {
    const auto m = static_cast<std::size_t>(pass.microbatch);
    for (std::size_t i = 0; i < spans_.size(); ++i) {
      const bool is_forward = pass.kind == pipeline::PassKind::forward;
      Span& span = *spans_[is_forward ? i : spans_.size() - 1 - i];
      if (span.chunk != static_cast<std::size_t>(pass.chunk)) continue;
      is_forward ? forward(span, m) : backward(span, m, pass.kind);
    }
  }

  void forward(Span& span, std::size_t m) {
    for (graph::OpId id = 0; id < span.graph().op_count(); ++id) bring_parameter(span, m, id);
    run_ops(span, m, pipeline::PassKind::forward, false);
  }
  // All of it or half.
  void backward(Span& span, std::size_t m, pipeline::PassKind kind) {
    using enum pipeline::PassKind;
    if (kind != weight_backward) run_ops(span, m, pipeline::PassKind::forward, true);
    run_ops(span, m, kind, false);
    if (kind == input_backward) return;
    for (graph::OpId id = 0; id < span.graph().op_count(); ++id) let_go_all(span, m, id);
  }

  // Weights as they are handed on, and a microbatch's data.
  void bring_parameter(Span& span, std::size_t m, graph::OpId id) {
    if (!span.is_parameter(id) || span.is_received(id)) return;
    if (!span.is_weight(id)) {
      const Tensor& whole = whole_input(span, id, (*inputs_)[m]);
      hold(span, m, {id, 0}, span.runner.finished(id, span.runner.shard_of(id, whole)));
    } else if (!span.is_handed_on_as_it_is(id)) {
      const bool is_first = !span.handed[id].has_value();
      span.handed[id] = span.runner.finished(id, span.state[id]);
      if (is_first) memory_.add(byte_size(*span.handed[id]));
    }
  }

  void run_ops(Span& span, std::size_t m, pipeline::PassKind kind, bool is_again) {
    for (graph::OpId id = 0; id < span.graph().op_count(); ++id) {
      if (!span.ends.is_in(kind, id) || (is_again && !span.ends.runs_again(id))) continue;
      if (!span.is_parameter(id)) {
        std::vector<Part> operands;
        for (std::size_t i = 0; i < span.graph().operand_count(id); ++i)
          operands.push_back(operand(span, m, span.graph().operand(id, i)));
        RanOp ran = span.runner.run(id, std::move(operands));
        memory_.note(ran.copies);
        for (std::uint32_t r = 0; r < ran.results.size(); ++r)
          hold(span, m, {id, r}, std::move(ran.results[r]), is_again);
      }
      for (const graph::Value done : span.ends.after(id, is_again)) let_go(span, m, done);
    }
  }

  // What an op of a pass reads.
  Part operand(Span& span, std::size_t m, graph::Value value) {
    if (span.is_weight(value.op)) return weight(span, value.op);
    std::optional<OwnedPart>& held = span.values[m][value.op][value.result];
    if (!held && span.is_received(value.op)) receive(*span.link_to[value.op], m);
    if (!held)
      throw Unsupported(detail::op_text(span.graph().op(value.op)) +
                        ": is read before it is computed: the layers are no pipeline");
    return held->view();
  }
  Part weight(const Span& span, graph::OpId id) const {
    return span.handed[id] ? span.handed[id]->view() : span.state[id].view();
  }

  // A value of a microbatch, which goes where it is needed.
  void hold(Span& span, std::size_t m, graph::Value value, OwnedPart part, bool is_again = false) {
    if (!is_again) {
      if (span.summed[value.op][value.result] != 0) add_up(span, value, part.view());
      if (span.is_output(value)) note_output(span, value, m, part);
      for (const std::size_t l : span.links_from[value.op])
        if (program_.links[l].value == value) send(l, m, part.view());
    }
    count(span, value, byte_size(part));
    span.values[m][value.op][value.result] = std::move(part);
  }
  void let_go(Span& span, std::size_t m, graph::Value value) {
    std::optional<OwnedPart>& held = span.values[m][value.op][value.result];
    if (!held) return;
    count(span, value, -byte_size(*held));
    held.reset();
  }
  void count(const Span& span, graph::Value value, Extent bytes) {
    if (span.is_counted(value))
      memory_.add(bytes);
    else
      memory_.add_other(bytes);
  }
  void let_go_all(Span& span, std::size_t m, graph::OpId id) {
    for (std::uint32_t r = 0; r < span.values[m][id].size(); ++r) let_go(span, m, {id, r});
  }

  // Partial results add up where they are parts of a sum.
  void add_up(Span& span, graph::Value value, const Part& part) {
    const DynamicSharding sharding = span.run.plan.ops[value.op].results[value.result];
    const bool is_sum = sharding.partial_axes().empty() || sharding.reduction() == Reduction::sum;
    const bool is_same = span.varies[value.op] == 0 && !is_late(span, value.op);
    if (is_same && span.sums.contains(value)) return;
    if (!is_same && !is_sum && program_.microbatches > 1)
      throw Unsupported(detail::op_text(span.graph().op(value.op)) +
                        ": partial results that are no sums can not be added up over microbatches");
    const ElementType element = part.element();
    const ElementType type = program_.microbatches > 1 ? sum_type(element) : element;
    const auto [at, is_new] = span.sums.try_emplace(value, element, type);
    at->second.add(part);
    if (is_new) memory_.add(at->second.byte_size());
  }
  // Whether it is received for an update only.
  static bool is_late(const Span& span, graph::OpId id) {
    return span.is_received(id) && span.part(id) == pipeline::Phase::update;
  }

  void note_output(const Span& span, graph::Value value, std::size_t m, const OwnedPart& part) {
    for (std::size_t o = 0; o < program_.outputs.size(); ++o)
      if (is_place(program_.outputs[o], span, value)) outputs_[o][m] = part;
  }
  bool is_place(const OutputPlace& place, const Span& span, graph::Value value) const {
    return place.stage == span.chunk && place.span == span.number && place.value == value;
  }

  // --- Transfers ---------------------------------------------------------------------------------

  void send(std::size_t l, std::size_t m, const Part& part) {
    const Link& link = program_.links[l];
    TransferRun transfer(link.transfer, comm_, static_cast<Tag>(l), link.label);
    if (!is_here(link.to_stage)) return transfer.give(part);
    OwnedPart there = room_for(link);
    transfer.exchange(part, there);
    deliver(link, m, std::move(there));
  }
  void receive(std::size_t l, std::size_t m) {
    const Link& link = program_.links[l];
    OwnedPart here = room_for(link);
    TransferRun(link.transfer, comm_, static_cast<Tag>(l), link.label).take(here);
    deliver(link, m, std::move(here));
  }
  OwnedPart room_for(const Link& link) const {
    return {link.type, slice_of(link.sharding, stage_.mesh, link.type.dims, sub_.rank())};
  }

  // To all its readers.  What comes with each microbatch, but is read once per step, is added up.
  void deliver(const Link& link, std::size_t m, OwnedPart part) {
    for (const Reader& reader : link.readers) {
      Span& span = span_at(link.to_stage, reader.span);
      if (link.is_weight) {
        span.state[reader.op] = part;
      } else if (link.received != pipeline::Phase::update) {
        hold(span, m, {reader.op, 0}, span.runner.finished(reader.op, part));
      } else if (link.sent != pipeline::Phase::update) {
        add_up(span, {reader.op, 0}, part.view());
      } else {
        span.once[reader.op].resize(1);
        span.once[reader.op][0] = span.runner.finished(reader.op, part);
        memory_.add_other(byte_size(*span.once[reader.op][0]));
      }
    }
  }

  // --- The update --------------------------------------------------------------------------------

  void update() {
    for (const auto& [origin, s, id] : updates_) {
      Span& span = *spans_[s];
      std::vector<Part> operands;
      for (std::size_t i = 0; i < span.graph().operand_count(id); ++i)
        operands.push_back(operand_of_update(span, span.graph().operand(id, i)));
      RanOp ran = span.runner.run(id, std::move(operands));
      memory_.note(ran.copies);
      span.once[id].resize(ran.results.size());
      for (std::uint32_t r = 0; r < ran.results.size(); ++r)
        hold_once(span, {id, r}, std::move(ran.results[r]));
    }
    for (const auto& span : spans_) replace_weights(*span);
    for (const auto& span : spans_)
      for (const graph::Value output : span->graph().outputs)
        if (span->is_weight(output.op)) note_output(*span, output, 0, span->state[output.op]);
    for (std::size_t l = 0; l < program_.links.size(); ++l) hand_on_weight(l);
    for (const auto& span : spans_) end_step(*span);
  }

  void hold_once(Span& span, graph::Value value, OwnedPart part) {
    if (span.is_output(value)) note_output(span, value, 0, part);
    for (const std::size_t l : span.links_from[value.op])
      if (program_.links[l].value == value) send(l, 0, part.view());
    memory_.add_other(byte_size(part));
    span.once[value.op][value.result] = std::move(part);
  }

  Part operand_of_update(Span& span, graph::Value value) {
    if (span.is_weight(value.op)) return weight(span, value.op);
    Results& held = span.once[value.op];
    held.resize(span.graph().op(value.op).results.size());
    if (!held[value.result]) {
      if (is_late(span, value.op)) receive_for_update(span, value.op);
      if (!held[value.result]) held[value.result] = mean_of(span, value);
    }
    return held[value.result]->view();
  }
  void receive_for_update(Span& span, graph::OpId id) {
    const std::size_t l = *span.link_to[id];
    const Link& link = program_.links[l];
    if (is_here(link.from_stage)) return;  // was handed over when it was computed
    const bool comes_once = link.sent == pipeline::Phase::update;
    for (std::int64_t m = 0; m < (comes_once ? 1 : program_.microbatches); ++m)
      receive(l, static_cast<std::size_t>(m));
  }
  OwnedPart mean_of(Span& span, graph::Value value) {
    const auto at = span.sums.find(value);
    if (at == span.sums.end())
      throw Unsupported(detail::op_text(span.graph().op(value.op)) +
                        ": an update reads it, and no microbatch has computed it");
    // What was added up as it came has not been handed on.
    OwnedPart mean = is_late(span, value.op) ? span.runner.finished(value.op, at->second.mean())
                                             : at->second.mean();
    memory_.add_other(byte_size(mean));
    return mean;
  }

  // All at once: a new value may be another weight's old one.
  void replace_weights(Span& span) {
    std::vector<std::pair<graph::OpId, OwnedPart>> updated;
    for (const graph::Alias& alias : span.graph().aliases) {
      if (alias.output.op == alias.parameter) continue;
      const Part part = operand_of_update(span, alias.output);
      updated.emplace_back(alias.parameter, OwnedPart(*part.tensor, part.slice, part.whole));
    }
    for (auto& [parameter, part] : updated) span.state[parameter] = std::move(part);
  }
  void hand_on_weight(std::size_t l) {
    const Link& link = program_.links[l];
    if (!link.is_weight) return;
    if (is_here(link.from_stage))
      send(l, 0, operand_of_update(span_at(link.from_stage, link.from_span), link.value));
    else if (is_here(link.to_stage))
      receive(l, 0);
  }
  void end_step(Span& span) {
    for (const auto& [value, sum] : span.sums) memory_.add(-sum.byte_size());
    span.sums.clear();
    for (const Results& results : span.once)
      for (const auto& result : results)
        if (result) memory_.add_other(-byte_size(*result));
    span.once.clear();
    for (std::optional<OwnedPart>& handed : span.handed) {
      if (handed) memory_.add(-byte_size(*handed));
      handed.reset();
    }
  }

  const PipelineProgram& program_;
  C& comm_;
  std::size_t number_;
  const StageRun& stage_;
  Sub sub_;
  std::vector<std::unique_ptr<Span>> spans_;
  std::vector<std::tuple<graph::OpId, std::size_t, graph::OpId>> updates_;  // origin, span, op
  const StepInputs* inputs_ = nullptr;
  std::vector<std::vector<OwnedPart>> outputs_;
  HeldMemory memory_;
};

}  // namespace tessera::executor
