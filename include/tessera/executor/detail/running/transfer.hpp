// SPDX-License-Identifier: Apache-2.0
//
// The transfer of a tensor from one submesh to another, as one device takes part in it.
// pipeline/transfer.hpp lists which device sends which piece to which other one.
//
// A device that holds pieces sends them and does not wait: those that cross between hosts, and
// those that stay in its host.  A device that needs the tensor first receives what crosses, then
// sends pieces on to the devices of its own host, and receives the pieces they have for it.  A
// device that does both, where a tensor changes its sharding on one submesh, keeps what it has.
#pragma once
#include <string_view>

#include "tessera/core/inline.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/pipeline/transfer.hpp"

namespace tessera::executor::detail {

// One run of a transfer on this device.  Devices are in the communicator's numbers; the label names
// the transfer to the communicator; the tag is used for nothing else.
struct TransferRun {
  const pipeline::Transfer& transfer;
  Communicator& comm;
  Tag tag = 0;
  std::string_view label;
};

// On a device that holds a part.
void send_part(const TransferRun& run, const TensorView& source);

// On a device that is to hold `target.slice`: fills it.
void receive_part(const TransferRun& run, TensorPart& target);

// On a device that holds one part and is to hold another.
void exchange_parts(const TransferRun& run, const TensorView& source, TensorPart& target);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/transfer.ipp"
#endif
