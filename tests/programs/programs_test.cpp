// SPDX-License-Identifier: Apache-2.0
// The programs as users run them: arguments, output, errors on stderr, exit codes.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/files.hpp"

namespace {
using tessera_test::model_file;

struct Ran {
  int code = -1;
  std::string out, err;
};

const std::filesystem::path scratch = [] {
  auto path = std::filesystem::temp_directory_path() / ("tessera_test_" + std::to_string(getpid()));
  std::filesystem::create_directories(path);
  return path;
}();

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Ran run(const std::string& program, const std::string& arguments) {
  const auto out = scratch / "out", err = scratch / "err";
  const std::string command = TESSERA_BIN_DIR "/" + program + " " + arguments + " > " +
                              out.string() + " 2> " + err.string();
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content_of(out), content_of(err)};
}

std::string file_with(const std::string& name, const std::string& content) {
  std::ofstream(scratch / name, std::ios::binary) << content;
  return (scratch / name).string();
}

const std::string mlp = model_file("mlp_2_layer_batch_1024_width_128.hlo");

TEST_CASE("tessera-plan prints a table, JSON or HLO") {
  const std::string flags = mlp + " --mesh 4x8 --alpha 1,1 --beta 1,0.01";
  const Ran table = run("tessera-plan", flags);
  CHECK(table.code == 0);
  CHECK(table.err.empty());
  CHECK(table.out.find("status   optimal") != std::string::npos);
  const Ran json = run("tessera-plan", flags + " --emit json");
  CHECK(json.code == 0);
  CHECK(json.out.starts_with("{\n \"objective\": 2"));
  const Ran hlo = run("tessera-plan", flags + " --emit hlo");
  CHECK(hlo.code == 0);
  CHECK(hlo.out.starts_with("HloModule mlp_2_layer_step"));
  CHECK(hlo.out.find("parameter(0), sharding={") != std::string::npos);
  // What it writes it reads.
  const Ran again = run("tessera-plan", file_with("again.hlo", hlo.out) + " --mesh 4x8");
  CHECK(again.code == 0);
}

TEST_CASE("tessera-plan writes to a file, and the problem for tessera-solve") {
  const std::string out = (scratch / "plan.json").string(), problem = (scratch / "p.json").string();
  const Ran plan = run("tessera-plan", mlp + " --mesh 4x1 --alpha 1,1 --beta 1,1 --emit json -o " +
                                           out + " --problem " + problem);
  CHECK(plan.code == 0);
  CHECK(plan.out.empty());
  CHECK(content_of(out).find("\"objective\": 196610.02") != std::string::npos);
  const Ran solved = run("tessera-solve", problem + " 10");
  CHECK(solved.code == 0);
  CHECK(solved.out.find("cost 196610020, lower bound 196610020, gap 0%") != std::string::npos);
}

TEST_CASE("tessera-plan reads standard input, and tells what it kept whole") {
  const std::string file = file_with(
      "odd.hlo", "ENTRY e { x = f32[4,4] parameter(0)\n ROOT y = f32[4,4] scaled-dot(x, x) }");
  const Ran ran = run("tessera-plan", "- --mesh 2 < " + file);
  CHECK(ran.code == 0);
  CHECK(ran.err.find(
            "kept whole on every device, as these ops have no sharding rule: scaled-dot (1)") !=
        std::string::npos);
}

TEST_CASE("tessera-plan keeps the shardings that the text asks for, or some, or none") {
  const std::string file =
      file_with("asked.hlo",
                "ENTRY e { x = f32[8,8] parameter(0), sharding={devices=[2,1]0,1}\n"
                " y = f32[8,8] negate(x), sharding={devices=[1,2]0,1}\n"
                " ROOT z = f32[8,8] negate(y), sharding={devices=[2,1]0,1} }");
  const Ran all = run("tessera-plan", file + " --mesh 2");
  CHECK(all.code == 0);
  CHECK(all.out.find("all-to-all") != std::string::npos);
  const Ran io = run("tessera-plan", file + " --mesh 2 --annotations io");
  CHECK(io.out.find("cost     0 (alpa)") != std::string::npos);
  const Ran other = run("tessera-plan", file + " --mesh 4");
  CHECK(other.code == 1);
  CHECK(other.err.find("asked.hlo:1:11: annotation sharding='{devices=[2,1]0,1}' of 'x' can not be "
                       "satisfied: it names 2 devices, and mesh 4 has 4") != std::string::npos);
  CHECK(run("tessera-plan", file + " --mesh 4 --annotations ignore").code == 0);
}

TEST_CASE("tessera-plan refines axes, at the prices of the axes that they were") {
  const std::string file =
      file_with("half.hlo",
                "ENTRY e { x = f32[2,2] parameter(0), sharding={devices=[2,2]<=[4]}\n"
                " ROOT y = f32[2,2] negate(x), sharding={devices=[2,2]<=[2,2]T(1,0)} }");
  CHECK(run("tessera-plan", file + " --mesh 4").code == 1);
  const Ran refined = run("tessera-plan", file + " --mesh 4 --alpha 7 --beta 1 --refine-axes");
  CHECK(refined.code == 0);
  CHECK(refined.out.find("on mesh 2x2") != std::string::npos);
  const Ran too_many = run("tessera-plan", mlp + " --mesh 512 --refine-axes");
  CHECK(too_many.code == 1);
  CHECK(too_many.err.find("--refine-axes: mesh 2x2x2x2x2x2x2x2x2") != std::string::npos);
}

