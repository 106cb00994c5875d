// SPDX-License-Identifier: Apache-2.0
//
// A transformer's training step in the parts of sharded_program.hpp: layers forward, the same
// layers backward, and an update of each weight where its gradient appears.
//
// What the backward part needs lives until then, so that intervals of the forward part nest around
// the middle of the program.  Gradients are not those of calculus in all detail; what matters here
// is who uses what, and for how long it must be kept.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sharded_program.hpp"

namespace tessera::benchmarks {

class TrainingStep {
 public:
  // Of exactly so many nodes, or as many as it takes if 0.  Throws tessera::InvalidArgument where it
  // takes more.
  static Program make(const Character& character, std::uint64_t seed, std::size_t layers,
                      std::size_t nodes) {
    Program least(character, seed);
    TrainingStep sketch(least, seed);
    sketch.build(layers);
    if (nodes == 0) return least;
    const std::size_t count = least.nodes().size();
    if (nodes < count)
      throw tessera::InvalidArgument(std::to_string(layers) + " layers of this family take at least " +
                                  std::to_string(count) + " nodes");
    Program program(character, seed);
    TrainingStep step(program, seed);
    step.stretch_ = nodes - count;
    step.chains_ = sketch.chain_;
    step.build(layers);
    return program;
  }

 private:
  using Contraction = Program::Contraction;

  static constexpr std::int64_t batch = 16, heads = 16;
  static constexpr std::size_t first_backward_role = 1000;  // beyond those of the forward part

  struct Linear {
    NodeId x, weight, bias, y;
    std::int64_t from, to;  // features
  };
  struct Attention {
    NodeId query, key, value, weights;
  };
  struct Layer {
    NodeId normed, gain;
    Linear query, key, value, output, up, down;
    Attention attention;
  };

  TrainingStep(Program& program, std::uint64_t seed) : program_(program), random_(mix_bits(seed)) {
    const std::int64_t unit = std::int64_t{256} << random_.below(2);
    hidden_ = 4 * unit;
    tokens_ = 8 * unit;
    if (program.character().has_batch)
      rows_ = {batch, tokens_ / batch};
    else
      rows_ = {tokens_};
  }

  void build(std::size_t layers) {
    constexpr int constants = 8;
    for (int i = 0; i < constants; ++i) scalars_.push_back(program_.scalar());
    NodeId x = program_.parameter(with_rows({hidden_}));
    for (std::size_t layer = 0; layer < layers; ++layer) {
      program_.begin_layer(0);
      x = forward(x, layer);
    }
    NodeId gradient = chain(x);
    while (!tape_.empty()) {
      program_.begin_layer(first_backward_role);
      gradient = backward(gradient, tape_.back());
      tape_.pop_back();
    }
    program_.lives_to_the_end(gradient);
    program_.end();
  }

  // --- Shapes -----------------------------------------------------------------------------------
  Dims with_rows(Dims dims) const {
    dims.insert(dims.begin(), rows_.begin(), rows_.end());
    return dims;
  }
  std::int8_t rank() const { return static_cast<std::int8_t>(rows_.size()); }
  // 0 to rank() - 1, the factors of an activation's rows; then the others.
  Factors rows_and(Factors others) const {
    Factors result;
    for (std::int8_t i = 0; i < rank(); ++i) result.push_back(i);
    result.insert(result.end(), others.begin(), others.end());
    return result;
  }

