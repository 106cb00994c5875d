// SPDX-License-Identifier: Apache-2.0
//
// What a published run should take, by the planner's own prices.
//
// The plan is the run's, not ours: weights are cut over the tensor-parallel devices as Megatron-LM
// does, batches over the data-parallel ones, layers over stages.  Devices of context parallelism
// have a part of each sequence, which is priced as a sequence of its own, but for attention, which
// sees all of it; keys and values go round behind that.  What a run does not say is as our planner
// has it, and where a planner chose how the weights are cut (Alpa's), ours chooses as well.  One
// layer of each kind is priced: the first, the last, and those in between; the schedule is then
// played with what they take.
//
// A run takes what its kernels and collectives take.  Nothing of it is a setting of one run, one
// model or one cluster.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "published_run.hpp"
#include "run_software.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/fusion.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/pipeline/simulate.hpp"
#include "tessera/pipeline/transfer.hpp"
#include "tessera/plan/span_price.hpp"
#include "tessera/tessera.hpp"

namespace tessera::benchmarks {

// What one layer takes, and how much of it is the core of attention.
struct LayerPrice {
  plan::SpanPrice price;
  Cost attention = 0;  // forward: from scores to values
};

// In the order of a small program of the same layers: all of them, or the first, the kinds that are
// repeated in the middle, and the last.
using LayerPrices = std::vector<LayerPrice>;

class RunPricer {
 public:
  // Throws NotPriced where there is no such cluster.
  explicit RunPricer(const Run& run) : run_(run), stage_devices_(run.gpus / run.stages) {
    try {
      cluster_ = cost::find_cluster(run.cluster + ':' + std::to_string(run.gpus));
    } catch (const tessera::InvalidArgument& error) {
      throw NotPriced(error.what());
    }
    std::vector<Extent> extents;
    const auto axis = [&](Extent extent, std::optional<std::size_t>& at) {
      if (extent == 1) return;
      at = extents.size();
      extents.push_back(extent);
    };
    axis(run.data * run.context, data_axis_);
    axis(run.tensor, tensor_axis_);
    if (extents.empty()) extents.push_back(1);
    mesh_ = DynamicMesh(extents);
  }

  // All that prices of layers depend on, in words: runs of the same have the same.
  std::string layers_key() const {
    std::string key = run_.cluster;
    const auto add = [&](std::string_view name, Extent value) {
      key += ' ' + std::string(name) + std::to_string(value);
    };
    std::visit(
        [&](const auto& size) {
          if constexpr (requires { size.image; }) {
            for (const Extent value : {size.layers, size.channels, size.width, size.image})
              add("w", value);
          } else {
            for (const Extent value : {size.hidden, size.heads, size.ffn, size.seq, size.vocab})
              add("t", value);
            if constexpr (requires { size.kv_heads; }) add("kv", size.kv_heads);
            if constexpr (requires { size.experts; })
              for (const Extent value : {size.experts, size.choices, size.group}) add("e", value);
          }
        },
        run_.model);
    for (const Extent value :
         {run_.gpus, run_.microbatch, run_.microbatches, run_.tensor, run_.context, run_.data,
          run_.zero_stage, static_cast<Extent>(run_.precision)})
      add("", value);
    for (const bool value :
         {run_.multiplies_in_fp8, run_.fuses_attention, run_.attends_as_in_2022, run_.drops_out,
          run_.waits_for_launches, run_.is_alpas, run_.cuts_sequence, run_.leaves_weights_open})
      add("", value ? 1 : 0);
    return key;
  }

  // Throws NotPriced where no plan is found in time, and as plan() does.
  LayerPrices layers() const {
    const graph::Graph graph = few_layers();
    const std::optional<pipeline::Layers> named = pipeline::named_layers(graph);
    const bool is_image = std::holds_alternative<models::WideResNet>(run_.model);
    pipeline::LayerOptions one;
    const pipeline::Layers layers = named && !is_image ? *named
                                                       : pipeline::cluster_layers(graph, one);
    const pipeline::LayeredProgram program(graph, layers);
    LayerPrices prices;
    for (std::size_t layer = 0; layer < program.layers(); ++layer)
      prices.push_back(priced(program.span(layer, layer)));
    return prices;
  }

