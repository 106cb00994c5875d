// SPDX-License-Identifier: Apache-2.0
//
// The priced strategies of one op, and what the rest of the program asks of it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/cost/model.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/strategy/annotation.hpp"
#include "tessera/strategy/strategy.hpp"

namespace tessera::strategy {

/// A halo exchange that an op needs before it can run.
struct PricedHalo {
  std::uint32_t operand = 0;
  std::uint8_t dim = 0;
  Axis axis = 0;  ///< of those that split the dim, the one over which it takes longest
  cost::Message message;
  Cost price = 0;
};

/// A strategy with all that follows from it.
struct Choice {
  Strategy strategy;
  std::vector<DynamicSharding> operands, results;  ///< as they are needed; the output shardings
  Cost price =
      0;          ///< of the op's work, of its halos, and of the collectives that finish its result
  Cost work = 0;  ///< of the work alone
  std::vector<Extent> result_bytes;  ///< per device
  std::vector<PricedHalo> halos;
};

/// The strategies of one op: its column in the 0-1 program.
using Column = std::vector<Choice>;

/// Requirements of the rest of the program on an op's results, and its share of the work.
struct ColumnNeeds {
  std::vector<std::size_t> uses;    ///< of each result: how many operands read it
  std::vector<char> must_be_whole;  ///< of each result: no partial sums (program outputs)
  /// Some result's sharding must equal another op's: no other output sharding can replace it.
  bool is_tied = false;
  /// Of each result: its annotation, or null.  Empty: there are none.
  std::vector<const Annotation*> annotations = {};

  const Annotation* annotation(std::size_t result) const {
    return result < annotations.size() ? annotations[result] : nullptr;
  }
  cost::Workload workload = {};
};

/// Which strategies may be left out of columns.
enum class Pruning : std::uint8_t {
  none,
  within_buffers,  ///< those that cost neither money nor memory to leave out, buffers included
  within_memory,   ///< the same, but only tensors take memory
  full,            ///< those that cost no money to leave out; for problems without a memory limit
};

}  // namespace tessera::strategy
