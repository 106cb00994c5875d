// SPDX-License-Identifier: Apache-2.0
//
// Attributes complete what an op computes, where its opcode and the types of its tensors leave it
// open.
//
// The planner never reads attributes: a rule is enough for it.  Code that differentiates, writes or
// executes a program reads the opcode and the attributes.  Most ops need only their opcode: an
// addition, a reshape, a conversion.  For the others Attributes holds one of the structs below,
// which the opcode determines:
//
//   constant                    Literal          iota                       Dim
//   compare                     Comparison       concatenate                Dim
//   broadcast, transpose        DimList          slice                      Slicing
//   reverse                     DimList          pad                        Padding
//   dot                         DotDims          convolution                Convolution
//   reduce                      Reducing, or ReducingBy where it is by a computation of its own
//   reduce-window               WindowReducing   conditional                Branching
//   gather                      GatherDims       scatter                    Scattering
//   select-and-scatter          WindowScattering
//   sort                        Sorting          topk                       TopK
//   batch-norm-*                Normalisation    custom-call                Target
//
// An op that lacks the attributes that its opcode needs (a reducer that is not known, a literal
// that the dump left out) can be planned, but not executed, written or differentiated.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/opcode.hpp"
#include "tessera/graph/window.hpp"
#include "tessera/sharding/reduction.hpp"
#include "tessera/sharding/shape.hpp"

namespace tessera::graph {

/// Whether a list of dims names this one.  O(list)
bool contains(std::span<const Extent> list, std::size_t value);

/// Which dims of a dot's operands pair up.  The result's dims are batch, free left, free right.
struct DotDims {
  std::vector<Extent> lhs_contracting, rhs_contracting, lhs_batch, rhs_batch;

  friend bool operator==(const DotDims&, const DotDims&) = default;
};

/// HLO's gather: slices of `operand` at places that `indices` names.
struct GatherDims {
  std::vector<Extent> offset_dims, collapsed_slice_dims, start_index_map, slice_sizes;
  std::vector<Extent> operand_batching_dims, start_indices_batching_dims;
  Extent index_vector_dim = 0;

  friend bool operator==(const GatherDims&, const GatherDims&) = default;
};

/// HLO's scatter: `updates` combined into an operand at places that `indices` names.
struct ScatterDims {
  std::vector<Extent> update_window_dims, inserted_window_dims, scatter_dims_to_operand_dims;
  std::vector<Extent> input_batching_dims, scatter_indices_batching_dims;
  Extent index_vector_dim = 0;

  friend bool operator==(const ScatterDims&, const ScatterDims&) = default;
};

/// Which dims of a convolution are batch, feature and space; space[i] of all three correspond.
struct ConvolutionDims {
  std::size_t input_batch = 0, input_feature = 0, kernel_input = 0, kernel_output = 0;
  std::size_t output_batch = 0, output_feature = 0;
  std::vector<std::size_t> input_space, kernel_space, output_space;
  Extent feature_groups = 1, batch_groups = 1;

  friend bool operator==(const ConvolutionDims&, const ConvolutionDims&) = default;
};

/// The elements of a constant, row-major; a single one where all are equal.  Truth values and
/// integers are integers (unsigned ones by their bits), others numbers; a complex number is two.
struct Literal {
  std::variant<std::vector<std::int64_t>, std::vector<double>> elements;

