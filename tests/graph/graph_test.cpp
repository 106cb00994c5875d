// SPDX-License-Identifier: Apache-2.0
// Graph, builder and liveness.
#include <doctest/doctest.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tessera/graph.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;

TEST_CASE("a built program keeps its operands in order") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 8}), y = b.parameter("y", f32, {4, 8});
  const auto difference = y - x;
  b.output(difference);
  const Graph& graph = b.graph();
  const OpId id = difference.value().op;
  CHECK(graph.operand_count(id) == 2);
  CHECK(graph.operand(id, 0) == y.value());
  CHECK(graph.operand(id, 1) == x.value());
  CHECK(graph.op(id).opcode == Opcode::subtract);
  std::size_t uses = 0;
  graph.for_each_use(x.value().op, [&](OpId reader, const Use& use) {
    ++uses;
    CHECK(reader == id);
    CHECK(use.operand == 1);
  });
  CHECK(uses == 1);
}

TEST_CASE("shapes that do not fit are refused at the call") {
  Builder b, other;
  const auto x = b.parameter("x", f32, {4, 8}), y = b.parameter("y", f32, {8, 4});
  CHECK_THROWS_WITH(x + y, "add: operands f32[4,8] and f32[8,4] differ");
  CHECK_THROWS_WITH(x + other.parameter("z", f32, {4, 8}),
                    "add: an operand belongs to another builder");
  CHECK_THROWS_AS((einsum<"mk,kn->mn">(x, x)), InvalidRule);
  CHECK_THROWS_AS(reshape(x, {5, 5}), tessera::InvalidArgument);
  CHECK_THROWS_AS(transpose(x, {0}), tessera::InvalidArgument);
  CHECK_THROWS_AS(transpose(x, {0, 2}), tessera::InvalidArgument);
  CHECK_THROWS_AS(broadcast(x, {4, 8, 2}, {0}), tessera::InvalidArgument);
  CHECK_THROWS_AS(broadcast(x, {8, 4}, {0, 1}), tessera::InvalidArgument);
  CHECK_THROWS_AS(b.update(x, y), tessera::InvalidArgument);
  CHECK_THROWS_AS(b.update(x + x, x), tessera::InvalidArgument);
}

TEST_CASE("dims are named once, and must be there") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 4});
  CHECK_THROWS_WITH(transpose(x, {0, 0}), "transpose: dim 0 is named twice");
  CHECK_THROWS_WITH(transpose(x, {0, 2}), "transpose: [4,4] has no dim 2");
  CHECK_THROWS_WITH(broadcast(x, {4, 4, 4}, {1, 1}), "broadcast: dim 1 is named twice");
  CHECK_THROWS_WITH(broadcast(x, {4, 4, 4}, {1, -1}), "broadcast: [4,4,4] has no dim -1");
  CHECK_THROWS_WITH(reduce_sum(x, {2}), "reduce: [4,4] has no dim 2");
  CHECK_THROWS_WITH(reduce_max(x, {1, 1}), "reduce: dim 1 is named twice");
  CHECK_THROWS_WITH(reduce_sum(x, {-1}), "reduce: [4,4] has no dim -1");
}

TEST_CASE("negative dims are refused wherever they can come in") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 2});
  CHECK_THROWS_WITH(b.parameter("y", f32, {4, -2}),
                    "parameter [4,-2], dim 1: a tensor dim has a negative size");
  CHECK_THROWS_AS(b.constant(f32, {-1}), InvalidSharding);
  CHECK_THROWS_AS(reshape(x, {-4, -2}), InvalidSharding);
  CHECK_THROWS_AS(b.apply(Opcode::unknown, {x}, {f32, {-1}}, whole_rule({}, {})), InvalidSharding);
}

