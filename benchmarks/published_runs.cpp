// SPDX-License-Identifier: Apache-2.0
//
// published-runs: what we say that published training runs take, beside what they took.
//
// Every run is priced as it was configured, by one cost model and no setting of its own: a GPT
// whose weights are cut over the tensor-parallel devices as Megatron-LM does, its batch over the
// data-parallel ones, its layers over stages of equal length, with the run's microbatches,
// schedule, recomputation and, with sequence parallelism, activations cut between the layers.
// Everything else is as our planner has it.  A layer of each kind is priced (the first, those in
// the middle, the last), and the schedule is played with what they take.
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/io/file.hpp"
#include "tessera/models/gpt.hpp"
#include "tessera/pipeline/simulate.hpp"
#include "tessera/pipeline/transfer.hpp"
#include "tessera/plan/span_price.hpp"
#include "tessera/report/text.hpp"

namespace {

using namespace tessera;
using examples::ExitCode;
using Json = rapidjson::Value;

constexpr const char* about =
    R"(Prices published training runs as they were configured, and compares with what was measured.

Reads {"runs": [...]}: per run its model, cluster, GPUs, batch and microbatch, parallelism, schedule
and recomputation, and how long an iteration took.  Prints predicted and measured seconds, the share
of runs within 15 %, and Kendall's tau of each compare_group; runs that can not be priced are listed
with the reason.)";

constexpr const char* epilogue = R"(Examples:
  published-runs published_runs.json
  published-runs published_runs.json --json
  published-runs published_runs.json --scatter runs.svg)";

struct Arguments {
  std::string file, scatter;
  bool json = false;
};

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.add_option("FILE", arguments.file, "JSON file of runs")->required();
  app.add_flag("--json", arguments.json, "print one JSON object instead of a table");
  app.add_option("--scatter", arguments.scatter,
                 "also write a picture there, predicted against measured");
}

// --- What a run is -------------------------------------------------------------------------------

struct NotPriced : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Recomputes { nothing, attention, layers };

struct Run {
  std::string id, group, cluster;
  models::Gpt model;
  graph::ElementType precision = graph::ElementType::bf16;
  Extent gpus = 1, microbatch = 1, microbatches = 1;
  Extent tensor = 1, stages = 1, data = 1, chunks = 1;
  Extent zero_stage = 0;
  bool cuts_sequence = false;
  Recomputes recomputes = Recomputes::nothing;
  double measured = 0;  // seconds of an iteration
};

// Reads one run; what it lacks is a reason not to price it.
class RunReader {
 public:
  explicit RunReader(const Json& run) : run_(run) {}

  std::string id() const {
    const Json* const id = find(run_, "id");
    return id != nullptr && id->IsString() ? id->GetString() : "?";
  }

  Run read() const {
    Run run;
    run.id = id();
    if (const Json* const group = find(run_, "compare_group"); group && group->IsString())
      run.group = group->GetString();
    if (const Json* const oom = find(run_, "oom"); oom && oom->IsBool() && oom->GetBool())
      throw NotPriced("it ran out of memory");
    run.cluster = text(run_, "cluster");
    run.gpus = number(run_, "gpus");
    read_model(run);
    read_parallelism(run);
    read_batch(run);
    run.measured = seconds(run);
    return run;
  }

 private:
  static const Json* find(const Json& object, const char* name) {
    if (!object.IsObject()) return nullptr;
    const auto at = object.FindMember(name);
    return at == object.MemberEnd() || at->value.IsNull() ? nullptr : &at->value;
  }
  static const Json& member(const Json& object, const char* name) {
    const Json* const found = find(object, name);
    if (found == nullptr) throw NotPriced(std::string("its ") + name + " is not known");
    return *found;
  }
  static std::string text(const Json& object, const char* name) {
    const Json& found = member(object, name);
    if (!found.IsString()) throw NotPriced(std::string("its ") + name + " is no text");
    return found.GetString();
  }
  static Extent number(const Json& object, const char* name) {
    const Json& found = member(object, name);
    if (!found.IsInt64() || found.GetInt64() < 1 || found.GetInt64() > 100'000'000)
      throw NotPriced(std::string("its ") + name + " is no integer from 1 on");
    return found.GetInt64();
  }
  static std::optional<double> real(const Json& object, const char* name) {
    const Json* const found = find(object, name);
    if (found == nullptr || !found->IsNumber() || found->GetDouble() <= 0) return std::nullopt;
    return found->GetDouble();
  }

