// SPDX-License-Identifier: Apache-2.0
//
// Writes plans as JSON: one object, indented, lists of numbers on one line.
//
// Two parts of all plans are here as well: how well devices are used, and the strategies of the ops
// that an instruction became.  The rest is in plan_json.ipp and pipeline_json.ipp, which alone
// include this header, and RapidJSON with it.
#pragma once
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/text.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::io::detail {

class JsonWriter {
 public:
  JsonWriter() {
    json_.SetIndent(' ', 1);
    json_.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  }
  JsonWriter(const JsonWriter&) = delete;  // the writer below has the buffer's address
  JsonWriter& operator=(const JsonWriter&) = delete;

  // @pre all objects and lists are closed
  std::string text() const { return std::string(buffer_.GetString()) + '\n'; }

  // `fill` writes the fields between the braces.
  template<class Fill>
  void object(Fill&& fill) {
    json_.StartObject();
    fill();
    json_.EndObject();
  }
  template<class Fill>
  void object(std::string_view name, Fill&& fill) {
    key(name);
    object(fill);
  }
  template<class Fill>
  void list(std::string_view name, Fill&& fill) {
    key(name);
    list(fill);
  }
  template<class Fill>
  void list(Fill&& fill) {
    json_.StartArray();
    fill();
    json_.EndArray();
  }

  void string(std::string_view name, std::string_view value) {
    key(name);
    string(value);
  }
  void string(std::string_view value) {
    json_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  }
  void number(std::string_view name, std::int64_t value) {
    key(name);
    number(value);
  }
  void number(std::int64_t value) { json_.Int64(value); }
  // Numbers that may not fit a double or 64 bits are written digit by digit.
  void raw(std::string_view name, const std::string& number) {
    key(name);
    json_.RawValue(number.data(), number.size(), rapidjson::kNumberType);
  }
  void real(std::string_view name, double value) {
    key(name);
    json_.Double(value);
  }
  void flag(std::string_view name, bool value) {
    key(name);
    json_.Bool(value);
  }

  void pair(std::string_view name, std::int64_t first, std::int64_t last) {
    list(name, [&] {
      number(first);
      number(last);
    });
  }
  void mesh(const DynamicMesh& mesh) {
    list("mesh", [&] {
      for (std::size_t axis = 0; axis < mesh.rank(); ++axis) number(mesh.extent(axis));
    });
  }
  void utilisation(const cost::Utilisation& use) {
    object("utilisation", [&] {
      real("mfu", use.mfu());
      real("hfu", use.hfu());
      raw("model_flops", to_string(use.model_flops));
      raw("hardware_flops", to_string(use.hardware_flops));
      number("peak_flops_per_second", use.peak);
      number("devices", use.devices);
    });
  }

 private:
  void key(std::string_view name) {
    json_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }

  rapidjson::StringBuffer buffer_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json_{buffer_};
};

// The strategies of the ops that an instruction became, each once, in their order.  strategy_of(op)
// is a text.
template<class StrategyOf>
std::string strategies_of(const std::vector<graph::OpId>& ops, StrategyOf&& strategy_of) {
  std::vector<std::string> distinct;
  for (const graph::OpId op : ops) {
    const std::string& strategy = strategy_of(op);
    if (!strategy.empty() &&
        std::find(distinct.begin(), distinct.end(), strategy) == distinct.end())
      distinct.push_back(strategy);
  }
  return joined(distinct, "; ", [](const std::string& strategy) { return strategy; });
}

}  // namespace tessera::io::detail
