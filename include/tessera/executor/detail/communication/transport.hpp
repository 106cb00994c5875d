// SPDX-License-Identifier: Apache-2.0
//
// A transport carries the bytes of a communicator: between threads of one process, or by MPI.
//
// A transport knows neither element types nor traffic.  What one device can check by itself has
// been checked before a transport is called; the semantics of the calls are communicator.hpp's.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/executor/calls.hpp"
#include "tessera/executor/detail/communication/call.hpp"
#include "tessera/executor/detail/kernels/combine.hpp"

namespace tessera::executor::detail {

// The base of what a transport keeps for one group.
struct GroupState {};

// A group that this device is in.
struct Party {
  std::vector<Device> members;
  std::size_t own = 0;  // this device is members[own]
  Name<40> name;
  GroupState* state = nullptr;  // the transport's

  std::size_t size() const noexcept { return members.size(); }
};

// Where block `i` begins when `count` elements are divided into `n` blocks.  Where n does not
// divide count, the first blocks are one element longer.
constexpr std::size_t block_begin(std::size_t count, std::size_t n, std::size_t i) noexcept {
  return count / n * i + std::min(i, count % n);
}

// The part of one member in a permute: the indices of the members that it receives from and sends
// to.
struct PermuteEnds {
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t source = none;
  std::size_t target = none;
};

// Orders lists of devices, and looks them up by spans.
struct DevicesLess {
  using is_transparent = void;
  bool operator()(Group a, Group b) const noexcept {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  }
};

class Transport {
 public:
  virtual ~Transport() = default;

  virtual Device device() const noexcept = 0;
  virtual Extent size() const noexcept = 0;

  // Called once for each group that the device is in, before the first call.
  virtual GroupState* join(Group members) = 0;

  virtual void all_reduce(const Party&, const Call&, Bytes inout, Combiner) = 0;
  virtual void all_gather(const Party&, const Call&, ConstBytes in, Bytes out) = 0;
  virtual void reduce_scatter(const Party&, const Call&, ConstBytes in, Bytes out, Combiner) = 0;
  virtual void all_to_all(const Party&, const Call&, ConstBytes in, Bytes out) = 0;
  virtual void broadcast(const Party&, const Call&, std::size_t root, Bytes inout) = 0;
  virtual void permute(const Party&, const Call&, PermuteEnds, ConstBytes in, Bytes out) = 0;
  virtual void barrier(const Party&, const Call&) = 0;
  virtual void send(const Call&, ConstBytes data) = 0;
  virtual void receive(const Call&, Bytes data) = 0;

 protected:
  Transport() = default;
  Transport(const Transport&) = default;
  Transport& operator=(const Transport&) = default;
};

}  // namespace tessera::executor::detail
