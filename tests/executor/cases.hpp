// SPDX-License-Identifier: Apache-2.0
//
// Every collective over every set of mesh axes, for any communicator; and what must come out of
// each, computed by plain loops over all devices' inputs.
#pragma once
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "support/random.hpp"
#include "tessera/executor/communicator.hpp"

namespace tessera_test {

using tessera::Device, tessera::DynamicMesh, tessera::Extent, tessera::Reduction;
using tessera::executor::CallKind, tessera::executor::Element, tessera::executor::Route,
    tessera::executor::Tally;

inline const std::vector<DynamicMesh>& executor_meshes() {
  static const std::vector<DynamicMesh> meshes{{2}, {4}, {2, 2}, {2, 4}, {2, 2, 2}};
  return meshes;
}

using ExecutorElements =
    std::tuple<float, double, std::int8_t, std::uint8_t, std::uint16_t, std::int32_t, std::uint32_t,
               std::int64_t, std::uint64_t, bool, std::complex<float>>;

// Elements side by side, bools too.
template<class T>
class Buffer {
 public:
  explicit Buffer(std::size_t size) : size_(size), data_(new T[size]{}) {}
  std::span<T> all() const { return {data_.get(), size_}; }
  T& operator[](std::size_t i) const { return data_[i]; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::unique_ptr<T[]> data_;
};

// Any number from a hash; floating ones of all sizes, so that the order of a sum shows.
template<class T>
T number_from(std::uint64_t hash) {
  if constexpr (std::is_same_v<T, bool>) {
    return hash % 2 == 0;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(hash);
  } else if constexpr (std::is_floating_point_v<T>) {
    const T mantissa = static_cast<T>(static_cast<std::int64_t>(hash % 20001) - 10000);
    return std::ldexp(mantissa, static_cast<int>(hash >> 32U & 31U) - 16);
  } else {
    return {number_from<typename T::value_type>(hash),
            number_from<typename T::value_type>(tessera::mix_bits(hash))};
  }
}

// What `device` puts in, of `count` elements.
template<class T>
Buffer<T> input_of(std::uint64_t seed, Device device, std::size_t count) {
  Buffer<T> input(count);
  for (std::size_t i = 0; i < count; ++i)
    input[i] =
        number_from<T>(tessera::mix_bits(seed + 1000003 * static_cast<std::uint64_t>(device) + i));
  return input;
}

template<class T>
T plainly(Reduction reduction, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
    if (reduction == Reduction::sum) return static_cast<T>(x + y);
    if (reduction == Reduction::product) return static_cast<T>(x * y);
    if (reduction == Reduction::logical_and) return static_cast<T>(x & y);
    if (reduction == Reduction::logical_or) return static_cast<T>(x | y);
  } else {
    if (reduction == Reduction::sum) return a + b;
    if (reduction == Reduction::product) return a * b;
  }
  if constexpr (!std::is_same_v<T, std::complex<float>> && !std::is_same_v<T, std::complex<double>>)
    return reduction == Reduction::max ? std::max(a, b) : std::min(a, b);
  throw std::logic_error("no such reduction");
}

template<class T>
std::vector<Reduction> reductions_of() {
  if constexpr (std::is_same_v<T, bool>)
    return {Reduction::max, Reduction::min, Reduction::logical_and, Reduction::logical_or};
  if constexpr (std::is_integral_v<T>)
    return {Reduction::sum, Reduction::product,     Reduction::max,
            Reduction::min, Reduction::logical_and, Reduction::logical_or};
  if constexpr (std::is_floating_point_v<T>)
    return {Reduction::sum, Reduction::product, Reduction::max, Reduction::min};
  return {Reduction::sum};  // of complex numbers: their product has no one order of operations
}

// One collective, for all devices.
struct Case {
  CallKind kind{};
  Reduction reduction = Reduction::none;
  std::size_t count = 0;  // elements of a block, or of the buffer
  std::uint64_t seed = 0;
  std::string label;
};

// Of a permute: along a line, around a ring, mirrored but for the first, or every other to itself.
inline std::vector<Route> routes_of(const std::vector<Device>& group, std::uint64_t seed) {
  std::vector<Route> routes;
  const std::size_t n = group.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (seed % 4 == 0 && i + 1 < n) routes.push_back({group[i], group[i + 1]});
    if (seed % 4 == 1) routes.push_back({group[i], group[(i + 1) % n]});
    if (seed % 4 == 2 && i > 0) routes.push_back({group[i], group[n - 1 - i]});
    if (seed % 4 == 3 && i % 2 == 0) routes.push_back({group[i], group[i]});
  }
  return routes;
}

