// SPDX-License-Identifier: Apache-2.0
//
// The bodies of candidates.hpp.
#pragma once
#include "tessera/plan/detail/rematerialization/candidates.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <unordered_set>
#include <utility>

#include "tessera/core/wide.hpp"
#include "tessera/pipeline/layers.hpp"
#include "tessera/plan/memory.hpp"

namespace tessera::plan::detail {

class CandidateFinder {
 public:
  CandidateFinder(const graph::Graph& graph, const std::vector<char>& in_memory)
      : graph_(graph), owns_(owners_of(graph, in_memory)) {}

  Candidates run() {
    Candidates result;
    result.forward_end = graph_.loops.empty() ? pipeline::forward_end(graph_) : graph_.op_count();
    result.may_run.assign(graph_.op_count(), 0);
    result.place.assign(graph_.op_count(), graph_.op_count());
    end_ = result.forward_end;
    if (end_ == graph_.op_count()) return result;
    find_segments();
    std::vector<graph::OpId> place_of(segments_, graph_.op_count());
    for (graph::OpId id = end_; id-- > 0;) {
      if (!is_candidate(id)) continue;
      graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
        if (reader < end_ && result.may_run[reader] == 0) return;
        result.may_run[id] = 1;
        if (reader >= end_) place_of[segment_[id]] = std::min(place_of[segment_[id]], reader);
      });
    }
    for (graph::OpId id = 0; id < end_; ++id)
      if (result.may_run[id] != 0) result.place[id] = place_of[segment_[id]];
    return result;
  }

 private:
  // Whether the op computes the same at each run, and later segments do not read it.
  bool is_candidate(graph::OpId id) const {
    const graph::Op& op = graph_.op(id);
    if (op.is_parameter || op.results.size() != 1 || graph_.operand_count(id) == 0) return false;
    if (!traits(op.opcode).may_be_rematerialized) return false;
    if (std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                    [&](graph::Value output) { return output.op == id; }))
      return false;
    bool is_boundary = false;
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
      is_boundary = is_boundary || (reader < end_ && segment_[reader] != segment_[id]);
    });
    return !is_boundary;
  }

  void find_segments() {
    const std::vector<Wide> alive = bytes_alive();
    std::vector<graph::OpId> gaps;  // the best place of each gap between two heavy ops
    std::vector<Wide> least;
    graph::OpId last = none;
    for (graph::OpId id = 0; id < end_; ++id) {
      if (!graph_.op(id).is_heavy) continue;
      if (last != none) {
        const auto first = alive.begin() + static_cast<std::ptrdiff_t>(last) + 1;
        const auto best =
            std::min_element(first, alive.begin() + static_cast<std::ptrdiff_t>(id) + 1);
        gaps.push_back(static_cast<graph::OpId>(best - alive.begin()));
        least.push_back(*best);
      }
      last = id;
    }
    segment_.assign(end_, 0);
    for (std::size_t gap = 0, next = 0; gap < gaps.size(); gap = next) {
      // Gaps across which equally much is alive are one valley.
      for (next = gap + 1; next < gaps.size() && least[next] == least[gap];) ++next;
      const bool is_valley = (gap == 0 || least[gap - 1] > least[gap]) &&
                             (next == gaps.size() || least[next] > least[gap]);
      if (!is_valley || least[gap] >= never) continue;
      for (; gap < next; ++gap, ++segments_)
        for (graph::OpId id = gaps[gap]; id < end_; ++id) ++segment_[id];
    }
  }

  // By forward op: the bytes that it and those after it read of what was computed before it; no end
  // of them where that is something without memory of its own, which can not be kept.
  std::vector<Wide> bytes_alive() const {
    std::vector<graph::OpId> last(end_, 0);  // the last forward op that reads it
    for (graph::OpId id = end_; id-- > 0;)
      graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
        if (reader >= end_) return;
        const bool is_read_later = owns_[id] != 0 && owns_[reader] == 0;
        last[id] = std::max(last[id], is_read_later ? last[reader] : reader);
      });
    std::vector<Wide> alive(end_ + 1, 0);
    std::vector<char> holds(end_,
                            0);  // whether it takes memory, if only that of what it is made of
    for (graph::OpId id = 0; id < end_; ++id) {
      if (graph_.op(id).is_parameter) continue;
      holds[id] = owns_[id];
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
        if (holds[graph_.operand(id, i).op] != 0) holds[id] = 1;
      if (holds[id] == 0 || last[id] == 0) continue;
      Wide bytes = owns_[id] != 0 ? 0 : never;
      for (const graph::TensorType& type : graph_.op(id).results) bytes += byte_count(type);
      alive[id + 1] += bytes;
      alive[last[id] + 1] -= bytes;
    }
    for (graph::OpId id = 0; id < end_; ++id) alive[id + 1] += alive[id];
    return alive;
  }

  static constexpr Wide never = Wide(1) << 96;
  static constexpr graph::OpId none = std::numeric_limits<graph::OpId>::max();

  const graph::Graph& graph_;
  std::vector<char> owns_;
  graph::OpId end_ = 0;
  std::vector<std::size_t> segment_;  // by forward op
  std::size_t segments_ = 1;
};

class ProgramWriter {
 public:
  ProgramWriter(const graph::Graph& graph, const Candidates& runs, const std::vector<char>& chosen)
      : graph_(graph), runs_(runs) {
    for (graph::OpId id = 0; id < graph.op_count(); ++id) names_.insert(graph.op(id).name);
    second_at_.resize(graph.op_count());
    for (graph::OpId id = 0; id < graph.op_count(); ++id)
      if (chosen[id] != 0) second_at_[runs.place[id]].push_back(id);
  }

  RematerializedProgram run() {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      for (const graph::OpId again : second_at_[id]) add_second(again);
      result_.first.push_back(add(id, graph_.op(id), id >= runs_.forward_end));
      result_.second.push_back(result_.first.back());
    }
    for (const graph::Value output : graph_.outputs)
      result_.graph.outputs.push_back({result_.first[output.op], output.result});
    for (const graph::Alias& alias : graph_.aliases)
      result_.graph.aliases.push_back(
          {result_.first[alias.parameter], {result_.first[alias.output.op], alias.output.result}});
    return std::move(result_);
  }

 private:
  void add_second(graph::OpId id) {
    graph::Op op = graph_.op(id);
    do op.name += ".again";
    while (!names_.insert(op.name).second);
    result_.second[id] = add(id, std::move(op), true);
  }
  graph::OpId add(graph::OpId origin, graph::Op op, bool reads_second) {
    std::vector<graph::Value> operands;
    for (std::size_t i = 0; i < graph_.operand_count(origin); ++i) {
      const graph::Value value = graph_.operand(origin, i);
      const auto& from = reads_second ? result_.second : result_.first;
      operands.push_back({from[value.op], value.result});
    }
    result_.origin.push_back(origin);
    return result_.graph.add(std::move(op), operands);
  }

  const graph::Graph& graph_;
  const Candidates& runs_;
  std::unordered_set<std::string> names_;
  std::vector<std::vector<graph::OpId>> second_at_;  // by op: what runs again in front of it
  RematerializedProgram result_;
};

TESSERA_INLINE Candidates candidates_of(const graph::Graph& graph,
                                        const std::vector<char>& in_memory) {
  return CandidateFinder(graph, in_memory).run();
}

TESSERA_INLINE RematerializedProgram rematerialized_program(const graph::Graph& graph,
                                                            const Candidates& candidates,
                                                            const std::vector<char>& chosen) {
  return ProgramWriter(graph, candidates, chosen).run();
}

}  // namespace tessera::plan::detail
