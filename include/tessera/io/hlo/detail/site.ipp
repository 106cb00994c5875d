// SPDX-License-Identifier: Apache-2.0
//
// The bodies of site.hpp.
#pragma once
#include "tessera/io/hlo/detail/site.hpp"

#include <algorithm>
#include <limits>

namespace tessera::io::hlo::detail {

// --- Shapes
// -----------------------------------------------------------------------------------------

TESSERA_INLINE void fail(const ShapeSite& site, const std::string& why) {
  site.module.fail(site.instruction.at, shown_name(site.instruction.name) + ": " +
                                            site.instruction.spelling + ": " + why);
}

TESSERA_INLINE void fail_with(const ShapeSite& site, std::initializer_list<std::string_view> why) {
  std::string text;
  for (const std::string_view piece : why) text += piece;
  fail(site, text);
}

TESSERA_INLINE const Shape& shape(const ShapeSite& site, std::size_t i) {
  return site.computation.instructions[site.instruction.operands[i]].shape;
}

TESSERA_INLINE const Shape& array(const ShapeSite& site, std::size_t i) {
  const Shape& found = shape(site, i);
  if (found.is_tuple)
    fail_with(site, {"operand ", std::to_string(i), " must be an array, but it is a tuple"});
  return found;
}

TESSERA_INLINE ElementType declared_type(const ShapeSite& site) {
  if (site.declared->is_tuple) fail(site, "the result must be an array");
  return site.declared->array.element;
}

TESSERA_INLINE Shape array_of(ElementType element, const Dims& dims) {
  Shape result;
  result.array = {element, dims};
  return result;
}

TESSERA_INLINE Shape tuple_of(std::vector<Shape> elements) {
  if (elements.size() == 1) return elements[0];
  Shape result;
  result.is_tuple = true;
  result.elements = std::move(elements);
  return result;
}

TESSERA_INLINE std::vector<std::int64_t> dims_in_range(const ShapeSite& site, std::string_view name,
                                                       std::size_t limit) {
  std::vector<std::int64_t> list = site.attributes.ints(name);
  std::vector<char> seen(limit, 0);
  for (const std::int64_t dim : list) {
    if (dim < 0 || index(dim) >= limit)
      fail_with(site, {name, " names dim ", std::to_string(dim), " of ", std::to_string(limit)});
    if (seen[index(dim)]++ != 0)
      fail_with(site, {name, " names dim ", std::to_string(dim), " twice"});
  }
  return list;
}

TESSERA_INLINE std::size_t dim_in_range(const ShapeSite& site, std::string_view name,
                                        std::size_t limit) {
  const std::int64_t dim = site.attributes.integer(name, 0);
  if (dim < 0 || index(dim) >= limit)
    fail_with(site, {name, " is ", std::to_string(dim), ", but there are ", std::to_string(limit),
                     " dims"});
  return index(dim);
}

TESSERA_INLINE std::size_t only_dimension(const ShapeSite& site) {
  const auto along = dims_in_range(site, "dimensions", rank(site, 0));
  if (along.size() != 1) fail(site, "dimensions must name one dim");
  return index(along[0]);
}

TESSERA_INLINE void require_ascending(const ShapeSite& site, std::string_view name,
                                      const std::vector<std::int64_t>& list) {
  if (!std::is_sorted(list.begin(), list.end()))
    fail(site, std::string(name) + " must be ascending");
}

TESSERA_INLINE void require_scalar(const ShapeSite& site, std::size_t i, const char* what) {
  if (rank(site, i) != 0)
    fail_with(site, {what, " must be a scalar, but it is ", to_string(shape(site, i))});
}

TESSERA_INLINE void require_count(const ShapeSite& site, std::string_view what, std::size_t count,
                                  const char* entries, std::size_t wanted) {
  if (count != wanted)
    fail_with(site, {what, " has ", std::to_string(count), " ", entries, " for ",
                     std::to_string(wanted), " dims"});
}

TESSERA_INLINE Extent size_of_dim(const ShapeSite& site, Wide size) {
  if (size > std::numeric_limits<Extent>::max())
    fail(site, "the size of a dim does not fit in 64 bits");
  return static_cast<Extent>(size);
}

TESSERA_INLINE bool contains(const std::vector<std::int64_t>& list, std::size_t value) {
  return std::find(list.begin(), list.end(), static_cast<std::int64_t>(value)) != list.end();
}

TESSERA_INLINE const Computation* callee(const ShapeSite& site, std::string_view attribute) {
  const std::vector<std::uint32_t> called = site.instruction.called_as(attribute);
  if (called.size() != 1) fail(site, std::string(attribute) + " must name one computation");
  return called[0] == missing_computation ? nullptr : &site.module.computations[called[0]];
}

TESSERA_INLINE const Shape* callee_root(const ShapeSite& site, std::string_view attribute) {
  const Computation* const called = callee(site, attribute);
  return called == nullptr ? nullptr : &called->instructions[called->root].shape;
}

// --- Rules
// ------------------------------------------------------------------------------------------

TESSERA_INLINE const Dims& OpTensors::out() const {
  static const Dims none{};
  return result_dims.empty() ? none : result_dims[0];
}

// --- Computations
// -----------------------------------------------------------------------------------

TESSERA_INLINE const Computation* computation_called_by(const InstructionSite& site,
                                                        std::string_view attribute) {
  const std::vector<std::uint32_t> ids = site.instruction.called_as(attribute);
  const bool is_found = ids.size() == 1 && ids[0] != missing_computation;
  return is_found ? &site.module.computations[ids[0]] : nullptr;
}

TESSERA_INLINE Reduction reducer_of(const Computation& computation) {
  const Instruction& root = computation.instructions[computation.root];
  if (computation.parameters.size() != 2 || root.operands.size() != 2) return Reduction::none;
  const std::uint32_t a = computation.parameters[0], b = computation.parameters[1];
  const bool takes_both = (root.operands[0] == a && root.operands[1] == b) ||
                          (root.operands[0] == b && root.operands[1] == a);
  return takes_both ? graph::traits(root.opcode).combines : Reduction::none;
}

TESSERA_INLINE Reduction reducer_of(const InstructionSite& site, std::string_view attribute) {
  const Computation* const called = computation_called_by(site, attribute);
  return called == nullptr ? Reduction::none : reducer_of(*called);
}

TESSERA_INLINE std::optional<graph::Direction> direction_named(std::string_view word) {
  using graph::Direction;
  for (const Direction direction :
       {Direction::eq, Direction::ne, Direction::ge, Direction::gt, Direction::le, Direction::lt})
    if (word == to_string(direction)) return direction;
  return std::nullopt;
}

TESSERA_INLINE std::optional<graph::Direction> comparator_of(const InstructionSite& site,
                                                             std::string_view attribute) {
  const Computation* const called = computation_called_by(site, attribute);
  if (called == nullptr) return std::nullopt;
  const Instruction& root = called->instructions[called->root];
  const bool compares = root.opcode == Opcode::compare && called->parameters.size() >= 2 &&
                        root.operands.size() == 2 && root.operands[0] == called->parameters[0] &&
                        root.operands[1] == called->parameters[1];
  if (!compares) return std::nullopt;
  return direction_named(AttributeAccess(site.module, root).word("direction"));
}

// Whether a step of a computation on scalars may have this opcode, which has no attributes other
// than a direction.
TESSERA_INLINE bool is_scalar_step(Opcode opcode) {
  switch (opcode) {
    case Opcode::clamp:
    case Opcode::complex:
    case Opcode::convert:
    case Opcode::copy:
    case Opcode::imag:
    case Opcode::is_finite:
    case Opcode::real:
    case Opcode::reduce_precision:
    case Opcode::stochastic_convert: return false;
    default: return graph::traits(opcode).is_elementwise;
  }
}

// The step that an instruction is, where it is one; its operands are given by their numbers.
TESSERA_INLINE std::optional<graph::ScalarStep> scalar_step_of(
    const Module& module, const Instruction& instruction, std::vector<std::uint32_t> operands) {
  if (!is_scalar_step(instruction.opcode)) return std::nullopt;
  graph::ScalarStep step{instruction.opcode, std::move(operands)};
  if (instruction.opcode == Opcode::compare) {
    const auto direction = direction_named(AttributeAccess(module, instruction).word("direction"));
    if (!direction) return std::nullopt;
    step.direction = *direction;
  }
  return step;
}

TESSERA_INLINE std::optional<graph::ReducingBy> scalar_steps_of(const Module& module,
                                                                const Computation& computation) {
  graph::ReducingBy how;
  std::vector<std::uint32_t> numbers(computation.instructions.size(), 0);
  for (std::uint32_t p = 0; p < computation.parameters.size(); ++p)
    numbers[computation.parameters[p]] = p;
  const auto numbers_of = [&](const std::vector<std::uint32_t>& ids) {
    std::vector<std::uint32_t> result;
    for (const std::uint32_t id : ids) result.push_back(numbers[id]);
    return result;
  };
  for (std::uint32_t id = 0; id < computation.instructions.size(); ++id) {
    const Instruction& it = computation.instructions[id];
    if (it.opcode == Opcode::tuple && id == computation.root) {
      how.results = numbers_of(it.operands);
      return how;
    }
    if (it.shape.is_tuple || !it.shape.array.dims.empty()) return std::nullopt;
    if (it.opcode == Opcode::parameter) continue;
    auto step = scalar_step_of(module, it, numbers_of(it.operands));
    if (!step) return std::nullopt;
    numbers[id] = static_cast<std::uint32_t>(computation.parameters.size() + how.steps.size());
    how.steps.push_back(std::move(*step));
  }
  how.results = {numbers[computation.root]};
  return how;
}

}  // namespace tessera::io::hlo::detail
