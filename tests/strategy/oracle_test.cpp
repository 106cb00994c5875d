// SPDX-License-Identifier: Apache-2.0
// The judge of rules: under every strategy, devices that run an op on their shards alone hold
// together what one device computes from the whole tensors.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "support/tensors.hpp"
#include "tessera/graph.hpp"
#include "tessera/strategy.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using tessera_test::Dense;
using tessera_test::for_each_element;
using tessera_test::Piece;
using tessera_test::Random;
using tessera_test::Sharded;
using tessera_test::whole_slice;

using Index = std::vector<Extent>;
using Pieces = std::vector<Piece>;

// What an op computes: one element of its result, from what the device holds of the operands.
// Sums run over what is held; asking for an element that is not held is an error of the rule.
using Element = std::function<std::int64_t(const Pieces& in, const Index& at)>;

struct Judged {
  Rule rule;
  std::vector<Dims> operands;
  Element element;
  std::size_t result = 0;           // which of the op's
  std::vector<Extent> limits = {};  // of operand i: its elements are drawn from 0 to here, if any
};

// The part of an operand that a device works with: its shard and the halo that the rule asks for.
Piece piece_for(const Rule& rule, std::size_t operand, DynamicSharding sharding,
                const DynamicMesh& mesh, const Sharded& sharded, Device device) {
  std::vector<Range> ranges;
  const Dims dims = rule.dims(operand);
  const Slice own = slice_of(sharding, mesh, dims, device);
  for (std::size_t d = 0; d < dims.size(); ++d) {
    ranges.push_back(own[d]);
    const Extent tiles = shard_count(sharding, mesh, d);
    const auto factors = rule.dim(operand, d);
    if (tiles == 1 || factors.size() != 1) continue;
    if (rule.factor(factors[0]).kind != FactorKind::window) continue;
    const strategy::Halo halo = strategy::halo_of(rule, factors[0], tiles);
    const Extent tile = ceil_div(dims[d], tiles);
    const Extent index = tile_index(sharding, mesh, d, coordinates_of(mesh, device));
    ranges.back() = {index * tile - halo.low, (index + 1) * tile + halo.high};
  }
  return sharded.piece(static_cast<std::size_t>(device), ranges);
}

// Runs every strategy of the rule on the mesh and compares.  Returns how many there were.
std::size_t check_all(const Judged& op, const DynamicMesh& mesh, std::uint64_t seed) {
  Random random(seed);
  const Rule& rule = op.rule;
  std::vector<Dense> whole;
  Pieces all;
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    REQUIRE(rule.dims(i) == op.operands[i]);
    whole.push_back(tessera_test::random_dense(random, op.operands[i]));
    if (i < op.limits.size() && op.limits[i] > 0)
      for (auto& value : whole.back().data) value = random.between(0, op.limits[i] - 1);
    all.push_back(cut(whole.back(), whole_slice(op.operands[i])));
  }
  const std::size_t result = rule.operand_count() + op.result;
  Dense expected(rule.dims(result));
  for_each_element(expected.dims, [&](const Index& at) { expected(at) = op.element(all, at); });

  std::size_t count = 0;
  strategy::for_each_strategy(rule, mesh, {}, [&](const strategy::Strategy& strategy) {
    if (strategy.output_sharding != strategy::sharding_of(rule, strategy, rule.operand_count()))
      return;  // reshardings are judged elsewhere
    const DynamicSharding computed = strategy::sharding_of(rule, strategy, result);
    ++count;
    CAPTURE(to_string(computed));
    std::vector<Sharded> shards;
    for (std::size_t i = 0; i < whole.size(); ++i)
      shards.emplace_back(random, whole[i], strategy::sharding_of(rule, strategy, i), mesh);
    // What devices of different partial coordinates hold is put together; others must agree.
    const Extent parts = extent_of(mesh, computed.partial_axes());
    std::vector<Dense> sums(static_cast<std::size_t>(parts), Dense(expected.dims));
    std::vector<std::vector<char>> known(sums.size(), std::vector<char>(expected.data.size(), 0));
    bool agree = true;
    for (Device device = 0; device < mesh.device_count(); ++device) {
      Pieces held;
      for (std::size_t i = 0; i < whole.size(); ++i)
        held.push_back(
            piece_for(rule, i, strategy::sharding_of(rule, strategy, i), mesh, shards[i], device));
      const std::size_t part = Sharded::part_of(computed, mesh, device);
      for_each_element(slice_of(computed, mesh, expected.dims, device), [&](const Index& at) {
        const std::size_t i = expected.index(at);
        const std::int64_t value = op.element(held, at);
        if (known[part][i] != 0 && sums[part].data[i] != value) agree = false;
        known[part][i] = 1;
        sums[part].data[i] = value;
      });
    }
    Dense total = sums[0];
    for (std::size_t p = 1; p < sums.size(); ++p)
      for (std::size_t i = 0; i < total.data.size(); ++i)
        total.data[i] =
            tessera_test::combined(computed.reduction(), total.data[i], sums[p].data[i]);
    CHECK(agree);
    CHECK(total == expected);
  });
  return count;
}