TEST_CASE("another builder's tensors are refused everywhere") {
  Builder b, other;
  const auto w = b.parameter("w", f32, {4});
  for (int i = 0; i < 100; ++i) other.parameter("p" + std::to_string(i), f32, {4});
  const auto foreign = other.parameter("z", f32, {4});
  CHECK_THROWS_WITH(b.output(foreign), "output: the tensor belongs to another builder");
  CHECK_THROWS_WITH(b.update(foreign, w), "update: the parameter belongs to another builder");
  CHECK_THROWS_WITH(b.update(w, foreign), "update: the new value belongs to another builder");
  CHECK(b.graph().outputs.empty());
}

TEST_CASE("a parameter is updated once at most") {
  Builder b;
  const auto w = b.parameter("w", f32, {4});
  b.update(w, exp(w));
  CHECK_THROWS_WITH(b.update(w, log(w)), "update: parameter 'w' is updated already");
  CHECK(b.graph().outputs.size() == 1);
}

TEST_CASE("every op has a name of its own") {
  Builder b;
  const auto x = b.parameter("add.1", f32, {4});
  CHECK_THROWS_WITH(b.parameter("add.1", f32, {4}),
                    "parameter: there is an op named 'add.1' already");
  const auto y = x + x, z = y + y;
  b.parameter("exponential.5", f32, {4});
  b.parameter("exponential.6", f32, {4});
  exp(z);
  std::set<std::string> names;
  for (OpId id = 0; id < b.graph().op_count(); ++id) names.insert(b.graph().op(id).name);
  CHECK(names.size() == b.graph().op_count());
}

// Of every op: the operands that may be partial sums together.
std::vector<std::uint64_t> sum_passes(const Tensor& tensor) {
  const Rule& rule = tensor.builder().graph().op(tensor.value().op).rule;
  std::vector<std::uint64_t> operands;
  for (std::size_t p = 0; p < rule.pass_count(); ++p)
    if ((rule.pass(p).reductions & reduction_set(Reduction::sum)) != 0)
      operands.push_back(rule.pass(p).operands);
  return operands;
}

TEST_CASE("sums pass through what is linear, and integer division is not") {
  Builder b;
  const auto x = b.parameter("x", f32, {4}), n = b.parameter("n", s32, {4});
  CHECK(sum_passes(x / x) == std::vector<std::uint64_t>{0b01});
  CHECK(sum_passes(n / n).empty());
  CHECK(sum_passes(n + n) == std::vector<std::uint64_t>{0b11});
  CHECK(sum_passes(n * n) == std::vector<std::uint64_t>{0b01, 0b10});
  CHECK(sum_passes(maximum(x, x)).empty());
  CHECK(sum_passes(x > x).empty());
}

TEST_CASE("partial sums are widened, never narrowed or reformatted") {
  CHECK(convert_passes(f16, f32).size() == 1);
  CHECK(convert_passes(f32, f16).empty());
  CHECK(convert_passes(f16, bf16).empty());
  CHECK(convert_passes(bf16, f16).empty());
  CHECK(convert_passes(f32, f32) == std::vector<PartialPass>{{any_reduction, 0b1}});
}

TEST_CASE("a scalar operand is broadcast, as on paper") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 8});
  CHECK((x * b.constant(f32)).dims() == Dims{4, 8});
  CHECK((b.constant(f32) - x).dims() == Dims{4, 8});
  CHECK(reduce_sum(x, {0}).dims() == Dims{8});
  CHECK(reduce_max(x, {0, 1}).dims() == Dims{});
  CHECK(select(x > x, x, x).type() == x.type());
}

