// SPDX-License-Identifier: Apache-2.0
//
// Which values of a span's forward pass are saved for its backward pass, and which ops are
// rematerialized instead.
//
// Under a plan, every choice of ops to rematerialize takes some time, and leaves some bytes to be
// saved.  The choices that are listed are the corners of the lower hull of all: those that are best
// at some rate between time and bytes, from saving everything to saving as little as possible.  At
// a given rate the best choice is a minimum cut: a value that is needed is saved, or its op runs
// again, which needs the op's operands.  So no heuristic decides what is worth it.  In a
// transformer the scores of attention, which are large and fast to compute, come first by
// themselves.
//
// Only values that reach memory are saved.  Values that are computed where they are read cost
// nothing there, as in the plan itself; to compute them again costs as much as the first time.
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/pipeline/span_program.hpp"

namespace tessera::plan {

/// A choice of forward ops that run a second time, for the backward pass.
struct Rematerialization {
  Cost time = 0;                      ///< of a microbatch, on top of its forward and backward pass
  Extent saved = 0;                   ///< bytes on each device, of a microbatch in flight
  Extent least_saved = 0;             ///< the same if every value were split over all devices
  Extent restored = 0;                ///< bytes on each device, after it has run: values not saved
  Wide flops = 0;                     ///< on all devices, of a microbatch
  std::vector<graph::OpId> ops = {};  ///< in program order

  friend bool operator==(const Rematerialization&, const Rematerialization&) = default;
};

namespace detail {

// The values that a span's backward pass reads of its forward pass.
class SavedValues {
 public:
  explicit SavedValues(const pipeline::SpanProgram& span);

  // By op, whether it is saved where some ops are rematerialized.
  std::vector<char> where(const std::vector<char>& rematerialized) const;
  std::vector<char> where_nothing_is_rematerialized() const {
    return where(std::vector<char>(reaches_memory_.size(), 0));
  }

  // Whether it is a value of the forward pass that differs between microbatches.
  bool is_forward(graph::OpId id) const {
    return span_.phases[id] == pipeline::Phase::forward &&
           !(op(id).is_parameter && pipeline::is_permanent(span_, id));
  }
  bool is_backward(graph::OpId id) const { return span_.phases[id] == pipeline::Phase::backward; }
  // Whether it is in memory; other values are computed where they are read.
  bool can_be_saved(graph::OpId id) const;
  // Whether it gives the same result a second time.
  bool can_be_rematerialized(graph::OpId id) const;

  // With the ops that are computed where they are read, and must be again where an operand is.
  std::vector<char> closed(std::vector<char> rematerialized) const;

  const pipeline::SpanProgram& span() const noexcept { return span_; }

 private:
  const graph::Op& op(graph::OpId id) const { return span_.graph.op(id); }
  void save_operands(graph::OpId id, const std::vector<char>& rematerialized,
                     std::vector<char>& saved, std::vector<char>& seen) const;

  const pipeline::SpanProgram& span_;
  std::vector<char> reaches_memory_;  // by op
};

// The cost of ops under a plan, by op.
struct OpCosts {
  std::vector<Cost> time;            // work and collectives, once
  std::vector<Extent> bytes, least;  // of all results; and split over all devices
};

// The choices that are best at some rate between time and bytes: the first saves everything, each
// further one saves less, in more time.  One minimum cut of the span for each.
std::vector<Rematerialization> rematerializations_of(const SavedValues& values,
                                                     const OpCosts& costs);

// The first of them, the last, and between these only those that save another sixteenth of all that
// can be saved: choices that hardly differ are not worth a choice of stages each.
std::vector<Rematerialization> thinned(std::vector<Rematerialization> choices);

// Of the choices of one span the one at the rate at which `others` have their number `number`: the
// last one at which a byte costs no more time; the last of all where theirs is.
// @pre both are from rematerializations_of(), or have one choice each; number < others.size()
const Rematerialization& rematerialization_at_rate_of(const std::vector<Rematerialization>& choices,
                                                      const std::vector<Rematerialization>& others,
                                                      std::size_t number);

// A choice that is given, by op: forward ops.
Rematerialization given_rematerialization(const SavedValues& values, const OpCosts& costs,
                                          const std::vector<char>& rematerialized);

}  // namespace detail
}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/rematerializations.ipp"
#endif
