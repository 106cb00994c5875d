// SPDX-License-Identifier: Apache-2.0
//
// The spans of a program that are priced: each layer, or each span of layers; and which of them are
// interchangeable.
//
// Interchangeable spans have the same class, and are priced once.  Where layers are priced one by
// one, the longest sequence of layers of one class sets the shardings between layers: its layer is
// planned as one that follows on itself, so that its plan can be repeated as it is.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/span_program.hpp"

namespace tessera::plan::detail {

// Pairs of a value that comes into a layer and one that goes out of it, by their numbers, that are
// the same value one layer on, or one layer back.
using Ties = std::vector<std::pair<std::size_t, std::size_t>>;

// The longest sequence of layers of one class, tied in the same way.
struct RepeatedLayers {
  std::size_t first = 0, count = 0;
  Ties ties;

  bool contains(std::size_t layer) const noexcept {
    return layer >= first && layer < first + count;
  }
};

struct SpanSet {
  bool is_layered = true;  // layers one by one; else all spans of layers
  std::vector<pipeline::SpanProgram> spans;
  std::vector<std::size_t> class_of;            // by span
  std::vector<pipeline::Signature> signatures;  // by class
  RepeatedLayers repeated;                      // where is_layered

  // @pre first == last where is_layered
  std::size_t number(std::size_t first, std::size_t last) const noexcept {
    return is_layered ? first : last * (last + 1) / 2 + first;
  }
};

// O(size of all spans)
SpanSet span_set_of(const pipeline::LayeredProgram& program, bool whole_spans);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/span_set.ipp"
#endif
