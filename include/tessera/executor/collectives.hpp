// SPDX-License-Identifier: Apache-2.0
//
// The typed face of every communicator: checks what one device can check alone, says what the call
// is, and counts what it moved.
//
// What carries the bytes is a Transport, which knows neither types nor traffic:
//
//   rank(), size()
//   GroupState, join(members)                      what it keeps for a group
//   all_reduce(party, call, bytes, combiner)       and so on: the semantics are communicator.hpp's
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/call.hpp"
#include "tessera/executor/combine.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/traffic.hpp"

namespace tessera::executor {

namespace detail {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

// A group that this device is in, and what its transport keeps for it.
template<class State>
struct Party {
  std::vector<Device> members;
  std::size_t own = 0;  // this device is members[own]
  Name<40> name;
  State state;

  std::size_t size() const noexcept { return members.size(); }
};

// What begins at block `i` of `count` elements in `n` blocks, the first of which are an element
// longer where they can not all be alike.
constexpr std::size_t block_begin(std::size_t count, std::size_t n, std::size_t i) noexcept {
  return count / n * i + std::min(i, count % n);
}

// What a permute means for one member: the numbers of the members that it gets its result from and
// sends its operand to.
struct Role {
  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);
  std::size_t source = nobody;
  std::size_t target = nobody;
};

// Lists of devices, looked up by spans of them.
struct DevicesLess {
  using is_transparent = void;
  bool operator()(Group a, Group b) const noexcept {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  }
};

}  // namespace detail

template<class Transport>
class Collectives {
 public:
  // One for each transport, which must outlive it.
  explicit Collectives(Transport& transport) : transport_(transport) {}
  Collectives(const Collectives&) = delete;
  Collectives& operator=(const Collectives&) = delete;

  Device rank() const noexcept { return transport_.rank(); }
  Extent size() const noexcept { return transport_.size(); }
  const Traffic& traffic() const noexcept { return traffic_; }

  template<Element T>
  void all_reduce(Group group, Reduction reduction, std::span<T> inout,
                  std::string_view label = {}) {
    Call call = call_of<T>(CallKind::all_reduce, inout.size(), label);
    call.reduction = reduction;
    Party& party = party_of(group, call);
    const detail::Combiner combiner = detail::combiner_of<T>(call);
    if (party.size() > 1) transport_.all_reduce(party, call, writable(inout), combiner);
    const std::size_t n = party.size(), own = party.own, count = inout.size();
    const std::size_t block = detail::block_begin(count, n, own + 1) -
                              detail::block_begin(count, n, own);
    // All blocks but its own go to be reduced, and its own comes back to all.
    tally(call, label, inout.size_bytes(),
          inout.size_bytes() + n * block * sizeof(T) - 2 * block * sizeof(T));
  }

  template<Element T>
  void all_gather(Group group, std::span<const std::type_identity_t<T>> in, std::span<T> out,
                  std::string_view label = {}) {
    Call call = call_of<T>(CallKind::all_gather, in.size(), label);
    Party& party = party_of(group, call);
    check_size(call, "result", out.size(), party.size() * in.size());
    if (party.size() > 1)
      transport_.all_gather(party, call, std::as_bytes(in), writable(out));
    else
      copy(in, out);
    tally(call, label, out.size_bytes(), (party.size() - 1) * in.size_bytes());
  }

  template<Element T>
  void reduce_scatter(Group group, Reduction reduction, std::span<const std::type_identity_t<T>> in,
                      std::span<T> out, std::string_view label = {}) {
    Call call = call_of<T>(CallKind::reduce_scatter, out.size(), label);
    call.reduction = reduction;
    Party& party = party_of(group, call);
    check_size(call, "operand", in.size(), party.size() * out.size());
    const detail::Combiner combiner = detail::combiner_of<T>(call);
    if (party.size() > 1)
      transport_.reduce_scatter(party, call, std::as_bytes(in), writable(out), combiner);
    else
      copy(in, out);
    tally(call, label, in.size_bytes(), (party.size() - 1) * out.size_bytes());
  }

  template<Element T>
  void all_to_all(Group group, std::span<const std::type_identity_t<T>> in, std::span<T> out,
                  std::string_view label = {}) {
    Call call = call_of<T>(CallKind::all_to_all, in.size(), label);
    Party& party = party_of(group, call);
    const std::size_t n = party.size();
    check_size(call, "result", out.size(), in.size());
    if (in.size() % n != 0)
      throw InvalidArgument(to_string(call) + ": " + std::to_string(in.size()) +
                                  " elements are no " + std::to_string(n) + " equal blocks");
    if (n > 1)
      transport_.all_to_all(party, call, std::as_bytes(in), writable(out));
    else
      copy(in, out);
    tally(call, label, n * in.size_bytes(), in.size_bytes() / n * (n - 1));
  }

  template<Element T>
  void broadcast(Group group, Device root, std::span<T> inout, std::string_view label = {}) {
    Call call = call_of<T>(CallKind::broadcast, inout.size(), label);
    call.partner = root;
    Party& party = party_of(group, call);
    const std::size_t root_number = number_in(party, root);
    if (root_number == detail::Role::nobody)
      throw InvalidArgument(to_string(call) + ": the root is not in the group");
    if (party.size() > 1) transport_.broadcast(party, call, root_number, writable(inout));
    tally(call, label, inout.size_bytes(),
          root == rank() ? (party.size() - 1) * inout.size_bytes() : 0);
  }