  void read_model(Run& run) const {
    const Json& model = member(run_, "model");
    const std::string family = text(model, "family");
    if (family != "gpt" && family != "mpt")
      throw NotPriced("no configuration of a " + family + " is priced, only of a gpt or an mpt");
    run.model.layers = number(model, "layers");
    run.model.hidden = number(model, "hidden");
    run.model.heads = number(model, "heads");
    run.model.seq = number(model, "seq_len");
    run.model.vocab = number(model, "vocab");
    if (find(model, "ffn") != nullptr) run.model.ffn = number(model, "ffn");
    if (run.model.layers < 2) throw NotPriced("it has fewer than two layers");
    const std::string precision = text(run_, "precision");
    const bool is_half = precision.find("fp16") != std::string::npos || precision.find("f16") == 0;
    if (is_half) run.precision = graph::ElementType::f16;
  }

  void read_parallelism(Run& run) const {
    const Json& parallel = member(run_, "parallel");
    run.tensor = number(parallel, "tp");
    run.stages = number(parallel, "pp");
    run.data = number(parallel, "dp");
    for (const char* const other : {"cp", "ep"})
      if (find(parallel, other) != nullptr && number(parallel, other) != 1)
        throw NotPriced(std::string("its ") + other + " is not 1");
    if (run.tensor * run.stages * run.data != run.gpus)
      throw NotPriced("tp, pp and dp do not make up its GPUs");
    if (run.model.heads % run.tensor != 0) throw NotPriced("its tp does not divide its heads");
    if (run.model.layers < run.stages) throw NotPriced("it has fewer layers than stages");
    const Json* const schedule = find(parallel, "schedule");
    const std::string name = schedule && schedule->IsString() ? schedule->GetString() : "1f1b";
    if (name == "interleaved-1f1b") {
      run.chunks = number(parallel, "vpp");
      if (run.model.layers % (run.stages * run.chunks) != 0)
        throw NotPriced("its chunks do not divide its layers");
    } else if (name != "1f1b" && name != "none") {
      throw NotPriced("its schedule, " + name + ", is none that is priced");
    }
    const Json* const zero = find(run_, "zero_stage");
    if (zero != nullptr && zero->IsInt64()) run.zero_stage = zero->GetInt64();
    if (zero != nullptr && zero->IsString()) run.zero_stage = std::atoi(zero->GetString());
    const Json* const sequence = find(run_, "sequence_parallel");
    run.cuts_sequence = sequence != nullptr && sequence->IsBool() && sequence->GetBool();
    const Json* const recompute = find(run_, "recompute");
    if (recompute == nullptr) throw NotPriced("whether it recomputes is not known");
    const std::string what = recompute->IsString() ? recompute->GetString() : "";
    if (what.rfind("full", 0) == 0)
      run.recomputes = Recomputes::layers;
    else if (what.rfind("selective", 0) == 0)
      run.recomputes = Recomputes::attention;
    else if (what != "none")
      throw NotPriced("its recomputation, " + excerpt(what) + ", is none that is priced");
  }

  void read_batch(Run& run) const {
    const Extent batch = number(run_, "global_batch");
    run.microbatch = number(run_, "micro_batch");
    const Extent at_once = run.microbatch * run.data;
    if (batch % at_once != 0) throw NotPriced("its microbatches do not make up its batch");
    run.microbatches = batch / at_once;
    if (run.chunks > 1 && run.microbatches % run.stages != 0)
      throw NotPriced("it interleaves microbatches that are no multiple of its stages");
    run.model.batch = at_once;
  }

