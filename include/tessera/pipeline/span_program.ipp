// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of span_program.hpp.
#pragma once
#include "tessera/pipeline/span_program.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/graph/ops.hpp"
#include "tessera/pipeline/detail/forward_part.hpp"

namespace tessera::pipeline {
namespace detail {

// Element by element, whatever the dims.
TESSERA_INLINE bool is_elementwise(const graph::Op& op) {
  if (op.is_heavy || op.is_parameter || op.is_loop_state || op.results.size() != 1) return false;
  for (std::size_t f = 0; f < op.rule.factor_count(); ++f)
    if (op.rule.factor(f).kind != graph::FactorKind::parallel) return false;
  return true;
}

// Of every op: when it runs.
TESSERA_INLINE std::vector<Phase> phases_of(const graph::Graph& graph, const ForwardPart& forward) {
  std::vector<Phase> phases(graph.op_count(), Phase::backward);
  std::vector<bool> takes_a_place(graph.op_count(), false), is_output(graph.op_count(), false);
  for (const graph::Value output : graph.outputs) is_output[output.op] = true;
  for (const graph::Alias& alias : graph.aliases)
    if (alias.output.op != alias.parameter) takes_a_place[alias.output.op] = true;
  for (OpId id = graph.op_count(); id-- > 0;) {
    if (graph.op(id).is_parameter || forward.contains(id)) {
      phases[id] = Phase::forward;
      continue;
    }
    bool is_read = false, only_for_update = true, in_forward = false;
    graph.for_each_use(id, [&](OpId reader, const graph::Use&) {
      is_read = true;
      only_for_update = only_for_update && phases[reader] == Phase::update;
      in_forward = in_forward || phases[reader] == Phase::forward;
    });
    const bool is_free = !is_output[id] || takes_a_place[id];
    const bool serves_update = only_for_update && (is_read || takes_a_place[id]) && is_free;
    if (serves_update && (is_elementwise(graph.op(id)) || forward.is_derived(id)))
      phases[id] = Phase::update;
    else if (forward.is_derived(id) && in_forward)
      phases[id] = Phase::forward;
  }
  return phases;
}

// Takes a span out of a program.
class SpanExtraction {
 public:
  SpanExtraction(const LayeredProgram& whole, std::size_t first, std::size_t last)
      : whole_(whole), graph_(whole.graph()), first_(first), last_(last) {}

  SpanProgram run() {
    find_ops();
    for (const auto& [value, place] : received_) receive(value);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (wanted_[id] && whole_.is_derived(id)) add(id);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (wanted_[id] && !whole_.is_derived(id)) add(id);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (wanted_[id]) send(id);
    add_outputs();
    return std::move(span_);
  }

 private:
  static constexpr graph::OpId nowhere = std::numeric_limits<graph::OpId>::max();

  bool is_inside(graph::OpId id) const {
    return whole_.layer_of(id) >= first_ && whole_.layer_of(id) <= last_;
  }
  bool is_derived(graph::OpId id) const { return whole_.is_derived(id); }

