// SPDX-License-Identifier: Apache-2.0
//
// The bodies of shapes.hpp.
#pragma once
#include "tessera/io/hlo/detail/shapes.hpp"

#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/io/hlo/detail/opcode_table.hpp"

namespace tessera::io::hlo::detail {

// The shape that follows, whose size fits in 64 bits; nothing where only the text has it.
TESSERA_INLINE std::optional<Shape> inferred_shape(const ShapeSite& site) {
  const ShapeFunction function = entry_of(site.instruction).shape;
  if (function == nullptr) return std::nullopt;
  try {
    std::optional<Shape> inferred = function(site);
    if (inferred) inferred->for_each_leaf([](const Shape& leaf) { byte_count(leaf.array); });
    return inferred;
  } catch (const CapacityExceeded&) {
    fail(site, "the result has more than " + std::to_string(max_dims) + " dims");
  } catch (const Overflow& error) {
    fail(site, error.what());
  }
}

TESSERA_INLINE void settle_shape(const Module& module, const Computation& computation,
                                 Instruction& instruction, const std::optional<Shape>& declared) {
  const ShapeSite site(module, computation, instruction, declared ? &*declared : nullptr);
  std::optional<Shape> inferred = inferred_shape(site);
  if (!inferred && !declared) fail(site, "the result shape must be given");
  if (inferred && declared && !(*inferred == *declared))
    fail(site,
         "the result is declared " + to_string(*declared) + ", but it is " + to_string(*inferred));
  instruction.shape = declared ? *declared : std::move(*inferred);
}

}  // namespace tessera::io::hlo::detail
