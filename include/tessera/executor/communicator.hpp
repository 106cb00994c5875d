// SPDX-License-Identifier: Apache-2.0
//
// What devices that run one program have in common: a way to talk to each other.
//
// Each device has a communicator of its own.  Collectives are called by every member of a group,
// the devices that differ only along the mesh axes concerned (group_of), with blocks of equal size;
// who has uneven shards pads them.  Groups may overlap and change from call to call; calls that two
// devices make together must come in the same order on both.  A reduction combines the members'
// elements in the order of the group, first to last, whatever the timing and whatever carries the
// data: the same numbers bit for bit, run after run.
//
// send() copies and does not wait; receive() waits.  What one device sends another with one tag
// arrives in the order sent; what nobody receives is dropped when the run ends.
//
// Any call may be given a label (a plan's collective, say): traffic() counts by it, and an error
// names it.  It is part of the call: all members give the same.
//
// Buffers of one call may not overlap, but for an all-gather's `in` that is its own block of `out`.
//
// threads.hpp has devices that are threads of one process, mpi.hpp such that are MPI's ranks.
#pragma once
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/executor/call.hpp"
#include "tessera/executor/traffic.hpp"
#include "tessera/mesh/replica_groups.hpp"

namespace tessera::executor {

// The semantics, for a group of n members of which this device is number i:
//
//   all_reduce(group, op, inout)        inout = the members' inout, combined
//   all_gather(group, in, out)          block j of out = member j's in
//   reduce_scatter(group, op, in, out)  out = block i of the members' in, combined
//   all_to_all(group, in, out)          block j of out = block i of member j's in
//   broadcast(group, root, inout)       inout = that of device `root`
//   permute(group, arrows, in, out)     out = `in` of the source whose target this is, else zeros;
//                                       a device is a source once at most, and a target once
//   barrier(group)                      returns when all members have called it
//
// Throw InvalidArgument for what is wrong on this device alone (sizes, a group that it is not
// in), CommunicationError where devices do not agree, and what an implementation says where the run
// was stopped elsewhere.  After any of these the communicator can not be used any more.
template<class C>
concept Communicator = requires(C& c, const C& constant, Group group, Device device, Tag tag,
                                Reduction op, std::span<const float> in, std::span<float> out,
                                std::span<const SourceTarget> arrows, std::string_view label) {
  { constant.rank() } -> std::same_as<Device>;  // this device, 0 to size() - 1
  { constant.size() } -> std::same_as<Extent>;  // of how many
  c.all_reduce(group, op, out, label);
  c.all_gather(group, in, out, label);
  c.reduce_scatter(group, op, in, out, label);
  c.all_to_all(group, in, out, label);
  c.broadcast(group, device, out, label);
  c.permute(group, arrows, in, out, label);
  c.barrier(group, label);
  c.send(device, tag, in, label);
  c.receive(device, tag, out, label);
  { constant.traffic() } -> std::same_as<const Traffic&>;  // of this device, up to now
};

// The group over `axes` that `device` is in.  Throws InvalidMesh where the mesh has no such axis or
// device.
template<MeshLike M>
std::vector<Device> group_of(const M& mesh, AxisSet axes, Device device) {
  const ReplicaGroups<M> groups = replica_groups(mesh, axes);
  const Coordinates own = coordinates_of(mesh, device);
  Extent group = 0;  // its number: the coordinates on all other axes, row-major
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    if (!axes.contains(axis)) group = group * mesh.extent(axis) + own[axis];
  std::vector<Device> members;
  for (Extent member = 0; member < groups.group_size(); ++member)
    members.push_back(groups.device(group, member));
  return members;
}

}  // namespace tessera::executor
