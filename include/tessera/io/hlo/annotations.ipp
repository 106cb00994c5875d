// SPDX-License-Identifier: Apache-2.0
//
// The bodies of annotations.hpp.
#pragma once
#include "tessera/io/hlo/annotations.hpp"

#include <optional>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/notation/hlo_sharding.hpp"

namespace tessera::io::hlo {

namespace detail {

// Why no axes of the mesh place a tensor so.
TESSERA_INLINE std::string foreign_sharding_text(const notation::HloSharding& sharding,
                                                 const DynamicMesh& mesh) {
  using Kind = notation::HloSharding::Kind;
  if (sharding.kind == Kind::maximal) return "a plan is for all devices, not for one";
  if (sharding.kind == Kind::manual) return "a tensor that is split by hand can not be planned";
  if (static_cast<Extent>(sharding.devices.size()) != mesh.device_count())
    return "it names " + std::to_string(sharding.devices.size()) + " devices, and mesh " +
           to_string(mesh) + " has " + std::to_string(mesh.device_count());
  return "no axes of mesh " + to_string(mesh) +
         " place the tensor so; an axis that is used in part can be refined";
}

// The sharding that is asked for.  The axes of an open dim are left out: the solver may choose
// others.
TESSERA_INLINE DynamicSharding without_open_dims(DynamicSharding sharding,
                                                 std::uint16_t open_dims) {
  DynamicSharding asked = DynamicSharding::replicated(sharding.rank());
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
    for (const Axis axis : sharding.axes(dim))
      if ((open_dims >> dim & 1U) == 0) asked = asked.with_split(dim, axis);
  for (const Axis axis : sharding.partial_axes().to_list())
    asked = asked.with_partial(axis, sharding.reduction());
  return asked;
}

}  // namespace detail

TESSERA_INLINE std::vector<strategy::Annotation> annotations_on(const DynamicMesh& mesh,
                                                                const Module& module,
                                                                const Program& program) {
  std::vector<strategy::Annotation> annotations;
  for (const WrittenAnnotation& written : program.annotations) {
    const Instruction& instruction =
        module.computations[written.computation].instructions[written.instruction];
    const std::string text = "sharding=" + excerpt(notation::to_string(written.sharding), 200) +
                             " of " + detail::shown_name(instruction.name);
    const std::optional<DynamicSharding> sharding = notation::from_hlo(
        written.sharding, mesh, program.graph.type_of(written.value).dims.size());
    if (!sharding)
      module.fail(instruction.at, "annotation " + text + " can not be satisfied: " +
                                      detail::foreign_sharding_text(written.sharding, mesh));
    annotations.push_back({written.value, detail::without_open_dims(*sharding, written.open_dims),
                           written.open_dims, text});
  }
  return annotations;
}

}  // namespace tessera::io::hlo
