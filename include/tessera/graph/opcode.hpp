// SPDX-License-Identifier: Apache-2.0
//
// The opcodes of ops, and what is true of all ops of an opcode: one table, opcodes.def.
//
// The planner reads traits and never particular opcodes.  Only code that computes, writes or
// differentiates an op asks which opcode it has.  The text of an opcode is needed where HLO is read
// and written, and in messages; it stands in the table.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tessera/sharding/reduction.hpp"

namespace tessera::graph {

/// An opcode of HLO.  `unknown` stands for every opcode that the table lacks; an op of that opcode
/// can be planned by its rule alone.
enum class Opcode : std::uint8_t {
  unknown,
#define TESSERA_OPCODE(member, ...) member,
#include "tessera/graph/opcodes.def"
};

/// In which operands an op is linear: how partial sums pass through it.
enum class Linearity : std::uint8_t {
  none,
  jointly,      ///< f(a + c, b + d) = f(a, b) + f(c, d): all operands are partial, or none
  in_each,      ///< f(a + c, b) = f(a, b) + f(c, b), and so for the others: one is partial at most
  in_dividend,  ///< in the first operand, where arithmetic does not round as that of integers does
};

/// The traits that every op of an opcode has.
struct OpcodeTraits {
  std::string_view name;        ///< in HLO; empty for Opcode::unknown
  bool is_elementwise = false;  ///< a result element depends on the operands' elements in its place
  bool is_view = false;         ///< the operand's bytes under another type
  bool repeats = false;         ///< each operand element becomes several result elements
  bool relocates = false;       ///< elements stay what they are, and change their places
  bool reduces = false;         ///< combines the elements of whole dims
  bool selects = false;         ///< takes each element from one of two operands, as a mask says
  bool reads_part = false;      ///< reads as much of operand 0 as the result holds
  bool is_heavy = false;        ///< its work is worth spreading over every device
  bool is_matrix_product = false;     ///< a product without windows, so several can run as one
  bool may_be_rematerialized = true;  ///< computes the same each time, without side effects
  std::uint8_t update_operand = 0;  ///< writes this operand into operand 0 in place; 0: it does not
  Linearity linearity = Linearity::none;
  Reduction combines = Reduction::none;  ///< the reduction that two operands are combined by
};

namespace detail {

// The words of the table's third column.  In a namespace of their own: some are names of builders
// too.
namespace words {
enum TraitWord : std::uint32_t {
  plain = 0,
  elementwise = 1U << 0U,
  view = 1U << 1U,
  repeats = 1U << 2U,
  relocates = 1U << 3U,
  reduces = 1U << 4U,
  selects = 1U << 5U,
  reads_part = 1U << 6U,
  heavy = 1U << 7U,
  matrix_product = 1U << 8U,
  not_repeatable = 1U << 9U,
  updates_by_1 = 1U << 10U,
  updates_by_2 = 1U << 11U,
  linear_jointly = 1U << 12U,
  linear_in_each = 1U << 13U,
  linear_in_dividend = 1U << 14U,
};
}  // namespace words

constexpr OpcodeTraits traits_from(std::string_view name, std::uint32_t given,
                                   Reduction combines = Reduction::none) noexcept {
  using enum words::TraitWord;
  const auto has = [given](std::uint32_t word) { return (given & word) != 0; };
  OpcodeTraits traits{name};
  traits.is_elementwise = has(elementwise);
  traits.is_view = has(view);
  traits.repeats = has(repeats);
  traits.relocates = has(relocates);
  traits.reduces = has(reduces);
  traits.selects = has(selects);
  traits.reads_part = has(reads_part);
  traits.is_heavy = has(heavy);
  traits.is_matrix_product = has(matrix_product);
  traits.may_be_rematerialized = !has(not_repeatable);
  traits.update_operand = has(updates_by_1) ? 1 : has(updates_by_2) ? 2 : 0;
  traits.linearity = has(linear_jointly)       ? Linearity::jointly
                     : has(linear_in_each)     ? Linearity::in_each
                     : has(linear_in_dividend) ? Linearity::in_dividend
                                               : Linearity::none;
  traits.combines = combines;
  return traits;
}

constexpr auto make_opcode_table() noexcept {
  using enum Reduction;
  using enum words::TraitWord;
  return std::array{
      OpcodeTraits{""},
#define TESSERA_OPCODE(member, ...) traits_from(__VA_ARGS__),
#include "tessera/graph/opcodes.def"
  };
}
inline constexpr auto opcode_table = make_opcode_table();

}  // namespace detail

/// How many opcodes there are, Opcode::unknown among them.
inline constexpr std::size_t opcode_count = detail::opcode_table.size();

/// The traits of this opcode.  O(1)
constexpr const OpcodeTraits& traits(Opcode opcode) noexcept {
  return detail::opcode_table[static_cast<std::size_t>(opcode)];
}

/// The opcode's name in HLO, as "dynamic-slice"; empty for Opcode::unknown.
constexpr std::string_view to_string(Opcode opcode) noexcept { return traits(opcode).name; }

/// The opcode of that name in HLO, Opcode::unknown where the table has none.  O(log opcodes)
constexpr Opcode opcode_named(std::string_view name) noexcept {
  std::size_t low = 0, high = opcode_count;
  while (low + 1 < high) {  // the name is not before that of `low`
    const std::size_t middle = (low + high) / 2;
    (name < detail::opcode_table[middle].name ? high : low) = middle;
  }
  return detail::opcode_table[low].name == name ? static_cast<Opcode>(low) : Opcode::unknown;
}

static_assert(
    [] {
      for (std::size_t i = 1; i < opcode_count; ++i)
        if (detail::opcode_table[i - 1].name >= detail::opcode_table[i].name) return false;
      return true;
    }(),
    "opcodes.def is sorted by name");
static_assert(opcode_named("xor") == Opcode::logical_xor);
static_assert(opcode_named("abs") == Opcode::abs && opcode_named("") == Opcode::unknown);
static_assert(opcode_named("abs-start") == Opcode::unknown);

}  // namespace tessera::graph