  // The span's own ops, the derived ops that they read, and the values that they receive.
  void find_ops() {
    wanted_.assign(graph_.op_count(), false);
    place_.assign(graph_.op_count(), nowhere);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      wanted_[id] = is_inside(id) && !is_derived(id);
    // Parameters' new values that are derived from parameters and constants alone.
    for (const graph::Alias& alias : graph_.aliases)
      if (is_derived(alias.output.op) && is_read_inside(alias.output.op))
        wanted_[alias.output.op] = wanted_[alias.parameter] = true;
    for (graph::OpId id = graph_.op_count(); id-- > 0;) {
      if (!wanted_[id]) continue;
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
        const graph::Value value = graph_.operand(id, i);
        if (is_derived(value.op))
          wanted_[value.op] = true;
        else if (!is_inside(value.op))
          received_.emplace(value, nowhere);
      }
    }
  }
  // Whether some op of the span is made of it, through derived ones.
  bool is_read_inside(graph::OpId id) const {
    if (is_inside(id)) return true;
    bool is_read = false;
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
      is_read = is_read || (is_derived(reader) ? is_read_inside(reader) : is_inside(reader));
    });
    return is_read;
  }

  graph::OpId append(graph::Op op, const std::vector<graph::Value>& operands, Phase phase,
                     ParameterKind kind, graph::OpId origin) {
    const graph::OpId id = span_.graph.add(std::move(op), operands);
    span_.phases.push_back(phase);
    span_.parameter_kinds.push_back(kind);
    span_.origin.push_back(origin);
    return id;
  }

  // With the phase in which it is read first: an update reads values that come once.
  void receive(graph::Value value) {
    graph::Op op =
        parameter_op(graph_.op(value.op).name + ".received" + std::to_string(value.result),
                     graph_.type_of(value));
    const Phase phase = phase_of_boundary(
        value, [&](graph::OpId reader) { return is_inside(reader) && !is_derived(reader); });
    const graph::OpId id = append(std::move(op), {}, phase, ParameterKind::received, value.op);
    received_[value] = id;
    span_.received.push_back({id, {id, 0}, value, phase});
  }

  template<class IsReader>
  Phase phase_of_boundary(graph::Value value, IsReader&& is_reader) const {
    bool only_update = true;
    graph_.for_each_use(value.op, [&](graph::OpId reader, const graph::Use& use) {
      if (use.result == value.result && is_reader(reader))
        only_update = only_update && whole_.phase(reader) == Phase::update;
    });
    return only_update ? Phase::update : whole_.phase(value.op);
  }

  graph::Value inside(graph::Value value) const {
    if (const auto at = received_.find(value); at != received_.end()) return {at->second, 0};
    return {place_[value.op], value.result};
  }

  void add(graph::OpId id) {
    std::vector<graph::Value> operands;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
      operands.push_back(inside(graph_.operand(id, i)));
    place_[id] = append(graph_.op(id), operands, whole_.phase(id), parameter_kind(id), id);
  }
  ParameterKind parameter_kind(graph::OpId id) const {
    if (!whole_.is_weight(id)) return ParameterKind::data;
    return is_inside(id) ? ParameterKind::state : ParameterKind::copy;
  }

  // The results of an op that other layers read.  A result that only their updates read is sent
  // once per step: by an op of its own, so that it is reduced only then.
  void send(graph::OpId id) {
    if (is_derived(id)) return;
    for (std::uint32_t r = 0; r < graph_.op(id).results.size(); ++r) {
      bool is_sent = false;
      graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
        is_sent = is_sent || (use.result == r && !is_inside(reader));
      });
      if (!is_sent) continue;
      const Phase phase =
          phase_of_boundary({id, r}, [&](graph::OpId reader) { return !is_inside(reader); });
      graph::Value value{place_[id], r};
      if (phase == Phase::update && whole_.phase(id) != Phase::update) value = copied(value);
      span_.sent.push_back({value.op, value, {id, r}, phase});
    }
  }
  graph::Value copied(graph::Value value) {
    const graph::TensorType type = span_.graph.type_of(value);
    const std::vector<Dims> operands{type.dims};
    graph::Op op{span_.graph.op(value.op).name + ".sum" + std::to_string(value.result),
                 graph::Opcode::copy,
                 {type},
                 graph::elementwise_rule(operands, type.dims,
                                         graph::convert_passes(type.element, type.element))};
    return {
        append(std::move(op), {value}, Phase::update, ParameterKind::data, span_.origin[value.op]),
        0};
  }

  void add_outputs() {
    for (const graph::Value output : graph_.outputs)
      if (place_[output.op] != nowhere && (is_inside(output.op) || is_derived(output.op)))
        span_.graph.outputs.push_back({place_[output.op], output.result});
    for (const BoundaryValue& boundary : span_.sent)
      if (std::find(span_.graph.outputs.begin(), span_.graph.outputs.end(), boundary.value) ==
          span_.graph.outputs.end())
        span_.graph.outputs.push_back(boundary.value);
    for (const graph::Alias& alias : graph_.aliases)
      if (place_[alias.parameter] != nowhere && place_[alias.output.op] != nowhere)
        span_.graph.aliases.push_back(
            {place_[alias.parameter], {place_[alias.output.op], alias.output.result}});
  }

  const LayeredProgram& whole_;
  const graph::Graph& graph_;
  std::size_t first_, last_;
  std::vector<bool> wanted_;
  std::vector<graph::OpId> place_;                // by op of the whole program
  std::map<graph::Value, graph::OpId> received_;  // where each is
  SpanProgram span_;
};

class SignatureWriter {
 public:
  Signature run(const SpanProgram& span) {
    put(span.graph.op_count());
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id) add_op(span, id);
    put(span.graph.outputs.size());
    for (const graph::Value output : span.graph.outputs) add(output);
    put(span.graph.aliases.size());
    for (const graph::Alias& alias : span.graph.aliases) {
      put(alias.parameter);
      add(alias.output);
    }
    for (const auto* boundaries : {&span.received, &span.sent}) {
      put(boundaries->size());
      for (const BoundaryValue& boundary : *boundaries) {
        add(boundary.value);
        put(boundary.phase);
      }
    }
    return std::move(signature_);
  }

 private:
  template<class Number>
  void put(Number number) {
    signature_.push_back(static_cast<std::int64_t>(number));
  }
  void add(graph::Value value) {
    put(value.op);
    put(value.result);
  }

  void add_op(const SpanProgram& span, graph::OpId id) {
    const graph::Op& op = span.graph.op(id);
    put(static_cast<std::uint8_t>(op.opcode));
    put(op.spelling.size());
    for (const char letter : op.spelling) put(letter);
    put(op.is_parameter | op.is_heavy << 1U | op.has_buffer << 2U);
    put(span.phases[id]);
    put(span.parameter_kinds[id]);
    put(span.graph.operand_count(id));
    for (std::size_t i = 0; i < span.graph.operand_count(id); ++i) add(span.graph.operand(id, i));
    put(op.results.size());
    for (const graph::TensorType& type : op.results) put(type.element);
    graph::for_each_number(op.rule, [&](auto number) { put(number); });
  }

  Signature signature_;
};

}  // namespace detail