TEST_CASE("ops that do not fit together say what does not") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 8}), y = b.parameter("y", bf16, {4, 8});
  const auto ids = b.parameter("ids", s32, {3}), image = b.parameter("i", f32, {1, 8, 8, 3});
  const auto zero = b.constant(f32);
  CHECK_THROWS_WITH((einsum<"mk,nk->mn">(x, y)),
                    "einsum: operands f32[4,8] and bf16[4,8] have different element types");
  CHECK_THROWS_WITH((einsum<"mk,nl->mn">(x, x)),
                    "einsum: a letter of one operand alone is summed over; reduce it before");
  CHECK_THROWS_WITH((einsum<"m(ab),mn->nab">(x, x)), doctest::Contains("rule applied to"));
  CHECK_THROWS_WITH(select(x, x, x), "select: operands differ");
  CHECK_THROWS_WITH(slice(x, {{0, 4, 1}}), "slice: 1 ranges for a tensor of 2 dims");
  CHECK_THROWS_WITH(slice(x, 1, 4, 9), "slice: range 1 does not lie in f32[4,8]");
  CHECK_THROWS_WITH(slice(x, 2, 0, 1), "slice: [4,8] has no dim 2");
  CHECK_THROWS_WITH(pad(x, zero, {{0, 0, 0}, {-5, -4, 0}}),
                    "pad: range 1 cuts off more than there is of f32[4,8]");
  CHECK_THROWS_WITH(pad(x, x, {{0, 0, 0}, {0, 0, 0}}), "pad: the value is no scalar");
  const Tensor unlike[] = {x, transpose(x, {1, 0})};
  CHECK_THROWS_WITH(concatenate(unlike, 0), "concatenate: f32[8,4] does not fit f32[4,8]");
  CHECK_THROWS_WITH(lookup(x, x), "lookup: f32[4,8] is no list of rows of f32[4,8]");
  CHECK_THROWS_WITH(scatter_add(x, ids, x),
                    "scatter: f32[4,8] are not the rows of f32[4,8] that s32[3] names");
  CHECK_THROWS_WITH(convolve(x, x), "convolve: f32[4,8] is no [batch, height, width, features]");
  CHECK_THROWS_WITH(convolve(image, b.parameter("k", f32, {3, 3, 4, 2})),
                    doctest::Contains("are not those that f32[3,3,4,2] takes"));
  CHECK_THROWS_WITH(max_pool(x, 2, 2), doctest::Contains("max_pool: f32[4,8] is no [batch"));
  CHECK_THROWS_WITH(reduce_window(x, {}, Reduction::max),
                    "reduce-window: 0 ranges for a tensor of 2 dims");
  CHECK_THROWS_WITH(select_and_scatter(x, x, {{2}, {}}),
                    "select-and-scatter: f32[4,8] has not one element for each window of f32[4,8]");
  CHECK_THROWS_WITH(iota(b, f32, {2}, 1), "iota: [2] has no dim 1");
  CHECK_THROWS_WITH(b.parameter("huge", f32, {1LL << 31, 1LL << 31, 4}),
                    doctest::Contains("does not fit in 64 bits"));
}

TEST_CASE("a product that is wanted in another order is transposed, where turning it will not do") {
  Builder b;
  const auto x = b.parameter("x", f32, {2, 3, 4}), y = b.parameter("y", f32, {2, 5, 4});
  const auto opcode = [&](const Tensor& tensor) { return b.graph().op(tensor.value().op).opcode; };
  CHECK(opcode(einsum<"bmk,bnk->bmn">(x, y)) == Opcode::dot);
  CHECK(opcode(einsum<"bmk,bnk->bnm">(x, y)) == Opcode::dot);
  const Tensor turned = einsum<"bmk,bnk->mbn">(x, y);
  CHECK(opcode(turned) == Opcode::transpose);
  CHECK(turned.dims() == Dims{3, 2, 5});
}

TEST_CASE("scalars of one type and value are one op") {
  Builder b;
  const auto value_of = [](const Tensor& tensor) { return tensor.value(); };
  CHECK(value_of(b.constant(f32, {}, 2)) == value_of(b.constant(f32, {}, 2)));
  CHECK(value_of(b.constant(f32, {}, 2)) != value_of(b.constant(bf16, {}, 2)));
  CHECK(value_of(b.constant(f32, {}, 0.0)) != value_of(b.constant(f32, {}, -0.0)));
  CHECK(value_of(b.constant(f32, {2}, 2)) != value_of(b.constant(f32, {2}, 2)));
}