  // --- Elementwise ------------------------------------------------------------------------------
  NodeId chain(NodeId x) {
    std::size_t length = 1;
    if (chains_ > 0) length += stretch_ * (chain_ + 1) / chains_ - stretch_ * chain_ / chains_;
    ++chain_;
    for (; length > 0; --length) {
      if (length == 1 || random_.uniform() >= program_.character().scalars) {
        x = program_.elementwise(x);
        join_recent(x);
        continue;
      }
      const NodeId constant = program_.scalar();
      program_.takes_scalar(a_scalar(), constant);
      x = program_.elementwise(x);
      program_.takes_scalar(constant, x);
      --length;
    }
    return x;
  }
  // Real programs use a tensor in more places than a sketch of them does.
  void join_recent(NodeId x) {
    std::deque<NodeId>& recent = recent_[program_.sizes(x)];
    if (!recent.empty() && random_.uniform() < program_.character().joined)
      program_.operand(recent[random_.below(recent.size())], x);
    recent.push_back(x);
    constexpr std::size_t remembered = 12;
    if (recent.size() > remembered) recent.pop_front();
  }
  NodeId a_scalar() {
    // Some are wanted everywhere, others here and there.
    const double u = random_.uniform();
    return scalars_[static_cast<std::size_t>(u * u * static_cast<double>(scalars_.size()))];
  }
  NodeId combined(NodeId x, NodeId other) {
    const NodeId id = program_.elementwise(x);
    program_.operand(other, id);
    return id;
  }

  // --- Forward ----------------------------------------------------------------------------------
  NodeId forward(NodeId x, std::size_t index) {
    Layer layer{};
    layer.gain = program_.parameter({hidden_});
    layer.normed = norm(x, layer.gain);
    layer.query = linear(layer.normed, hidden_, hidden_);
    layer.key = linear(layer.normed, hidden_, hidden_);
    layer.value = linear(layer.normed, hidden_, hidden_);
    layer.output = linear(attention(layer), hidden_, hidden_);
    x = combined(x, layer.output.y);
    const std::size_t every = program_.character().wide_every;
    const bool is_wide = every > 0 && index % every == every / 2;
    layer.up = linear(norm(x, layer.gain), hidden_, 4 * hidden_,
                      is_wide ? program_.character().variants : 1);
    layer.down = linear(chain(layer.up.y), 4 * hidden_, hidden_);
    x = combined(x, layer.down.y);
    tape_.push_back(layer);
    return x;
  }
  NodeId norm(NodeId x, NodeId gain) {
    const NodeId squares = program_.elementwise(x);
    const auto row = static_cast<std::int8_t>(rank() - 1);
    const NodeId sums = program_.elementwise(program_.reduction(squares, row, rows_.back()));
    const NodeId result = program_.elementwise(x);
    program_.operand(sums, result, {row});
    program_.operand(gain, result, {rank()});
    return chain(result);
  }
  // rows x from, from x to -> rows x to
  Linear linear(NodeId x, std::int64_t from, std::int64_t to, std::uint16_t variants = 1) {
    Linear result{x, program_.parameter({from, to}), program_.parameter({to}), 0, from, to};
    const std::int8_t out = rank(), in = static_cast<std::int8_t>(out + 1);
    const Contraction shape{with_rows({to, from}), rows_and({in}), {in, out}, rows_and({out})};
    result.y = program_.elementwise(program_.product(x, result.weight, shape, variants));
    program_.operand(result.bias, result.y, {rank()});
    result.y = chain(result.y);
    return result;
  }
  // rows x (head, feature) -> batch x head x row x feature
  NodeId by_head(NodeId x) {
    const std::int64_t feature = hidden_ / heads;
    return rows_.size() == 1 ? program_.reshape(x, {heads, tokens_, feature}, {1, 0})
                             : program_.reshape(x, {batch, heads, rows_[1], feature}, {0, 2, 1});
  }
  NodeId by_row(NodeId x) {
    const Factors wanted = rows_.size() == 1 ? Factors{1, 0, none} : Factors{0, 2, 1, none};
    return program_.reshape(x, with_rows({hidden_}), wanted);
  }
  // head x i x k, head x j x k -> head x i x j, perhaps in a batch
  NodeId for_each_head(NodeId a, NodeId b, std::int64_t i, std::int64_t j, std::int64_t k,
                       bool is_transposed) {
    Contraction shape{{heads, i, j, k}, {0, 1, 3}, {0, 2, 3}, {0, 1, 2}};
    if (is_transposed) shape.b = {0, 3, 2};
    if (rows_.size() == 2) {
      shape.factor_sizes.insert(shape.factor_sizes.begin(), batch);
      for (Factors* factors : {&shape.a, &shape.b, &shape.result}) {
        for (std::int8_t& factor : *factors) ++factor;
        factors->insert(factors->begin(), 0);
      }
    }
    return program_.product(a, b, shape);
  }
  std::int64_t length() const { return rows_.back(); }
  NodeId attention(Layer& layer) {
    Attention& a = layer.attention;
    a.query = by_head(layer.query.y);
    a.key = by_head(layer.key.y);
    a.value = by_head(layer.value.y);
    const std::int64_t feature = hidden_ / heads;
    const NodeId scores = for_each_head(a.query, a.key, length(), length(), feature, false);
    a.weights = chain(program_.elementwise(scores));
    return by_row(for_each_head(a.weights, a.value, length(), feature, length(), true));
  }

