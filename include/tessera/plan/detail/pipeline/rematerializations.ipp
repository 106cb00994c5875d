// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of rematerializations.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/rematerializations.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "tessera/cost/workload.hpp"
#include "tessera/plan/detail/rematerialization/min_cut.hpp"

namespace tessera::plan::detail {

TESSERA_INLINE SavedValues::SavedValues(const pipeline::SpanProgram& span)
    : span_(span), reaches_memory_(cost::ops_in_memory(span.graph)) {}

TESSERA_INLINE std::vector<char> SavedValues::where(const std::vector<char>& rematerialized) const {
  std::vector<char> saved(reaches_memory_.size(), 0), seen = saved;
  for (graph::OpId id = 0; id < saved.size(); ++id)
    if (is_backward(id) || rematerialized[id] != 0) save_operands(id, rematerialized, saved, seen);
  return saved;
}

TESSERA_INLINE bool SavedValues::can_be_saved(graph::OpId id) const {
  return op(id).is_parameter || (reaches_memory_[id] != 0 && !cost::is_view(op(id)));
}

TESSERA_INLINE bool SavedValues::can_be_rematerialized(graph::OpId id) const {
  return !op(id).is_parameter && traits(op(id).opcode).may_be_rematerialized;
}

TESSERA_INLINE std::vector<char> SavedValues::closed(std::vector<char> rematerialized) const {
  std::vector<char> is_read(reaches_memory_.size(), 0);  // by an op after the forward pass
  const auto read_by = [&](graph::OpId id) {
    for (std::size_t i = 0; i < span_.graph.operand_count(id); ++i)
      is_read[span_.graph.operand(id, i).op] = 1;
  };
  for (graph::OpId id = static_cast<graph::OpId>(reaches_memory_.size()); id-- > 0;)
    if (is_backward(id) || rematerialized[id] != 0 ||
        (is_read[id] != 0 && is_forward(id) && !can_be_saved(id)))
      read_by(id);
  for (graph::OpId id = 0; id < reaches_memory_.size(); ++id) {
    if (is_read[id] == 0 || !is_forward(id) || can_be_saved(id) || !can_be_rematerialized(id))
      continue;
    for (std::size_t i = 0; i < span_.graph.operand_count(id); ++i)
      if (rematerialized[span_.graph.operand(id, i).op] != 0) rematerialized[id] = 1;
  }
  return rematerialized;
}

TESSERA_INLINE void SavedValues::save_operands(graph::OpId id,
                                               const std::vector<char>& rematerialized,
                                               std::vector<char>& saved,
                                               std::vector<char>& seen) const {
  for (std::size_t i = 0; i < span_.graph.operand_count(id); ++i) {
    const graph::OpId from = span_.graph.operand(id, i).op;
    if (!is_forward(from) || rematerialized[from] != 0 || seen[from] != 0) continue;
    seen[from] = 1;
    if (can_be_saved(from))
      saved[from] = 1;
    else
      save_operands(from, rematerialized, saved, seen);
  }
}

class RematerializationSearch {
 public:
  RematerializationSearch(const SavedValues& values, const OpCosts& costs)
      : values_(values),
        costs_(costs),
        saved_otherwise_(values.where_nothing_is_rematerialized()) {}

  // A choice with all that it takes; `rematerialized`, by op.
  Rematerialization choice(const std::vector<char>& rematerialized) const {
    Rematerialization result;
    const std::vector<char> closed = values_.closed(rematerialized), saved = values_.where(closed);
    for (graph::OpId id = 0; id < closed.size(); ++id) {
      if (saved[id] != 0) {
        result.saved += costs_.bytes[id];
        result.least_saved += costs_.least[id];
      } else if (saved_otherwise_[id] != 0) {
        result.restored += costs_.bytes[id];
      }
      if (closed[id] == 0) continue;
      result.ops.push_back(id);
      if (rematerialized[id] == 0) continue;  // computed where it is read
      result.time = saturating_add(result.time, costs_.time[id]);
      result.flops += cost::flops_of(values_.span().graph.op(id));
    }
    return result;
  }

  // All corners, from saving everything on.
  std::vector<Rematerialization> run() {
    std::vector<Rematerialization> corners{choice(std::vector<char>(costs_.time.size(), 0))};
    Wide longest = 1;
    for (const Cost time : costs_.time) longest += time;
    Rematerialization last = choice(best_at({1, longest}));
    if (last.saved < corners[0].saved) add_between(corners, std::move(last));
    return corners;
  }

