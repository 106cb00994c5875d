// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of stage_problem.hpp.
#pragma once
#include "tessera/pipeline/stage_problem.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::pipeline {
namespace detail {

TESSERA_INLINE bool is_as_good(const StageOption& a, const StageOption& b) noexcept {
  return a.latency() <= b.latency() && a.period() <= b.period() && a.per_step <= b.per_step &&
         a.max_successors >= b.max_successors;
}

TESSERA_INLINE bool has_option(const StageProblem& problem, const Stage& stage) {
  const auto entries = problem.entries(stage.first, stage.last);
  return std::any_of(entries.begin(), entries.end(), [&](const StageProblem::Entry& entry) {
    return entry.size == stage.size && entry.option == stage.option;
  });
}

// Throws where stage `number` is not one of the problem that begins with layer `first`.
TESSERA_INLINE void check_stage(const StageProblem& problem, const Stages& stages,
                                std::size_t number, std::size_t first) {
  const Stage& stage = stages[number];
  const auto refuse = [&](const char* what) {
    throw InvalidArgument("stages: stage " + std::to_string(number) + what);
  };
  if (stage.first != first || stage.last < stage.first || stage.last >= problem.layers())
    refuse(" does not begin where the one before ends");
  if (stage.size >= problem.sizes().size()) refuse(" has a submesh that is none of the problem's");
  if (!has_option(problem, stage)) refuse(" has an option that is none of the problem's");
  if (stage.option.max_successors < static_cast<std::int64_t>(stages.size() - 1 - number))
    refuse(" has more stages after it than its memory allows");
}

[[noreturn]] TESSERA_INLINE void refuse_problem(const std::string& what) {
  throw InvalidArgument("stage problem: " + what);
}
[[noreturn]] TESSERA_INLINE void refuse_problem(const std::string& what, std::int64_t given,
                                                const std::string& wanted) {
  refuse_problem(what + ": " + std::to_string(given) + " given, must be " + wanted);
}

// Throws where a number is out of range.
TESSERA_INLINE void check_option(const StageProblem& problem, std::size_t first, std::size_t last,
                                 std::size_t size, const StageOption& option) {
  const auto span = [&] { return "span " + std::to_string(first) + ".." + std::to_string(last); };
  if (first > last || last >= problem.layers() || size >= problem.sizes().size())
    refuse_problem(span() + " on size " + std::to_string(size) + ": there are " +
                   std::to_string(problem.layers()) + " layers and " +
                   std::to_string(problem.sizes().size()) + " sizes");
  if (option.time < 0 || option.receive < 0 || option.per_step < 0 || option.overlap < 0)
    refuse_problem(span() + " has a negative time");
  if (option.overlap > option.time) refuse_problem(span() + " overlaps for longer than it takes");
}

}  // namespace detail

TESSERA_INLINE StageProblem::StageProblem(std::size_t layers, Extent devices,
                                          std::int64_t microbatches, std::vector<Extent> sizes)
    : layers_(layers), devices_(devices), microbatches_(microbatches), sizes_(std::move(sizes)) {
  if (layers < 1) detail::refuse_problem("there are no layers");
  if (devices < 1 || devices >= INT32_MAX)
    detail::refuse_problem("devices", devices, "from 1 to 2^31 - 2");
  if (microbatches < 1) detail::refuse_problem("microbatches", microbatches, "at least 1");
  for (const Extent size : sizes_)
    if (size < 1) detail::refuse_problem("a submesh's devices", size, "at least 1");
  spans_.resize(layers * (layers + 1) / 2);
}

TESSERA_INLINE void StageProblem::add(std::size_t first, std::size_t last, std::size_t size,
                                      const StageOption& option) {
  detail::check_option(*this, first, last, size, option);
  if (!is_finite(saturating_add(option.time, option.receive)) || !is_finite(option.per_step))
    return;
  if (sizes_[size] > devices_ || option.max_successors < 0) return;
  std::vector<Entry>& entries = spans_[span_number(first, last)];
  const auto number = static_cast<std::uint32_t>(size);
  // Options of one size usually come one after the other.
  for (std::size_t i = entries.size(); i-- > 0 && entries[i].size == number;)
    if (detail::is_as_good(entries[i].option, option)) return;
  entries.push_back({option, number});
}

TESSERA_INLINE StageValue evaluate(const StageProblem& problem, const Stages& stages) {
  StageValue value;
  std::size_t next = 0;
  Extent used = 0;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    detail::check_stage(problem, stages, i, next);
    const Stage& stage = stages[i];
    next = stage.last + 1;
    used += problem.sizes()[stage.size];
    value.latency += stage.option.latency();
    value.largest_period = std::max(value.largest_period, stage.option.period());
    value.largest_per_step = std::max(value.largest_per_step, stage.option.per_step);
  }
  if (next != problem.layers())
    throw InvalidArgument("stages: layer " + std::to_string(next) + " is in no stage");
  if (used != problem.devices())
    throw InvalidArgument("stages: they use " + std::to_string(used) + " devices of " +
                          std::to_string(problem.devices()) + "; all must be used");
  return value;
}

}  // namespace tessera::pipeline
