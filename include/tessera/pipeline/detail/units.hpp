// SPDX-License-Identifier: Apache-2.0
//
// The forward part as a row of units, and its cut into layers.  For the bodies of layers.hpp.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/pipeline/detail/forward_part.hpp"

namespace tessera::pipeline::detail {

// The forward part as a row of units, with the work of each and what each reads of those before.
struct Units {
  // A value that a unit reads.  `known`: the last unit before it that computes or reads it, so that
  // it comes into a layer with this unit if the layer begins after that one.
  struct Read {
    std::size_t known;
    Wide bytes;
  };

  std::vector<std::uint32_t> of_op;  // by OpId; forward ops only
  std::vector<Wide> work;
  std::vector<std::vector<Read>> reads;

  std::size_t size() const noexcept { return work.size(); }

  Units(const graph::Graph& graph, const ForwardPart& forward, const std::vector<Wide>& op_work)
      : of_op(graph.op_count(), 0) {
    const std::vector<OpId> begins = find_begins(graph, forward);
    work.assign(begins.size() + 1, 0);
    reads.resize(begins.size() + 1);
    std::size_t unit = 0;
    for (OpId id = 0; id < forward.end(); ++id) {
      if (unit < begins.size() && id == begins[unit]) ++unit;
      of_op[id] = static_cast<std::uint32_t>(unit);
      work[unit] += op_work[id];
    }
    for (OpId id = 0; id < forward.end(); ++id)
      if (forward.contains(id)) note_reads(graph, forward, id);
  }

 private:
  static Wide bytes_of(const graph::Graph& graph, graph::Value value) {
    return graph::byte_count(graph.type_of(value));
  }

  // Where units begin, but for the first: one place between any two heavy ops that can be parted.
  static std::vector<OpId> find_begins(const graph::Graph& graph, const ForwardPart& forward) {
    const std::vector<Wide> alive = bytes_alive(graph, forward);
    std::vector<bool> is_in_loop(forward.end() + 1, false);
    for (const graph::Loop& loop : graph.loops)
      for (OpId id = loop.begin + 1; id < loop.end && id <= forward.end(); ++id)
        is_in_loop[id] = true;
    std::vector<OpId> begins;
    for (std::size_t i = 0; i + 1 < forward.heavy().size(); ++i) {
      std::optional<OpId> best;
      for (OpId id = forward.heavy()[i] + 1; id <= forward.heavy()[i + 1]; ++id)
        if (!is_in_loop[id] && (!best || alive[id] <= alive[*best])) best = id;
      if (best) begins.push_back(*best);
    }
    return begins;
  }
  // Before each op: the bytes of forward results that it or a forward op after it reads.
  static std::vector<Wide> bytes_alive(const graph::Graph& graph, const ForwardPart& forward) {
    std::vector<Wide> change(forward.end() + 2, 0);
    for (OpId id = 0; id < forward.end(); ++id) {
      if (!forward.contains(id)) continue;
      std::vector<OpId> last(graph.op(id).results.size(), id);
      graph.for_each_use(id, [&](OpId reader, const graph::Use& use) {
        if (!use.is_next && forward.contains(reader))
          last[use.result] = std::max(last[use.result], reader);
      });
      for (std::uint32_t result = 0; result < last.size(); ++result) {
        const Wide bytes = bytes_of(graph, {id, result});
        change[id + 1] += bytes;
        change[last[result] + 1] -= bytes;
      }
    }
    for (std::size_t i = 1; i < change.size(); ++i) change[i] += change[i - 1];
    return change;
  }

  void note_reads(const graph::Graph& graph, const ForwardPart& forward, OpId id) {
    for (std::uint32_t result = 0; result < graph.op(id).results.size(); ++result) {
      std::vector<std::size_t> readers;
      graph.for_each_use(id, [&](OpId reader, const graph::Use& use) {
        if (!use.is_next && use.result == result && forward.contains(reader))
          readers.push_back(of_op[reader]);
      });
      std::sort(readers.begin(), readers.end());
      std::size_t known = of_op[id];
      for (const std::size_t reader : readers) {
        if (reader == known) continue;
        reads[reader].push_back({known, bytes_of(graph, {id, result})});
        known = reader;
      }
    }
  }
};

// Cuts a row of units into layers, by three dynamic programs over (layers, units): each fixes one
// number, which the next one keeps to.
class UnitPartition {
 public:
  UnitPartition(const Units& units, std::size_t layers, std::int64_t tolerance)
      : units_(units), layers_(layers), count_(units.size()) {
    work_before_.push_back(0);
    for (const Wide work : units.work) work_before_.push_back(work_before_.back() + work);
    // Squares of the work must fit as well.
    for (Wide total = work_before_.back(); total >> shift_ > std::int64_t{1} << 60; ++shift_)
      continue;
    compute_inputs();
    most_work_ = allowed_work(tolerance);
  }

