// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of layers.hpp.
#pragma once
#include "tessera/pipeline/layers.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/pipeline/detail/forward_part.hpp"
#include "tessera/pipeline/detail/units.hpp"

namespace tessera::pipeline {
namespace detail {

constexpr std::size_t nowhere = std::numeric_limits<std::size_t>::max();

// The layers of the forward part, on their way to all ops.
struct LayerSpread {
  const graph::Graph& graph;
  const ForwardPart& forward;
  Layers& layers;
  std::vector<std::vector<LayerId>> homes = {};  // by op
  std::map<OpId, LayerId> new_value_layer = {};  // of parameters' new values
  std::vector<std::size_t> distances = {};  // to the nearest op that reads a layer's own weights
};

// For ops that are derived from parameters: the layers whose forward ops read them.
TESSERA_INLINE void find_homes(LayerSpread& spread) {
  for (OpId id = spread.graph.op_count(); id-- > 0;) {
    if (!spread.forward.is_derived(id)) continue;
    std::vector<LayerId>& homes = spread.homes[id];
    spread.graph.for_each_use(id, [&](OpId reader, const graph::Use& use) {
      if (use.is_next) return;
      if (spread.forward.contains(reader)) homes.push_back(spread.layers.of_op[reader]);
      if (spread.forward.is_derived(reader))
        homes.insert(homes.end(), spread.homes[reader].begin(), spread.homes[reader].end());
    });
    std::sort(homes.begin(), homes.end());
    homes.erase(std::unique(homes.begin(), homes.end()), homes.end());
    if (spread.graph.op(id).is_parameter && homes.size() > 1)
      spread.layers.shared.push_back({id, homes});
  }
  std::reverse(spread.layers.shared.begin(), spread.layers.shared.end());
}

// For a parameter's new value: the layer that reads the parameter, if there is just one.
TESSERA_INLINE void find_new_values(LayerSpread& spread) {
  for (const graph::Alias& alias : spread.graph.aliases)
    if (spread.homes[alias.parameter].size() == 1)
      spread.new_value_layer[alias.output.op] = spread.homes[alias.parameter][0];
}

// The layer whose own weights an op reads, or writes; the last one where there are several.
TESSERA_INLINE std::optional<LayerId> anchor_of(const LayerSpread& spread, OpId id) {
  std::optional<LayerId> layer;
  if (const auto place = spread.new_value_layer.find(id); place != spread.new_value_layer.end())
    layer = place->second;
  for (const graph::Value operand : ForwardPart::operands_of(spread.graph, id)) {
    if (!spread.forward.is_of_parameter(operand.op)) continue;
    const OpId parameter = spread.forward.parameter_of(operand.op);
    if (spread.forward.is_weight(parameter) && spread.homes[parameter].size() == 1)
      layer = std::max(layer.value_or(0), spread.homes[parameter][0]);
  }
  return layer;
}

// The first layer from `layer` on that has what an op reads: forward results, which gradients do
// not go back beyond, and copies of shared parameters.
TESSERA_INLINE LayerId raised(const LayerSpread& spread, OpId id, LayerId layer) {
  const std::vector<graph::Value> operands = ForwardPart::operands_of(spread.graph, id);
  for (const graph::Value operand : operands)
    if (spread.forward.contains(operand.op))
      layer = std::max(layer, spread.layers.of_op[operand.op]);
  for (const graph::Value operand : operands) {
    if (!spread.forward.is_of_parameter(operand.op)) continue;
    const std::vector<LayerId>& homes = spread.homes[spread.forward.parameter_of(operand.op)];
    const auto next = std::lower_bound(homes.begin(), homes.end(), layer);
    if (next != homes.end()) layer = *next;
  }
  return layer;
}

TESSERA_INLINE void assign_what_leads_to_weights(LayerSpread& spread) {
  spread.distances.assign(spread.graph.op_count(), nowhere);
  for (OpId id = spread.graph.op_count(); id-- > spread.forward.end();) {
    if (spread.forward.is_derived(id)) continue;
    LayerId nearest = 0;
    if (const std::optional<LayerId> anchor = anchor_of(spread, id)) {
      nearest = *anchor;
      spread.distances[id] = 0;
    } else {
      spread.graph.for_each_use(id, [&](OpId reader, const graph::Use& use) {
        if (use.is_next || spread.distances[reader] == nowhere) return;
        const std::size_t distance = spread.distances[reader] + 1;
        const LayerId layer = spread.layers.of_op[reader];
        if (distance > spread.distances[id] ||
            (distance == spread.distances[id] && layer <= nearest))
          return;
        spread.distances[id] = distance;
        nearest = layer;
      });
    }
    if (spread.distances[id] != nowhere) spread.layers.of_op[id] = raised(spread, id, nearest);
  }
}

// Ops that lead to no layer's own weights, such as a loss or a shared weight's gradient, stay
// with the last layer whose results they read.  A parameter's new value is where the parameter
// is.
TESSERA_INLINE void assign_what_is_left(LayerSpread& spread) {
  for (OpId id = spread.forward.end(); id < spread.graph.op_count(); ++id) {
    if (spread.forward.is_derived(id) || spread.distances[id] != nowhere) continue;
    LayerId layer = 0;
    for (const graph::Value operand : ForwardPart::operands_of(spread.graph, id))
      if (!spread.forward.is_derived(operand.op))
        layer = std::max(layer, spread.layers.of_op[operand.op]);
    spread.layers.of_op[id] = layer;
  }
  for (const graph::Alias& alias : spread.graph.aliases) {
    const OpId output = alias.output.op;
    const bool is_after_forward = output >= spread.forward.end() &&
                                  !spread.forward.is_derived(output);
    if (is_after_forward && !spread.homes[alias.parameter].empty())
      spread.layers.of_op[output] = spread.homes[alias.parameter][0];
  }
}

TESSERA_INLINE bool comes_from_above(const LayerSpread& spread, OpId id, LayerId layer,
                                     const std::vector<bool>& rises) {
  // An op that leads to no weights of a layer stays where it is: a shared weight's update.
  if (spread.forward.is_derived(id) || spread.distances[id] == nowhere || anchor_of(spread, id))
    return false;
  if (spread.graph.op(id).is_heavy) return false;  // work stays with the layer that it is of
  bool any = false;
  for (const graph::Value operand : ForwardPart::operands_of(spread.graph, id)) {
    if (spread.forward.is_of_parameter(operand.op)) return false;
    if (spread.forward.is_derived(operand.op)) continue;
    const bool is_above = operand.op >= spread.forward.end() &&
                          (spread.layers.of_op[operand.op] > layer || rises[operand.op]);
    if (!is_above) return false;
    any = true;
  }
  return any;
}
// How many operands in layers up to this one it is.
TESSERA_INLINE std::size_t readers_up_to(const LayerSpread& spread, graph::Value value,
                                         LayerId layer) {
  std::size_t count = 0;
  spread.graph.for_each_use(value.op, [&](OpId reader, const graph::Use& use) {
    if (use.result == value.result && spread.layers.of_op[reader] <= layer) ++count;
  });
  return count;
}
TESSERA_INLINE Wide bytes_of(const LayerSpread& spread, graph::Value value) {
  return graph::byte_count(spread.graph.type_of(value));
}

// Backward passes come down from one layer to the one below through ops that read neither's
// weights, such as the sum of what several paths pass on.  The border between the layers is where
// least is alive: ops before it go to the layer above.
TESSERA_INLINE void settle_border(LayerSpread& spread, LayerId layer) {
  std::vector<bool> rises(spread.graph.op_count(), false);
  std::vector<OpId> rising;
  for (OpId id = spread.forward.end(); id < spread.graph.op_count(); ++id)
    if (spread.layers.of_op[id] == layer && comes_from_above(spread, id, layer, rises)) {
      rises[id] = true;
      rising.push_back(id);
    }
  std::map<graph::Value, std::size_t> readers;  // below the border, of what is above
  Wide alive = 0;
  const auto enter = [&](graph::Value value) {
    const std::size_t count = readers_up_to(spread, value, layer);
    if (count > 0 && readers.emplace(value, count).second) alive += bytes_of(spread, value);
  };
  for (const OpId id : rising)
    for (const graph::Value operand : ForwardPart::operands_of(spread.graph, id))
      if (!spread.forward.is_derived(operand.op) && !rises[operand.op]) enter(operand);
  Wide least = alive;
  std::size_t best = 0;
  for (std::size_t i = 0; i < rising.size(); ++i) {
    for (const graph::Value operand : ForwardPart::operands_of(spread.graph, rising[i]))
      if (!spread.forward.is_derived(operand.op) && --readers[operand] == 0)
        alive -= bytes_of(spread, operand);
    for (std::uint32_t r = 0; r < spread.graph.op(rising[i]).results.size(); ++r)
      enter({rising[i], r});
    if (alive >= least) continue;
    least = alive;
    best = i + 1;
  }
  for (std::size_t i = 0; i < best; ++i) spread.layers.of_op[rising[i]] = layer + 1;
}

// With the first op that reads it.
TESSERA_INLINE void assign_derived(LayerSpread& spread) {
  for (OpId id = spread.graph.op_count(); id-- > 0;) {
    if (!spread.forward.is_derived(id)) continue;
    OpId first = spread.graph.op_count();
    spread.graph.for_each_use(id, [&](OpId reader, const graph::Use& use) {
      if (!use.is_next) first = std::min(first, reader);
    });
    spread.layers.of_op[id] = !spread.homes[id].empty()         ? spread.homes[id][0]
                              : first < spread.graph.op_count() ? spread.layers.of_op[first]
                                                                : 0;
  }
}

// Carries the layers of the forward part over to all ops.
TESSERA_INLINE void spread_layers(const graph::Graph& graph, const ForwardPart& forward,
                                  Layers& layers) {
  LayerSpread spread{graph, forward, layers};
  spread.homes.resize(graph.op_count());
  find_homes(spread);
  find_new_values(spread);
  assign_what_leads_to_weights(spread);
  assign_what_is_left(spread);
  for (LayerId layer = static_cast<LayerId>(layers.count); layer-- > 0;)
    settle_border(spread, layer);
  assign_derived(spread);
}

// The layers that begin with these units.
TESSERA_INLINE Layers layers_of(const graph::Graph& graph, const ForwardPart& forward,
                                const Units& units, const std::vector<std::size_t>& begins) {
  Layers layers;
  layers.count = begins.size();
  layers.of_op.assign(graph.op_count(), 0);
  layers.work.assign(begins.size(), 0);
  layers.input.assign(begins.size(), 0);
  const auto layer_of = [&](std::size_t unit) {
    return static_cast<LayerId>(std::upper_bound(begins.begin(), begins.end(), unit) -
                                begins.begin() - 1);
  };
  for (graph::OpId id = 0; id < forward.end(); ++id) layers.of_op[id] = layer_of(units.of_op[id]);
  for (std::size_t unit = 0; unit < units.size(); ++unit) {
    const LayerId layer = layer_of(unit);
    layers.work[layer] += units.work[unit];
    for (const Units::Read& read : units.reads[unit])
      if (read.known < begins[layer]) layers.input[layer] += read.bytes;
  }
  spread_layers(graph, forward, layers);
  return layers;
}

TESSERA_INLINE bool ends_in_number(std::string_view name) {
  return !name.empty() && name.back() >= '0' && name.back() <= '9';
}
// The begin of a parameter's name, where that ends in a number: "layer12" of "layer12.up.bias".
TESSERA_INLINE std::string_view mark_of_name(std::string_view name) {
  const std::string_view mark = name.substr(0, name.find('.'));
  return mark.size() < name.size() && ends_in_number(mark) ? mark : std::string_view();
}
// The outermost part that ends in a number, with the parts around it: "encoder/block3" of
// "encoder/block3/mlp1".
TESSERA_INLINE std::string_view mark_of_scope(std::string_view scope) {
  for (std::size_t end = 0; end < scope.size(); ++end) {
    end = std::min(scope.find('/', end), scope.size());
    if (ends_in_number(scope.substr(0, end))) return scope.substr(0, end);
  }
  return {};
}

// The marks of a heavy op: of its own scope, or of the parameters that it reads.
TESSERA_INLINE std::vector<std::string_view> marks_of(const graph::Graph& graph,
                                                      const ForwardPart& forward, OpId id,
                                                      bool by_scope) {
  if (by_scope) return {mark_of_scope(graph.op(id).scope)};
  std::vector<std::string_view> marks;
  for (const graph::Value operand : ForwardPart::operands_of(graph, id))
    if (forward.is_of_parameter(operand.op))
      marks.push_back(mark_of_name(graph.op(forward.parameter_of(operand.op)).name));
  return marks;
}

}  // namespace detail

TESSERA_INLINE std::vector<Wide> heavy_work(const graph::Graph& graph) {
  std::vector<Wide> work(graph.op_count(), 0);
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const graph::Op& op = graph.op(id);
    if (!op.is_heavy) continue;
    Extent product = 1;
    for (std::size_t f = 0; f < op.rule.factor_count(); ++f)
      product = checked_mul(product, op.rule.factor(f).size);
    work[id] = product;
  }
  return work;
}