  // As measured, or from the throughput that was.
  double seconds(const Run& run) const {
    const auto batch = static_cast<double>(run.model.batch * run.microbatches);
    for (const char* const name : {"measured", "derived"}) {
      const Json* const found = find(run_, name);
      if (found == nullptr) continue;
      if (const auto time = real(*found, "iter_s")) return *time;
      if (const auto rate = real(*found, "tokens_per_s"))
        return batch * static_cast<double>(run.model.seq) / *rate;
      if (const auto rate = real(*found, "samples_per_s")) return batch / *rate;
    }
    throw NotPriced("how long it took is not known");
  }

  const Json& run_;
};

// --- What it should take -------------------------------------------------------------------------

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

// The dim of a parameter that Megatron-LM cuts over tensor-parallel devices, if any.
std::optional<std::size_t> tensor_dim_of(std::string_view name) {
  for (const std::string_view state : {".master", ".mean", ".variance"})
    if (name.ends_with(state)) name.remove_suffix(state.size());
  if (ends_with_any(name, {"query.weight", "key.weight", "value.weight", "up.weight"})) return 1;
  if (ends_with_any(name, {"query.bias", "key.bias", "value.bias", "up.bias", "output.weight",
                           "down.weight", "embedding"}))
    return 0;
  return std::nullopt;
}

bool is_optimizer_state(std::string_view name) {
  return ends_with_any(name, {".master", ".mean", ".variance"});
}

// One layer of a kind: what it takes, and how much of that is the core of attention.
struct Layer {
  plan::SpanPrice price;
  Cost attention = 0;  // forward: from scores to values
};

class Pricer {
 public:
  explicit Pricer(const Run& run) : run_(run), stage_devices_(run.data * run.tensor) {
    try {
      // Two stages at least, so that there is a way from one to the next.
      cluster_ = cost::find_cluster(run.cluster + ':' + std::to_string(run.gpus));
    } catch (const std::invalid_argument& error) {
      throw NotPriced(error.what());
    }
    std::vector<Extent> extents;
    if (run.data > 1) {
      data_axis_ = extents.size();
      extents.push_back(run.data);
    }
    if (run.tensor > 1) {
      tensor_axis_ = extents.size();
      extents.push_back(run.tensor);
    }
    if (extents.empty()) extents.push_back(1);
    mesh_ = DynamicMesh(extents);
  }

  // Seconds of an iteration.
  double run() {
    const graph::Graph graph = three_layers();
    const pipeline::Layers layers = *pipeline::named_layers(graph);
    const pipeline::LayeredProgram program(graph, layers);
    for (std::size_t kind = 0; kind < 3; ++kind)
      layers_.push_back(priced(program.span(kind, kind)));
    return static_cast<double>(step()) / static_cast<double>(cost::second);
  }

 private:
  graph::Graph three_layers() const {
    models::Gpt model = run_.model;
    model.layers = 3;
    models::StepOptions step;
    step.precision = run_.precision;
    return models::build(model, step);
  }

  // The activation between layers: cut by samples, and by positions where the run does that.
  DynamicSharding between() const {
    DynamicSharding sharding = DynamicSharding::replicated(3);
    if (data_axis_) sharding = sharding.with_split(0, static_cast<Axis>(*data_axis_));
    if (tensor_axis_ && run_.cuts_sequence)
      sharding = sharding.with_split(1, static_cast<Axis>(*tensor_axis_));
    return sharding;
  }

  Layer priced(const pipeline::SpanProgram& span) const {
    plan::SpanRequest request;
    request.microbatches = run_.microbatches;
    request.solver.time_limit = 20;
    const auto ends = [&](const std::vector<pipeline::Crossing>& crossings, auto& wanted) {
      for (const pipeline::Crossing& crossing : crossings)
        wanted.push_back(crossing.part == pipeline::OpPart::update ? std::nullopt
                                                                   : std::optional(between()));
    };
    ends(span.received, request.received);
    ends(span.sent, request.sent);
    request.annotations = given(span);
    const cost::ClusterModel model(cost::part_of(cluster_, stage_devices_), mesh_);
    const plan::Plan plan = plan::plan_span(span, mesh_, model, request);
    if (!plan.has_ops()) throw NotPriced("no plan was found in time");
    return {plan::price_of(span, plan, run_.microbatches), attention(span, plan)};
  }

