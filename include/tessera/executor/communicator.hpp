// SPDX-License-Identifier: Apache-2.0
//
// How the devices that run one program talk to each other.
//
// Each device has a communicator of its own.  A collective is called by every member of a group,
// with blocks of equal size; callers pad uneven shards.  A group is usually the devices that differ
// only along some mesh axes (group_of).  Groups may overlap and change from call to call, but calls
// that two devices make together must come in the same order on both.  A reduction combines the
// members' elements in the order of the group, first to last, independent of timing and of the
// transport: the results are bit for bit the same, run after run, by threads and by MPI.
//
// send() copies its data and does not wait; receive() waits.  Messages from one device to another
// with one tag arrive in the order in which they were sent; messages that are never received are
// dropped when the run ends.
//
// Any call may be given a label, for example the name of a plan's collective: traffic() counts by
// label, and errors name it.  The label is part of the call, so all members must give the same one.
//
// Buffers of one call may not overlap, with one exception: the `in` of an all-gather may be the
// device's own block of `out`.
//
// Communicators are made by run_on_threads() (threads.hpp) and run_on_ranks() (mpi.hpp).
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/calls.hpp"
#include "tessera/mesh/axis_set.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/reduction.hpp"

namespace tessera::executor {

namespace detail {
struct Call;
struct Party;
class Transport;
}  // namespace detail

/// One device's end of the communication in a run.
///
/// Every collective exists twice: for a span of elements, whose type says how they are combined,
/// and for bytes with an element type that is known only at run time.
///
/// For a group of n members of which this device is number i:
///
///   all_reduce(group, op, inout)        inout = the members' inout, combined
///   all_gather(group, in, out)          block j of out = member j's in
///   reduce_scatter(group, op, in, out)  out = block i of the members' in, combined
///   all_to_all(group, in, out)          block j of out = block i of member j's in
///   broadcast(group, root, inout)       inout = that of device `root`
///   permute(group, routes, in, out)     out = `in` of the source whose target this device is, else
///                                       zeros; a device is the source of one route at most, and
///                                       the target of one at most
///   barrier(group)                      returns when all members have called it
///
/// Every call throws InvalidArgument for what is wrong on this device alone (sizes, a group that
/// the device is not in), CommunicationError where the devices do not agree, and Stopped or
/// Cancelled where the run was ended elsewhere.  After an exception the communicator can not be
/// used any more.
class Communicator {
 public:
  using Bytes = std::span<std::byte>;
  using ConstBytes = std::span<const std::byte>;
  using ElementType = graph::ElementType;

  /// The transport must outlive the communicator, and belongs to it alone.
  explicit Communicator(detail::Transport& transport);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// This device: 0 to size() - 1.
  Device device() const noexcept;
  /// How many devices the run has.
  Extent size() const noexcept;
  /// The traffic of this device's calls so far.
  const Traffic& traffic() const noexcept { return traffic_; }

  template<Element T>
  void all_reduce(Group group, Reduction op, std::span<T> inout, std::string_view label = {}) {
    all_reduce(group, op, element_type_of<T>, std::as_writable_bytes(inout), label);
  }
  template<Element T>
  void all_gather(Group group, std::span<const std::type_identity_t<T>> in, std::span<T> out,
                  std::string_view label = {}) {
    all_gather(group, element_type_of<T>, std::as_bytes(in), std::as_writable_bytes(out), label);
  }
  template<Element T>
  void reduce_scatter(Group group, Reduction op, std::span<const std::type_identity_t<T>> in,
                      std::span<T> out, std::string_view label = {}) {
    reduce_scatter(group, op, element_type_of<T>, std::as_bytes(in), std::as_writable_bytes(out),
                   label);
  }
  template<Element T>
  void all_to_all(Group group, std::span<const std::type_identity_t<T>> in, std::span<T> out,
                  std::string_view label = {}) {
    all_to_all(group, element_type_of<T>, std::as_bytes(in), std::as_writable_bytes(out), label);
  }
  template<Element T>
  void broadcast(Group group, Device root, std::span<T> inout, std::string_view label = {}) {
    broadcast(group, root, element_type_of<T>, std::as_writable_bytes(inout), label);
  }
  template<Element T>
  void permute(Group group, std::span<const Route> routes,
               std::span<const std::type_identity_t<T>> in, std::span<T> out,
               std::string_view label = {}) {
    permute(group, routes, element_type_of<T>, std::as_bytes(in), std::as_writable_bytes(out),
            label);
  }
  void barrier(Group group, std::string_view label = {});
  template<class T>
    requires Element<std::remove_const_t<T>>
  void send(Device to, Tag tag, std::span<T> data, std::string_view label = {}) {
    send(to, tag, element_type_of<std::remove_const_t<T>>, std::as_bytes(data), label);
  }
  template<Element T>
  void receive(Device from, Tag tag, std::span<T> data, std::string_view label = {}) {
    receive(from, tag, element_type_of<T>, std::as_writable_bytes(data), label);
  }

  /// The same for bytes.  @pre every size is a multiple of the element type's
  void all_reduce(Group, Reduction, ElementType, Bytes inout, std::string_view label = {});
  void all_gather(Group, ElementType, ConstBytes in, Bytes out, std::string_view label = {});
  void reduce_scatter(Group, Reduction, ElementType, ConstBytes in, Bytes out,
                      std::string_view label = {});
  void all_to_all(Group, ElementType, ConstBytes in, Bytes out, std::string_view label = {});
  void broadcast(Group, Device root, ElementType, Bytes inout, std::string_view label = {});
  void permute(Group, std::span<const Route>, ElementType, ConstBytes in, Bytes out,
               std::string_view label = {});
  void send(Device to, Tag, ElementType, ConstBytes data, std::string_view label = {});
  void receive(Device from, Tag, ElementType, Bytes data, std::string_view label = {});

 private:
  struct Parties;  // the groups that this device has called in

  // The group as it was met before, or checked and joined; named in the call.
  const detail::Party& party_of(Group group, detail::Call& call);
  void count(const detail::Call& call, std::string_view label, std::size_t message,
             std::size_t sent);

  detail::Transport& transport_;
  Traffic traffic_;
  std::unique_ptr<Parties> parties_;
};

/// The group over `axes` that `device` is in: the devices whose other coordinates are equal, in the
/// order of their coordinates on `axes`.  Throws InvalidMesh where the mesh has no such axis or
/// device.  O(devices)
std::vector<Device> group_of(const DynamicMesh& mesh, AxisSet axes, Device device);

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/communicator.ipp"
#endif
