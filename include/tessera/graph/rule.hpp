// SPDX-License-Identifier: Apache-2.0
//
// The sharding rule: how the dims of an op's operands and results correspond.
//
// An op is seen as a loop nest.  Its loop indices are the rule's factors; every dim of every tensor
// is made of one factor, or of several where an op merges dims.  Splitting a factor over a mesh
// axis splits each dim that it is part of, and needs no communication while the op runs, except for
// the halos that neighbours exchange where windows slide.  This one idea covers every op (it is
// also Shardy's), and the enumerator knows nothing else about ops.
//
// Rules come from compile-time strings, rule<"bmk,bkn->bmn">, whose sizes are bound later, or are
// built at run time by an importer.  Both are a BasicRule, on inline or on heap storage.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/fixed_string.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/graph/rules.hpp"
#include "tessera/sharding/reduction.hpp"
#include "tessera/sharding/shape.hpp"

namespace tessera::graph {

/// The effect of splitting a factor.
enum class FactorKind : std::uint8_t {
  parallel,   ///< iterations are independent
  reduction,  ///< summed over (or max, ...): splitting it leaves a partial result
  whole,      ///< every device needs all of it (the dim that a sort sorts)
  window,     ///< an operand's dim along which a window slides: cut wherever the slide is
};

using FactorId = std::uint16_t;
inline constexpr std::size_t max_factors =
    0xffff;  ///< one less than all FactorIds: the last one is no_factor
inline constexpr FactorId no_factor = 0xffff;

inline constexpr Extent unknown_size = -1;

/// How a window factor's elements depend on the index `along` which it slides.  Index o needs the
/// elements i with o * stride - low <= i * dilation < o * stride - low + reach.
struct Window {
  FactorId along = no_factor;
  Extent stride = 1;
  Extent low = 0;  ///< how far the first window reaches below element 0
  Extent reach = 1;
  Extent dilation = 1;

  friend constexpr bool operator==(const Window&, const Window&) = default;
};

/// A loop index of an op.
struct Factor {
  Extent size = unknown_size;
  FactorKind kind = FactorKind::parallel;
  Reduction reduction = Reduction::none;  ///< what finishes a reduction factor's partial result
  /// The operand that a reduction factor adds to (a scatter's), which enters as a partial result of
  /// its own; -1 for none.
  std::int16_t accumulator = -1;
  Window window = {};  ///< of a window factor

  friend constexpr bool operator==(const Factor&, const Factor&) = default;
};

/// A set of reductions.
using ReductionSet = std::uint8_t;
constexpr ReductionSet reduction_set(Reduction reduction) noexcept {
  return static_cast<ReductionSet>(1U << static_cast<unsigned>(reduction));
}
inline constexpr ReductionSet any_reduction = 0xffU & ~1U;

/// Operands that may be partial results together, while all others are complete: the result is then
/// partial in the same way.  add: {0, 1}; multiply: {0} or {1}; data movement: {0}.
struct PartialPass {
  ReductionSet reductions = 0;
  std::uint64_t operands = 0;  ///< bit i: operand i; ops of more operands have no passes

  constexpr bool takes(std::size_t operand) const noexcept {
    return operand < 64 && ((operands >> operand) & 1U) != 0;
  }
  friend constexpr bool operator==(const PartialPass&, const PartialPass&) = default;
};

/// Limits of a rule that is written as a string: inline storage has a fixed capacity.
inline constexpr std::size_t max_letters = 26, max_tensors = 12, max_rule_dims = 64;

/// A sharding rule.  Its tensors are numbered, operands first, then results.
template<template<class, std::size_t> class Sequence>
class BasicRule {
 public:
  constexpr BasicRule() = default;

  template<template<class, std::size_t> class Other>
  constexpr explicit BasicRule(const BasicRule<Other>& other) {
    for (std::size_t f = 0; f < other.factor_count(); ++f) add_factor(other.factor(f));
    for (std::size_t t = 0; t < other.tensor_count(); ++t) {
      t < other.operand_count() ? begin_operand() : begin_result();
      for (std::size_t d = 0; d < other.rank(t); ++d) add_dim(other.dim(t, d));
    }
    for (std::size_t p = 0; p < other.pass_count(); ++p) add_pass(other.pass(p));
  }

  // --- Reading -----------------------------------------------------------------------------------
  constexpr std::size_t factor_count() const noexcept { return factors_.size(); }
  constexpr const Factor& factor(std::size_t f) const noexcept { return factors_[f]; }