  // --- Backward ---------------------------------------------------------------------------------
  NodeId backward(NodeId gradient, const Layer& layer) {
    NodeId g = combined(backward(gradient, layer.down), layer.down.x);
    g = backward(chain(g), layer.up);
    gradient = combined(gradient, g);
    const NodeId mixed = backward(gradient, layer.output);
    const std::int64_t feature = hidden_ / heads;
    const Attention& a = layer.attention;
    const NodeId split = by_head(mixed);
    const NodeId weights = chain(
        combined(for_each_head(split, a.value, length(), length(), feature, false), a.weights));
    const NodeId query = by_row(for_each_head(weights, a.key, length(), feature, length(), true));
    const NodeId key = by_row(for_each_head(weights, a.query, length(), feature, length(), true));
    const NodeId value = by_row(for_each_head(a.weights, split, length(), feature, length(), true));
    g = combined(backward(query, layer.query), backward(key, layer.key));
    g = combined(g, backward(value, layer.value));
    g = combined(g, layer.normed);
    update(layer.gain, summed(g, hidden_));
    return combined(gradient, chain(g));
  }
  NodeId backward(NodeId gradient, const Linear& linear) {
    const NodeId g = chain(gradient);
    update(linear.bias, summed(g, linear.to));
    const std::int8_t in = rank(), out = static_cast<std::int8_t>(in + 1);
    const NodeId dx = program_.product(
        g, linear.weight,
        {with_rows({linear.from, linear.to}), rows_and({out}), {in, out}, rows_and({in})});
    const NodeId dw = program_.product(
        linear.x, g,
        {with_rows({linear.from, linear.to}), rows_and({in}), rows_and({out}), {in, out}});
    update(linear.weight, dw);
    return dx;
  }
  NodeId summed(NodeId x, std::int64_t features) {
    return program_.reduction(program_.elementwise(x), rank(), features);
  }

  // --- Updates ----------------------------------------------------------------------------------
  void update(NodeId weight, NodeId gradient) {
    NodeId step = gradient;
    if (program_.character().has_moments) {
      const NodeId first = combined(program_.state_of(weight), gradient);
      const NodeId second = combined(program_.state_of(weight), gradient);
      step = chain(combined(first, second));
      leaves(first);
      leaves(second);
    }
    const NodeId result = combined(weight, chain(step));
    program_.takes_scalar(a_scalar(), result);
    leaves(result);
  }
  void leaves(NodeId id) {
    program_.lives_to_the_end(id);
    for (std::size_t i = 0; i < program_.character().aliases; ++i) program_.alias(id);
  }

  Program& program_;
  RandomSource random_;
  std::size_t stretch_ = 0, chains_ = 0, chain_ = 0;
  std::int64_t hidden_ = 0, tokens_ = 0;
  Dims rows_;
  std::vector<NodeId> scalars_;
  std::map<Dims, std::deque<NodeId>> recent_;  // elementwise ops of each shape
  std::vector<Layer> tape_;
};

}  // namespace tessera::benchmarks
