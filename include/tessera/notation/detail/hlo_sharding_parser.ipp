// SPDX-License-Identifier: Apache-2.0
//
// Reading the text of an HLO sharding.
#pragma once
#include <numeric>
#include <optional>
#include <unordered_set>
#include <utility>

#include "tessera/notation/detail/hlo_sharding_parser.hpp"

namespace tessera::notation::detail {

inline constexpr Extent max_hlo_devices = 1 << 20;

TESSERA_INLINE std::vector<HloSharding> HloShardingParser::parse() {
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

// --- Characters and words ------------------------------------------------------------------------

TESSERA_INLINE void HloShardingParser::fail_at(std::size_t at, const std::string& why) const {
  throw HloShardingError(at, why);
}

TESSERA_INLINE bool HloShardingParser::take(char c) {
  skip_space();
  if (peek() != c) return false;
  ++at_;
  return true;
}

TESSERA_INLINE bool HloShardingParser::take(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

TESSERA_INLINE void HloShardingParser::expect(char c) {
  if (!take(c)) fail(std::string("expected '") + c + "'");
}

TESSERA_INLINE void HloShardingParser::skip_space() {
  while (true) {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
    if (text_.substr(at_, 2) != "/*") return;
    const std::size_t end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) fail("a comment is never closed");
    at_ = end + 2;
  }
}

TESSERA_INLINE std::string_view HloShardingParser::word() {
  const std::size_t begin = at_;
  while ((peek() >= 'a' && peek() <= 'z') || peek() == '_') ++at_;
  return text_.substr(begin, at_ - begin);
}

TESSERA_INLINE Extent HloShardingParser::number() {
  if (peek() < '0' || peek() > '9') fail("expected a number");
  Extent value = 0;
  for (; peek() >= '0' && peek() <= '9'; ++at_)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, peek() - '0', &value))
      fail("a number does not fit in 64 bits");
  return value;
}

TESSERA_INLINE std::vector<Extent> HloShardingParser::bracketed() {
  expect('[');
  std::vector<Extent> numbers;
  do numbers.push_back(number());
  while (peek() == ',' && ++at_);
  if (peek() != ']') fail("expected ']'");
  ++at_;
  return numbers;
}

TESSERA_INLINE Extent HloShardingParser::product_of(const std::vector<Extent>& numbers) const {
  Extent product = 1;
  for (const Extent n : numbers) {
    if (n < 1) fail("a tile dim is not positive");
    if (__builtin_mul_overflow(product, n, &product) || product > max_hlo_devices)
      fail("more than a million devices");
  }
  return product;
}

// --- Parts of a sharding -------------------------------------------------------------------------

// A word that names one of several meanings.
template<class T, std::size_t N>
std::optional<T> named(std::string_view word, const std::pair<std::string_view, T> (&names)[N]) {
  for (const auto& [name, value] : names)
    if (name == word) return value;
  return std::nullopt;
}

TESSERA_INLINE HloSharding HloShardingParser::leaf() {
  expect('{');
  if (is_named_form()) return named_form();
  Leaf leaf;
  while (!take('}')) {
    read_item(leaf);
    if (peek() == ',') fail("unexpected ','");
  }
  check(leaf);
  return std::move(leaf.sharding);
}

TESSERA_INLINE void HloShardingParser::read_item(Leaf& leaf) {
  static constexpr std::pair<std::string_view, Kind> kinds[] = {
      {"replicated", Kind::replicated}, {"manual", Kind::manual},   {"unknown", Kind::unknown},
      {"unreduced", Kind::unreduced},   {"maximal", Kind::maximal}, {"devices", Kind::tiled}};
  const std::size_t begin = at_;
  const std::string_view item = word();
  if (const auto kind = named(item, kinds)) {
    set_kind(leaf, *kind);
  } else if (item == "last_tile_dim_replicate" || item == "last_tile_dims") {
    if (leaf.has_subgroups) fail_at(begin, "the last tile dims are named twice");
    leaf.has_subgroups = true;
    if (item == "last_tile_dims")
      read_subgroups(leaf.sharding);
    else
      leaf.sharding.subgroups.push_back(SubgroupKind::replicated);
  } else if (item == "device") {
    read_device(leaf.sharding);
  } else if (item == "shard_as" || item == "shard_like") {
    skip_space();
    number();
  } else if (item == "metadata") {
    skip_metadata();
  } else {
    fail_at(begin, "expected a part of a sharding");
  }
}

TESSERA_INLINE void HloShardingParser::set_kind(Leaf& leaf, Kind kind) {
  if (leaf.has_kind) fail("a sharding is of one kind only");
  leaf.has_kind = true;
  leaf.sharding.kind = kind;
  if (kind == Kind::tiled) read_tiles(leaf.sharding);
}

TESSERA_INLINE void HloShardingParser::read_device(HloSharding& result) {
  if (result.kind != Kind::maximal) fail("only a maximal sharding names a device");
  expect('=');
  result.devices.push_back(number());
}

