// SPDX-License-Identifier: Apache-2.0
//
// Functions of tensors that take several ops: what layers of a network are made of.
//
// Each is written so that a plan may split every dim that mathematics allows: the classes of a
// loss, the features of a norm and the keys of an attention are reduced by sums and maxima, which
// may be partial.  Statistics are computed in f32 whatever the tensors hold.
#pragma once
#include <vector>

#include "tessera/graph/builder.hpp"
#include "tessera/graph/ops.hpp"

namespace tessera::graph {

/// 0, 1, ... as many as x has dims.
std::vector<Extent> all_dims(const Tensor& x);

/// e^x over its sum, along the last dim; the result is of x's type.
Tensor softmax(const Tensor& x);

/// The mean over the last dim, in f32.
Tensor mean_of_last(const Tensor& x);

/// x over the root of its mean square along the last dim, times `scale` of that dim.
Tensor rms_norm(const Tensor& x, const Tensor& scale, double epsilon = 1e-5);

/// x with mean 0 and variance 1 along the last dim, times `scale`, plus `shift`, both of that dim.
Tensor layer_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon = 1e-5);

/// Adds a tensor of the last dim to every row.
Tensor add_bias(const Tensor& x, const Tensor& bias);

Tensor relu(const Tensor& x);

Tensor silu(const Tensor& x);

/// The approximation by tanh, as in GPT.
Tensor gelu(const Tensor& x);

/// Of scores [..., queries, keys], those of keys after their query become -10000, and so vanish in
/// a softmax.
Tensor causal_mask(const Tensor& scores);

/// The cosines and sines of rotary embeddings, [positions, features / 2]; angle i is the position
/// times base^(-2 i / features).
struct Rotation {
  Tensor cosine, sine;
};

Rotation rotation(Builder& b, Extent positions, Extent features, double base);

/// Rotates the pairs (i, i + features / 2) of x's last dim by the angles; dim `position` of x
/// counts positions.
Tensor rotate(const Tensor& x, const Rotation& by, Extent position);

/// Of all elements: a scalar.
Tensor mean(const Tensor& x);

/// 1 where the last dim's place is the index, else 0; as truth values.
Tensor one_hot(const Tensor& indices, Extent classes);

/// The mean of -log softmax(logits) at the labels' places; logits [..., classes], labels [...].
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

/// Those of b01f_01io->b01f: images [batch, height, width, features], kernels [height, width, in,
/// out].
ConvolutionDims image_dims();

/// With a kernel [size, size, features in, features out], padded so that only the stride shrinks.
Tensor convolve(const Tensor& x, const Tensor& kernel, Extent stride = 1);

/// Each pixel becomes a square of as many pixels as the kernel [size, size, in, out] has.
Tensor convolve_up(const Tensor& x, const Tensor& kernel);

Tensor max_pool(const Tensor& x, Extent size, Extent stride, bool is_padded = false);

/// Padding counts as zeros.
Tensor average_pool(const Tensor& x, Extent size, Extent stride, bool is_padded = false);

/// Every pixel `factor` times in both directions.
Tensor upsample(const Tensor& x, Extent factor);

/// Each feature with mean 0 and variance 1 over batch and space, times `scale`, plus `shift`.
Tensor batch_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, double epsilon = 1e-5);

/// The sum of all elements up to and including each one, along a dim.
Tensor cumulative_sum(const Tensor& x, Extent dim);

/// The assignment of tokens to experts, as in GShard.  Tokens come in groups; in each, an expert
/// has `capacity` places, which tokens fill in order, all first choices before all second ones.
/// A token without a place is dropped.
struct Routing {
  Tensor combine;   ///< [groups, tokens, experts, places]: the weight of a token's choice
  Tensor dispatch;  ///< the same, 1 where there is a weight
  Tensor balance;   ///< a scalar, minimal where experts get equal shares
};

/// `gates`: [groups, tokens, experts], the softmax of each token's preferences.
Routing route(const Tensor& gates, Extent choices, Extent capacity);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/functions.ipp"
#endif
