// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of stage_memory.hpp.
#pragma once
#include "tessera/plan/stage_memory.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "tessera/cost/workload.hpp"
#include "tessera/plan/memory.hpp"

namespace tessera::plan {

TESSERA_INLINE PassEnds::PassEnds(const pipeline::SpanProgram& span,
                                  const std::vector<graph::OpId>& again, bool in_halves)
    : span_(span),
      owns_(owners_of(span.graph, cost::ops_in_memory(span.graph))),
      is_waited_for_(pipeline::ops_before_sent_gradients(span)),
      runs_again_(span.graph.op_count(), 0),
      in_halves_(in_halves),
      ends_(span.graph.op_count()),
      let_go_(4 * span.graph.op_count()) {
  for (const graph::OpId id : again) runs_again_[id] = 1;
  for (graph::OpId id = span.graph.op_count(); id-- > 0;) find_ends(id);
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
    for (std::uint32_t r = 0; r < ends_[id].size(); ++r) {
      if (!is_pass(id)) continue;
      const Ends& ends = ends_[id][r];
      let_go_[ends.last].push_back({id, r});
      if (runs_again(id)) let_go_[ends.first].push_back({id, r});
    }
}

TESSERA_INLINE bool PassEnds::is_in(pipeline::PassKind kind, graph::OpId id) const {
  using enum pipeline::PassKind;
  const pipeline::Phase part = span_.phases[id];
  if (kind == forward) return part == pipeline::Phase::forward;
  if (part != pipeline::Phase::backward) return false;
  return kind == backward || (is_waited_for_[id] != 0) == (kind == input_backward);
}

TESSERA_INLINE std::size_t PassEnds::place_of(graph::OpId id) const {
  const std::size_t count = span_.graph.op_count();
  if (span_.phases[id] != pipeline::Phase::backward) return id;
  return (in_halves_ && is_waited_for_[id] == 0 ? 3 : 2) * count + id;
}

// A rematerialized op reads rematerialized values where there are such.  A value that is computed
// where it is read takes no memory, but its operands do until then.
TESSERA_INLINE void PassEnds::find_ends(graph::OpId id) {
  const bool is_twice = runs_again(id);
  const Ends own{place_of(id), is_twice ? place_again(id) : place_of(id)};
  ends_[id].assign(span_.graph.op(id).results.size(), own);
  span_.graph.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
    if (!is_pass(reader)) return;
    Ends end{place_of(reader), runs_again(reader) ? place_again(reader) : place_of(reader)};
    if (owns_[reader] == 0)
      for (const Ends& later : ends_[reader])
        end = {std::max(end.first, later.first), std::max(end.last, later.last)};
    Ends& ends = ends_[id][use.result];
    const bool is_forward = span_.phases[reader] == pipeline::Phase::forward;
    if (!is_twice || is_forward) ends.first = std::max(ends.first, end.first);
    if (!is_twice || !is_forward || runs_again(reader)) ends.last = std::max(ends.last, end.last);
  });
}

namespace detail {

class StageReplay {
 public:
  StageReplay(std::span<const ChunkSpan> spans, const pipeline::Schedule& schedule)
      : sums_are_wide_(schedule.microbatches > 1) {
    const bool in_halves = schedule.kind == pipeline::ScheduleKind::zero_bubble;
    for (const ChunkSpan& span : spans)
      spans_.emplace_back(span, in_halves, static_cast<std::size_t>(schedule.microbatches));
    for (std::size_t s = 0; s < spans_.size(); ++s) {
      for (const pipeline::BoundaryValue& boundary : spans_[s].program().sent)
        sent_[{s, boundary.value}] = boundary;
      for (const pipeline::BoundaryValue& boundary : spans_[s].program().received)
        readers_[boundary.origin].push_back({s, boundary});
    }
  }

  Wide peak(const std::vector<pipeline::Pass>& order) {
    hold_weights();
    for (const pipeline::Pass& pass : order) run(pass);
    receive_for_update();
    return peak_;
  }

 private:
  struct Span {
    Span(const ChunkSpan& of, bool in_halves, std::size_t microbatches)
        : planned(of),
          ends(*of.program, *of.again, in_halves),
          summed(graph().op_count()),
          has_sum(graph().op_count()),
          held(microbatches) {
      for (graph::OpId id = 0; id < graph().op_count(); ++id)
        summed[id].assign(graph().op(id).results.size(), 0);
      has_sum = summed;
      for (auto& values : held) values = summed;
      for (const graph::Value value : pipeline::read_afterwards(program()))
        summed[value.op][value.result] = 1;
    }
    const pipeline::SpanProgram& program() const { return *planned.program; }
    const graph::Graph& graph() const { return planned.program->graph; }
    bool is_parameter(graph::OpId id) const { return graph().op(id).is_parameter; }
    bool is_weight(graph::OpId id) const {
      return is_parameter(id) && pipeline::is_permanent(program(), id);
    }
    bool is_received(graph::OpId id) const {
      return is_parameter(id) && program().parameter_kinds[id] == pipeline::ParameterKind::received;
    }
    Extent bytes(graph::Value value) const {
      return planned.plan->ops[value.op].result_bytes[value.result];
    }

    ChunkSpan planned;
    PassEnds ends;
    std::vector<std::vector<char>> summed, has_sum;    // by op and result
    std::vector<std::vector<std::vector<char>>> held;  // by microbatch, op and result
  };
  // A parameter of a span that is received.
  struct Reader {
    std::size_t span = 0;
    pipeline::BoundaryValue boundary;
  };

  void add(Wide bytes) { peak_ = std::max(peak_, now_ += bytes); }

  void hold_weights() {
    for (const Span& span : spans_)
      for (graph::OpId id = 0; id < span.graph().op_count(); ++id)
        if (span.is_weight(id)) add(span.bytes({id, 0}));
  }