  constexpr std::size_t operand_count() const noexcept { return operand_count_; }
  constexpr std::size_t result_count() const noexcept { return tensor_count() - operand_count_; }
  constexpr std::size_t tensor_count() const noexcept { return tensors_.size(); }
  constexpr std::size_t rank(std::size_t tensor) const noexcept {
    const std::size_t end = tensor + 1 < tensors_.size() ? tensors_[tensor + 1] : dims_.size();
    return end - tensors_[tensor];
  }
  /// The factors of one dim, major first; none for a dim of size 1.
  constexpr std::span<const FactorId> dim(std::size_t tensor, std::size_t d) const noexcept {
    const std::size_t at = tensors_[tensor] + d;
    const std::size_t end = at + 1 < dims_.size() ? dims_[at + 1] : parts_.size();
    return {parts_.data() + dims_[at], end - dims_[at]};
  }

  constexpr std::size_t pass_count() const noexcept { return passes_.size(); }
  constexpr const PartialPass& pass(std::size_t p) const noexcept { return passes_[p]; }

  /// The dims of a tensor.  Throws Overflow where a merged one does not fit in 64 bits.
  /// @pre every factor in it has a known size
  constexpr Dims dims(std::size_t tensor) const {
    Dims result;
    for (std::size_t d = 0; d < rank(tensor); ++d) {
      Extent size = 1;
      for (const FactorId f : dim(tensor, d)) size = checked_mul(size, factors_[f].size);
      result.push_back(size);
    }
    return result;
  }

  friend constexpr bool operator==(const BasicRule&, const BasicRule&) = default;

  // --- Building ----------------------------------------------------------------------------------
  /// Throws CapacityExceeded where the factors outnumber what a FactorId can tell apart.
  constexpr FactorId add_factor(Factor factor) {
    if (factors_.size() == max_factors) throw CapacityExceeded("a rule has too many factors");
    factors_.push_back(factor);
    return static_cast<FactorId>(factors_.size() - 1);
  }
  constexpr Factor& factor(std::size_t f) noexcept { return factors_[f]; }
  constexpr void begin_operand() {  ///< @pre no result has begun
    begin_result();
    ++operand_count_;
  }
  constexpr void begin_result() { tensors_.push_back(static_cast<std::uint32_t>(dims_.size())); }
  constexpr void add_dim(std::span<const FactorId> factors) {
    dims_.push_back(static_cast<std::uint32_t>(parts_.size()));
    for (const FactorId f : factors) parts_.push_back(f);
  }
  constexpr void add_dim(FactorId factor) { add_dim(std::span(&factor, 1)); }
  constexpr void add_pass(const PartialPass& pass) { passes_.push_back(pass); }

 private:
  Sequence<Factor, max_letters> factors_;
  // The factors of every dim of every tensor, in order; in one tensor each occurs once at most.
  Sequence<FactorId, max_letters * max_tensors> parts_;
  Sequence<std::uint32_t, max_rule_dims> dims_;   // where each dim begins in parts_
  Sequence<std::uint32_t, max_tensors> tensors_;  // where each tensor begins in dims_
  Sequence<PartialPass, 4> passes_;
  std::size_t operand_count_ = 0;
};

namespace detail {
template<class T, std::size_t>
using HeapSequence = std::vector<T>;
}

using Rule = BasicRule<detail::HeapSequence>;
using StaticRule = BasicRule<InlineVector>;

/// The factor that decides how `factor` is cut: a window's goes along with another one.
template<class R>
constexpr FactorId leader_of(const R& rule, FactorId factor) noexcept {
  return rule.factor(factor).kind == FactorKind::window ? rule.factor(factor).window.along : factor;
}

/// All that the enumerator needs of a rule.
template<class R>
concept RuleLike = requires(const R& rule, std::size_t i) {
  { rule.factor_count() } -> std::same_as<std::size_t>;
  { rule.factor(i) } -> std::same_as<const Factor&>;
  { rule.operand_count() } -> std::same_as<std::size_t>;
  { rule.result_count() } -> std::same_as<std::size_t>;
  { rule.tensor_count() } -> std::same_as<std::size_t>;
  { rule.rank(i) } -> std::same_as<std::size_t>;
  { rule.dim(i, i) } -> std::same_as<std::span<const FactorId>>;
  { rule.dims(i) } -> std::same_as<Dims>;
  { rule.pass_count() } -> std::same_as<std::size_t>;
  { rule.pass(i) } -> std::same_as<const PartialPass&>;
};

/// Calls visit(number) for all that a rule says, in one fixed order: rules of equal numbers are
/// equal.  Keys and signatures are made of these numbers.
template<class Visit>
constexpr void for_each_number(const Rule& rule, Visit&& visit) {
  visit(rule.factor_count());
  for (std::size_t f = 0; f < rule.factor_count(); ++f) {
    const Factor& factor = rule.factor(f);
    visit(factor.size);
    visit(factor.kind);
    visit(factor.reduction);
    visit(factor.accumulator);
    visit(factor.window.along);
    visit(factor.window.stride);
    visit(factor.window.low);
    visit(factor.window.reach);
    visit(factor.window.dilation);
  }
  visit(rule.operand_count());
  visit(rule.tensor_count());
  for (std::size_t t = 0; t < rule.tensor_count(); ++t) {
    visit(rule.rank(t));
    for (std::size_t d = 0; d < rule.rank(t); ++d) {
      visit(rule.dim(t, d).size());
      for (const FactorId factor : rule.dim(t, d)) visit(factor);
    }
  }
  visit(rule.pass_count());
  for (std::size_t p = 0; p < rule.pass_count(); ++p) {
    visit(rule.pass(p).reductions);
    visit(rule.pass(p).operands);
  }
}

namespace detail {

struct ParsedRule {
  StaticRule rule;
  RuleFault fault;
};

// Where an arrow begins at or after `from`; the size of the text where none does.  (GCC 12 with
// UBSan refuses string_view::find in a constant expression.)
constexpr std::size_t find_arrow(std::string_view text, std::size_t from) noexcept {
  for (std::size_t at = from; at + 1 < text.size(); ++at)
    if (text[at] == '-' && text[at + 1] == '>') return at;
  return text.size();
}

// Reads "mk,kn->mn", or "b(hd)->bhd" where a dim merges factors.  A factor that only operands have
// is summed over.  Fault::first is the offset of the letter at fault.
class RuleParser {
 public:
  constexpr explicit RuleParser(std::string_view text) : text_(text), arrow_(find_arrow(text, 0)) {}

