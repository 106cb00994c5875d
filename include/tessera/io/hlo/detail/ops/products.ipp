// SPDX-License-Identifier: Apache-2.0
//
// The bodies of products.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/products.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/detail/ops/windows.hpp"

namespace tessera::io::hlo::detail {

// --- Products
// -------------------------------------------------------------------------------------

TESSERA_INLINE graph::DotDims dot_dims(const AttributeAccess& attributes) {
  return {attributes.ints("lhs_contracting_dims"), attributes.ints("rhs_contracting_dims"),
          attributes.ints("lhs_batch_dims"), attributes.ints("rhs_batch_dims")};
}

// Throws InputError where the named dims of the two operands differ in number or size.
TESSERA_INLINE void require_pairs(const ShapeSite& site, const std::vector<std::int64_t>& lhs,
                                  const std::vector<std::int64_t>& rhs, const char* what) {
  if (lhs.size() != rhs.size())
    fail_with(site, {std::to_string(lhs.size()), " ", what, " dims on the left, ",
                     std::to_string(rhs.size()), " on the right"});
  for (std::size_t i = 0; i < lhs.size(); ++i)
    if (dims(site, 0)[index(lhs[i])] != dims(site, 1)[index(rhs[i])])
      fail_with(site,
                {what, " dim ", std::to_string(lhs[i]), " of ", to_string(shape(site, 0)), " and ",
                 std::to_string(rhs[i]), " of ", to_string(shape(site, 1)), " differ in size"});
}

TESSERA_INLINE void require_disjoint(const ShapeSite& site, const std::vector<std::int64_t>& batch,
                                     const std::vector<std::int64_t>& contracting) {
  for (const std::int64_t dim : batch)
    if (contains(contracting, index(dim))) fail(site, "a dim is both batch and contracting");
}

TESSERA_INLINE std::optional<Shape> dot_shape(const ShapeSite& site) {
  const auto lhs_contracting = dims_in_range(site, "lhs_contracting_dims", rank(site, 0));
  const auto rhs_contracting = dims_in_range(site, "rhs_contracting_dims", rank(site, 1));
  const auto lhs_batch = dims_in_range(site, "lhs_batch_dims", rank(site, 0));
  const auto rhs_batch = dims_in_range(site, "rhs_batch_dims", rank(site, 1));
  require_pairs(site, lhs_contracting, rhs_contracting, "contracting");
  require_pairs(site, lhs_batch, rhs_batch, "batch");
  require_disjoint(site, lhs_batch, lhs_contracting);
  require_disjoint(site, rhs_batch, rhs_contracting);
  Dims result;
  for (const std::int64_t dim : lhs_batch) result.push_back(dims(site, 0)[index(dim)]);
  for (std::size_t d = 0; d < rank(site, 0); ++d)
    if (!contains(lhs_batch, d) && !contains(lhs_contracting, d))
      result.push_back(dims(site, 0)[d]);
  for (std::size_t d = 0; d < rank(site, 1); ++d)
    if (!contains(rhs_batch, d) && !contains(rhs_contracting, d))
      result.push_back(dims(site, 1)[d]);
  // The result may be of a wider type than the operands.
  return array_of(site.declared != nullptr ? declared_type(site) : element_type(site, 0), result);
}

TESSERA_INLINE std::optional<graph::Rule> dot_rule(const RuleSite& site) {
  return graph::dot_rule(site.tensors.operand_dims[0], site.tensors.operand_dims[1],
                         dot_dims(site.attributes));
}

TESSERA_INLINE graph::Attributes dot_attributes(const AttributesSite& site) {
  return dot_dims(site.attributes);
}

// --- Convolutions
// ---------------------------------------------------------------------------------

TESSERA_INLINE graph::ConvolutionDims convolution_dims(const AttributeAccess& attributes) {
  const DimLabels labels = attributes.dim_labels();
  graph::ConvolutionDims dims;
  dims.input_batch = labels.lhs.find('b');
  dims.input_feature = labels.lhs.find('f');
  dims.kernel_input = labels.kernel.find('i');
  dims.kernel_output = labels.kernel.find('o');
  dims.output_batch = labels.output.find('b');
  dims.output_feature = labels.output.find('f');
  dims.feature_groups = attributes.integer("feature_group_count", 1);
  dims.batch_groups = attributes.integer("batch_group_count", 1);
  for (std::size_t s = 0; s + 2 < labels.lhs.size(); ++s) {
    const char label = static_cast<char>('0' + s);
    dims.input_space.push_back(labels.lhs.find(label));
    dims.kernel_space.push_back(labels.kernel.find(label));
    dims.output_space.push_back(labels.output.find(label));
  }
  return dims;
}

TESSERA_INLINE void require_divides(const ShapeSite& site, Extent groups, Extent whole,
                                    const char* what) {
  if (whole % groups != 0)
    fail_with(site,
              {std::to_string(groups), " groups do not divide the ", std::to_string(whole), what});
}

// Throws InputError where the features and batches do not fit the groups.
TESSERA_INLINE void check_groups(const ShapeSite& site, const graph::ConvolutionDims& labels) {
  if (labels.feature_groups <= 0 || labels.batch_groups <= 0)
    fail(site, "group counts must be positive");
  const Extent in_feature = dims(site, 0)[labels.input_feature];
  const Extent kernel_in = dims(site, 1)[labels.kernel_input];
  if (in_feature % labels.feature_groups != 0 || in_feature / labels.feature_groups != kernel_in)
    fail_with(site, {"the input has ", std::to_string(in_feature), " features, the kernel takes ",
                     std::to_string(kernel_in), " in ", std::to_string(labels.feature_groups),
                     " groups"});
  const Extent kernel_out = dims(site, 1)[labels.kernel_output];
  require_divides(site, labels.feature_groups, kernel_out, " features that the kernel gives");
  require_divides(site, labels.batch_groups, kernel_out, " features that the kernel gives");
  require_divides(site, labels.batch_groups, dims(site, 0)[labels.input_batch],
                  " batches of the input");
}

// One entry per spatial dim, each of the kernel's size.
TESSERA_INLINE std::vector<WindowDim> convolution_window(const ShapeSite& site,
                                                         const graph::ConvolutionDims& labels) {
  const std::size_t space = labels.input_space.size();
  std::vector<WindowDim> window = site.attributes.window(space);
  if (window.size() != space)
    fail_with(site, {"the window has ", std::to_string(window.size()), " dims for ",
                     std::to_string(space), " spatial ones"});
  for (std::size_t s = 0; s < space; ++s) {
    const Extent kernel_size = dims(site, 1)[labels.kernel_space[s]];
    if (site.attributes.has("window") && window[s].size != kernel_size)
      fail_with(site, {"the window's size in dim ", std::to_string(s), " is not the kernel's"});
    window[s].size = kernel_size;
  }
  return window;
}

TESSERA_INLINE std::optional<Shape> convolution_shape(const ShapeSite& site) {
  const graph::ConvolutionDims labels = convolution_dims(site.attributes);
  const std::size_t labelled = labels.input_space.size() + 2;
  if (labelled != rank(site, 0) || labelled != rank(site, 1))
    fail_with(site, {"dim_labels are for tensors of ", std::to_string(labelled),
                     " dims, the operands have ", std::to_string(rank(site, 0)), " and ",
                     std::to_string(rank(site, 1))});
  const std::vector<WindowDim> window = convolution_window(site, labels);
  check_groups(site, labels);
  Dims result(rank(site, 0), 0);
  result[labels.output_batch] = dims(site, 0)[labels.input_batch] / labels.batch_groups;
  result[labels.output_feature] = dims(site, 1)[labels.kernel_output];
  for (std::size_t s = 0; s < window.size(); ++s)
    result[labels.output_space[s]] =
        windowed(site, dims(site, 0)[labels.input_space[s]], window[s]);
  return array_of(site.declared != nullptr ? declared_type(site) : element_type(site, 0), result);
}

TESSERA_INLINE std::optional<graph::Rule> convolution_rule(const RuleSite& site) {
  const graph::ConvolutionDims dims = convolution_dims(site.attributes);
  std::vector<WindowDim> window = site.attributes.window(dims.input_space.size());
  for (std::size_t s = 0; s < window.size(); ++s)
    window[s].size = site.tensors.operand_dims[1][dims.kernel_space[s]];
  return graph::convolution_rule(site.tensors.operand_dims[0], site.tensors.operand_dims[1],
                                 site.tensors.result_dims[0], dims, window);
}

TESSERA_INLINE graph::Attributes convolution_attributes(const AttributesSite& site) {
  graph::ConvolutionDims dims = convolution_dims(site.attributes);
  std::vector<WindowDim> window = site.attributes.window(dims.input_space.size());
  return graph::Convolution{std::move(dims), std::move(window)};
}

}  // namespace tessera::io::hlo::detail
