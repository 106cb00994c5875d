// SPDX-License-Identifier: Apache-2.0
// Plans written out: JSON that says all of it, HLO that is untouched but for shardings, tables.
#include <doctest/doctest.h>
#include <rapidjson/document.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <string>
#include <thread>

#include "support/files.hpp"
#include "tessera/cost.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/emit.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
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
    plan = plan::plan(program.graph, DynamicMesh{4, 8},
                      cost::Alpa({{1, 1}, {1, 1}}, {{1, 1}, {1, 100}}), options);
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

// The prices of all collectives that the JSON lists.
double listed_price(const rapidjson::Document& json) {
  double total = 0;
  const auto add = [&](const rapidjson::Value& instructions) {
    for (const auto& entry : instructions.GetObject())
      for (const auto& collective : entry.value["collectives"].GetArray())
        total += collective["cost"].GetDouble();
  };
  add(json["instructions"]);
  for (const auto& entry : json["called"].GetObject()) add(entry.value);
  return total;
}

TEST_CASE("collectives add up to the objective whatever an instruction became") {
  const std::string dot = " dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}\n";
  const std::string step =
      "step { x = f32[64,64] parameter(0)\n w = f32[64,64] parameter(1)\n"
      " d = f32[64,64]" +
      dot +
      " ROOT a = f32[64,64] dot(d, w), lhs_contracting_dims={0}, "
      "rhs_contracting_dims={1} }\n";
  const std::string entry = "ENTRY e { x = f32[64,64] parameter(0)\n w = f32[64,64] parameter(1)\n";
  const std::string state = "(s32[], f32[64,64], f32[64,64])";
  const std::string loop = "c { s = " + state +
                           " parameter(0)\n i = s32[] get-tuple-element(s), index=0\n"
                           " ROOT p = pred[] compare(i, s32[] constant(4)), direction=LT }\n"
                           "b { s = " +
                           state +
                           " parameter(0)\n i = s32[] get-tuple-element(s), index=0\n"
                           " x = f32[64,64] get-tuple-element(s), index=1\n"
                           " w = f32[64,64] get-tuple-element(s), index=2\n y = f32[64,64]" +
                           dot +
                           " u = f32[64,64] transpose(y), dimensions={1,0}\n ROOT t = " + state +
                           " tuple(i, u, x) }\n";
  const std::string texts[] = {
      // Called from several places, and an instruction inside has the name of a call.
      step + entry +
          " a = f32[64,64] call(x, w), to_apply=step\n"
          " b = f32[64,64] call(a, w), to_apply=step\n ROOT c = f32[64,64] call(b, a), "
          "to_apply=step }",
      // A loop's state, and one that is resharded on its way in.
      loop + entry + " d = f32[64,64]" + dot + " t = " + state +
          " tuple(s32[] constant(0), d, x)\n"
          " l = " +
          state +
          " while(t), condition=c, body=b\n"
          " r = f32[64,64] get-tuple-element(l), index=1\n"
          " ROOT m = f32[64,64] dot(r, x), lhs_contracting_dims={1}, rhs_contracting_dims={0} }",
      // Branches.
      step +
          "one { t = (f32[64,64], f32[64,64]) parameter(0)\n"
          " x = f32[64,64] get-tuple-element(t), index=0\n"
          " w = f32[64,64] get-tuple-element(t), index=1\n y = f32[64,64]" +
          dot +
          " ROOT r = (f32[64,64], f32[64,64]) tuple(y, x) }\n"
          "two { t = (f32[64,64], f32[64,64]) parameter(0)\n"
          " x = f32[64,64] get-tuple-element(t), index=0\n"
          " w = f32[64,64] get-tuple-element(t), index=1\n y = f32[64,64] call(x, w), "
          "to_apply=step\n"
          " ROOT r = (f32[64,64], f32[64,64]) tuple(w, y) }\n" +
          entry +
          " i = s32[] parameter(2)\n t = (f32[64,64], f32[64,64]) tuple(x, w)\n"
          " q = (f32[64,64], f32[64,64]) conditional(i, t, t), branch_computations={one, two}\n"
          " a = f32[64,64] get-tuple-element(q), index=0\n"
          " b = f32[64,64] get-tuple-element(q), index=1\n"
          " ROOT m = f32[64,64] dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0} }",
  };
  for (const std::string& text : texts) {
    CAPTURE(text);
    const Planned planned(text);
    rapidjson::Document json;
    json.Parse(io::write_plan(planned.module, planned.program, planned.plan).c_str());
    REQUIRE_FALSE(json.HasParseError());
    CHECK(json["objective"].GetDouble() > 0);
    CHECK(listed_price(json) == doctest::Approx(json["objective"].GetDouble()));
  }
}

TEST_CASE("what became of an instruction in each place is told apart") {
  const Planned planned(
      "f { x = f32[64,64] parameter(0)\n w = f32[64,64] parameter(1)\n"
      " ROOT y = f32[64,64] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0} }\n"
      "ENTRY e { x = f32[64,64] parameter(0)\n w = f32[64,64] parameter(1)\n"
      " a = f32[64,64] call(x, w), to_apply=f\n b = f32[64,64] call(a, w), to_apply=f\n"
      " ROOT c = f32[64,64] call(b, a), to_apply=f }");
  rapidjson::Document json;
  json.Parse(io::write_plan(planned.module, planned.program, planned.plan).c_str());
  const auto& collectives = json["called"]["f"]["y"]["collectives"];
  CHECK(collectives.Size() > 0);
  for (const auto& collective : collectives.GetArray()) {
    const std::string op = collective["op"].GetString();
    CHECK((op == "a/y" || op == "b/y" || op == "c/y"));
  }
}