// On meshes of one to three axes, with dims that divide and dims that do not.
void check_on_meshes(const Judged& op) {
  std::uint64_t seed = 0;
  for (const DynamicMesh& mesh : {DynamicMesh{2}, DynamicMesh{3}, DynamicMesh{2, 2},
                                  DynamicMesh{2, 3}, DynamicMesh{1, 4}, DynamicMesh{2, 2, 2}}) {
    CAPTURE(to_string(mesh));
    CHECK(check_all(op, mesh, ++seed) > 1);
  }
}

// Whether some strategy cuts dim `dim` of operand `operand` into tiles on a mesh.
bool can_cut(const Rule& rule, std::size_t operand, std::size_t dim, const DynamicMesh& mesh) {
  bool found = false;
  strategy::for_each_strategy(rule, mesh, {}, [&](const strategy::Strategy& strategy) {
    const DynamicSharding sharding = strategy::sharding_of(rule, strategy, operand);
    found = found || shard_count(sharding, mesh, dim) > 1;
  });
  return found;
}

std::size_t size(Extent value) { return static_cast<std::size_t>(value); }

bool contains(const std::vector<Extent>& list, std::size_t d) {
  return std::find(list.begin(), list.end(), static_cast<Extent>(d)) != list.end();
}

// The slice of the dims that are listed: those that an op sums over.
Slice some_dims(const Piece& piece, const std::vector<Extent>& dims) {
  Slice slice;
  for (const Extent d : dims) slice.push_back(piece.slice[size(d)]);
  return slice;
}

// --- Products ------------------------------------------------------------------------------------

Judged product(const std::vector<Dims>& in, const DotDims& dims) {
  return {dot_rule(in[0], in[1], dims), in, [dims](const Pieces& x, const Index& at) {
            std::int64_t sum = 0;
            for_each_element(some_dims(x[0], dims.lhs_contracting), [&](const Index& k) {
              Index l(x[0].whole.size()), r(x[1].whole.size());
              std::size_t next = 0;
              for (std::size_t i = 0; i < dims.lhs_batch.size(); ++i)
                l[size(dims.lhs_batch[i])] = r[size(dims.rhs_batch[i])] = at[next++];
              for (std::size_t i = 0; i < dims.lhs_contracting.size(); ++i)
                l[size(dims.lhs_contracting[i])] = r[size(dims.rhs_contracting[i])] = k[i];
              for (std::size_t d = 0; d < l.size(); ++d)
                if (!contains(dims.lhs_batch, d) && !contains(dims.lhs_contracting, d))
                  l[d] = at[next++];
              for (std::size_t d = 0; d < r.size(); ++d)
                if (!contains(dims.rhs_batch, d) && !contains(dims.rhs_contracting, d))
                  r[d] = at[next++];
              sum += x[0](l) * x[1](r);
            });
            return sum;
          }};
}

TEST_CASE("matrix products") {
  for (const std::vector<Dims>& in :
       {std::vector<Dims>{{4, 8}, {8, 6}}, std::vector<Dims>{{5, 7}, {7, 3}},
        std::vector<Dims>{{1, 4}, {4, 9}}})
    check_on_meshes(product(in, {{1}, {0}, {}, {}}));
}

TEST_CASE("products whose batch and contracting dims are any, in any order") {
  check_on_meshes(product({{2, 3, 4, 5}, {4, 5, 3, 2}}, {{3}, {1}, {0, 2}, {3, 0}}));
  check_on_meshes(product({{4, 2, 6}, {6, 4, 3}}, {{0, 2}, {1, 0}, {}, {}}));
  check_on_meshes(product({{4, 6}, {4, 6}}, {{}, {}, {0, 1}, {0, 1}}));
}

// --- Element by element --------------------------------------------------------------------------

constexpr ReductionSet sum = reduction_set(Reduction::sum);

Judged elementwise(const std::vector<Dims>& in, const std::vector<PartialPass>& passes,
                   std::function<std::int64_t(std::int64_t, std::int64_t)> f) {
  return {elementwise_rule(in, in[0], passes), in, [f](const Pieces& x, const Index& at) {
            return f(x[0](at), x[1](x[1].whole.empty() ? Index{} : at));
          }};
}

