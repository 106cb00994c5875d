// SPDX-License-Identifier: Apache-2.0
// Rules: strings, shapes, and the factors that each kind of op gets.
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tessera/graph.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;

// --- Decided by the compiler ---------------------------------------------------------------------
static_assert(RuleLike<Rule> && RuleLike<StaticRule>);
// What the enumerator calls is what the concept asks for.
struct NoTensorCount : Rule {
  void tensor_count() const {}
};
static_assert(!RuleLike<NoTensorCount>);
static_assert(rule<"mk,kn->mn">.factor_count() == 3 && rule<"mk,kn->mn">.operand_count() == 2);
static_assert(rule<"mk,kn->mn">.factor(1).kind == FactorKind::reduction);
static_assert(rule<"mk,kn->mn">.factor(0).kind == FactorKind::parallel);
static_assert(rule<"->ij">.operand_count() == 0 && rule<"ij->">.rank(1) == 0);
static_assert(rule<" b m k , b k n -> b m n ">.rank(0) == 3);
static_assert(rule<"b(hd)->bhd">.dim(0, 1).size() == 2);
static_assert(rule_of<"mk,kn->mn", Shape<4, 8>, Shape<8, 16>>.dims(2) == Dims{4, 16});
static_assert(rule_of<"ij,ij->ij", Shape<4, 8>, Shape<4, 8>>.factor_count() == 2);
static_assert(bits_of(ElementType::bf16) == 16 && bytes_of(ElementType::s4) == 1);
static_assert(parse_element_type("f8e4m3fn") == ElementType::f8e4m3fn);
static_assert(!parse_element_type("f33"));
static_assert(is_floating(ElementType::bf16) && is_integer(ElementType::u8) &&
              is_complex(ElementType::c64) && !is_integer(ElementType::pred));

// --- Decided by running --------------------------------------------------------------------------

// A rule in Shardy's spelling, letters in factor order, what is whole marked: "([i, k!])->([i])".
std::string spelled(const Rule& rule) {
  const auto tensor = [&](std::size_t t) {
    std::string text = "[";
    for (std::size_t d = 0; d < rule.rank(t); ++d) {
      if (d > 0) text += ", ";
      for (const FactorId f : rule.dim(t, d)) {
        text += static_cast<char>('i' + f);
        if (rule.factor(f).kind == FactorKind::whole) text += '!';
        if (rule.factor(f).kind == FactorKind::window) text += '~';
        if (rule.factor(f).kind == FactorKind::reduction) text += '+';
      }
    }
    return text + ']';
  };
  std::string text = "(";
  for (std::size_t t = 0; t < rule.tensor_count(); ++t) {
    if (t == rule.operand_count())
      text += ")->(";
    else if (t > 0)
      text += ", ";
    text += tensor(t);
  }
  return text + ')';
}

TEST_CASE("a rule that is a string is the same at compile time and at run time") {
  CHECK(make_rule("bmk,bkn->bmn") == Rule(rule<"bmk,bkn->bmn">));
  CHECK(spelled(make_rule("mk,kn->mn")) == "([i, j+], [j+, k])->([i, k])");
}

TEST_CASE("a rule that is malformed is refused, at its offset") {
  const auto fault_of = [](const char* text) {
    try {
      make_rule(text);
      return RuleFault{};
    } catch (const InvalidRule& error) {
      CHECK(std::string(error.what()).find(sentence(error.fault().rule)) != std::string::npos);
      return error.fault();
    }
  };
  CHECK(fault_of("mk,kn") == RuleFault{RuleForm::arrow_missing, 5});
  CHECK(fault_of("m->n->k") == RuleFault{RuleForm::second_arrow, 4});
  CHECK(fault_of("m1->m") == RuleFault{RuleForm::not_a_factor, 1});
  CHECK(fault_of("mm->m") == RuleFault{RuleForm::factor_repeated, 1});
  CHECK(fault_of("(m->m") == RuleFault{RuleForm::parenthesis, 2});
  CHECK(fault_of("()m->m") == RuleFault{RuleForm::parenthesis, 1});
  CHECK(fault_of("((m))->m") == RuleFault{RuleForm::parenthesis, 1});
  CHECK(fault_of("m)->m") == RuleFault{RuleForm::parenthesis, 1});
  CHECK(fault_of("a,b,c,d,e,f,g,h,i,j,k,l,m->a") == RuleFault{RuleForm::too_many_tensors, 23});
  CHECK(fault_of("a,b,c,d,e,f,g,h,i,j,k,l->a") == RuleFault{RuleForm::too_many_tensors, 23});
  CHECK(make_rule("a,b,c,d,e,f,g,h,i,j,k->a").tensor_count() == 12);
  CHECK(fault_of("abcdefghijklmnopqrstuvwxyzA->a") == RuleFault{RuleForm::too_many_factors, 26});
  const std::string letters = "abcdefghijklmnopqrstuvwxyz", most = letters + ',' + letters + "->";
  CHECK(make_rule(most + "abcdefghijkl").factor_count() == 26);
  CHECK(fault_of((most + "abcdefghijklm").c_str()) == RuleFault{RuleForm::too_many_rule_dims, 67});
  CHECK(fault_of((most + "abcdefghijkl(mn)").c_str()) ==
        RuleFault{RuleForm::too_many_rule_dims, 70});
}

