// SPDX-License-Identifier: Apache-2.0
//
// A tensor on its way from one submesh to another, as one device takes part in it: who sends which
// piece to whom is what pipeline/transfer.hpp lists.
//
// A holder sends its pieces and does not wait: what crosses between hosts, and what stays in its
// host.  A device that needs the tensor receives what crosses first, hands pieces on to those of
// its own host, and receives what they have for it.  A device that is both, where a tensor changes
// its sharding on one submesh, keeps what it has.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/executor/communicator.hpp"
#include "tessera/executor/movement.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/pipeline/transfer.hpp"

namespace tessera::executor {

template<Communicator C>
class TransferRun {
 public:
  // Keeps references to the communicator, in whose numbers the sends are, and to the transfer.  The
  // label names it to the communicator; the tag is used for nothing else.
  TransferRun(const pipeline::Transfer& transfer, C& comm, Tag tag, std::string_view label)
      : transfer_(transfer), comm_(comm), tag_(tag), label_(label) {}

  // What a holder does, with its part.
  void give(const Part& source) {
    give_across(source);
    for (const pipeline::Send& send : transfer_.within)
      if (is_given(send, source)) post(send, cut(source, send.block).tensor);
  }

  // What a device does that is to have `target.slice`: fills it.
  void take(OwnedPart& target) { take_beside(nullptr, target); }

  // Both, on a device that has one part and is to have another.
  void exchange(const Part& source, OwnedPart& target) {
    copy_common(source, target);
    give_across(source);
    take_beside(&source, target);
  }

 private:
  bool is_given(const pipeline::Send& send, const Part& source) const {
    if (send.from != comm_.rank()) return false;
    for (std::size_t d = 0; d < send.block.size(); ++d)
      if (send.block[d].begin < source.slice[d].begin || send.block[d].end > source.slice[d].end)
        return false;
    return true;
  }

  void give_across(const Part& source) {
    for (const pipeline::Send& send : transfer_.across)
      if (is_given(send, source)) post(send, cut(source, send.block).tensor);
  }
  // In the order of the list, which is the order in which others expect what comes from here.
  void take_beside(const Part* source, OwnedPart& target) {
    for (const pipeline::Send& send : transfer_.across) collect(send, target);
    for (const pipeline::Send& send : transfer_.within) {
      if (source != nullptr && is_given(send, *source))
        post(send, cut(*source, send.block).tensor);
      else if (send.from == comm_.rank())
        post(send, block_at(send, target).tensor);
      collect(send, target);
    }
    for (const auto& [begin, block] : blocks_) copy_common(block.view(), target);
  }

  // Its elements of a block, which lie side by side.
  void post(const pipeline::Send& send, Tensor block) {
    with_storage(block.element(), [&]<class T>(std::type_identity<T>) {
      comm_.send(send.to, tag_, elements<T>(send, block), label_);
    });
  }
  void collect(const pipeline::Send& send, const OwnedPart& target) {
    if (send.to != comm_.rank()) return;
    Tensor& block = block_at(send, target).tensor;
    with_storage(block.element(), [&]<class T>(std::type_identity<T>) {
      comm_.receive(send.from, tag_, elements<T>(send, block), label_);
    });
  }
  template<class T>
  static std::span<T> elements(const pipeline::Send& send, Tensor& block) {
    return std::span(block.data<T>(), block.size())
        .subspan(static_cast<std::size_t>(send.elements.begin),
                 static_cast<std::size_t>(send.elements.size()));
  }

  // A block that comes in pieces.
  OwnedPart& block_at(const pipeline::Send& send, const OwnedPart& target) {
    std::vector<Extent> begin;
    for (const Range& range : send.block) begin.push_back(range.begin);
    const auto [at, is_new] = blocks_.try_emplace(std::move(begin));
    if (is_new) at->second = OwnedPart({target.tensor.element(), target.whole}, send.block);
    return at->second;
  }

  const pipeline::Transfer& transfer_;
  C& comm_;
  Tag tag_;
  std::string_view label_;
  std::map<std::vector<Extent>, OwnedPart> blocks_;  // by where they begin
};

}  // namespace tessera::executor