TESSERA_INLINE graph::Op parameter_op(std::string name, const graph::TensorType& type) {
  graph::Op op{std::move(name), graph::Opcode::parameter, {type}, graph::source_rule(type.dims)};
  op.is_parameter = true;
  return op;
}

TESSERA_INLINE std::vector<char> varying(const SpanProgram& span) {
  std::vector<char> varies(span.graph.op_count(), 0);
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    if (span.graph.op(id).is_parameter)
      varies[id] = !is_permanent(span, id) && span.phases[id] != Phase::update;
    for (std::size_t i = 0; i < span.graph.operand_count(id); ++i)
      if (varies[span.graph.operand(id, i).op] != 0) varies[id] = 1;
    if (span.phases[id] == Phase::update) varies[id] = 0;
  }
  return varies;
}

TESSERA_INLINE std::vector<graph::Value> read_afterwards(const SpanProgram& span) {
  std::vector<graph::Value> values;
  const auto is_pass = [&](graph::OpId id) { return span.phases[id] != Phase::update; };
  const auto is_weight = [&](graph::OpId id) {
    return span.graph.op(id).is_parameter && is_permanent(span, id);
  };
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    if (!is_pass(id) || is_weight(id)) continue;
    std::vector<char> is_read(span.graph.op(id).results.size(), 0);
    span.graph.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      if (!is_pass(reader)) is_read[use.result] = 1;
    });
    for (const graph::Alias& alias : span.graph.aliases)
      if (alias.output.op == id) is_read[alias.output.result] = 1;
    for (std::uint32_t r = 0; r < is_read.size(); ++r)
      if (is_read[r] != 0) values.push_back({id, r});
  }
  return values;
}

TESSERA_INLINE std::vector<char> ops_before_sent_gradients(const SpanProgram& span) {
  std::vector<char> leads(span.graph.op_count(), 0);
  for (const BoundaryValue& boundary : span.sent)
    if (boundary.phase == Phase::backward) leads[boundary.value.op] = 1;
  for (graph::OpId id = span.graph.op_count(); id-- > 0;)
    for (std::size_t i = 0; leads[id] != 0 && i < span.graph.operand_count(id); ++i)
      leads[span.graph.operand(id, i).op] = 1;
  return leads;
}

TESSERA_INLINE SpanProgram whole_program(const graph::Graph& graph) {
  SpanProgram span;
  span.graph = graph;
  const detail::ForwardPart forward(graph);
  span.phases = detail::phases_of(graph, forward);
  span.parameter_kinds.assign(graph.op_count(), ParameterKind::data);
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    span.origin.push_back(id);
    if (graph.op(id).is_parameter && forward.is_weight(id))
      span.parameter_kinds[id] = ParameterKind::state;
  }
  return span;
}

TESSERA_INLINE LayeredProgram::LayeredProgram(const graph::Graph& graph, const Layers& layers)
    : LayeredProgram(graph, layers, detail::ForwardPart(graph)) {
  if (!graph.loops.empty())
    throw InvalidArgument(
        "a program with loops can not be cut into pipeline stages; unroll its loops");
  if (layers.of_op.size() != graph.op_count())
    throw InvalidArgument("layers of " + std::to_string(layers.of_op.size()) +
                          " ops were given for a program of " + std::to_string(graph.op_count()) +
                          " ops; make the layers from the same program");
}
TESSERA_INLINE LayeredProgram::LayeredProgram(const graph::Graph& graph, const Layers& layers,
                                              const detail::ForwardPart& forward)
    : graph_(graph), layers_(layers), phases_(detail::phases_of(graph, forward)) {
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    is_derived_.push_back(forward.is_derived(id));
    is_weight_.push_back(forward.is_weight(id));
  }
}

TESSERA_INLINE SpanProgram LayeredProgram::span(std::size_t first, std::size_t last) const {
  return detail::SpanExtraction(*this, first, last).run();
}

TESSERA_INLINE Signature signature_of(const SpanProgram& span) {
  return detail::SignatureWriter().run(span);
}

}  // namespace tessera::pipeline
