// SPDX-License-Identifier: Apache-2.0
//
// A plan as HLO: the sharding of every instruction, and the module written back with them.
//
// Everything else in the text stays as it was, byte for byte.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/notation/hlo_sharding.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::io::hlo {

namespace detail {

// One leaf: "{replicated}"; a tuple: "{{replicated}, {devices=...}}", and "{}" if it is empty.
inline std::string shardings_text(const Shape& shape, const std::vector<std::string>& leaves) {
  if (!shape.is_tuple) return leaves[0];
  std::string text = "{";
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (i != 0) text += i % 5 == 0 ? ", /*index=" + std::to_string(i) + "*/" : ", ";
    text += leaves[i];
  }
  return text + '}';
}

}  // namespace detail

// The sharding of one instruction in HLO's words, of values as text_of(value) has them.  An
// instruction of a computation that is called from several places may have been planned differently
// in each: it is then "{unknown}".  What is not planned at all (reducers: scalars) is replicated.
template<class TextOf>
std::string sharding_text(const Module& module, const Program& program, std::size_t computation,
                          std::size_t instruction, TextOf&& text_of) {
  const Shape& shape = module.computations[computation].instructions[instruction].shape;
  const std::vector<Leaves>& sites = program.values[computation][instruction];
  std::vector<std::string> texts;
  for (std::size_t leaf = 0; leaf < shape.leaf_count(); ++leaf) {
    std::optional<std::string> text;
    for (const Leaves& site : sites) {
      const std::string here = text_of(site[leaf]);
      if (text && *text != here) {
        text = "{unknown}";
        break;
      }
      text = here;
    }
    texts.push_back(text.value_or("{replicated}"));
  }
  return detail::shardings_text(shape, texts);
}

// How a plan has a value.  @pre plan.has_ops()
inline auto texts_of(const plan::Plan& plan) {
  return [&plan](const Value& value) {
    return notation::hlo_text(plan.ops[value.op].results[value.result], plan.mesh);
  };
}
// The same of an instruction under a plan.  @pre plan.has_ops()
inline std::string instruction_sharding(const Module& module, const Program& program,
                                        const plan::Plan& plan, std::size_t computation,
                                        std::size_t instruction) {
  return sharding_text(module, program, computation, instruction, texts_of(plan));
}

namespace detail {

// What takes the place of a piece of the text.
struct Edit {
  Extract place;
  std::string text;
};

}  // namespace detail

// The module's text with `sharding=` on every instruction, in place of any that was there, of
// values as text_of(value) has them.
template<class TextOf>
std::string with_shardings(const Module& module, const Program& program, TextOf&& text_of) {
  std::vector<detail::Edit> edits;
  for (std::size_t c = 0; c < module.computations.size(); ++c) {
    const Computation& computation = module.computations[c];
    for (std::size_t i = 0; i < computation.instructions.size(); ++i) {
      const Instruction& instruction = computation.instructions[i];
      if (instruction.is_nested) continue;  // has no place for attributes
      const std::string text = sharding_text(module, program, c, i, text_of);
      const std::size_t end = instruction.arguments_end;
      if (const Attribute* const old = instruction.find("sharding"))
        edits.push_back({old->value, text});
      else
        edits.push_back({{end, end}, ", sharding=" + text});
    }
  }
  // A computation written inside an attribute comes before the instruction that it belongs to.
  std::sort(edits.begin(), edits.end(), [](const detail::Edit& a, const detail::Edit& b) {
    return a.place.begin < b.place.begin;
  });
  std::string result;
  std::size_t copied = 0;
  for (const detail::Edit& edit : edits) {
    result.append(module.text, copied, edit.place.begin - copied);
    result += edit.text;
    copied = edit.place.end;
  }
  return result.append(module.text, copied, std::string::npos);
}

// The same under a plan.  @pre plan.has_ops()
inline std::string emit(const Module& module, const Program& program, const plan::Plan& plan) {
  return with_shardings(module, program, texts_of(plan));
}

}  // namespace tessera::io::hlo