TEST_CASE("elementwise ops, and the sums that pass through them") {
  const std::vector<Dims> in{{4, 6}, {4, 6}};
  check_on_meshes(elementwise(in, {{sum, 0b11}}, [](auto a, auto b) { return a + b; }));
  check_on_meshes(elementwise(in, {{sum, 0b11}}, [](auto a, auto b) { return a - b; }));
  check_on_meshes(
      elementwise(in, {{sum, 0b01}, {sum, 0b10}}, [](auto a, auto b) { return a * b; }));
  check_on_meshes(elementwise(in, {}, [](auto a, auto b) { return std::max(a, b); }));
  check_on_meshes(elementwise({{4, 6}, {}}, {}, [](auto a, auto b) { return a / (b + 10); }));
}

TEST_CASE("selections let partial results through both branches") {
  const std::vector<Dims> in{{4, 6}, {4, 6}, {4, 6}};
  const PartialPass pass{any_reduction, 0b110};
  check_on_meshes(
      {elementwise_rule(in, in[0], std::span(&pass, 1)), in,
       [](const Pieces& x, const Index& at) { return x[0](at) > 0 ? x[1](at) : x[2](at); }});
}

TEST_CASE("iota and random numbers: each device makes those of its shard") {
  check_on_meshes({source_rule({5, 6}), {}, [](const Pieces&, const Index& at) { return at[1]; }});
  const Dims results[] = {{2}, {6, 5}};
  const auto draw = [](const Pieces& x, const Index& at) {
    return x[0]({0}) * 31 + x[0]({1}) * 17 + at[0] * 7 + at[1];  // a counter's worth of noise
  };
  check_on_meshes({random_bits_rule({2}, results), {{2}}, draw, 1});
}

// --- Shapes --------------------------------------------------------------------------------------

TEST_CASE("broadcasts") {
  const std::vector<Extent> dimensions{0, 2};
  check_on_meshes(
      {broadcast_rule({4, 3, 5}, dimensions), {{4, 5}}, [](const Pieces& x, const Index& at) {
         return x[0]({at[0], at[2]});
       }});
}

TEST_CASE("transposes") {
  const std::vector<Extent> permutation{2, 0, 1};
  check_on_meshes(
      {transpose_rule({4, 3, 6}, permutation), {{4, 3, 6}}, [](const Pieces& x, const Index& at) {
         return x[0]({at[1], at[2], at[0]});
       }});
}

TEST_CASE("reversals") {
  const std::vector<Extent> reversed{1};
  check_on_meshes({reverse_rule({4, 5}, reversed), {{4, 5}}, [](const Pieces& x, const Index& at) {
                     return x[0]({at[0], 4 - at[1]});
                   }});
}

TEST_CASE("reshapes: a shard of the operand reshapes to the shard of the result") {
  const Dims shapes[] = {{4, 6},  {24},   {2, 12}, {2, 2, 6}, {4, 3, 2},
                         {1, 24}, {8, 3}, {6, 4},  {12, 1, 2}};
  const auto reshaped = [](const Dims& from, const Dims& to) {
    return [from, to](const Pieces& x, const Index& at) {
      Extent flat = 0;
      for (std::size_t d = 0; d < to.size(); ++d) flat = flat * to[d] + at[d];
      Index source(from.size());
      for (std::size_t d = from.size(); d-- > 0; flat /= from[d]) source[d] = flat % from[d];
      return x[0](source);
    };
  };
  for (const Dims& from : shapes)
    for (const Dims& to : shapes)
      for (const DynamicMesh& mesh : {DynamicMesh{2}, DynamicMesh{2, 2}, DynamicMesh{3, 2}}) {
        CAPTURE(to_string(from));
        CAPTURE(to_string(to));
        CAPTURE(to_string(mesh));
        CHECK(check_all({reshape_rule(from, to), {from}, reshaped(from, to)}, mesh, 1) >= 1);
      }
}

TEST_CASE("concatenations: the operands are whole along the dim, the result need not be") {
  const std::vector<Dims> in{{4, 6}, {4, 2}};
  const Judged op{concatenate_rule(in, {4, 8}, 1), in, [](const Pieces& x, const Index& at) {
                    return at[1] < 6 ? x[0](at) : x[1]({at[0], at[1] - 6});
                  }};
  check_on_meshes(op);
  CHECK(can_cut(op.rule, 2, 1, DynamicMesh{2}));
  CHECK_FALSE(can_cut(op.rule, 0, 1, DynamicMesh{2}));
}

