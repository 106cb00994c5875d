// SPDX-License-Identifier: Apache-2.0
//
// The values that a program demands of its parameters, random numbers, and NumPy's headers.
#pragma once
#include "tessera/executor/inputs.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/detail/kernels/storage.hpp"
#include "tessera/executor/interpret.hpp"

namespace tessera::executor {

namespace detail {

// --- Random inputs -------------------------------------------------------------------------------

// The requirements of the program on the values of each op.
class Demands {
 public:
  explicit Demands(const graph::Graph& graph)
      : graph_(graph), below_(graph.op_count()), not_negative_(graph.op_count(), 0) {
    // Backwards: the readers of a value come after it.
    for (graph::OpId id = graph.op_count(); id-- > 0;) {
      ask_by_opcode(id);
      pass_on(id);
    }
  }

  // The integers of op `id` are below this, if anything is known.
  std::optional<Extent> below(graph::OpId id) const { return below_[id]; }
  bool not_negative(graph::OpId id) const { return not_negative_[id] != 0; }

 private:
  void limit(graph::OpId id, Extent end) {
    below_[id] = std::min(below_[id].value_or(end), std::max<Extent>(end, 1));
  }
  graph::OpId operand(graph::OpId id, std::size_t i) const { return graph_.operand(id, i).op; }
  const Dims& dims(graph::OpId id, std::size_t i) const {
    return graph_.type_of(graph_.operand(id, i)).dims;
  }

  void ask_by_opcode(graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    const Opcode opcode = op.opcode;
    if (opcode == Opcode::sqrt || opcode == Opcode::rsqrt || opcode == Opcode::log ||
        opcode == Opcode::cbrt)
      not_negative_[operand(id, 0)] = 1;
    if (opcode == Opcode::power && !is_constant(operand(id, 1)))
      not_negative_[operand(id, 0)] = not_negative_[operand(id, 1)] = 1;
    if (const auto* const how = op.attributes.find<graph::GatherDims>())
      for (const Extent d : how->start_index_map)
        limit(operand(id, 1), dims(id, 0)[static_cast<std::size_t>(d)] -
                                  how->slice_sizes[static_cast<std::size_t>(d)] + 1);
    if (const auto* const how = op.attributes.find<graph::Scattering>())
      for (const Extent d : how->dims.scatter_dims_to_operand_dims)
        limit(operand(id, graph_.operand_count(id) / 2), dims(id, 0)[static_cast<std::size_t>(d)]);
    if (opcode == Opcode::dynamic_slice || opcode == Opcode::dynamic_update_slice)
      for (std::size_t i = opcode == Opcode::dynamic_slice ? 1 : 2; i < graph_.operand_count(id);
           ++i)
        limit(operand(id, i), max_start(id, i));
    if (opcode == Opcode::compare)
      for (const std::size_t i : {std::size_t{0}, std::size_t{1}})
        if (const auto end = counted_to(operand(id, 1 - i))) limit(operand(id, i), *end);
  }
  Extent max_start(graph::OpId id, std::size_t i) const {
    const bool is_update = graph_.op(id).opcode == Opcode::dynamic_update_slice;
    const Dims& part = is_update ? dims(id, 1) : graph_.op(id).results[0].dims;
    const std::size_t d = i - (is_update ? 2 : 1);
    return d < part.size() ? dims(id, 0)[d] - part[d] + 1 : 1;
  }

  bool is_constant(graph::OpId id) const {
    const Opcode opcode = graph_.op(id).opcode;
    if (opcode == Opcode::constant) return true;
    return (opcode == Opcode::broadcast || opcode == Opcode::reshape ||
            opcode == Opcode::convert) &&
           is_constant(operand(id, 0));
  }
  // The number of places of an iota that is moved about.
  std::optional<Extent> counted_to(graph::OpId id) const {
    const graph::Op& op = graph_.op(id);
    if (op.opcode == Opcode::iota)
      return op.results[0].dims[static_cast<std::size_t>(op.attributes.get<graph::Dim>().dim)];
    if (op.opcode == Opcode::broadcast || op.opcode == Opcode::reshape ||
        op.opcode == Opcode::convert)
      return counted_to(operand(id, 0));
    return std::nullopt;
  }

  // A requirement on a result holds for the operands that it is made of.
  void pass_on(graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    constexpr Opcode always_positive[] = {Opcode::exponential, Opcode::logistic, Opcode::abs,
                                          Opcode::iota,        Opcode::constant, Opcode::compare};
    const Opcode opcode = op.opcode;
    if (std::find(std::begin(always_positive), std::end(always_positive), opcode) !=
        std::end(always_positive))
      return;
    const bool is_square = (opcode == Opcode::multiply || opcode == Opcode::power) &&
                           graph_.operand(id, 0) == graph_.operand(id, 1);
    constexpr Opcode movements[] = {Opcode::broadcast,   Opcode::reshape,      Opcode::transpose,
                                    Opcode::convert,     Opcode::slice,        Opcode::copy,
                                    Opcode::concatenate, Opcode::clamp,        Opcode::select,
                                    Opcode::reverse,     Opcode::pad,          Opcode::sharding,
                                    Opcode::custom_call, Opcode::dynamic_slice};
    const bool moves = std::find(std::begin(movements), std::end(movements), opcode) !=
                       std::end(movements);
    // A sum of indices is an index too, in programs that add to them at all.
    const bool is_index = moves || opcode == Opcode::add || opcode == Opcode::subtract ||
                          opcode == Opcode::remainder || opcode == Opcode::maximum ||
                          opcode == Opcode::minimum;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::OpId from = operand(id, i);
      if (is_index && below_[id]) limit(from, *below_[id]);
      const bool may_be_negative = is_square ||
                                   (opcode == Opcode::power && is_constant(operand(id, 1)));
      if (not_negative_[id] != 0 && !may_be_negative) not_negative_[from] = 1;
    }
  }