TEST_CASE("attributes are values, and missing ones are reported") {
  const Attributes dot = DotDims{{1}, {0}, {}, {}}, same = DotDims{{1}, {0}, {}, {}};
  const Attributes copy = dot;
  CHECK(dot == same);
  CHECK(dot == copy);
  CHECK_FALSE(dot == Attributes(DotDims{{0}, {0}, {}, {}}));
  CHECK_FALSE(dot == Attributes());
  CHECK(dot.find<Reducing>() == nullptr);
  CHECK(dot.get<DotDims>().lhs_contracting == std::vector<Extent>{1});
  CHECK_THROWS_AS(dot.get<Reducing>(), tessera::InvalidArgument);
  CHECK(Attributes().empty());
  static_assert(sizeof(Attributes) <= 2 * sizeof(void*));
}

TEST_CASE("a rule that does not fit its tensors is a defect, and said to be") {
  Graph graph;
  CHECK_THROWS_AS(graph.add({"bad", Opcode::add, {{f32, {4}}}, source_rule({5})}, {}),
                  InternalError);
}

Op loop_state(const char* name, const Dims& dims) {
  const Dims both[] = {dims, dims};
  Op state{name, Opcode::while_loop, {{f32, dims}}, elementwise_rule(both, dims)};
  state.is_loop_state = true;
  return state;
}
Op element_op(const char* name, const Dims& dims, std::size_t operands = 1) {
  const std::vector<Dims> all(operands, dims);
  return {name, Opcode::exponential, {{f32, dims}}, elementwise_rule(all, dims)};
}

TEST_CASE("values that do not exist are a defect, and said to be") {
  Graph graph;
  const Dims dims{4};
  const Value start{graph.add({"start", Opcode::iota, {{f32, dims}}, source_rule(dims)}, {}), 0};
  for (const Value stray : {Value{7, 0}, Value{0, 1}})
    CHECK_THROWS_AS(graph.add(element_op("stray", dims), std::span(&stray, 1)), InternalError);
  const OpId state = graph.add(loop_state("state", dims), std::span(&start, 1));
  CHECK_THROWS_AS(graph.close_loop(state, {7, 0}), InternalError);
  CHECK_THROWS_AS(graph.close_loop(state, {start.op, 1}), InternalError);
  CHECK_THROWS_AS(graph.close_loop(start.op, start), InternalError);
  CHECK_THROWS_AS(graph.close_loop(7, start), InternalError);
  const Dims wide{8};
  const Value other{graph.add({"wide", Opcode::iota, {{f32, wide}}, source_rule(wide)}, {}), 0};
  CHECK_THROWS_AS(graph.close_loop(state, other), InternalError);
  graph.close_loop(state, start);
  CHECK_THROWS_AS(graph.close_loop(state, start), InternalError);
}

TEST_CASE("results live from their op to their last reader") {
  Builder b;
  const auto x = b.parameter("x", f32, {4});  // op 0
  const auto y = exp(x);                      // op 1, last read by op 3
  const auto z = exp(y);                      // op 2, never read
  const auto w = y + y;                       // op 3, the output
  b.output(w);
  const Lifetimes lifetimes = lifetimes_of(b.graph());
  CHECK(lifetimes[x.value().op][0] == Lifetime{0, 4});  // the caller's, throughout
  CHECK(lifetimes[y.value().op][0] == Lifetime{1, 4});
  CHECK(lifetimes[z.value().op][0] == Lifetime{2, 3});
  CHECK(lifetimes[w.value().op][0] == Lifetime{3, 4});
}

TEST_CASE("an output in a parameter's place is counted only while the old value is read") {
  Builder b;
  const auto w = b.parameter("w", f32, {4});  // op 0
  const auto next = exp(w);                   // op 1
  const auto late = w + next;                 // op 2 still reads the old value
  const auto last = exp(late);                // op 3
  b.update(w, next);
  b.output(last);
  const Lifetimes lifetimes = lifetimes_of(b.graph());
  CHECK(lifetimes[next.value().op][0] == Lifetime{1, 3});

  Builder c;
  const auto v = c.parameter("v", f32, {4});
  const auto after = exp(v);
  const auto other = exp(after);
  c.update(v, other);
  CHECK(lifetimes_of(c.graph())[other.value().op][0].empty());
}

