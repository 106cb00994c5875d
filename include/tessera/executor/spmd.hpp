// SPDX-License-Identifier: Apache-2.0
//
// One device's run of a plan: its shards, its share of every op, and the plan's steps in between.
//
//   executor::DevicePlan run(graph, plan, comm);            // on each device, its communicator
//   std::vector<OwnedPart> shards = run.shards_of(inputs);  // what the plan gives it of them
//   std::vector<OwnedPart> outputs = run(std::move(shards));
//
// A device never sees more than the plan says it holds: op by op it does what op_runner.hpp says,
// in program order.
//
// What is counted: of each step the payload and what the communicator moved under its label; and
// the memory that is held.  Results are held as long as the plan counts their buffers
// (plan/buffers.hpp), and an output in a parameter's place is in its buffer from the parameter's
// last use on.  What a plan does not count is told apart: working copies, which are operands
// brought in another sharding and results before they are finished, and what compilers fuse and we
// do not.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/executor/interpret.hpp"
#include "tessera/executor/op_runner.hpp"
#include "tessera/plan/buffers.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::executor {

// What one device held, in bytes: in buffers that the plan counts, and in all.
struct HeldMemory {
  Extent now = 0, peak = 0;
  Extent others = 0, peak_in_all = 0;

  void add(Extent bytes) {
    now += bytes;
    peak = std::max(peak, now);
    note(0);
  }
  void add_other(Extent bytes) {
    others += bytes;
    note(0);
  }
  // While an op runs: on top of what is held now.
  void note(Extent copies) { peak_in_all = std::max(peak_in_all, now + others + copies); }
};

template<Communicator C>
class DevicePlan {
 public:
  // Throws std::invalid_argument where the plan is none of this graph, or of so many devices;
  // Unsupported where the program has loops or branches.
  DevicePlan(const graph::Graph& graph, const plan::Plan& plan, C& comm)
      : graph_(graph), runner_(graph, plan, comm), lifetimes_(plan::buffers_of(graph)) {
    check_straight(graph);
    find_ends();
  }

  // What this device holds of each parameter.  @pre the inputs are the program's
  std::vector<OwnedPart> shards_of(std::span<const Tensor> inputs) const {
    check_inputs(graph_, inputs);
    const std::vector<graph::OpId> parameters = parameters_of(graph_);
    std::vector<OwnedPart> shards;
    for (std::size_t i = 0; i < parameters.size(); ++i)
      shards.push_back(runner_.shard_of(parameters[i], inputs[i]));
    return shards;
  }

