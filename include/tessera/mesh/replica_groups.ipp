// SPDX-License-Identifier: Apache-2.0
//
// Replica groups as text.
#pragma once
#include "tessera/mesh/replica_groups.hpp"

namespace tessera {

TESSERA_INLINE std::string to_string(const ReplicaGroups<DynamicMesh>& groups) {
  std::string text = "{";
  for (Extent group = 0; group < groups.size(); ++group) {
    text += group == 0 ? "{" : ",{";
    for (Extent member = 0; member < groups.group_size(); ++member) {
      if (member != 0) text += ',';
      text += std::to_string(groups.device(group, member));
    }
    text += '}';
  }
  text += '}';
  return text;
}

}  // namespace tessera
