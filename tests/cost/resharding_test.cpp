// SPDX-License-Identifier: Apache-2.0
// Reshardings: of all sequences of steps none is cheaper, and each gives every device what it
// should hold, element by element.
#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "support/random.hpp"
#include "support/tensors.hpp"
#include "tessera/cost.hpp"

namespace {
using namespace tessera;
using tessera_test::combined;
using tessera_test::Dense;
using tessera_test::Piece;
using tessera_test::Random;

// --- All shardings, and the steps between them ---------------------------------------------------

// Whether every device's shard in `after` is a part of its shard in `before`, and no dim is cut
// into more tiles than it has elements: what can be had by slicing.
bool is_cut_of(DynamicSharding after, DynamicSharding before, const DynamicMesh& mesh,
               const Dims& dims) {
  for (std::size_t d = 0; d < dims.size(); ++d)
    if (shard_count(after, mesh, d) > std::max<Extent>(1, dims[d])) return false;
  for (Device device = 0; device < mesh.device_count(); ++device) {
    const Slice small = slice_of(after, mesh, dims, device);
    const Slice large = slice_of(before, mesh, dims, device);
    for (std::size_t d = 0; d < dims.size(); ++d)
      if (small[d].size() > 0 && (small[d].begin < large[d].begin || small[d].end > large[d].end))
        return false;
  }
  return true;
}

// Every sharding of the tensor, with partial results of these reductions.
std::vector<DynamicSharding> all_shardings(const DynamicMesh& mesh, const Dims& dims,
                                           const std::vector<Reduction>& reductions) {
  std::vector<DynamicSharding> found;
  std::unordered_map<DynamicSharding, char> seen;
  const std::function<void(DynamicSharding)> visit = [&](DynamicSharding sharding) {
    if (!seen.emplace(sharding, 1).second) return;
    found.push_back(sharding);
    for (Axis axis = 0; axis < mesh.rank(); ++axis) {
      if (mesh.extent(axis) == 1 || !sharding.is_replicated(axis)) continue;
      for (std::size_t dim = 0; dim < dims.size(); ++dim)
        if (const DynamicSharding cut = sharding.with_split(dim, axis);
            is_cut_of(cut, sharding, mesh, dims))
          visit(cut);
      for (const Reduction reduction : reductions)
        if (sharding.reduction() == Reduction::none || sharding.reduction() == reduction)
          visit(sharding.with_partial(axis, reduction));
    }
  };
  visit(DynamicSharding::replicated(dims.size()));
  return found;
}

// What `axis` does before and after, where nothing else differs and it is the minor-most of its
// dim.
std::optional<StepKind> step_between(DynamicSharding before, DynamicSharding after, Axis axis) {
  const auto is_bare = [&](DynamicSharding s) {
    return !s.is_split(axis) || s.is_minor_most(axis);
  };
  if (before == after || !is_bare(before) || !is_bare(after)) return std::nullopt;
  const auto rest = [&](DynamicSharding s) { return s.is_replicated(axis) ? s : s.without(axis); };
  if (rest(before) != rest(after)) return std::nullopt;
  if (before.is_replicated(axis)) return after.is_partial(axis) ? StepKind::mask : StepKind::slice;
  if (before.is_partial(axis)) {
    if (after.is_partial(axis)) return std::nullopt;  // of another reduction
    return after.is_split(axis) ? StepKind::reduce_scatter : StepKind::all_reduce;
  }
  if (after.is_partial(axis)) return std::nullopt;
  return after.is_split(axis) ? StepKind::all_to_all : StepKind::all_gather;
}

// Any prices will do: of each kind and axis one for a message, and one for its bytes.
struct AnyModel {
  std::array<std::array<std::array<Cost, 2>, 8>, 8> table{};

  explicit AnyModel(std::uint64_t seed) {
    Random random(seed);
    for (auto& kind : table)
      for (auto& axis : kind) axis = {random.between(0, 50), random.between(0, 9)};
  }
  Cost price(StepKind kind, Axis axis, Extent devices, cost::Message message) const {
    if (!is_collective(kind)) return 0;
    const auto [once, each] = table[static_cast<std::size_t>(kind)][axis];
    return once + each * devices * message.rounded_up();
  }
  static Cost denominator() { return 1; }
  static const char* unit() { return "any"; }
  static bool spreads_heavy_ops() { return false; }
};
static_assert(cost::CostModel<AnyModel>);

// The least price of all sequences of steps, for every pair: by Floyd and Warshall.
template<class Model>
std::vector<Cost> least_prices(const std::vector<DynamicSharding>& all, const DynamicMesh& mesh,
                               const Model& model, Extent bytes) {
  const std::size_t n = all.size();
  std::vector<Cost> least(n * n, infinite);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) least[i * n + j] = 0;
      for (Axis axis = 0; axis < mesh.rank(); ++axis) {
        const auto kind = step_between(all[i], all[j], axis);
        if (!kind) continue;
        Extent divided_by = 1;
        for (Axis other = 0; other < mesh.rank(); ++other)
          if (other != axis && all[i].is_split(other)) divided_by *= mesh.extent(other);
        const Cost price = is_collective(*kind)
                               ? model.price(*kind, axis, mesh.extent(axis), {bytes, divided_by})
                               : 0;
        least[i * n + j] = std::min(least[i * n + j], price);
      }
    }
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t i = 0; i < n; ++i) {
      if (!is_finite(least[i * n + k])) continue;
      for (std::size_t j = 0; j < n; ++j)
        least[i * n + j] =
            std::min(least[i * n + j], saturating_add(least[i * n + k], least[k * n + j]));
    }
  return least;
}

