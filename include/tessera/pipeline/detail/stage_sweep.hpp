// SPDX-License-Identifier: Apache-2.0
//
// The least sum of latencies of stages none of which is slower than a threshold.
//
// This is the inner step of the choice of stages: stage_search.hpp decides which thresholds to ask
// about.  Two dynamic programs over (layers covered, devices used) answer it.  The first one goes
// from the first layer and ignores how many stages follow a stage.  Its sum is a lower bound; where
// its stages fit in memory after all, it is the answer.  Where they do not, the second one goes
// from the last layer, counts stages, and drops sums that can not be completed for less than the
// cutoff: the first one has computed the least cost of a completion.
//
// Either way, rows are kept to a window of device counts.  Stages for the first layers need a least
// number of devices to stay below the threshold, and must leave enough for the other layers; near
// the least possible threshold hardly any choice is left.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/pipeline/stage_problem.hpp"

namespace tessera::pipeline {

namespace detail {

// Stands for "not reached": the sum of two of them still fits.
template<class Sum>
constexpr Sum unreached() noexcept {
  if constexpr (std::is_same_v<Sum, Wide>)
    return Wide{1} << 124U;
  else
    return std::numeric_limits<Sum>::max() / 4;
}

// to[i] = min(to[i], from[i] + added) for i in [0, count).
template<class Sum>
inline void lower_plainly(Sum* __restrict to, const Sum* __restrict from, Extent count, Sum added) {
  for (Extent i = 0; i < count; ++i) {
    const Sum sum = from[i] + added;
    to[i] = sum < to[i] ? sum : to[i];
  }
}

#if defined(__x86_64__)
// The same; SSE2 has no comparison of 64-bit integers.
[[gnu::target("avx2")]] inline void lower_by_avx2(std::int64_t* __restrict to,
                                                  const std::int64_t* __restrict from, Extent count,
                                                  std::int64_t added) {
  for (Extent i = 0; i < count; ++i) {
    const std::int64_t sum = from[i] + added;
    to[i] = sum < to[i] ? sum : to[i];
  }
}
#endif

template<class Sum>
void lower(Sum* to, const Sum* from, Extent count, Sum added) {
#if defined(__x86_64__)
  if constexpr (std::is_same_v<Sum, std::int64_t>) {
    static const bool has_avx2 = __builtin_cpu_supports("avx2");
    if (has_avx2) return lower_by_avx2(to, from, count, added);
  }
#endif
  lower_plainly(to, from, count, added);
}

// For each span how few devices it can do with, as a function of the threshold of periods.
class LeastSizes {
 public:
  explicit LeastSizes(const StageProblem& problem) {
    begin_.push_back(0);
    std::vector<Step> steps;
    for (std::size_t last = 0; last < problem.layers(); ++last)
      for (std::size_t first = 0; first <= last; ++first) {
        steps.clear();
        for (const StageProblem::Entry& entry : problem.entries(first, last))
          steps.push_back({entry.option.period(), problem.sizes()[entry.size]});
        add_span(steps);
      }
  }

  // The fewest devices on which a span with this number runs with a period of at most `period`;
  // nothing where none suffice.
  std::optional<Extent> at(std::size_t span, Cost period) const {
    const auto begin = steps_.begin() + begin_[span], end = steps_.begin() + begin_[span + 1];
    // Sizes rise and periods fall.
    const auto found =
        std::partition_point(begin, end, [&](const Step& step) { return step.period > period; });
    if (found == end) return std::nullopt;
    return found->size;
  }

 private:
  struct Step {
    Cost period;
    Extent size;
  };

  void add_span(std::vector<Step>& steps) {
    const auto by_size = [](const Step& a, const Step& b) { return a.size < b.size; };
    if (!std::is_sorted(steps.begin(), steps.end(), by_size))
      std::stable_sort(steps.begin(), steps.end(), by_size);
    const auto begin = static_cast<std::ptrdiff_t>(steps_.size());
    for (const Step& step : steps) {
      const bool is_first = static_cast<std::ptrdiff_t>(steps_.size()) == begin;
      if (!is_first && steps_.back().period <= step.period) continue;
      if (!is_first && steps_.back().size == step.size) steps_.pop_back();
      steps_.push_back(step);
    }
    begin_.push_back(static_cast<std::ptrdiff_t>(steps_.size()));
  }

  std::vector<Step> steps_;
  std::vector<std::ptrdiff_t> begin_;
};

// The least needs of the layers before a cut, and of those after it.  Index l: before layer l.
struct Needs {
  std::vector<Extent> before, after;  // devices
  std::vector<std::int64_t> stages_after;

