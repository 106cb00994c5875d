// SPDX-License-Identifier: Apache-2.0
//
// What of a span's forward pass is saved for its backward pass, and what runs again instead.
//
// Under a plan, every choice of ops that run a second time takes some time, and leaves some bytes
// to be saved.  The choices listed are the corners of the lower hull of all: those that are best at
// some rate between time and bytes, from saving everything to saving as little as can be.  At a
// given rate the best choice is a least cut: what is needed is saved, or the op that computes it
// runs again, which needs what that op reads.  So no heuristic says what is worth it; attention's
// scores, which are large and soon computed, come first in a transformer by themselves.
//
// Only what reaches memory is saved.  What is computed where it is read costs nothing there, as in
// the plan itself; for a second run it costs what it did the first time.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/pipeline/span_program.hpp"
#include "tessera/plan/least_cut.hpp"

namespace tessera::plan {

// A choice of forward ops that run a second time.
struct Rematerialization {
  Cost time = 0;                      // of a microbatch, on top of its forward and backward pass
  Extent saved = 0;                   // on each device, of a microbatch in flight
  Extent least_saved = 0;             // the same if all were cut over all devices
  Extent restored = 0;                // once it has run: what else would have been saved
  Wide flops = 0;                     // on all devices, of a microbatch
  std::vector<graph::OpId> ops = {};  // in their order

  friend bool operator==(const Rematerialization&, const Rematerialization&) = default;
};

// What a span's backward pass reads of its forward pass.
class SavedValues {
 public:
  explicit SavedValues(const pipeline::SpanProgram& span)
      : span_(span), reaches_(cost::ops_in_memory(span.graph)) {}

  // By op, whether it is saved where some ops run again.
  std::vector<char> where(const std::vector<char>& runs_again) const {
    std::vector<char> saved(reaches_.size(), 0), seen = saved;
    for (graph::OpId id = 0; id < saved.size(); ++id)
      if (is_backward(id) || runs_again[id] != 0) save_operands(id, runs_again, saved, seen);
    return saved;
  }
  std::vector<char> where_nothing_runs_again() const {
    return where(std::vector<char>(reaches_.size(), 0));
  }

  // What comes from the forward pass, anew with each microbatch.
  bool is_forward(graph::OpId id) const {
    return span_.phases[id] == pipeline::Phase::forward &&
           !(op(id).is_parameter && pipeline::is_permanent(span_, id));
  }
  bool is_backward(graph::OpId id) const { return span_.phases[id] == pipeline::Phase::backward; }
  // Whether it is there to be saved; what is not is computed where it is read.
  bool can_be_saved(graph::OpId id) const {
    return op(id).is_parameter || (reaches_[id] != 0 && !cost::is_view(op(id)));
  }
  // Whether it gives the same a second time.
  bool can_run_again(graph::OpId id) const {
    return !op(id).is_parameter && traits(op(id).opcode).may_be_rematerialized;
  }

  // With what is computed where it is read, and so has to be again where what it reads is.
  std::vector<char> closed(std::vector<char> runs_again) const {
    std::vector<char> is_read(reaches_.size(), 0);  // by what is after the forward pass
    const auto read_by = [&](graph::OpId id) {
      for (std::size_t i = 0; i < span_.graph.operand_count(id); ++i)
        is_read[span_.graph.operand(id, i).op] = 1;
    };
    for (graph::OpId id = static_cast<graph::OpId>(reaches_.size()); id-- > 0;)
      if (is_backward(id) || runs_again[id] != 0 ||
          (is_read[id] != 0 && is_forward(id) && !can_be_saved(id)))
        read_by(id);
    for (graph::OpId id = 0; id < reaches_.size(); ++id) {
      if (is_read[id] == 0 || !is_forward(id) || can_be_saved(id) || !can_run_again(id)) continue;
      for (std::size_t i = 0; i < span_.graph.operand_count(id); ++i)
        if (runs_again[span_.graph.operand(id, i).op] != 0) runs_again[id] = 1;
    }
    return runs_again;
  }

  const pipeline::SpanProgram& span() const noexcept { return span_; }

 private:
  const graph::Op& op(graph::OpId id) const { return span_.graph.op(id); }

  void save_operands(graph::OpId id, const std::vector<char>& runs_again, std::vector<char>& saved,
                     std::vector<char>& seen) const {
    for (std::size_t i = 0; i < span_.graph.operand_count(id); ++i) {
      const graph::OpId from = span_.graph.operand(id, i).op;
      if (!is_forward(from) || runs_again[from] != 0 || seen[from] != 0) continue;
      seen[from] = 1;
      if (can_be_saved(from))
        saved[from] = 1;
      else
        save_operands(from, runs_again, saved, seen);
    }
  }

  const pipeline::SpanProgram& span_;
  std::vector<char> reaches_;  // by op: memory
};

// What ops take under a plan, by op.
struct SpanTaken {
  std::vector<Cost> time;            // work and collectives, once
  std::vector<Extent> bytes, least;  // of all results; and cut over all devices
};

namespace detail {

class RematerializationSearch {
 public:
  RematerializationSearch(const SavedValues& values, const SpanTaken& taken)
      : values_(values), taken_(taken), saved_otherwise_(values.where_nothing_runs_again()) {}

