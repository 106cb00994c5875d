// SPDX-License-Identifier: Apache-2.0
#include "tessera/executor/kernels.hpp"

template std::vector<tessera::executor::OwnedPart> tessera::executor::compute(
    const graph::Op&, std::span<const Part>, std::span<const Slice>);