  // What the run says of parameters.
  std::vector<strategy::Annotation> given(const pipeline::SpanProgram& span) const {
    std::vector<strategy::Annotation> annotations;
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
      const graph::Op& op = span.graph.op(id);
      if (!op.is_parameter || span.held[id] == pipeline::Held::received) continue;
      const Dims& dims = op.results[0].dims;
      if (dims.empty()) continue;
      DynamicSharding sharding = DynamicSharding::replicated(dims.size());
      if (span.held[id] == pipeline::Held::data) {
        if (data_axis_) sharding = sharding.with_split(0, static_cast<Axis>(*data_axis_));
      } else {
        // What sharded optimizers do with their state is cheapest as the planner has it.
        if (run_.zero_stage > 0 && is_optimizer_state(op.name)) continue;
        if (tensor_axis_)
          if (const auto dim = tensor_dim_of(op.name))
            sharding = sharding.with_split(*dim, static_cast<Axis>(*tensor_axis_));
        if (run_.zero_stage == 3) cut_further(dims, sharding);
      }
      annotations.push_back({{id, 0}, sharding, 0, op.name + ", as the run has it"});
    }
    return annotations;
  }
  // Fully sharded: over the data-parallel devices as well, where some dim is long enough.
  void cut_further(const Dims& dims, DynamicSharding& sharding) const {
    if (!data_axis_) return;
    const Axis axis = static_cast<Axis>(*data_axis_);
    for (std::size_t dim = 0; dim < dims.size(); ++dim)
      if (can_split(sharding, mesh_, dims, dim, axis) && dims[dim] % run_.data == 0) {
        sharding = sharding.with_split(dim, axis);
        return;
      }
  }

  // Forward ops that have a matrix of positions by positions.
  Cost attention(const pipeline::SpanProgram& span, const plan::Plan& plan) const {
    Cost total = 0;
    const auto is_scores = [&](const graph::TensorType& type) {
      const Dims& d = type.dims;
      return d.size() == 4 && d[2] == run_.model.seq && d[3] == run_.model.seq;
    };
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
      if (span.parts[id] != pipeline::OpPart::forward) continue;
      bool has = is_scores(span.graph.op(id).results[0]);
      for (std::size_t i = 0; i < span.graph.operand_count(id); ++i)
        has = has || is_scores(span.graph.type_of(span.graph.operand(id, i)));
      if (!has) continue;
      total += plan.ops[id].work;
      for (const plan::PlannedStep& taken : plan.ops[id].steps) total += taken.price;
    }
    return total;
  }

  // The schedule, played, and what comes once after it.
  Wide step() const {
    const Extent chunk_count = run_.stages * run_.chunks;
    // As even as can be, where they do not come out even.
    const auto begin = [&](Extent chunk) { return run_.model.layers * chunk / chunk_count; };
    std::vector<pipeline::ChunkTimes> times;
    std::vector<Cost> per_step(static_cast<std::size_t>(run_.stages), 0);
    const Cost hop = run_.stages > 1 ? hop_time() : 0;
    for (Extent chunk = 0; chunk < chunk_count; ++chunk) {
      pipeline::ChunkTimes t;
      for (Extent number = begin(chunk); number < begin(chunk + 1); ++number) {
        const Layer& layer = layers_[number == 0 ? 0 : number + 1 == run_.model.layers ? 2 : 1];
        t.forward += layer.price.forward;
        t.input_backward += layer.price.backward;
        if (run_.recomputes == Recomputes::layers) t.input_backward += layer.price.forward;
        if (run_.recomputes == Recomputes::attention) t.input_backward += layer.attention;
        per_step[static_cast<std::size_t>(chunk % run_.stages)] += layer.price.per_step;
      }
      if (chunk + 1 < chunk_count) t.send_forward = hop;
      if (chunk > 0) t.send_backward = hop;
      times.push_back(t);
    }
    const pipeline::Schedule schedule =
        run_.chunks > 1 ? pipeline::interleaved(run_.stages, run_.microbatches, run_.chunks)
                        : pipeline::one_f_one_b(run_.stages, run_.microbatches);
    return Wide(pipeline::simulate(schedule, times).step_time) +
           *std::max_element(per_step.begin(), per_step.end());
  }

  // An activation from one stage to the next.
  Cost hop_time() const {
    const Dims dims{run_.model.batch, run_.model.seq, run_.model.hidden};
    const Extent per_host = cluster_.levels.empty() ? 1 : cluster_.levels[0].fan_out;
    return pipeline::transfer_time(
        pipeline::transfer_between(dims, {mesh_, between(), 0}, {mesh_, between(), stage_devices_},
                                   per_host),
        graph::bytes_of(run_.precision), cluster_);
  }

  const Run& run_;
  Extent stage_devices_;
  cost::Cluster cluster_;
  DynamicMesh mesh_;
  std::optional<std::size_t> data_axis_, tensor_axis_;
  std::vector<Layer> layers_;  // the first, one in the middle, the last
};

