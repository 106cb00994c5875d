// SPDX-License-Identifier: Apache-2.0
// Core: small vectors, exact integers and decimals, positions and excerpts of texts.
#include <doctest/doctest.h>

#include <bit>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tessera/core.hpp"

namespace {
using namespace tessera;

// --- Decided by the compiler ---------------------------------------------------------------------
constexpr InlineVector<int, 3> filled() {
  InlineVector<int, 3> vector{1, 2};
  vector.push_back(3);
  return vector;
}
static_assert(filled().size() == 3 && filled()[2] == 3 &&
              filled() == InlineVector<int, 3>{1, 2, 3});
static_assert(sizeof(InlineVector<unsigned char, 8>) == 9);
static_assert(ceil_div(7, 2) == 4 && ceil_div(8, 2) == 4 && ceil_div(0, 5) == 0);
static_assert(saturating_add(1, 2) == 3 && saturating_add(infinite, -5) == infinite);
// A sum that reaches the name for forbidden, or would leave 64 bits, stops there.
static_assert(saturating_add(infinite - 1, 1) == infinite &&
              saturating_add(infinite - 1, infinite - 1) == infinite &&
              saturating_add(infinite - 1, -1) == infinite - 2);
static_assert(saturating_add(std::numeric_limits<Cost>::min(), -1) ==
              std::numeric_limits<Cost>::min());
static_assert(FixedString("mk,kn->mn").view() == "mk,kn->mn");

// --- Decided by running --------------------------------------------------------------------------
TEST_CASE("an inline vector refuses to outgrow its capacity") {
  InlineVector<int, 2> vector{1, 2};
  CHECK_THROWS_AS(vector.push_back(3), tessera::CapacityExceeded);
  vector.resize(1);
  CHECK(vector.size() == 1);
}

TEST_CASE("a product that does not fit is reported") {
  constexpr std::int64_t large = std::numeric_limits<std::int64_t>::max() / 2;
  CHECK(checked_mul(large, 2) == large * 2);
  CHECK(checked_mul(0, large) == 0);
  CHECK_THROWS_AS(checked_mul(large, 3), tessera::Overflow);
}

TEST_CASE("decimals are read exactly, or not at all") {
  CHECK(parse_decimal("1") == Decimal{1, 1});
  CHECK(parse_decimal("0.01") == Decimal{1, 100});
  CHECK(parse_decimal("2.50") == Decimal{25, 10});
  CHECK(parse_decimal("2.5e-3") == Decimal{25, 10000});
  CHECK(parse_decimal("1e3") == Decimal{1000, 1});
  CHECK(parse_decimal("0e99") == Decimal{0, 1});
  CHECK(parse_decimal(".5") == Decimal{5, 10});
  // Zeros that say nothing do not count as digits.
  CHECK(parse_decimal("0e-50") == Decimal{0, 1});
  CHECK(parse_decimal("0e12345") == Decimal{0, 1});
  CHECK(parse_decimal("1.0000000000000000000") == Decimal{1, 1});
  CHECK(parse_decimal("0000000000000000000.5") == Decimal{5, 10});
  CHECK(parse_decimal("1000000000000000000000e-21") == Decimal{1, 1});
  CHECK(parse_decimal("10.01") == Decimal{1001, 100});
  CHECK(parse_decimal("123456789012345678") == Decimal{123456789012345678, 1});
  for (const char* bad : {"", ".", "x", "1x", "-1", "1e", "1e-", "1.2.3", "1e30", "1e-40", "+1",
                          "1234567890123456789", "1e12345", "1e-12345", "0e", "nan", "inf"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_decimal(bad).has_value());
  }
}

TEST_CASE("totals hold more than 64 bits") {
  Wide total = 0;
  for (int i = 0; i < 1000; ++i) total += std::numeric_limits<std::int64_t>::max();
  CHECK(to_string(total) == "9223372036854775807000");
}

TEST_CASE("a position counts lines and columns from 1") {
  CHECK(position_of("ab\ncd", 0) == Position{1, 1});
  CHECK(position_of("ab\ncd", 2) == Position{1, 3});
  CHECK(position_of("ab\ncd", 3) == Position{2, 1});
  CHECK(position_of("ab\ncd", 99) == Position{2, 3});
  CHECK(std::string(InputError("f.hlo", {2, 3}, "no").what()) == "f.hlo:2:3: no");
  CHECK(InputError("f.hlo", {2, 3}, "no").position() == Position{2, 3});
  CHECK_FALSE(InputError("--mesh", "no").position().has_value());
}

TEST_CASE("an excerpt is short, on one line and printable") {
  CHECK(excerpt("abc") == "'abc'");
  CHECK(excerpt("a\nb") == "'a...'");
  CHECK(excerpt("a\x01z") == "'a?z'");
  CHECK(excerpt(std::string(100, 'x')) == "'" + std::string(40, 'x') + "...'");
}

TEST_CASE("lists join with separators between entries only") {
  CHECK(joined(std::vector<int>{}, ", ").empty());
  CHECK(joined(std::vector<int>{1}, ", ") == "1");
  CHECK(joined(std::vector<int>{1, 2, 3}, ", ") == "1, 2, 3");
}

TEST_CASE("numbers are read as std::from_chars reads them, whatever the standard library has") {
  const char* const texts[] = {"0",
                               "-0",
                               "1",
                               "2.5e-3",
                               ".5",
                               "5.",
                               "1e5",
                               "1e+5",
                               "1E5x",
                               "e5",
                               ".",
                               "-",
                               "",
                               "+1",
                               "1e",
                               "1e-",
                               "inf",
                               "-Infinity",
                               "nan",
                               "NaN(x1)",
                               "nan(",
                               "0x10",
                               "1e999",
                               "-1e999",
                               "1e-999",
                               "0e999",
                               "4.9e-324",
                               "2e-320",
                               "0.1",
                               "1.7976931348623157e308",
                               "123456789012345678901234567890",
                               " 1",
                               "1,5",
                               "infinite",
                               "2.2250738585072011e-308"};
  for (const std::string text : texts) {
    CAPTURE(text);
    double expected = -7, found = -7;
    const char* const first = text.data();
    const auto [end, error] = std::from_chars(first, first + text.size(), expected);
    const ReadEnd read = detail::read_double_by_strtod(first, first + text.size(), found);
    CHECK(read.error == error);
    CHECK(read.end - first == end - first);
    CHECK(std::bit_cast<std::uint64_t>(found) == std::bit_cast<std::uint64_t>(expected));
    CHECK(read_double(first, first + text.size(), found).end == end);
  }
}

}  // namespace