// Each dim's slice by its start and stride.
Judged slicing(const Dims& operand, const std::vector<std::array<Extent, 2>>& starts_and_strides,
               const Dims& result) {
  std::vector<SliceRange> slice;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const auto [start, stride] = starts_and_strides[d];
    slice.push_back({start, start + (result[d] - 1) * stride + 1, stride});
  }
  return {slice_rule(operand, result, slice), {operand}, [slice](const Pieces& x, const Index& at) {
            Index from = at;
            for (std::size_t d = 0; d < from.size(); ++d)
              from[d] = slice[d].start + at[d] * slice[d].stride;
            // Where a small slice is taken from a split dim, others have the element.
            return x[0].value_or_zero(from);
          }};
}

TEST_CASE("slices slide along a dim that they keep half of, and are partial sums of others") {
  for (const Judged& op :
       {slicing({9, 5}, {{1, 1}, {0, 1}}, {8, 5}), slicing({8, 5}, {{0, 1}, {0, 1}}, {7, 5}),
        slicing({12, 5}, {{1, 2}, {0, 1}}, {6, 5}), slicing({12, 3}, {{2, 1}, {0, 1}}, {8, 3}),
        slicing({12, 6}, {{1, 1}, {4, 1}}, {11, 1}), slicing({8, 5}, {{3, 1}, {0, 1}}, {2, 5})})
    check_on_meshes(op);
  CHECK(can_cut(slicing({9, 5}, {{1, 1}, {0, 1}}, {8, 5}).rule, 0, 0, DynamicMesh{2}));
  CHECK(can_cut(slicing({8, 5}, {{3, 1}, {0, 1}}, {2, 5}).rule, 0, 0, DynamicMesh{4}));
}

Judged padding(const Dims& operand, const std::vector<PaddingRange>& pads, const Dims& result) {
  return {pad_rule(operand, result, pads), {operand, {}}, [pads](const Pieces& x, const Index& at) {
            Index from = at;
            for (std::size_t d = 0; d < from.size(); ++d) {
              const Extent step = pads[d].interior + 1, moved = at[d] - pads[d].low;
              if (moved < 0 || moved % step != 0 || moved / step >= x[0].whole[d]) return x[1]({});
              from[d] = moved / step;
            }
            return x[0](from);
          }};
}

TEST_CASE("paddings: low, high, inside, and less than nothing") {
  for (const Judged& op :
       {padding({7, 5}, {{1, 0, 0}, {0, 0, 0}}, {8, 5}), padding({4, 5}, {{1, 2, 0}, {}}, {7, 5}),
        padding({6, 3}, {{0, 1, 1}, {}}, {12, 3}), padding({8, 3}, {{-1, 2, 0}, {}}, {9, 3}),
        padding({2, 3}, {{5, 5, 0}, {}}, {12, 3}), padding({5, 4}, {{}, {2, 1, 2}}, {5, 13})})
    check_on_meshes(op);
  CHECK(can_cut(padding({7, 5}, {{1, 0, 0}, {0, 0, 0}}, {8, 5}).rule, 0, 0, DynamicMesh{4}));
}

TEST_CASE("slices at places known at run time only, and updates there") {
  const auto start = [](const Pieces& x, std::size_t operand, Extent last) {
    return std::clamp<Extent>(x[operand]({}), 0, last);
  };
  const std::vector<Dims> scalars(2);
  check_on_meshes({dynamic_slice_rule({8, 6}, {3, 6}, scalars),
                   {{8, 6}, {}, {}},
                   [=](const Pieces& x, const Index& at) {
                     return x[0].value_or_zero({start(x, 1, 5) + at[0], at[1]});
                   }});
  check_on_meshes({dynamic_update_slice_rule({8, 6}, {3, 6}, scalars),
                   {{8, 6}, {3, 6}, {}, {}},
                   [=](const Pieces& x, const Index& at) {
                     const Extent row = at[0] - start(x, 2, 5);
                     return row >= 0 && row < 3 ? x[1]({row, at[1]}) : x[0](at);
                   }});
}

// --- Sums and windows ----------------------------------------------------------------------------

TEST_CASE("sums: the initial value is added once") {
  const std::vector<Extent> over{0, 2};
  check_on_meshes({reduce_rule({4, 3, 6}, over, Reduction::sum),
                   {{4, 3, 6}, {}},
                   [](const Pieces& x, const Index& at) {
                     std::int64_t total = x[1]({});
                     for_each_element(some_dims(x[0], {0, 2}), [&](const Index& k) {
                       total += x[0]({k[0], at[0], k[1]});
                     });
                     return total;
                   }});
}

TEST_CASE("reductions of several operands keep the reduced dims whole") {
  const std::vector<Extent> over{1};
  check_on_meshes({variadic_reduce_rule({4, 6}, 2, over),
                   {{4, 6}, {4, 6}, {}, {}},
                   [](const Pieces& x, const Index& at) {
                     Extent best = 0;
                     for (Extent k = 1; k < 6; ++k)
                       if (x[0]({at[0], k}) > x[0]({at[0], best})) best = k;
                     return x[1]({at[0], best});
                   },
                   1});
}

