// SPDX-License-Identifier: Apache-2.0
//
// The shardings that a module's text asks for, on a mesh.
//
// HLO lists devices; which axes of the mesh those stand for is found again here, and what stands
// for none is refused by the name of its instruction.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tessera/io/hlo/importer.hpp"
#include "tessera/notation/hlo_sharding.hpp"
#include "tessera/strategy/annotation.hpp"

namespace tessera::io::hlo {

namespace detail {

// Why no axes of the mesh place a tensor so.
template<MeshLike M>
std::string foreign_sharding_text(const notation::HloSharding& sharding, const M& mesh) {
  using Kind = notation::HloSharding::Kind;
  if (sharding.kind == Kind::maximal) return "a plan is for all devices, not for one";
  if (sharding.kind == Kind::manual) return "what is split by hand can not be planned";
  if (static_cast<Extent>(sharding.devices.size()) != mesh.device_count())
    return "it names " + std::to_string(sharding.devices.size()) + " devices, and mesh " +
           to_string(mesh) + " has " + std::to_string(mesh.device_count());
  return "no axes of mesh " + to_string(mesh) +
         " place the tensor so; an axis that is used in part can be refined";
}

}  // namespace detail

// What the import kept (ImportOptions::annotations), for plan::Options.  Throws InputError, at the
// instruction, where an annotation is not one on this mesh.
template<MeshLike M>
std::vector<strategy::Annotation> annotations_on(const M& mesh, const Module& module,
                                                 const Program& program) {
  std::vector<strategy::Annotation> annotations;
  for (const WrittenAnnotation& written : program.annotations) {
    const Instruction& instruction =
        module.computations[written.computation].instructions[written.instruction];
    const std::string text = "sharding=" + excerpt(notation::to_string(written.sharding), 200) +
                             " of " + shown_name(instruction.name);
    const std::optional<DynamicSharding> sharding = notation::from_hlo(
        written.sharding, mesh, program.graph.type_of(written.value).dims.size());
    if (!sharding)
      module.fail(instruction.at, "annotation " + text + " can not be satisfied: " +
                                      detail::foreign_sharding_text(written.sharding, mesh));
    // An open dim's own axes are a wish at most.
    DynamicSharding asked = DynamicSharding::replicated(sharding->rank());
    for (std::size_t dim = 0; dim < sharding->rank(); ++dim)
      for (const Axis axis : sharding->axes(dim))
        if ((written.open_dims >> dim & 1U) == 0) asked = asked.with_split(dim, axis);
    for (const Axis axis : sharding->partial_axes().to_list())
      asked = asked.with_partial(axis, sharding->reduction());
    annotations.push_back({written.value, asked, written.open_dims, text});
  }
  return annotations;
}

}  // namespace tessera::io::hlo