TEST_CASE("inside a fusion nothing reaches memory") {
  Graph graph;
  const OpId id = graph.add({"x", Opcode::iota, {{f32, {4}}}, source_rule({4})}, {});
  graph.op(id).has_buffer = false;
  CHECK(lifetimes_of(graph)[id][0].empty());
}

TEST_CASE("a value that a loop reads in every round lives until the loop ends") {
  Graph graph;
  const Dims dims{4};
  const auto source = [&](const char* name) {
    return Value{graph.add({name, Opcode::iota, {{f32, dims}}, source_rule(dims)}, {}), 0};
  };
  const auto reads = [&](const char* name, std::vector<Value> operands) {
    return Value{graph.add(element_op(name, dims, operands.size()), operands), 0};
  };
  const Value start = source("start"), table = source("table"),
              inner_start = source("inner");                                                // 0-2
  const Value outer{graph.add(loop_state("outer", dims), std::span(&start, 1)), 0};         // 3
  const Value early = reads("early", {outer, table});                                       // 4
  const Value inner{graph.add(loop_state("nested", dims), std::span(&inner_start, 1)), 0};  // 5
  const Value local = reads("local", {inner, early});                                       // 6
  const Value inner_next = reads("inner_next", {local});                                    // 7
  graph.close_loop(inner.op, inner_next);
  graph.loops.push_back({inner.op, graph.op_count()});
  const Value next = reads("next", {inner, outer});  // 8
  const Value tail = reads("tail", {next});          // 9
  graph.close_loop(outer.op, tail);
  graph.loops.push_back({outer.op, graph.op_count()});
  source("after");  // 10
  const Lifetimes lifetimes = lifetimes_of(graph);
  CHECK(lifetimes[table.op][0] == Lifetime{1, 10});        // read in every round
  CHECK(lifetimes[inner_start.op][0] == Lifetime{2, 10});  // the inner loop starts in every round
  CHECK(lifetimes[start.op][0] == Lifetime{0, 4});         // read once, before the first round
  CHECK(lifetimes[early.op][0] == Lifetime{4, 8});         // made in the outer, read in the inner
  CHECK(lifetimes[local.op][0] == Lifetime{6, 8});
}

TEST_CASE("the state of a loop lives until the loop ends") {
  Graph graph;
  const Dims dims{4};
  const Value start{graph.add({"start", Opcode::iota, {{f32, dims}}, source_rule(dims)}, {}), 0};
  const Dims both[] = {dims, dims};
  Op state{"state", Opcode::while_loop, {{f32, dims}}, elementwise_rule(both, dims)};
  state.is_loop_state = true;
  const Value carried{graph.add(state, std::span(&start, 1)), 0};
  const Value next{
      graph.add(
          {"next", Opcode::exponential, {{f32, dims}}, elementwise_rule(std::span(&dims, 1), dims)},
          std::span(&carried, 1)),
      0};
  const Value idle{
      graph.add(
          {"idle", Opcode::exponential, {{f32, dims}}, elementwise_rule(std::span(&dims, 1), dims)},
          std::span(&carried, 1)),
      0};
  graph.close_loop(carried.op, next);
  graph.loops.push_back({carried.op, graph.op_count()});
  const Lifetimes lifetimes = lifetimes_of(graph);
  CHECK(lifetimes[carried.op][0] == Lifetime{1, 4});
  CHECK(lifetimes[next.op][0] == Lifetime{2, 4});
  CHECK(lifetimes[idle.op][0] == Lifetime{3, 4});
  CHECK(graph.operand(carried.op, 1) == next);
}

}  // namespace