  // A choice with all that it takes; `runs_again`, by op.
  Rematerialization rematerialization(const std::vector<char>& runs_again) const {
    Rematerialization result;
    const std::vector<char> closed = values_.closed(runs_again), saved = values_.where(closed);
    for (graph::OpId id = 0; id < closed.size(); ++id) {
      if (saved[id] != 0) {
        result.saved += taken_.bytes[id];
        result.least_saved += taken_.least[id];
      } else if (saved_otherwise_[id] != 0) {
        result.restored += taken_.bytes[id];
      }
      if (closed[id] == 0) continue;
      result.ops.push_back(id);
      if (runs_again[id] == 0) continue;  // computed where it is read
      result.time = saturating_add(result.time, taken_.time[id]);
      result.flops += cost::flops_of(values_.span().graph.op(id));
    }
    return result;
  }

  // All corners, from saving everything on.
  std::vector<Rematerialization> run() {
    std::vector<Rematerialization> corners{
        rematerialization(std::vector<char>(taken_.time.size(), 0))};
    Wide longest = 1;
    for (const Cost time : taken_.time) longest += time;
    Rematerialization last = rematerialization(best_at({1, longest}));
    if (last.saved < corners[0].saved) add_between(corners, std::move(last));
    return corners;
  }

 private:
  // How much a unit of time and a byte weigh against each other.
  struct Weights {
    Wide time, byte;
  };

  // Adds the corners that lie after the last one so far, up to `end`.
  void add_between(std::vector<Rematerialization>& corners, Rematerialization end) {
    const Rematerialization& begin = corners.back();
    const Weights weights{begin.saved - end.saved, end.time - begin.time};
    const auto weight_of = [&](const Rematerialization& it) {
      return it.time * weights.time + it.saved * weights.byte;
    };
    Rematerialization middle = rematerialization(best_at(weights));
    if (weight_of(middle) < weight_of(end)) {
      add_between(corners, std::move(middle));
      add_between(corners, std::move(end));
    } else {
      corners.push_back(std::move(end));
    }
  }

  // What runs again where time and bytes weigh so.
  std::vector<char> best_at(const Weights& weights) {
    const std::size_t count = taken_.time.size();
    LeastCut cut;
    const std::size_t source = cut.add_node(), sink = cut.add_node();
    // On the source's side: what is needed, and what runs again.
    std::vector<std::optional<std::size_t>> needed(count), again(count);
    const auto need = [&](graph::OpId id) {
      if (needed[id]) return *needed[id];
      needed[id] = cut.add_node();
      if (values_.can_run_again(id)) again[id] = cut.add_node();
      const Wide keep = values_.can_be_saved(id) ? taken_.bytes[id] * weights.byte
                                                 : LeastCut::unlimited;
      cut.add_edge(*needed[id], again[id].value_or(sink), keep);
      if (again[id]) cut.add_edge(*again[id], sink, taken_.time[id] * weights.time);
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
    const std::vector<char> side = cut.side_of(source, sink);
    std::vector<char> runs_again(count, 0);
    for (graph::OpId id = 0; id < count; ++id)
      if (again[id] && side[*again[id]] != 0) runs_again[id] = 1;
    return runs_again;
  }

  // Those that come from the forward pass.
  template<class Visit>
  void for_each_operand(graph::OpId id, Visit&& visit) const {
    const graph::Graph& graph = values_.span().graph;
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      if (const graph::OpId from = graph.operand(id, i).op; values_.is_forward(from)) visit(from);
  }

  const SavedValues& values_;
  const SpanTaken& taken_;
  std::vector<char> saved_otherwise_;  // where nothing runs again
};

}  // namespace detail

// The choices that are best at some rate between time and bytes: the first saves everything, each
// further one less, in more time.
inline std::vector<Rematerialization> rematerializations_of(const SavedValues& values,
                                                            const SpanTaken& taken) {
  return detail::RematerializationSearch(values, taken).run();
}

// The first of them, the last, and between these only such as save another sixteenth of all that
// can be saved: what are alike are not worth a choice of stages each.
inline std::vector<Rematerialization> thinned(std::vector<Rematerialization> rematerializations) {
  std::vector<Rematerialization> result{std::move(rematerializations.front())};
  const Extent least = (result.front().saved - rematerializations.back().saved) / 16;
  for (std::size_t i = 1; i < rematerializations.size(); ++i)
    if (i + 1 == rematerializations.size() ||
        result.back().saved - rematerializations[i].saved >= least)
      result.push_back(std::move(rematerializations[i]));
  return result;
}

// Of the choices of one span the one that is made at the rate at which `others` come to their
// number `number`: the last at which a byte costs no more time; the last of all where theirs is.
// @pre both are from rematerializations_of(), or have one choice each; number < others.size()
inline const Rematerialization& rematerialization_at_rate_of(
    const std::vector<Rematerialization>& rematerializations,
    const std::vector<Rematerialization>& others, std::size_t number) {
  if (number == 0) return rematerializations.front();
  if (number + 1 == others.size()) return rematerializations.back();
  const Wide time = others[number].time - others[number - 1].time;
  const Wide bytes = others[number - 1].saved - others[number].saved;
  std::size_t last = 0;
  for (std::size_t next = 1; next < rematerializations.size(); ++next)
    if ((rematerializations[next].time - rematerializations[next - 1].time) * bytes <=
        time * (rematerializations[next - 1].saved - rematerializations[next].saved))
      last = next;
  return rematerializations[last];
}

// A choice that is given, by op: forward ops.
inline Rematerialization given_rematerialization(const SavedValues& values, const SpanTaken& taken,
                                                 const std::vector<char>& runs_again) {
  return detail::RematerializationSearch(values, taken).rematerialization(runs_again);
}

}  // namespace tessera::plan