  // The outputs' shards, in order, from those of the parameters.  Throws what kernels and the
  // communicator do, and std::logic_error where steps do not lead to what an op needs.  `observe`
  // sees what every op hands on.
  template<class Observe = Unobserved>
  std::vector<OwnedPart> operator()(std::vector<OwnedPart> parameters,
                                    const Observe& observe = {}) {
    values_.assign(graph_.op_count(), {});
    held_bytes_.assign(graph_.op_count(), {});
    memory_.now = memory_.others = 0;
    std::size_t next = 0;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (graph_.op(id).is_parameter) hold_parameter(id, std::move(parameters.at(next++)));
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      if (!graph_.op(id).is_parameter) run(id);
      observe(id, values_[id]);
      let_go_after(id);
    }
    std::vector<OwnedPart> outputs;
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const auto at = graph_.outputs.begin() + static_cast<std::ptrdiff_t>(i);
      const bool comes_again = std::find(at + 1, graph_.outputs.end(), *at) != graph_.outputs.end();
      OwnedPart& part = values_[at->op][at->result];
      outputs.push_back(comes_again ? part : std::move(part));
    }
    values_.clear();
    return outputs;
  }

  // Of all runs so far: by op, then by its steps; without padding.
  const std::vector<std::vector<Extent>>& payloads() const noexcept { return runner_.payloads(); }
  const HeldMemory& memory() const noexcept { return memory_; }

 private:
  // A tensor is let go when nothing reads it any more and its buffer's time is over.  Parameters
  // are the caller's, but for those whose place an output takes: then the buffer stays, and the old
  // value goes.
  void find_ends() {
    let_go_.resize(graph_.op_count());
    uncount_.resize(graph_.op_count());
    std::vector<char> stays(graph_.op_count(), 0), is_replaced(graph_.op_count(), 0);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) stays[id] = graph_.op(id).is_parameter;
    for (const graph::Alias& alias : graph_.aliases) {
      if (alias.output.op == alias.parameter) continue;
      stays[alias.parameter] = 0;
      is_replaced[alias.parameter] = 1;
      in_place_.push_back(alias.output);
    }
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      if (stays[id] != 0) continue;
      std::vector<graph::OpId> last(graph_.op(id).results.size(), id);
      graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
        last[use.result] = std::max(last[use.result], reader);
      });
      for (std::uint32_t r = 0; r < last.size(); ++r) {
        const graph::Value value{id, r};
        const std::size_t end = lifetimes_[id][r].end;
        const bool has_end = is_counted(value) && is_replaced[id] == 0 && end < graph_.op_count();
        if (has_end) uncount_[end - 1].push_back(value);
        if (has_end) last[r] = std::max<graph::OpId>(last[r], end - 1);
        if (!is_output(value)) let_go_[last[r]].push_back(value);
      }
    }
  }
  bool is_output(graph::Value value) const {
    return std::find(graph_.outputs.begin(), graph_.outputs.end(), value) != graph_.outputs.end();
  }

  void run(graph::OpId id) {
    std::vector<Part> operands;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::Value value = graph_.operand(id, i);
      operands.push_back(values_[value.op][value.result].view());
    }
    RanOp ran = runner_.run(id, std::move(operands));
    memory_.note(ran.copies);
    hold(id, std::move(ran.results));
  }
  void hold_parameter(graph::OpId id, OwnedPart shard) {
    std::vector<OwnedPart> results;
    results.push_back(runner_.finished(id, std::move(shard)));
    hold(id, std::move(results));
  }

  static Extent byte_size(const OwnedPart& part) {
    return static_cast<Extent>(part.tensor.byte_size());
  }

  bool is_counted(graph::Value value) const { return !lifetimes_[value.op][value.result].empty(); }
  // Whether it is written into a parameter's buffer.
  bool is_in_place(graph::Value value) const {
    return std::find(in_place_.begin(), in_place_.end(), value) != in_place_.end();
  }

  void hold(graph::OpId id, std::vector<OwnedPart> results) {
    values_[id] = std::move(results);
    for (std::uint32_t r = 0; r < values_[id].size(); ++r) {
      held_bytes_[id].push_back(byte_size(values_[id][r]));
      if (is_counted({id, r}))
        memory_.add(held_bytes_[id][r]);
      else if (!is_in_place({id, r}))
        memory_.add_other(held_bytes_[id][r]);
    }
  }

  void let_go_after(graph::OpId id) {
    for (const graph::Value over : uncount_[id]) memory_.now -= held_bytes_[over.op][over.result];
    for (const graph::Value done : let_go_[id]) {
      if (!is_counted(done) && !is_in_place(done))
        memory_.others -= held_bytes_[done.op][done.result];
      values_[done.op][done.result] = {};
    }
  }

  const graph::Graph& graph_;
  OpRunner<C> runner_;
  graph::Lifetimes lifetimes_;                      // of buffers, as the plan counts them
  std::vector<std::vector<graph::Value>> let_go_;   // by op: what is not needed after it
  std::vector<std::vector<graph::Value>> uncount_;  // by op: whose buffers' time is over after it
  std::vector<graph::Value> in_place_;              // outputs in the place of parameters
  std::vector<std::vector<Extent>> held_bytes_;     // by op and result
  std::vector<std::vector<OwnedPart>> values_;      // by op and result
  HeldMemory memory_;
};

}  // namespace tessera::executor
