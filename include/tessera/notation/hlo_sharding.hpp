// SPDX-License-Identifier: Apache-2.0
//
// HLO's spelling of a sharding: "{devices=[2,1,4]0,1,2,3,4,5,6,7 last_tile_dim_replicate}".
//
// HLO knows no mesh.  It lists, for an array of tiles, which device holds each; the dims of that
// array are the tensor's, then one for each group of devices that do not split it (copies, partial
// results).  Printing goes from axes to that array; parsing reads the text, in the explicit (V1)
// and the iota (V2) form, and says what is wrong with it; from_hlo() finds the axes again.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera::notation {

enum class SubgroupKind : std::uint8_t { manual, unreduced, replicated, maximal };

constexpr const char* to_string(SubgroupKind kind) noexcept {
  switch (kind) {
    case SubgroupKind::manual: return "manual";
    case SubgroupKind::unreduced: return "unreduced";
    case SubgroupKind::replicated: return "replicated";
    case SubgroupKind::maximal: return "maximal";
  }
  return "";
}

// One array's sharding, as HLO writes it.
struct HloSharding {
  enum class Kind : std::uint8_t { replicated, maximal, manual, unreduced, unknown, tiled };

  Kind kind = Kind::replicated;
  std::vector<Extent> tile_dims;        // tiled: the tensor's dims, then one per subgroup
  std::vector<SubgroupKind> subgroups;  // what the trailing tile dims are
  std::vector<Device> devices;          // tiled: row-major over tile_dims; maximal: one

  friend bool operator==(const HloSharding&, const HloSharding&) = default;
};

namespace detail {

// All devices of a mesh, as its coordinates run through in another order of axes, major first.
template<MeshLike M>
std::vector<Device> devices_in_order(const M& mesh, const std::vector<Axis>& order) {
  std::vector<Device> devices;
  for (Extent position = 0; position < mesh.device_count(); ++position) {
    Device device = 0;
    Extent rest = position;
    for (std::size_t i = order.size(); i-- > 0;) {
      device += rest % mesh.extent(order[i]) * stride_of(mesh, order[i]);
      rest /= mesh.extent(order[i]);
    }
    devices.push_back(device);
  }
  return devices;
}

}  // namespace detail

// The placement of `sharding` on a mesh.  The array of tiles is the mesh's coordinates in another
// order of axes: those that split the dims, dim by dim, then those of the subgroups.  A partial
// result is an `unreduced` subgroup; HLO does not say which reduction.  O(devices)
// Throws InvalidSharding where the sharding names an axis that the mesh does not have.
template<ShardingLike S, MeshLike M>
HloSharding to_hlo(const S& sharding, const M& mesh) {
  tessera::detail::check_axes(sharding, mesh);
  const DynamicSharding value = to_dynamic(sharding);
  std::vector<Axis> order;  // axes in the order of the tile array's digits
  HloSharding result;
  for (std::size_t dim = 0; dim < value.rank(); ++dim) {
    result.tile_dims.push_back(shard_count(value, mesh, dim));
    for (const Axis axis : value.axes(dim)) order.push_back(axis);
  }
  const bool is_split =
      std::any_of(result.tile_dims.begin(), result.tile_dims.end(), [](Extent n) { return n > 1; });
  const auto add_subgroup = [&](AxisSet axes, SubgroupKind kind) {
    const Extent size = extent_of(mesh, axes);
    for (const Axis axis : axes.to_list()) order.push_back(axis);
    if (size == 1) return;
    result.tile_dims.push_back(size);
    result.subgroups.push_back(kind);
  };
  const AxisSet partial = value.partial_axes();
  add_subgroup(partial, SubgroupKind::unreduced);
  add_subgroup(all_axes(mesh) - partial - value.split_axes(), SubgroupKind::replicated);

  if (!is_split && result.subgroups.size() <= 1) {
    const bool is_unreduced = !result.subgroups.empty() &&
                              result.subgroups[0] == SubgroupKind::unreduced;
    return {
        is_unreduced ? HloSharding::Kind::unreduced : HloSharding::Kind::replicated, {}, {}, {}};
  }
  result.kind = HloSharding::Kind::tiled;
  result.devices = detail::devices_in_order(mesh, order);
  // Copies are interchangeable: each group of them is listed in ascending order.
  if (!result.subgroups.empty() && result.subgroups.back() == SubgroupKind::replicated) {
    const auto size = static_cast<std::ptrdiff_t>(result.tile_dims.back());
    for (auto at = result.devices.begin(); at != result.devices.end(); at += size)
      std::sort(at, at + size);
  }
  return result;
}