TESSERA_INLINE graph::OpId forward_end(const graph::Graph& graph) {
  return detail::ForwardPart(graph).end();
}

TESSERA_INLINE Layers cluster_layers(const graph::Graph& graph, const LayerOptions& options,
                                     const std::vector<Wide>& work) {
  if (work.size() != graph.op_count())
    throw InvalidArgument("layers: the work of " + std::to_string(work.size()) +
                          " ops was given for a program of " + std::to_string(graph.op_count()) +
                          " ops; give it for each op");
  const detail::ForwardPart forward(graph);
  const detail::Units units(graph, forward, work);
  if (options.count < 1 || options.count > units.size())
    throw InvalidArgument("layers: " + std::to_string(options.count) +
                          " were asked for, but the program can be cut into 1 to " +
                          std::to_string(units.size()) + ", one for each heavy forward op");
  const std::vector<std::size_t> begins =
      detail::UnitPartition(units, options.count, options.tolerance).run();
  return detail::layers_of(graph, forward, units, begins);
}

TESSERA_INLINE Layers cluster_layers(const graph::Graph& graph, const LayerOptions& options) {
  return cluster_layers(graph, options, heavy_work(graph));
}

TESSERA_INLINE std::optional<Layers> named_layers(const graph::Graph& graph) {
  const detail::ForwardPart forward(graph);
  const detail::Units units(graph, forward, heavy_work(graph));
  for (const bool by_scope : {true, false}) {
    std::vector<std::size_t> begins;
    std::set<std::string_view> seen;
    for (const graph::OpId id : forward.heavy())
      for (const std::string_view mark : detail::marks_of(graph, forward, id, by_scope)) {
        if (mark.empty() || !seen.insert(mark).second) continue;
        const std::size_t unit = begins.empty() ? 0 : units.of_op[id];
        if (begins.empty() || unit > begins.back()) begins.push_back(unit);
      }
    if (begins.size() > 1) return detail::layers_of(graph, forward, units, begins);
  }
  return std::nullopt;
}

}  // namespace tessera::pipeline