  // Seconds of a step, with layers that take this.
  double seconds(const LayerPrices& layers) const {
    return static_cast<double>(step(layers)) / static_cast<double>(cost::second);
  }

 private:
  // --- The program -------------------------------------------------------------------------------

  graph::Graph few_layers() const {
    models::StepOptions step;
    step.precision = run_.precision;
    step.fuses_attention = run_.fuses_attention;
    return std::visit(
        [&](auto size) {
          if constexpr (requires { size.experts; })
            size.layers = 4;  // of both kinds, twice
          else if constexpr (!requires { size.image; })
            size.layers = 3;
          if constexpr (requires { size.seq; }) size.seq = positions();
          size.batch *= run_.context;
          return models::build(size, step);
        },
        run_.model);
  }

  // The layer of the small program that is like this one.
  std::size_t kind_of(Extent layer, std::size_t kinds) const {
    if (kinds == 1 || layer == 0) return 0;
    if (layer + 1 == run_.layers) return kinds - 1;
    return kinds == 3 ? 1 : layer % 2 == 1 ? 1 : 2;
  }

  // --- The plan ----------------------------------------------------------------------------------

  // An activation between layers: cut by samples, and by positions where the run does that.
  DynamicSharding between(std::size_t rank) const {
    DynamicSharding sharding = DynamicSharding::replicated(rank);
    if (data_axis_) sharding = sharding.with_split(0, static_cast<Axis>(*data_axis_));
    if (tensor_axis_ && run_.cuts_sequence)
      sharding = sharding.with_split(1, static_cast<Axis>(*tensor_axis_));
    return sharding;
  }

  LayerPrice priced(const pipeline::SpanProgram& span) const {
    plan::SpanRequest request;
    request.microbatches = run_.microbatches;
    request.solver.time_limit = 60;  // which a busy machine may need
    const auto ends = [&](const std::vector<pipeline::BoundaryValue>& boundaries, auto& wanted) {
      for (const pipeline::BoundaryValue& boundary : boundaries) {
        const std::size_t rank = span.graph.type_of(boundary.value).dims.size();
        const bool is_activation = boundary.phase != pipeline::Phase::update && rank == 3;
        wanted.push_back(is_activation ? std::optional(between(rank)) : std::nullopt);
      }
    };
    ends(span.received, request.received);
    ends(span.sent, request.sent);
    request.annotations = given(span);
    cost::ClusterModel model(cost::subcluster(cluster_, stage_devices_), mesh_);
    if (run_.multiplies_in_fp8) model.multiply_in(graph::ElementType::f8e4m3fn);
    stop_near_optimum(request.solver);
    const plan::Plan plan = plan::plan_span(span, mesh_, model, request);
    if (!plan.has_ops()) throw NotPriced("no plan was found in time");
    LayerPrice layer{plan::price_of(span, plan, run_.microbatches), attention(span, plan)};
    layer.price.backward += summing(span, plan, model);
    add_attention((run_.context - 1) * layer.attention, layer);  // of other parts of the sequence
    if (run_.attends_as_in_2022 && is_hopper())
      add_attention(by_first_flash(layer.attention), layer);
    add_off_matrix_unit(layer);
    if (run_.drops_out) add_dropout(model, layer);
    if (run_.is_alpas) add_reading_again(model, layer);
    if (run_.waits_for_launches) {
      layer.price.forward += by_waiting(kernels(span, pipeline::Phase::forward));
      layer.price.backward += by_waiting(kernels(span, pipeline::Phase::backward));
    }
    return layer;
  }

  // No run is known to a thousandth, so neither need its price be.
  static void stop_near_optimum(solver::Options& options) {
    options.on_progress = [enough = options.cancellation](const solver::Progress& now) {
      if (now.has_incumbent && now.incumbent - now.lower_bound <= now.incumbent / 1000)
        enough.cancel();
    };
  }

