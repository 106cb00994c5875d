// SPDX-License-Identifier: Apache-2.0
//
// Every call of a communicator: checks what one device can check by itself, describes the call,
// passes it to the transport, and counts what it moved.
#pragma once
#include "tessera/executor/communicator.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/executor/detail/communication/call.hpp"
#include "tessera/executor/detail/communication/transport.hpp"
#include "tessera/executor/detail/kernels/combine.hpp"
#include "tessera/mesh/replica_groups.hpp"

namespace tessera::executor {

namespace detail {

inline Call call_of(CallKind kind, graph::ElementType element, std::size_t bytes,
                    std::string_view label) {
  Call call;
  call.kind = kind;
  call.element = element;
  call.count = bytes / static_cast<std::size_t>(std::max<Extent>(graph::bytes_of(element), 1));
  call.label = Name<48>(label);
  return call;
}

inline void copy_bytes(ConstBytes from, Bytes to) {
  if (!from.empty()) std::memmove(to.data(), from.data(), from.size());
}

inline void check_size(const Call& call, const char* what, std::size_t given, std::size_t wanted) {
  if (given == wanted) return;
  const auto width = static_cast<std::size_t>(graph::bytes_of(call.element));
  throw InvalidArgument(to_string(call) + ": its " + what + " has " +
                        std::to_string(given / width) + " elements instead of " +
                        std::to_string(wanted / width));
}

inline std::size_t index_in(const Party& party, Device device) {
  const auto at = std::find(party.members.begin(), party.members.end(), device);
  return at == party.members.end() ? PermuteEnds::none
                                   : static_cast<std::size_t>(at - party.members.begin());
}

inline void check_group(Group group, const Transport& transport, Call& call) {
  call.group = Name<40>(joined(group, ","));
  const auto refuse = [&](Device device, const char* why) {
    throw InvalidArgument(to_string(call) + ": device " + std::to_string(device) + why);
  };
  std::vector<Device> sorted(group.begin(), group.end());
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] < 0 || sorted[i] >= transport.size()) refuse(sorted[i], " does not exist");
    if (i > 0 && sorted[i] == sorted[i - 1]) refuse(sorted[i], " is in the group twice");
  }
  if (!std::binary_search(sorted.begin(), sorted.end(), transport.device()))
    refuse(transport.device(), " calls, but is not in the group");
}

inline void set_partner(Call& call, Device partner, Tag tag, const Transport& transport) {
  call.partner = partner;
  call.tag = tag;
  if (tag < 0) throw InvalidArgument(to_string(call) + ": a tag is 0 or more");
  if (partner < 0 || partner >= transport.size() || partner == transport.device())
    throw InvalidArgument(to_string(call) + ": device " + std::to_string(partner) +
                          " is not another one of " + std::to_string(transport.size()));
}

inline Combiner combiner_of(const Call& call) {
  const Combiner combiner = find_combiner(call.element, call.reduction);
  if (combiner.combine == nullptr)
    throw InvalidArgument(to_string(call) + ": " + std::string(to_string(call.element)) +
                          " has no such reduction");
  return combiner;
}

inline std::uint64_t hash_of(std::span<const Route> routes) {
  std::uint64_t hash = 0;
  for (const auto& [source, target] : routes)
    for (const Device end : {source, target})
      hash = mix_bits(hash ^ static_cast<std::uint64_t>(end));
  return hash;
}

// The ends of this device's routes.
inline PermuteEnds ends_of(const Party& party, const Call& call, std::span<const Route> routes) {
  std::vector<PermuteEnds> ends(party.size());
  for (const Route& route : routes) {
    const std::size_t source = index_in(party, route.source);
    const std::size_t target = index_in(party, route.target);
    const std::string text = std::to_string(route.source) + " -> " + std::to_string(route.target);
    if (source == PermuteEnds::none || target == PermuteEnds::none)
      throw InvalidArgument(to_string(call) + ": " + text + " leads out of the group");
    if (ends[source].target != PermuteEnds::none || ends[target].source != PermuteEnds::none)
      throw InvalidArgument(to_string(call) + ": at " + text +
                            " a device is a source or a target for the second time");
    ends[source].target = target;
    ends[target].source = source;
  }
  return ends[party.own];
}

}  // namespace detail