// The windows that a result's element sees: calls visit(index of the element) for those inside.
void for_each_in_window(const Dims& operand, const std::vector<WindowDim>& slides, const Index& at,
                        const std::function<void(const Index&)>& visit) {
  Dims window;
  for (const WindowDim& slide : slides) window.push_back(slide.size);
  for_each_element(window, [&](const Index& k) {
    Index from(at.size());
    for (std::size_t d = 0; d < at.size(); ++d) {
      const Extent place = at[d] * slides[d].stride + k[d] * slides[d].rhs_dilate -
                           slides[d].pad_low;
      if (place < 0 || place % slides[d].lhs_dilate != 0) return;
      from[d] = place / slides[d].lhs_dilate;
      if (from[d] >= operand[d]) return;
    }
    visit(from);
  });
}

Judged window_sum(const Dims& operand, const std::vector<WindowDim>& slides, const Dims& result,
                  Reduction reduction) {
  return {reduce_window_rule(operand, result, 1, slides, reduction),
          {operand, {}},
          [=](const Pieces& x, const Index& at) {
            std::int64_t total = x[1]({});
            for_each_in_window(operand, slides, at, [&](const Index& from) {
              total = tessera_test::combined(reduction, total, x[0](from));
            });
            return total;
          }};
}

constexpr WindowDim point;

TEST_CASE("windows that slide: tiles with the rims of their neighbours") {
  for (const Reduction reduction : {Reduction::sum, Reduction::max}) {
    check_on_meshes(window_sum({8, 3}, {{3, 1, 1}, point}, {8, 3}, reduction));
    check_on_meshes(window_sum({12, 3}, {{2, 2, 0}, point}, {6, 3}, reduction));
    check_on_meshes(window_sum({12, 3}, {{3, 2, 1}, point}, {6, 3}, reduction));
    check_on_meshes(window_sum({9, 3}, {{3, 1, 0}, point}, {7, 3}, reduction));
    check_on_meshes(window_sum({8, 6}, {{3, 1, 1}, {3, 1, 1}}, {8, 6}, reduction));
    check_on_meshes(window_sum({12, 3}, {{3, 1, 2, 0, 1, 2}, point}, {12, 3}, reduction));
    check_on_meshes(window_sum({6, 3}, {{3, 1, 1, 0, 2, 1}, point}, {11, 3}, reduction));
  }
  // A running sum sees all that came before: too far for neighbours.
  const Judged running = window_sum({8, 4}, {{8, 1, 7}, point}, {8, 4}, Reduction::sum);
  check_on_meshes(running);
  CHECK_FALSE(can_cut(running.rule, 0, 0, DynamicMesh{4}));
  CHECK(can_cut(window_sum({8, 3}, {{3, 1, 1}, point}, {8, 3}, Reduction::sum).rule, 0, 0,
                DynamicMesh{4}));
}

TEST_CASE("the selected elements of windows take what is scattered") {
  const auto scattering = [](const Dims& operand, const std::vector<WindowDim>& slides,
                             const Dims& source) {
    const auto element = [=](const Pieces& x, const Index& at) {
      std::int64_t total = x[2]({});
      for_each_element(source, [&](const Index& o) {
        bool touches = false;
        for_each_in_window(operand, slides, o,
                           [&](const Index& from) { touches = touches || from == at; });
        if (!touches) return;
        Index best;
        for_each_in_window(operand, slides, o, [&](const Index& from) {
          if (best.empty() || x[0](from) > x[0](best)) best = from;
        });
        if (best == at) total += x[1](o);
      });
      return total;
    };
    return Judged{select_and_scatter_rule(operand, source, slides, Reduction::sum),
                  {operand, source, {}},
                  element};
  };
  check_on_meshes(scattering({12, 3}, {{2, 2, 0}, point}, {6, 3}));
  check_on_meshes(scattering({12, 3}, {{3, 2, 1}, point}, {6, 3}));
  check_on_meshes(scattering({9, 3}, {{3, 1, 0}, point}, {7, 3}));
  CHECK(can_cut(
      select_and_scatter_rule(Dims{12}, Dims{6}, std::vector<WindowDim>{{3, 2, 1}}, Reduction::sum),
      1, 0, DynamicMesh{3}));
}

// --- Convolutions --------------------------------------------------------------------------------