  static constexpr Extent too_many = std::numeric_limits<Extent>::max() / 4;
};

inline Needs needs_of(const StageProblem& problem, const LeastSizes& least, Cost period) {
  const std::size_t layers = problem.layers();
  Needs needs{std::vector<Extent>(layers + 1, Needs::too_many),
              std::vector<Extent>(layers + 1, Needs::too_many),
              std::vector<std::int64_t>(layers + 1, Needs::too_many)};
  needs.before[0] = needs.after[layers] = needs.stages_after[layers] = 0;
  std::vector<Extent> sizes(layers * (layers + 1) / 2, Needs::too_many);
  for (std::size_t last = 0; last < layers; ++last)
    for (std::size_t first = 0; first <= last; ++first) {
      const std::size_t span = StageProblem::span_number(first, last);
      if (const std::optional<Extent> size = least.at(span, period)) sizes[span] = *size;
      needs.before[last + 1] = std::min(needs.before[last + 1], needs.before[first] + sizes[span]);
    }
  for (std::size_t first = layers; first-- > 0;)
    for (std::size_t last = first; last < layers; ++last) {
      const Extent size = sizes[StageProblem::span_number(first, last)];
      if (size == Needs::too_many) continue;
      needs.after[first] = std::min(needs.after[first], size + needs.after[last + 1]);
      needs.stages_after[first] =
          std::min(needs.stages_after[first], 1 + needs.stages_after[last + 1]);
    }
  return needs;
}

// The least sums of latencies where devices are no concern.  Index l: the cut before layer l.
template<class Sum>
struct FreeSums {
  std::vector<Sum> before, after;

  explicit FreeSums(const StageProblem& problem)
      : before(problem.layers() + 1, unreached<Sum>()), after(before) {
    const std::size_t layers = problem.layers();
    std::vector<Sum> least(layers * (layers + 1) / 2, unreached<Sum>());
    before[0] = after[layers] = 0;
    for (std::size_t last = 0; last < layers; ++last)
      for (std::size_t first = 0; first <= last; ++first) {
        Sum& span = least[StageProblem::span_number(first, last)];
        for (const StageProblem::Entry& entry : problem.entries(first, last))
          span = std::min<Sum>(span, entry.option.latency());
        before[last + 1] = std::min<Sum>(before[last + 1], before[first] + span);
      }
    for (std::size_t first = layers; first-- > 0;)
      for (std::size_t last = first; last < layers; ++last)
        after[first] = std::min<Sum>(
            after[first], least[StageProblem::span_number(first, last)] + after[last + 1]);
  }
};

// The entries that a search still has to look at: all of a problem's, or those that were kept.
class Candidates {
 public:
  explicit Candidates(const StageProblem& problem) : problem_(&problem) {}

  std::span<const StageProblem::Entry> entries(std::size_t first, std::size_t last) const {
    if (kept_.empty()) return problem_->entries(first, last);
    return kept_[StageProblem::span_number(first, last)];
  }

  // Drops the entries for which keep(first, last, entry) is false.
  template<class Keep>
  void filter(Keep&& keep) {
    std::vector<std::vector<StageProblem::Entry>> kept(problem_->layers() *
                                                       (problem_->layers() + 1) / 2);
    for (std::size_t last = 0; last < problem_->layers(); ++last)
      for (std::size_t first = 0; first <= last; ++first)
        for (const StageProblem::Entry& entry : entries(first, last))
          if (keep(first, last, entry))
            kept[StageProblem::span_number(first, last)].push_back(entry);
    kept_ = std::move(kept);
  }

 private:
  const StageProblem* problem_;
  std::vector<std::vector<StageProblem::Entry>> kept_;
};

// A row of sums, one for each number of devices from `begin` on; where there are none, unreached.
template<class Sum>
struct Row {
  Extent begin = 0;
  std::vector<Sum> sums;

