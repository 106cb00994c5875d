// SPDX-License-Identifier: Apache-2.0
//
// Some of a communicator's devices, which follow on each other, as devices from 0 on: so a stage of
// a pipeline runs its plan as if it were alone.
//
// Calls go through to the communicator, whose numbers its errors and its traffic are told in.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/communicator.hpp"

namespace tessera::executor {

template<Communicator C>
class SubCommunicator {
 public:
  // Devices first, first + 1, ... of `whole`, of which the caller is one.  Keeps a reference.
  // Throws InvalidArgument where it is none of them.
  SubCommunicator(C& whole, Device first, Extent count)
      : whole_(whole), first_(first), count_(count) {
    if (rank() < 0 || rank() >= count)
      throw InvalidArgument("device " + std::to_string(whole.rank()) + " is none of " +
                                  std::to_string(count) + " devices from " + std::to_string(first) +
                                  " on");
  }

  Device rank() const { return whole_.rank() - first_; }
  Extent size() const { return count_; }
  const Traffic& traffic() const { return whole_.traffic(); }

  template<Element T>
  void all_reduce(Group group, Reduction op, std::span<T> inout, std::string_view label = {}) {
    whole_.all_reduce(in_whole(group), op, inout, label);
  }
  template<Element T>
  void all_gather(Group group, std::span<const std::type_identity_t<T>> in, std::span<T> out,
                  std::string_view label = {}) {
    whole_.all_gather(in_whole(group), in, out, label);
  }
  template<Element T>
  void reduce_scatter(Group group, Reduction op, std::span<const std::type_identity_t<T>> in,
                      std::span<T> out, std::string_view label = {}) {
    whole_.reduce_scatter(in_whole(group), op, in, out, label);
  }
  template<Element T>
  void all_to_all(Group group, std::span<const std::type_identity_t<T>> in, std::span<T> out,
                  std::string_view label = {}) {
    whole_.all_to_all(in_whole(group), in, out, label);
  }
  template<Element T>
  void broadcast(Group group, Device root, std::span<T> inout, std::string_view label = {}) {
    whole_.broadcast(in_whole(group), first_ + root, inout, label);
  }
  template<Element T>
  void permute(Group group, std::span<const SourceTarget> arrows,
               std::span<const std::type_identity_t<T>> in, std::span<T> out,
               std::string_view label = {}) {
    std::vector<SourceTarget> shifted;
    for (const SourceTarget& arrow : arrows)
      shifted.push_back({first_ + arrow.source, first_ + arrow.target});
    whole_.permute(in_whole(group), shifted, in, out, label);
  }
  void barrier(Group group, std::string_view label = {}) { whole_.barrier(in_whole(group), label); }
  template<class T>
    requires Element<std::remove_const_t<T>>
  void send(Device to, Tag tag, std::span<T> data, std::string_view label = {}) {
    whole_.send(first_ + to, tag, data, label);
  }
  template<Element T>
  void receive(Device from, Tag tag, std::span<T> data, std::string_view label = {}) {
    whole_.receive(first_ + from, tag, data, label);
  }

 private:
  std::vector<Device> in_whole(Group group) const {
    std::vector<Device> shifted;
    for (const Device device : group) shifted.push_back(first_ + device);
    return shifted;
  }

  C& whole_;
  Device first_;
  Extent count_;
};

}  // namespace tessera::executor