TEST_CASE("tessera-plan plans for a cluster by name") {
  const Ran table = run("tessera-plan", mlp + " --cluster dgx-a100-80gb-selene:16");
  CHECK(table.code == 0);
  CHECK(table.err.empty());
  CHECK(table.out.starts_with("program  15 ops on mesh 2x8: "));
  CHECK(table.out.find("\ntime     ") != std::string::npos);
  CHECK(table.out.find(" of computation, ") != std::string::npos);
  CHECK(table.out.find("\ndevices  MFU ") != std::string::npos);
  CHECK(table.out.find(" of the device's 74.51 GiB") != std::string::npos);
  const Ran json = run("tessera-plan", mlp + " --cluster tpu-v4-pod:8 --mesh 4x2 --emit json");
  CHECK(json.code == 0);
  CHECK(json.out.find("\"unit\": \"us\"") != std::string::npos);
  CHECK(json.out.find("\"mesh\": [4, 2]") != std::string::npos);
  CHECK(json.out.find("\"budget_bytes\": 32000000000") != std::string::npos);
  CHECK(json.out.find("\"capacity_bytes\": 32000000000") != std::string::npos);
  CHECK(json.out.find("\"mfu\": 0.") != std::string::npos);
  CHECK(json.out.find("\"work\": ") != std::string::npos);
  const Ran small = run("tessera-plan", mlp + " --cluster tpu-v4-pod:8 --memory-budget 1KiB");
  CHECK(small.code == 2);
}

TEST_CASE("tessera-plan computes again what a budget has no room for") {
  const std::string step =
      "--model gpt:layers=1,hidden=128,heads=4,seq=256,vocab=128,batch=16,optimizer=sgd"
      " --cluster dgx-a100-80gb-selene:2 --mesh 2";
  const auto peak = [](const std::string& json) {
    return std::stoll(json.substr(json.find("\"peak_bytes\": ") + 14));
  };
  const Ran kept = run("tessera-plan", step + " --emit json");
  const Ran full = run("tessera-plan", step + " --emit json --recompute full");
  REQUIRE(kept.code == 0);
  REQUIRE(full.code == 0);
  CHECK(peak(full.out) < peak(kept.out));
  const std::string budget = " --memory-budget " +
                             std::to_string((15 * peak(full.out) + peak(kept.out)) / 16);
  CHECK(run("tessera-plan", step + budget).code == 2);
  const std::string near = budget + " --recompute auto --gap 0.01%";  // the rest would take long
  const Ran some = run("tessera-plan", step + near);
  CHECK(some.code == 0);
  CHECK(some.out.find("rematerialized in the backward pass\n") != std::string::npos);
  CHECK(some.out.find(".again") != std::string::npos);
  // The program that it is a plan of can be written, read and planned.
  const Ran hlo = run("tessera-plan", step + near + " --emit hlo");
  CHECK(hlo.out.find(".again") != std::string::npos);
  const Ran again = run("tessera-plan", file_with("again.hlo", hlo.out) +
                                            " --cluster dgx-a100-80gb-selene:2 --mesh 2");
  CHECK(again.code == 0);
}

// A pipeline of a small transformer, on two nodes.
const std::string piped =
    "--model gpt:layers=4,hidden=64,heads=4,seq=32,vocab=128 --cluster "
    "alpa-p3.16xlarge:16 --pipeline ";

TEST_CASE("tessera-plan cuts a program into stages") {
  // Spans are priced by the first run, and remembered for the rest.
  const std::string flags = piped + "--global-batch 16 --microbatches 8 --price-cache " +
                            (scratch / "spans").string() + ' ';
  const Ran table = run("tessera-plan", flags);
  CHECK(table.code == 0);
  CHECK(table.err.empty());
  CHECK(table.out.find("status   optimal among the stages priced") != std::string::npos);
  CHECK(table.out.find("in the 1f1b schedule, bubble") != std::string::npos);
  CHECK(table.out.find("4 layers (") != std::string::npos);
  const Ran gpipe = run("tessera-plan", flags + "--schedule gpipe --threads 2 -v");
  CHECK(gpipe.code == 0);
  CHECK(gpipe.out.find("in the gpipe schedule") != std::string::npos);
  CHECK(gpipe.err.find("views") != std::string::npos);
  for (const std::string kind : {"eager-1f1b", "zero-bubble", "interleaved"})
    for (const std::string emit : {"table", "json", "hlo"}) {
      CAPTURE(kind);
      CAPTURE(emit);
      const Ran ran = run("tessera-plan", flags + "--schedule " + kind + " --emit " + emit);
      CHECK(ran.code == 0);
      const std::string wanted = emit == "table"  ? "in the " + kind + " schedule"
                                 : emit == "json" ? "\"schedule\": \"" + kind + '"'
                                                  : "HloModule";
      CHECK(ran.out.find(wanted) != std::string::npos);
    }
  CHECK(run("tessera-plan", flags + "--schedule auto --layers named").code == 0);
  const Ran json = run("tessera-plan", flags + "--emit json");
  CHECK(json.code == 0);
  for (const char* const key :
       {"\"status\": \"optimal\"", "\"step_time\": ", "\"lower_bound\": ", "\"microbatches\": 8",
        "\"schedule\": \"1f1b\"", "\"mfu\": ", "\"stages\": ", "\"in_flight\": ", "\"groups\": ",
        "\"instructions\": ", "\"stage\": 0"})
    CHECK_MESSAGE(json.out.find(key) != std::string::npos, key);
  const Ran hlo = run("tessera-plan", flags + "--emit hlo");
  CHECK(hlo.code == 0);
  CHECK(hlo.out.starts_with("HloModule"));
  const std::string planned = file_with("piped.hlo", hlo.out);
  CHECK(run("tessera-plan", planned + " --mesh 2 --annotations ignore").code == 0);
}