  void run(const pipeline::Pass& pass) {
    using enum pipeline::PassKind;
    const auto m = static_cast<std::size_t>(pass.microbatch);
    for (std::size_t i = 0; i < spans_.size(); ++i) {
      const std::size_t s = pass.kind == forward ? i : spans_.size() - 1 - i;
      if (spans_[s].planned.chunk != pass.chunk) continue;
      if (pass.kind == forward) {
        hold_data(s, m);
        run_ops(s, m, forward, false);
        continue;
      }
      if (pass.kind != weight_backward) run_ops(s, m, forward, true);
      run_ops(s, m, pass.kind, false);
      if (pass.kind != input_backward) let_go_all(spans_[s], m);
    }
  }

  // The inputs of a microbatch.
  void hold_data(std::size_t s, std::size_t m) {
    const Span& span = spans_[s];
    for (graph::OpId id = 0; id < span.graph().op_count(); ++id)
      if (span.is_parameter(id) && !span.is_weight(id) && !span.is_received(id))
        hold(s, m, {id, 0}, false);
  }

  void run_ops(std::size_t s, std::size_t m, pipeline::PassKind kind, bool is_again) {
    Span& span = spans_[s];
    for (graph::OpId id = 0; id < span.graph().op_count(); ++id) {
      if (!span.ends.is_in(kind, id) || (is_again && !span.ends.runs_again(id))) continue;
      if (!span.is_parameter(id)) {
        for (std::size_t i = 0; i < span.graph().operand_count(id); ++i)
          if (const graph::Value value = span.graph().operand(id, i); span.is_received(value.op))
            receive(s, m, value);
        for (std::uint32_t r = 0; r < span.graph().op(id).results.size(); ++r)
          hold(s, m, {id, r}, is_again);
      }
      for (const graph::Value done : span.ends.after(id, is_again)) let_go(span, m, done);
    }
  }

  // Receives a value, for all spans of the chunk that have it in the same sharding.
  void receive(std::size_t s, std::size_t m, graph::Value value) {
    if (spans_[s].held[m][value.op][value.result] != 0) return;
    const Plan& plan = *spans_[s].planned.plan;
    const auto& received = spans_[s].program().received;
    const auto at = std::find_if(received.begin(), received.end(),
                                 [&](const auto& boundary) { return boundary.op == value.op; });
    for (const Reader& reader : readers_[at->origin]) {
      const Span& other = spans_[reader.span];
      if (other.planned.chunk == spans_[s].planned.chunk &&
          reader.boundary.phase != pipeline::Phase::update &&
          other.planned.plan->ops[reader.boundary.op].computed[0] == plan.ops[value.op].computed[0])
        hold(reader.span, m, {reader.boundary.op, 0}, false);
    }
  }

  void hold(std::size_t s, std::size_t m, graph::Value value, bool is_again) {
    Span& span = spans_[s];
    const bool is_summed = span.summed[value.op][value.result] != 0;
    if (!is_again) {
      if (is_summed) add_up(span, value);
      pass_on(s, m, value);
    }
    char& is_held = span.held[m][value.op][value.result];
    if (is_held == 0 && !is_summed && span.ends.owns(value.op)) add(span.bytes(value));
    is_held = 1;
  }
  // Passes a value on to other spans of the same devices.
  void pass_on(std::size_t s, std::size_t m, graph::Value value) {
    const auto sent = sent_.find({s, value});
    if (sent == sent_.end()) return;
    for (const Reader& reader : readers_[sent->second.origin]) {
      if (reader.boundary.phase != pipeline::Phase::update)
        hold(reader.span, m, {reader.boundary.op, 0}, false);
      else if (sent->second.phase != pipeline::Phase::update)
        add_up(spans_[reader.span], {reader.boundary.op, 0});
    }
  }
  void add_up(Span& span, graph::Value value) {
    if (std::exchange(span.has_sum[value.op][value.result], 1) != 0) return;
    const Extent element = graph::bytes_of(span.graph().type_of(value).element);
    add(Wide(span.bytes(value)) * (sums_are_wide_ && element < 4 ? 4 / element : 1));
  }
  // Values that others send with each microbatch, and that the update reads first.
  void receive_for_update() {
    for (auto& [origin, readers] : readers_)
      for (const Reader& reader : readers)
        if (reader.boundary.phase == pipeline::Phase::update)
          add_up(spans_[reader.span], {reader.boundary.op, 0});
  }

  void let_go(Span& span, std::size_t m, graph::Value value) {
    if (std::exchange(span.held[m][value.op][value.result], 0) == 0) return;
    if (span.summed[value.op][value.result] == 0 && span.ends.owns(value.op))
      now_ -= span.bytes(value);
  }
  void let_go_of(Span& span, std::size_t m, graph::OpId id) {
    for (std::uint32_t r = 0; r < span.held[m][id].size(); ++r) let_go(span, m, {id, r});
  }
  void let_go_all(Span& span, std::size_t m) {
    for (graph::OpId id = 0; id < span.graph().op_count(); ++id) let_go_of(span, m, id);
  }

  bool sums_are_wide_;
  std::vector<Span> spans_;
  std::map<std::pair<std::size_t, graph::Value>, pipeline::BoundaryValue> sent_;
  std::map<graph::Value, std::vector<Reader>> readers_;
  Wide now_ = 0, peak_ = 0;
};

}  // namespace detail

TESSERA_INLINE Wide stage_memory_peak(std::span<const ChunkSpan> spans,
                                      const pipeline::Schedule& schedule,
                                      const std::vector<pipeline::Pass>& order) {
  return detail::StageReplay(spans, schedule).peak(order);
}

}  // namespace tessera::plan