  const graph::Graph& graph_;
  std::vector<std::optional<Extent>> below_;  // by op
  std::vector<char> not_negative_;
};

// Numbers from `low` to 1, integers below `end`.
inline Tensor random_tensor(const TensorType& type, double low, Extent end, std::uint64_t state) {
  Tensor tensor(type);
  if (type.element == ElementType::pred) end = 2;
  with_storage(type.element, [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      const std::uint64_t drawn = mix_bits(++state);
      const double share = static_cast<double>(drawn >> 11U) * 0x1p-53;  // of 1
      if constexpr (std::is_integral_v<T>)
        tensor.data<T>()[i] = static_cast<T>(drawn % static_cast<std::uint64_t>(end));
      else
        tensor.data<T>()[i] = static_cast<T>(low + (1 - low) * share);
    }
  });
  return tensor;
}

// --- NumPy ---------------------------------------------------------------------------------------

// NumPy's name of an element type: "<f4".
inline std::string numpy_type(ElementType element) {
  if (element == ElementType::pred) return "|b1";
  if (element == ElementType::bf16) return "<V2";
  const std::string_view name = graph::to_string(element);
  const char kind = graph::is_floating(element) ? 'f' : name[0] == 'u' ? 'u' : 'i';
  const auto bytes = graph::bytes_of(element);
  return std::string(bytes == 1 ? "|" : "<") + kind + std::to_string(bytes);
}

// The header's value of 'key':, up to the comma after it or to a closing parenthesis.
inline std::string_view numpy_field(std::string_view header, std::string_view key) {
  const std::size_t at = header.find("'" + std::string(key) + "':");
  if (at == std::string_view::npos)
    throw InvalidArgument("the header of the NumPy file has no " + std::string(key));
  header.remove_prefix(at + key.size() + 3);
  while (header.starts_with(' ')) header.remove_prefix(1);
  const std::size_t end = header.starts_with('(') ? header.find(')') : header.find(',');
  return header.substr(0, end);
}

inline Dims numpy_shape(std::string_view text) {  // "(2, 3" or "(5,"
  Dims dims;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] < '0' || text[at] > '9') {
      ++at;
      continue;
    }
    Extent size = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), size);
    if (error != std::errc() || dims.size() == max_dims)
      throw InvalidArgument("the shape in the header of the NumPy file is not a list of at most " +
                            std::to_string(max_dims) + " sizes");
    dims.push_back(size);
    at = static_cast<std::size_t>(end - text.data());
  }
  return dims;
}

}  // namespace detail

TESSERA_INLINE std::vector<Tensor> random_inputs(const graph::Graph& graph, std::uint64_t seed) {
  const detail::Demands demands(graph);
  std::vector<Tensor> inputs;
  for (const graph::OpId id : parameters_of(graph)) {
    const double low = demands.not_negative(id) ? 0 : -1;
    const std::uint64_t state = mix_bits(seed ^ mix_bits(inputs.size() + 1));
    try {
      inputs.push_back(detail::random_tensor(graph.op(id).results[0], low,
                                             demands.below(id).value_or(2), state));
    } catch (const Unsupported& error) {
      throw Unsupported(detail::op_text(graph.op(id)) + ": " + error.what());
    }
  }
  return inputs;
}

TESSERA_INLINE Tensor parse_numpy(std::string_view file, const TensorType& type) {
  constexpr std::string_view magic = "\x93NUMPY";
  if (!file.starts_with(magic) || file.size() < 12)
    throw InvalidArgument("the file is not a NumPy file: it does not begin with \\x93NUMPY");
  const auto byte = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(file[i]));
  };
  const bool is_old = byte(6) == 1;  // whose header has at most 64 KiB
  const std::size_t begin = is_old ? 10 : 12;
  std::size_t size = byte(8) | byte(9) << 8U;
  if (!is_old) size |= byte(10) << 16U | byte(11) << 24U;
  if (file.size() < begin + size) throw InvalidArgument("the file ends within its header");
  const std::string_view header = file.substr(begin, size), data = file.substr(begin + size);

  std::string_view element = detail::numpy_field(header, "descr");
  if (element.size() > 2) element = element.substr(1, element.size() - 2);  // its quotes
  std::string wanted = detail::numpy_type(type.element);
  const Dims dims = detail::numpy_shape(detail::numpy_field(header, "shape"));
  const bool has_type = element == wanted || (wanted == "<V2" && element == "|V2");
  if (!has_type || dims != type.dims)
    throw InvalidArgument("the file holds " + excerpt(element) + ' ' + tessera::to_string(dims) +
                          ", and the parameter is " + to_string(type) + " ('" + wanted + "')");
  if (detail::numpy_field(header, "fortran_order") != "False")
    throw InvalidArgument(
        "the file's elements are in Fortran order; save a C-ordered copy "
        "(numpy.ascontiguousarray)");
  Tensor tensor(type);
  if (data.size() != tensor.byte_size())
    throw InvalidArgument("it has " + std::to_string(data.size()) + " bytes of data where " +
                          std::to_string(tensor.byte_size()) + " are due");
  if (!data.empty()) std::memcpy(tensor.bytes(), data.data(), data.size());
  return tensor;
}

}  // namespace tessera::executor
