// SPDX-License-Identifier: Apache-2.0
//
// The arguments of the functions in the opcode table: one instruction, with everything that its
// shape, rule and attributes may depend on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/io/hlo/custom_calls.hpp"
#include "tessera/io/hlo/detail/attribute_access.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

struct InstructionSite {
  InstructionSite(const Module& in_module, const Instruction& of)
      : module(in_module), instruction(of), attributes(in_module, of) {}

  const Module& module;
  const Instruction& instruction;
  AttributeAccess attributes;
};

// --- Its shape
// --------------------------------------------------------------------------------------

struct ShapeSite : InstructionSite {
  ShapeSite(const Module& in_module, const Computation& of_computation, const Instruction& of,
            const Shape* as_declared)
      : InstructionSite(in_module, of), computation(of_computation), declared(as_declared) {}

  const Computation& computation;
  const Shape* declared;  // null where the text leaves the shape out
};

// The shape of the result that follows; nothing where only the text has it.  Throws InputError
// where operands or attributes do not fit.
using ShapeFunction = std::optional<Shape> (*)(const ShapeSite& site);

// Throws InputError at the instruction.
[[noreturn]] void fail(const ShapeSite& site, const std::string& why);
// The same with a reason in pieces, which costs less to compile than a sum of strings.
[[noreturn]] void fail_with(const ShapeSite& site, std::initializer_list<std::string_view> why);

// Of operand i.  All but shape() throw InputError where it is a tuple.
const Shape& shape(const ShapeSite& site, std::size_t i);
const Shape& array(const ShapeSite& site, std::size_t i);
inline const Dims& dims(const ShapeSite& site, std::size_t i) { return array(site, i).array.dims; }
inline std::size_t rank(const ShapeSite& site, std::size_t i) { return dims(site, i).size(); }
inline ElementType element_type(const ShapeSite& site, std::size_t i) {
  return array(site, i).array.element;
}
inline std::size_t operand_count(const ShapeSite& site) { return site.instruction.operands.size(); }

// The declared element type, or dims.  @pre the text must give the shape
ElementType declared_type(const ShapeSite& site);

Shape array_of(ElementType element, const Dims& dims);
// One shape stands for itself.
Shape tuple_of(std::vector<Shape> elements);

// The attribute's dims, which are distinct and below `limit`.
std::vector<std::int64_t> dims_in_range(const ShapeSite& site, std::string_view name,
                                        std::size_t limit);
std::size_t dim_in_range(const ShapeSite& site, std::string_view name, std::size_t limit);
// The one dim of operand 0 that the attribute `dimensions` names.
std::size_t only_dimension(const ShapeSite& site);
void require_ascending(const ShapeSite& site, std::string_view name,
                       const std::vector<std::int64_t>& list);
void require_scalar(const ShapeSite& site, std::size_t i, const char* what);
void require_count(const ShapeSite& site, std::string_view what, std::size_t count,
                   const char* entries, std::size_t wanted);
// Sums and products of sizes, which attributes can make as large as they like.
Extent size_of_dim(const ShapeSite& site, Wide size);

inline std::size_t index(std::int64_t dim) { return static_cast<std::size_t>(dim); }
bool contains(const std::vector<std::int64_t>& list, std::size_t value);

// The root of the one computation that an attribute names; null where a lenient reading did not
// find it.
const Computation* callee(const ShapeSite& site, std::string_view attribute);
const Shape* callee_root(const ShapeSite& site, std::string_view attribute);

// --- Its rule
// ---------------------------------------------------------------------------------------

// An instruction's operands and results, tuples flattened.
struct OpTensors {
  std::vector<graph::TensorType> operands, results;
  std::vector<Dims> operand_dims, result_dims;

  // Of the first result; no dims where there is none.
  const Dims& out() const;
};

struct RuleSite : InstructionSite {
  RuleSite(const Module& in_module, const Computation& of_computation, const Instruction& of,
           const OpTensors& its_tensors, const CustomCalls& known)
      : InstructionSite(in_module, of),
        computation(of_computation),
        tensors(its_tensors),
        custom_calls(known) {}

  const Computation& computation;
  const OpTensors& tensors;
  const CustomCalls& custom_calls;
};

// How the op can be split; nothing where it has to be kept whole.
// @pre the shapes fit, as a ShapeFunction checks
using RuleFunction = std::optional<graph::Rule> (*)(const RuleSite& site);

// --- What it computes
// -------------------------------------------------------------------------------

struct AttributesSite : InstructionSite {
  AttributesSite(const Module& in_module, const Instruction& of, std::size_t rank)
      : InstructionSite(in_module, of), operand_rank(rank) {}

  std::size_t operand_rank;  // of operand 0
};

// The attributes of the op: what its opcode leaves open.  Empty where that is nothing, or is not
// understood.
using AttributesFunction = graph::Attributes (*)(const AttributesSite& site);

// --- Computations that it calls
// ---------------------------------------------------------------------

// The one computation that an attribute names; null where there is none.
const Computation* computation_called_by(const InstructionSite& site, std::string_view attribute);

// How a computation of two scalars combines them; none where it does something else.
Reduction reducer_of(const Computation& computation);
// The same of the computation that an attribute names.
Reduction reducer_of(const InstructionSite& site, std::string_view attribute);

std::optional<graph::Direction> direction_named(std::string_view word);
// How the computation compares its first two parameters, where that is all it does.
std::optional<graph::Direction> comparator_of(const InstructionSite& site,
                                              std::string_view attribute);

// The steps of a computation on scalars, element by element; its results are those it returns.
// Nothing where it does anything else.
std::optional<graph::ReducingBy> scalar_steps_of(const Module& module,
                                                 const Computation& computation);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/site.ipp"
#endif