inline std::size_t number_in(const std::vector<Device>& group, Device device) {
  return static_cast<std::size_t>(std::find(group.begin(), group.end(), device) - group.begin());
}

inline std::size_t input_size(const Case& it, std::size_t members) {
  const bool has_blocks = it.kind == CallKind::reduce_scatter || it.kind == CallKind::all_to_all;
  return has_blocks ? members * it.count : it.count;
}

// What comes out on this device by the communicator.
template<class T, class Communicator>
Buffer<T> run_case(Communicator& comm, const Case& it, const std::vector<Device>& group) {
  const std::size_t n = group.size();
  Buffer<T> in = input_of<T>(it.seed, comm.device(), input_size(it, n));
  switch (it.kind) {
    case CallKind::all_reduce: comm.all_reduce(group, it.reduction, in.all(), it.label); return in;
    case CallKind::broadcast:
      comm.broadcast(group, group[it.seed % n], in.all(), it.label);
      return in;
    case CallKind::all_gather: {
      Buffer<T> out(n * it.count);
      comm.all_gather(group, in.all(), out.all(), it.label);
      return out;
    }
    case CallKind::reduce_scatter: {
      Buffer<T> out(it.count);
      comm.reduce_scatter(group, it.reduction, in.all(), out.all(), it.label);
      return out;
    }
    case CallKind::all_to_all: {
      Buffer<T> out(n * it.count);
      comm.all_to_all(group, in.all(), out.all(), it.label);
      return out;
    }
    default: {
      Buffer<T> out(it.count);
      comm.permute(group, routes_of(group, it.seed), in.all(), out.all(), it.label);
      return out;
    }
  }
}

// What must come out on `device`.
template<class T>
Buffer<T> expected_of(const Case& it, const std::vector<Device>& group, Device device) {
  const std::size_t n = group.size();
  const std::size_t own = number_in(group, device);
  std::vector<Buffer<T>> in;
  for (const Device member : group) in.push_back(input_of<T>(it.seed, member, input_size(it, n)));
  const auto combined = [&](std::size_t i) {
    T value = in[0][i];
    for (std::size_t member = 1; member < n; ++member)
      value = plainly<T>(it.reduction, value, in[member][i]);
    return value;
  };
  const bool is_larger = it.kind == CallKind::all_gather || it.kind == CallKind::all_to_all;
  Buffer<T> out(is_larger ? n * it.count : it.count);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t block = it.count == 0 ? 0 : i / it.count, rest = i - block * it.count;
    switch (it.kind) {
      case CallKind::all_reduce: out[i] = combined(i); break;
      case CallKind::broadcast: out[i] = in[it.seed % n][i]; break;
      case CallKind::all_gather: out[i] = in[block][rest]; break;
      case CallKind::reduce_scatter: out[i] = combined(own * it.count + i); break;
      case CallKind::all_to_all: out[i] = in[block][own * it.count + rest]; break;
      default:
        for (const Route& arrow : routes_of(group, it.seed))
          for (std::size_t member = 0; member < n; ++member)
            if (arrow.target == device && arrow.source == group[member]) out[i] = in[member][i];
    }
  }
  return out;
}

// What `device` must have counted for it, as the table in executor/calls.hpp says.
template<class T>
Tally expected_tally(const Case& it, const std::vector<Device>& group, Device device) {
  const std::size_t n = group.size(), own = number_in(group, device);
  const std::size_t block = it.count * sizeof(T);
  switch (it.kind) {
    case CallKind::all_gather: return {1, n * block, (n - 1) * block};
    case CallKind::reduce_scatter: return {1, n * block, (n - 1) * block};
    case CallKind::all_to_all: return {1, n * n * block, (n - 1) * block};
    case CallKind::broadcast: return {1, block, own == it.seed % n ? (n - 1) * block : 0};
    case CallKind::all_reduce: {
      // Its part is an element longer than others' where the rest reaches it.
      const std::size_t part = (it.count / n + (own < it.count % n ? 1 : 0)) * sizeof(T);
      return {1, block, block - part + (n - 1) * part};
    }
    default: {
      Tally tally{1, block, 0};
      for (const Route& arrow : routes_of(group, it.seed))
        if (arrow.source == device && arrow.target != device) tally.sent = block;
      return tally;
    }
  }
}

