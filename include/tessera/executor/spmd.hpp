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
// (plan/memory.hpp), and an output in a parameter's place is in its buffer from the parameter's
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
#include "tessera/plan/memory.hpp"
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
  // Throws InvalidArgument where the plan is none of this graph, or of so many devices;
  // Unsupported where the program has loops whose condition is not known.
  DevicePlan(const graph::Graph& graph, const plan::Plan& plan, C& comm)
      : graph_(graph),
        runner_(graph, plan, comm),
        lifetimes_(plan::buffers_of(graph)),
        let_go_(graph),
        uncount_(graph) {
    check_order(graph);
    for (const graph::Loop& loop : graph.loops)
      if (!plan.ops[loop.condition->op].results[loop.condition->result].partial_axes().empty())
        throw Unsupported(detail::op_text(graph.op(loop.condition->op)) +
                          ": a loop's condition that is a partial result can not be executed");
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
  // communicator do, and InternalError where steps do not lead to what an op needs.  `observe`
  // sees what every op hands on.
  template<class Observe = Unobserved>
  std::vector<OwnedPart> operator()(std::vector<OwnedPart> parameters,
                                    const Observe& observe = {}) {
    values_.assign(graph_.op_count(), {});
    bytes_.assign(graph_.op_count(), {});
    memory_.now = memory_.others = 0;
    std::size_t next = 0;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (graph_.op(id).is_parameter) hold_parameter(id, std::move(parameters.at(next++)));
    Machine<Observe> machine{*this, observe};
    OrderedRun(graph_, machine).run();
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
  // How often each step was taken: in a loop, in every round.
  const std::vector<std::vector<std::int64_t>>& runs() const noexcept { return runner_.runs(); }
  const HeldMemory& memory() const noexcept { return memory_; }

 private:
  // What OrderedRun drives.
  template<class Observe>
  struct Machine {
    DevicePlan& device;
    const Observe& observe;

    void run(graph::OpId id) {
      if (!device.graph_.op(id).is_parameter) device.run(id);
      observe(id, std::span<const OwnedPart>(device.values_[id]));
      device.release(device.uncount_.after_op(id), device.let_go_.after_op(id));
    }
    void begin_state(graph::OpId id) { device.hold_one(id, device.state(id, 0)); }
    void next_states(const graph::Loop& loop, graph::OpId end) {
      std::vector<OwnedPart> next;
      for (graph::OpId id = loop.begin; id < end; ++id) next.push_back(device.state(id, 1));
      for (graph::OpId id = end; id < loop.end; ++id) device.drop(id);
      for (std::size_t i = 0; i < next.size(); ++i)
        device.hold_one(loop.begin + i, std::move(next[i]));
    }
    // The same on all devices, which all have all of it.
    bool holds(graph::Value condition) const {
      const OwnedPart& part = device.values_[condition.op][condition.result];
      return *part.tensor.template data<std::uint8_t>() != 0;
    }
    void leave(const graph::Loop&, std::size_t number) {
      device.release(device.uncount_.after_loop(number), device.let_go_.after_loop(number));
    }
  };

  // A tensor is let go when nothing reads it any more and its buffer's time is over.  Parameters
  // are the caller's, but for those whose place an output takes: then the buffer stays, and the old
  // value goes.
  void find_ends() {
    const graph::Lifetimes reads = graph::read_lifetimes_of(graph_);
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
      for (std::uint32_t r = 0; r < reads[id].size(); ++r) {
        const graph::Value value{id, r};
        graph::OpId last = reads[id][r].end - 1;
        const std::size_t end = lifetimes_[id][r].end;
        const bool has_end = is_counted(value) && is_replaced[id] == 0 && end < graph_.op_count();
        if (has_end) uncount_.add(value, end - 1);
        if (has_end) last = std::max<graph::OpId>(last, end - 1);
        if (!is_output(value) && !is_condition(graph_, value)) let_go_.add(value, last);
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
  // What a loop's state takes: its initial value, or its next one.
  OwnedPart state(graph::OpId id, std::uint32_t operand) {
    const graph::Value value = graph_.operand(id, operand);
    return runner_.run_state(id, operand, values_[value.op][value.result].view());
  }
  void hold_one(graph::OpId id, OwnedPart part) {
    std::vector<OwnedPart> results;
    results.push_back(std::move(part));
    hold(id, std::move(results));
  }
  void hold_parameter(graph::OpId id, OwnedPart shard) {
    hold_one(id, runner_.finished(id, std::move(shard)));
  }

  static Extent byte_size(const OwnedPart& part) {
    return static_cast<Extent>(part.tensor.byte_size());
  }

  bool is_counted(graph::Value value) const { return !lifetimes_[value.op][value.result].empty(); }
  // Whether it is written into a parameter's buffer.
  bool is_in_place(graph::Value value) const {
    return std::find(in_place_.begin(), in_place_.end(), value) != in_place_.end();
  }

  // In the place of what the last round of a loop left there, if anything.
  void hold(graph::OpId id, std::vector<OwnedPart> results) {
    values_[id] = std::move(results);
    bytes_[id].resize(values_[id].size());
    for (std::uint32_t r = 0; r < values_[id].size(); ++r) {
      uncount({id, r});
      forget({id, r});
      if (is_counted({id, r}))
        memory_.add(bytes_[id][r].counted = byte_size(values_[id][r]));
      else if (!is_in_place({id, r}))
        memory_.add_other(bytes_[id][r].others = byte_size(values_[id][r]));
    }
  }
  void release(const std::vector<graph::Value>& over, const std::vector<graph::Value>& done) {
    for (const graph::Value value : over) uncount(value);
    for (const graph::Value value : done) {
      if (values_[value.op].empty()) continue;  // in a loop whose body never ran
      forget(value);
      values_[value.op][value.result] = {};
    }
  }
  void drop(graph::OpId id) {
    for (std::uint32_t r = 0; r < bytes_[id].size(); ++r) {
      uncount({id, r});
      forget({id, r});
    }
    values_[id].clear();
  }
  void uncount(graph::Value value) {
    if (!bytes_[value.op].empty()) memory_.now -= take(bytes_[value.op][value.result].counted);
  }
  void forget(graph::Value value) {
    if (!bytes_[value.op].empty()) memory_.others -= take(bytes_[value.op][value.result].others);
  }
  static Extent take(Extent& bytes) { return std::exchange(bytes, 0); }

  // What a value adds to memory at present.
  struct Bytes {
    Extent counted = 0, others = 0;
  };

  const graph::Graph& graph_;
  OpRunner<C> runner_;
  graph::Lifetimes lifetimes_;                  // of buffers, as the plan counts them
  Releases let_go_;                             // what is not needed any more
  Releases uncount_;                            // whose buffers' time is over
  std::vector<graph::Value> in_place_;          // outputs in the place of parameters
  std::vector<std::vector<Bytes>> bytes_;       // by op and result
  std::vector<std::vector<OwnedPart>> values_;  // by op and result
  HeldMemory memory_;
};

}  // namespace tessera::executor