TEST_CASE("an error about an op is told at its instruction") {
  const auto module = io::hlo::read_module(
      "f { a = f32[8] parameter(0)\n  ROOT b = f32[8] negate(a) }\n"
      "ENTRY e { x = f32[8] parameter(0)\n ROOT y = f32[8] call(x), to_apply=f }",
      "t.hlo");
  const auto program = io::hlo::import_module(module);
  try {
    io::hlo::fail_at_op(module, program, 1, "why");
    FAIL("returned");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()) == "t.hlo:2:8: why");
  }
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

TEST_CASE("computations written inside attributes get shardings too") {
  const Planned planned(
      "ENTRY e {\n  x = f32[8,8] parameter(0)\n"
      "  r = f32[8] reduce(x, f32[] constant(0)), dimensions={1}, to_apply={\n"
      "    a = f32[] parameter(0)  // not the end: }\n"
      "    b = f32[] parameter(1)\n    ROOT c = f32[] add(a, b) }, metadata={op_name=\"r\"}\n"
      "  ROOT y = f32[8] negate(r)\n}\n");
  const std::string text = io::hlo::emit(planned.module, planned.program, planned.plan);
  const auto again = io::hlo::read_module(text, "again");
  for (const auto& computation : again.computations)
    for (const auto& instruction : computation.instructions)
      CHECK((instruction.is_nested || instruction.find("sharding") != nullptr));
  CHECK(again.computations[0].instructions[2].opcode == graph::Opcode::add);
}

TEST_CASE("an empty tuple has an empty sharding") {
  const Planned planned("ENTRY e { x = f32[8] parameter(0)\n ROOT t = () tuple() }");
  const std::string text = io::hlo::emit(planned.module, planned.program, planned.plan);
  CHECK(text.find("tuple(), sharding={} }") != std::string::npos);
  CHECK_NOTHROW(io::hlo::read_module(text, "again"));
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

// --- Files ---------------------------------------------------------------------------------------

class Folder {
 public:
  Folder() { std::filesystem::create_directories(path_); }
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string operator/(const char* name) const { return (path_ / name).string(); }
  std::size_t file_count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                ("tessera_files_" + std::to_string(getpid()));
};

TEST_CASE("files are written whole or not at all") {
  CHECK_THROWS_AS(io::read_file("/nonexistent/file"), InputError);
  CHECK_THROWS_AS(io::write_file("/nonexistent/file", "x"), InputError);
  CHECK_THROWS_AS(io::write_file("/tmp", "x"), InputError);
  CHECK_THROWS_AS(io::read_file("/"), InputError);
}

TEST_CASE("whether a file can be written is known before, and nothing is left behind") {
  const Folder folder;
  CHECK_THROWS_AS(io::check_writable("/nonexistent/file"), InputError);
  CHECK_THROWS_AS(io::check_writable("/tmp"), InputError);
  io::write_file(folder / "a", "old");
  io::check_writable(folder / "a");
  io::check_writable(folder / "b");
  CHECK(folder.file_count() == 1);
  CHECK(io::read_file(folder / "a") == "old");
}

TEST_CASE("a file that is overwritten keeps its mode, and its neighbours are left alone") {
  const Folder folder;
  io::write_file(folder / "a", "old");
  io::write_file(folder / "a.part", "someone's");
  using std::filesystem::perms;
  std::filesystem::permissions(folder / "a", perms::owner_read | perms::owner_write);
  io::write_file(folder / "a", "new");
  CHECK(io::read_file(folder / "a") == "new");
  CHECK(io::read_file(folder / "a.part") == "someone's");
  CHECK(std::filesystem::status(folder / "a").permissions() ==
        (perms::owner_read | perms::owner_write));
  CHECK(folder.file_count() == 2);
}

TEST_CASE("links are followed, devices and pipes written to as they are") {
  const Folder folder;
  std::filesystem::create_symlink("target", folder / "link");
  std::filesystem::create_symlink("link", folder / "chain");
  for (const char* text : {"first", "second"}) {  // the target is not there yet, then it is
    io::write_file(folder / "chain", text);
    CHECK(io::read_file(folder / "target") == text);
    CHECK(std::filesystem::is_symlink(folder / "chain"));
    CHECK(std::filesystem::is_symlink(folder / "link"));
  }
  io::check_writable("/dev/null");
  io::write_file("/dev/null", "x");
  CHECK(std::filesystem::is_character_file("/dev/null"));
  if (std::filesystem::exists("/dev/full"))
    CHECK_THROWS_AS(io::write_file("/dev/full", "x"), InputError);
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::string read;
  std::thread reader([&] { read = io::read_file(folder / "pipe"); });
  io::write_file(folder / "pipe", "through");
  reader.join();
  CHECK(read == "through");
  CHECK(std::filesystem::is_fifo(folder / "pipe"));
}

}  // namespace