// Dims are batch, space, feature; space, in, out; batch, space, feature.
Judged convolution(const Dims& input, const Dims& kernel, const Dims& output,
                   const std::vector<WindowDim>& slides, Extent feature_groups = 1,
                   Extent batch_groups = 1) {
  ConvolutionDims dims;
  const std::size_t space = slides.size();
  dims.input_feature = dims.output_feature = space + 1;
  dims.kernel_input = space;
  dims.kernel_output = space + 1;
  for (std::size_t s = 0; s < space; ++s) {
    dims.input_space.push_back(s + 1);
    dims.kernel_space.push_back(s);
    dims.output_space.push_back(s + 1);
  }
  dims.feature_groups = feature_groups;
  dims.batch_groups = batch_groups;
  const auto element = [=](const Pieces& x, const Index& at) {
    std::int64_t total = 0;
    const Extent out = at[space + 1];
    const Extent group = out / (output[space + 1] / (feature_groups * batch_groups));
    Slice summed = x[1].slice;  // what the device holds of the kernel; its output feature is given
    summed[space + 1] = {out, out + 1};
    for_each_element(summed, [&](const Index& k) {
      Index from(space + 2);
      from[0] = at[0] + (batch_groups > 1 ? group * output[0] : 0);
      from[space + 1] = k[space] + (feature_groups > 1 ? group * kernel[space] : 0);
      for (std::size_t s = 0; s < space; ++s) {
        const WindowDim& slide = slides[s];
        const Extent tap = slide.is_reversed ? kernel[s] - 1 - k[s] : k[s];
        const Extent place = at[s + 1] * slide.stride + tap * slide.rhs_dilate - slide.pad_low;
        if (place < 0 || place % slide.lhs_dilate != 0) return;
        from[s + 1] = place / slide.lhs_dilate;
        if (from[s + 1] >= input[s + 1]) return;
      }
      // Input features that are split go with the kernel's.
      total += x[0](from) * x[1](k);
    });
    return total;
  };
  return {convolution_rule(input, kernel, output, dims, slides), {input, kernel}, element};
}

TEST_CASE("convolutions: batch, features, space with halos") {
  check_on_meshes(convolution({4, 8, 4}, {3, 4, 6}, {4, 8, 6}, {{3, 1, 1}}));
  check_on_meshes(convolution({3, 12, 2}, {3, 2, 4}, {3, 6, 4}, {{3, 2, 1}}));
  check_on_meshes(convolution({2, 9, 2}, {3, 2, 3}, {2, 7, 3}, {{3, 1, 0}}));
  check_on_meshes(convolution({2, 6, 6, 2}, {3, 3, 2, 2}, {2, 6, 6, 2}, {{3, 1, 1}, {3, 1, 1}}));
  check_on_meshes(convolution({4, 8, 4}, {1, 4, 6}, {4, 8, 6}, {point}));
  const Judged layer = convolution({1, 8, 4}, {3, 4, 6}, {1, 8, 6}, {{3, 1, 1}});
  CHECK(can_cut(layer.rule, 0, 1, DynamicMesh{4}));
  CHECK(can_cut(layer.rule, 2, 1, DynamicMesh{4}));
}

TEST_CASE(
    "gradients of convolutions: of the input, dilated and reversed; of the kernel, over space") {
  check_on_meshes(convolution({2, 6, 4}, {3, 4, 2}, {2, 12, 2}, {{3, 1, 1, 0, 2, 1, true}}));
  const Judged kernel = convolution({2, 8, 4}, {8, 4, 2}, {2, 3, 2}, {{8, 1, 1}});
  check_on_meshes(kernel);
  check_on_meshes(convolution({2, 8, 4}, {4, 4, 2}, {2, 3, 2}, {{4, 1, 1, 0, 1, 2}}));
  CHECK(can_cut(kernel.rule, 1, 0, DynamicMesh{4}));
}

TEST_CASE("convolutions in groups: by feature, depthwise, by batch") {
  check_on_meshes(convolution({2, 6, 8}, {3, 2, 8}, {2, 6, 8}, {{3, 1, 1}}, 4));
  check_on_meshes(convolution({2, 6, 6}, {3, 1, 12}, {2, 6, 12}, {{3, 1, 1}}, 6));
  check_on_meshes(convolution({8, 6, 4}, {3, 4, 8}, {2, 6, 8}, {{3, 1, 1}}, 1, 4));
  CHECK(
      can_cut(convolution({1, 2, 8}, {1, 1, 8}, {1, 2, 8}, {point}, 8).rule, 0, 2, DynamicMesh{8}));
}

