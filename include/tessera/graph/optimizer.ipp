// SPDX-License-Identifier: Apache-2.0
//
// The updates of weights.
#pragma once
#include "tessera/graph/optimizer.hpp"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "tessera/graph/autodiff.hpp"
#include "tessera/graph/ops/elementwise.hpp"
#include "tessera/graph/ops/source.hpp"

namespace tessera::graph {

namespace detail {

class Updater {
 public:
  Updater(Builder& builder, const Optimizer& optimizer) : b_(builder), optimizer_(optimizer) {
    if (optimizer.kind == Optimizer::Kind::adam) step_size_ = corrected_step_size();
  }

  void update(const Tensor& weight, const Tensor& gradient) {
    const bool is_wide = weight.type().element == f32;
    const bool has_master = !is_wide && optimizer_.has_master_weights;
    const Tensor exact = has_master ? state(weight, "master") : convert(weight, f32);
    const Tensor next = exact - step(weight, convert(gradient, f32));
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

  Tensor step(const Tensor& weight, const Tensor& gradient) const {
    switch (optimizer_.kind) {
      case Optimizer::Kind::sgd: return gradient * optimizer_.learning_rate;
      case Optimizer::Kind::momentum:
        return moved(state(weight, "momentum"), gradient, optimizer_.momentum, 1) *
               optimizer_.learning_rate;
      case Optimizer::Kind::adam: break;
    }
    const double beta1 = optimizer_.beta1, beta2 = optimizer_.beta2;
    const Tensor first = moved(state(weight, "mean"), gradient, beta1, 1 - beta1);
    const Tensor square = gradient * gradient;
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

TESSERA_INLINE void train(const Tensor& loss, std::span<const Tensor> weights,
                          const Optimizer& optimizer) {
  const std::vector<Tensor> gradients_of_weights = gradients(loss, weights);
  detail::Updater updater(loss.builder(), optimizer);
  for (std::size_t i = 0; i < weights.size(); ++i)
    updater.update(weights[i], gradients_of_weights[i]);
}

TESSERA_INLINE void accumulate(const Tensor& loss, std::span<const Tensor> weights) {
  Builder& b = loss.builder();
  const std::vector<Tensor> gradients_of_weights = gradients(loss, weights);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::string& name = b.graph().op(weights[i].value().op).name;
    const Tensor sum = b.parameter(name + ".gradient", f32, weights[i].dims());
    b.update(sum, sum + convert(gradients_of_weights[i], f32));
  }
}

TESSERA_INLINE void apply_accumulated(std::span<const Tensor> weights, const Optimizer& optimizer,
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
