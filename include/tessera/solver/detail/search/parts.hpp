// SPDX-License-Identifier: Apache-2.0
//
// The parts phase of a proof: where presolve leaves several components of one, each is proven by
// itself, the smallest first, as a certificate has it, and their costs are added up.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "tessera/solver/detail/search/proof_state.hpp"

namespace tessera::solver::detail {

class Prover;

class PartsPhase {
 public:
  // `divided` is none of the state's rounds: the parts come after it.  `lambda` has multipliers to
  // begin with for each part.  @pre the state outlives it
  PartsPhase(ProofState& state, std::unique_ptr<Remainder> divided, std::vector<Component> parts,
             std::vector<std::vector<double>> lambda);
  ~PartsPhase();
  PartsPhase(const PartsPhase&) = delete;
  PartsPhase& operator=(const PartsPhase&) = delete;

  // A little more of the part at hand.  False where nothing cheaper than the incumbent is left.
  bool advance();
  // Whether the part at hand has no tree yet.
  bool is_at_root() const;

 private:
  struct Part {
    Component component;
    std::vector<double> lambda;
    std::unique_ptr<Incumbent> incumbent;
    std::unique_ptr<Prover> prover;  // of the one at hand
  };

  void begin_part(Part& part);
  std::optional<Wide> limit_of_part() const;
  void offer_parts();

  ProofState& state_;
  std::unique_ptr<Remainder> divided_;
  std::vector<Part> parts_;
  std::size_t at_hand_ = 0;
  Wide settled_ = 0;  // the cost of the parts before
};

}  // namespace tessera::solver::detail
