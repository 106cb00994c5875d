// SPDX-License-Identifier: Apache-2.0
//
// The other half of a training step: weights, moved against their derivatives, take their own
// place.
//
// What an optimizer remembers from step to step are parameters of the program, named after their
// weight and updated in place like it.  The arithmetic is done in f32.  Weights of a narrower type
// may have a copy in f32 (mixed precision): steps are added up there, and the narrow weight is only
// ever rounded from it.
#pragma once
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "tessera/graph/autodiff.hpp"

namespace tessera::graph {

struct Optimizer {
  enum class Kind {
    sgd,       // no state
    momentum,  // one number per weight
    adam,      // two, and a count of steps
  };
  Kind kind = Kind::adam;
  double learning_rate = 1e-3;
  double momentum = 0.9;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  bool has_master_weights = true;  // for weights that are not f32
};

namespace detail {

class Updater {
 public:
  Updater(Builder& builder, const Optimizer& optimizer) : b_(builder), optimizer_(optimizer) {
    if (optimizer.kind == Optimizer::Kind::adam) step_size_ = corrected_step_size();
  }

  void update(const Tensor& weight, const Tensor& slope) {
    const bool is_wide = weight.type().element == f32;
    const bool has_master = !is_wide && optimizer_.has_master_weights;
    const Tensor exact = has_master ? state(weight, "master") : convert(weight, f32);
    const Tensor next = exact - step(weight, convert(slope, f32));
    if (has_master) b_.update(exact, next);
    b_.update(weight, convert(next, weight.type().element));
  }

 private:
  Tensor state(const Tensor& weight, const char* what) const {
    const std::string& name = b_.graph().op(weight.value().op).name;
    return b_.parameter(name + '.' + what, f32, weight.dims());
  }
  // A mean that forgets: `keep` of what it was, the rest from what is new.
  Tensor moved(const Tensor& mean, const Tensor& value, double keep, double take) const {
    const Tensor kept = mean * keep;
    const Tensor next = kept + (take == 1 ? value : value * take);
    b_.update(mean, next);
    return next;
  }

  Tensor step(const Tensor& weight, const Tensor& slope) const {
    switch (optimizer_.kind) {
      case Optimizer::Kind::sgd: return slope * optimizer_.learning_rate;
      case Optimizer::Kind::momentum:
        return moved(state(weight, "momentum"), slope, optimizer_.momentum, 1) *
               optimizer_.learning_rate;
      case Optimizer::Kind::adam: break;
    }
    const double beta1 = optimizer_.beta1, beta2 = optimizer_.beta2;
    const Tensor first = moved(state(weight, "mean"), slope, beta1, 1 - beta1);
    const Tensor square = slope * slope;
    const Tensor second = moved(state(weight, "variance"), square, beta2, 1 - beta2);
    return first / (sqrt(second) + optimizer_.epsilon) * *step_size_;
  }

  // The means begin at zero; the step makes up for what that takes away.
  Tensor corrected_step_size() const {
    const Tensor count = b_.parameter("step_count", s32, {});
    const Tensor next = count + b_.constant(s32, {}, 1);
    b_.update(count, next);
    const Tensor steps = convert(next, f32);
    const auto missing = [&](double beta) { return 1 - power(b_.constant(f32, {}, beta), steps); };
    const Tensor of_mean = missing(optimizer_.beta1), of_variance = missing(optimizer_.beta2);
    return sqrt(of_variance) * optimizer_.learning_rate / of_mean;
  }

  Builder& b_;
  const Optimizer& optimizer_;
  std::optional<Tensor> step_size_;
};

}  // namespace detail

// Updates every weight by the derivative of `loss`.  Weights are parameters.  Throws as gradients()
// and Builder::update() do.
inline void train(const Tensor& loss, std::span<const Tensor> weights, const Optimizer& optimizer) {
  const std::vector<Tensor> slopes = gradients(loss, weights);
  detail::Updater updater(loss.builder(), optimizer);
  for (std::size_t i = 0; i < weights.size(); ++i) updater.update(weights[i], slopes[i]);
}

// One of several micro-batches: adds the derivatives to sums in f32 that are kept from one to the
// next, and leaves the weights alone.
inline void accumulate(const Tensor& loss, std::span<const Tensor> weights) {
  Builder& b = loss.builder();
  const std::vector<Tensor> slopes = gradients(loss, weights);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::string& name = b.graph().op(weights[i].value().op).name;
    const Tensor sum = b.parameter(name + ".gradient", f32, weights[i].dims());
    b.update(sum, sum + convert(slopes[i], f32));
  }
}

// After the last of `count` micro-batches: updates every weight by the mean of what accumulate()
// kept of each, and begins the sums anew.  The program has parameters of the weights' names and
// types.
inline void apply_accumulated(std::span<const Tensor> weights, const Optimizer& optimizer,
                              Extent count) {
  if (weights.empty()) return;
  Builder& b = weights[0].builder();
  detail::Updater updater(b, optimizer);
  for (const Tensor& weight : weights) {
    const std::string& name = b.graph().op(weight.value().op).name;
    const Tensor sum = b.parameter(name + ".gradient", f32, weight.dims());
    updater.update(weight, count == 1 ? sum : sum * (1 / static_cast<double>(count)));
    b.update(sum, constant_like(sum, 0));
  }
}

}  // namespace tessera::graph
