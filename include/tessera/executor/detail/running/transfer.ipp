// SPDX-License-Identifier: Apache-2.0
//
// Sends and receives in the order of the transfer's lists.
#pragma once
#include "tessera/executor/detail/running/transfer.hpp"

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "tessera/executor/detail/kernels/movement.hpp"

namespace tessera::executor::detail {

// Blocks that come in pieces, by where they begin.
using IncomingBlocks = std::map<std::vector<Extent>, TensorPart>;

// Whether this device sends it from what it holds.
inline bool is_sent_from(const TransferRun& run, const pipeline::Send& send,
                         const TensorView& source) {
  if (send.from != run.comm.device()) return false;
  for (std::size_t d = 0; d < send.block.size(); ++d)
    if (send.block[d].begin < source.slice[d].begin || send.block[d].end > source.slice[d].end)
      return false;
  return true;
}

// The bytes of a send's elements of a block.
inline Bytes piece_of(const pipeline::Send& send, Tensor& block) {
  const auto width = graph::bytes_of(block.element());
  return Bytes(block.bytes(), block.byte_size())
      .subspan(static_cast<std::size_t>(send.elements.begin * width),
               static_cast<std::size_t>(send.elements.size() * width));
}

inline void send_piece(const TransferRun& run, const pipeline::Send& send, Tensor block) {
  run.comm.send(send.to, run.tag, block.element(), ConstBytes(piece_of(send, block)), run.label);
}

inline TensorPart& block_at(const pipeline::Send& send, const TensorPart& target,
                            IncomingBlocks& blocks) {
  std::vector<Extent> begin;
  for (const Range& range : send.block) begin.push_back(range.begin);
  const auto [at, is_new] = blocks.try_emplace(std::move(begin));
  if (is_new) at->second = TensorPart({target.tensor.element(), target.whole}, send.block);
  return at->second;
}

inline void receive_piece(const TransferRun& run, const pipeline::Send& send,
                          const TensorPart& target, IncomingBlocks& blocks) {
  if (send.to != run.comm.device()) return;
  Tensor& block = block_at(send, target, blocks).tensor;
  run.comm.receive(send.from, run.tag, block.element(), piece_of(send, block), run.label);
}

inline void send_across(const TransferRun& run, const TensorView& source) {
  for (const pipeline::Send& send : run.transfer.across)
    if (is_sent_from(run, send, source)) send_piece(run, send, cut(source, send.block).tensor);
}

// In the order of the lists, which is the order in which others expect what comes from here.
inline void receive_beside(const TransferRun& run, const TensorView* source, TensorPart& target) {
  IncomingBlocks blocks;
  for (const pipeline::Send& send : run.transfer.across) receive_piece(run, send, target, blocks);
  for (const pipeline::Send& send : run.transfer.within) {
    if (source != nullptr && is_sent_from(run, send, *source))
      send_piece(run, send, cut(*source, send.block).tensor);
    else if (send.from == run.comm.device())
      send_piece(run, send, block_at(send, target, blocks).tensor);
    receive_piece(run, send, target, blocks);
  }
  for (const auto& [begin, block] : blocks) copy_common(block.view(), target);
}

TESSERA_INLINE void send_part(const TransferRun& run, const TensorView& source) {
  send_across(run, source);
  for (const pipeline::Send& send : run.transfer.within)
    if (is_sent_from(run, send, source)) send_piece(run, send, cut(source, send.block).tensor);
}

TESSERA_INLINE void receive_part(const TransferRun& run, TensorPart& target) {
  receive_beside(run, nullptr, target);
}

TESSERA_INLINE void exchange_parts(const TransferRun& run, const TensorView& source,
                                   TensorPart& target) {
  copy_common(source, target);
  send_across(run, source);
  receive_beside(run, &source, target);
}

}  // namespace tessera::executor::detail
