// SPDX-License-Identifier: Apache-2.0
//
// The bodies of price_store.hpp.
//
// Each price has a file: a line of what it depends on, a line of the price, both as integers, and
// last a hash of the two, so that a file that was cut short is not accepted.  The file is named
// after a hash of the first line; the whole of that line is compared.
#pragma once
#include "tessera/io/price_store.hpp"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/io/file.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera::io {

namespace detail {

using Numbers = std::vector<std::int64_t>;

TESSERA_INLINE void put_shardings(Numbers& numbers, const std::vector<DynamicSharding>& shardings) {
  numbers.push_back(static_cast<std::int64_t>(shardings.size()));
  for (const DynamicSharding sharding : shardings) {
    numbers.push_back(static_cast<std::int64_t>(sharding.rank()));
    for (std::size_t dim = 0; dim < sharding.rank(); ++dim) {
      numbers.push_back(static_cast<std::int64_t>(sharding.axes(dim).size()));
      for (const Axis axis : sharding.axes(dim)) numbers.push_back(axis);
    }
  }
}

TESSERA_INLINE void put_wide(Numbers& numbers, Wide number) {
  numbers.push_back(static_cast<std::int64_t>(number >> 62));
  numbers.push_back(static_cast<std::int64_t>(number & ((Wide{1} << 62) - 1)));
}

TESSERA_INLINE void put_rematerializations(
    Numbers& numbers, const std::vector<plan::Rematerialization>& rematerializations) {
  numbers.push_back(static_cast<std::int64_t>(rematerializations.size()));
  for (const plan::Rematerialization& rematerialization : rematerializations) {
    for (const std::int64_t number : {rematerialization.time, rematerialization.saved,
                                      rematerialization.least_saved, rematerialization.restored})
      numbers.push_back(number);
    put_wide(numbers, rematerialization.flops);
    numbers.push_back(static_cast<std::int64_t>(rematerialization.ops.size()));
    for (const graph::OpId id : rematerialization.ops)
      numbers.push_back(static_cast<std::int64_t>(id));
  }
}

// Values that cross between layers are not partial sums.
TESSERA_INLINE Numbers numbers_of(const plan::SpanPrice& price) {
  Numbers numbers{price.forward,         price.backward,  price.per_step,  price.fixed,
                  price.saved,           price.given,     price.transient, price.peak,
                  price.weight_backward, price.least_work};
  put_wide(numbers, price.model_flops);
  put_wide(numbers, price.hardware_flops);
  put_rematerializations(numbers, price.rematerializations);
  numbers.push_back(price.is_proven ? 1 : 0);
  put_shardings(numbers, price.received);
  put_shardings(numbers, price.sent);
  return numbers;
}

// Reads the numbers that numbers_of() wrote; throws std::out_of_range, or an Error, for any others.
class PriceReader {
 public:
  explicit PriceReader(const Numbers& numbers) : numbers_(numbers) {}

  plan::SpanPrice run() {
    plan::SpanPrice price;
    for (Extent* const number :
         {&price.forward, &price.backward, &price.per_step, &price.fixed, &price.saved,
          &price.given, &price.transient, &price.peak, &price.weight_backward, &price.least_work})
      *number = next();
    price.model_flops = next_wide();
    price.hardware_flops = next_wide();
    price.rematerializations = rematerializations();
    price.is_proven = next() != 0;
    price.received = shardings();
    price.sent = shardings();
    if (at_ != numbers_.size()) throw InvalidArgument("price");
    return price;
  }

 private:
  std::int64_t next() { return numbers_.at(at_++); }
  Wide next_wide() {
    const Wide high = Wide(next()) << 62;
    return high + next();
  }
  std::int64_t next_below(std::int64_t limit) {
    const std::int64_t number = next();
    if (number < 0 || number >= limit) throw InvalidArgument("price");
    return number;
  }

  std::vector<plan::Rematerialization> rematerializations() {
    std::vector<plan::Rematerialization> result;
    for (std::int64_t left = next(); left > 0; --left) {
      plan::Rematerialization& rematerialization = result.emplace_back();
      for (Extent* const number : {&rematerialization.time, &rematerialization.saved,
                                   &rematerialization.least_saved, &rematerialization.restored})
        *number = next();
      rematerialization.flops = next_wide();
      for (std::int64_t ops = next(); ops > 0; --ops)
        rematerialization.ops.push_back(static_cast<graph::OpId>(next()));
    }
    if (result.empty()) throw InvalidArgument("price");
    return result;
  }

  std::vector<DynamicSharding> shardings() {
    std::vector<DynamicSharding> result;
    const std::int64_t count = next();
    for (std::int64_t i = 0; i < count; ++i) {
      const auto rank = static_cast<std::size_t>(next_below(max_dims + 1));
      DynamicSharding sharding = DynamicSharding::replicated(rank);
      for (std::size_t dim = 0; dim < rank; ++dim)
        for (std::int64_t left = next_below(max_axes + 1); left > 0; --left)
          sharding = sharding.with_split(dim, static_cast<Axis>(next_below(max_axes)));
      result.push_back(sharding);
    }
    return result;
  }

  const Numbers& numbers_;
  std::size_t at_ = 0;
};

TESSERA_INLINE std::string line_of(const Numbers& numbers) {
  std::string line;
  for (const std::int64_t number : numbers) line += std::to_string(number) + ' ';
  return line + '\n';
}

TESSERA_INLINE Numbers numbers_in(const std::string& line) {
  Numbers numbers;
  std::istringstream stream(line);
  for (std::int64_t number = 0; stream >> number;) numbers.push_back(number);
  return numbers;
}

TESSERA_INLINE std::string hash_text(const Numbers& numbers) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx",
                static_cast<unsigned long long>(pipeline::hash_of(numbers)));
  return text;
}

TESSERA_INLINE std::optional<plan::SpanPrice> read_price(const std::string& path,
                                                         const Numbers& key) {
  try {
    if (!std::filesystem::exists(path)) return std::nullopt;
    std::istringstream text(read_file(path));
    std::string key_line, price_line, hash;
    std::getline(text, key_line);
    std::getline(text, price_line);
    std::getline(text, hash);
    Numbers all = numbers_in(key_line);
    if (all != key) return std::nullopt;
    const Numbers price = numbers_in(price_line);
    all.insert(all.end(), price.begin(), price.end());
    if (hash != hash_text(all)) return std::nullopt;
    return PriceReader(price).run();
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace detail

TESSERA_INLINE plan::PriceStore price_store(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw InputError(folder, error.message());
  const auto path_of = [folder](const detail::Numbers& key) {
    return folder + '/' + detail::hash_text(key) + ".price";
  };
  plan::PriceStore store;
  store.find = [path_of](const detail::Numbers& key) {
    return detail::read_price(path_of(key), key);
  };
  store.keep = [path_of](const detail::Numbers& key, const plan::SpanPrice& price) {
    const detail::Numbers numbers = detail::numbers_of(price);
    detail::Numbers all = key;
    all.insert(all.end(), numbers.begin(), numbers.end());
    try {
      write_file(path_of(key),
                 detail::line_of(key) + detail::line_of(numbers) + detail::hash_text(all) + '\n');
    } catch (const std::exception&) {
      return;
    }
  };
  return store;
}

}  // namespace tessera::io
