// SPDX-License-Identifier: Apache-2.0
// expect: an operand does not have the number of dims that the rule gives it
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule_of<"mk,kn->mn", tessera::Shape<4, 8>, tessera::Shape<8, 2>>;
#else
auto& rule = tessera::graph::rule_of<"mk,kn->mn", tessera::Shape<4, 8>, tessera::Shape<8>>;
#endif