struct Communicator::Parties {
  std::map<std::vector<Device>, detail::Party, detail::DevicesLess> by_group;
};

TESSERA_INLINE Communicator::Communicator(detail::Transport& transport)
    : transport_(transport), parties_(std::make_unique<Parties>()) {}
TESSERA_INLINE Communicator::~Communicator() = default;

TESSERA_INLINE Device Communicator::device() const noexcept { return transport_.device(); }
TESSERA_INLINE Extent Communicator::size() const noexcept { return transport_.size(); }

TESSERA_INLINE const detail::Party& Communicator::party_of(Group group, detail::Call& call) {
  auto& parties = parties_->by_group;
  auto found = parties.find(group);
  if (found == parties.end()) {
    detail::check_group(group, transport_, call);
    std::vector<Device> members(group.begin(), group.end());
    detail::Party party{members, 0, detail::Name<40>(joined(members, ",")), nullptr};
    party.own = detail::index_in(party, device());
    party.state = transport_.join(group);
    found = parties.emplace(std::move(members), std::move(party)).first;
  }
  call.group = found->second.name;
  return found->second;
}

TESSERA_INLINE void Communicator::count(const detail::Call& call, std::string_view label,
                                        std::size_t message, std::size_t sent) {
  traffic_.add(call.kind, label, {1, message, sent});
}

TESSERA_INLINE void Communicator::all_reduce(Group group, Reduction reduction, ElementType element,
                                             Bytes inout, std::string_view label) {
  detail::Call call = detail::call_of(CallKind::all_reduce, element, inout.size(), label);
  call.reduction = reduction;
  const detail::Party& party = party_of(group, call);
  const detail::Combiner combiner = detail::combiner_of(call);
  if (party.size() > 1) transport_.all_reduce(party, call, inout, combiner);
  const std::size_t n = party.size(), own = party.own;
  const std::size_t block =
      (detail::block_begin(call.count, n, own + 1) - detail::block_begin(call.count, n, own)) *
      combiner.element_bytes;
  // Every block but its own is sent to be reduced, and its own is sent to all others.
  count(call, label, inout.size(), inout.size() + n * block - 2 * block);
}

TESSERA_INLINE void Communicator::all_gather(Group group, ElementType element, ConstBytes in,
                                             Bytes out, std::string_view label) {
  detail::Call call = detail::call_of(CallKind::all_gather, element, in.size(), label);
  const detail::Party& party = party_of(group, call);
  detail::check_size(call, "result", out.size(), party.size() * in.size());
  if (party.size() > 1)
    transport_.all_gather(party, call, in, out);
  else
    detail::copy_bytes(in, out);
  count(call, label, out.size(), (party.size() - 1) * in.size());
}

TESSERA_INLINE void Communicator::reduce_scatter(Group group, Reduction reduction,
                                                 ElementType element, ConstBytes in, Bytes out,
                                                 std::string_view label) {
  detail::Call call = detail::call_of(CallKind::reduce_scatter, element, out.size(), label);
  call.reduction = reduction;
  const detail::Party& party = party_of(group, call);
  detail::check_size(call, "operand", in.size(), party.size() * out.size());
  const detail::Combiner combiner = detail::combiner_of(call);
  if (party.size() > 1)
    transport_.reduce_scatter(party, call, in, out, combiner);
  else
    detail::copy_bytes(in, out);
  count(call, label, in.size(), (party.size() - 1) * out.size());
}

