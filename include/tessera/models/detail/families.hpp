// SPDX-License-Identifier: Apache-2.0
//
// The families of models, their sizes, and the words of the settings that all of them have.
#pragma once
#include <algorithm>
#include <charconv>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/optimizer.hpp"
#include "tessera/models/gpt.hpp"
#include "tessera/models/llama.hpp"
#include "tessera/models/mlp.hpp"
#include "tessera/models/moe.hpp"
#include "tessera/models/step.hpp"
#include "tessera/models/unet.hpp"
#include "tessera/models/wide_resnet.hpp"

namespace tessera::models::detail {

// "layers=24".
struct Setting {
  std::string_view key, value;
};

// A setting that does not exist, or a value that it cannot have.
struct SettingError : Error {
  using Error::Error;
};

// --- Sizes ---------------------------------------------------------------------------------------

// The member of a family's sizes that a setting is stored in.
template<class Size>
struct Field {
  std::string_view key;
  Extent Size::*member;
};

inline constexpr Field<Gpt> gpt_fields[] = {
    {"layers", &Gpt::layers}, {"hidden", &Gpt::hidden}, {"heads", &Gpt::heads}, {"ffn", &Gpt::ffn},
    {"seq", &Gpt::seq},       {"vocab", &Gpt::vocab},   {"batch", &Gpt::batch},
};
inline constexpr Field<Llama> llama_fields[] = {
    {"layers", &Llama::layers},     {"hidden", &Llama::hidden}, {"heads", &Llama::heads},
    {"kv_heads", &Llama::kv_heads}, {"ffn", &Llama::ffn},       {"seq", &Llama::seq},
    {"vocab", &Llama::vocab},       {"batch", &Llama::batch},
};
inline constexpr Field<Moe> moe_fields[] = {
    {"layers", &Moe::layers}, {"hidden", &Moe::hidden},   {"heads", &Moe::heads},
    {"ffn", &Moe::ffn},       {"experts", &Moe::experts}, {"choices", &Moe::choices},
    {"group", &Moe::group},   {"seq", &Moe::seq},         {"vocab", &Moe::vocab},
    {"batch", &Moe::batch},
};
inline constexpr Field<WideResNet> wide_resnet_fields[] = {
    {"layers", &WideResNet::layers},   {"channels", &WideResNet::channels},
    {"width", &WideResNet::width},     {"image", &WideResNet::image},
    {"classes", &WideResNet::classes}, {"batch", &WideResNet::batch},
};
inline constexpr Field<UNet> unet_fields[] = {
    {"channels", &UNet::channels}, {"depth", &UNet::depth},     {"image", &UNet::image},
    {"inputs", &UNet::inputs},     {"classes", &UNet::classes}, {"batch", &UNet::batch},
};
inline constexpr Field<Mlp> mlp_fields[] = {
    {"layers", &Mlp::layers},
    {"width", &Mlp::width},
    {"classes", &Mlp::classes},
    {"batch", &Mlp::batch},
};

// --- Settings of all families --------------------------------------------------------------------

template<class T>
struct Word {
  std::string_view word;
  T meaning;
};
inline constexpr Word<Purpose> step_words[] = {{"train", Purpose::training},
                                               {"accumulate", Purpose::accumulation},
                                               {"apply", Purpose::application},
                                               {"infer", Purpose::inference}};
inline constexpr Word<graph::ElementType> precision_words[] = {
    {"f32", graph::f32}, {"bf16", graph::bf16}, {"f16", graph::f16}};
inline constexpr Word<graph::Optimizer::Kind> optimizer_words[] = {
    {"adam", graph::Optimizer::Kind::adam},
    {"momentum", graph::Optimizer::Kind::momentum},
    {"sgd", graph::Optimizer::Kind::sgd}};
inline constexpr Word<bool> attention_words[] = {{"plain", false}, {"fused", true}};

template<class T, std::size_t N>
T meaning_of(const Setting& setting, const Word<T> (&words)[N]) {
  for (const Word<T>& word : words)
    if (word.word == setting.value) return word.meaning;
  throw SettingError(std::string(setting.key) + '=' + excerpt(setting.value) + ": there are " +
                     joined(words, ", ", [](const auto& w) { return std::string(w.word); }));
}

// The limits are far above any network of today: products of a few sizes fit in 64 bits, and the
// ops of all layers fit in memory.
inline Extent number_of(const Setting& setting) {
  const Extent largest = setting.key == "layers" ? 1'000 : 100'000'000;
  Extent value = 0;
  const char* const last = setting.value.data() + setting.value.size();
  const auto [end, error] = std::from_chars(setting.value.data(), last, value);
  if (error != std::errc() || end != last || value < 1 || value > largest)
    throw SettingError(std::string(setting.key) + '=' + excerpt(setting.value) +
                       " is no integer from 1 to " + std::to_string(largest));
  return value;
}

// Returns whether the setting is one that all families have.
inline bool set(StepOptions& step, const Setting& setting) {
  if (setting.key == "step")
    step.purpose = meaning_of(setting, step_words);
  else if (setting.key == "precision")
    step.precision = meaning_of(setting, precision_words);
  else if (setting.key == "optimizer")
    step.optimizer.kind = meaning_of(setting, optimizer_words);
  else if (setting.key == "attention")
    step.fuses_attention = meaning_of(setting, attention_words);
  else if (setting.key == "microbatches")
    step.microbatches = number_of(setting);
  else
    return false;
  return true;
}

// --- Families ------------------------------------------------------------------------------------

template<class Size, std::size_t N>
[[noreturn]] void refuse(std::string_view family, const Setting& setting,
                         const Field<Size> (&fields)[N]) {
  throw SettingError(excerpt(setting.key) + " is no setting of " + std::string(family) +
                     "; there are " +
                     joined(fields, ", ", [](const auto& f) { return std::string(f.key); }) +
                     ", step, precision, optimizer, attention, microbatches");
}

template<class Size, std::size_t N>
graph::Graph build_from(std::string_view family, std::span<const Setting> settings,
                        const Field<Size> (&fields)[N], StepOptions step) {
  Size size;
  for (const Setting& setting : settings) {
    if (set(step, setting)) continue;
    const auto* const field = std::find_if(std::begin(fields), std::end(fields),
                                           [&](auto& entry) { return entry.key == setting.key; });
    if (field == std::end(fields)) refuse(family, setting, fields);
    size.*(field->member) = number_of(setting);
  }
  return build(size, step);
}

struct Family {
  std::string_view name;
  graph::Graph (*build)(std::span<const Setting>);
};

// Networks for images are trained in f32, as in Alpa's evaluation.
inline constexpr Family families[] = {
    {"gpt", [](std::span<const Setting> s) { return build_from("gpt", s, gpt_fields, {}); }},
    {"llama", [](std::span<const Setting> s) { return build_from("llama", s, llama_fields, {}); }},
    {"moe", [](std::span<const Setting> s) { return build_from("moe", s, moe_fields, {}); }},
    {"wide-resnet",
     [](std::span<const Setting> s) {
       return build_from("wide-resnet", s, wide_resnet_fields, {.precision = graph::f32});
     }},
    {"unet",
     [](std::span<const Setting> s) {
       return build_from("unet", s, unet_fields, {.precision = graph::f32});
     }},
    {"mlp",
     [](std::span<const Setting> s) {
       return build_from("mlp", s, mlp_fields, {.precision = graph::f32});
     }},
};

}  // namespace tessera::models::detail
