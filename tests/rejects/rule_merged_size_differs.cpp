// SPDX-License-Identifier: Apache-2.0
// expect: a merged dim is not as large as the product of its factors' sizes
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule_of<"(hd),h,d->hd", tessera::Shape<12>, tessera::Shape<3>,
                                     tessera::Shape<4>>;
#else
auto& rule = tessera::graph::rule_of<"(hd),h,d->hd", tessera::Shape<13>, tessera::Shape<3>,
                                     tessera::Shape<4>>;
#endif
