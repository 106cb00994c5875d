// SPDX-License-Identifier: Apache-2.0
//
// The memory of the devices of a stage in a step, pass by pass.
//
// The choice of stages counts a stage's memory by a sum (span_price.hpp): the permanent bytes,
// those that each microbatch in flight saves, and the largest rest of one microbatch.  These need
// not come together: before the first backward pass there are no sums of gradients, and the saved
// values and the rest of one microbatch take turns.  Here the passes of the stage are replayed in
// the order of its schedule.  Each value lives from the op that computes it (or, where another
// stage does, from the op that reads it first) to its last reader.  A run holds the same bytes, but
// for shards that are smaller than the largest; and the number is known before anything runs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/pipeline/schedule.hpp"
#include "tessera/pipeline/span_program.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::plan {

/// When the values of a span's passes are no longer needed: after which op of which pass.  Forward
/// passes come first, then rematerialization, then backward passes; where those are in two halves,
/// ops that another stage waits for come before the rest.
class PassEnds {
 public:
  /// `again`: the ops that are rematerialized.
  PassEnds(const pipeline::SpanProgram& span, const std::vector<graph::OpId>& again,
           bool in_halves);

  /// The values that are not needed after this op of a pass, or after its rematerialization.
  const std::vector<graph::Value>& after(graph::OpId id, bool is_again) const {
    return let_go_[is_again ? place_again(id) : place_of(id)];
  }
  bool runs_again(graph::OpId id) const { return runs_again_[id] != 0; }
  /// Whether it takes memory of its own, as the plan counts.
  bool owns(graph::OpId id) const { return owns_[id] != 0; }
  /// Whether an op runs in a pass of this kind.
  bool is_in(pipeline::PassKind kind, graph::OpId id) const;

 private:
  // Places in the order of passes: of the last reader of an op's first result, and of its last.
  struct Ends {
    std::size_t first, last;
  };

  bool is_pass(graph::OpId id) const { return span_.phases[id] != pipeline::Phase::update; }
  std::size_t place_of(graph::OpId id) const;
  std::size_t place_again(graph::OpId id) const { return span_.graph.op_count() + id; }
  void find_ends(graph::OpId id);

  const pipeline::SpanProgram& span_;
  std::vector<char> owns_, is_waited_for_, runs_again_;  // by op
  bool in_halves_;
  std::vector<std::vector<Ends>> ends_;            // by op and result
  std::vector<std::vector<graph::Value>> let_go_;  // by place
};

/// A span of one of the chunks that a stage's devices have.
struct ChunkSpan {
  std::int64_t chunk = 0;
  const pipeline::SpanProgram* program = nullptr;
  const Plan* plan = nullptr;
  const std::vector<graph::OpId>* again = nullptr;  ///< the ops that are rematerialized
};

/// The most bytes that a device of the stage holds at once in a step: of all its chunks together,
/// whose spans stand in the order of their layers.  `order`: its passes, of the schedule.
/// O(passes * ops)
Wide stage_memory_peak(std::span<const ChunkSpan> spans, const pipeline::Schedule& schedule,
                       const std::vector<pipeline::Pass>& order);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/stage_memory.ipp"
#endif
