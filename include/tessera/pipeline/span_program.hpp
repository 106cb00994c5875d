// SPDX-License-Identifier: Apache-2.0
//
// A span of layers as a program of its own, to be planned by itself.
//
// Values that come from other layers become parameters, values that go to others become outputs.
// Ops that are derived from constants and parameters without heavy work (casts, tables, an
// optimizer's step size) are not sent but repeated where they are read.  A parameter that several
// layers read is there in each, and only its owner updates it.
//
// A step runs the forward and backward ops once for every microbatch, and the update once.  The
// update consists of the elementwise ops between a gradient and a parameter's new value.  So
// gradients are summed over the microbatches as the last backward op leaves them, partial sums
// included, and are reduced once per step; also those that go to another layer's update.
//
// Ops after the last heavy forward op, such as a loss, run with the backward pass.
//
// Spans are equal when their programs are, names aside: op by op in program order.  A signature
// spells that out.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/pipeline/layers.hpp"

namespace tessera::pipeline {

/// The part of a training step in which an op runs: the first two run once for each microbatch, the
/// update runs once per step.
enum class Phase : std::uint8_t { forward, backward, update };

/// The meaning of a parameter of a span.
enum class ParameterKind : std::uint8_t {
  state,     ///< its own: weights, and the optimizer's state
  copy,      ///< another layer's weight, which it reads too
  data,      ///< a program's input that comes with each microbatch
  received,  ///< a value that another layer computes
};

/// A value that comes from another layer, or goes to one.
struct BoundaryValue {
  graph::OpId op = 0;   ///< in the span: the parameter, or the op that computes it
  graph::Value value;   ///< in the span
  graph::Value origin;  ///< in the whole program
  Phase phase{};        ///< when it is sent: with forward passes, with backward ones, once per step
};

/// A span of layers as a program.
struct SpanProgram {
  graph::Graph graph;
  std::vector<Phase> phases;                   ///< by op
  std::vector<ParameterKind> parameter_kinds;  ///< by op; of parameters only
  std::vector<graph::OpId> origin;             ///< by op: its op in the whole program
  std::vector<BoundaryValue> received, sent;
};

/// A parameter, for a value that a program gets from elsewhere.
graph::Op parameter_op(std::string name, const graph::TensorType& type);

/// Whether a parameter of a span stays the same from one microbatch to the next.
inline bool is_permanent(const SpanProgram& span, graph::OpId parameter) {
  return span.parameter_kinds[parameter] == ParameterKind::state ||
         span.parameter_kinds[parameter] == ParameterKind::copy;
}

/// By op of a span: whether its results differ from one microbatch to the next.  O(ops + uses)
std::vector<char> varying(const SpanProgram& span);

/// The values of the passes that are read after them: by an update, or as a parameter's new value.
std::vector<graph::Value> read_afterwards(const SpanProgram& span);

/// By op: whether a gradient that is sent to the layers before depends on it.  O(ops + uses)
std::vector<char> ops_before_sent_gradients(const SpanProgram& span);

/// A whole program as one span, without boundary values.
SpanProgram whole_program(const graph::Graph& graph);

namespace detail {
class ForwardPart;
}

/// A program, cut into layers, from which spans are taken.
class LayeredProgram {
 public:
  /// Keeps references to both.  Throws InvalidArgument for programs with loops, whose states can
  /// not be passed from layer to layer.
  LayeredProgram(const graph::Graph& graph, const Layers& layers);

  const graph::Graph& graph() const noexcept { return graph_; }
  std::size_t layers() const noexcept { return layers_.count; }
  Phase phase(graph::OpId id) const { return phases_[id]; }
  std::size_t layer_of(graph::OpId id) const { return layers_.of_op[id]; }

  /// Whether an op is derived from parameters and constants, and so repeated where it is read.
  bool is_derived(graph::OpId id) const { return is_derived_[id]; }
  /// Whether a parameter is updated in place.
  bool is_weight(graph::OpId parameter) const { return is_weight_[parameter]; }

  /// Layers first to last, both included.  O(ops of the whole program)
  /// @pre first <= last < layers()
  SpanProgram span(std::size_t first, std::size_t last) const;

 private:
  LayeredProgram(const graph::Graph& graph, const Layers& layers,
                 const detail::ForwardPart& forward);

  const graph::Graph& graph_;
  const Layers& layers_;
  std::vector<bool> is_derived_, is_weight_;  // by op
  std::vector<Phase> phases_;
};

/// Everything that planning a span depends on, as numbers: programs with equal signatures are
/// interchangeable.
using Signature = std::vector<std::int64_t>;

/// O(size of the span's program)
Signature signature_of(const SpanProgram& span);

/// FNV-1a over the numbers, a number at a time: to find signatures that may be equal.
constexpr std::uint64_t hash_of(const Signature& signature) noexcept {
  std::uint64_t hash = 14695981039346656037U;
  for (const std::int64_t number : signature) {
    hash ^= static_cast<std::uint64_t>(number);
    hash *= 1099511628211U;
  }
  return hash;
}

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/span_program.ipp"
#endif
