// SPDX-License-Identifier: Apache-2.0
//
// How sharding rules are put together tensor by tensor, and the rule that every op may have.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/attributes.hpp"  // contains
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// Puts a rule together.  Adds tensors whose dims are single factors, as most rules have.
class RuleWriter {
 public:
  FactorId parallel(Extent size) { return add({size, FactorKind::parallel}); }
  FactorId whole(Extent size) { return add({size, FactorKind::whole}); }
  FactorId reduction(Extent size, Reduction reduction, std::int16_t accumulator = -1) {
    if (reduction == Reduction::none) return whole(size);  // nothing known could finish it
    return add({size, FactorKind::reduction, reduction, accumulator});
  }
  // A dim of `size` that a window slides along.
  FactorId window(Extent size, const Window& window) {
    return add({size, FactorKind::window, Reduction::none, -1, window});
  }
  std::vector<FactorId> parallel(const Dims& dims) {
    std::vector<FactorId> factors;
    for (const Extent size : dims) factors.push_back(parallel(size));
    return factors;
  }
  std::vector<FactorId> whole(const Dims& dims) {
    std::vector<FactorId> factors;
    for (const Extent size : dims) factors.push_back(whole(size));
    return factors;
  }

  void operand(std::span<const FactorId> dims) {
    rule_.begin_operand();
    for (const FactorId factor : dims) rule_.add_dim(factor);
  }
  void result(std::span<const FactorId> dims) {
    rule_.begin_result();
    for (const FactorId factor : dims) rule_.add_dim(factor);
  }
  void scalar_operands(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) rule_.begin_operand();
  }
  void pass(std::initializer_list<std::size_t> operands, ReductionSet reductions) {
    PartialPass pass{reductions};
    for (const std::size_t operand : operands) {
      if (operand >= 64) return;
      pass.operands |= std::uint64_t{1} << operand;
    }
    rule_.add_pass(pass);
  }
  void pass_all(std::size_t operands, ReductionSet reductions) {
    if (operands <= 64)
      rule_.add_pass(
          {reductions, operands == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << operands) - 1});
  }

  Rule& rule() noexcept { return rule_; }

 private:
  FactorId add(Factor factor) { return rule_.add_factor(factor); }

  Rule rule_;
};

/// Parameters, constants, iota: any shard can be had without communication.
Rule source_rule(const Dims& result);

/// Nothing may be split: what every op can do, and all that an unknown one can.
Rule whole_rule(std::span<const Dims> operands, std::span<const Dims> results);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/rule_writer.ipp"
#endif