TEST_CASE("shapes that do not fit a rule are refused") {
  const auto rule_broken = [](const char* text, std::vector<Dims> operands) {
    try {
      with_sizes(make_rule(text), operands);
      return RuleForm::none;
    } catch (const InvalidRule& error) {
      return error.fault().rule;
    }
  };
  CHECK(rule_broken("mk,kn->mn", {{4, 8}, {8, 2}}) == RuleForm::none);
  CHECK(rule_broken("mk,kn->mn", {{4, 8}}) == RuleForm::wrong_operand_count);
  CHECK(rule_broken("mk,kn->mn", {{4, 8}, {8}}) == RuleForm::wrong_operand_rank);
  CHECK(rule_broken("mk,kn->mn", {{4, 8}, {9, 2}}) == RuleForm::sizes_differ);
  CHECK(rule_broken("m->mn", {{4}}) == RuleForm::size_unknown);
  CHECK(rule_broken("bh,b(hd)->bd", {{2, 3}, {2, 12}}) == RuleForm::size_unknown);
  CHECK(rule_broken("b(hd),h,d->bhd", {{2, 12}, {3}, {4}}) == RuleForm::none);
  CHECK(rule_broken("b(hd),h,d->bhd", {{2, 13}, {3}, {4}}) == RuleForm::merged_size_differs);
  // 2^32 times 2^32 is not 0.
  constexpr Extent large = Extent{1} << 32;
  CHECK(rule_broken("(ab),a,b->ab", {{0}, {large}, {large}}) == RuleForm::merged_size_differs);
}

TEST_CASE("the operand and the dim at fault are named") {
  const std::vector<Dims> merged{{2, 13}, {3}, {4}}, plain{{4, 8}, {9, 2}}, negative{{4, -8}, {8}};
  CHECK_THROWS_WITH(with_sizes(make_rule("b(hd),h,d->bhd"), merged),
                    "rule applied to [2,13] [3] [4], operand 0, dim 1: a merged dim is not as "
                    "large as the product of its factors' sizes");
  CHECK_THROWS_WITH(with_sizes(make_rule("mk,kn->mn"), plain),
                    "rule applied to [4,8] [9,2], operand 1, dim 0: one factor of the rule has "
                    "different sizes in two operands");
  CHECK_THROWS_WITH(with_sizes(make_rule("mk,k->m"), negative),
                    "rule applied to [4,-8], dim 1: a tensor dim has a negative size");
}

TEST_CASE("a rule whose sizes or numbers do not fit is refused, not wrapped") {
  constexpr Extent large = Extent{1} << 32;
  const std::vector<Dims> two{{large}, {large}};
  CHECK_THROWS_AS(with_sizes(make_rule("a,b->(ab)"), two).dims(2), tessera::Overflow);
  Rule rule;
  for (std::size_t f = 0; f < max_factors; ++f) rule.add_factor({1});
  CHECK_THROWS_AS(rule.add_factor({1}), tessera::CapacityExceeded);
}