  template<Element T>
  void permute(Group group, std::span<const SourceTarget> arrows,
               std::span<const std::type_identity_t<T>> in, std::span<T> out,
               std::string_view label = {}) {
    Call call = call_of<T>(CallKind::permute, in.size(), label);
    for (const auto& [source, target] : arrows)
      for (const Device end : {source, target})
        call.routes = mix_bits(call.routes ^ static_cast<std::uint64_t>(end));
    Party& party = party_of(group, call);
    check_size(call, "result", out.size(), in.size());
    const detail::Role role = role_of(party, call, arrows);
    const bool sends = role.target != detail::Role::nobody && role.target != party.own;
    if (role.source == party.own) copy(in, out);
    if (role.source == detail::Role::nobody) std::fill(out.begin(), out.end(), T{});
    if (party.size() > 1) transport_.permute(party, call, role, std::as_bytes(in), writable(out));
    tally(call, label, in.size_bytes(), sends ? in.size_bytes() : 0);
  }

  void barrier(Group group, std::string_view label = {}) {
    Call call;
    call.kind = CallKind::barrier;
    call.label = detail::Name<48>(label);
    Party& party = party_of(group, call);
    if (party.size() > 1) transport_.barrier(party, call);
    tally(call, label, 0, 0);
  }

  template<class T>
    requires Element<std::remove_const_t<T>>
  void send(Device to, Tag tag, std::span<T> data, std::string_view label = {}) {
    Call call = call_of<std::remove_const_t<T>>(CallKind::send, data.size(), label);
    check_partner(call, to, tag);
    transport_.send(call, std::as_bytes(data));
    tally(call, label, data.size_bytes(), data.size_bytes());
  }

  template<Element T>
  void receive(Device from, Tag tag, std::span<T> data, std::string_view label = {}) {
    Call call = call_of<T>(CallKind::receive, data.size(), label);
    check_partner(call, from, tag);
    transport_.receive(call, writable(data));
    tally(call, label, 0, 0);
  }

 private:
  using Party = detail::Party<typename Transport::GroupState>;

  template<class T>
  static Call call_of(CallKind kind, std::size_t count, std::string_view label) {
    Call call;
    call.kind = kind;
    call.element = element_type_of<T>;
    call.count = count;
    call.label = detail::Name<48>(label);
    return call;
  }
  template<class T>
  static detail::Bytes writable(std::span<T> data) {
    return std::as_writable_bytes(data);
  }
  template<class T>
  static void copy(std::span<const T> from, std::span<T> to) {
    if (!from.empty()) std::memmove(to.data(), from.data(), from.size_bytes());
  }

  void tally(const Call& call, std::string_view label, std::size_t message, std::size_t sent) {
    traffic_.add(call.kind, label, {1, message, sent});
  }

  // --- What one device can check alone -----------------------------------------------------------

  static void check_size(const Call& call, const char* what, std::size_t given,
                         std::size_t wanted) {
    if (given != wanted)
      throw InvalidArgument(to_string(call) + ": its " + what + " has " +
                                  std::to_string(given) + " elements instead of " +
                                  std::to_string(wanted));
  }

  void check_partner(Call& call, Device partner, Tag tag) const {
    call.partner = partner;
    call.tag = tag;
    if (tag < 0) throw InvalidArgument(to_string(call) + ": a tag is 0 or more");
    if (partner < 0 || partner >= size() || partner == rank())
      throw InvalidArgument(to_string(call) + ": device " + std::to_string(partner) +
                                  " is not another one of " + std::to_string(size()));
  }

  detail::Role role_of(const Party& party, const Call& call,
                       std::span<const SourceTarget> arrows) const {
    constexpr std::size_t nobody = detail::Role::nobody;
    std::vector<detail::Role> roles(party.size());
    for (const SourceTarget& arrow : arrows) {
      const std::size_t source = number_in(party, arrow.source);
      const std::size_t target = number_in(party, arrow.target);
      const std::string text = std::to_string(arrow.source) + " -> " + std::to_string(arrow.target);
      if (source == nobody || target == nobody)
        throw InvalidArgument(to_string(call) + ": " + text + " leads out of the group");
      if (roles[source].target != nobody || roles[target].source != nobody)
        throw InvalidArgument(to_string(call) + ": at " + text +
                                    " a device is a source or a target for the second time");
      roles[source].target = target;
      roles[target].source = source;
    }
    return roles[party.own];
  }
  static std::size_t number_in(const Party& party, Device device) {
    const auto at = std::find(party.members.begin(), party.members.end(), device);
    return at == party.members.end() ? detail::Role::nobody
                                     : static_cast<std::size_t>(at - party.members.begin());
  }

  // The group as it was met before, or checked and joined.
  Party& party_of(Group group, Call& call) {
    auto found = parties_.find(group);
    if (found == parties_.end()) {
      check_group(group, call);
      std::vector<Device> members(group.begin(), group.end());
      found = parties_.emplace(members, Party{members, 0, {}, transport_.join(group)}).first;
      found->second.own = number_in(found->second, rank());
      found->second.name = detail::Name<40>(joined(members, ","));
    }
    call.group = found->second.name;
    return found->second;
  }
  void check_group(Group group, Call& call) const {
    call.group = detail::Name<40>(joined(group, ","));
    const auto refuse = [&](Device device, const char* why) {
      throw InvalidArgument(to_string(call) + ": device " + std::to_string(device) + why);
    };
    std::vector<Device> sorted(group.begin(), group.end());
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (sorted[i] < 0 || sorted[i] >= size()) refuse(sorted[i], " does not exist");
      if (i > 0 && sorted[i] == sorted[i - 1]) refuse(sorted[i], " is in the group twice");
    }
    if (!std::binary_search(sorted.begin(), sorted.end(), rank()))
      refuse(rank(), " calls, but is not in the group");
  }

  Transport& transport_;
  Traffic traffic_;
  std::map<std::vector<Device>, Party, detail::DevicesLess> parties_;
};

}  // namespace tessera::executor
