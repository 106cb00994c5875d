// SPDX-License-Identifier: Apache-2.0
//
// A published training run: what was trained, where, split how, and how long a step took.
//
// What a row of the file says is taken as it stands; what it leaves open follows from the rest
// where there is only one way (a microbatch, from the batch and how many there are), and is a
// reason not to price it where there is not.
#pragma once
#include <rapidjson/document.h>

#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "tessera/graph/element_type.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/models/gpt.hpp"
#include "tessera/models/llama.hpp"
#include "tessera/models/moe.hpp"
#include "tessera/models/wide_resnet.hpp"

namespace tessera::benchmarks {

struct NotPriced : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What is computed a second time for the backward pass.
enum class Again { nothing, attention, half_of_layers, layers };

struct Run {
  std::string id, group, cluster;
  std::variant<models::Gpt, models::Llama, models::Moe, models::WideResNet> model;
  Extent layers = 1;
  graph::ElementType precision = graph::ElementType::bf16;
  bool multiplies_in_fp8 = false, fuses_attention = false;
  bool attends_as_in_2022 = false;  // by the first FlashAttention
  bool drops_out = false;           // a tenth of attention's weights, and of what a block adds
  bool waits_for_launches = false;  // CUDA_LAUNCH_BLOCKING=1
  bool is_alpas = false;            // compiled by Alpa, that is by XLA as it was in 2022
  Extent gpus = 1, microbatch = 1, microbatches = 1;
  Extent tensor = 1, context = 1, stages = 1, data = 1, chunks = 1;
  Extent zero_stage = 0;
  bool cuts_sequence = false;
  bool leaves_weights_open = false;  // a planner chose how they are cut
  Again again = Again::nothing;
  double measured = 0;  // seconds of a step

  // Samples that all data-parallel devices take at once.
  Extent batch_at_once() const noexcept { return microbatch * data; }
};

// Reads one row.
class RunReader {
 public:
  using Json = rapidjson::Value;
  explicit RunReader(const Json& run) : run_(run) {}

  std::string id() const { return text_or(run_, "id", "?"); }

  // Throws NotPriced.
  Run read() const {
    Run run;
    run.id = id();
    run.group = text_or(run_, "compare_group", "");
    if (flag(run_, "oom")) throw NotPriced("it ran out of memory");
    run.cluster = text(run_, "cluster");
    run.gpus = number(run_, "gpus");
    read_parallelism(run);
    read_software(run);
    read_batch(run);
    read_model(run);
    run.measured = seconds(run);
    return run;
  }

 private:
  // --- Members -----------------------------------------------------------------------------------

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
  static std::string text_or(const Json& object, const char* name, const char* otherwise) {
    const Json* const found = find(object, name);
    return found != nullptr && found->IsString() ? found->GetString() : otherwise;
  }
  static bool flag(const Json& object, const char* name) {
    const Json* const found = find(object, name);
    return found != nullptr && found->IsBool() && found->GetBool();
  }
  static Extent number(const Json& object, const char* name) {
    const Json& found = member(object, name);
    if (!found.IsInt64() || found.GetInt64() < 1 || found.GetInt64() > 100'000'000)
      throw NotPriced(std::string("its ") + name + " is no integer from 1 on");
    return found.GetInt64();
  }
  static Extent number_or(const Json& object, const char* name, Extent otherwise) {
    return find(object, name) == nullptr ? otherwise : number(object, name);
  }
  static std::optional<double> real(const Json& object, const char* name) {
    const Json* const found = find(object, name);
    if (found == nullptr || !found->IsNumber() || found->GetDouble() <= 0) return std::nullopt;
    return found->GetDouble();
  }
  static bool has(std::string_view text, std::string_view word) {
    return text.find(word) != std::string_view::npos;
  }

  // --- Where and how -----------------------------------------------------------------------------

