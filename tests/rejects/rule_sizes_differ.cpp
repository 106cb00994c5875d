// SPDX-License-Identifier: Apache-2.0
// expect: one factor of the rule has different sizes in two operands
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule_of<"mk,kn->mn", tessera::Shape<4, 8>, tessera::Shape<8, 2>>;
#else
auto& rule = tessera::graph::rule_of<"mk,kn->mn", tessera::Shape<4, 8>, tessera::Shape<9, 2>>;
#endif