TEST_CASE("tessera-plan finds a number of microbatches, and remembers prices") {
  const std::string cache = (scratch / "prices").string();
  const std::string flags = piped + "--global-batch 8 --threads 2 --price-cache " + cache;
  const Ran first = run("tessera-plan", flags);
  CHECK(first.code == 0);
  CHECK(first.out.find(" from the cache") == std::string::npos);
  const Ran second = run("tessera-plan", flags);
  CHECK(second.code == 0);
  CHECK(second.out.find(": 0 problems solved, ") != std::string::npos);
  const auto stages = [](const std::string& text) { return text.substr(text.find("stages, ")); };
  CHECK(stages(second.out) == stages(first.out));
  for (const auto& file : std::filesystem::directory_iterator(cache))
    std::filesystem::resize_file(file.path(), 100);  // cut short: as if there were none
  const Ran third = run("tessera-plan", flags);
  CHECK(third.code == 0);
  CHECK(third.out.find(" from the cache") == std::string::npos);
  CHECK(stages(third.out) == stages(first.out));
}

TEST_CASE("stages that can not interleave are told from those that lack memory") {
  const Ran ran = run("tessera-plan",
                      "--model gpt:layers=2,hidden=64,heads=4,seq=32,vocab=128 --cluster "
                      "alpa-p3.16xlarge:8 --pipeline --global-batch 16 --microbatches 4 "
                      "--schedule interleaved");
  CHECK(ran.code == 2);
  CHECK(
      ran.err.find("no stages can be interleaved: the number of stages must be at least 2, divide "
                   "the 4 microbatches, and leave at least 2 of the 2 layers for each stage") !=
      std::string::npos);
}

TEST_CASE("a file is one microbatch of a pipeline") {
  const std::string flags = mlp + " --cluster alpa-p3.16xlarge:4 --pipeline --layers 2 ";
  const std::string picture = (scratch / "step.svg").string();
  CHECK(run("tessera-plan", flags + "--microbatches 8 --timeline " + picture).code == 0);
  CHECK(content_of(picture).starts_with("<svg"));
  const auto refused = [&](const std::string& more, const std::string& why) {
    const Ran ran = run("tessera-plan", more);
    CHECK(ran.code == 1);
    CHECK_MESSAGE(ran.err.find(why) != std::string::npos, ran.err);
  };
  refused(flags, "--microbatches: give a number of them");
  refused(flags + "--global-batch 8", "--global-batch: needs --model");
  refused(flags + "--microbatches 0", "--microbatches: '0' is no integer from 1 to 1000000");
  refused(flags + "--microbatches 2 --mesh 4", "--mesh: is not for --pipeline");
  refused(mlp + " --cluster alpa-p3.16xlarge:4 --pipeline --microbatches 2 --layers 99",
          "--layers: layers: 99 were asked for");
  refused(piped + "--global-batch 8 --microbatches 3", "do not divide --global-batch, which is 8");
  refused(piped + "--global-batch 8 --hidden-communication 101", "is no integer from 0 to 100");
  refused(mlp + " --mesh 4 --pipeline", "--pipeline requires --cluster");
  const Ran tight = run("tessera-plan", flags + "--microbatches 8 --memory-budget 1kB");
  CHECK(tight.code == 2);
  CHECK(tight.err.find("no stages fit in 1000 B") != std::string::npos);
}

TEST_CASE("tessera-plan executes a step of a pipeline") {
  const Ran ran = run("tessera-plan",
                      "--model gpt:layers=2,hidden=32,heads=2,seq=16,vocab=32 "
                      "--cluster alpa-p3.16xlarge:16 "
                      "--pipeline --global-batch 16 --microbatches 4 --execute");
  CHECK(ran.code == 0);
  CHECK(ran.out.find("a step executed on 16 threads") != std::string::npos);
  CHECK(ran.out.find(" agree, to ") != std::string::npos);
  CHECK(ran.out.find("sent     as predicted in all transfers") != std::string::npos);
  CHECK(ran.out.find("MORE THAN PREDICTED") == std::string::npos);
}