  void read_parallelism(Run& run) const {
    const Json& parallel = member(run_, "parallel");
    run.tensor = number(parallel, "tp");
    run.stages = number(parallel, "pp");
    run.context = number_or(parallel, "cp", 1);
    run.data = number(parallel, "dp");
    if (run.tensor * run.stages * run.data * run.context != run.gpus)
      throw NotPriced("tp, cp, pp and dp do not make up its GPUs");
    const std::string schedule = text_or(parallel, "schedule", "1f1b");
    if (schedule.starts_with("interleaved"))
      run.chunks = number_or(parallel, "vpp", 0);  // 0: read_model() finds them
    else if (schedule != "1f1b" && schedule != "none")
      throw NotPriced("its schedule, " + schedule + ", is none that is priced");
    run.cuts_sequence = flag(run_, "sequence_parallel");
    read_zero(run);
    read_recomputation(run);
  }
  void read_zero(Run& run) const {
    const Json* const zero = find(run_, "zero_stage");
    if (zero == nullptr) return;
    if (zero->IsInt64()) run.zero_stage = zero->GetInt64();
    if (!zero->IsString()) return;
    const std::string_view said = zero->GetString();
    const std::size_t named = said.find("ZeRO-");
    const std::string_view from = named == std::string_view::npos ? said : said.substr(named + 5);
    run.leaves_weights_open = has(said, "ILP") || said == "2-like";
    if (!from.empty() && from[0] >= '0' && from[0] <= '3')
      run.zero_stage = from[0] - '0';
    else if (said.starts_with("fsdp"))
      run.zero_stage = 3;
    else if (run.leaves_weights_open)
      run.zero_stage = 2;
    else
      throw NotPriced("its weights are cut by a rule of its own: " + std::string(said));
  }
  void read_recomputation(Run& run) const {
    const std::string what = text(run_, "recompute");
    if (what.starts_with("full"))
      run.again = Again::layers;
    else if (what == "selective-op" || what == "selective-layer")  // every second one of either
      run.again = Again::half_of_layers;
    else if (what.starts_with("selective"))
      run.again = Again::attention;
    else if (what != "none")
      throw NotPriced("its recomputation, " + excerpt(what) + ", is none that is priced");
  }

  // Attention is fused where the row says so, and where the software is younger than
  // FlashAttention: all that was ever written for Hopper and what came after it, and for Llama.
  // llm-foundry trained MPT by its first version, in Triton (`attn_impl: triton` in its
  // configurations).
  //
  // GPTs were trained by Megatron-LM or by DeepSpeed on its models, with its dropout; Alpa's
  // benchmarks (but for other systems' runs among them, which say so) and GPT-NeoX's configuration
  // have none.  Jean Zay's A100s hung from 320 GPUs on unless they waited for each launch
  // (BigScience, chronicles-prequel, "dealing with JZ hanging").
  void read_software(Run& run) const {
    const std::string precision = text(run_, "precision");
    run.multiplies_in_fp8 = has(precision, "fp8");
    if (has(precision, "fp4")) throw NotPriced("no rate of products in " + precision + " is known");
    if (has(precision, "fp16")) run.precision = graph::ElementType::f16;
    if (precision == "fp32") run.precision = graph::ElementType::f32;
    const std::string device = text_or(run_, "gpu", "");
    const std::string family = text_or(member(run_, "model"), "family", "");
    const bool is_another_systems = has(run.id, "megatron") || has(run.id, "deepspeed");
    run.is_alpas = has(text_or(run_, "suite", ""), "alpa") && !is_another_systems;
    run.fuses_attention = has(text_or(run_, "notes", ""), "flash") || device.starts_with("H") ||
                          device.starts_with("B") || device.starts_with("GB") || family == "llama";
    run.attends_as_in_2022 = family == "mpt";
    run.drops_out = family == "gpt" && !run.is_alpas && !run.fuses_attention &&
                    !has(text_or(member(run_, "model"), "name", ""), "NeoX");
    run.waits_for_launches = run.cluster == "jean-zay-a100" && run.gpus >= 320;
  }

  // Samples that would be left over, a few of thousands, are left out, as training does.
  void read_batch(Run& run) const {
    const Extent batch = number(run_, "global_batch");
    const Extent times = number_or(run_, "num_micro_batches", 0);
    if (find(run_, "micro_batch") == nullptr && times > 0 && batch % (times * run.data) == 0)
      run.microbatch = batch / (times * run.data);
    else
      run.microbatch = number(run_, "micro_batch");
    run.microbatches = batch / run.batch_at_once();
    if (run.microbatches == 0 || batch % run.batch_at_once() * 100 > batch)
      throw NotPriced("its microbatches do not make up its batch");
  }

  // --- What --------------------------------------------------------------------------------------

  // By what is in it, whatever its family is called.
  void read_model(Run& run) const {
    const Json& model = member(run_, "model");
    run.layers = number(model, "layers");
    if (run.chunks == 0) run.chunks = fewest_chunks(run);
    if (find(model, "image_size") != nullptr) return read_wide_resnet(model, run);
    if (flag(model, "parallel_block") || find(model, "head_dim") != nullptr)
      throw NotPriced("a " + text(model, "family") + " has blocks of its own, which are not built");
    // Embedding and head may have a stage of their own.
    if (run.layers + 2 < run.stages * run.chunks)
      throw NotPriced("it has fewer layers than stages");
    if (run.layers < 2) throw NotPriced("it has fewer than two layers");
    const bool has_experts = find(model, "moe") != nullptr;
    if (has_experts)
      read_experts(model, run);
    else if (flag(model, "gated_mlp"))
      read_llama(model, run);
    else
      read_gpt(model, run);
    if (number(model, "heads") % run.tensor != 0)
      throw NotPriced("its tp does not divide its heads");
    if (number(model, "seq_len") % run.context != 0)
      throw NotPriced("its cp does not divide its positions");
  }