  constexpr ParsedRule parse() {
    check_arrow();
    if (arrow_ != 0) begin_tensor();
    for (at_ = 0; at_ < text_.size() && !fault_; ++at_) read(text_[at_]);
    if (is_open_) fail(RuleForm::parenthesis);
    if (fault_) return {{}, fault_};
    sum_what_is_in_no_result();
    return {rule_, {}};
  }

 private:
  // The first fault counts.
  constexpr void fail(RuleForm rule) {
    if (!fault_) fault_ = {rule, static_cast<std::int64_t>(at_)};
  }

  constexpr void check_arrow() {
    at_ = arrow_;
    if (arrow_ == text_.size()) return fail(RuleForm::arrow_missing);
    at_ = find_arrow(text_, arrow_ + 2);
    if (at_ != text_.size()) fail(RuleForm::second_arrow);
  }

  constexpr void read(char c) {
    if (at_ == arrow_) {
      is_result_ = true;
      end_tensor();
      ++at_;  // an arrow has two characters
    } else if (c == ',') {
      end_tensor();
    } else if (c == '(' || c == ')') {
      read_parenthesis(c == '(');
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      read_letter(static_cast<std::size_t>(c));
    } else if (c != ' ') {
      fail(RuleForm::not_a_factor);
    }
  }

  constexpr void end_tensor() {
    if (is_open_) return fail(RuleForm::parenthesis);
    if (rule_.tensor_count() == max_tensors) return fail(RuleForm::too_many_tensors);
    begin_tensor();
  }
  constexpr void begin_tensor() {
    in_tensor_ = {};
    is_result_ ? rule_.begin_result() : rule_.begin_operand();
  }

  constexpr void read_parenthesis(bool opens) {
    if (opens == is_open_ || (!opens && merged_.empty())) return fail(RuleForm::parenthesis);
    is_open_ = opens;
    if (opens) return;
    add_dim(std::span<const FactorId>(merged_.data(), merged_.size()));
    merged_.clear();
  }

  constexpr void read_letter(std::size_t letter) {
    if (in_tensor_[letter]) return fail(RuleForm::factor_repeated);
    if (id_of_[letter] == 0) {
      if (rule_.factor_count() == max_letters) return fail(RuleForm::too_many_factors);
      id_of_[letter] = rule_.add_factor({}) + 1;
    }
    in_tensor_[letter] = true;
    if (is_result_) in_result_[letter] = true;
    const auto factor = static_cast<FactorId>(id_of_[letter] - 1);
    if (is_open_)
      merged_.push_back(factor);
    else
      add_dim(std::span<const FactorId>(&factor, 1));
  }

  constexpr void add_dim(std::span<const FactorId> factors) {
    if (dims_ == max_rule_dims) return fail(RuleForm::too_many_rule_dims);
    rule_.add_dim(factors);
    ++dims_;
  }