TESSERA_INLINE void Communicator::all_to_all(Group group, ElementType element, ConstBytes in,
                                             Bytes out, std::string_view label) {
  detail::Call call = detail::call_of(CallKind::all_to_all, element, in.size(), label);
  const detail::Party& party = party_of(group, call);
  const std::size_t n = party.size();
  detail::check_size(call, "result", out.size(), in.size());
  if (call.count % n != 0)
    throw InvalidArgument(detail::to_string(call) + ": " + std::to_string(call.count) +
                          " elements can not be divided into " + std::to_string(n) +
                          " equal blocks; pad the buffer");
  if (n > 1)
    transport_.all_to_all(party, call, in, out);
  else
    detail::copy_bytes(in, out);
  count(call, label, n * in.size(), in.size() / n * (n - 1));
}

TESSERA_INLINE void Communicator::broadcast(Group group, Device root, ElementType element,
                                            Bytes inout, std::string_view label) {
  detail::Call call = detail::call_of(CallKind::broadcast, element, inout.size(), label);
  call.partner = root;
  const detail::Party& party = party_of(group, call);
  const std::size_t root_index = detail::index_in(party, root);
  if (root_index == detail::PermuteEnds::none)
    throw InvalidArgument(detail::to_string(call) + ": the root is not in the group");
  if (party.size() > 1) transport_.broadcast(party, call, root_index, inout);
  count(call, label, inout.size(), root == device() ? (party.size() - 1) * inout.size() : 0);
}

TESSERA_INLINE void Communicator::permute(Group group, std::span<const Route> routes,
                                          ElementType element, ConstBytes in, Bytes out,
                                          std::string_view label) {
  detail::Call call = detail::call_of(CallKind::permute, element, in.size(), label);
  call.routes = detail::hash_of(routes);
  const detail::Party& party = party_of(group, call);
  detail::check_size(call, "result", out.size(), in.size());
  const detail::PermuteEnds ends = detail::ends_of(party, call, routes);
  const bool sends = ends.target != detail::PermuteEnds::none && ends.target != party.own;
  if (ends.source == party.own) detail::copy_bytes(in, out);
  if (ends.source == detail::PermuteEnds::none) std::fill(out.begin(), out.end(), std::byte{0});
  if (party.size() > 1) transport_.permute(party, call, ends, in, out);
  count(call, label, in.size(), sends ? in.size() : 0);
}

TESSERA_INLINE void Communicator::barrier(Group group, std::string_view label) {
  detail::Call call = detail::call_of(CallKind::barrier, ElementType::opaque, 0, label);
  const detail::Party& party = party_of(group, call);
  if (party.size() > 1) transport_.barrier(party, call);
  count(call, label, 0, 0);
}

TESSERA_INLINE void Communicator::send(Device to, Tag tag, ElementType element, ConstBytes data,
                                       std::string_view label) {
  detail::Call call = detail::call_of(CallKind::send, element, data.size(), label);
  detail::set_partner(call, to, tag, transport_);
  transport_.send(call, data);
  count(call, label, data.size(), data.size());
}

TESSERA_INLINE void Communicator::receive(Device from, Tag tag, ElementType element, Bytes data,
                                          std::string_view label) {
  detail::Call call = detail::call_of(CallKind::receive, element, data.size(), label);
  detail::set_partner(call, from, tag, transport_);
  transport_.receive(call, data);
  count(call, label, 0, 0);
}

TESSERA_INLINE std::vector<Device> group_of(const DynamicMesh& mesh, AxisSet axes, Device device) {
  const ReplicaGroups<DynamicMesh> groups = replica_groups(mesh, axes);
  const Coordinates own = coordinates_of(mesh, device);
  Extent group = 0;  // the index of the group: the coordinates on all other axes, row-major
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    if (!axes.contains(axis)) group = group * mesh.extent(axis) + own[axis];
  std::vector<Device> members;
  for (Extent member = 0; member < groups.group_size(); ++member)
    members.push_back(groups.device(group, member));
  return members;
}

}  // namespace tessera::executor
