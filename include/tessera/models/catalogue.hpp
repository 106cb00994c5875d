// SPDX-License-Identifier: Apache-2.0
//
// Models by name, as a command line gives them:
//
//   gpt-39b                                     a size from a paper
//   gpt-39b:batch=64,precision=f16              the same, but for what is named
//   gpt:layers=24,hidden=2304,heads=24          a family; what is not named keeps its default
//
// Sizes from papers are themselves written in this language, in one table.  Their batch is what one
// pass takes in the published run: the micro-batch of each data-parallel replica, times replicas.
#pragma once
#include <charconv>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/models/gpt.hpp"
#include "tessera/models/llama.hpp"
#include "tessera/models/mlp.hpp"
#include "tessera/models/moe.hpp"
#include "tessera/models/unet.hpp"
#include "tessera/models/wide_resnet.hpp"

namespace tessera::models {

// A size from a paper, in the words of its family.
struct Preset {
  std::string_view name;
  std::string_view meaning;
};

// clang-format off
inline constexpr Preset presets[] = {
    // Megatron-LM at SC'21, table 1.
    {"gpt-1.7b", "gpt:layers=24,hidden=2304,heads=24,seq=2048,vocab=51200,batch=512"},
    {"gpt-3.6b", "gpt:layers=30,hidden=3072,heads=32,seq=2048,vocab=51200,batch=512"},
    {"gpt-7.5b", "gpt:layers=36,hidden=4096,heads=32,seq=2048,vocab=51200,batch=512"},
    {"gpt-18b", "gpt:layers=40,hidden=6144,heads=48,seq=2048,vocab=51200,batch=256"},
    {"gpt-39b", "gpt:layers=48,hidden=8192,heads=64,seq=2048,vocab=51200,batch=128"},
    {"gpt-76b", "gpt:layers=60,hidden=10240,heads=80,seq=2048,vocab=51200,batch=64"},
    {"gpt-145b", "gpt:layers=80,hidden=12288,heads=96,seq=2048,vocab=51200,batch=48"},
    {"gpt-310b", "gpt:layers=96,hidden=16384,heads=128,seq=2048,vocab=51200,batch=15"},
    {"gpt-530b", "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,batch=9"},
    {"gpt-1t", "gpt:layers=128,hidden=25600,heads=160,seq=2048,vocab=51200,batch=6"},
    // Megatron-LM, selective recomputation.
    {"gpt-22b", "gpt:layers=48,hidden=6144,heads=64,seq=2048,vocab=51200,batch=4"},
    {"gpt-175b", "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,batch=8"},
    // Alpa at OSDI'22, figure 8.
    {"gpt-350m", "gpt:layers=24,hidden=1024,heads=16,seq=1024,vocab=51200,batch=32"},
    {"gpt-760m", "gpt:layers=24,hidden=1536,heads=16,seq=1024,vocab=51200,batch=32"},
    {"gpt-1.3b", "gpt:layers=24,hidden=2048,heads=32,seq=1024,vocab=51200,batch=32"},
    {"gpt-2.6b", "gpt:layers=32,hidden=2560,heads=32,seq=1024,vocab=51200,batch=32"},
    {"gpt-6.7b", "gpt:layers=32,hidden=4096,heads=32,seq=1024,vocab=51200,batch=32"},
    {"gpt-15b", "gpt:layers=48,hidden=5120,heads=40,seq=1024,vocab=51200,batch=32"},
    {"moe-380m", "moe:layers=8,hidden=768,heads=16,experts=8,vocab=32000,seq=1024,batch=8"},
    {"moe-690m", "moe:layers=8,hidden=768,heads=16,experts=16,vocab=32000,seq=1024,batch=8"},
    {"moe-1.3b", "moe:layers=16,hidden=768,heads=16,experts=16,vocab=32000,seq=1024,batch=8"},
    {"moe-2.4b", "moe:layers=16,hidden=1024,heads=16,experts=16,vocab=32000,seq=1024,batch=8"},
    {"moe-10b", "moe:layers=16,hidden=1536,heads=16,experts=32,vocab=32000,seq=1024,batch=16"},
    {"moe-27b", "moe:layers=16,hidden=2048,heads=16,experts=48,vocab=32000,seq=1024,batch=24"},
    {"moe-70b", "moe:layers=32,hidden=2048,heads=16,experts=64,vocab=32000,seq=1024,batch=32"},
    {"wide-resnet-250m", "wide-resnet:layers=50,channels=160,width=2,batch=32"},
    {"wide-resnet-500m", "wide-resnet:layers=50,channels=224,width=2,batch=32"},
    {"wide-resnet-1b", "wide-resnet:layers=50,channels=320,width=2,batch=32"},
    {"wide-resnet-2b", "wide-resnet:layers=50,channels=448,width=2,batch=32"},
    {"wide-resnet-4b", "wide-resnet:layers=50,channels=640,width=2,batch=32"},
    {"wide-resnet-6.8b", "wide-resnet:layers=50,channels=320,width=16,batch=32"},
    // Meta's own model cards.
    {"llama2-7b", "llama:layers=32,hidden=4096,heads=32,kv_heads=32,ffn=11008,seq=4096,vocab=32000,batch=8"},
    {"llama3-8b", "llama:layers=32,hidden=4096,heads=32,kv_heads=8,ffn=14336,seq=8192,vocab=128256,batch=8"},
    {"llama3-70b", "llama:layers=80,hidden=8192,heads=64,kv_heads=8,ffn=28672,seq=8192,vocab=128256,batch=8"},
    {"llama3-405b", "llama:layers=126,hidden=16384,heads=128,kv_heads=8,ffn=53248,seq=8192,vocab=128256,batch=8"},
    // Ronneberger and others, 2015.
    {"unet-31m", "unet:channels=64,depth=4,image=512,inputs=3,classes=2,batch=8,precision=f32"},
};
// clang-format on

namespace detail {

// "layers=24": read into the member that has the name.
struct Setting {
  std::string_view key, value;
};

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

// A word that stands for something, in the settings that every family has.
template<class T>
struct Word {
  std::string_view word;
  T meaning;
};
inline constexpr Word<Purpose> step_words[] = {{"train", Purpose::training},
                                               {"accumulate", Purpose::accumulation},
                                               {"apply", Purpose::application},
                                               {"infer", Purpose::inference}};
inline constexpr Word<ElementType> precision_words[] = {{"f32", f32}, {"bf16", bf16}, {"f16", f16}};
inline constexpr Word<Optimizer::Kind> optimizer_words[] = {{"adam", Optimizer::Kind::adam},
                                                            {"momentum", Optimizer::Kind::momentum},
                                                            {"sgd", Optimizer::Kind::sgd}};
inline constexpr Word<bool> attention_words[] = {{"plain", false}, {"fused", true}};

// What a message about a specification begins with.
inline constexpr const char* source = "--model";

template<class List, class ToText>
std::string listed(const List& list, ToText&& to_text) {
  return joined(list, ", ", [&](const auto& entry) { return std::string(to_text(entry)); });
}

template<class T, std::size_t N>
T meaning_of(const Setting& setting, const Word<T> (&words)[N]) {
  for (const Word<T>& word : words)
    if (word.word == setting.value) return word.meaning;
  throw InputError(source, std::string(setting.key) + '=' + excerpt(setting.value) +
                               ": there are " +
                               listed(words, [](const auto& w) { return w.word; }));
}

inline Extent number_of(const Setting& setting) {
  // Products of a few sizes must fit in 64 bits, and what the ops of all layers take, in memory;
  // beyond this no network of today comes near.
  const Extent largest = setting.key == "layers" ? 1'000 : 100'000'000;
  Extent value = 0;
  const char* const last = setting.value.data() + setting.value.size();
  const auto [end, error] = std::from_chars(setting.value.data(), last, value);
  if (error != std::errc() || end != last || value < 1 || value > largest)
    throw InputError(source, std::string(setting.key) + '=' + excerpt(setting.value) +
                                 " is no integer from 1 to " + std::to_string(largest));
  return value;
}

// Sets what every family has.  Returns whether it was one of those.
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

template<class Size, std::size_t N>
Graph build_from(std::string_view family, std::span<const Setting> settings,
                 const Field<Size> (&fields)[N], StepOptions step) {
  Size size;
  for (const Setting& setting : settings) {
    if (set(step, setting)) continue;
    const auto* const field = std::find_if(std::begin(fields), std::end(fields),
                                           [&](auto& entry) { return entry.key == setting.key; });
    if (field == std::end(fields))
      throw InputError(source, excerpt(setting.key) + " is no setting of " + std::string(family) +
                                   "; there are " +
                                   listed(fields, [](const auto& f) { return f.key; }) +
                                   ", step, precision, optimizer, attention, microbatches");
    size.*(field->member) = number_of(setting);
  }
  return build(size, step);
}

struct Family {
  std::string_view name;
  Graph (*build)(std::span<const Setting>);
};

// Images are trained in f32, as Alpa does.
inline constexpr Family families[] = {
    {"gpt",
     [](std::span<const Setting> s) { return build_from("gpt", s, gpt_fields, StepOptions{}); }},
    {"llama",
     [](std::span<const Setting> s) {
       return build_from("llama", s, llama_fields, StepOptions{});
     }},
    {"moe",
     [](std::span<const Setting> s) { return build_from("moe", s, moe_fields, StepOptions{}); }},
    {"wide-resnet",
     [](std::span<const Setting> s) {
       return build_from("wide-resnet", s, wide_resnet_fields, StepOptions{.precision = f32});
     }},
    {"unet",
     [](std::span<const Setting> s) {
       return build_from("unet", s, unet_fields, StepOptions{.precision = f32});
     }},
    {"mlp",
     [](std::span<const Setting> s) {
       return build_from("mlp", s, mlp_fields, StepOptions{.precision = f32});
     }},
};

// "layers=24,hidden=2304", appended to what a preset says; the last word on a key counts.
inline void parse_settings(std::string_view text, std::vector<Setting>& settings) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view piece = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos)
      throw InputError(source, excerpt(piece) + " is no setting, such as layers=24");
    settings.push_back({piece.substr(0, equals), piece.substr(equals + 1)});
  }
}