  constexpr void sum_what_is_in_no_result() {
    for (std::size_t letter = 0; letter < id_of_.size(); ++letter)
      if (id_of_[letter] != 0 && !in_result_[letter])
        rule_.factor(static_cast<std::size_t>(id_of_[letter] - 1)) = {
            unknown_size, FactorKind::reduction, Reduction::sum};
  }

  std::string_view text_;
  std::size_t arrow_, at_ = 0;
  RuleFault fault_;
  StaticRule rule_;
  std::array<int, 128> id_of_{};  // a letter's factor, plus 1
  std::array<bool, 128> in_tensor_{}, in_result_{};
  std::size_t dims_ = 0;
  InlineVector<FactorId, max_letters> merged_;  // the factors inside an open parenthesis
  bool is_open_ = false, is_result_ = false;
};

}  // namespace detail

/// A rule from a string literal; a mistake in it does not compile.
template<FixedString Text>
inline constexpr StaticRule rule = [] {
  constexpr detail::ParsedRule parsed = detail::RuleParser(Text.view()).parse();
  static_assert(Reject<parsed.fault>::passed);
  return parsed.rule;
}();

/// A rule from a string known at run time.  Throws InvalidRule.
Rule make_rule(std::string_view text);

namespace detail {

// Whether the product of these factors' sizes is `size`; one that overflows 64 bits is not.
template<class R>
constexpr bool make_up(const R& rule, std::span<const FactorId> factors, Extent size) {
  Extent product = 1;
  for (const FactorId f : factors)
    if (__builtin_mul_overflow(product, rule.factor(f).size, &product)) return false;
  return product == size;
}

// Gives every factor its size from the operands' dims; the first rule this breaks, if any.
template<class R>
constexpr RuleFault bind_sizes(R& rule, std::span<const Dims> operands) {
  if (operands.size() != rule.operand_count())
    return {RuleForm::wrong_operand_count, static_cast<std::int64_t>(operands.size()),
            static_cast<std::int64_t>(rule.operand_count())};
  for (std::size_t t = 0; t < operands.size(); ++t) {
    const auto tensor = static_cast<std::int64_t>(t);
    if (operands[t].size() != rule.rank(t))
      return {RuleForm::wrong_operand_rank, tensor, static_cast<std::int64_t>(operands[t].size()),
              static_cast<std::int64_t>(rule.rank(t))};
    for (std::size_t d = 0; d < rule.rank(t); ++d) {
      const auto factors = rule.dim(t, d);
      if (factors.size() != 1) continue;  // a merged dim tells the sizes of none of its factors
      Extent& size = rule.factor(factors[0]).size;
      if (size != unknown_size && size != operands[t][d])
        return {RuleForm::sizes_differ, tensor, static_cast<std::int64_t>(d), operands[t][d]};
      size = operands[t][d];
    }
  }
  for (std::size_t f = 0; f < rule.factor_count(); ++f)
    if (rule.factor(f).size == unknown_size)
      return {RuleForm::size_unknown, static_cast<std::int64_t>(f)};
  for (std::size_t t = 0; t < operands.size(); ++t)
    for (std::size_t d = 0; d < rule.rank(t); ++d)
      if (!make_up(rule, rule.dim(t, d), operands[t][d]))
        return {RuleForm::merged_size_differs, static_cast<std::int64_t>(t),
                static_cast<std::int64_t>(d), operands[t][d]};
  return {};
}

// "rule applied to [4,8] [9,2], operand 1, dim 0": where a fault is.
std::string bound_text(std::span<const Dims> operands, RuleFault fault);

}  // namespace detail

/// The rule for operands of these dims.  Throws InvalidRule, or InvalidSharding where a dim is
/// negative.
template<class R>
constexpr R with_sizes(R rule, std::span<const Dims> operands) {
  for (const Dims& dims : operands) check_shape("rule applied to", dims);
  if (const RuleFault fault = detail::bind_sizes(rule, operands))
    throw InvalidRule(detail::bound_text(operands, fault), fault);
  return rule;
}

/// The same for shapes that are types: a mismatch does not compile.
template<FixedString Text, class... Shapes>
inline constexpr StaticRule rule_of = [] {
  constexpr Dims operands[sizeof...(Shapes) + 1] = {Shapes::dims()..., Dims{}};
  constexpr std::pair<StaticRule, RuleFault> bound = [&] {
    StaticRule sized = rule<Text>;
    const RuleFault fault =
        detail::bind_sizes(sized, std::span<const Dims>(operands, sizeof...(Shapes)));
    return std::pair(sized, fault);
  }();
  static_assert(Reject<bound.second>::passed);
  return bound.first;
}();

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/rule.ipp"
#endif