TEST_CASE("published-runs prices what it can, and says why not the rest") {
  const std::string run_text = R"("cluster": "dgx-a100-80gb-selene", "gpus": 8,
    "model": {"family": "gpt", "layers": 4, "hidden": 1024, "heads": 16, "vocab": 8192, "seq_len": 512},
    "global_batch": 32, "micro_batch": 2, "precision": "fp16", "recompute": "full",
    "zero_stage": 0, "compare_group": "g", )";
  const auto one = [&](const std::string& id, const std::string& more) {
    return "{\"id\": \"" + id + "\", " + run_text + more + "}";
  };
  const std::string gated = R"({"id": "gated", "cluster": "dgx-h100-eos", "gpus": 8,
    "model": {"family": "llama", "layers": 4, "hidden": 1024, "heads": 16, "kv_heads": 4,
              "ffn": 2816, "gated_mlp": true, "vocab": 8192, "seq_len": 512},
    "global_batch": 16, "micro_batch": 1, "precision": "fp8", "recompute": "selective",
    "parallel": {"tp": 2, "pp": 1, "dp": 2, "cp": 2}, "measured": {"tokens_per_s_per_gpu": 50000}})";
  const std::string runs = file_with(
      "runs.json",
      "{\"runs\": [" +
          one("flat", R"("parallel": {"tp": 8, "pp": 1, "dp": 1}, "measured": {"iter_s": 0.2})") +
          "," + one("piped", R"("parallel": {"tp": 2, "pp": 2, "dp": 2, "schedule": "1f1b"},
                          "measured": {"iter_s": 0.1})") +
          "," + one("woven", R"("parallel": {"tp": 2, "pp": 2, "dp": 2, "vpp": 2,
                          "schedule": "interleaved-1f1b"}, "derived": {"samples_per_s": 300})") +
          "," + gated + "," + one("large", R"("oom": true)") + "," +
          one("odd", R"("parallel": {"tp": 3, "pp": 1, "dp": 1}, "measured": {"iter_s": 1})") +
          "]}");
  const Ran table = run("published-runs", runs);
  CHECK(table.code == 0);
  CHECK(table.out.find("4 runs priced") != std::string::npos);
  CHECK(table.out.find("it ran out of memory") != std::string::npos);
  CHECK(table.out.find("tp, cp, pp and dp do not make up its GPUs") != std::string::npos);
  const Ran json =
      run("published-runs", runs + " --json --scatter " + (scratch / "s.svg").string());
  CHECK(json.code == 0);
  CHECK(json.out.find("\"kendall_tau\"") != std::string::npos);
  CHECK(content_of(scratch / "s.svg").starts_with("<svg"));
  CHECK(run("published-runs", file_with("none.json", "{}")).code == 1);
}

// Of one run, by what published-runs has written with --json.
double predicted(const Ran& ran, const std::string& id) {
  const std::string member = "\"predicted_s\": ";
  const std::size_t at = ran.out.find(member, ran.out.find('"' + id + '"'));
  REQUIRE(at != std::string::npos);
  return std::stod(ran.out.substr(at + member.size(), 24));
}

TEST_CASE("published-runs finds out how many chunks an interleaved stage has") {
  const auto one = [&](const std::string& id, const std::string& chunks) {
    return "{\"id\": \"" + id + R"(", "cluster": "dgx-a100-80gb-selene", "gpus": 4,
      "model": {"family": "gpt", "layers": 8, "hidden": 512, "heads": 8, "vocab": 8192, "seq_len": 256},
      "global_batch": 16, "micro_batch": 1, "precision": "fp16", "recompute": "none", "zero_stage": 1,
      "parallel": {"tp": 1, "pp": 2, "dp": 2, "schedule": "interleaved", "vpp": )" +
           chunks + R"(}, "measured": {"iter_s": 0.1}})";
  };
  const std::string runs = "{\"runs\": [" + one("open", "null") + "," + one("two", "2") + "," +
                           one("four", "4") + "]}";
  const Ran ran = run("published-runs", file_with("chunks.json", runs) + " --json");
  REQUIRE(ran.code == 0);
  CHECK(predicted(ran, "open") == predicted(ran, "two"));
  CHECK(predicted(ran, "open") != predicted(ran, "four"));
}

TEST_CASE("published-runs prices dropout, XLA's softmax and launches that are waited for") {
  const auto one = [](const std::string& id, const std::string& name, const std::string& suite,
                      const std::string& cluster, const std::string& replicas) {
    return "{\"id\": \"" + id + "\", \"suite\": \"" + suite + "\", \"cluster\": \"" + cluster +
           "\", \"gpus\": " + replicas + R"(, "model": {"family": "gpt", "name": ")" + name +
           R"(", "layers": 4, "hidden": 1024, "heads": 16, "vocab": 8192, "seq_len": 1024},
             "num_micro_batches": 1, "micro_batch": 2, "precision": "fp16", "recompute": "full",
             "zero_stage": 0, "global_batch": )" +
           std::to_string(2 * std::stoi(replicas)) + R"(, "parallel": {"tp": 1, "pp": 1, "dp": )" +
           replicas + R"(}, "measured": {"iter_s": 0.1}})";
  };
  const std::string selene = "dgx-a100-80gb-selene", zay = "jean-zay-a100";
  const Ran ran =
      run("published-runs",
          file_with("software.json", "{\"runs\": [" + one("dropped", "GPT", "s", selene, "8") +
                                         "," + one("kept", "GPT-NeoX", "s", selene, "8") + "," +
                                         one("xla", "GPT", "alpa", selene, "8") + "," +
                                         one("free", "GPT", "s", zay, "312") + "," +
                                         one("waits", "GPT", "s", zay, "320") + "]}") +
              " --json");
  REQUIRE(ran.code == 0);
  CHECK(predicted(ran, "dropped") > 1.02 * predicted(ran, "kept"));
  CHECK(predicted(ran, "xla") > 1.02 * predicted(ran, "kept"));
  // Of four layers, each run forward twice and backward once: 57 kernels of 61 us and a few more.
  CHECK(predicted(ran, "waits") > predicted(ran, "free") + 4 * 0.0035);
  CHECK(predicted(ran, "waits") < predicted(ran, "free") + 6 * 0.0035);
}

