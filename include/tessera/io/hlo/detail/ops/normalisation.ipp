// SPDX-License-Identifier: Apache-2.0
//
// The bodies of normalisation.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/normalisation.hpp"

#include <cstddef>
#include <string>
#include <string_view>

#include "tessera/core/number.hpp"
#include "tessera/graph/ops.hpp"

namespace tessera::io::hlo::detail {

// Throws InputError where operand i has other dims than wanted.
TESSERA_INLINE void require_dims(const ShapeSite& site, std::size_t i, const Dims& wanted) {
  if (dims(site, i) != wanted)
    fail_with(site, {"operand ", std::to_string(i), " ", to_string(shape(site, i)),
                     " does not fit ", to_string(shape(site, 0))});
}

// The shape of a mean or variance, which operands 1 to `last` have too.
TESSERA_INLINE Shape statistic_shape(const ShapeSite& site, std::size_t last) {
  const std::size_t feature = dim_in_range(site, "feature_index", rank(site, 0));
  const Shape statistic = array_of(element_type(site, 0), Dims{dims(site, 0)[feature]});
  for (std::size_t i = 1; i <= last; ++i) require_dims(site, i, statistic.array.dims);
  return statistic;
}

TESSERA_INLINE std::optional<Shape> batch_norm_training_shape(const ShapeSite& site) {
  const Shape statistic = statistic_shape(site, 2);
  return tuple_of({array(site, 0), statistic, statistic});
}

TESSERA_INLINE std::optional<Shape> batch_norm_inference_shape(const ShapeSite& site) {
  statistic_shape(site, 4);
  return array(site, 0);
}

TESSERA_INLINE std::optional<Shape> batch_norm_grad_shape(const ShapeSite& site) {
  const Shape statistic = statistic_shape(site, 3);
  require_dims(site, 4, dims(site, 0));
  return tuple_of({array(site, 0), statistic, statistic});
}

TESSERA_INLINE std::optional<graph::Rule> batch_norm_inference_rule(const RuleSite& site) {
  return graph::per_feature_rule(site.tensors.operand_dims, site.tensors.out(),
                                 index(site.attributes.integer("feature_index", 0)));
}

TESSERA_INLINE graph::Attributes batch_norm_attributes(const AttributesSite& site) {
  const std::string_view epsilon = site.attributes.word("epsilon");
  graph::Normalisation result{0, site.attributes.integer("feature_index", 0)};
  read_double(epsilon.data(), epsilon.data() + epsilon.size(), result.epsilon);
  return result;
}

}  // namespace tessera::io::hlo::detail
