// SPDX-License-Identifier: Apache-2.0
//
// FLOPs of well-known models by the formulas of the papers that published them, for utilisation
// that can be compared with theirs.  Counts are exact integers; a multiplication and an addition
// count two, a backward pass twice its forward pass, and attention in full, not its causal half.
#pragma once
#include "tessera/core/wide.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::cost {

/// A GPT: feed-forward layers of four times the hidden width.
struct Transformer {
  Extent layers = 0, hidden = 0, sequence = 0, vocabulary = 0;
};

/// The ops that the backward pass rematerializes.
enum class Rematerialized {
  nothing,
  attention,  ///< scores and values: "selective"
  layers,     ///< all of every layer: "full"
};

/// Parameters.  P = 12 l h^2 (1 + 13/(12 h) + (V + s)/(12 l h))
/// (Narayanan et al., SC'21, equation 2; Megatron-LM.)
constexpr Wide parameter_count(const Transformer& model) noexcept {
  const Wide l = model.layers, h = model.hidden;
  return 12 * l * h * h + 13 * l * h + (Wide(model.vocabulary) + model.sequence) * h;
}

/// FLOPs of a training step over `batch` sequences that the hardware does:
///   nothing    72 B L s h^2 (1 + s/(6 h) + V/(12 h L)), which is what the model needs
///   attention  72 B L s h^2 (1 + s/(3 h) + V/(12 h L))
///   layers     96 B L s h^2 (1 + s/(6 h) + V/(16 h L))
/// (SC'21, equation 3; Korthikanti et al. 2022, equations 7 to 9.)
constexpr Wide step_flops(const Transformer& model, Extent batch,
                          Rematerialized rematerialized = Rematerialized::nothing) noexcept {
  const Wide L = model.layers, h = model.hidden, s = model.sequence;
  const Wide layers = rematerialized == Rematerialized::layers ? 96 : 72;
  const Wide attention = rematerialized == Rematerialized::nothing     ? 12
                         : rematerialized == Rematerialized::attention ? 24
                                                                       : 16;
  return batch *
         (layers * L * s * h * h + attention * L * s * s * h + 6 * s * h * model.vocabulary);
}

/// Days that training takes, every layer rematerialized: 8 T P / (n X), at X FLOP/s of each of n
/// devices (SC'21, equation 4).
constexpr double training_days(double tokens, double parameters, double devices, double rate) {
  return 8 * tokens * parameters / (devices * rate) / 86'400;
}

/// FLOPs of one token by PaLM's count, 6 N + 12 L H Q T: N parameters, L layers, H heads of
/// dimension Q, sequences of T tokens.
constexpr Wide palm_token_flops(Extent parameters, Extent layers, Extent heads,
                                Extent head_dimension, Extent sequence) noexcept {
  return 6 * Wide(parameters) + 12 * Wide(layers) * heads * head_dimension * sequence;
}

/// A step over `batch` sequences of Alpa's GShard-style model: every second layer has `experts`
/// experts of twice the width, two for each token, in groups of `group` tokens.  Gating and the
/// dense dispatch count, as they do in its benchmarks.
constexpr Wide alpa_moe_step_flops(const Transformer& model, Extent experts, Extent group,
                                   Extent batch, bool rematerializes_layers) noexcept {
  const Wide h = model.hidden, s = model.sequence, B = batch;
  const Wide passes = rematerializes_layers ? 4 : 3;
  const Wide dense = passes * (40 * B * s * h * h + 4 * B * s * s * h);
  const Wide expert = passes * (72 * B * s * h * h + 4 * B * s * s * h + 2 * B * s * h * experts +
                                4 * B * s * group + 8 * B * s * h * group);
  return (dense + expert) * model.layers / 2 + 6 * B * s * h * model.vocabulary;
}

}  // namespace tessera::cost