// --- Running steps on data -----------------------------------------------------------------------

// The devices that differ from `device` only along `axis`, itself among them.
std::vector<std::size_t> group_of(Device device, Axis axis, const DynamicMesh& mesh) {
  std::vector<std::size_t> group;
  Coordinates at = coordinates_of(mesh, device);
  for (Extent c = 0; c < mesh.extent(axis); ++c) {
    at[axis] = c;
    group.push_back(static_cast<std::size_t>(device_at(mesh, at)));
  }
  return group;
}

std::int64_t identity_of(Reduction reduction) { return reduction == Reduction::max ? -1000 : 0; }

// What every device holds.
using Memory = std::vector<Piece>;

// One step, as devices take it: each sees its own shard and those of its group along the axis.
Memory run_step(const Memory& before, const Step& step, DynamicSharding from, DynamicSharding to,
                const DynamicMesh& mesh) {
  Memory after;
  const Reduction reduction = step.kind == StepKind::mask ? to.reduction() : from.reduction();
  for (Device device = 0; device < mesh.device_count(); ++device) {
    const Piece& own = before[static_cast<std::size_t>(device)];
    const std::vector<std::size_t> group = group_of(device, step.axis, mesh);
    Piece next{Dense({}), slice_of(to, mesh, own.whole, device), own.whole};
    next.data = Dense(tessera_test::dims_of(next.slice));
    std::size_t at_element = 0;
    tessera_test::for_each_element(next.slice, [&](const std::vector<Extent>& at) {
      std::int64_t& value = next.data.data[at_element++];
      switch (step.kind) {
        case StepKind::slice: value = own(at); break;
        case StepKind::mask:
          value = coordinates_of(mesh, device)[step.axis] == 0 ? own(at) : identity_of(reduction);
          break;
        case StepKind::all_gather:
        case StepKind::all_to_all: {
          std::size_t holder = 0;
          while (holder < group.size() && !before[group[holder]].holds(at)) ++holder;
          REQUIRE(holder < group.size());
          value = before[group[holder]](at);
          break;
        }
        case StepKind::all_reduce:
        case StepKind::reduce_scatter:
          value = before[group[0]](at);
          for (std::size_t i = 1; i < group.size(); ++i)
            value = combined(reduction, value, before[group[i]](at));
          break;
        case StepKind::halo_exchange: FAIL("no step of a resharding");
      }
    });
    after.push_back(std::move(next));
  }
  return after;
}

// Whether the devices hold the tensor as the sharding says.
bool holds(const Memory& memory, const Dense& whole, DynamicSharding sharding,
           const DynamicMesh& mesh) {
  const std::vector<Axis> partial = [&] {
    std::vector<Axis> axes;
    for (const Axis axis : sharding.partial_axes().to_list()) axes.push_back(axis);
    return axes;
  }();
  for (Device device = 0; device < mesh.device_count(); ++device) {
    const Piece& own = memory[static_cast<std::size_t>(device)];
    if (!(own.slice == slice_of(sharding, mesh, whole.dims, device))) return false;
    // Copies are equal.
    for (Axis axis = 0; axis < mesh.rank(); ++axis)
      if (sharding.is_replicated(axis))
        for (const std::size_t other : group_of(device, axis, mesh))
          if (!(memory[other].data == own.data)) return false;
    // All parts together are the tensor's.
    std::vector<std::size_t> parts{static_cast<std::size_t>(device)};
    for (const Axis axis : partial) {
      std::vector<std::size_t> more;
      for (const std::size_t part : parts)
        for (const std::size_t other : group_of(static_cast<Device>(part), axis, mesh))
          more.push_back(other);
      parts = more;
    }
    bool is_right = true;
    tessera_test::for_each_element(own.slice, [&](const std::vector<Extent>& at) {
      std::int64_t value = memory[parts[0]](at);
      for (std::size_t i = 1; i < parts.size(); ++i)
        value = combined(sharding.reduction(), value, memory[parts[i]](at));
      is_right = is_right && value == whole(at);
    });
    if (!is_right) return false;
  }
  return true;
}