TEST_CASE("property: convolutions of any window, stride, padding and dilation") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    WindowDim slide{random.between(1, 5), random.between(1, 3), random.between(-1, 3)};
    slide.lhs_dilate = random.once_in(3) ? 2 : 1;
    slide.rhs_dilate = random.once_in(3) ? 2 : 1;
    slide.is_reversed = random.once_in(4);
    const Extent in = random.between(4, 13), high = random.between(-1, 3);
    const Extent room = (in - 1) * slide.lhs_dilate + 1 + slide.pad_low + high - slide.reach();
    if (room < 0) continue;
    const Extent out = room / slide.stride + 1;
    const Judged op = convolution({2, in, 2}, {slide.size, 2, 2}, {2, out, 2}, {slide});
    for (const DynamicMesh& mesh : {DynamicMesh{2}, DynamicMesh{4}, DynamicMesh{2, 2}})
      CHECK(check_all(op, mesh, seed) > 1);
  }
}

TEST_CASE("property: halos are as wide as the widest need, and no wider") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Rule rule;
    const FactorId along = rule.add_factor({random.between(1, 20)});
    const Window window{along, random.between(1, 3), random.between(-3, 4), random.between(1, 5),
                        random.between(1, 3)};
    const Extent elements = random.between(1, 20), tiles = random.between(2, 5);
    rule.add_factor({elements, FactorKind::window, Reduction::none, -1, window});
    strategy::Halo widest;
    const Extent own = ceil_div(elements, tiles), step = ceil_div(rule.factor(along).size, tiles);
    for (Extent o = 0; o < rule.factor(along).size; ++o)
      for (Extent i = 0; i < elements; ++i) {
        const Extent place = i * window.dilation - (o * window.stride - window.low);
        if (place < 0 || place >= window.reach) continue;
        const Extent tile = o / step;
        widest.low = std::max(widest.low, tile * own - i);
        widest.high = std::max(widest.high, i + 1 - (tile + 1) * own);
      }
    const strategy::Halo halo = strategy::halo_of(rule, 1, tiles);
    // Elements between windows that have gaps come along with those around them.
    if (window.reach >= std::max(window.stride, window.dilation))
      CHECK(halo == widest);
    else
      CHECK((halo.low >= widest.low && halo.high >= widest.high));
  }
}

// --- Places named by indices ---------------------------------------------------------------------

TEST_CASE("gathers: rows of a table, whole or in part") {
  GatherDims dims;
  dims.offset_dims = {1};
  dims.collapsed_slice_dims = {0};
  dims.start_index_map = {0};
  dims.index_vector_dim = 1;
  dims.slice_sizes = {1, 6};
  const auto row = [](const Pieces& x, const Index& at) {
    return x[0].value_or_zero({x[1]({at[0]}), at[1]});
  };
  check_on_meshes({gather_rule({9, 6}, {4}, {4, 6}, dims), {{9, 6}, {4}}, row, 0, {0, 9}});
  dims.slice_sizes = {1, 4};
  check_on_meshes({gather_rule({9, 6}, {4}, {4, 4}, dims), {{9, 6}, {4}}, row, 0, {0, 9}});
}

TEST_CASE("gathers in batches") {
  GatherDims dims;
  dims.offset_dims = {};
  dims.operand_batching_dims = {0};
  dims.start_indices_batching_dims = {0};
  dims.collapsed_slice_dims = {1};
  dims.start_index_map = {1};
  dims.index_vector_dim = 2;
  dims.slice_sizes = {1, 1};
  check_on_meshes({gather_rule({4, 9}, {4, 3, 1}, {4, 3}, dims),
                   {{4, 9}, {4, 3, 1}},
                   [](const Pieces& x, const Index& at) {
                     return x[0].value_or_zero({at[0], x[1]({at[0], at[1], 0})});
                   },
                   0,
                   {0, 9}});
}

TEST_CASE("gathers whose batches are counted: each row's own target") {
  GatherDims dims;
  dims.collapsed_slice_dims = {0, 1};
  dims.start_index_map = {0, 1};
  dims.operand_batching_dims = {0};
  dims.start_indices_batching_dims = {0};
  dims.index_vector_dim = 1;
  dims.slice_sizes = {1, 1};
  check_on_meshes({gather_rule({6, 9}, {6, 2}, {6}, dims),
                   {{6, 9}, {6, 2}},
                   [](const Pieces& x, const Index& at) {
                     return x[0].value_or_zero({at[0], x[1]({at[0], 1})});
                   },
                   0,
                   {0, 9}});
}

