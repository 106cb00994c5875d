// SPDX-License-Identifier: Apache-2.0
//
// The table of sizes from papers, and the language of settings.
#pragma once
#include "tessera/models/catalogue.hpp"

#include <cstddef>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/models/detail/families.hpp"

namespace tessera::models {
namespace detail {

// clang-format off
inline constexpr Preset preset_table[] = {
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

// Appends "layers=24,hidden=2304".  If a key occurs twice, the last one counts.
TESSERA_INLINE void parse_settings(std::string_view text, std::vector<Setting>& settings) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view piece = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos)
      throw SettingError(excerpt(piece) + " is no setting, such as layers=24");
    settings.push_back({piece.substr(0, equals), piece.substr(equals + 1)});
  }
}

// "gpt" and "layers=24" of "gpt:layers=24".
struct NameAndSettings {
  std::string_view name, settings;
};
TESSERA_INLINE NameAndSettings split_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

TESSERA_INLINE graph::Graph build_named(std::string_view text) {
  const NameAndSettings asked = split_name(text);
  std::vector<Setting> settings;
  std::string_view wanted = asked.name;
  for (const Preset& preset : preset_table) {
    if (preset.name != asked.name) continue;
    const NameAndSettings meaning = split_name(preset.meaning);
    wanted = meaning.name;
    parse_settings(meaning.settings, settings);
  }
  parse_settings(asked.settings, settings);
  for (const Family& family : families)
    if (family.name == wanted) return family.build(settings);
  throw SettingError("there is no model " + excerpt(asked.name) + "; there are " +
                     joined(names(), ", ", [](const auto& name) { return name; }));
}

}  // namespace detail

TESSERA_INLINE std::span<const Preset> presets() { return detail::preset_table; }

TESSERA_INLINE std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const detail::Family& family : detail::families) result.emplace_back(family.name);
  for (const Preset& preset : presets()) result.emplace_back(preset.name);
  return result;
}

TESSERA_INLINE graph::Graph build(std::string_view text, const std::string& source) {
  try {
    return detail::build_named(text);
  } catch (const detail::SettingError& error) {
    throw InputError(source, error.what());
  } catch (const Error& error) {
    throw InputError(source, excerpt(text, 200) + ": " + error.what());
  }
}

}  // namespace tessera::models
