// SPDX-License-Identifier: Apache-2.0
// The judge of rules: under every strategy, devices that run an op on their shards alone hold
// together what one device computes from the whole tensors.
#include <doctest/doctest.h>

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
using tessera_test::Random;
using tessera_test::Sharded;

// An op that can be run on whole tensors and on shards alike; `result` is the result's dims there.
using Run = std::function<Dense(const std::vector<Dense>& operands, const Dims& result)>;

// Runs every strategy of the rule on the mesh and compares.  Returns how many there were.
std::size_t check_all(const Rule& rule, const std::vector<Dims>& operands, const Run& run,
                      const DynamicMesh& mesh, std::uint64_t seed) {
  Random random(seed);
  std::vector<Dense> whole;
  for (const Dims& dims : operands) whole.push_back(tessera_test::random_dense(random, dims));
  const std::size_t result = rule.operand_count();
  const Dense expected = run(whole, rule.dims(result));

  std::size_t count = 0;
  strategy::for_each_strategy(rule, mesh, {}, [&](const strategy::Strategy& strategy) {
    const DynamicSharding computed = strategy::sharding_of(rule, strategy, result);
    if (strategy.handed_on != computed) return;  // reshardings are judged elsewhere
    ++count;
    CAPTURE(to_string(computed));
    std::vector<Sharded> shards;
    for (std::size_t i = 0; i < whole.size(); ++i)
      shards.emplace_back(random, whole[i], strategy::sharding_of(rule, strategy, i), mesh);
    // Sum what devices of different partial coordinates hold; others must agree.
    const Extent parts = extent_of(mesh, computed.partial_axes());
    std::vector<Dense> sums(static_cast<std::size_t>(parts), Dense(expected.dims));
    std::vector<std::vector<char>> known(sums.size(), std::vector<char>(expected.data.size(), 0));
    bool ok = true;
    for (Device device = 0; device < mesh.device_count(); ++device) {
      std::vector<Dense> local;
      for (const Sharded& sharded : shards)
        local.push_back(sharded[static_cast<std::size_t>(device)]);
      const Slice slice = slice_of(computed, mesh, expected.dims, device);
      Dims local_dims;
      for (const Range& range : slice) local_dims.push_back(range.size());
      const Dense got = run(local, local_dims);
      const std::size_t part = Sharded::part_of(computed, mesh, device);
      for_each_element(local_dims, [&](const std::vector<Extent>& at) {
        std::vector<Extent> global = at;
        for (std::size_t d = 0; d < global.size(); ++d) global[d] += slice[d].begin;
        const std::size_t i = expected.index(global);
        if (known[part][i] != 0 && sums[part].data[i] != got(at)) ok = false;
        known[part][i] = 1;
        sums[part].data[i] = got(at);
      });
    }
    Dense total(expected.dims);
    for (const Dense& sum : sums)
      for (std::size_t i = 0; i < total.data.size(); ++i) total.data[i] += sum.data[i];
    CHECK(ok);
    CHECK(total == expected);
  });
  return count;
}

// On meshes of one and two axes, with dims that divide and dims that do not.
void check_on_meshes(const std::function<std::size_t(const DynamicMesh&, std::uint64_t)>& check) {
  std::uint64_t seed = 0;
  for (const DynamicMesh& mesh : {DynamicMesh{2}, DynamicMesh{3}, DynamicMesh{2, 2},
                                  DynamicMesh{2, 3}, DynamicMesh{1, 4}, DynamicMesh{2, 2, 2}}) {
    CAPTURE(to_string(mesh));
    CHECK(check(mesh, ++seed) > 1);
  }
}

Dense product(const std::vector<Dense>& in, const Dims& result, const DotDims& dims) {
  Dense out(result);
  const auto contains = [](const std::vector<Extent>& list, std::size_t d) {
    return std::find(list.begin(), list.end(), static_cast<Extent>(d)) != list.end();
  };
  Dims summed;
  for (const Extent d : dims.lhs_contracting)
    summed.push_back(in[0].dims[static_cast<std::size_t>(d)]);
  for_each_element(result, [&](const std::vector<Extent>& at) {
    for_each_element(summed, [&](const std::vector<Extent>& k) {
      std::vector<Extent> l(in[0].dims.size()), r(in[1].dims.size());
      std::size_t next = 0;
      for (std::size_t i = 0; i < dims.lhs_batch.size(); ++i)
        l[static_cast<std::size_t>(dims.lhs_batch[i])] =
            r[static_cast<std::size_t>(dims.rhs_batch[i])] = at[next++];
      for (std::size_t i = 0; i < dims.lhs_contracting.size(); ++i)
        l[static_cast<std::size_t>(dims.lhs_contracting[i])] =
            r[static_cast<std::size_t>(dims.rhs_contracting[i])] = k[i];
      for (std::size_t d = 0; d < l.size(); ++d)
        if (!contains(dims.lhs_batch, d) && !contains(dims.lhs_contracting, d)) l[d] = at[next++];
      for (std::size_t d = 0; d < r.size(); ++d)
        if (!contains(dims.rhs_batch, d) && !contains(dims.rhs_contracting, d)) r[d] = at[next++];
      out(at) += in[0](l) * in[1](r);
    });
  });
  return out;
}

TEST_CASE("matrix products") {
  const DotDims plain{{1}, {0}, {}, {}};
  for (const std::vector<Dims>& in :
       {std::vector<Dims>{{4, 8}, {8, 6}}, std::vector<Dims>{{5, 7}, {7, 3}},
        std::vector<Dims>{{1, 4}, {4, 9}}})
    check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
      return check_all(
          dot_rule(in[0], in[1], plain), in,
          [&](const auto& x, const Dims& out) { return product(x, out, plain); }, mesh, seed);
    });
}

