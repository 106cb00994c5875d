// SPDX-License-Identifier: Apache-2.0
// Annotations: what is asked for is had, or refused by name; what is left open is the solver's.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "support/random.hpp"
#include "tessera/cost.hpp"
#include "tessera/graph.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/annotations.hpp"
#include "tessera/io/hlo/emit.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/plan.hpp"

namespace {
using namespace tessera;
using namespace tessera::io::hlo;
using tessera_test::model_file;

// --- From devices to axes ------------------------------------------------------------------------

// Every sharding of a tensor of `rank` large dims, partial sums included.
void for_each_sharding(const DynamicMesh& mesh, std::size_t rank,
                       const std::function<void(DynamicSharding)>& visit) {
  const std::function<void(DynamicSharding, AxisSet)> grow = [&](DynamicSharding sharding,
                                                                 AxisSet left) {
    visit(sharding);
    // Dims are filled one after the other, so that none comes twice.
    std::size_t last = 0;
    for (const Axis axis : sharding.split_axes().to_list())
      last = std::max(last, sharding.dim_of(axis));
    const Axis least =
        sharding.partial_axes().empty()
            ? Axis{0}
            : static_cast<Axis>(
                  sharding.partial_axes().to_list()[sharding.partial_axes().size() - 1] + 1);
    for (const Axis axis : left.to_list()) {
      if (mesh.extent(axis) == 1) continue;
      AxisSet rest = left;
      rest.erase(axis);
      for (std::size_t dim = last; dim < rank && sharding.partial_axes().empty(); ++dim)
        grow(sharding.with_split(dim, axis), rest);
      if (axis >= least) grow(sharding.with_partial(axis, Reduction::sum), rest);
    }
  };
  grow(DynamicSharding::replicated(rank), all_axes(mesh));
}

TEST_CASE("the axes of a sharding in HLO's words are found again") {
  for (const DynamicMesh& mesh : {DynamicMesh{4}, DynamicMesh{2, 4}, DynamicMesh{3, 3},
                                  DynamicMesh{2, 1, 2}, DynamicMesh{2, 2, 2}})
    for (const std::size_t rank : {0U, 1U, 2U, 3U}) {
      std::size_t count = 0;
      for_each_sharding(mesh, rank, [&](DynamicSharding sharding) {
        ++count;
        const std::string text = notation::hlo_text(sharding, mesh);
        CAPTURE(text);
        const auto leaves = notation::parse_hlo_sharding(text);
        REQUIRE(leaves.size() == 1);
        CHECK(notation::from_hlo(leaves[0], mesh, rank) == sharding);
      });
      CHECK(count > rank);
    }
}

TEST_CASE("shardings that no axes can express are refused") {
  const auto found = [](const char* text, const DynamicMesh& mesh, std::size_t rank) {
    const auto sharding = notation::from_hlo(notation::parse_hlo_sharding(text)[0], mesh, rank);
    return sharding ? to_string(*sharding) : std::string("none");
  };
  const DynamicMesh mesh{2, 4};
  CHECK(found("{devices=[2,1,4]<=[8] last_tile_dim_replicate}", mesh, 2) == "[[0], []]");
  CHECK(found("{devices=[4,2]<=[2,4]T(1,0)}", mesh, 2) == "[[1], [0]]");
  CHECK(found("{devices=[8]<=[2,4]T(1,0)}", mesh, 1) == "[[1, 0]]");
  CHECK(found("{devices=[1,1,8]<=[8] last_tile_dim_replicate}", mesh, 2) == "[[], []]");
  // Copies stand in any order.
  CHECK(found("{devices=[2,4]3,1,0,2,7,6,5,4 last_tile_dim_replicate}", mesh, 1) == "[[0]]");
  // Half an axis; another number of devices; an order of devices that no axes have.
  CHECK(found("{devices=[2,4]<=[2,2,2]T(1,0,2) last_tile_dim_replicate}", mesh, 1) == "none");
  CHECK(found("{devices=[2,4]<=[2,2,2]T(1,0,2) last_tile_dim_replicate}", DynamicMesh{2, 2, 2},
              1) == "[[1]]");
  CHECK(found("{devices=[2]0,1}", mesh, 1) == "none");
  CHECK(found("{devices=[8]0,1,2,3,4,5,7,6}", mesh, 1) == "none");
  CHECK(found("{devices=[8]8,1,2,3,4,5,7,6}", mesh, 1) == "none");
  CHECK(found("{devices=[2,1,4]<=[8] last_tile_dims={manual}}", mesh, 2) == "none");
  CHECK(found("{maximal device=0}", mesh, 1) == "none");
  CHECK(found("{devices=[2,4]<=[8]}", mesh, 1) == "none");
}

// --- In a plan -----------------------------------------------------------------------------------

struct Planned {
  Module module;
  Program program;
  plan::Plan plan;