  // Of an interleaved schedule that does not say how many chunks a stage has: as few as can be
  // equal, embedding and head counted as a layer each where they are only then.  Twice as many
  // would send twice as much, and save half a bubble that is small by then.
  static Extent fewest_chunks(const Run& run) {
    for (const Extent layers : {run.layers, run.layers + 2})
      for (Extent chunks = 2; run.stages * chunks <= layers; ++chunks)
        if (layers % (run.stages * chunks) == 0) return chunks;
    throw NotPriced("its vpp is not known, and no number of chunks makes equal ones");
  }

  template<class Size>
  static Size transformer(const Json& model, const Run& run) {
    Size size;
    size.layers = number(model, "layers");
    size.hidden = number(model, "hidden");
    size.heads = number(model, "heads");
    size.seq = number(model, "seq_len");
    size.vocab = number(model, "vocab");
    size.ffn = number_or(model, "ffn", size.ffn);
    size.batch = run.batch_at_once();
    return size;
  }
  static void read_gpt(const Json& model, Run& run) {
    run.model = transformer<models::Gpt>(model, run);
  }
  static void read_llama(const Json& model, Run& run) {
    auto size = transformer<models::Llama>(model, run);
    size.kv_heads = number_or(model, "kv_heads", size.heads);
    run.model = size;
  }
  static void read_experts(const Json& model, Run& run) {
    const Json& experts = member(model, "moe");
    if (!flag(experts, "every_other_layer") || find(experts, "group_size") == nullptr)
      throw NotPriced("its experts are not dealt tokens as GShard's are");
    if (run.stages * run.chunks > 1 && run.layers % (2 * run.stages * run.chunks) != 0)
      throw NotPriced("its stages do not have equally many layers of experts");
    auto size = transformer<models::Moe>(model, run);
    size.experts = number(experts, "experts");
    size.choices = number_or(experts, "top_k", 2);
    size.ffn = number_or(experts, "moe_ffn", size.ffn);
    size.group = number(experts, "group_size");
    run.model = size;
  }
  // Alpa's recompute nothing where one mesh has all layers, though told to: XLA counts as many
  // FLOPs of an image as without, 240 billion for 250 million parameters, and it took as long
  // (OSDI'22, the data of figures 8 and 9).
  static void read_wide_resnet(const Json& model, Run& run) {
    if (run.is_alpas) run.again = Again::nothing;
    if (run.stages > 1)
      throw NotPriced("its layers differ, and which stage has which is not known");
    models::WideResNet size;
    size.layers = run.layers;
    size.image = number(model, "image_size");
    size.channels = number(model, "base_channels");
    size.width = number(model, "width_factor");
    size.batch = run.batch_at_once();
    run.model = size;
  }

  // --- How long ----------------------------------------------------------------------------------

  // As measured, or from the throughput that was.
  double seconds(const Run& run) const {
    const double batch = static_cast<double>(run.batch_at_once() * run.microbatches);
    const Json* const seq = find(member(run_, "model"), "seq_len");
    for (const char* const name : {"measured", "derived"}) {
      const Json* const found = find(run_, name);
      if (found == nullptr) continue;
      if (const auto time = real(*found, "iter_s")) return *time;
      if (seq != nullptr && seq->IsInt64()) {
        const double tokens = batch * static_cast<double>(seq->GetInt64());
        if (const auto rate = real(*found, "tokens_per_s")) return tokens / *rate;
        if (const auto rate = real(*found, "tokens_per_s_per_gpu"))
          return tokens / (*rate * static_cast<double>(run.gpus));
      }
      if (const auto rate = real(*found, "samples_per_s")) return batch / *rate;
    }
    return seconds_by_flops(run);
  }
  // Of the model, where the source says that it counts no more than that.
  double seconds_by_flops(const Run& run) const {
    const Json *const derived = find(run_, "derived"), *const measured = find(run_, "measured");
    const auto flops = derived != nullptr ? real(*derived, "model_flops_per_iter") : std::nullopt;
    const bool is_models = text_or(run_, "tflops_convention", "").starts_with("model");
    if (flops && measured != nullptr && is_models)
      if (const auto rate = real(*measured, "tflops_per_gpu"))
        return *flops / (*rate * 1e12 * static_cast<double>(run.gpus));
    throw NotPriced("how long it took is not known");
  }

  const Json& run_;
};

}  // namespace tessera::benchmarks
