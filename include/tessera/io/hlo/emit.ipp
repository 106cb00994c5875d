// SPDX-License-Identifier: Apache-2.0
//
// The bodies of emit.hpp.
#pragma once
#include "tessera/io/hlo/emit.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "tessera/notation/hlo_sharding.hpp"
#include "tessera/plan/planned_ops.hpp"

namespace tessera::io::hlo {

namespace detail {

// One leaf: "{replicated}"; a tuple: "{{replicated}, {devices=...}}", and "{}" if it is empty.
TESSERA_INLINE std::string shardings_text(const Shape& shape,
                                          const std::vector<std::string>& leaves) {
  if (!shape.is_tuple) return leaves[0];
  std::string text = "{";
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (i != 0) text += i % 5 == 0 ? ", /*index=" + std::to_string(i) + "*/" : ", ";
    text += leaves[i];
  }
  return text + '}';
}

// Of one array, in all places from which its computation is called.
TESSERA_INLINE std::string leaf_text(const std::vector<Leaves>& places, std::size_t leaf,
                                     const ValueText& text_of) {
  std::optional<std::string> text;
  for (const Leaves& place : places) {
    std::string here = text_of(place[leaf]);
    if (text && *text != here) return "{unknown}";
    text = std::move(here);
  }
  return text.value_or("{replicated}");
}

// The text that takes the place of a piece of the module's.
struct Edit {
  Extract place;
  std::string text;
};

// In the order of the text.
TESSERA_INLINE std::vector<Edit> sharding_edits(const Module& module, const Program& program,
                                                const ValueText& text_of) {
  std::vector<Edit> edits;
  for (std::size_t c = 0; c < module.computations.size(); ++c)
    for (std::size_t i = 0; i < module.computations[c].instructions.size(); ++i) {
      const Instruction& instruction = module.computations[c].instructions[i];
      if (instruction.is_nested) continue;  // has no place for attributes
      const std::string text = sharding_text(module, program, c, i, text_of);
      const std::size_t end = instruction.arguments_end;
      if (const Attribute* const old = instruction.find("sharding"))
        edits.push_back({old->value, text});
      else
        edits.push_back({{end, end}, ", sharding=" + text});
    }
  // A computation written inside an attribute comes before the instruction that it belongs to.
  std::sort(edits.begin(), edits.end(),
            [](const Edit& a, const Edit& b) { return a.place.begin < b.place.begin; });
  return edits;
}

}  // namespace detail

TESSERA_INLINE std::string sharding_text(const Module& module, const Program& program,
                                         std::size_t computation, std::size_t instruction,
                                         const ValueText& text_of) {
  const Shape& shape = module.computations[computation].instructions[instruction].shape;
  const std::vector<Leaves>& places = program.values[computation][instruction];
  std::vector<std::string> texts;
  for (std::size_t leaf = 0; leaf < shape.leaf_count(); ++leaf)
    texts.push_back(detail::leaf_text(places, leaf, text_of));
  return detail::shardings_text(shape, texts);
}

TESSERA_INLINE ValueText texts_of(const plan::Plan& plan) {
  return [&plan](const Value& value) {
    return notation::hlo_text(plan.ops[value.op].results[value.result], plan.mesh);
  };
}

TESSERA_INLINE std::string instruction_sharding(const Module& module, const Program& program,
                                                const plan::Plan& plan, std::size_t computation,
                                                std::size_t instruction) {
  return sharding_text(module, program, computation, instruction, texts_of(plan));
}

TESSERA_INLINE std::string with_shardings(const Module& module, const Program& program,
                                          const ValueText& text_of) {
  std::string result;
  std::size_t copied = 0;
  for (const detail::Edit& edit : detail::sharding_edits(module, program, text_of)) {
    result.append(module.text, copied, edit.place.begin - copied);
    result += edit.text;
    copied = edit.place.end;
  }
  return result.append(module.text, copied, std::string::npos);
}

TESSERA_INLINE std::string emit(const Module& module, const Program& program,
                                const plan::Plan& plan) {
  return with_shardings(module, program, texts_of(plan));
}

}  // namespace tessera::io::hlo
