// SPDX-License-Identifier: Apache-2.0
//
// Layers: a program cut into consecutive pieces of about the same work, between which little flows.
//
// The forward part is cut as in Alpa (OSDI 2022, section 5.2): no layer has more than its share of
// the work and a little; of such cuts those with the least largest input of a layer, and of these
// the most even one.  Only places between two heavy ops matter, and of these the one across which
// least is alive: what is between two places is a unit.
//
// The rest of a training step follows: an op that reads a layer's own parameters (a weight's
// update, the product that hands a gradient on through it) is that layer's, and what leads to such
// an op is the layer's to which it leads soonest.  So forward and backward passes of a layer stay
// together.
//
// A program does not say where its forward part ends.  It ends with the last heavy op that is the
// first one to read some weight: from there on every heavy op reads what was read before.  Weights
// are the parameters that are updated in place; where no heavy op reads one, any parameter.  (So a
// head that shares its weights with the embedding is seen as forward where the embedding is looked
// up, as it is everywhere, and not where it is multiplied by one-hot rows.)
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::pipeline {

using LayerId = std::uint32_t;

// A parameter that forward ops of several layers read, such as a tied embedding.  The first of them
// owns it; the others need a copy, and their share of its gradient goes to the first.
struct SharedParameter {
  graph::OpId parameter = 0;
  std::vector<LayerId> layers;  // rising
};

struct Layers {
  std::size_t count = 0;
  std::vector<LayerId> of_op;  // by OpId
  std::vector<Wide> work;      // of each layer's forward ops
  std::vector<Wide> input;     // bytes that forward ops of a layer read from layers before it
  std::vector<SharedParameter> shared;
};

struct LayerOptions {
  std::size_t count = 1;
  // A layer may have so many percent more than an even share of the work; where no cut can do with
  // that, as little more as can be.
  std::int64_t tolerance = 10;
};

// The multiplications of a heavy op, by its rule; 0 for others.  Throws Overflow.
inline std::vector<Wide> heavy_work(const graph::Graph& graph) {
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

namespace detail {

using graph::OpId;

// Which ops are computed from one parameter, or none, without heavy work (casts, transposes,
// constants) and so belong to whoever reads them; and what of the program is its forward part.
class ForwardPart {
 public:
  explicit ForwardPart(const graph::Graph& graph) {
    parameters_.assign(graph.op_count(), none);
    is_derived_.assign(graph.op_count(), false);
    for (OpId id = 0; id < graph.op_count(); ++id) {
      find_parameter(graph, id);
      if (graph.op(id).is_heavy) heavy_.push_back(id);
    }
    is_weight_.assign(graph.op_count(), false);
    for (const graph::Alias& alias : graph.aliases) is_weight_[alias.parameter] = true;
    std::size_t count = count_heavy(graph);
    if (count == 0) {
      is_weight_.assign(graph.op_count(), true);
      count = count_heavy(graph);
    }
    // Where every heavy op is forward, so is what follows.
    if (count == 0) count = heavy_.size();
    end_ = count == heavy_.size() ? graph.op_count() : heavy_[count - 1] + 1;
    heavy_.resize(count);
  }

  // Operands, but for a loop state's next value, which comes later.
  static std::vector<graph::Value> operands_of(const graph::Graph& graph, OpId id) {
    std::vector<graph::Value> operands;
    const std::size_t count = graph.op(id).is_loop_state ? 1 : graph.operand_count(id);
    for (std::size_t i = 0; i < count; ++i) operands.push_back(graph.operand(id, i));
    return operands;
  }

  bool is_derived(OpId id) const { return is_derived_[id]; }
  // Derived from a parameter, and not from constants alone.
  bool is_of_parameter(OpId id) const { return parameters_[id] != none; }
  bool is_weight(OpId parameter) const { return is_weight_[parameter]; }
  OpId parameter_of(OpId id) const { return parameters_[id]; }  // @pre is_of_parameter(id)
  bool contains(OpId id) const { return id < end_ && !is_derived_[id]; }
  OpId end() const noexcept { return end_; }
  const std::vector<OpId>& heavy() const noexcept { return heavy_; }

 private:
  static constexpr OpId none = std::numeric_limits<OpId>::max();

  void find_parameter(const graph::Graph& graph, OpId id) {
    if (graph.op(id).is_heavy) return;
    OpId parameter = graph.op(id).is_parameter ? id : none;
    for (const graph::Value operand : operands_of(graph, id)) {
      const OpId other = parameters_[operand.op];
      if (!is_derived_[operand.op] || (parameter != none && other != none && parameter != other))
        return;
      if (other != none) parameter = other;
    }
    is_derived_[id] = true;
    parameters_[id] = parameter;
  }

  // How many heavy ops there are up to the last one that is the first to read some weight.
  std::size_t count_heavy(const graph::Graph& graph) const {
    std::vector<bool> is_seen(graph.op_count(), false);
    std::size_t count = 0;
    for (std::size_t i = 0; i < heavy_.size(); ++i)
      for (const graph::Value operand : operands_of(graph, heavy_[i])) {
        const OpId parameter = parameters_[operand.op];
        if (parameter == none || is_seen[parameter] || !is_weight_[parameter]) continue;
        is_seen[parameter] = true;
        count = i + 1;
      }
    return count;
  }

  std::vector<bool> is_derived_, is_weight_;
  std::vector<OpId> parameters_;  // the one that a derived op is made of, if any
  std::vector<OpId> heavy_;       // of the forward part
  OpId end_ = 0;
};

// The forward part as a row of units, with the work of each and what each reads of those before.
struct Units {
  // A value that a unit reads.  `known`: the last unit before it that computes or reads it, so that
  // it comes into a layer with this unit if the layer begins after that one.
  struct Read {
    std::size_t known;
    Wide bytes;
  };

  std::vector<std::uint32_t> of_op;  // by OpId; forward ops only
  std::vector<Wide> work;
  std::vector<std::vector<Read>> reads;

  std::size_t size() const noexcept { return work.size(); }

  Units(const graph::Graph& graph, const ForwardPart& forward, const std::vector<Wide>& op_work)
      : of_op(graph.op_count(), 0) {
    const std::vector<OpId> begins = find_begins(graph, forward);
    work.assign(begins.size() + 1, 0);
    reads.resize(begins.size() + 1);
    std::size_t unit = 0;
    for (OpId id = 0; id < forward.end(); ++id) {
      if (unit < begins.size() && id == begins[unit]) ++unit;
      of_op[id] = static_cast<std::uint32_t>(unit);
      work[unit] += op_work[id];
    }
    for (OpId id = 0; id < forward.end(); ++id)
      if (forward.contains(id)) note_reads(graph, forward, id);
  }

 private:
  static Wide bytes_of(const graph::Graph& graph, graph::Value value) {
    return graph::byte_count(graph.type_of(value));
  }

  // Where units begin, but for the first: one place between any two heavy ops that can be parted.
  static std::vector<OpId> find_begins(const graph::Graph& graph, const ForwardPart& forward) {
    const std::vector<Wide> alive = bytes_alive(graph, forward);
    std::vector<bool> is_in_loop(forward.end() + 1, false);
    for (const graph::Loop& loop : graph.loops)
      for (OpId id = loop.begin + 1; id < loop.end && id <= forward.end(); ++id)
        is_in_loop[id] = true;
    std::vector<OpId> begins;
    for (std::size_t i = 0; i + 1 < forward.heavy().size(); ++i) {
      std::optional<OpId> best;
      for (OpId id = forward.heavy()[i] + 1; id <= forward.heavy()[i + 1]; ++id)
        if (!is_in_loop[id] && (!best || alive[id] <= alive[*best])) best = id;
      if (best) begins.push_back(*best);
    }
    return begins;
  }
  // Before each op: the bytes of forward results that it or a forward op after it reads.
  static std::vector<Wide> bytes_alive(const graph::Graph& graph, const ForwardPart& forward) {
    std::vector<Wide> change(forward.end() + 2, 0);
    for (OpId id = 0; id < forward.end(); ++id) {
      if (!forward.contains(id)) continue;
      std::vector<OpId> last(graph.op(id).results.size(), id);
      graph.for_each_use(id, [&](OpId reader, const graph::Use& use) {
        if (!use.is_next && forward.contains(reader))
          last[use.result] = std::max(last[use.result], reader);
      });
      for (std::uint32_t result = 0; result < last.size(); ++result) {
        const Wide bytes = bytes_of(graph, {id, result});
        change[id + 1] += bytes;
        change[last[result] + 1] -= bytes;
      }
    }
    for (std::size_t i = 1; i < change.size(); ++i) change[i] += change[i - 1];
    return change;
  }

  void note_reads(const graph::Graph& graph, const ForwardPart& forward, OpId id) {
    for (std::uint32_t result = 0; result < graph.op(id).results.size(); ++result) {
      std::vector<std::size_t> readers;
      graph.for_each_use(id, [&](OpId reader, const graph::Use& use) {
        if (!use.is_next && use.result == result && forward.contains(reader))
          readers.push_back(of_op[reader]);
      });
      std::sort(readers.begin(), readers.end());
      std::size_t known = of_op[id];
      for (const std::size_t reader : readers) {
        if (reader == known) continue;
        reads[reader].push_back({known, bytes_of(graph, {id, result})});
        known = reader;
      }
    }
  }
};

// Cuts a row of units into layers, by three dynamic programs over (layers, units): each fixes one
// number, which the next one keeps to.
class UnitPartition {
 public:
  UnitPartition(const Units& units, std::size_t layers, std::int64_t tolerance)
      : units_(units), layers_(layers), count_(units.size()) {
    work_before_.push_back(0);
    for (const Wide work : units.work) work_before_.push_back(work_before_.back() + work);
    // Squares of the work must fit as well.
    for (Wide total = work_before_.back(); total >> shift_ > std::int64_t{1} << 60; ++shift_)
      continue;
    compute_inputs();
    most_work_ = allowed_work(tolerance);
  }

  // The first unit of each layer.
  std::vector<std::size_t> run() {
    const auto work = [&](std::size_t first, std::size_t last) { return work_of(first, last); };
    const auto input = [&](std::size_t first, std::size_t last) -> std::optional<Wide> {
      if (work_of(first, last) > most_work_) return std::nullopt;
      return inputs_[first][last];
    };
    const auto largest = [](Wide a, Wide b) { return std::max(a, b); };
    most_work_ = std::max(most_work_, *best(work, largest).value);
    most_input_ = *best(input, largest).value;
    const auto square = [&](std::size_t first, std::size_t last) -> std::optional<Wide> {
      const std::optional<Wide> bytes = input(first, last);
      if (!bytes || *bytes > most_input_) return std::nullopt;
      const Wide scaled = work_of(first, last) >> shift_;
      return scaled * scaled;
    };
    return best(square, [](Wide a, Wide b) { return a + b; }).begins;
  }

 private:
  struct Best {
    std::optional<Wide> value;
    std::vector<std::size_t> begins;
  };

  Wide work_of(std::size_t first, std::size_t last) const {
    return work_before_[last + 1] - work_before_[first];
  }
  Wide allowed_work(std::int64_t tolerance) const {
    return work_before_.back() * (100 + tolerance) / (100 * static_cast<Wide>(layers_));
  }
  // inputs_[i][k]: the bytes that units i..k read from units before i.
  void compute_inputs() {
    inputs_.assign(count_, std::vector<Wide>(count_, 0));
    for (std::size_t first = 0; first < count_; ++first) {
      Wide sum = 0;
      for (std::size_t last = first; last < count_; ++last) {
        for (const Units::Read& read : units_.reads[last])
          if (read.known < first) sum += read.bytes;
        inputs_[first][last] = sum;
      }
    }
  }

  // The least that price(first, last) of all layers comes to, taken together by `join`; nothing
  // where some layer has no price whatever the cut.  best[r][k]: of r + 1 layers, units 0..k.
  template<class Price, class Join>
  Best best(Price&& price, Join&& join) const {
    using Row = std::vector<std::optional<Wide>>;
    std::vector<Row> values(layers_, Row(count_));
    std::vector<std::vector<std::size_t>> begins(layers_, std::vector<std::size_t>(count_, 0));
    for (std::size_t k = 0; k < count_; ++k) values[0][k] = std::optional<Wide>(price(0, k));
    for (std::size_t r = 1; r < layers_; ++r)
      for (std::size_t k = r; k < count_; ++k)
        for (std::size_t first = r; first <= k; ++first) {
          const std::optional<Wide>& before = values[r - 1][first - 1];
          if (!before) continue;
          const std::optional<Wide> own = price(first, k);
          if (!own) continue;
          const Wide value = join(*before, *own);
          if (values[r][k] && *values[r][k] <= value) continue;
          values[r][k] = value;
          begins[r][k] = first;
        }
    Best result{values[layers_ - 1][count_ - 1], std::vector<std::size_t>(layers_, 0)};
    std::size_t last = count_ - 1;
    for (std::size_t r = layers_ - 1; r > 0; --r) {
      result.begins[r] = begins[r][last];
      last = begins[r][last] - 1;
    }
    return result;
  }

  const Units& units_;
  std::size_t layers_, count_;
  unsigned shift_ = 0;
  std::vector<Wide> work_before_;
  std::vector<std::vector<Wide>> inputs_;
  Wide most_work_ = 0, most_input_ = 0;
};

// Carries the layers of the forward part over to all ops.
class LayerSpread {
 public:
  LayerSpread(const graph::Graph& graph, const ForwardPart& forward, Layers& layers)
      : graph_(graph), forward_(forward), layers_(layers), homes_(graph.op_count()) {}

  void run() {
    find_homes();
    find_places();
    assign_what_leads_to_weights();
    assign_what_is_left();
    for (LayerId layer = static_cast<LayerId>(layers_.count); layer-- > 0;) settle_border(layer);
    assign_derived();
  }

 private:
  static constexpr std::size_t nowhere = std::numeric_limits<std::size_t>::max();

  // For what is derived from parameters: the layers whose forward ops read it.
  void find_homes() {
    for (OpId id = graph_.op_count(); id-- > 0;) {
      if (!forward_.is_derived(id)) continue;
      std::vector<LayerId>& homes = homes_[id];
      graph_.for_each_use(id, [&](OpId reader, const graph::Use& use) {
        if (use.is_next) return;
        if (forward_.contains(reader)) homes.push_back(layers_.of_op[reader]);
        if (forward_.is_derived(reader))
          homes.insert(homes.end(), homes_[reader].begin(), homes_[reader].end());
      });
      std::sort(homes.begin(), homes.end());
      homes.erase(std::unique(homes.begin(), homes.end()), homes.end());
      if (graph_.op(id).is_parameter && homes.size() > 1) layers_.shared.push_back({id, homes});
    }
    std::reverse(layers_.shared.begin(), layers_.shared.end());
  }

  // For what takes a parameter's place: the one layer that reads the parameter, if it is one.
  void find_places() {
    for (const graph::Alias& alias : graph_.aliases)
      if (homes_[alias.parameter].size() == 1)
        places_[alias.output.op] = homes_[alias.parameter][0];
  }

  // The layer whose own weights an op reads, or writes; the last one where there are several.
  std::optional<LayerId> anchor_of(OpId id) const {
    std::optional<LayerId> layer;
    if (const auto place = places_.find(id); place != places_.end()) layer = place->second;
    for (const graph::Value operand : ForwardPart::operands_of(graph_, id)) {
      if (!forward_.is_of_parameter(operand.op)) continue;
      const OpId parameter = forward_.parameter_of(operand.op);
      if (forward_.is_weight(parameter) && homes_[parameter].size() == 1)
        layer = std::max(layer.value_or(0), homes_[parameter][0]);
    }
    return layer;
  }

  // The first layer from `layer` on that has what an op reads: forward results, which gradients do
  // not go back beyond, and copies of shared parameters.
  LayerId raised(OpId id, LayerId layer) const {
    const std::vector<graph::Value> operands = ForwardPart::operands_of(graph_, id);
    for (const graph::Value operand : operands)
      if (forward_.contains(operand.op)) layer = std::max(layer, layers_.of_op[operand.op]);
    for (const graph::Value operand : operands) {
      if (!forward_.is_of_parameter(operand.op)) continue;
      const std::vector<LayerId>& homes = homes_[forward_.parameter_of(operand.op)];
      const auto next = std::lower_bound(homes.begin(), homes.end(), layer);
      if (next != homes.end()) layer = *next;
    }
    return layer;
  }

  void assign_what_leads_to_weights() {
    distances_.assign(graph_.op_count(), nowhere);
    for (OpId id = graph_.op_count(); id-- > forward_.end();) {
      if (forward_.is_derived(id)) continue;
      LayerId nearest = 0;
      if (const std::optional<LayerId> anchor = anchor_of(id)) {
        nearest = *anchor;
        distances_[id] = 0;
      } else {
        graph_.for_each_use(id, [&](OpId reader, const graph::Use& use) {
          if (use.is_next || distances_[reader] == nowhere) return;
          const std::size_t distance = distances_[reader] + 1;
          const LayerId layer = layers_.of_op[reader];
          if (distance > distances_[id] || (distance == distances_[id] && layer <= nearest)) return;
          distances_[id] = distance;
          nearest = layer;
        });
      }
      if (distances_[id] != nowhere) layers_.of_op[id] = raised(id, nearest);
    }
  }

  // What leads to no layer's own weights: a loss, a shared weight's gradient.  It stays with the
  // last of those whose results it reads; what takes a parameter's place is where the parameter is.
  void assign_what_is_left() {
    for (OpId id = forward_.end(); id < graph_.op_count(); ++id) {
      if (forward_.is_derived(id) || distances_[id] != nowhere) continue;
      LayerId layer = 0;
      for (const graph::Value operand : ForwardPart::operands_of(graph_, id))
        if (!forward_.is_derived(operand.op)) layer = std::max(layer, layers_.of_op[operand.op]);
      layers_.of_op[id] = layer;
    }
    for (const graph::Alias& alias : graph_.aliases) {
      const OpId output = alias.output.op;
      const bool is_late = output >= forward_.end() && !forward_.is_derived(output);
      if (is_late && !homes_[alias.parameter].empty())
        layers_.of_op[output] = homes_[alias.parameter][0];
    }
  }

  // Backward passes come down from one layer to the one below through ops that read neither's
  // weights, such as the sum of what several paths hand on.  The border between the layers is where
  // least is alive: ops before it go to the layer above.
  void settle_border(LayerId layer) {
    std::vector<bool> rises(graph_.op_count(), false);
    std::vector<OpId> rising;
    for (OpId id = forward_.end(); id < graph_.op_count(); ++id)
      if (layers_.of_op[id] == layer && comes_from_above(id, layer, rises)) {
        rises[id] = true;
        rising.push_back(id);
      }
    std::map<graph::Value, std::size_t> readers;  // below the border, of what is above
    Wide alive = 0;
    const auto enter = [&](graph::Value value) {
      const std::size_t count = readers_up_to(value, layer);
      if (count > 0 && readers.emplace(value, count).second) alive += bytes_of(value);
    };
    for (const OpId id : rising)
      for (const graph::Value operand : ForwardPart::operands_of(graph_, id))
        if (!forward_.is_derived(operand.op) && !rises[operand.op]) enter(operand);
    Wide least = alive;
    std::size_t best = 0;
    for (std::size_t i = 0; i < rising.size(); ++i) {
      for (const graph::Value operand : ForwardPart::operands_of(graph_, rising[i]))
        if (!forward_.is_derived(operand.op) && --readers[operand] == 0) alive -= bytes_of(operand);
      for (std::uint32_t r = 0; r < graph_.op(rising[i]).results.size(); ++r) enter({rising[i], r});
      if (alive >= least) continue;
      least = alive;
      best = i + 1;
    }
    for (std::size_t i = 0; i < best; ++i) layers_.of_op[rising[i]] = layer + 1;
  }
  bool comes_from_above(OpId id, LayerId layer, const std::vector<bool>& rises) const {
    // What leads to no weights of a layer stays where it is: a shared weight's update.
    if (forward_.is_derived(id) || distances_[id] == nowhere || anchor_of(id)) return false;
    if (graph_.op(id).is_heavy) return false;  // work stays with the layer that it is of
    bool any = false;
    for (const graph::Value operand : ForwardPart::operands_of(graph_, id)) {
      if (forward_.is_of_parameter(operand.op)) return false;
      if (forward_.is_derived(operand.op)) continue;
      const bool is_above = operand.op >= forward_.end() &&
                            (layers_.of_op[operand.op] > layer || rises[operand.op]);
      if (!is_above) return false;
      any = true;
    }
    return any;
  }
  // How many operands in layers up to this one it is.
  std::size_t readers_up_to(graph::Value value, LayerId layer) const {
    std::size_t count = 0;
    graph_.for_each_use(value.op, [&](OpId reader, const graph::Use& use) {
      if (use.result == value.result && layers_.of_op[reader] <= layer) ++count;
    });
    return count;
  }
  Wide bytes_of(graph::Value value) const { return graph::byte_count(graph_.type_of(value)); }

  // With the first op that reads it.
  void assign_derived() {
    for (OpId id = graph_.op_count(); id-- > 0;) {
      if (!forward_.is_derived(id)) continue;
      OpId first = graph_.op_count();
      graph_.for_each_use(id, [&](OpId reader, const graph::Use& use) {
        if (!use.is_next) first = std::min(first, reader);
      });
      layers_.of_op[id] = !homes_[id].empty()         ? homes_[id][0]
                          : first < graph_.op_count() ? layers_.of_op[first]
                                                      : 0;
    }
  }

  const graph::Graph& graph_;
  const ForwardPart& forward_;
  Layers& layers_;
  std::vector<std::vector<LayerId>> homes_;
  std::map<OpId, LayerId> places_;
  std::vector<std::size_t> distances_;  // to the nearest op that reads a layer's own weights
};

// The layers that begin with these units.
inline Layers layers_of(const graph::Graph& graph, const ForwardPart& forward, const Units& units,
                        const std::vector<std::size_t>& begins) {
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
  LayerSpread(graph, forward, layers).run();
  return layers;
}

inline bool ends_in_number(std::string_view name) {
  return !name.empty() && name.back() >= '0' && name.back() <= '9';
}
// What a parameter's name begins with, where that ends in a number: "layer12" of "layer12.up.bias".
inline std::string_view mark_of_name(std::string_view name) {
  const std::string_view mark = name.substr(0, name.find('.'));
  return mark.size() < name.size() && ends_in_number(mark) ? mark : std::string_view();
}
// The outermost part that ends in a number, and what it is in: "encoder/block3" of
// "encoder/block3/mlp1".
inline std::string_view mark_of_scope(std::string_view scope) {
  for (std::size_t end = 0; end < scope.size(); ++end) {
    end = std::min(scope.find('/', end), scope.size());
    if (ends_in_number(scope.substr(0, end))) return scope.substr(0, end);
  }
  return {};
}

// The marks that a heavy op bears: of its own scope, or of the parameters that it reads.
inline std::vector<std::string_view> marks_of(const graph::Graph& graph, const ForwardPart& forward,
                                              OpId id, bool by_scope) {
  if (by_scope) return {mark_of_scope(graph.op(id).scope)};
  std::vector<std::string_view> marks;
  for (const graph::Value operand : ForwardPart::operands_of(graph, id))
    if (forward.is_of_parameter(operand.op))
      marks.push_back(mark_of_name(graph.op(forward.parameter_of(operand.op)).name));
  return marks;
}

}  // namespace detail

// One past the last op of the forward part; the number of ops where all of it is.
inline graph::OpId forward_end(const graph::Graph& graph) {
  return detail::ForwardPart(graph).end();
}

// Cuts a program into layers.  `work`: of each op; only forward ops' counts.  Loops stay whole.
// Throws InvalidArgument where there are fewer heavy ops to part than layers asked for.
// O(ops + heavy^2 * (layers + reads)).
inline Layers cluster_layers(const graph::Graph& graph, const LayerOptions& options,
                             const std::vector<Wide>& work) {
  if (work.size() != graph.op_count())
    throw InvalidArgument("layers: the work of " + std::to_string(work.size()) +
                                " ops for a program of " + std::to_string(graph.op_count()));
  const detail::ForwardPart forward(graph);
  const detail::Units units(graph, forward, work);
  if (options.count < 1 || options.count > units.size())
    throw InvalidArgument("layers: " + std::to_string(options.count) +
                                " asked for, but the program can be cut into 1 to " +
                                std::to_string(units.size()));
  const std::vector<std::size_t> begins =
      detail::UnitPartition(units, options.count, options.tolerance).run();
  return detail::layers_of(graph, forward, units, begins);
}

// By the multiplications of heavy ops.
inline Layers cluster_layers(const graph::Graph& graph, const LayerOptions& options) {
  return cluster_layers(graph, options, heavy_work(graph));
}

// The layers that a program itself tells of: by the scopes of its ops ("encoder/layer3"), which
// markers in HLO become as well, or else by the names of parameters ("layer3.up").  A new layer
// begins before the first heavy forward op of a new scope up to its first number, or that reads a
// parameter of a new name up to its first dot, if that ends in a number; where least is alive
// between that op and the heavy one before.  What has no such mark is with what comes before it.
// Nothing where there are not two marks.
inline std::optional<Layers> named_layers(const graph::Graph& graph) {
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