// The same on a submesh: `count` devices from `first` on, of a cluster that has others too.  What
// is alike on all of them says so device by device, since {replicated} would mean the whole
// cluster.
inline HloSharding on_submesh(HloSharding sharding, std::size_t rank, Device first, Extent count) {
  using Kind = HloSharding::Kind;
  if (count == 1) return {Kind::maximal, {}, {}, {first}};
  if (sharding.kind == Kind::replicated || sharding.kind == Kind::unreduced) {
    sharding.subgroups = {sharding.kind == Kind::replicated ? SubgroupKind::replicated
                                                            : SubgroupKind::unreduced};
    sharding.kind = Kind::tiled;
    sharding.tile_dims.assign(rank, 1);
    sharding.tile_dims.push_back(count);
    for (Device device = 0; device < count; ++device) sharding.devices.push_back(device);
  }
  for (Device& device : sharding.devices) device += first;
  return sharding;
}

namespace detail {

// The axes that run along one dim of the array, major first, by how far the devices of neighbouring
// places are apart.  Nothing where that is no axis' stride.
template<MeshLike M>
std::optional<AxisList> axes_along(const std::vector<Device>& devices, Extent stride, Extent count,
                                   const M& mesh) {
  AxisList minor_first;
  for (Extent done = 1; done < count;) {
    const Device apart = devices[static_cast<std::size_t>(stride * done)] - devices[0];
    Axis axis = 0;
    while (axis < mesh.rank() && (mesh.extent(axis) == 1 || stride_of(mesh, axis) != apart)) ++axis;
    if (axis == mesh.rank()) return std::nullopt;
    minor_first.push_back(axis);
    done *= mesh.extent(axis);
    if (done > count) return std::nullopt;
  }
  AxisList result;
  for (std::size_t i = minor_first.size(); i-- > 0;) result.push_back(minor_first[i]);
  return result;
}

// An array of tiles without the dims of copies: of devices that hold the same the first one stands
// for all.
struct Tiles {
  std::vector<Extent> sizes;     // 1 where the dim is of copies
  std::vector<Device> first;     // by place, row-major over the sizes: the least of its devices
  std::vector<Extent> place_of;  // by position in the sharding's own array

  Extent count() const noexcept { return static_cast<Extent>(first.size()); }
};

// Nothing where a subgroup is neither of copies nor of partial results.  @pre tiled
inline std::optional<Tiles> tiles_of(const HloSharding& sharding) {
  Tiles result;
  const std::size_t rank = sharding.tile_dims.size() - sharding.subgroups.size();
  Extent places = 1;
  for (std::size_t d = 0; d < sharding.tile_dims.size(); ++d) {
    const bool is_copies = d >= rank && sharding.subgroups[d - rank] == SubgroupKind::replicated;
    if (d >= rank && !is_copies && sharding.subgroups[d - rank] != SubgroupKind::unreduced)
      return std::nullopt;
    result.sizes.push_back(is_copies ? 1 : sharding.tile_dims[d]);
    places *= result.sizes.back();
  }
  const auto count = static_cast<Extent>(sharding.devices.size());
  result.first.assign(static_cast<std::size_t>(places), count);
  for (Extent position = 0; position < count; ++position) {
    Extent place = 0, rest = position, stride = 1;
    for (std::size_t d = result.sizes.size(); d-- > 0;) {
      if (result.sizes[d] != 1) place += rest % sharding.tile_dims[d] * stride;
      rest /= sharding.tile_dims[d];
      stride *= result.sizes[d];
    }
    result.place_of.push_back(place);
    Device& least = result.first[static_cast<std::size_t>(place)];
    least = std::min(least, sharding.devices[static_cast<std::size_t>(position)]);
  }
  return result;
}

// Whether each of these devices, by position, holds the tile that `sharding` gives it.
template<MeshLike M>
bool are_placed(const std::vector<Device>& devices, const Tiles& tiles, DynamicSharding sharding,
                const M& mesh) {
  for (std::size_t position = 0; position < devices.size(); ++position) {
    const Device device = devices[position];
    if (device < 0 || device >= mesh.device_count()) return false;
    const Coordinates at = coordinates_of(mesh, device);
    Extent rest = tiles.place_of[position], step = tiles.count();
    for (std::size_t d = 0; d < sharding.rank(); ++d) {
      step /= tiles.sizes[d];
      if (rest / step != tile_index(sharding, mesh, d, at)) return false;
      rest %= step;
    }
  }
  return true;
}

}  // namespace detail

