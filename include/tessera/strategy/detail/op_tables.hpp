// SPDX-License-Identifier: Apache-2.0
//
// The tables by which the strategies of one op are priced and compared.
#pragma once
#include <vector>

#include "tessera/strategy/detail/buffer_table.hpp"
#include "tessera/strategy/price_table.hpp"

namespace tessera::strategy::detail {

struct OpTables {
  std::vector<PriceTable*> operands, results;
  std::vector<BufferTable*> operand_buffers, result_buffers;  // empty where buffers do not count
};

}  // namespace tessera::strategy::detail