TEST_CASE("batched products whose dims are in any order") {
  const DotDims batched{{3}, {1}, {0, 2}, {3, 0}};
  check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
    const std::vector<Dims> in{{2, 3, 4, 5}, {4, 5, 3, 2}};
    return check_all(
        dot_rule(in[0], in[1], batched), in,
        [&](const auto& x, const Dims& out) { return product(x, out, batched); }, mesh, seed);
  });
}

Run elementwise(std::function<std::int64_t(std::int64_t, std::int64_t)> f) {
  return [f](const std::vector<Dense>& in, const Dims& out) {
    Dense result(out);
    for (std::size_t i = 0; i < result.data.size(); ++i)
      result.data[i] = f(in[0].data[i], in.size() > 1 ? in[1].data[i] : 0);
    return result;
  };
}

TEST_CASE("elementwise ops, and the sums that pass through them") {
  const std::vector<Dims> in{{4, 6}, {4, 6}};
  constexpr ReductionSet sum = reduction_set(Reduction::sum);
  const auto check = [&](std::vector<PartialPass> passes,
                         std::function<std::int64_t(std::int64_t, std::int64_t)> f) {
    check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
      return check_all(elementwise_rule(in, in[0], passes), in, elementwise(f), mesh, seed);
    });
  };
  check({{sum, 0b11}}, [](auto a, auto b) { return a + b; });
  check({{sum, 0b11}}, [](auto a, auto b) { return a - b; });
  check({{sum, 0b01}, {sum, 0b10}}, [](auto a, auto b) { return a * b; });
  check({}, [](auto a, auto b) { return std::max(a, b); });
}

TEST_CASE("selections let partial results through both branches") {
  const std::vector<Dims> in{{4, 6}, {4, 6}, {4, 6}};
  const PartialPass pass{any_reduction, 0b110};
  const Run run = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    for (std::size_t i = 0; i < result.data.size(); ++i)
      result.data[i] = x[0].data[i] > 0 ? x[1].data[i] : x[2].data[i];
    return result;
  };
  check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
    return check_all(elementwise_rule(in, in[0], std::span(&pass, 1)), in, run, mesh, seed);
  });
}

TEST_CASE("broadcasts") {
  const std::vector<Extent> dimensions{0, 2};
  const std::vector<Dims> in{{4, 5}};
  const Run run = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    for_each_element(out, [&](const auto& at) { result(at) = x[0]({at[0], at[2]}); });
    return result;
  };
  check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
    return check_all(broadcast_rule({4, 3, 5}, dimensions), in, run, mesh, seed);
  });
}

TEST_CASE("transposes") {
  const std::vector<Extent> permutation{2, 0, 1};
  const std::vector<Dims> in{{4, 3, 6}};
  const Run run = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    for_each_element(out, [&](const auto& at) { result(at) = x[0]({at[1], at[2], at[0]}); });
    return result;
  };
  check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
    return check_all(transpose_rule(in[0], permutation), in, run, mesh, seed);
  });
}

TEST_CASE("reshapes: a shard of the operand reshapes to the shard of the result") {
  const Run run = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    REQUIRE(result.data.size() == x[0].data.size());
    result.data = x[0].data;
    return result;
  };
  const Dims shapes[] = {{4, 6},  {24},   {2, 12}, {2, 2, 6}, {4, 3, 2},
                         {1, 24}, {8, 3}, {6, 4},  {12, 1, 2}};
  for (const Dims& from : shapes)
    for (const Dims& to : shapes)
      for (const DynamicMesh& mesh : {DynamicMesh{2}, DynamicMesh{2, 2}, DynamicMesh{3, 2}}) {
        CAPTURE(to_string(from));
        CAPTURE(to_string(to));
        CAPTURE(to_string(mesh));
        CHECK(check_all(reshape_rule(from, to), {from}, run, mesh, 1) >= 1);
      }
}

TEST_CASE("sums: the initial value is added once") {
  const std::vector<Extent> over{0, 2};
  const std::vector<Dims> in{{4, 3, 6}, {}};
  const Run run = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    for (auto& value : result.data) value = x[1].data[0];
    for_each_element(x[0].dims, [&](const auto& at) { result({at[1]}) += x[0](at); });
    return result;
  };
  check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
    return check_all(reduce_rule(in[0], over, Reduction::sum), in, run, mesh, seed);
  });
}

TEST_CASE("concatenations") {
  const std::vector<Dims> in{{4, 6}, {4, 2}};
  const Run run = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    for_each_element(out, [&](const auto& at) {
      const Extent first = x[0].dims[1];
      result(at) = at[1] < first ? x[0](at) : x[1]({at[0], at[1] - first});
    });
    return result;
  };
  check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
    return check_all(concatenate_rule(in, {4, 8}, 1), in, run, mesh, seed);
  });
}

TEST_CASE("slices, paddings and their linearity") {
  const std::vector<Extent> padded{0};
  const Run cut = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    for_each_element(out, [&](const auto& at) { result(at) = x[0]({at[0] + 1, at[1]}); });
    return result;
  };
  const Run pad = [](const std::vector<Dense>& x, const Dims& out) {
    Dense result(out);
    for_each_element(out, [&](const auto& at) {
      const bool inside = at[0] >= 1 && at[0] < 1 + x[0].dims[0];
      result(at) = inside ? x[0]({at[0] - 1, at[1]}) : x[1].data[0];
    });
    return result;
  };
  check_on_meshes([&](const DynamicMesh& mesh, std::uint64_t seed) {
    return check_all(slice_rule({6, 5}, {3, 5}), {{6, 5}}, cut, mesh, seed) +
           check_all(pad_rule({4, 5}, {7, 5}, padded), {{4, 5}, {}}, pad, mesh, seed);
  });
}

}  // namespace