  bool empty() const noexcept { return sums.empty(); }
  Extent end() const noexcept { return begin + static_cast<Extent>(sums.size()); }
  Sum at(Extent devices) const noexcept {
    if (devices < begin || devices >= end()) return unreached<Sum>();
    return sums[static_cast<std::size_t>(devices - begin)];
  }
  // Drops both ends as long as is_dead(devices, sum).
  template<class IsDead>
  void trim(IsDead&& is_dead) {
    while (!sums.empty() && is_dead(end() - 1, sums.back())) sums.pop_back();
    std::size_t dead = 0;
    while (dead < sums.size() && is_dead(begin + static_cast<Extent>(dead), sums[dead])) ++dead;
    sums.erase(sums.begin(), sums.begin() + static_cast<std::ptrdiff_t>(dead));
    begin += static_cast<Extent>(dead);
  }
};

// Lowers `to` by what `from` comes to with `size` devices and `latency` more.  Returns the updates.
template<class Sum>
std::uint64_t lower_row(Row<Sum>& to, const Row<Sum>& from, Extent size, Sum latency) {
  const Extent begin = std::max(to.begin, from.begin + size);
  const Extent end = std::min(to.end(), from.end() + size);
  if (begin >= end) return 0;
  lower(to.sums.data() + (begin - to.begin), from.sums.data() + (begin - size - from.begin),
        end - begin, latency);
  return static_cast<std::uint64_t>(end - begin);
}

template<class Sum>
class StageSweep {
 public:
  // Keeps references.  `is_over`: whether to leave a sweep unfinished; may be unset.
  StageSweep(const StageProblem& problem, const LeastSizes& least, const FreeSums<Sum>& free,
             StageStatistics& statistics, const std::function<bool()>& is_over)
      : problem_(problem), least_(least), free_(free), statistics_(statistics), is_over_(is_over) {}

  bool is_over() const { return is_over_ && is_over_(); }
  // Whether the last sweep was left unfinished: that it found nothing means nothing then.
  bool was_stopped() const noexcept { return was_stopped_; }

  // The stages with the least sum of latencies, all within `limits`; nothing where no such sum is
  // below `cutoff`.  O(layers^2 * sizes * devices), or layers times that where stages must be
  // counted; windows and the cutoff leave little of it.
  std::optional<Stages> least_sum(const Candidates& candidates, Thresholds limits, Wide cutoff) {
    ++statistics_.thresholds;
    was_stopped_ = false;
    candidates_ = &candidates;
    limits_ = limits;
    cutoff_ = static_cast<Sum>(std::clamp<Wide>(cutoff, 0, unreached<Sum>()));
    needs_ = needs_of(problem_, least_, limits.period);
    if (needs_.before[problem_.layers()] > problem_.devices()) return std::nullopt;
    sweep_from_the_first();
    if (was_stopped_) return std::nullopt;
    if (before_.back().at(problem_.devices()) >= cutoff_) return std::nullopt;
    Stages stages = trace_from_the_last();
    if (fits(stages)) return stages;
    ++statistics_.counted;
    sweep_from_the_last();
    if (was_stopped_) return std::nullopt;
    return trace_from_the_first();
  }

 private:
  using Entry = StageProblem::Entry;

  bool must_stop() {
    was_stopped_ = is_over();
    return was_stopped_;
  }
  Extent devices_of(const Entry& entry) const noexcept { return problem_.sizes()[entry.size]; }
  bool is_admitted(const Entry& entry, std::size_t last) const noexcept {
    return entry.option.period() <= limits_.period && entry.option.per_step <= limits_.per_step &&
           entry.option.max_successors >= needs_.stages_after[last + 1];
  }
  static bool fits(const Stages& stages) {
    for (std::size_t i = 0; i < stages.size(); ++i)
      if (stages[i].option.max_successors < static_cast<std::int64_t>(stages.size() - 1 - i))
        return false;
    return true;
  }
  // All sums unreached, for the device counts from begin to end, end included.
  static Row<Sum> open_row(Extent begin, Extent end) {
    Row<Sum> row{begin, {}};
    if (begin <= end) row.sums.assign(static_cast<std::size_t>(end - begin + 1), unreached<Sum>());
    return row;
  }

  // before_[l].at(d): the least sum over stages for layers 0..l-1 on exactly d devices.
  void sweep_from_the_first() {
    const std::size_t layers = problem_.layers();
    before_.assign(layers + 1, {});
    before_[0] = {0, {Sum{0}}};
    for (std::size_t last = 0; last < layers; ++last) {
      Row<Sum> row = open_row(needs_.before[last + 1], problem_.devices() - needs_.after[last + 1]);
      if (row.empty()) continue;
      for (std::size_t first = 0; first <= last; ++first) {
        const Row<Sum>& from = before_[first];
        if (from.empty()) continue;
        if (must_stop()) return;
        for (const Entry& entry : candidates_->entries(first, last))
          if (is_admitted(entry, last))
            statistics_.updates +=
                lower_row<Sum>(row, from, devices_of(entry), entry.option.latency());
      }
      const Sum rest = free_.after[last + 1];
      row.trim([&](Extent, Sum sum) { return sum + rest >= cutoff_; });
      before_[last + 1] = std::move(row);
    }
  }