// The sharding of a tensor of `rank` dims that places it so on the mesh; nothing where no lists of
// axes do.  Partial results are taken for sums.  Where axes have one device, they are not used.
// O(devices * rank)
template<MeshLike M>
std::optional<DynamicSharding> from_hlo(const HloSharding& text, const M& mesh, std::size_t rank) {
  using Kind = HloSharding::Kind;
  DynamicSharding result = DynamicSharding::replicated(rank);
  if (text.kind == Kind::replicated) return result;
  if (text.kind == Kind::unreduced) {
    for (Axis axis = 0; axis < mesh.rank(); ++axis)
      if (mesh.extent(axis) > 1) result = result.with_partial(axis, Reduction::sum);
    return result;
  }
  const auto count = static_cast<Extent>(text.devices.size());
  if (text.kind != Kind::tiled || count != mesh.device_count()) return std::nullopt;
  if (text.tile_dims.size() != rank + text.subgroups.size()) return std::nullopt;
  const std::optional<detail::Tiles> tiles = detail::tiles_of(text);
  if (!tiles) return std::nullopt;
  Extent stride = tiles->count();
  for (std::size_t d = 0; d < tiles->sizes.size(); ++d) {
    stride /= tiles->sizes[d];
    const auto axes = detail::axes_along(tiles->first, stride, tiles->sizes[d], mesh);
    if (!axes) return std::nullopt;
    for (const Axis axis : *axes) {
      if (!result.is_replicated(axis)) return std::nullopt;
      result = d < rank ? result.with_split(d, axis) : result.with_partial(axis, Reduction::sum);
    }
  }
  if (!detail::are_placed(text.devices, *tiles, result, mesh)) return std::nullopt;
  return result;
}

// In the explicit form, which every version of XLA reads.
inline std::string to_string(const HloSharding& sharding) {
  using Kind = HloSharding::Kind;
  switch (sharding.kind) {
    case Kind::replicated: return "{replicated}";
    case Kind::manual: return "{manual}";
    case Kind::unreduced: return "{unreduced}";
    case Kind::unknown: return "{unknown}";
    case Kind::maximal: return "{maximal device=" + joined(sharding.devices, ",") + '}';
    case Kind::tiled: break;
  }
  std::string text = "{devices=[" + joined(sharding.tile_dims, ",") + ']' +
                     joined(sharding.devices, ",");
  if (sharding.subgroups.size() == 1 && sharding.subgroups[0] == SubgroupKind::replicated) {
    text += " last_tile_dim_replicate";
  } else if (!sharding.subgroups.empty()) {
    text += " last_tile_dims={";
    text += joined(sharding.subgroups, ", ", [](SubgroupKind kind) { return to_string(kind); });
    text += '}';
  }
  return text + '}';
}

// Throws what to_hlo() does.  O(devices)
template<ShardingLike S, MeshLike M>
std::string hlo_text(const S& sharding, const M& mesh) {
  return to_string(to_hlo(sharding, mesh));
}

// What is wrong with a sharding's text, and at which offset.
class HloShardingError : public Error {
 public:
  HloShardingError(std::size_t offset, const std::string& message)
      : Error(message), offset_(offset) {}
  std::size_t offset() const noexcept { return offset_; }

 private:
  std::size_t offset_;
};

namespace detail {

class HloShardingParser {
 public:
  explicit HloShardingParser(std::string_view text) : text_(text) {}

  std::vector<HloSharding> parse() {
    std::vector<HloSharding> leaves;
    expect('{');
    skip_space();
    if (peek() == '{') {  // a tuple's leaves
      do {
        leaves.push_back(leaf());
        skip_space();
      } while (take(','));
      expect('}');
    } else if (!take('}')) {
      at_ = 0;
      leaves.push_back(leaf());
    }
    skip_space();
    if (at_ != text_.size()) fail("unexpected text after the sharding");
    return leaves;
  }

