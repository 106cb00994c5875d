// SPDX-License-Identifier: Apache-2.0
//
// Whether one sharding of a tensor can replace another without larger resharding buffers.
//
// Under a memory budget a strategy replaces another one only if no neighbour's resharding needs a
// larger buffer for that (cost/resharding_buffers.hpp).  The shardings of the neighbours are not
// known when a column is made, so every sharding that the tensor can have is tried.  Where they are
// too many, a sharding replaces only itself, which is always safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/strategy/price_table.hpp"

namespace tessera::strategy::detail {

// Calls visit(sharding) once for every sharding that a tensor can have whose partial sums are of
// these reductions, but for those that differ from one of them only in axes of one device.
void for_each_sharding(const DynamicMesh& mesh, const Dims& dims, graph::ReductionSet reductions,
                       const std::function<void(DynamicSharding)>& visit);

// Bytes per device that a resharding takes beside the tensor: at most while it runs, where its
// operand is read from memory and where it is computed by a fused op; and from then on.
struct BufferBytes {
  Extent from_memory = 0, from_kernel = 0, after = 0;

  friend constexpr bool fits(const BufferBytes& bytes, const BufferBytes& other) noexcept {
    return bytes.from_memory <= other.from_memory && bytes.from_kernel <= other.from_kernel &&
           bytes.after <= other.after;
  }
};

// Of the tensors of one size.  Shardings have the numbers of their price table.
class BufferTable {
 public:
  using Number = PriceTable::Number;

  // `reductions`: of the partial sums that the program can have.
  BufferTable(PriceTable& prices, const DynamicMesh& mesh, const Dims& dims,
              graph::ReductionSet reductions);

  // Whether a reader that needs `y` never takes more than one that needs `x`.
  bool needs_no_more(Number y, Number x) { return all_fit(y, x, needed_); }
  // Whether readers never take more where `y` is the output sharding than where `x` is.
  bool leaves_no_more(Number y, Number x) { return all_fit(y, x, produced_); }

  // Of an op's result, computed as the one, with the other as output sharding.
  BufferBytes of_result(Number computed, Number output);

 private:
  // Bytes to or from all shardings, by the one at the other end, and the answers for pairs.
  struct Side {
    bool is_needed = false;  // the other end is what a reader needs
    std::unordered_map<Number, std::vector<BufferBytes>> bytes;
    std::unordered_map<std::uint64_t, bool> answers;
  };

  bool all_fit(Number y, Number x, Side& side);
  const std::vector<BufferBytes>& bytes_at(Number end, Side& side);
  BufferBytes of_operand(Number from, Number to);

  PriceTable& prices_;
  std::optional<std::vector<Number>> all_;  // nothing where they are too many
  Side needed_{true, {}, {}}, produced_{false, {}, {}};
  std::unordered_map<std::uint64_t, BufferBytes> results_;
};

// The tables of all tensors of a program.
class BufferTables {
 public:
  BufferTables(const DynamicMesh& mesh, graph::ReductionSet reductions)
      : mesh_(mesh), reductions_(reductions) {}

  // Valid as long as this object and the prices live.
  BufferTable& of(PriceTable& prices, const Dims& dims);

 private:
  DynamicMesh mesh_;
  graph::ReductionSet reductions_;
  std::unordered_map<const void*, BufferTable> tables_;
};

}  // namespace tessera::strategy::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/strategy/detail/buffer_table.ipp"
#endif
