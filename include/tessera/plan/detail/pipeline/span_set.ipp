// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of span_set.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/span_set.hpp"

#include <cstdint>
#include <unordered_map>

namespace tessera::plan::detail {

// Classes that may be equal, by the hash of their signature.
using ClassesByHash = std::unordered_map<std::uint64_t, std::vector<std::size_t>>;

// The number of a span's class, new or not.
TESSERA_INLINE std::size_t enter_class(const pipeline::SpanProgram& span, ClassesByHash& by_hash,
                                       std::vector<pipeline::Signature>& signatures) {
  pipeline::Signature signature = pipeline::signature_of(span);
  std::vector<std::size_t>& candidates = by_hash[pipeline::hash_of(signature)];
  for (const std::size_t number : candidates)
    if (signatures[number] == signature) return number;
  candidates.push_back(signatures.size());
  signatures.push_back(std::move(signature));
  return candidates.back();
}

// The values that go from one layer to the next, and back.
TESSERA_INLINE Ties ties_between(const pipeline::SpanProgram& layer,
                                 const pipeline::SpanProgram& next) {
  Ties ties;
  const auto add = [&](const pipeline::SpanProgram& sender, const pipeline::SpanProgram& receiver) {
    for (std::size_t s = 0; s < sender.sent.size(); ++s)
      for (std::size_t r = 0; r < receiver.received.size(); ++r)
        if (sender.sent[s].origin == receiver.received[r].origin &&
            sender.sent[s].phase != pipeline::Phase::update)
          ties.emplace_back(r, s);
  };
  add(layer, next);
  add(next, layer);
  return ties;
}

// The longest sequence of equal layers that begins with `first`.
TESSERA_INLINE RepeatedLayers repeated_from(const SpanSet& set, std::size_t first) {
  RepeatedLayers repeated{first, 1, {}};
  for (std::size_t next = first + 1;
       next < set.spans.size() && set.class_of[next] == set.class_of[first]; ++next) {
    Ties ties = ties_between(set.spans[next - 1], set.spans[next]);
    if (repeated.count > 1 && ties != repeated.ties) break;
    repeated.ties = std::move(ties);
    ++repeated.count;
  }
  return repeated;
}

// The longest sequence; of equally long ones the first.  Where all layers differ, the layer with
// most ops alone.
TESSERA_INLINE RepeatedLayers find_repeated(const SpanSet& set) {
  RepeatedLayers best;
  const auto op_count = [&](std::size_t layer) { return set.spans[layer].graph.op_count(); };
  for (std::size_t first = 0; first < set.spans.size();) {
    RepeatedLayers next = repeated_from(set, first);
    first += next.count;
    const bool is_larger_layer = best.count == 1 && next.count == 1 &&
                                 op_count(next.first) > op_count(best.first);
    if (next.count > best.count || is_larger_layer) best = std::move(next);
  }
  return best;
}

TESSERA_INLINE SpanSet span_set_of(const pipeline::LayeredProgram& program, bool whole_spans) {
  SpanSet set;
  set.is_layered = !whole_spans;
  ClassesByHash by_hash;
  for (std::size_t last = 0; last < program.layers(); ++last)
    for (std::size_t first = whole_spans ? 0 : last; first <= last; ++first) {
      set.spans.push_back(program.span(first, last));
      set.class_of.push_back(enter_class(set.spans.back(), by_hash, set.signatures));
    }
  if (set.is_layered) set.repeated = find_repeated(set);
  return set;
}

}  // namespace tessera::plan::detail