 private:
  // How much a unit of time and a byte weigh against each other.
  struct Weights {
    Wide time, byte;
  };

  // Adds the corners after the last one so far, up to `end`.
  void add_between(std::vector<Rematerialization>& corners, Rematerialization end) {
    const Rematerialization& begin = corners.back();
    const Weights weights{begin.saved - end.saved, end.time - begin.time};
    const auto weight_of = [&](const Rematerialization& it) {
      return it.time * weights.time + it.saved * weights.byte;
    };
    Rematerialization middle = choice(best_at(weights));
    if (weight_of(middle) < weight_of(end)) {
      add_between(corners, std::move(middle));
      add_between(corners, std::move(end));
    } else {
      corners.push_back(std::move(end));
    }
  }

  // The best choice where time and bytes have these weights.
  std::vector<char> best_at(const Weights& weights) {
    const std::size_t count = costs_.time.size();
    CutGraph cut;
    const std::size_t source = cut.add_node(), sink = cut.add_node();
    // On the source's side: the values that are needed, and the ops that run again.
    std::vector<std::optional<std::size_t>> needed(count), again(count);
    const auto need = [&](graph::OpId id) {
      if (needed[id]) return *needed[id];
      needed[id] = cut.add_node();
      if (values_.can_be_rematerialized(id)) again[id] = cut.add_node();
      const Wide keep = values_.can_be_saved(id) ? costs_.bytes[id] * weights.byte
                                                 : CutGraph::unlimited;
      cut.add_edge(*needed[id], again[id].value_or(sink), keep);
      if (again[id]) cut.add_edge(*again[id], sink, costs_.time[id] * weights.time);
      return *needed[id];
    };
    std::vector<char> for_free(count, 0);  // by op: its operands are needed, itself it is not
    for (graph::OpId id = static_cast<graph::OpId>(count); id-- > 0;) {
      const bool is_free = values_.is_backward(id) || for_free[id] != 0;
      for_each_operand(id, [&](graph::OpId from) {
        if (is_free && values_.can_be_saved(from)) cut.add_edge(source, need(from), cut.unlimited);
        if (is_free && !values_.can_be_saved(from)) for_free[from] = 1;
        if (again[id]) cut.add_edge(*again[id], need(from), cut.unlimited);
      });
    }
    const std::vector<char> side = min_cut(cut, source, sink);
    std::vector<char> rematerialized(count, 0);
    for (graph::OpId id = 0; id < count; ++id)
      if (again[id] && side[*again[id]] != 0) rematerialized[id] = 1;
    return rematerialized;
  }

  // Those that come from the forward pass.
  template<class Visit>
  void for_each_operand(graph::OpId id, Visit&& visit) const {
    const graph::Graph& graph = values_.span().graph;
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      if (const graph::OpId from = graph.operand(id, i).op; values_.is_forward(from)) visit(from);
  }

  const SavedValues& values_;
  const OpCosts& costs_;
  std::vector<char> saved_otherwise_;  // where nothing runs again
};

TESSERA_INLINE std::vector<Rematerialization> rematerializations_of(const SavedValues& values,
                                                                    const OpCosts& costs) {
  return RematerializationSearch(values, costs).run();
}

TESSERA_INLINE std::vector<Rematerialization> thinned(std::vector<Rematerialization> choices) {
  std::vector<Rematerialization> result{std::move(choices.front())};
  const Extent least = (result.front().saved - choices.back().saved) / 16;
  for (std::size_t i = 1; i < choices.size(); ++i)
    if (i + 1 == choices.size() || result.back().saved - choices[i].saved >= least)
      result.push_back(std::move(choices[i]));
  return result;
}

TESSERA_INLINE const Rematerialization& rematerialization_at_rate_of(
    const std::vector<Rematerialization>& choices, const std::vector<Rematerialization>& others,
    std::size_t number) {
  if (number == 0) return choices.front();
  if (number + 1 == others.size()) return choices.back();
  const Wide time = others[number].time - others[number - 1].time;
  const Wide bytes = others[number - 1].saved - others[number].saved;
  std::size_t last = 0;
  for (std::size_t next = 1; next < choices.size(); ++next)
    if ((choices[next].time - choices[next - 1].time) * bytes <=
        time * (choices[next - 1].saved - choices[next].saved))
      last = next;
  return choices[last];
}

TESSERA_INLINE Rematerialization given_rematerialization(const SavedValues& values,
                                                         const OpCosts& costs,
                                                         const std::vector<char>& rematerialized) {
  return RematerializationSearch(values, costs).choice(rematerialized);
}

}  // namespace tessera::plan::detail
