// SPDX-License-Identifier: Apache-2.0
// Plans written out: JSON that says all of it, HLO that is untouched but for shardings, tables.
#include <doctest/doctest.h>
#include <rapidjson/document.h>

#include <string>

#include "support/files.hpp"
#include "tessera/cost.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo_emit.hpp"
#include "tessera/io/hlo_parser.hpp"
#include "tessera/io/plan_json.hpp"
#include "tessera/report.hpp"

namespace {
using namespace tessera;
using tessera_test::model_file;

struct Planned {
  io::hlo::Module module;
  io::hlo::Program program;
  plan::Plan plan;

  explicit Planned(const std::string& text, plan::Options options = {})
      : module(io::hlo::read_module(text, "t.hlo")), program(io::hlo::import_module(module)) {
    plan = plan::plan(program.graph, Mesh<4, 8>(), cost::Alpa({{1, 1}, {1, 1}}, {{1, 1}, {1, 100}}),
                      options);
  }
  static Planned of_file(const std::string& name) {
    return Planned(io::read_file(model_file(name)));
  }
};

TEST_CASE("JSON holds the whole plan, and its collectives add up to the objective") {
  const Planned planned = Planned::of_file("mlp_2_layer_batch_1024_width_128.hlo");
  rapidjson::Document json;
  json.Parse(io::write_plan(planned.module, planned.program, planned.plan).c_str());
  REQUIRE_FALSE(json.HasParseError());
  CHECK(json["status"] == "optimal");
  CHECK(json["unit"] == "alpa");
  CHECK(json["objective"].GetDouble() == json["lower_bound"].GetDouble());
  CHECK(json["objective"].GetDouble() <= 26872.03);
  const auto& instructions = json["instructions"];
  CHECK(instructions.MemberCount() == planned.module.computations[0].instructions.size());
  double total = 0;
  for (const auto& entry : instructions.GetObject()) {
    CHECK(entry.value["sharding"].IsString());
    CHECK(entry.value["strategy"].IsString());
    for (const auto& collective : entry.value["collectives"].GetArray()) {
      total += collective["cost"].GetDouble();
      CHECK(collective["bytes"].GetInt64() > 0);
      CHECK(collective["axes"].Size() == 1);
      CHECK(collective["kind"].IsString());
    }
  }
  CHECK(total == doctest::Approx(json["objective"].GetDouble()));
  CHECK(instructions["w1"]["sharding"] == instructions["new_w1"]["sharding"]);
  CHECK(std::string(instructions["updated"]["sharding"].GetString()).starts_with("{{"));
}

TEST_CASE("HLO is written back byte for byte, but for shardings") {
  const Planned planned = Planned::of_file("gpt_2_layer_step.hlo");
  std::string text = io::hlo::emit(planned.module, planned.program, planned.plan);
  const io::hlo::Module again = io::hlo::read_module(text, "again");
  std::size_t count = 0;
  for (const auto& computation : again.computations) count += computation.instructions.size();
  std::size_t removed = 0;
  for (std::size_t at; (at = text.find(", sharding={")) != std::string::npos; ++removed) {
    std::size_t end = at + std::string(", sharding=").size();
    for (int depth = 0; depth > 0 || end == at + 11; ++end) {
      depth += text[end] == '{';
      depth -= text[end] == '}';
    }
    text.erase(at, end - at);
  }
  CHECK(removed == count);
  CHECK(text == planned.module.text);
}

TEST_CASE("a sharding that was there is replaced, nested instructions are left alone") {
  const Planned planned(
      "ENTRY e {\n  x = f32[8,8] parameter(0), sharding={replicated}, metadata={op_name=\"x\"}\n"
      "  ROOT y = f32[8,8] add(x, f32[8,8] broadcast(f32[] constant(1)))\n}\n");
  const std::string text = io::hlo::emit(planned.module, planned.program, planned.plan);
  CHECK(text.find("metadata={op_name=\"x\"}") != std::string::npos);
  CHECK(text.find("constant(1)))") != std::string::npos);
  const auto again = io::hlo::read_module(text, "again");
  CHECK(again.computations[0].instructions[0].attributes.size() == 2);
}

TEST_CASE("tuples have one leaf per array, numbered every five") {
  std::string text = "ENTRY e {\n  x = f32[8] parameter(0)\n  ROOT t = (";
  for (int i = 0; i < 6; ++i) text += i == 0 ? "f32[8]" : ", f32[8]";
  text += ") tuple(x, x, x, x, x, x)\n}";
  const Planned planned(text);
  const std::string sharding =
      io::hlo::instruction_sharding(planned.module, planned.program, planned.plan, 0, 1);
  CHECK(sharding.find(", /*index=5*/{") != std::string::npos);
  CHECK(notation::parse_hlo_sharding(sharding).size() == 6);
}

TEST_CASE("an instruction that is planned differently by its callers is unknown") {
  // The same negation of a matrix that is cut one way here and another way there.
  const Planned planned(
      "neg { a = f32[256,256] parameter(0)\n ROOT b = f32[256,256] negate(a) }\n"
      "ENTRY e { x = f32[256,256] parameter(0)\n y = f32[256,256] parameter(1)\n"
      " p = f32[256,256] call(x), to_apply=neg\n q = f32[256,256] call(y), to_apply=neg\n"
      " ROOT r = f32[256,256] dot(p, q), lhs_contracting_dims={1}, rhs_contracting_dims={0} }");
  const auto sharding = [&](std::size_t c, std::size_t i) {
    return io::hlo::instruction_sharding(planned.module, planned.program, planned.plan, c, i);
  };
  CHECK(sharding(1, 2) != sharding(1, 3));
  CHECK(sharding(0, 1) == "{unknown}");
}

TEST_CASE("tables name what matters") {
  const Planned planned = Planned::of_file("mlp_2_layer_batch_1024_width_128.hlo");
  const std::string table = report::plan_table(planned.program.graph, planned.plan);
  for (const char* expected :
       {"optimal", "mesh 4x8", "w1 ", "all-reduce", "@ axis 0", "gap 0%", "largest tensors"}) {
    CAPTURE(expected);
    CHECK(table.find(expected) != std::string::npos);
  }
}

TEST_CASE("an infeasible budget is explained") {
  plan::Options options;
  options.memory_budget = 10;
  const Planned planned(io::read_file(model_file("mlp_2_layer_batch_1024_width_128.hlo")), options);
  const std::string table = report::plan_table(planned.program.graph, planned.plan);
  CHECK(table.find("no plan fits the budget of 10 bytes") != std::string::npos);
  CHECK(table.find(to_string(planned.plan.shortage->needed)) != std::string::npos);
  rapidjson::Document json;
  json.Parse(io::write_plan(planned.module, planned.program, planned.plan).c_str());
  CHECK(json["status"] == "infeasible");
  CHECK(json["memory"]["needed_bytes"].GetInt64() > 10);
}

TEST_CASE("bytes and gaps read well") {
  CHECK(report::bytes_text(0) == "0 B");
  CHECK(report::bytes_text(1023) == "1023 B");
  CHECK(report::bytes_text(1536) == "1.50 KiB");
  CHECK(report::gap_text(100, 100) == "0%");
  CHECK(report::gap_text(0, -5) == "-");
  CHECK(report::gap_text(200, 100) == "50%");
}

TEST_CASE("two logs compare when the clock is left out") {
  solver::Progress progress;
  progress.seconds = 1.23;
  progress.has_incumbent = true;
  progress.incumbent = 200;
  progress.lower_bound = 100;
  progress.event = "incumbent";
  CHECK(report::log_line(progress).find("1.23") != std::string::npos);
  CHECK(report::log_line(progress, false).find("1.23") == std::string::npos);
  CHECK(report::log_line(progress).find("50%") != std::string::npos);
}

TEST_CASE("files are written whole or not at all") {
  CHECK_THROWS_AS(io::read_file("/nonexistent/file"), InputError);
  CHECK_THROWS_AS(io::write_file("/nonexistent/file", "x"), InputError);
  CHECK_THROWS_AS(io::read_file("/"), InputError);
}

}  // namespace