TEST_CASE("scatters: sums, assignments, several operands") {
  ScatterDims dims;
  dims.update_window_dims = {1};
  dims.inserted_window_dims = {0};
  dims.scatter_dims_to_operand_dims = {0};
  dims.index_vector_dim = 1;
  // Operands, indices, updates.
  const auto scattered = [](std::size_t operand, std::size_t indices, std::size_t update,
                            bool is_sum) {
    return [=](const Pieces& x, const Index& at) {
      std::int64_t value = x[operand](at);
      for_each_element(some_dims(x[indices], {0}), [&](const Index& k) {
        if (x[indices](k) != at[0] || at[1] >= x[update].whole[1]) return;
        value = x[update]({k[0], at[1]}) + (is_sum ? value : 0);
      });
      return value;
    };
  };
  const std::vector<Dims> in{{9, 6}, {4}, {4, 6}};
  check_on_meshes({scatter_rule(in[0], in[1], in[2], dims, Reduction::sum),
                   in,
                   scattered(0, 1, 2, true),
                   0,
                   {0, 9}});
  check_on_meshes({scatter_rule(in[0], in[1], in[2], dims, Reduction::none),
                   in,
                   scattered(0, 1, 2, false),
                   0,
                   {0, 9}});
  check_on_meshes({scatter_rule(in[0], in[1], {4, 3}, dims, Reduction::none),
                   {in[0], in[1], {4, 3}},
                   scattered(0, 1, 2, false),
                   0,
                   {0, 9}});
  check_on_meshes({scatter_rule(in[0], in[1], in[2], dims, Reduction::none, 2),
                   {in[0], in[0], in[1], in[2], in[2]},
                   scattered(1, 2, 4, false),
                   1,
                   {0, 0, 9}});
}

// --- Whole rows and matrices ---------------------------------------------------------------------

TEST_CASE("sorting and the largest elements, along a dim that stays whole") {
  const std::vector<Extent> along{1};
  const Dims operand{4, 6}, largest{4, 2};
  const auto sorted = [](const Pieces& x, const Index& at) {
    std::vector<std::int64_t> row;
    for (Extent k = 0; k < 6; ++k) row.push_back(x[0]({at[0], k}));
    std::sort(row.rbegin(), row.rend());
    return row[size(at[1])];
  };
  check_on_meshes(
      {along_whole_rule(std::span(&operand, 1), std::span(&operand, 1), along), {operand}, sorted});
  check_on_meshes(
      {along_whole_rule(std::span(&operand, 1), std::span(&largest, 1), along), {operand}, sorted});
}

TEST_CASE("linear algebra on batches of matrices") {
  // Every element depends on all of its matrix.
  const auto folded = [](const Pieces& x, const Index& at) {
    std::int64_t fold = at[2] - at[3];
    for (Extent i = 0; i < 3; ++i)
      for (Extent j = 0; j < 3; ++j) fold = fold * 3 + x[0]({at[0], at[1], i, j});
    return fold;
  };
  const Dims matrices{4, 2, 3, 3};
  check_on_meshes({batched_rule(matrices, std::span(&matrices, 1), std::span(&matrices, 1), 2),
                   {matrices},
                   folded});
  const Dims rows{6, 4}, halves{6, 3};
  const PartialPass linear{sum, 0b1};
  check_on_meshes(
      {batched_rule(rows, std::span(&rows, 1), std::span(&halves, 1), 1, std::span(&linear, 1)),
       {rows},
       [](const Pieces& x, const Index& at) {
         std::int64_t total = 0;
         for (Extent k = 0; k < 4; ++k) total += (k + 1) * (at[1] + 2) * x[0]({at[0], k});
         return total;
       }});
}

TEST_CASE("triangular systems: each batch, and each right side") {
  for (const bool from_left : {true, false}) {
    const Dims b = from_left ? Dims{4, 3, 6} : Dims{4, 6, 3};
    check_on_meshes({triangular_solve_rule({4, 3, 3}, b, from_left),
                     {{4, 3, 3}, b},
                     [=](const Pieces& x, const Index& at) {
                       std::int64_t total = 0;  // linear in b, by all of its row or column
                       for (Extent k = 0; k < 3; ++k)
                         total += x[0]({at[0], k, from_left ? at[1] : at[2]}) *
                                  (from_left ? x[1]({at[0], k, at[2]}) : x[1]({at[0], at[1], k}));
                       return total;
                     }});
  }
}

TEST_CASE("the parts of a batch normalisation") {
  const Dims image{4, 3, 6}, vector{6};
  const std::vector<Dims> sums{image, vector, image};
  check_on_meshes({feature_sum_rule(sums, 2), sums, [](const Pieces& x, const Index& at) {
                     std::int64_t total = 0;
                     for_each_element(some_dims(x[0], {0, 1}), [&](const Index& k) {
                       const Index i{k[0], k[1], at[0]};
                       total += (x[0](i) - x[1](at)) * x[2](i);
                     });
                     return total;
                   }});
  const std::vector<Dims> scaled{image, vector, vector};
  check_on_meshes(
      {per_feature_rule(scaled, image, 2), scaled,
       [](const Pieces& x, const Index& at) { return x[0](at) * x[1]({at[2]}) + x[2]({at[2]}); }});
}

}  // namespace