Memory spread(Random& random, const Dense& whole, DynamicSharding sharding,
              const DynamicMesh& mesh) {
  const tessera_test::Sharded sharded(random, whole, sharding, mesh);
  Memory memory;
  for (Device device = 0; device < mesh.device_count(); ++device)
    memory.push_back(sharded.piece(static_cast<std::size_t>(device)));
  return memory;
}

// --- Every pair ----------------------------------------------------------------------------------

struct Judge {
  DynamicMesh mesh;
  Dims dims;
  std::vector<Reduction> reductions;

  // Prices and paths between all pairs of shardings.  Returns how many pairs there were.
  template<class Model>
  std::size_t check_prices(const Model& model) const {
    const std::vector<DynamicSharding> all = all_shardings(mesh, dims, reductions);
    cost::TensorResharding tensor(mesh, model, dims, 4);
    const std::vector<Cost> least = least_prices(all, mesh, model, tensor.bytes());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t j = 0; j < all.size(); ++j) {
        const Cost price = tensor.price(all[i], all[j]);
        Cost total = 0;
        DynamicSharding at = all[i];
        for (const cost::PricedStep& step : tensor.path(all[i], all[j])) {
          total += step.price;
          at = apply(step.step, at, all[j].reduction());
        }
        if (price != least[i * all.size() + j] || total != price || at != all[j]) ++wrong;
      }
    CHECK(wrong == 0);
    return all.size() * all.size();
  }

  // Every path on real data.
  void check_data() const {
    const std::vector<DynamicSharding> all = all_shardings(mesh, dims, reductions);
    const cost::Alpa model = cost::Alpa::with_defaults(mesh.rank());
    cost::TensorResharding tensor(mesh, model, dims, 4);
    Random random(all.size());
    const Dense whole = tessera_test::random_dense(random, dims);
    std::size_t wrong = 0;
    for (const DynamicSharding from : all) {
      const Memory start = spread(random, whole, from, mesh);
      REQUIRE(holds(start, whole, from, mesh));
      for (const DynamicSharding to : all) {
        Memory memory = start;
        DynamicSharding at = from;
        for (const cost::PricedStep& step : tensor.path(from, to)) {
          const DynamicSharding next = apply(step.step, at, to.reduction());
          memory = run_step(memory, step.step, at, next, mesh);
          at = next;
        }
        if (!holds(memory, whole, to, mesh)) ++wrong;
      }
    }
    CHECK(wrong == 0);
  }
};

const DynamicMesh meshes[] = {DynamicMesh{2},    DynamicMesh{3},       DynamicMesh{2, 2},
                              DynamicMesh{1, 2}, DynamicMesh{2, 1, 2}, DynamicMesh{2, 2, 2}};
const Dims shapes[] = {{}, {8}, {7}, {8, 8}, {6, 5}, {8, 8, 8}, {4, 6, 3}};

TEST_CASE("no sequence of steps is cheaper: every pair, rank up to 3, meshes up to 2x2x2") {
  std::size_t pairs = 0;
  for (const DynamicMesh& mesh : meshes)
    for (const Dims& dims : shapes) {
      CAPTURE(to_string(mesh));
      CAPTURE(to_string(dims));
      const Judge judge{mesh, dims, {Reduction::sum}};
      pairs += judge.check_prices(cost::Alpa::with_defaults(mesh.rank()));
      judge.check_prices(AnyModel(pairs));
    }
  CHECK(pairs > 176 * 176);  // so many on 2x2x2 alone
}

TEST_CASE("no sequence of steps is cheaper where two reductions meet") {
  for (const DynamicMesh& mesh : {DynamicMesh{2, 2}, DynamicMesh{2, 2, 2}})
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      CAPTURE(seed);
      const Judge judge{mesh, {8, 8}, {Reduction::sum, Reduction::max}};
      judge.check_prices(AnyModel(seed));
    }
}

TEST_CASE("the steps give every device what it should hold, slice by slice") {
  for (const DynamicMesh& mesh : meshes)
    for (const Dims& dims : {Dims{}, Dims{7}, Dims{6, 5}}) {
      CAPTURE(to_string(mesh));
      CAPTURE(to_string(dims));
      Judge{mesh, dims, {Reduction::sum}}.check_data();
    }
  Judge{DynamicMesh{2, 2}, {4, 2, 4}, {Reduction::sum}}.check_data();
  Judge{DynamicMesh{2, 2, 2}, {2, 4, 2}, {Reduction::sum}}.check_data();
  Judge{DynamicMesh{2, 3}, {6, 7}, {Reduction::max}}.check_data();
}

}  // namespace
