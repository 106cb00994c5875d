// SPDX-License-Identifier: Apache-2.0
//
// The bodies of import_normalisation.hpp.
#pragma once
#include "tessera/io/hlo/detail/import_normalisation.hpp"

#include <cstddef>
#include <initializer_list>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/detail/opcode_table.hpp"

namespace tessera::io::hlo::detail {

using graph::NormalisationPart;

TESSERA_INLINE graph::Rule rule_of_part(const ImportState& state, const ImportSite& site,
                                        NormalisationPart part, const graph::TensorType& type,
                                        std::initializer_list<Value> operands) {
  const Graph& built = state.program.graph;
  const auto feature = static_cast<std::size_t>(site.attributes.integer("feature_index", 0));
  std::vector<Dims> dims;
  for (const Value operand : operands) dims.push_back(built.type_of(operand).dims);
  if (part == NormalisationPart::sum || part == NormalisationPart::squares ||
      part == NormalisationPart::products)
    return graph::feature_sum_rule(dims, feature);
  if (type.dims == built.type_of(site.operand(0)[0]).dims)
    return graph::per_feature_rule(dims, type.dims, feature);
  return graph::elementwise_rule(dims, type.dims);
}

// A part of a normalisation, named after it.
TESSERA_INLINE Value add_part(ImportState& state, const ImportSite& site, const char* name,
                              NormalisationPart part, const graph::TensorType& type,
                              std::initializer_list<Value> operands) {
  graph::Op op{site.name + '/' + name,
               site.instruction.opcode,
               {type},
               rule_of_part(state, site, part, type, operands)};
  const graph::Attributes held = attributes_of(state.module, site.instruction, 0);
  if (const auto* const whole = held.find<graph::Normalisation>()) {
    const Dims& image = state.graph().type_of(site.operand(0)[0]).dims;
    const Extent features = image[static_cast<std::size_t>(whole->feature)];
    op.attributes = graph::Normalisation{whole->epsilon, whole->feature, part,
                                         features == 0 ? 0 : element_count(image) / features};
  }
  return add_to_graph(state, std::move(op), {operands.begin(), operands.size()});
}

TESSERA_INLINE Leaves import_batch_norm_training(ImportState& state, const ImportSite& site) {
  using Part = NormalisationPart;
  const Leaves in = flattened(site);
  const Value x = in[0], scale = in[1], offset = in[2];
  const std::vector<graph::TensorType> results = tensors_of(state, site).results;
  const graph::TensorType &full = results[0], &vector = results[1];
  const Value sum = add_part(state, site, "sum", Part::sum, vector, {x});
  const Value squares = add_part(state, site, "squares", Part::squares, vector, {x});
  const Value mean = add_part(state, site, "mean", Part::mean, vector, {sum});
  const Value variance = add_part(state, site, "variance", Part::variance, vector, {squares, mean});
  const Value result =
      add_part(state, site, "result", Part::normalised, full, {x, mean, variance, scale, offset});
  return {result, mean, variance};
}

TESSERA_INLINE Leaves import_batch_norm_grad(ImportState& state, const ImportSite& site) {
  using Part = NormalisationPart;
  const Leaves in = flattened(site);
  const Value x = in[0], scale = in[1], mean = in[2], variance = in[3], gradient = in[4];
  const std::vector<graph::TensorType> results = tensors_of(state, site).results;
  const graph::TensorType &full = results[0], &vector = results[1];
  const Value sum = add_part(state, site, "sum", Part::sum, vector, {gradient});
  const Value products =
      add_part(state, site, "products", Part::products, vector, {x, mean, gradient});
  const Value of_scale =
      add_part(state, site, "scale", Part::scale_gradient, vector, {products, variance});
  const Value result = add_part(state, site, "result", Part::gradient, full,
                                {x, scale, mean, variance, gradient, sum, products});
  return {result, of_scale, sum};
}

}  // namespace tessera::io::hlo::detail
