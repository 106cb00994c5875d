// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan: stages on their devices, with everything that a training step of them takes;
// and the options of the planner.
//
// plan_pipeline.hpp makes such plans.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/pipeline/ranks.hpp"
#include "tessera/pipeline/simulate.hpp"
#include "tessera/pipeline/stage_problem.hpp"
#include "tessera/pipeline/submesh.hpp"
#include "tessera/plan/span_price.hpp"

namespace tessera::cost {
struct Cluster;
}

namespace tessera::plan {

// --- Options -------------------------------------------------------------------------------------

/// Prices kept from run to run.  A key spells out everything that a price depends on.  Both
/// functions are called from several threads at a time.
struct PriceStore {
  std::function<std::optional<SpanPrice>(const std::vector<std::int64_t>& key)> find;
  std::function<void(const std::vector<std::int64_t>& key, const SpanPrice& price)> keep;
};

struct PricingProgress {
  double seconds = 0;
  std::size_t done = 0, total = 0;  ///< views; a view counts again when it gets further prices
  std::size_t solved = 0;           ///< problems
};

/// How the spans of layers are priced.
struct PricingOptions {
  std::int64_t microbatches = 1;
  /// Price every span as a program of its own: exact, for programs of few layers.  Otherwise layers
  /// are priced one by one, and a span is the sum of its layers.
  bool whole_spans = false;
  int hidden_percent = 0;  ///< of communication, behind computation (cost::ClusterModel)
  int threads = 1;
  solver::Options solver;  ///< its time limit and its cancellation are for the whole planning
  /// Limits of work on one problem (solver::Options::work_limit), and on one under a memory budget,
  /// which is harder to prove; then the incumbent is taken.  They are not seconds, so that prices
  /// are the same on every machine, however busy.
  double problem_work = 5e9, budget_work = 5e8;
  /// Given shardings of a span's ops; unset: none.  Prices are not kept then.
  std::function<std::vector<strategy::Annotation>(const pipeline::SpanProgram&)> annotations;
  /// By a span's ops: those that must be rematerialized; unset: the planner chooses.  Prices are
  /// not kept then.
  std::function<std::vector<char>(const pipeline::SpanProgram&)> runs_again;
  PriceStore store;
  std::function<void(const PricingProgress&)> on_progress;  ///< from one thread at a time
};

struct PricingStatistics {
  std::size_t layers = 0, distinct_layers = 0, views = 0;
  std::size_t levels = 0;            ///< price tables under memory budgets
  std::size_t solved = 0, kept = 0;  ///< problems; kept: found in the store
  std::size_t unproven = 0;          ///< problems solved to a limit
  std::size_t left_out = 0;          ///< problems and whole views for which there was no time
  double seconds = 0;
};

/// Whether values that the backward pass of a stage reads may be rematerialized.
enum class Rematerialize : std::uint8_t { never, allowed };

struct PipelineOptions {
  std::int64_t microbatches = 1;
  /// Nothing: all schedules are tried, and the fastest one is taken.
  std::optional<pipeline::ScheduleKind> schedule = pipeline::ScheduleKind::one_f_one_b;
  pipeline::Submeshes submeshes = {};        ///< empty: default_submeshes()
  std::optional<Extent> memory_budget = {};  ///< bytes per device; nothing: the device's memory
  Rematerialize rematerialize = Rematerialize::allowed;
  std::vector<DynamicMesh> meshes = {};  ///< how submeshes may be viewed; empty: all ways
  std::int64_t chunks = 0;               ///< of an interleaved stage; 0: the best number
  /// Views get prices under further memory budgets only if stages could be better by more than this
  /// share.
  double gap = 0;
  PricingOptions pricing = {};  ///< its microbatches are ignored
};

// --- Plans ---------------------------------------------------------------------------------------

/// A submesh viewed as a mesh.
struct View {
  pipeline::Submesh submesh;
  std::size_t size = 0;  ///< the submesh's number
  DynamicMesh mesh;
};

/// How a stage is run: numbers of a view, of one of its price tables (0: without a memory budget),
/// and of a choice of ops to rematerialize.
struct StageConfig {
  std::size_t view = 0, level = 0, rematerialization = 0;
};

/// A span of layers on a submesh.  Interleaved, it is one of the chunks of a stage: those on the
/// same devices are one stage.  Times are picoseconds, of one microbatch unless they say otherwise.
struct PlannedStage {
  std::size_t first = 0, last = 0;  ///< layers, both included
  pipeline::Submesh submesh;
  Device first_device = 0;
  StageConfig config;
  DynamicMesh mesh;
  /// Of the mesh's axes: data where one splits the batch dim of the values between stages.
  pipeline::Roles roles;
  Cost forward = 0, backward = 0;   ///< backward includes rematerialization
  Cost again = 0;                   ///< rematerialization, part of backward
  Cost weight_backward = 0;         ///< the part of backward that no other stage waits for
  Cost receive = 0, send_back = 0;  ///< transfers of its input, and of its input's gradient
  Cost per_step = 0;                ///< once per step
  pipeline::StageMemory memory;
  /// On the devices, of all their chunks together: microbatches, counted chunk by chunk, and bytes.
  std::int64_t in_flight = 0;
  Wide bytes = 0;
};

enum class PipelineStatus : std::uint8_t {
  optimal,     ///< nothing in the space costs less
  feasible,    ///< some span's plan is not proven the best, or the lower bound is below the cost
  infeasible,  ///< nothing fits
  unknown,     ///< cancelled, or out of time, before any stages were found
};

namespace detail {
class SpanPrices;
}

struct PipelinePlan {
  PipelineStatus status = PipelineStatus::unknown;
  /// Empty unless optimal or feasible; so is what follows.
  std::vector<PlannedStage> stages;
  std::int64_t microbatches = 1;
  /// Picoseconds a step, by the formula of pipeline/stage_problem.hpp; interleaved, as simulated.
  Wide cost = 0;
  Wide lower_bound = 0;  ///< on the cost, over the prices of the spans
  /// A lower bound over all plans of the spans on the views that have prices, with heavy ops as
  /// fast as they can be and nothing else, in any memory.  0 where time was over before it was
  /// computed.
  Wide work_bound = 0;
  pipeline::Schedule schedule;
  pipeline::Timeline timeline;  ///< of all microbatches, without the work once per step
  Cost step_time = 0;           ///< the timeline's end, and the longest per_step after it
  cost::Utilisation utilisation;
  Extent memory_capacity = 0;  ///< of a device, or the budget
  std::string obstacle;        ///< why there are no stages, if memory is not the reason
  PricingStatistics pricing;
  pipeline::StageStatistics choice;
  double seconds = 0;
  std::shared_ptr<const detail::SpanPrices> prices;  ///< for planned_spans() and staged_ops()

  bool has_stages() const noexcept { return !stages.empty(); }
  /// The ranks of all processes.  @pre has_stages()
  pipeline::Ranks ranks() const;
  std::size_t stage_count() const noexcept { return static_cast<std::size_t>(schedule.stages); }
};

/// A cluster as hosts: a host is a unit of the cluster's innermost level.
pipeline::Submesh hosts_of(const cost::Cluster& cluster);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/pipeline_plan.ipp"
#endif