  // Only sums are stored on the way: the stages behind a sum are found again.
  Stages trace_from_the_last() const {
    Stages stages;
    Extent devices = problem_.devices();
    for (std::size_t end = problem_.layers(); end > 0; end = stages.back().first) {
      stages.push_back(stage_before(end, devices));
      devices -= problem_.sizes()[stages.back().size];
    }
    std::reverse(stages.begin(), stages.end());
    return stages;
  }
  Stage stage_before(std::size_t end, Extent devices) const {
    const Sum sum = before_[end].at(devices);
    for (std::size_t first = 0; first < end; ++first)
      for (const Entry& entry : candidates_->entries(first, end - 1))
        if (is_admitted(entry, end - 1) &&
            before_[first].at(devices - devices_of(entry)) + entry.option.latency() == sum)
          return {first, end - 1, entry.size, entry.option};
    throw InternalError("stage sweep: no stage explains a sum");
  }

  // after_[l][k].at(d): the least sum over exactly k stages for layers l and on, on exactly d
  // devices, as long as fewer stages do not have a sum as small: those fit wherever these do.
  void sweep_from_the_last() {
    const std::size_t layers = problem_.layers();
    after_.assign(layers + 1, {});
    after_[layers].push_back({0, {Sum{0}}});
    for (std::size_t first = layers; first-- > 0;) {
      const Row<Sum>& others = before_[first];
      if (others.empty()) continue;
      std::vector<Row<Sum>> rows(layers - first + 1);
      for (Row<Sum>& row : rows)
        row = open_row(problem_.devices() - others.end() + 1, problem_.devices() - others.begin);
      for (std::size_t last = first; last < layers; ++last) {
        if (must_stop()) return;
        for (const Entry& entry : candidates_->entries(first, last))
          if (is_admitted(entry, last)) lower_rows(rows, after_[last + 1], entry);
      }
      drop_beaten_sums(rows, others);
      after_[first] = std::move(rows);
    }
  }
  void lower_rows(std::vector<Row<Sum>>& rows, const std::vector<Row<Sum>>& from,
                  const Entry& entry) {
    const auto most = static_cast<std::size_t>(entry.option.max_successors);
    for (std::size_t k = 0; k < from.size() && k <= most; ++k)
      if (!from[k].empty())
        statistics_.updates +=
            lower_row<Sum>(rows[k + 1], from[k], devices_of(entry), entry.option.latency());
  }
  void drop_beaten_sums(std::vector<Row<Sum>>& rows, const Row<Sum>& others) const {
    std::vector<Sum> best(rows[0].sums.size(), unreached<Sum>());
    for (Row<Sum>& row : rows) {
      for (std::size_t i = 0; i < row.sums.size(); ++i) {
        Sum& sum = row.sums[i];
        const Extent devices = row.begin + static_cast<Extent>(i);
        if (sum >= best[i] || sum + others.at(problem_.devices() - devices) >= cutoff_)
          sum = unreached<Sum>();
        else
          best[i] = sum;
      }
      row.trim([&](Extent, Sum sum) { return sum == unreached<Sum>(); });
    }
  }

  std::optional<Stages> trace_from_the_first() const {
    Extent devices = problem_.devices();
    std::size_t count = 0;
    Sum sum = unreached<Sum>();
    for (std::size_t k = 0; k < after_[0].size(); ++k)
      if (after_[0][k].at(devices) < sum) {
        sum = after_[0][k].at(devices);
        count = k;
      }
    if (sum == unreached<Sum>()) return std::nullopt;
    Stages stages;
    for (std::size_t first = 0; first < problem_.layers();
         first = stages.back().last + 1, --count) {
      stages.push_back(stage_after(first, count, devices));
      devices -= problem_.sizes()[stages.back().size];
    }
    return stages;
  }
  Stage stage_after(std::size_t first, std::size_t count, Extent devices) const {
    const Sum sum = after_[first][count].at(devices);
    for (std::size_t last = first; last < problem_.layers(); ++last) {
      if (count - 1 >= after_[last + 1].size()) continue;
      const Row<Sum>& from = after_[last + 1][count - 1];
      for (const Entry& entry : candidates_->entries(first, last))
        if (is_admitted(entry, last) &&
            entry.option.max_successors >= static_cast<std::int64_t>(count - 1) &&
            from.at(devices - devices_of(entry)) + entry.option.latency() == sum)
          return {first, last, entry.size, entry.option};
    }
    throw InternalError("stage sweep: no stage explains a sum");
  }

  const StageProblem& problem_;
  const LeastSizes& least_;
  const FreeSums<Sum>& free_;
  StageStatistics& statistics_;
  const std::function<bool()>& is_over_;
  bool was_stopped_ = false;
  const Candidates* candidates_ = nullptr;
  Thresholds limits_;
  Sum cutoff_{};
  Needs needs_;
  std::vector<Row<Sum>> before_;
  std::vector<std::vector<Row<Sum>>> after_;
};

}  // namespace detail
}  // namespace tessera::pipeline