TESSERA_INLINE void HloShardingParser::read_tiles(HloSharding& result) {
  expect('=');
  result.tile_dims = bracketed();
  const Extent tiles = product_of(result.tile_dims);
  take("<=") ? read_iota(result, tiles) : read_devices(result, tiles);
}

TESSERA_INLINE void HloShardingParser::read_devices(HloSharding& result, Extent tiles) {
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

// The devices in the order of arange(N).reshape(dims).transpose(permutation).
TESSERA_INLINE std::vector<Device> iota_devices(const std::vector<Extent>& dims,
                                                const std::vector<std::size_t>& permutation,
                                                Extent count) {
  std::vector<Device> devices;
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
    devices.push_back(device);
  }
  return devices;
}

TESSERA_INLINE void HloShardingParser::read_iota(HloSharding& result, Extent tiles) {
  const std::vector<Extent> dims = bracketed();
  const Extent count = product_of(dims);
  if (count != tiles)
    fail(std::to_string(count) + " devices for " + std::to_string(tiles) + " tiles");
  const bool has_transpose = take("T(");
  if (has_transpose != (dims.size() > 1))
    fail(has_transpose ? "a list of one dim takes no T(...)"
                       : "a list of several dims needs T(...)");
  const std::vector<std::size_t> permutation = has_transpose ? read_permutation(dims.size())
                                                             : std::vector<std::size_t>{0};
  result.devices = iota_devices(dims, permutation, count);
}

TESSERA_INLINE std::vector<std::size_t> HloShardingParser::read_permutation(std::size_t rank) {
  std::vector<std::size_t> permutation;
  std::vector<char> seen(rank, 0);
  for (std::size_t j = 0; j < rank; ++j) {
    if (j > 0) {
      if (peek() != ',') fail("the permutation has too few entries");
      ++at_;
    }
    const Extent entry = number();
    if (entry >= static_cast<Extent>(rank) || seen[static_cast<std::size_t>(entry)] != 0)
      fail("the permutation names " + std::to_string(entry) + " out of range or twice");
    seen[static_cast<std::size_t>(entry)] = 1;
    permutation.push_back(static_cast<std::size_t>(entry));
  }
  if (peek() != ')') fail("expected ')'");
  ++at_;
  return permutation;
}

TESSERA_INLINE void HloShardingParser::read_subgroups(HloSharding& result) {
  static constexpr std::pair<std::string_view, SubgroupKind> kinds[] = {
      {"replicated", SubgroupKind::replicated},
      {"manual", SubgroupKind::manual},
      {"unreduced", SubgroupKind::unreduced},
      {"maximal", SubgroupKind::maximal}};
  expect('=');
  expect('{');
  if (take('}')) return;
  do {
    skip_space();
    const std::size_t begin = at_;
    const auto kind = named(word(), kinds);
    if (!kind) fail_at(begin, "expected a kind of subgroup");
    result.subgroups.push_back(*kind);
  } while (take(','));
  expect('}');
}

TESSERA_INLINE void HloShardingParser::skip_metadata() {
  expect('=');
  expect('{');
  for (int depth = 1; depth > 0; ++at_) {
    if (at_ >= text_.size()) fail("metadata is never closed");
    if (text_[at_] == '"') {
      skip_string();
    } else {
      depth += text_[at_] == '{';
      depth -= text_[at_] == '}';
    }
  }
}

// To the quotation mark that ends a string.
TESSERA_INLINE void HloShardingParser::skip_string() {
  for (++at_; peek() != '"'; ++at_) {
    if (peek() == '\\') ++at_;
    if (at_ >= text_.size()) fail("a string is never closed");
  }
}

TESSERA_INLINE bool HloShardingParser::is_named_form() const {
  return text_.substr(at_, 5) == "mesh[" || text_.substr(at_, 13) == "maximal_mesh[";
}

// The form with axis names (V3) is taken whole: what it means needs the names' mesh.
TESSERA_INLINE HloSharding HloShardingParser::named_form() {
  for (int depth = 1; depth > 0; ++at_) {
    if (at_ >= text_.size()) fail("a sharding is never closed");
    depth += text_[at_] == '{';
    depth -= text_[at_] == '}';
  }
  HloSharding result;
  result.kind = Kind::unknown;
  return result;
}

TESSERA_INLINE void HloShardingParser::check(const Leaf& leaf) const {
  const HloSharding& sharding = leaf.sharding;
  if (!leaf.has_kind)
    fail(sharding.subgroups.empty() ? "the sharding says nothing"
                                    : "tile dims are named, but there are no tiles");
  if (sharding.kind == Kind::maximal && sharding.devices.size() != 1)
    fail("a maximal sharding names exactly one device");
  if (sharding.kind == Kind::tiled && sharding.devices.size() < 2)
    fail("tiles need more than one device");
  if (sharding.subgroups.size() > sharding.tile_dims.size()) fail("more subgroups than tile dims");
}

}  // namespace tessera::notation::detail

namespace tessera::notation {

TESSERA_INLINE std::vector<HloSharding> parse_hlo_sharding(std::string_view text) {
  return detail::HloShardingParser(text).parse();
}

}  // namespace tessera::notation
