// SPDX-License-Identifier: Apache-2.0
//
// A plan as HLO: the sharding of every instruction, and the module written back with them.
//
// All other text stays as it was, byte for byte.
#pragma once
#include <cstddef>
#include <functional>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/io/hlo/program.hpp"

namespace tessera::plan {
struct Plan;
}

namespace tessera::io::hlo {

/// The sharding of a value as HLO writes it.
using ValueText = std::function<std::string(const Value&)>;

/// The sharding of one instruction in HLO's words, made of those of its arrays.  An instruction of
/// a computation that is called from several places may have a sharding in each: where they differ
/// it is "{unknown}".  Instructions that are not planned at all (reducers: scalars) are replicated.
std::string sharding_text(const Module& module, const Program& program, std::size_t computation,
                          std::size_t instruction, const ValueText& text_of);

/// The sharding of each value under a plan, which must outlive the function.
/// @pre plan.has_ops()
ValueText texts_of(const plan::Plan& plan);

/// The sharding of an instruction under a plan.
/// @pre plan.has_ops()
std::string instruction_sharding(const Module& module, const Program& program,
                                 const plan::Plan& plan, std::size_t computation,
                                 std::size_t instruction);

/// The module's text with `sharding=` on every instruction, in place of any that was there.
/// O(text + instructions * devices)
std::string with_shardings(const Module& module, const Program& program, const ValueText& text_of);

/// The same under a plan.
/// @pre plan.has_ops()
std::string emit(const Module& module, const Program& program, const plan::Plan& plan);

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/emit.ipp"
#endif