// A label says all about a case.
template<class T>
std::string label_of(const Case& it, unsigned axes) {
  return std::string(to_string(it.kind)) + ' ' + to_string(it.reduction) + " of " +
         std::to_string(it.count) + ' ' +
         std::string(to_string(tessera::executor::element_type_of<T>)) + " over axes " +
         std::to_string(axes);
}

// Calls visit.operator()<T>(case, group) for every collective, element type, reduction and axis set
// of a mesh, with the group that `device` is in: in the same order for all devices.
template<class Visit>
void for_each_case(const DynamicMesh& mesh, Device device, std::uint64_t seed, Visit&& visit) {
  for (unsigned axes = 0; axes < 1U << mesh.rank(); ++axes) {
    const std::vector<Device> group = tessera::executor::group_of(
        mesh, tessera::AxisSet::from_bits(static_cast<std::uint8_t>(axes)), device);
    const auto with_type = [&]<class T>() {
      const auto one = [&](CallKind kind, Reduction reduction, std::size_t count) {
        seed = tessera::mix_bits(seed);
        Case it{kind, reduction, count, seed, ""};
        it.label = label_of<T>(it, axes);
        visit.template operator()<T>(it, group);
      };
      for (const std::size_t count : {std::size_t{0}, std::size_t{5}, std::size_t{1031}}) {
        for (const Reduction reduction : reductions_of<T>()) {
          one(CallKind::all_reduce, reduction, count);
          one(CallKind::reduce_scatter, reduction, count);
        }
        for (const CallKind kind :
             {CallKind::all_gather, CallKind::all_to_all, CallKind::broadcast, CallKind::permute})
          one(kind, Reduction::none, count);
      }
    };
    [&]<class... Ts>(const std::tuple<Ts...>*) {
      (with_type.template operator()<Ts>(), ...);
    }(static_cast<const ExecutorElements*>(nullptr));
  }
}

template<class T>
bool same_bits(const Buffer<T>& a, const Buffer<T>& b) {
  return a.size() == b.size() &&
         (a.size() == 0 || std::memcmp(a.all().data(), b.all().data(), a.all().size_bytes()) == 0);
}

// Messages around all devices, checked.
template<class Communicator>
void send_around(Communicator& comm, const Case& it) {
  const Device n = comm.size(), last = (comm.device() + n - 1) % n;
  const Buffer<float> out = input_of<float>(it.seed, comm.device(), it.count);
  const Buffer<float> in(it.count);
  comm.send((comm.device() + 1) % n, 0, out.all(), it.label);
  comm.receive(last, 0, in.all(), it.label);
  if (!same_bits(in, input_of<float>(it.seed, last, it.count)))
    throw std::logic_error("wrong message: " + it.label);
}

// A collective over random axes or messages around all devices, checked: the same on all devices,
// but for one whose buffers are longer by an element.
template<class Communicator>
void random_step(Communicator& comm, const DynamicMesh& mesh, std::uint64_t seed, std::int64_t step,
                 bool is_longer = false) {
  Random random(seed + 77 * static_cast<std::uint64_t>(step));
  const auto axes = static_cast<std::uint8_t>(random.below(std::size_t{1} << mesh.rank()));
  const std::vector<Device> group =
      tessera::executor::group_of(mesh, tessera::AxisSet::from_bits(axes), comm.device());
  Case it;
  it.kind = static_cast<CallKind>(random.below(8));
  it.reduction = Reduction::sum;
  it.count = random.below(2000) + (is_longer ? 1 : 0);
  it.seed = seed + static_cast<std::uint64_t>(step);
  it.label = "step " + std::to_string(step);
  if (it.kind == CallKind::barrier) return comm.barrier(group, it.label);
  if (it.kind == CallKind::send) return send_around(comm, it);
  if (!same_bits(run_case<float>(comm, it, group), expected_of<float>(it, group, comm.device())))
    throw std::logic_error("wrong: " + it.label);
}

}  // namespace tessera_test