TEST_CASE("a budget that nothing fits: exit code 2, and what would be needed") {
  const Ran ran = run("tessera-plan", mlp + " --mesh 2x4 --memory-budget 1KiB");
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  CHECK(ran.err.find("no plan fits the budget of 1024 bytes") != std::string::npos);
  CHECK(ran.err.find("are needed") != std::string::npos);
  CHECK(ran.err.find("f32[1024,128]") != std::string::npos);
}

TEST_CASE("a model by name is planned like its text") {
  const std::string model = "--model mlp:layers=2,width=64,classes=8,batch=32 --mesh 2x2";
  const Ran table = run("tessera-plan", model);
  CHECK(table.code == 0);
  CHECK(table.out.find("layer0.weight") != std::string::npos);
  const Ran hlo = run("tessera-plan", model + " --emit hlo");
  CHECK(hlo.code == 0);
  const Ran again = run("tessera-plan", file_with("model.hlo", hlo.out) + " --mesh 2x2");
  CHECK(again.code == 0);
  const auto line = [](const std::string& text, const char* name) {
    const std::size_t at = text.find(name);
    return text.substr(at, text.find('\n', at) - at);
  };
  CHECK(line(again.out, "cost  ") == line(table.out, "cost  "));
}

TEST_CASE("fused attention is planned by name, without an op kept whole, and its plan is true") {
  const Ran ran = run("tessera-plan",
                      "--model gpt:layers=1,hidden=16,heads=2,seq=4,vocab=16,batch=8,"
                      "attention=fused --mesh 2x4 --execute");
  CHECK(ran.code == 0);
  CHECK(ran.err.find("kept whole") == std::string::npos);
  CHECK(ran.out.find("executed on 8 threads") != std::string::npos);
}

TEST_CASE("tessera-plan executes a plan: exit code 4 where it is not true") {
  const std::string step = "--model mlp:layers=2,width=16,classes=4,batch=8 --mesh 2x2";
  const Ran ran = run("tessera-plan", step + " --execute --seed 3");
  CHECK(ran.code == 0);
  CHECK(ran.out.find("executed on 4 threads") != std::string::npos);
  CHECK(ran.out.find(" agree, to ") != std::string::npos);
  CHECK(ran.out.find("bytes    as predicted in all ") != std::string::npos);
  const Ran json = run("tessera-plan", step + " --execute --emit json");
  CHECK(json.code == 0);
  CHECK(json.out.starts_with('{'));
  CHECK(json.out.find("executed") == std::string::npos);
  CHECK(json.err.find("executed on 4 threads") != std::string::npos);
  // No sum in float comes out the same in every order.
  const Ran strict = run("tessera-plan", step + " --execute --tolerance 0");
  CHECK(strict.code == 4);
  CHECK(strict.out.find("differ from the unsharded run") != std::string::npos);
  // Inputs of one's own: NumPy's header is a line of Python.
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
  header.resize(117, ' ');
  const std::string numpy = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + '\n';
  const std::string square = file_with("square.hlo",
                                       "HloModule m\nENTRY e {\n x = f32[2,2] parameter(0)\n"
                                       " ROOT y = f32[2,2] dot(x, x), lhs_contracting_dims={1}, "
                                       "rhs_contracting_dims={0}\n}") +
                             " --mesh 2 --execute --inputs " + scratch.string();
  file_with("x.npy", numpy + std::string(16, '\0'));
  CHECK(run("tessera-plan", square).code == 0);
  file_with("x.npy", numpy + std::string(15, '\0'));
  const Ran short_of_bytes = run("tessera-plan", square);
  CHECK(short_of_bytes.code == 1);
  CHECK(short_of_bytes.err.find("x.npy: it has 15 bytes of data where 16 are due") !=
        std::string::npos);
  const std::string unknown = file_with("unknown.hlo",
                                        "HloModule m\nENTRY e {\n x = c64[4] parameter(0)\n"
                                        " ROOT y = c64[4] fft(x), fft_type=FFT, fft_length={4}\n}");
  const Ran refused = run("tessera-plan", unknown + " --mesh 2 --execute");
  CHECK(refused.code == 1);
  CHECK(refused.err.find("can not be computed") != std::string::npos);
}

