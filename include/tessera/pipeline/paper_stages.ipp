// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of paper_stages.hpp.
#pragma once
#include "tessera/pipeline/paper_stages.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "tessera/pipeline/detail/stage_sweep.hpp"

namespace tessera::pipeline {
namespace detail {

class PaperSearch {
 public:
  PaperSearch(const StageProblem& problem, const PaperOptions& options)
      : problem_(problem), options_(options), start_(Clock::now()) {}

  PaperAnswer run() {
    const std::vector<Cost> values = all_periods();
    answer_.values = values.size();
    answer_.is_finished = true;
    bool is_first = true;
    Cost last = 0;
    for (const Cost value : values) {
      if (answer_.is_feasible && Wide(value) * problem_.microbatches() >= answer_.cost) break;
      if (!is_first && options_.skip > 0 && value - last <= options_.skip) continue;
      is_first = false;
      last = value;
      ++answer_.statistics.thresholds;
      if (!sweep(value)) {
        answer_.is_finished = false;
        break;
      }
    }
    answer_.statistics.seconds = elapsed();
    return answer_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Row = std::vector<std::int64_t>;

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  std::vector<Cost> all_periods() const {
    std::vector<Cost> values;
    for (std::size_t last = 0; last < problem_.layers(); ++last)
      for (std::size_t first = 0; first <= last; ++first)
        for (const StageProblem::Entry& entry : problem_.entries(first, last))
          values.push_back(entry.option.period());
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return values;
  }

  // sums[l][d]: the least sum over `successors` stages for layers l and on, on exactly d devices.
  // Returns whether there was time enough.
  bool sweep(Cost value) {
    const std::size_t layers = problem_.layers();
    const auto devices = static_cast<std::size_t>(problem_.devices());
    const std::vector<Row> none(layers + 1, Row(devices + 1, unreached<std::int64_t>()));
    std::vector<Row> others = none;
    others[layers][0] = 0;
    for (std::size_t successors = 0; successors < layers; ++successors) {
      std::vector<Row> sums = none;
      for (std::size_t first = 0; first < layers; ++first) {
        if (elapsed() > options_.seconds) return false;
        for (std::size_t last = first; last < layers; ++last)
          for (const StageProblem::Entry& entry : problem_.entries(first, last))
            if (entry.option.period() <= value &&
                entry.option.max_successors >= static_cast<std::int64_t>(successors))
              lower_row(sums[first], others[last + 1], entry);
      }
      offer(sums[0][devices], value);
      others = std::move(sums);
    }
    return true;
  }
  void lower_row(Row& to, const Row& from, const StageProblem::Entry& entry) {
    const Extent size = problem_.sizes()[entry.size];
    const Extent count = problem_.devices() - size + 1;
    lower(to.data() + size, from.data(), count, entry.option.latency());
    answer_.statistics.updates += static_cast<std::uint64_t>(count);
  }
  void offer(std::int64_t sum, Cost value) {
    if (sum >= unreached<std::int64_t>()) return;
    const Wide cost = Wide(sum) + Wide(value) * (problem_.microbatches() - 1);
    if (answer_.is_feasible && cost >= answer_.cost) return;
    answer_.is_feasible = true;
    answer_.cost = cost;
  }

  const StageProblem& problem_;
  PaperOptions options_;
  Clock::time_point start_;
  PaperAnswer answer_;
};

}  // namespace detail

TESSERA_INLINE PaperAnswer paper_stages(const StageProblem& problem, const PaperOptions& options) {
  return detail::PaperSearch(problem, options).run();
}

}  // namespace tessera::pipeline
