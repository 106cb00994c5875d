// SPDX-License-Identifier: Apache-2.0
//
// The bodies of import_annotations.hpp.
#pragma once
#include "tessera/io/hlo/detail/import_annotations.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"
#include "tessera/notation/hlo_sharding.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE bool is_annotation_kept(const ImportState& state, std::uint32_t c, std::size_t i) {
  const Computation& computation = state.module.computations[c];
  const Instruction& instruction = computation.instructions[i];
  const Annotations kept = state.options.annotations;
  if (kept == Annotations::ignore || instruction.find("sharding") == nullptr) return false;
  if (kept == Annotations::all) return true;
  if (c != state.module.entry) return false;
  const Instruction& root = computation.instructions[computation.root];
  const bool is_in_root = root.shape.is_tuple &&
                          std::find(root.operands.begin(), root.operands.end(), i) !=
                              root.operands.end();
  return instruction.parameter || i == computation.root || is_in_root;
}

// The list of dims that follows in brackets, as bits; nothing where it is not one.
TESSERA_INLINE std::optional<std::uint16_t> dims_listed(std::string_view text, std::size_t rank) {
  std::uint16_t dims = 0;
  std::size_t dim = 0;
  bool has_digit = false;
  for (const char c : text) {
    if (c >= '0' && c <= '9' && dim <= max_dims) {
      dim = dim * 10 + static_cast<std::size_t>(c - '0');
      has_digit = true;
    } else if ((c == ',' || c == ']') && has_digit && dim < rank) {
      dims = static_cast<std::uint16_t>(dims | 1U << dim);
      if (c == ']') return dims;
      dim = 0;
      has_digit = false;
    } else if (c == ']' && dims == 0 && !has_digit) {
      return 0;
    } else if (c != ' ') {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// A Sharding custom-call may say in its configuration: unspecified_dims=[0,2].
TESSERA_INLINE std::uint16_t open_dims(const Module& module, const Instruction& instruction) {
  constexpr std::string_view word = "unspecified_dims=[";
  const Attribute* const config = instruction.find("backend_config");
  if (config == nullptr) return 0;
  const std::string_view text = module.text_of(config->value);
  const std::size_t at = text.find(word);
  if (at == std::string_view::npos) return 0;
  const auto dims = dims_listed(text.substr(at + word.size()), instruction.shape.array.dims.size());
  if (!dims)
    module.fail(config->value.begin,
                shown_name(instruction.name) + ": unspecified_dims must be a list of its dims");
  return *dims;
}

TESSERA_INLINE Value add_copy(ImportState& state, std::string name, Value value) {
  const graph::TensorType type = state.graph().type_of(value);
  const graph::PartialPass pass{graph::any_reduction, 0b1};
  return add_to_graph(
      state,
      {std::move(name),
       Opcode::sharding,
       {type},
       graph::elementwise_rule(std::span(&type.dims, 1), type.dims, std::span(&pass, 1))},
      std::span(&value, 1));
}

// One sharding for each array; one alone is that of all.
TESSERA_INLINE std::vector<notation::HloSharding> shardings_of(const Module& module,
                                                               const Instruction& instruction,
                                                               std::size_t leaves) {
  std::vector<notation::HloSharding> shardings =
      notation::parse_hlo_sharding(module.text_of(instruction.find("sharding")->value));
  if (shardings.size() == 1) shardings.resize(leaves, shardings[0]);
  if (shardings.size() != leaves)
    module.fail(instruction.at, shown_name(instruction.name) + ": its sharding has " +
                                    std::to_string(shardings.size()) + " parts, its shape " +
                                    std::to_string(leaves));
  return shardings;
}

// Whether an array has an annotation that asks for something else, or can not have one of its own.
TESSERA_INLINE bool needs_copy(ImportState& state, Value value, bool is_annotated) {
  return is_annotated || state.graph().op(value.op).results.size() > 1;
}

TESSERA_INLINE void annotate(ImportState& state, std::uint32_t c, std::size_t i,
                             const std::string& prefix, Leaves& leaves) {
  const Instruction& instruction = state.module.computations[c].instructions[i];
  const std::vector<notation::HloSharding> shardings =
      shardings_of(state.module, instruction, leaves.size());
  const std::uint16_t open = open_dims(state.module, instruction);
  std::vector<WrittenAnnotation>& annotations = state.program.annotations;
  for (std::size_t leaf = 0; leaf < leaves.size(); ++leaf) {
    if (shardings[leaf].kind == notation::HloSharding::Kind::unknown) continue;
    const auto known = state.annotation_of.find(leaves[leaf]);
    const bool is_annotated = known != state.annotation_of.end();
    if (is_annotated && annotations[known->second].sharding == shardings[leaf] &&
        annotations[known->second].open_dims == open)
      continue;
    if (needs_copy(state, leaves[leaf], is_annotated))
      leaves[leaf] =
          add_copy(state, leaf_name(prefix + instruction.name + "/sharding", leaf, leaves.size()),
                   leaves[leaf]);
    state.annotation_of.emplace(leaves[leaf], annotations.size());
    annotations.push_back({leaves[leaf], shardings[leaf], open, c, static_cast<std::uint32_t>(i)});
  }
}

}  // namespace tessera::io::hlo::detail