TEST_CASE("a floating type widens to a larger one that has all its numbers") {
  CHECK(widens(ElementType::f16, ElementType::f32));
  CHECK(widens(ElementType::bf16, ElementType::f32));
  CHECK(widens(ElementType::f8e5m2, ElementType::f16));
  CHECK(widens(ElementType::f32, ElementType::f64));
  CHECK_FALSE(widens(ElementType::f16, ElementType::bf16));
  CHECK_FALSE(widens(ElementType::bf16, ElementType::f16));
  CHECK_FALSE(widens(ElementType::f8e8m0fnu, ElementType::f16));
  CHECK_FALSE(widens(ElementType::f32, ElementType::f32));
  CHECK_FALSE(widens(ElementType::s8, ElementType::f32));
}

TEST_CASE("dots of any batch and contracting dims") {
  CHECK(spelled(dot_rule({4, 8}, {8, 16}, {{1}, {0}, {}, {}})) == "([j, i+], [i+, k])->([j, k])");
  // [b, q, h, d] with [b, k, h, d] over batch {0, 2}.
  const Rule attention = dot_rule({2, 16, 4, 8}, {2, 32, 4, 8}, {{3}, {3}, {0, 2}, {0, 2}});
  CHECK(spelled(attention) == "([i, l, j, k+], [i, m, j, k+])->([i, j, l, m])");
  CHECK(attention.dims(2) == Dims{2, 4, 16, 32});
  CHECK(attention.pass_count() == 2);
}

TEST_CASE("reshapes share the factors that both sides have") {
  CHECK(spelled(reshape_rule({8, 4, 5}, {2, 16, 5})) == "([ij, k, l])->([i, jk, l])");
  CHECK(spelled(reshape_rule({2, 4}, {8})) == "([i, j])->([ij])");
  CHECK(spelled(reshape_rule({4, 768}, {1, 4, 12, 64})) == "([i, jk])->([, i, j, k])");
  CHECK(spelled(reshape_rule({3, 2}, {2, 3})) == "([i!, l!])->([j!, k!])");
  CHECK(spelled(reshape_rule({1}, {})) == "([])->([])");
  CHECK(spelled(reshape_rule({0, 4}, {4, 0})) == "([i!, j!])->([k!, l!])");
  // Whatever the shapes, the rule's dims are theirs.
  const Dims shapes[] = {{6, 4}, {4, 6}, {24}, {2, 12}, {3, 8}, {2, 3, 4}, {1, 24, 1}, {8, 3}};
  for (const Dims& from : shapes)
    for (const Dims& to : shapes) {
      const Rule rule = reshape_rule(from, to);
      CHECK(rule.dims(0) == from);
      CHECK(rule.dims(1) == to);
    }
}

TEST_CASE("data movement slides along dims that it cuts or pads, or makes them partial") {
  const Dims x{4, 6};
  const std::vector<SliceRange> half{{1, 9, 1}, {0, 9, 1}};
  CHECK(spelled(slice_rule(x, {2, 6}, half)) == "([j~, k])->([i, k])");
  CHECK(spelled(slice_rule(x, {1, 6}, half)) == "([j+, k])->([i!, k])");
  const std::vector<PaddingRange> shifted{{1, -1, 0}, {}}, wide{{4, 4, 0}, {}};
  CHECK(spelled(pad_rule(x, x, shifted)) == "([k~, j], [])->([i, j])");
  CHECK(spelled(pad_rule(x, {12, 6}, wide)) == "([k!, j], [])->([i, j])");
  const std::vector<Extent> reversed{1};
  CHECK(spelled(reverse_rule(x, reversed)) == "([i, j!])->([i, j!])");
  const Dims both[] = {{4, 6}, {4, 2}};
  CHECK(spelled(concatenate_rule(both, {4, 8}, 1)) == "([i, k!], [i, l!])->([i, j])");
  const std::vector<Dims> three(3), two(2), vector{{2}};
  CHECK(spelled(dynamic_slice_rule({32, 4, 8}, {32, 1, 2}, three)) ==
        "([i, j+, l+], [], [], [])->([i, k!, m!])");
  CHECK(spelled(dynamic_update_slice_rule({32, 4}, {32, 1}, two)) ==
        "([i, j], [i, k!], [], [])->([i, j])");
  CHECK(spelled(dynamic_slice_rule({4, 8}, {4, 8}, vector)) == "([i, j], [k!])->([i, j])");
}