TEST_CASE("bad arguments: exit code 1 and one line") {
  for (const auto& test :
       {std::pair<std::string, const char*>{"--mesh 2x4", "give an HLO file, or a model by --model"},
        {mlp + " --model gpt --mesh 2x4", "MODEL excludes --model"},
        {"--model gpt-40b --mesh 2x4",
         "--model: there is no model 'gpt-40b'; there are gpt, llama"},
        {"--model gpt:depth=2 --mesh 2x4",
         "'depth' is no setting of gpt; there are layers, hidden"},
        {"--model gpt:layers=-2 --mesh 2x4", "layers='-2' is no integer from 1"},
        {"--model gpt:heads=5 --mesh 2x4", "hidden is no multiple of heads"},
        {"--model gpt:step=run --mesh 2x4",
         "step='run': there are train, accumulate, apply, infer"},
        {"", "MODEL: give an HLO file, or a model by --model"},
        {mlp, "--mesh: give the devices along each axis, as --mesh 2x4, or a --cluster"},
        {mlp + " --mesh 2 --tolerance 1e-3", "--tolerance requires --execute"},
        {mlp + " --mesh 2 --execute --tolerance -1", "'-1' is no number that is 0 or more"},
        {mlp + " --cluster cray-1:8", "--cluster: no cluster is called 'cray-1'; there are alpa-"},
        {mlp + " --cluster dgx-h200", "does not say how many devices; write dgx-h200:8"},
        {mlp + " --cluster dgx-h200:8 --mesh 4x4", "--mesh: mesh 4x4 has 16 devices, and cluster "},
        {mlp + " --cluster dgx-h200:8 --alpha 1", "--alpha excludes --cluster"},
        {mlp + " --mesh 2x4 --hidden-communication 5", "requires --cluster"},
        {mlp + " --cluster dgx-h200:8 --hidden-communication 101",
         "'101' is no integer from 0 to 100"},
        {mlp + " --mesh 2x", "'2x' is no mesh: give the devices along each axis, as 2x4"},
        {mlp + " --mesh 2x0", "a mesh axis needs at least one device"},
        {mlp + " --mesh -2", "--mesh"},
        {mlp + " --mesh 2x99999999999999999999", "does not fit in 64 bits"},
        {mlp + " --mesh 1x1x1x1x1x1x1x1x1", "at most eight axes"},
        {mlp + " --mesh 2x4 --alpha 1",
         "'1' is not one number for each axis of the mesh, which has 2"},
        {mlp + " --mesh 2x4 --beta 1,x", "no decimal number"},
        {mlp + " --mesh 2x4 --beta 1,-1", "'-1' is no decimal number from 0 on"},
        {mlp + " --mesh 2x4 --memory-budget lots", "no number of bytes"},
        {mlp + " --mesh 2x4 --memory-budget 99999999TiB", "does not fit in 64 bits"},
        {mlp + " --mesh 2x4 --emit xml", "--emit"},
        {mlp + " --mesh 2x4 --cost-model other", "--cost-model"},
        {mlp + " --mesh 2x4 --memory-budget 9223372036854775808", "does not fit in 64 bits"},
        {mlp + " --mesh 2x4 --time-limit -1", "--time-limit: '-1' is no number of seconds"},
        {mlp + " --mesh 2x4 --gap 0.1", "--gap: '0.1' is no share, such as 60%"},
        {mlp + " --mesh 2x4 --time-limit nan", "--time-limit: 'nan' is no number of seconds"},
        {mlp + " --mesh 2x4 --time-limit inf", "--time-limit: 'inf' is no number of seconds"},
        {mlp + " --mesh 2x4 --time-limit 1e400", "--time-limit: '1e400' is no number of seconds"},
        {mlp + " --mesh 2x4 --seed -1", "--seed: '-1' is no integer"},
        {mlp + " --mesh 2x4 --seed 18446744073709551616", "--seed: '18446744073709551616' is no"},
        {mlp + " --mesh 2x4 -o /tmp/same --problem /tmp/../tmp/same", "both are '/tmp/same'"},
        {mlp + " --cluster dgx-2:16 --pipeline --microbatches x",
         "from 1 to 1000000, and not auto"},
        {mlp + " --cluster dgx-2:16 --pipeline --microbatches 4 --layers 0", "'0' is no integer"},
        {mlp + " --cluster dgx-2:16 --pipeline --microbatches 4 -o /tmp/same --timeline /tmp/same",
         "--output and --timeline: both are '/tmp/same'"},
        {mlp + " --mesh 2 --execute --inputs /nonexistent", "'/nonexistent' is no folder"},
        {mlp + " --mesh 2x4 -o /tmp", "/tmp: Is a directory"},
        {mlp + " --mesh 2x4 --nonsense", "--nonsense"},
        {mlp + " --mesh 2x4 -o /nonexistent/x", "/nonexistent/x: No such file"},
        {"/nonexistent.hlo --mesh 2x4", "/nonexistent.hlo: No such file"},
        {"/ --mesh 2x4", "/: Is a directory"}}) {
    const std::string& arguments = test.first;
    CAPTURE(arguments);
    const Ran ran = run("tessera-plan", arguments);
    CAPTURE(ran.err);
    CHECK(ran.code == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err.find(test.second) != std::string::npos);
    CHECK(ran.err.starts_with("error: "));
    CHECK(ran.err.find('\n') == ran.err.size() - 1);
  }
  for (const char* arguments : {"p.json nan", "p.json inf", "p.json 1e400", "p.json -1",
                                "p.json 1 --seed -1", "p.json 1 --seed 18446744073709551616"}) {
    CAPTURE(arguments);
    const Ran ran = run("tessera-solve", arguments);
    CHECK(ran.code == 1);
    CHECK(ran.err.starts_with("error: "));
    CHECK(ran.err.find("p.json: No such file") == std::string::npos);
  }
}

