// SPDX-License-Identifier: Apache-2.0
//
// Tensors as NumPy's files hold them (.npy), to give a run the inputs that one has.
//
// A file says its element type and shape, and both must be the parameter's: nothing is converted.
// bf16, which NumPy does not know, is what ml_dtypes writes: two bytes of no type.
#pragma once
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/executor/tensor.hpp"

namespace tessera::executor {

namespace detail {

// "<f4": how NumPy calls an element type.
inline std::string numpy_type(ElementType element) {
  if (element == ElementType::pred) return "|b1";
  if (element == ElementType::bf16) return "<V2";
  const std::string_view name = graph::to_string(element);
  const char kind = graph::is_floating(element) ? 'f' : name[0] == 'u' ? 'u' : 'i';
  const auto bytes = graph::bytes_of(element);
  return std::string(bytes == 1 ? "|" : "<") + kind + std::to_string(bytes);
}

// What stands behind 'key': in the header, up to a comma at its end or a closing parenthesis.
inline std::string_view numpy_field(std::string_view header, std::string_view key) {
  const std::size_t at = header.find("'" + std::string(key) + "':");
  if (at == std::string_view::npos)
    throw InvalidArgument("the header does not say its " + std::string(key));
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
      throw InvalidArgument("its shape is none that a tensor can have");
    dims.push_back(size);
    at = static_cast<std::size_t>(end - text.data());
  }
  return dims;
}

}  // namespace detail

// Throws InvalidArgument, saying why, where the text is not a NumPy file of this type.
inline Tensor parse_numpy(std::string_view file, const TensorType& type) {
  constexpr std::string_view magic = "\x93NUMPY";
  if (!file.starts_with(magic) || file.size() < 12)
    throw InvalidArgument("it is no NumPy file");
  const auto byte = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(file[i]));
  };
  const bool is_old = byte(6) == 1;  // whose header has at most 64 KiB
  const std::size_t begin = is_old ? 10 : 12;
  std::size_t size = byte(8) | byte(9) << 8U;
  if (!is_old) size |= byte(10) << 16U | byte(11) << 24U;
  if (file.size() < begin + size) throw InvalidArgument("its header is cut off");
  const std::string_view header = file.substr(begin, size), data = file.substr(begin + size);

  std::string_view element = detail::numpy_field(header, "descr");
  if (element.size() > 2) element = element.substr(1, element.size() - 2);  // its quotes
  std::string wanted = detail::numpy_type(type.element);
  const Dims dims = detail::numpy_shape(detail::numpy_field(header, "shape"));
  const bool has_type = element == wanted || (wanted == "<V2" && element == "|V2");
  if (!has_type || dims != type.dims)
    throw InvalidArgument("it holds " + excerpt(element) + ' ' + tessera::to_string(dims) +
                                ", and the parameter is " + to_string(type) + " ('" + wanted +
                                "')");
  if (detail::numpy_field(header, "fortran_order") != "False")
    throw InvalidArgument("its elements are in Fortran's order; save a C-ordered copy");
  Tensor tensor(type);
  if (data.size() != tensor.byte_size())
    throw InvalidArgument("it has " + std::to_string(data.size()) + " bytes of data where " +
                                std::to_string(tensor.byte_size()) + " are due");
  if (!data.empty()) std::memcpy(tensor.bytes(), data.data(), data.size());
  return tensor;
}

}  // namespace tessera::executor