  // The sharding in which an instruction of the entry leaves its value.
  std::string of(const std::string& name, std::size_t leaf = 0) const {
    const auto& instructions = module.computations[module.entry].instructions;
    for (std::size_t i = 0; i < instructions.size(); ++i)
      if (instructions[i].name == name) {
        const Value value = program.values[module.entry][i].back()[leaf];
        return to_string(plan.ops[value.op].results[value.result]);
      }
    return "no such instruction";
  }
};

Planned planned(const std::string& text, const DynamicMesh& mesh,
                Annotations kept = Annotations::all) {
  ImportOptions options;
  options.annotations = kept;
  Planned result{read_module(text, "t.hlo"), {}, {}};
  result.program = import_module(result.module, options);
  plan::Options wanted;
  wanted.annotations = annotations_on(mesh, result.module, result.program);
  result.plan =
      plan::plan(result.program.graph, mesh, cost::Alpa::with_defaults(mesh.rank()), wanted);
  REQUIRE(result.plan.status == solver::Status::optimal);
  return result;
}

std::string refusal(const std::string& text, const DynamicMesh& mesh) {
  try {
    planned(text, mesh);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "accepted";
}

const std::string chain =
    "ENTRY e { x = f32[16,8] parameter(0), sharding={devices=[2,1,4]<=[8] "
    "last_tile_dim_replicate}\n"
    " w = f32[8,16] parameter(1), sharding={devices=[1,4,2]<=[2,4]T(1,0) last_tile_dim_replicate}\n"
    " a = f32[16,16] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}, "
    "sharding={replicated}\n"
    " b = f32[16,16] negate(a)\n"
    " c = f32[16,16] custom-call(b), custom_call_target=\"Sharding\", "
    "sharding={devices=[1,8]<=[2,4]T(1,0)}\n"
    " ROOT d = f32[16,16] exponential(c), sharding={devices=[8,1]<=[8]} }";

TEST_CASE("annotations are kept: of parameters, of ops, of Sharding calls, of results") {
  const Planned all = planned(chain, DynamicMesh{2, 4});
  CHECK(all.of("x") == "[[0], []]");
  CHECK(all.of("w") == "[[], [1]]");
  CHECK(all.of("a") == "[[], []]");
  CHECK(all.of("c") == "[[], [1, 0]]");
  CHECK(all.of("d") == "[[0, 1], []]");
  const Planned io = planned(chain, DynamicMesh{2, 4}, Annotations::io);
  CHECK(io.program.annotations.size() == 3);
  CHECK(io.of("x") == "[[0], []]");
  CHECK(io.of("d") == "[[0, 1], []]");
  const Planned free = planned(chain, DynamicMesh{2, 4}, Annotations::ignore);
  CHECK(free.program.annotations.empty());
  CHECK(free.plan.cost <= io.plan.cost);
  CHECK(io.plan.cost < all.plan.cost);
}

TEST_CASE("dims that are left open are the solver's") {
  const std::string text =
      "ENTRY e { x = f32[16,8] parameter(0), sharding={devices=[2,4]<=[8]}\n"
      " y = f32[16,8] custom-call(x), custom_call_target=\"Sharding\", "
      "sharding={devices=[2,1,4]<=[8] last_tile_dim_replicate}, "
      "backend_config=\"unspecified_dims=[1]\"\n"
      " ROOT z = f32[16,8] negate(y), sharding={devices=[2,4]<=[8]} }";
  const Planned open = planned(text, DynamicMesh{2, 4});
  CHECK(open.of("y") == "[[0], [1]]");
  CHECK(open.plan.cost == 0);
  std::string closed = text;
  closed.replace(closed.find(", backend_config"),
                 std::string(", backend_config=\"unspecified_dims=[1]\"").size(), "");
  CHECK(planned(closed, DynamicMesh{2, 4}).plan.cost > 0);
  const auto with = [&](const std::string& dims) {
    std::string other = text;
    other.replace(other.find("[1]\""), 3, dims);
    return refusal(other, DynamicMesh{2, 4});
  };
  CHECK(with("[2]").find("unspecified_dims must be a list of its dims") != std::string::npos);
  CHECK(with("[1").find("unspecified_dims must be a list of its dims") != std::string::npos);
  CHECK(with("[0, 1]") == "accepted");
  CHECK(with("[]") == "accepted");
}

TEST_CASE("one value under two names that ask for different things is copied") {
  const Planned plan = planned(
      "ENTRY e { x = f32[16,8] parameter(0), sharding={devices=[2,1,4]<=[8] "
      "last_tile_dim_replicate}\n"
      " t = (f32[16,8], f32[16,8]) tuple(x, x), sharding={{replicated}, {devices=[8,1]<=[8]}}\n"
      " g = f32[16,8] get-tuple-element(t), index=0, sharding={replicated}\n"
      " ROOT r = (f32[16,8], f32[16,8]) tuple(g, x) }",
      DynamicMesh{2, 4});
  CHECK(plan.of("x") == "[[0], []]");
  CHECK(plan.of("t", 0) == "[[], []]");
  CHECK(plan.of("t", 1) == "[[0, 1], []]");
  CHECK(plan.of("g") == "[[], []]");
  CHECK(plan.of("r", 1) == "[[0], []]");
}

TEST_CASE("annotations are kept of ops with several results and of ops that can not split") {
  const Planned plan = planned(
      "ENTRY e { x = f32[8,8] parameter(0)\n"
      " t = (f32[8,4], s32[8,4]) topk(x), k=4, sharding={{devices=[1,4,2]<=[2,4]T(1,0) "
      "last_tile_dim_replicate}, {replicated}}\n"
      " v = f32[8,4] get-tuple-element(t), index=0\n"
      " ROOT o = f32[8,4] custom-call(v), custom_call_target=\"odd\", "
      "sharding={devices=[8,1]<=[8]} }",
      DynamicMesh{2, 4});
  CHECK(plan.of("t", 0) == "[[], [1]]");
  CHECK(plan.of("t", 1) == "[[], []]");
  CHECK(plan.of("o") == "[[0, 1], []]");
}

TEST_CASE("an output in a parameter's place has the parameter's annotation") {
  const std::string text =
      "HloModule m, input_output_alias={ {}: (0, {}) }\n"
      "ENTRY e { x = f32[8,8] parameter(0), sharding={devices=[8,1]<=[8]}\n"
      " ROOT y = f32[8,8] custom-call(x), custom_call_target=\"odd\" }";
  CHECK(planned(text, DynamicMesh{2, 4}).of("y") == "[[0, 1], []]");
  std::string both = text;
  both.replace(both.rfind(" }"), 2, ", sharding={replicated} }");
  CHECK(refusal(both, DynamicMesh{2, 4}).find("can not be satisfied") != std::string::npos);
}

TEST_CASE("annotations that can not be satisfied are refused by name") {
  const auto with = [](const std::string& sharding, const std::string& dims = "16,8") {
    return refusal("ENTRY e { x = f32[" + dims + "] parameter(0)\n ROOT y = f32[" + dims +
                       "] negate(x), sharding=" + sharding + " }",
                   DynamicMesh{2, 4});
  };
  CHECK(with("{devices=[2,1]<=[2]}") ==
        "t.hlo:2:7: annotation sharding='{devices=[2,1]0,1}' of 'y' can not be satisfied: it names "
        "2 devices, and mesh 2x4 has 8");
  CHECK(with("{maximal device=0}").find("a plan is for all devices") != std::string::npos);
  CHECK(with("{manual}").find("split by hand") != std::string::npos);
  CHECK(with("{devices=[2,1,4]<=[2,2,2]T(1,0,2) last_tile_dim_replicate}").find("refined") !=
        std::string::npos);
  CHECK(with("{devices=[1,8]<=[8]}", "16,4") ==
        "op 'y': annotation sharding='{devices=[1,8]0,1,2,3,4,5,6,7}' of 'y' can not be satisfied: "
        "[16,4] can not be cut so on mesh 2x4");
  CHECK(with("{unreduced}").find("an output is never partial") != std::string::npos);
  CHECK(with("{{replicated}, {replicated}}").find("has 2 parts, its shape 1") != std::string::npos);
}

TEST_CASE("an image split over space: rims are exchanged, statistics reduced, nothing else moves") {
  const Planned image = planned(
      "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
      "ENTRY e { x = f32[1,512,512,16] parameter(0), sharding={devices=[1,4,1,1]<=[4]}\n"
      " k = f32[3,3,16,16] parameter(1)\n g = f32[16] parameter(2)\n"
      " y = f32[1,512,512,16] convolution(x, k), window={size=3x3 pad=1_1x1_1}, "
      "dim_labels=b01f_01io->b01f\n"
      " t = (f32[1,512,512,16], f32[16], f32[16]) batch-norm-training(y, g, g), epsilon=1, "
      "feature_index=3\n z = f32[1,512,512,16] get-tuple-element(t), index=0\n"
      " p = f32[1,256,256,16] reduce-window(z, f32[] constant(0)), "
      "window={size=1x2x2x1 stride=1x2x2x1}, to_apply=add\n"
      " ROOT q = f32[1,256,256,16] exponential(p), sharding={devices=[1,4,1,1]<=[4]} }",
      DynamicMesh{4});
  std::vector<std::pair<StepKind, Extent>> moved;
  for (const plan::PlannedOp& op : image.plan.ops)
    for (const plan::PlannedStep& step : op.steps)
      if (step.is_collective()) moved.emplace_back(step.step.kind, step.bytes());
  // A row above and a row below, of 512 pixels of 64 bytes; and two vectors of sums.
  CHECK(moved == std::vector<std::pair<StepKind, Extent>>{{StepKind::halo_exchange, 65536},
                                                          {StepKind::all_reduce, 64},
                                                          {StepKind::all_reduce, 64}});
  CHECK(image.of("p") == "[[], [0], [], []]");
}

TEST_CASE("a plan written as HLO, read again and kept, is the same plan") {
  for (const char* const name : {"mlp_2_layer_batch_1024_width_128.hlo",
                                 "mlp_12_layer_batch_128_width_1024.hlo", "gpt_2_layer_step.hlo"}) {
    CAPTURE(name);
    const DynamicMesh mesh{2, 4};
    const Planned first = planned(io::read_file(model_file(name)), mesh, Annotations::ignore);
    const std::string text = emit(first.module, first.program, first.plan);
    const Planned again = planned(text, mesh);
    CHECK(again.plan.cost == first.plan.cost);
    CHECK(emit(again.module, again.program, again.plan) == text);
  }
}

TEST_CASE("property: the cheapest plan's shardings can be asked for; others are no cheaper") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const DynamicMesh mesh = seed % 2 == 0 ? DynamicMesh{2, 2} : DynamicMesh{4};
    const cost::Alpa model = cost::Alpa::with_defaults(mesh.rank());
    graph::Builder b;
    const auto x = b.parameter("x", graph::f32, {8, 16}), w = b.parameter("w", graph::f32, {16, 8});
    const auto h = einsum<"mk,kn->mn">(x, w), g = exp(h), y = einsum<"mk,kn->mn">(g + h, x);
    b.output(y);
    const plan::Plan free = plan::plan(b.graph(), mesh, model);
    plan::Options all, one;
    for (graph::OpId id = 0; id < b.graph().op_count(); ++id)
      all.annotations.push_back({{id, 0}, free.ops[id].results[0], 0, "its own"});
    CHECK(plan::plan(b.graph(), mesh, model, all).cost == free.cost);
    std::vector<DynamicSharding> any;
    for_each_sharding(mesh, 2, [&](DynamicSharding sharding) {
      if (sharding.partial_axes().empty()) any.push_back(sharding);
    });
    one.annotations.push_back(
        {{random.below(b.graph().op_count()), 0}, random.pick(any), 0, "any"});
    const plan::Plan asked = plan::plan(b.graph(), mesh, model, one);
    REQUIRE(asked.status == solver::Status::optimal);
    CHECK(asked.cost >= free.cost);
    CHECK(asked.ops[one.annotations[0].value.op].results[0] == one.annotations[0].sharding);
    plan::Options unpruned = one;
    unpruned.prune = false;
    CHECK(plan::plan(b.graph(), mesh, model, unpruned).cost == asked.cost);
  }
}

}  // namespace