TEST_CASE("the largest budget that fits in 64 bits is one") {
  CHECK(run("tessera-plan", mlp + " --mesh 2 --memory-budget 9223372036854775807").code == 0);
}

TEST_CASE("output that does not arrive is an error") {
  if (!std::filesystem::exists("/dev/full")) return;
  const std::string problem = file_with(
      "small.json", R"({"problem":{"name":"s","nodes":{"intervals":[[0,1]],"costs":[[1]],)"
                    R"("usages":[[2]]},"edges":{"nodes":[],"costs":[]}}})");
  for (const std::string& command :
       {"tessera-plan " + mlp + " --mesh 2x4", "tessera-plan " + mlp + " --mesh 2x4 --emit json",
        "tessera-solve " + problem + " 1", "tessera-solve " + problem + " 1 --quiet",
        std::string("tessera-plan --help"), std::string("tessera-solve --version")}) {
    CAPTURE(command);
    const std::string err = (scratch / "err").string();
    const int status =
        std::system((TESSERA_BIN_DIR "/" + command + " > /dev/full 2> " + err).c_str());
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(content_of(err).starts_with("error: standard output: "));
  }
}

TEST_CASE("tessera-plan may write into a device, and leaves the device be") {
  const Ran ran = run("tessera-plan", mlp + " --mesh 2x4 --emit json -o /dev/null");
  CHECK(ran.code == 0);
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

TEST_CASE("text from files reaches the terminal tamed") {
  const std::string odd =
      file_with("escape.hlo",
                "ENTRY e { x = f32[4] parameter(0)\n ROOT y = f32[4] custom-call(x), "
                "custom_call_target=\"a\x1b[31m\nerror: fake\" }");
  const Ran plan = run("tessera-plan", odd + " --mesh 2");
  CHECK(plan.code == 0);
  CHECK(plan.err.find('\x1b') == std::string::npos);
  CHECK(plan.err.find("fake") == std::string::npos);
  const Ran solve = run(
      "tessera-solve",
      file_with(
          "escape.json",
          R"({"problem":{"name":"a\u001b[31m\n[7]","nodes":{"intervals":[],"costs":[],"usages":[]},)"
          R"("edges":{"nodes":[],"costs":[]}}})") +
          " 1");
  CHECK(solve.code == 0);
  CHECK(solve.out.find('\x1b') == std::string::npos);
  CHECK(solve.out.find("[7]") == std::string::npos);
}

TEST_CASE("a tensor that is too large to price: the place of its instruction") {
  const std::string huge = file_with("huge.hlo",
                                     "ENTRY e {\n  x = pred[4611686018427387904] parameter(0)\n"
                                     "  ROOT y = pred[1,4611686018427387904] reshape(x)\n}\n");
  const Ran ran = run("tessera-plan", huge + " --mesh 2x2");
  CHECK(ran.code == 1);
  CHECK(ran.err.find("huge.hlo:2:3: op 'x': the price of") != std::string::npos);
}

TEST_CASE("the time limit holds before the search begins") {
  const Ran ran = run("tessera-plan",
                      model_file("gpt_2_layer_step.hlo") + " --mesh 2x2x2x2 --time-limit 0.2 -v");
  CHECK(ran.code == 3);
  CHECK(ran.err.find("no plan was found in time") != std::string::npos);
}

TEST_CASE("bad input: exit code 1, file, line and column") {
  const std::string bad = file_with("bad.hlo",
                                    "ENTRY e {\n  x = f32[2] parameter(0)\n"
                                    "  ROOT y = f32[3] negate(x)\n}\n");
  const Ran plan = run("tessera-plan", bad + " --mesh 2");
  CHECK(plan.code == 1);
  CHECK(
      plan.err.find("bad.hlo:3:8: 'y': negate: the result is declared f32[3], but it is f32[2]") !=
      std::string::npos);
  const Ran solve = run("tessera-solve", file_with("bad.json", "{\"problem\": 3}") + " 1");
  CHECK(solve.code == 1);
  CHECK(solve.err.find("bad.json:1:") != std::string::npos);
}

TEST_CASE("--help teaches, --version tells") {
  for (const char* program : {"tessera-plan", "tessera-solve"}) {
    const Ran help = run(program, "--help");
    CHECK(help.code == 0);
    CHECK(help.out.find("Examples:") != std::string::npos);
    CHECK(help.out.find("Exit codes:") != std::string::npos);
    const Ran version = run(program, "--version");
    CHECK(version.code == 0);
    CHECK(version.out.starts_with("tessera "));
  }
}

// --- tessera-solve -------------------------------------------------------------------------------
std::string last_line(const std::string& text) {
  const std::string trimmed = text.substr(0, text.find_last_not_of('\n') + 1);
  return trimmed.substr(trimmed.rfind('\n') + 1);
}

TEST_CASE("tessera-solve follows the contest's protocol") {
  const std::string example = file_with(
      "example.json",
      R"({"problem":{"name":"example","nodes":{"intervals":[[30,70],[40,70],[50,120],[110,140],)"
      R"([110,150]],"costs":[[15],[55,65],[25,45,35],[85,75],[95]],"usages":[[10],[25,25],)"
      R"([15,20,15],[10,10],[15]]},"edges":{"nodes":[[0,1],[0,2],[1,3],[2,4],[3,4]],"costs":)"
      R"([[30,40],[50,10,40],[90,10,20,80],[60,20,30],[70,60]]},"usage_limit":50}})");
  const Ran ran = run("tessera-solve", example + " 5 --threads 2 --seed 1");
  CHECK(ran.code == 0);
  CHECK(last_line(ran.out) == "[0, 0, 2, 1, 0]");
  std::string rest = ran.out.substr(0, ran.out.rfind('['));
  CHECK(rest.find("cost 445, lower bound 445, gap 0%") != std::string::npos);
  for (std::size_t at = 0; at < rest.size(); at = rest.find('\n', at) + 1) CHECK(rest[at] == '#');
  const Ran quiet = run("tessera-solve", example + " 5 --quiet");
  CHECK(quiet.out == "[0, 0, 2, 1, 0]\n");
}

TEST_CASE("tessera-solve on what has no solution, and on nothing") {
  const std::string infeasible = file_with(
      "infeasible.json",
      R"({"problem":{"name":"i","nodes":{"intervals":[[0,1]],"costs":[[1]],"usages":[[2]]},)"
      R"("edges":{"nodes":[],"costs":[]},"usage_limit":1}})");
  const Ran ran = run("tessera-solve", infeasible + " 5");
  CHECK(ran.code == 2);
  CHECK(last_line(ran.out) == "[]");
  const std::string empty = file_with(
      "empty.json", R"({"problem":{"name":"e","nodes":{"intervals":[],"costs":[],"usages":[]},)"
                    R"("edges":{"nodes":[],"costs":[]}}})");
  const Ran nothing = run("tessera-solve", empty + " 5");
  CHECK(nothing.code == 0);
  CHECK(last_line(nothing.out) == "[]");
}

// --- stage-dp ------------------------------------------------------------------------------------

TEST_CASE("stage-dp prints the value of each instance") {
  // Two layers: both on two devices in 7, or each on one in 4 and 5; apart, the first must have no
  // stage after it in the second instance.
  const auto instance = [](const std::string& id, const std::string& first_may_have) {
    return R"({"id": ")" + id + R"(", "num_layers": 2, "num_devices": 2, "num_microbatches": 3,
      "submesh_choices": [[1, 1], [1, 2]],
      "compute_cost": [[[[9, 4], [null, null]], [[null, null], [8, 7]]],
                       [[[null, null], [null, null]], [[5, 6], [null, null]]]],
      "max_n_succ_stages": [[[[0, )" +
           first_may_have + R"(], [0, 0]], [[0, 0], [0, 0]]],
                            [[[0, 0], [0, 0]], [[null, 0], [0, 0]]]]})";
  };
  const std::string impossible = R"({"id": 3, "num_layers": 1, "num_devices": 3,
    "num_microbatches": 1, "submesh_choices": [[1, 2]], "compute_cost": [[[[1]]]],
    "max_n_succ_stages": [[[[0]]]]})";
  const std::string file = file_with("stages.json", R"({"instances": [)" + instance("apart", "1") +
                                                        "," + instance("together", "0") + "," +
                                                        impossible + "]}");
  const Ran training = run("stage-dp", file);
  CHECK(training.code == 0);
  CHECK(training.err.empty());
  CHECK(training.out == "apart 19\ntogether 21\n3 infeasible\n");
  const Ran inference = run("stage-dp", file + " --inference --statistics");
  CHECK(inference.out == "apart 5\ntogether 7\n3 infeasible\n");
  CHECK(inference.err.find("apart: 2 stages") != std::string::npos);
}