  // Of the second and later stages of sharding each device adds up its share only, which is little.
  Cost summing(const pipeline::SpanProgram& span, const plan::Plan& plan,
               const cost::ClusterModel& model) const {
    if (run_.microbatches == 1 || (run_.zero_stage > 1 && !run_.leaves_weights_open)) return 0;
    cost::Work adding;
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
      const graph::Op& op = span.graph.op(id);
      if (!op.is_parameter || span.parameter_kinds[id] != pipeline::ParameterKind::state ||
          is_optimizer_state(op.name))
        continue;
      const Extent weights = plan.ops[id].result_bytes[0] / graph::bytes_of(op.results[0].element);
      adding.bytes += summed_bytes(weights, run_.precision, sums());
    }
    return model.work_price(adding);
  }
  Sums sums() const {
    if (run_.is_alpas) return Sums::in_kind;
    if (run_.zero_stage != 1) return Sums::wide;
    return run_.precision == graph::ElementType::bf16 ? Sums::cast : Sums::in_kind;
  }

  // Heads and features of all, where there are any.
  std::pair<Extent, Extent> heads_and_hidden() const {
    return std::visit(
        [](const auto& size) {
          if constexpr (requires { size.heads; })
            return std::pair(size.heads, size.hidden);
          else
            return std::pair<Extent, Extent>(0, 0);
        },
        run_.model);
  }
  // Of a device, one for each of its positions and heads and each position of all.
  Wide scores() const {
    return Wide(run_.microbatch) * positions() * positions() * run_.context *
           heads_and_hidden().first / run_.tensor;
  }

  // Fused kernels pad their heads.
  void add_off_matrix_unit(LayerPrice& layer) const {
    const auto [heads, hidden] = heads_and_hidden();
    if (layer.attention == 0 || heads == 0 || run_.fuses_attention) return;
    const Extent features = hidden / heads;
    if (fits_matrix_unit(features, run_.precision)) return;
    // Of two products.
    const Cost more =
        off_matrix_unit(4 * scores() * features, features, cluster_.device, run_.precision);
    layer.attention += more;
    layer.price.forward += more;
    layer.price.backward += 2 * more;
  }

  // A layer has one attention and adds to what comes in twice.
  void add_dropout(const cost::ClusterModel& model, LayerPrice& layer) const {
    if (layer.attention == 0) return;
    const Cost weights = moving(model, dropped_weights_bytes(scores(), run_.precision));
    const Wide added = Wide(run_.microbatch) * positions() * heads_and_hidden().second /
                       (run_.cuts_sequence ? run_.tensor : 1);
    layer.attention += weights;
    layer.price.forward += weights + moving(model, dropped_sums_bytes(added, run_.precision, true));
    layer.price.backward += weights +
                            moving(model, dropped_sums_bytes(added, run_.precision, false));
  }
  void add_reading_again(const cost::ClusterModel& model, LayerPrice& layer) const {
    if (layer.attention == 0) return;
    const Cost more = moving(model, read_again_bytes(scores(), run_.precision));
    layer.attention += more;
    layer.price.forward += more;
    layer.price.backward += more;
  }
  static Cost moving(const cost::ClusterModel& model, Wide bytes) {
    cost::Work work;
    work.bytes = bytes;
    return model.work_price(work);
  }