  // The first unit of each layer.
  std::vector<std::size_t> run() {
    const auto work = [&](std::size_t first, std::size_t last) { return work_of(first, last); };
    const auto input = [&](std::size_t first, std::size_t last) -> std::optional<Wide> {
      if (work_of(first, last) > most_work_) return std::nullopt;
      return inputs_[first][last];
    };
    const auto largest = [](Wide a, Wide b) { return std::max(a, b); };
    most_work_ = std::max(most_work_, *best(work, largest).value);
    most_input_ = *best(input, largest).value;
    const auto square = [&](std::size_t first, std::size_t last) -> std::optional<Wide> {
      const std::optional<Wide> bytes = input(first, last);
      if (!bytes || *bytes > most_input_) return std::nullopt;
      const Wide scaled = work_of(first, last) >> shift_;
      return scaled * scaled;
    };
    return best(square, [](Wide a, Wide b) { return a + b; }).begins;
  }

 private:
  struct Best {
    std::optional<Wide> value;
    std::vector<std::size_t> begins;
  };

  Wide work_of(std::size_t first, std::size_t last) const {
    return work_before_[last + 1] - work_before_[first];
  }
  Wide allowed_work(std::int64_t tolerance) const {
    return work_before_.back() * (100 + tolerance) / (100 * static_cast<Wide>(layers_));
  }
  // inputs_[i][k]: the bytes that units i..k read from units before i.
  void compute_inputs() {
    inputs_.assign(count_, std::vector<Wide>(count_, 0));
    for (std::size_t first = 0; first < count_; ++first) {
      Wide sum = 0;
      for (std::size_t last = first; last < count_; ++last) {
        for (const Units::Read& read : units_.reads[last])
          if (read.known < first) sum += read.bytes;
        inputs_[first][last] = sum;
      }
    }
  }

  // The least that price(first, last) of all layers comes to, taken together by `join`; nothing
  // where some layer has no price whatever the cut.  best[r][k]: of r + 1 layers, units 0..k.
  template<class Price, class Join>
  Best best(Price&& price, Join&& join) const {
    using Row = std::vector<std::optional<Wide>>;
    std::vector<Row> values(layers_, Row(count_));
    std::vector<std::vector<std::size_t>> begins(layers_, std::vector<std::size_t>(count_, 0));
    for (std::size_t k = 0; k < count_; ++k) values[0][k] = std::optional<Wide>(price(0, k));
    for (std::size_t r = 1; r < layers_; ++r)
      for (std::size_t k = r; k < count_; ++k)
        for (std::size_t first = r; first <= k; ++first) {
          const std::optional<Wide>& before = values[r - 1][first - 1];
          if (!before) continue;
          const std::optional<Wide> own = price(first, k);
          if (!own) continue;
          const Wide value = join(*before, *own);
          if (values[r][k] && *values[r][k] <= value) continue;
          values[r][k] = value;
          begins[r][k] = first;
        }
    Best result{values[layers_ - 1][count_ - 1], std::vector<std::size_t>(layers_, 0)};
    std::size_t last = count_ - 1;
    for (std::size_t r = layers_ - 1; r > 0; --r) {
      result.begins[r] = begins[r][last];
      last = begins[r][last] - 1;
    }
    return result;
  }

  const Units& units_;
  std::size_t layers_, count_;
  unsigned shift_ = 0;
  std::vector<Wide> work_before_;
  std::vector<std::vector<Wide>> inputs_;
  Wide most_work_ = 0, most_input_ = 0;
};

}  // namespace tessera::pipeline::detail