TEST_CASE("stage-dp names what is wrong with a file, and where") {
  const auto error_of = [](const std::string& content) {
    const Ran ran = run("stage-dp", file_with("bad.json", content));
    CHECK(ran.code == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err.starts_with("error: "));
    return ran.err;
  };
  CHECK(error_of("{\"instances\": [\n").find("bad.json:2:1: ") != std::string::npos);
  CHECK(error_of("[]").find("file: expected an object") != std::string::npos);
  CHECK(error_of(R"({"instances": [{"id": 1}]})")
            .find("file.instances[0]: expected a member \"num_layers\"") != std::string::npos);
  const std::string begin = R"({"instances": [{"id": 1, "num_layers": 1, "num_devices": 1,
    "num_microbatches": 1, "submesh_choices": [[1, 1]], "max_n_succ_stages": [[[[0]]]],
    "compute_cost": )";
  CHECK(error_of(begin + "[[[[1.5]]]]}]}").find("compute_cost[0][0][0][0]: expected an integer") !=
        std::string::npos);
  CHECK(error_of(begin + "[[[[-1]]]]}]}").find("has a negative time") != std::string::npos);
  CHECK(error_of(begin + "[[[[]]]]}]}").find("expected 0 entries, as in compute_cost") !=
        std::string::npos);
}

}  // namespace