  // How many of them leave something in memory, of a part of a layer.
  static Cost kernels(const pipeline::SpanProgram& span, pipeline::Phase part) {
    const cost::Fusion fusion = cost::fusion_of(span.graph);
    std::set<graph::OpId> kernels;
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
      const graph::Op& op = span.graph.op(id);
      const bool leaves_something = fusion.in_memory[id] != 0 && !op.is_parameter;
      if (span.phases[id] == part && (op.is_heavy || leaves_something) &&
          !cost::is_view(op))
        kernels.insert(fusion.kernel[id]);
    }
    return static_cast<Cost>(kernels.size());
  }

  // More of it forward; backward has five products for forward's two.
  static void add_attention(Cost more, LayerPrice& layer) {
    layer.attention += more;
    layer.price.forward += more;
    layer.price.backward += more / 2 * 5;
  }
  bool is_hopper() const { return std::string_view(cluster_.device.name).starts_with("H"); }

  // What the run says of parameters.
  std::vector<strategy::Annotation> given(const pipeline::SpanProgram& span) const {
    std::vector<strategy::Annotation> annotations;
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
      const graph::Op& op = span.graph.op(id);
      if (!op.is_parameter || span.parameter_kinds[id] == pipeline::ParameterKind::received)
        continue;
      const Dims& dims = op.results[0].dims;
      if (dims.empty()) continue;
      if (const auto sharding =
              sharding_of(op, span.parameter_kinds[id] == pipeline::ParameterKind::data))
        annotations.push_back({{id, 0}, *sharding, 0, op.name + ", as the run has it"});
    }
    return annotations;
  }
  // Nothing where the run leaves it open.
  std::optional<DynamicSharding> sharding_of(const graph::Op& op, bool is_data) const {
    const Dims& dims = op.results[0].dims;
    DynamicSharding sharding = DynamicSharding::replicated(dims.size());
    if (is_data) {
      if (data_axis_) sharding = sharding.with_split(0, static_cast<Axis>(*data_axis_));
      return sharding;
    }
    const bool is_megatrons = std::holds_alternative<models::Gpt>(run_.model);
    if (run_.leaves_weights_open && !is_megatrons) return std::nullopt;
    // What sharded optimizers do with their state is cheapest as the planner has it.
    if (run_.zero_stage > 0 && is_optimizer_state(op.name)) return std::nullopt;
    if (tensor_axis_)
      if (const auto dim = tensor_dim_of(op.name, dims))
        sharding = sharding.with_split(*dim, static_cast<Axis>(*tensor_axis_));
    if (run_.zero_stage == 3) cut_further(dims, sharding);
    return sharding;
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

  static bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
    return std::any_of(ends.begin(), ends.end(),
                       [&](std::string_view end) { return name.ends_with(end); });
  }
  static bool is_optimizer_state(std::string_view name) {
    return ends_with_any(name, {".master", ".mean", ".variance"});
  }
  // The dim of a parameter that Megatron-LM cuts over tensor-parallel devices, if any.  Keys and
  // values of fewer heads than there are devices are repeated.
  std::optional<std::size_t> tensor_dim_of(std::string_view name, const Dims& dims) const {
    for (const std::string_view state : {".master", ".mean", ".variance"})
      if (name.ends_with(state)) name.remove_suffix(state.size());
    std::optional<std::size_t> dim;
    if (ends_with_any(name, {"query.weight", "key.weight", "value.weight", "up.weight", ".query",
                             ".key", ".value", ".up", ".gate", "head"}))
      dim = 1;
    if (ends_with_any(name, {"query.bias", "key.bias", "value.bias", "up.bias", "output.weight",
                             "down.weight", "embedding", ".output", ".down"}))
      dim = 0;
    if (name.find(".experts.") != std::string_view::npos && dims.size() == 3 && dim) dim = *dim + 1;
    return dim && dims[*dim] % run_.tensor == 0 ? dim : std::nullopt;
  }

  // Forward ops that have a matrix of positions by positions.
  Cost attention(const pipeline::SpanProgram& span, const plan::Plan& plan) const {
    Cost total = 0;
    const auto is_scores = [&](const graph::TensorType& type) {
      const Dims& d = type.dims;
      return d.size() >= 4 && std::count(d.begin(), d.end(), positions()) == 2;
    };
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
      if (span.phases[id] != pipeline::Phase::forward) continue;
      bool has = is_scores(span.graph.op(id).results[0]);
      for (std::size_t i = 0; i < span.graph.operand_count(id); ++i)
        has = has || is_scores(span.graph.type_of(span.graph.operand(id, i)));
      if (!has) continue;
      total += plan.ops[id].work;
      for (const plan::PlannedStep& taken : plan.ops[id].steps) total += taken.price;
    }
    return total;
  }
  // Of a device's share of a sequence.
  Extent positions() const {
    return std::visit(
        [&](const auto& size) -> Extent {
          if constexpr (requires { size.seq; })
            return size.seq / run_.context;
          else
            return 0;
        },
        run_.model);
  }

  // --- The step ----------------------------------------------------------------------------------

  // The schedule, played, and what comes once after it.
  Wide step(const LayerPrices& layers) const {
    if (layers.size() == 1) {
      const pipeline::ChunkTimes all = with_recomputation(layers[0]);
      return Wide(run_.microbatches) * (all.forward + all.input_backward) +
             layers[0].price.per_step;
    }
    const Extent chunks = run_.stages * run_.chunks;
    std::vector<pipeline::ChunkTimes> times;
    std::vector<Cost> per_step(static_cast<std::size_t>(run_.stages), 0);
    const Cost hop = run_.stages > 1 ? hop_time() : 0;
    for (Extent chunk = 0; chunk < chunks; ++chunk) {
      pipeline::ChunkTimes t;
      for (Extent number = begin_of(chunk); number < begin_of(chunk + 1); ++number) {
        const LayerPrice& layer = layers[kind_of(number, layers.size())];
        const pipeline::ChunkTimes own = with_recomputation(layer);
        t.forward += own.forward;
        t.input_backward += own.input_backward;
        per_step[static_cast<std::size_t>(chunk % run_.stages)] += layer.price.per_step;
      }
      // Stages wait until what they send has arrived, as Megatron-LM's and DeepSpeed's do.
      if (chunk + 1 < chunks) t.forward += hop;
      if (chunk > 0) t.input_backward += hop;
      times.push_back(t);
    }
    return played(times) + *std::max_element(per_step.begin(), per_step.end());
  }

  // Interleaved microbatches come in groups of as many as there are stages; so many as are no whole
  // number of these take what lies between the numbers that are.
  Wide played(const std::vector<pipeline::ChunkTimes>& times) const {
    const auto with = [&](Extent microbatches) {
      const pipeline::Schedule schedule =
          run_.chunks > 1 ? pipeline::interleaved(run_.stages, microbatches, run_.chunks)
                          : pipeline::one_f_one_b(run_.stages, microbatches);
      return Wide(pipeline::simulate(schedule, times).step_time);
    };
    const Extent over = run_.chunks > 1 ? run_.microbatches % run_.stages : 0;
    if (over == 0) return with(run_.microbatches);
    const Extent fewer = std::max(run_.microbatches - over, run_.stages);
    const Wide least = with(fewer), more = with(fewer + run_.stages);
    return least + (more - least) * (run_.microbatches - fewer) / run_.stages;
  }

  pipeline::ChunkTimes with_recomputation(const LayerPrice& layer) const {
    pipeline::ChunkTimes times;
    times.forward = layer.price.forward;
    times.input_backward = layer.price.backward;
    switch (run_.again) {
      case Again::nothing: break;
      case Again::attention: times.input_backward += layer.attention; break;
      case Again::half_of_layers: times.input_backward += layer.price.forward / 2; break;
      case Again::layers: times.input_backward += layer.price.forward; break;
    }
    return times;
  }

  // The first layer of a chunk.  Where layers do not come out even, embedding and head count as one
  // each if they do then; otherwise the last chunk is short.
  Extent begin_of(Extent chunk) const {
    const Extent chunks = run_.stages * run_.chunks, layers = run_.layers;
    if (layers % chunks == 0) return layers / chunks * chunk;
    if ((layers + 2) % chunks == 0)
      return std::clamp<Extent>((layers + 2) / chunks * chunk - 1, 0, layers);
    const Extent most = ceil_div(layers, chunks);
    if (most * (chunks - 1) < layers) return std::min(layers, most * chunk);
    return layers * chunk / chunks;
  }

  // An activation from one stage to the next.
  Cost hop_time() const {
    const Dims dims = std::visit(
        [&](const auto& size) {
          if constexpr (requires { size.seq; })
            return Dims{size.batch * run_.context, positions(), size.hidden};
          else
            return Dims{};
        },
        run_.model);
    const Extent per_host = cluster_.levels.empty() ? 1 : cluster_.levels[0].fan_out;
    return pipeline::transfer_time(
        pipeline::transfer_between(dims, {mesh_, between(3), 0},
                                   {mesh_, between(3), stage_devices_}, per_host),
        graph::bytes_of(run_.precision), cluster_);
  }

  const Run& run_;
  Extent stage_devices_;
  cost::Cluster cluster_;
  DynamicMesh mesh_;
  std::optional<std::size_t> data_axis_, tensor_axis_;
};

}  // namespace tessera::benchmarks