// --- What comes of it ----------------------------------------------------------------------------

struct Priced {
  Run run;
  double predicted = 0;
  double ratio() const { return predicted / run.measured; }
};

struct Results {
  std::vector<Priced> priced;
  std::vector<std::pair<std::string, std::string>> left_out;  // id, reason

  double share_within(double margin) const {
    if (priced.empty()) return 0;
    const auto count = std::count_if(priced.begin(), priced.end(), [&](const Priced& run) {
      return std::abs(run.ratio() - 1) <= margin;
    });
    return static_cast<double>(count) / static_cast<double>(priced.size());
  }

  // Of each group of two and more: the share of pairs in the same order, less that of the others.
  std::map<std::string, double> taus() const {
    std::map<std::string, std::vector<const Priced*>> groups;
    for (const Priced& run : priced)
      if (!run.run.group.empty()) groups[run.run.group].push_back(&run);
    std::map<std::string, double> taus;
    for (const auto& [name, runs] : groups) {
      if (runs.size() < 2) continue;
      double sum = 0, pairs = 0;
      for (std::size_t i = 0; i < runs.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
          const double order = (runs[i]->predicted - runs[j]->predicted) *
                               (runs[i]->run.measured - runs[j]->run.measured);
          sum += order > 0 ? 1 : order < 0 ? -1 : 0;
          ++pairs;
        }
      taus[name] = sum / pairs;
    }
    return taus;
  }
};

Results price_all(const Json& runs) {
  Results results;
  for (const Json& json : runs.GetArray()) {
    const RunReader reader(json);
    try {
      const Run run = reader.read();
      results.priced.push_back({run, Pricer(run).run()});
    } catch (const NotPriced& reason) {
      results.left_out.emplace_back(reader.id(), reason.what());
    } catch (const std::exception& error) {
      results.left_out.emplace_back(reader.id(), error.what());
    }
  }
  return results;
}

std::string number_text(double number, int places) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", places, number);
  return text;
}

void print_table(const Results& results) {
  report::Columns rows;
  rows.add({"run", "predicted s", "measured s", "predicted / measured"});
  for (const Priced& run : results.priced)
    rows.add({run.run.id, number_text(run.predicted, 3), number_text(run.run.measured, 3),
              number_text(run.ratio(), 3)});
  std::printf("%s", rows.text("").c_str());
  std::printf("\n%zu runs priced, %.1f %% of them within 15 %%\n", results.priced.size(),
              100 * results.share_within(0.15));
  report::Columns taus;
  for (const auto& [group, tau] : results.taus()) taus.add({group, number_text(tau, 3)});
  if (!taus.empty()) std::printf("\nKendall's tau by compare_group\n%s", taus.text().c_str());
  if (results.left_out.empty()) return;
  report::Columns left_out;
  for (const auto& [id, reason] : results.left_out) left_out.add({id, reason});
  std::printf("\n%zu runs not priced\n%s", results.left_out.size(), left_out.text().c_str());
}

