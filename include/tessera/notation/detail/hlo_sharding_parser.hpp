// SPDX-License-Identifier: Apache-2.0
//
// The text of an HLO sharding, read by recursive descent.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/notation/hlo_sharding.hpp"

namespace tessera::notation::detail {

class HloShardingParser {
 public:
  explicit HloShardingParser(std::string_view text) : text_(text) {}

  // The whole text.  Throws HloShardingError.
  std::vector<HloSharding> parse();

 private:
  using Kind = HloSharding::Kind;

  // --- Characters and words ----------------------------------------------------------------------
  [[noreturn]] void fail(const std::string& why) const { fail_at(at_, why); }
  [[noreturn]] void fail_at(std::size_t at, const std::string& why) const;
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c);
  bool take(std::string_view word);
  void expect(char c);
  void skip_space();  // and comments
  std::string_view word();
  Extent number();
  std::vector<Extent> bracketed();  // "[1,2]"
  Extent product_of(const std::vector<Extent>& numbers) const;

  // --- Parts of a sharding -----------------------------------------------------------------------
  // The parts of one leaf that have been read.
  struct Leaf {
    HloSharding sharding;
    bool has_kind = false, has_subgroups = false;
  };
  HloSharding leaf();
  bool is_named_form() const;
  void read_item(Leaf& leaf);
  void set_kind(Leaf& leaf, Kind kind);
  void read_device(HloSharding& result);
  void read_tiles(HloSharding& result);
  void read_devices(HloSharding& result, Extent tiles);
  void read_iota(HloSharding& result, Extent tiles);
  std::vector<std::size_t> read_permutation(std::size_t rank);
  void read_subgroups(HloSharding& result);
  void skip_metadata();
  void skip_string();
  HloSharding named_form();
  void check(const Leaf& leaf) const;

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace tessera::notation::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/notation/detail/hlo_sharding_parser.ipp"
#endif