 private:
  using Kind = HloSharding::Kind;

  [[noreturn]] void fail(const std::string& why) const { fail_at(at_, why); }
  [[noreturn]] void fail_at(std::size_t at, const std::string& why) const {
    throw HloShardingError(at, why);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string("expected '") + c + "'");
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  void skip_space() {
    while (true) {
      while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
      if (text_.substr(at_, 2) != "/*") return;
      const std::size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) fail("a comment is never closed");
      at_ = end + 2;
    }
  }
  std::string_view word() {
    const std::size_t begin = at_;
    while ((peek() >= 'a' && peek() <= 'z') || peek() == '_') ++at_;
    return text_.substr(begin, at_ - begin);
  }
  Extent number() {
    if (peek() < '0' || peek() > '9') fail("expected a number");
    Extent value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, peek() - '0', &value))
        fail("a number does not fit in 64 bits");
    return value;
  }
  // "[1,2]", the bracket included.
  std::vector<Extent> bracketed() {
    expect('[');
    std::vector<Extent> numbers;
    do numbers.push_back(number());
    while (peek() == ',' && ++at_);
    if (peek() != ']') fail("expected ']'");
    ++at_;
    return numbers;
  }
  Extent product_of(const std::vector<Extent>& numbers) const {
    Extent product = 1;
    for (const Extent n : numbers) {
      if (n < 1) fail("a tile dim is not positive");
      if (__builtin_mul_overflow(product, n, &product) || product > max_devices)
        fail("more than a million devices");
    }
    return product;
  }

  HloSharding leaf() {
    HloSharding result;
    expect('{');
    if (text_.substr(at_, 5) == "mesh[" || text_.substr(at_, 13) == "maximal_mesh[")
      return named_form();
    bool has_kind = false, has_subgroups = false;
    while (!take('}')) {
      const std::size_t begin = at_;
      const std::string_view item = word();
      if (const auto kind = kind_of(item)) {
        if (has_kind) fail("a sharding is of one kind only");
        has_kind = true;
        result.kind = *kind;
        if (*kind == Kind::tiled) read_tiles(result);
      } else if (item == "last_tile_dim_replicate" || item == "last_tile_dims") {
        if (has_subgroups) fail_at(begin, "the last tile dims are named twice");
        has_subgroups = true;
        if (item == "last_tile_dims")
          read_subgroups(result);
        else
          result.subgroups.push_back(SubgroupKind::replicated);
      } else if (item == "device") {
        read_device(result);
      } else if (item == "shard_as" || item == "shard_like") {
        skip_space();
        number();
      } else if (item == "metadata") {
        skip_metadata();
      } else {
        fail_at(begin, "expected a part of a sharding");
      }
      if (peek() == ',') fail("unexpected ','");
    }
    check(result, has_kind);
    return result;
  }

  static std::optional<Kind> kind_of(std::string_view word) {
    constexpr std::pair<std::string_view, Kind> kinds[] = {
        {"replicated", Kind::replicated}, {"manual", Kind::manual},   {"unknown", Kind::unknown},
        {"unreduced", Kind::unreduced},   {"maximal", Kind::maximal}, {"devices", Kind::tiled}};
    for (const auto& [name, kind] : kinds)
      if (name == word) return kind;
    return std::nullopt;
  }

  void read_device(HloSharding& result) {
    if (result.kind != Kind::maximal) fail("only a maximal sharding names a device");
    expect('=');
    result.devices.push_back(number());
  }

  void read_tiles(HloSharding& result) {
    expect('=');
    result.tile_dims = bracketed();
    const Extent tiles = product_of(result.tile_dims);
    if (take("<=")) {
      read_iota(result, tiles);
      return;
    }
    std::unordered_set<Device> seen;  // devices of a larger machine: any numbers may occur
    do {
      const std::size_t begin = at_;
      const Device device = number();
      if (!seen.insert(device).second)
        fail_at(begin, "device " + std::to_string(device) + " is listed twice");
      result.devices.push_back(device);
    } while (peek() == ',' && ++at_);
    if (static_cast<Extent>(result.devices.size()) != tiles)
      fail(std::to_string(result.devices.size()) + " devices for " + std::to_string(tiles) +
           " tiles");
  }

  // arange(N).reshape(dims).transpose(permutation), read in order.
  void read_iota(HloSharding& result, Extent tiles) {
    const std::vector<Extent> dims = bracketed();
    const Extent count = product_of(dims);
    if (count != tiles)
      fail(std::to_string(count) + " devices for " + std::to_string(tiles) + " tiles");
    std::vector<std::size_t> permutation(dims.size());
    std::iota(permutation.begin(), permutation.end(), std::size_t{0});
    const bool has_transpose = take("T(");
    if (has_transpose != (dims.size() > 1))
      fail(has_transpose ? "a list of one dim takes no T(...)"
                         : "a list of several dims needs T(...)");
    if (has_transpose) read_permutation(permutation);
    std::vector<Extent> strides(dims.size(), 1);
    for (std::size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
    for (Extent position = 0; position < count; ++position) {
      Device device = 0;
      Extent rest = position;
      for (std::size_t j = dims.size(); j-- > 0;) {
        const std::size_t source = permutation[j];
        device += rest % dims[source] * strides[source];
        rest /= dims[source];
      }
      result.devices.push_back(device);
    }
  }

  void read_permutation(std::vector<std::size_t>& permutation) {
    std::vector<char> seen(permutation.size(), 0);
    for (std::size_t j = 0; j < permutation.size(); ++j) {
      if (j > 0) {
        if (peek() != ',') fail("the permutation has too few entries");
        ++at_;
      }
      const Extent entry = number();
      if (entry >= static_cast<Extent>(seen.size()) || seen[static_cast<std::size_t>(entry)] != 0)
        fail("the permutation names " + std::to_string(entry) + " out of range or twice");
      seen[static_cast<std::size_t>(entry)] = 1;
      permutation[j] = static_cast<std::size_t>(entry);
    }
    if (peek() != ')') fail("expected ')'");
    ++at_;
  }

  void read_subgroups(HloSharding& result) {
    expect('=');
    expect('{');
    if (take('}')) return;
    do {
      skip_space();
      const std::size_t begin = at_;
      const std::string_view kind = word();
      if (kind == "replicated")
        result.subgroups.push_back(SubgroupKind::replicated);
      else if (kind == "manual")
        result.subgroups.push_back(SubgroupKind::manual);
      else if (kind == "unreduced")
        result.subgroups.push_back(SubgroupKind::unreduced);
      else if (kind == "maximal")
        result.subgroups.push_back(SubgroupKind::maximal);
      else
        fail_at(begin, "expected a kind of subgroup");
    } while (take(','));
    expect('}');
  }

  void skip_metadata() {
    expect('=');
    expect('{');
    for (int depth = 1; depth > 0; ++at_) {
      if (at_ >= text_.size()) fail("metadata is never closed");
      if (text_[at_] == '"') {
        for (++at_; peek() != '"'; ++at_) {
          if (peek() == '\\') ++at_;
          if (at_ >= text_.size()) fail("a string is never closed");
        }
      } else {
        depth += text_[at_] == '{';
        depth -= text_[at_] == '}';
      }
    }
  }

  // The form with axis names (V3) is taken whole: what it means needs the names' mesh.
  HloSharding named_form() {
    int depth = 1;
    while (depth > 0) {
      if (at_ >= text_.size()) fail("a sharding is never closed");
      depth += text_[at_] == '{';
      depth -= text_[at_] == '}';
      ++at_;
    }
    HloSharding result;
    result.kind = Kind::unknown;
    return result;
  }

  void check(const HloSharding& sharding, bool has_kind) const {
    if (!has_kind)
      fail(sharding.subgroups.empty() ? "the sharding says nothing"
                                      : "tile dims are named, but there are no tiles");
    if (sharding.kind == Kind::maximal && sharding.devices.size() != 1)
      fail("a maximal sharding names exactly one device");
    if (sharding.kind == Kind::tiled && sharding.devices.size() < 2)
      fail("tiles need more than one device");
    if (sharding.subgroups.size() > sharding.tile_dims.size())
      fail("more subgroups than tile dims");
  }

  static constexpr Extent max_devices = 1 << 20;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace detail

// The leaves of a sharding's text, one for an array, any number for a tuple.
// Throws HloShardingError.
inline std::vector<HloSharding> parse_hlo_sharding(std::string_view text) {
  return detail::HloShardingParser(text).parse();
}

}  // namespace tessera::notation