TEST_CASE("broadcasts and transposes only rename dims") {
  const std::vector<Extent> dimensions{0, 2}, permutation{2, 0, 1};
  CHECK(spelled(broadcast_rule({2, 64, 13}, dimensions)) == "([i, k])->([i, j, k])");
  CHECK(spelled(transpose_rule({2, 3, 4}, permutation)) == "([i, j, k])->([k, i, j])");
}

TEST_CASE("reductions leave partial results, unless the reducer is unknown") {
  const std::vector<Extent> over{1};
  CHECK(spelled(reduce_rule({4, 8}, over, Reduction::sum)) == "([i, j+], [])->([i])");
  CHECK(spelled(reduce_rule({4, 8}, over, Reduction::none)) == "([i, j!], [])->([i])");
  CHECK(spelled(variadic_reduce_rule({4, 8}, 2, over)) == "([i, j!], [i, j!], [], [])->([i], [i])");
  CHECK(reduce_rule({4, 8}, over, Reduction::sum).factor(1).accumulator == 1);
}

TEST_CASE("lookups in a table split on its rows are partial") {
  GatherDims gather;
  gather.offset_dims = {1};
  gather.collapsed_slice_dims = {0};
  gather.start_index_map = {0};
  gather.slice_sizes = {1, 16};
  gather.index_vector_dim = 1;
  CHECK(spelled(gather_rule({100, 16}, {8}, {8, 16}, gather)) == "([j+, k], [i])->([i, k])");
  ScatterDims scatter;
  scatter.update_window_dims = {1};
  scatter.inserted_window_dims = {0};
  scatter.scatter_dims_to_operand_dims = {0};
  scatter.index_vector_dim = 1;
  CHECK(spelled(scatter_rule({100, 16}, {8}, {8, 16}, scatter, Reduction::sum)) ==
        "([j, k], [i+], [i+, k])->([j, k])");
  CHECK(spelled(scatter_rule({100, 16}, {8}, {8, 16}, scatter, Reduction::none)) ==
        "([j, k], [i!], [i!, k])->([j, k])");
}

TEST_CASE("convolutions split batch and features, and space with its windows") {
  ConvolutionDims dims;
  dims.input_batch = 0, dims.input_feature = 3, dims.kernel_input = 2, dims.kernel_output = 3;
  dims.output_batch = 0, dims.output_feature = 3;
  dims.input_space = {1, 2}, dims.kernel_space = {0, 1}, dims.output_space = {1, 2};
  std::vector<WindowDim> window{{3, 1, 1}, {3, 1, 1}};
  CHECK(spelled(convolution_rule({2, 8, 8, 3}, {3, 3, 3, 16}, {2, 8, 8, 16}, dims, window)) ==
        "([k, n~, q~, i+], [m!, p!, i+, j])->([k, l, o, j])");
  // The gradient of a kernel: the longer loop is the one over the "kernel".
  window = {{8, 1, 1}, {8, 1, 1}};
  CHECK(spelled(convolution_rule({2, 8, 8, 3}, {8, 8, 3, 16}, {2, 3, 3, 16}, dims, window)) ==
        "([k, n~, q~, i+], [m+, p+, i+, j])->([k, l!, o!, j])");
  window = {{}, {}};
  CHECK(spelled(convolution_rule({2, 8, 8, 3}, {1, 1, 3, 16}, {2, 8, 8, 16}, dims, window)) ==
        "([k, l, n, i+], [m!, o!, i+, j])->([k, l, n, j])");
  dims.feature_groups = 3;
  CHECK(spelled(convolution_rule({2, 8, 8, 3}, {1, 1, 1, 6}, {2, 8, 8, 6}, dims, window)) ==
        "([l, m, o, ij+], [n!, p!, j+, ik])->([l, m, o, ik])");
}

TEST_CASE("the parts of a batch norm are partial sums, and free") {
  const Dims in[] = {{8, 4}, {4}, {4}};
  CHECK(spelled(feature_sum_rule(in, 1)) == "([i+, j], [j], [j])->([j])");
  CHECK(spelled(per_feature_rule(in, {8, 4}, 1)) == "([i, j], [j], [j])->([i, j])");
}

}  // namespace