void print_json(const Results& results) {
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json(buffer);
  const auto real = [&](const char* name, double value) {
    json.Key(name);
    json.Double(value);
  };
  const auto text = [&](const char* name, const std::string& value) {
    json.Key(name);
    json.String(value.c_str());
  };
  json.StartObject();
  json.Key("runs");
  json.StartArray();
  for (const Priced& run : results.priced) {
    json.StartObject();
    text("id", run.run.id);
    real("predicted_s", run.predicted);
    real("measured_s", run.run.measured);
    real("ratio", run.ratio());
    json.EndObject();
  }
  json.EndArray();
  real("share_within_15_percent", results.share_within(0.15));
  json.Key("kendall_tau");
  json.StartObject();
  for (const auto& [group, tau] : results.taus()) real(group.c_str(), tau);
  json.EndObject();
  json.Key("not_priced");
  json.StartArray();
  for (const auto& [id, reason] : results.left_out) {
    json.StartObject();
    text("id", id);
    text("reason", reason);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  std::printf("%s\n", buffer.GetString());
}

// Predicted against measured seconds, both by powers of ten, with lines where they are equal and 15
// % apart.
std::string scatter(const Results& results) {
  constexpr double size = 600, margin = 40;
  double low = 1e9, high = 1e-9;
  for (const Priced& run : results.priced)
    for (const double seconds : {run.predicted, run.run.measured}) {
      low = std::min(low, std::floor(std::log10(seconds)));
      high = std::max(high, std::ceil(std::log10(seconds)));
    }
  if (low >= high) high = low + 1;
  const auto place = [&](double seconds) {
    return margin + (std::log10(seconds) - low) / (high - low) * size;
  };
  const auto y = [&](double at) { return size + 2 * margin - at; };
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" height=\"680\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n";
  const auto line = [&](double factor, const char* colour) {
    const double from = std::pow(10, low), to = std::pow(10, high);
    svg += "<line x1=\"" + number_text(place(from), 1) + "\" y1=\"" +
           number_text(y(place(from * factor)), 1) + "\" x2=\"" + number_text(place(to), 1) +
           "\" y2=\"" + number_text(y(place(to * factor)), 1) + "\" stroke=\"" + colour + "\"/>\n";
  };
  line(1, "black");
  line(1.15, "silver");
  line(0.85, "silver");
  for (double power = low; power <= high; ++power) {
    const double at = place(std::pow(10, power));
    svg += "<text x=\"" + number_text(at, 1) + "\" y=\"670\">" +
           number_text(std::pow(10, power), power < 0 ? static_cast<int>(-power) : 0) +
           "</text>\n<text x=\"4\" y=\"" + number_text(y(at), 1) + "\">" +
           number_text(std::pow(10, power), power < 0 ? static_cast<int>(-power) : 0) + "</text>\n";
  }
  svg +=
      "<text x=\"260\" y=\"655\">measured, seconds</text>\n"
      "<text x=\"4\" y=\"20\">predicted, seconds</text>\n";
  for (const Priced& run : results.priced)
    svg += "<circle r=\"3\" fill=\"steelblue\" fill-opacity=\"0.6\" cx=\"" +
           number_text(place(run.run.measured), 1) + "\" cy=\"" +
           number_text(y(place(run.predicted)), 1) + "\"><title>" + run.run.id +
           "</title></circle>\n";
  return svg + "</svg>\n";
}

ExitCode run(const Arguments& arguments) {
  if (!arguments.scatter.empty()) io::check_writable(arguments.scatter);
  const std::string text = io::read_file(arguments.file);
  rapidjson::Document document;
  document.Parse(text.data(), text.size());
  if (document.HasParseError())
    throw InputError(arguments.file, "offset " + std::to_string(document.GetErrorOffset()) + ": " +
                                         rapidjson::GetParseError_En(document.GetParseError()));
  if (!document.IsObject() || !document.HasMember("runs") || !document["runs"].IsArray())
    throw InputError(arguments.file, "expected an object with a list \"runs\"");
  const Results results = price_all(document["runs"]);
  arguments.json ? print_json(results) : print_table(results);
  if (!arguments.scatter.empty()) io::write_file(arguments.scatter, scatter(results));
  return ExitCode::solved;
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