  /// By bits: one NaN is equal to itself, and 0 is not -0.
  friend bool operator==(const Literal& a, const Literal& b);
};

enum class Direction : std::uint8_t { eq, ne, ge, gt, le, lt };

constexpr const char* to_string(Direction direction) noexcept {  // as HLO has it
  constexpr const char* names[] = {"EQ", "NE", "GE", "GT", "LE", "LT"};
  return names[static_cast<std::size_t>(direction)];
}

struct Comparison {
  Direction direction = Direction::eq;
  friend bool operator==(const Comparison&, const Comparison&) = default;
};

struct Dim {
  Extent dim = 0;
  friend bool operator==(const Dim&, const Dim&) = default;
};

/// broadcast: the result dim that each operand dim becomes; transpose: the operand dim that each
/// result dim comes from; reverse: the dims that run backwards.
struct DimList {
  std::vector<Extent> dims;
  friend bool operator==(const DimList&, const DimList&) = default;
};

struct Slicing {
  std::vector<SliceRange> ranges;  ///< one per dim
  friend bool operator==(const Slicing&, const Slicing&) = default;
};

struct Padding {
  std::vector<PaddingRange> ranges;  ///< one per dim
  friend bool operator==(const Padding&, const Padding&) = default;
};

struct Convolution {
  ConvolutionDims dims;
  std::vector<WindowDim> window;  ///< one per spatial dim
  friend bool operator==(const Convolution&, const Convolution&) = default;
};

struct Reducing {
  std::vector<Extent> dims;
  Reduction reduction = Reduction::none;
  friend bool operator==(const Reducing&, const Reducing&) = default;
};

/// A step of a computation of scalars: an elementwise opcode, and the numbers of its operands.  The
/// computation's parameters have the first numbers, then the results of its steps.
struct ScalarStep {
  Opcode opcode = Opcode::unknown;
  std::vector<std::uint32_t> operands;
  Direction direction = Direction::eq;  ///< of a compare
  friend bool operator==(const ScalarStep&, const ScalarStep&) = default;
};

/// Reduces n operands at once.  The steps compute, from the n scalars so far and the n scalars of
/// one more place, the next n scalars, whose numbers are `results`.
struct ReducingBy {
  std::vector<Extent> dims;
  std::vector<ScalarStep> steps;
  std::vector<std::uint32_t> results;
  friend bool operator==(const ReducingBy&, const ReducingBy&) = default;
};

/// Operand 0 is the index of the branch that ran; each of the others is the result of one branch.
struct Branching {
  friend bool operator==(const Branching&, const Branching&) = default;
};

struct WindowReducing {
  std::vector<WindowDim> window;  ///< one per dim
  Reduction reduction = Reduction::none;
  friend bool operator==(const WindowReducing&, const WindowReducing&) = default;
};

/// In each window of operand 0, the first element for which `select` holds against all others
/// receives the element of operand 1 at the window's place; `scatter` combines what one element
/// receives from several windows.
struct WindowScattering {
  std::vector<WindowDim> window;  ///< one per dim
  Direction select = Direction::ge;
  Reduction scatter = Reduction::sum;
  friend bool operator==(const WindowScattering&, const WindowScattering&) = default;
};

/// `reduction` combines an update with the old value; none: the update replaces it.
struct Scattering {
  ScatterDims dims;
  Reduction reduction = Reduction::none;
  friend bool operator==(const Scattering&, const Scattering&) = default;
};

/// Sorts by the first operand; the others are permuted in the same way.
struct Sorting {
  Extent dim = 0;
  Direction order = Direction::lt;
  bool is_stable = false;
  friend bool operator==(const Sorting&, const Sorting&) = default;
};

struct TopK {
  Extent k = 0;
  bool is_largest = true;
  friend bool operator==(const TopK&, const TopK&) = default;
};

/// The parts into which the importer takes a batch normalization (io/hlo/importer.hpp).
enum class NormalisationPart : std::uint8_t {
  whole,           // an inference
  sum,             // over all dims but the feature's
  squares,         // the sum of squares
  mean,            // from the sum
  variance,        // from the sum of squares and the mean
  normalised,      // from x, mean, variance, scale and offset
  products,        // the sum of x less its mean, times the gradient
  scale_gradient,  // from those products and the variance
  gradient,        // from x, scale, mean, variance, the result's gradient, its sum, those products
};

struct Normalisation {
  double epsilon = 0;
  Extent feature = 0;
  NormalisationPart part = NormalisationPart::whole;
  Extent count = 0;  ///< how many elements share a feature; of parts
  friend bool operator==(const Normalisation&, const Normalisation&) = default;
};

struct Target {
  std::string name;
  friend bool operator==(const Target&, const Target&) = default;
};

namespace detail {

template<class T, class Variant>
inline constexpr bool is_alternative = false;
template<class T, class... Ts>
inline constexpr bool is_alternative<T, std::variant<Ts...>> = (std::is_same_v<T, Ts> || ...);

[[noreturn]] void fail_without_attributes();

}  // namespace detail

/// One of the structs above, or nothing.  A value: copies share what they hold, which never
/// changes.
class Attributes {
 public:
  using Any =
      std::variant<Literal, Comparison, Dim, DimList, Slicing, Padding, DotDims, Convolution,
                   Reducing, ReducingBy, Branching, WindowReducing, WindowScattering, GatherDims,
                   Scattering, Sorting, TopK, Normalisation, Target>;

  Attributes() = default;
  template<class T, class = std::enable_if_t<detail::is_alternative<T, Any>>>
  Attributes(T value)  // implicit: a DotDims is a dot's attributes
      : held_(std::make_shared<const Any>(std::in_place_type<T>, std::move(value))) {}

  bool empty() const noexcept { return held_ == nullptr; }
  template<class T>
  const T* find() const noexcept {
    return held_ == nullptr ? nullptr : std::get_if<T>(held_.get());
  }
  /// Throws InvalidArgument where something else is held: the op is not fully known.
  template<class T>
  const T& get() const {
    if (const T* const found = find<T>()) return *found;
    detail::fail_without_attributes();
  }

  /// Calls look(const T&) with what is held.  @pre !empty()
  template<class Look>
  decltype(auto) visit(Look&& look) const {
    return std::visit(std::forward<Look>(look), *held_);
  }

  friend bool operator==(const Attributes& a, const Attributes& b);

 private:
  std::shared_ptr<const Any> held_;
};

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/attributes.ipp"
#endif
