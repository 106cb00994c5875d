// SPDX-License-Identifier: Apache-2.0
//
// The shardings that a module's text asks for, on a mesh.
//
// HLO lists devices; the axes of the mesh that they stand for are found again here.  A list that
// stands for none is refused by the name of its instruction.
#pragma once
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/io/hlo/program.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/strategy/annotation.hpp"

namespace tessera::io::hlo {

/// The annotations that the import kept (ImportOptions::annotations), for plan::Options.
/// @throws InputError, at the instruction, where an annotation is not one on this mesh
std::vector<strategy::Annotation> annotations_on(const DynamicMesh& mesh, const Module& module,
                                                 const Program& program);

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/annotations.ipp"
#endif