struct Named {
  std::string_view name, settings;
};
inline Named split_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace detail

// Every name there is, families first: for help texts.
inline std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const detail::Family& family : detail::families) result.emplace_back(family.name);
  for (const Preset& preset : presets) result.emplace_back(preset.name);
  return result;
}

// The program that a text names.  Throws InputError, saying what there is, for names, settings and
// values that there are not, and for sizes that do not fit together.
inline Graph build(std::string_view text) {
  const detail::Named asked = detail::split_name(text);
  std::vector<detail::Setting> settings;
  std::string_view wanted = asked.name;
  for (const Preset& preset : presets) {
    if (preset.name != asked.name) continue;
    const detail::Named meaning = detail::split_name(preset.meaning);
    wanted = meaning.name;
    detail::parse_settings(meaning.settings, settings);
  }
  detail::parse_settings(asked.settings, settings);
  for (const detail::Family& family : detail::families) {
    if (family.name != wanted) continue;
    try {
      return family.build(settings);
    } catch (const InputError&) {
      throw;
    } catch (const std::exception& error) {
      throw InputError(detail::source, excerpt(text, 200) + ": " + error.what());
    }
  }
  throw InputError(detail::source, "there is no model " + excerpt(asked.name) + "; there are " +
                                       joined(names(), ", ", [](const auto& n) { return n; }));
}

}  // namespace tessera::models
