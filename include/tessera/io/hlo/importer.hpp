// SPDX-License-Identifier: Apache-2.0
//
// A HLO module to a Graph: every op gets its rule, plumbing dissolves into plain data flow.
//
// Tuples and their elements, barriers and calls are not ops: a value simply flows through them.
// Called computations are taken in where they are called: calls and fusions once per call site
// (inside a fusion nothing reaches memory but the result), a loop's body once, around states that
// tie its values together, a conditional's branches one after the other.  Reducers are recognised,
// not run.  Where each instruction's results ended up is remembered, so that a plan can be written
// back.
//
// What an instruction is part of, by its metadata or by the last marker before it in the text, goes
// with its ops (Op::scope), and so does the hint that its result has no buffer (detail/hints.hpp).
//
// Batch normalisations are taken apart into their sums over all dims but one and what is element by
// element, so that those sums are partial results like any others.  An opcode without a rule of its
// own is kept whole on every device, and reported.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/custom_calls.hpp"
#include "tessera/io/hlo/detail/hints.hpp"
#include "tessera/io/hlo/detail/meaning.hpp"
#include "tessera/io/hlo/detail/opcodes.hpp"
#include "tessera/io/hlo/detail/rules.hpp"
#include "tessera/io/hlo/detail/scopes.hpp"
#include "tessera/io/hlo/detail/shapes.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/notation/hlo_sharding.hpp"

namespace tessera::io::hlo {

using graph::Graph;
using graph::Value;

// The arrays of a value, tuples flattened depth first.
using Leaves = std::vector<Value>;

// Which shardings written in the text constrain the plan.
enum class Annotations : std::uint8_t {
  ignore,
  io,   // those of the program's parameters and results
  all,  // and those of all other instructions
};

struct ImportOptions {
  Annotations annotations = Annotations::all;
  CustomCalls custom_calls = known_custom_calls();  // add your own
};

// The ops that one instruction became, where its computation was taken in once: none for plumbing.
struct OwnOps {
  graph::OpId begin = 0, end = 0;
};

// A sharding that an instruction asks for.  What it means depends on the mesh: annotations.hpp.
struct WrittenAnnotation {
  Value value;
  notation::HloSharding sharding;
  std::uint16_t open_dims = 0;  // bit d: dim d is left to the solver
  std::uint32_t computation = 0, instruction = 0;
};

struct Program {
  Graph graph;
  std::vector<WrittenAnnotation> annotations;  // one at most of each value
  // values[c][i]: where the results of instruction i of computation c ended up, once for each time
  // that the computation was taken in.  Never for reducers.
  std::vector<std::vector<std::vector<Leaves>>> values;
  // own_ops[c][i]: in the same way, what became of the instruction itself.  Every op is in one.
  std::vector<std::vector<std::vector<OwnOps>>> own_ops;
  // What was kept whole for want of a rule: how often, by opcode or custom-call target.
  std::map<std::string, std::size_t> kept_whole;
  // Anything else that a reader of the plan should know.
  std::vector<std::string> notes;
};

namespace detail {

class Importer {
 public:
  Importer(const Module& module, const ImportOptions& options)
      : module_(module), options_(options) {}

  Program run() {
    const Computation& entry = module_.computations[module_.entry];
    program_.values.resize(module_.computations.size());
    program_.own_ops.resize(module_.computations.size());
    for (std::size_t c = 0; c < module_.computations.size(); ++c) {
      program_.values[c].resize(module_.computations[c].instructions.size());
      program_.own_ops[c].resize(module_.computations[c].instructions.size());
    }
    const Leaves outputs = take_in(module_.entry, {}, "");
    program_.graph.outputs = outputs;
    // What is returned is in memory, whatever is said of it.
    for (const Value output : outputs) program_.graph.op(output.op).has_buffer = true;
    add_aliases(entry);
    note_reducers();
    return std::move(program_);
  }

 private:
  // --- Computations ------------------------------------------------------------------------------

  // Adds the ops of a computation whose parameters are the given values.  The entry has no values
  // yet: its parameters become ops.  Returns the root's.
  Leaves take_in(std::uint32_t id, std::span<const Leaves> arguments, const std::string& prefix) {
    constexpr int max_depth = 100;
    const Computation& computation = module_.computations[id];
    if (++depth_ > max_depth) module_.fail(computation.at, "calls nest too deeply");
    std::vector<Leaves> values(computation.instructions.size());
    for (std::size_t i = 0; i < computation.instructions.size(); ++i) {
      const Instruction& instruction = computation.instructions[i];
      check_plannable(instruction);
      const bool is_argument = instruction.parameter && id != module_.entry;
      OwnOps own;
      OwnOps* const outer = std::exchange(own_, &own);
      const graph::OpId begin = program_.graph.op_count();
      values[i] = is_argument ? arguments[static_cast<std::size_t>(*instruction.parameter)]
                              : add(computation, instruction, values, prefix);
      if (is_kept(id, i)) annotate(id, i, prefix, values[i]);
      own_ = outer;
      say_scope(instruction, begin);
      if (!has_buffer(instruction)) take_buffers(values[i], begin);
      check_size(instruction, values[i].size());
      program_.values[id][i].push_back(values[i]);
      program_.own_ops[id][i].push_back(own);
    }
    --depth_;
    return values[computation.root];
  }

  // Of the ops that an instruction became: those of a computation that it calls have their own.
  void say_scope(const Instruction& instruction, graph::OpId begin) {
    const std::string scope = scope_of(instruction);
    for (graph::OpId id = begin; id < program_.graph.op_count(); ++id)
      if (program_.graph.op(id).scope.empty()) program_.graph.op(id).scope = scope;
  }

  // Throws InputError for a hint that says neither yes nor no.
  bool has_buffer(const Instruction& instruction) const {
    const Attribute* const found = instruction.find("frontend_attributes");
    if (found == nullptr) return true;
    const std::string_view hint = quoted_in(module_.text_of(found->value), buffer_hint);
    if (!hint.empty() && hint != without_buffer)
      module_.fail(found->value.begin, shown_name(instruction.name) + ": " +
                                           std::string(buffer_hint) + " is " + excerpt(hint) +
                                           "; it can only be \"" + std::string(without_buffer) +
                                           "\", or left out");
    return hint.empty();
  }
  // Of those values that an instruction computed itself, from `begin` on.
  void take_buffers(const Leaves& values, graph::OpId begin) {
    for (const Value value : values)
      if (graph::Op& op = program_.graph.op(value.op);
          value.op >= begin && !op.is_parameter && !op.is_loop_state)
        op.has_buffer = false;
  }

  // Calls of calls grow exponentially, and so may what tuples hold.
  void check_size(const Instruction& instruction, std::size_t leaves) {
    constexpr std::size_t max_ops = 1'000'000, max_leaves = 16'000'000;
    leaves_ += leaves + 1;
    if (program_.graph.op_count() > max_ops || leaves_ > max_leaves)
      module_.fail(instruction.at, "with every call written out the program has over " +
                                       std::to_string(max_ops) + " ops, or over " +
                                       std::to_string(max_leaves) + " values");
  }

  void check_plannable(const Instruction& instruction) const {
    instruction.shape.for_each_leaf([&](const Shape& leaf) {
      if (leaf.is_unbounded)
        module_.fail(instruction.at, shown_name(instruction.name) +
                                         " has a dim of unknown size; give it a bound to plan for");
    });
  }

  // --- Instructions ------------------------------------------------------------------------------

  // What one instruction adds: everything it is asked about, in one place.
  struct Site {
    const Computation& computation;
    const Instruction& instruction;
    const std::vector<Leaves>& values;  // of the computation so far
    std::string name;                   // unique in the program
    AttributeAccess attributes;

    const Leaves& operand(std::size_t i) const { return values[instruction.operands[i]]; }
    std::size_t operand_count() const { return instruction.operands.size(); }
  };

  Leaves add(const Computation& computation, const Instruction& instruction,
             const std::vector<Leaves>& values, const std::string& prefix) {
    const Site site{computation, instruction, values, prefix + instruction.name,
                    AttributeAccess(module_, instruction)};
    try {
      return add(site);
    } catch (const InputError&) {
      throw;
    } catch (const Error& error) {
      module_.fail(instruction.at, shown_name(site.name) + ": " + error.what());
    }
  }

  Leaves add(const Site& site) {
    const Instruction& instruction = site.instruction;
    switch (opcode_info(instruction.opcode)->op_class) {
      case OpClass::parameter: return add_sources(site);
      case OpClass::constant: return add_sources(site);
      case OpClass::tuple: return flattened(site);
      case OpClass::get_tuple_element: return element(site);
      case OpClass::barrier: return barrier(site);
      case OpClass::custom_call: return is_marker(site) ? marker(site) : add_op(site);
      case OpClass::copy: return instruction.shape.is_tuple ? flattened(site) : add_op(site);
      case OpClass::call: return take_in_call(site);
      case OpClass::fusion: return take_in_fusion(site);
      case OpClass::while_loop: return take_in_loop(site);
      case OpClass::conditional: return take_in_branches(site);
      case OpClass::batch_norm_training: return add_batch_norm_training(site);
      case OpClass::batch_norm_grad: return add_batch_norm_grad(site);
      default: return add_op(site);
    }
  }

  Value add_to_graph(graph::Op op, std::span<const Value> operands) {
    const graph::OpId id = program_.graph.add(std::move(op), operands);
    if (own_->end == 0) own_->begin = id;
    own_->end = id + 1;
    return {id, 0};
  }

  // Parameters and constants: an op for each array.
  Leaves add_sources(const Site& site) {
    Leaves leaves;
    const std::size_t count = site.instruction.shape.leaf_count();
    site.instruction.shape.for_each_leaf([&](const Shape& leaf) {
      graph::Op op{leaf_name(site.name, leaves.size(), count),
                   graph::opcode_named(site.instruction.opcode),
                   {leaf.array},
                   graph::source_rule(leaf.array.dims)};
      op.is_parameter = site.instruction.parameter.has_value();
      op.attributes = attributes_of(module_, site.instruction, leaf.array.dims.size());
      leaves.push_back(add_to_graph(std::move(op), {}));
    });
    return leaves;
  }

  static std::string leaf_name(const std::string& name, std::size_t leaf, std::size_t count) {
    return count == 1 ? name : name + '{' + std::to_string(leaf) + '}';
  }

  static Leaves flattened(const Site& site) {
    Leaves leaves;
    for (std::size_t i = 0; i < site.operand_count(); ++i)
      leaves.insert(leaves.end(), site.operand(i).begin(), site.operand(i).end());
    return leaves;
  }
  static Leaves element(const Site& site) {
    const auto wanted = static_cast<std::size_t>(site.attributes.integer("index", 0));
    const Shape& tuple = site.computation.instructions[site.instruction.operands[0]].shape;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < wanted; ++i) begin += tuple.elements[i].leaf_count();
    const auto first = site.operand(0).begin() + static_cast<std::ptrdiff_t>(begin);
    return {first, first + static_cast<std::ptrdiff_t>(tuple.elements[wanted].leaf_count())};
  }
  static Leaves barrier(const Site& site) {
    return site.instruction.opcode == "add-dependency" ? site.operand(0) : flattened(site);
  }

  // --- Markers of layers -------------------------------------------------------------------------

  bool is_marker(const Site& site) const {
    const auto known = options_.custom_calls.find(site.attributes.word("custom_call_target"));
    return known != options_.custom_calls.end() && known->second == CustomCall::marker;
  }
  // What follows in the text is in a part of its own, up to the next marker.
  Leaves marker(const Site& site) {
    Leaves leaves = flattened(site);
    if (leaves.size() != site.instruction.shape.leaf_count())
      throw InvalidArgument("a marker has to hand on what it is given");
    if (!is_end_of_layer(metadata(site.instruction, "op_type")))
      marked_ = "marker" + std::to_string(++markers_);
    return leaves;
  }
  // Alpa's other markers: what ends is followed by a beginning, if by anything.
  static bool is_end_of_layer(std::string_view type) {
    return type == "end" || type == "jvp_end" || type == "grad" || type == "hook";
  }

  // A text among an instruction's metadata; empty where there is none.
  std::string_view metadata(const Instruction& instruction, std::string_view name) const {
    const Attribute* const found = instruction.find("metadata");
    return found == nullptr ? std::string_view() : quoted_in(module_.text_of(found->value), name);
  }
  std::string scope_of(const Instruction& instruction) const {
    return marked_.empty() ? scope_in(metadata(instruction, "op_name")) : marked_;
  }

  // --- Annotations -------------------------------------------------------------------------------

  bool is_kept(std::uint32_t c, std::size_t i) const {
    const Computation& computation = module_.computations[c];
    const Instruction& instruction = computation.instructions[i];
    if (options_.annotations == Annotations::ignore || instruction.find("sharding") == nullptr)
      return false;
    if (options_.annotations == Annotations::all) return true;
    if (c != module_.entry) return false;
    const Instruction& root = computation.instructions[computation.root];
    const bool is_in_root = root.shape.is_tuple &&
                            std::find(root.operands.begin(), root.operands.end(), i) !=
                                root.operands.end();
    return instruction.parameter || i == computation.root || is_in_root;
  }

  // Remembers what the instruction asks for.  Where its value is one that something else is asked
  // of already, or comes from an op with several results, a copy of its own takes the value's
  // place.
  void annotate(std::uint32_t c, std::size_t i, const std::string& prefix, Leaves& leaves) {
    const Instruction& instruction = module_.computations[c].instructions[i];
    const std::vector<notation::HloSharding> shardings =
        notation::parse_hlo_sharding(module_.text_of(instruction.find("sharding")->value));
    const bool is_of_all = shardings.size() == 1 && leaves.size() != 1;
    if (!is_of_all && shardings.size() != leaves.size())
      module_.fail(instruction.at, shown_name(instruction.name) + ": its sharding has " +
                                       std::to_string(shardings.size()) + " parts, its shape " +
                                       std::to_string(leaves.size()));
    for (std::size_t leaf = 0; leaf < leaves.size(); ++leaf) {
      const WrittenAnnotation written{leaves[leaf], shardings[is_of_all ? 0 : leaf],
                                      open_dims(instruction), c, static_cast<std::uint32_t>(i)};
      if (written.sharding.kind == notation::HloSharding::Kind::unknown) continue;
      const auto known = annotation_of_.find(leaves[leaf]);
      if (known != annotation_of_.end() &&
          says_the_same(program_.annotations[known->second], written))
        continue;
      if (known != annotation_of_.end() || program_.graph.op(leaves[leaf].op).results.size() > 1)
        leaves[leaf] = add_copy(
            leaf_name(prefix + instruction.name + "/sharding", leaf, leaves.size()), leaves[leaf]);
      annotation_of_.emplace(leaves[leaf], program_.annotations.size());
      program_.annotations.push_back(written);
      program_.annotations.back().value = leaves[leaf];
    }
  }

  static bool says_the_same(const WrittenAnnotation& a, const WrittenAnnotation& b) {
    return a.sharding == b.sharding && a.open_dims == b.open_dims;
  }

  Value add_copy(std::string name, Value value) {
    const graph::TensorType type = program_.graph.type_of(value);
    const graph::PartialPass pass{graph::any_reduction, 0b1};
    return add_to_graph(
        {std::move(name),
         graph::Opcode::sharding,
         {type},
         graph::elementwise_rule(std::span(&type.dims, 1), type.dims, std::span(&pass, 1))},
        std::span(&value, 1));
  }

  // A Sharding custom-call may say in its configuration: unspecified_dims=[0,2].
  std::uint16_t open_dims(const Instruction& instruction) const {
    constexpr std::string_view word = "unspecified_dims=[";
    const Attribute* const config = instruction.find("backend_config");
    if (config == nullptr) return 0;
    const std::string_view text = module_.text_of(config->value);
    std::size_t at = text.find(word);
    if (at == std::string_view::npos) return 0;
    std::uint16_t dims = 0;
    std::size_t dim = 0;
    bool has_digit = false;
    for (at += word.size(); at < text.size(); ++at) {
      const char c = text[at];
      if (c >= '0' && c <= '9' && dim <= max_dims) {
        dim = dim * 10 + static_cast<std::size_t>(c - '0');
        has_digit = true;
      } else if ((c == ',' || c == ']') && has_digit && dim < instruction.shape.array.dims.size()) {
        dims = static_cast<std::uint16_t>(dims | 1U << dim);
        if (c == ']') return dims;
        dim = 0;
        has_digit = false;
      } else if (c == ']' && dims == 0 && !has_digit) {
        return 0;
      } else if (c != ' ') {
        break;
      }
    }
    module_.fail(config->value.begin,
                 shown_name(instruction.name) + ": unspecified_dims must be a list of its dims");
  }

  // --- Calls -------------------------------------------------------------------------------------

  std::vector<Leaves> arguments_of(const Site& site, std::size_t first) const {
    std::vector<Leaves> arguments;
    for (std::size_t i = first; i < site.operand_count(); ++i) arguments.push_back(site.operand(i));
    return arguments;
  }
  // The one computation that an attribute names; missing_computation where there is none.
  static std::uint32_t called_by(const Site& site, std::string_view attribute) {
    const std::vector<std::uint32_t> called = site.instruction.called_as(attribute);
    return called.size() == 1 ? called[0] : missing_computation;
  }

  Leaves take_in_call(const Site& site) {
    const std::uint32_t called = called_by(site, "to_apply");
    if (called == missing_computation) return add_whole(site, site.instruction.opcode);
    return take_in(called, arguments_of(site, 0), site.name + '/');
  }

  Leaves take_in_fusion(const Site& site) {
    const std::uint32_t called = called_by(site, "calls");
    if (called == missing_computation) return add_whole(site, site.instruction.opcode);
    const graph::OpId begin = program_.graph.op_count();
    const Leaves results = take_in(called, arguments_of(site, 0), site.name + '/');
    for (graph::OpId id = begin; id < program_.graph.op_count(); ++id)
      program_.graph.op(id).has_buffer = false;
    for (const Value result : results)
      if (result.op >= begin) program_.graph.op(result.op).has_buffer = true;
    return results;
  }

  // while: one state per leaf, whose value is the initial one or the body's.
  Leaves take_in_loop(const Site& site) {
    const std::uint32_t condition = called_by(site, "condition"), body = called_by(site, "body");
    if (condition == missing_computation || body == missing_computation)
      return add_whole(site, site.instruction.opcode);
    const graph::OpId begin = program_.graph.op_count();
    Leaves states;
    for (const Value initial : Leaves(site.operand(0))) {
      const graph::TensorType type = program_.graph.type_of(initial);
      const Dims both[] = {type.dims, type.dims};
      graph::Op op{leaf_name(site.name, states.size(), site.operand(0).size()),
                   graph::Opcode::while_loop,
                   {type},
                   graph::elementwise_rule(both, type.dims)};
      op.is_loop_state = true;
      states.push_back(add_to_graph(std::move(op), std::span(&initial, 1)));
    }
    const Leaves arguments[] = {states};
    const Leaves goes_on = take_in(condition, arguments, site.name + "/condition/");
    const Leaves results = take_in(body, arguments, site.name + "/body/");
    for (std::size_t i = 0; i < states.size(); ++i)
      program_.graph.close_loop(states[i].op, results[i]);
    graph::Loop loop{begin, program_.graph.op_count()};
    if (goes_on.size() == 1) loop.condition = goes_on[0];
    program_.graph.loops.push_back(loop);
    return states;
  }
  // conditional: every branch is planned; the result is that of the one that operand 0 chooses.
  Leaves take_in_branches(const Site& site) {
    const std::vector<std::uint32_t> called = branches_of(site.instruction);
    for (const std::uint32_t id : called)
      if (id == missing_computation) return add_whole(site, site.instruction.opcode);
    std::vector<Leaves> branches;
    for (std::size_t b = 0; b < called.size(); ++b) {
      const Leaves arguments[] = {site.operand(b + 1)};
      branches.push_back(
          take_in(called[b], arguments, site.name + "/branch" + std::to_string(b) + '/'));
    }
    Leaves results;
    for (std::size_t leaf = 0; leaf < branches[0].size(); ++leaf) {
      std::vector<Value> operands = site.operand(0);
      for (const Leaves& branch : branches) operands.push_back(branch[leaf]);
      const graph::TensorType type = program_.graph.type_of(operands[1]);
      std::vector<Dims> dims(operands.size(), type.dims);
      dims[0] = {};
      graph::Op op{leaf_name(site.name, leaf, branches[0].size()),
                   graph::Opcode::conditional,
                   {type},
                   graph::elementwise_rule(dims, type.dims)};
      if (operands.size() < 64)
        op.rule.add_pass({graph::any_reduction, (std::uint64_t{1} << operands.size()) - 2});
      op.attributes = graph::Branching{};
      results.push_back(add_to_graph(std::move(op), operands));
    }
    return results;
  }

  // --- Ops ---------------------------------------------------------------------------------------

  OpTensors tensors_of(const Site& site) const {
    OpTensors tensors;
    for (const Value operand : flattened(site)) {
      tensors.operands.push_back(program_.graph.type_of(operand));
      tensors.operand_dims.push_back(tensors.operands.back().dims);
    }
    site.instruction.shape.for_each_leaf([&](const Shape& leaf) {
      tensors.results.push_back(leaf.array);
      tensors.result_dims.push_back(leaf.array.dims);
    });
    return tensors;
  }

  Leaves add_op(const Site& site) {
    const OpTensors tensors = tensors_of(site);
    std::optional<graph::Rule> rule =
        rule_of(module_, site.computation, site.instruction, tensors, options_.custom_calls);
    if (!rule) {
      const std::string_view target = site.attributes.word("custom_call_target");
      return add_whole(
          site, target.empty() ? site.instruction.opcode : "custom-call " + std::string(target));
    }
    return add_with_rule(site, tensors, std::move(*rule));
  }

  Leaves add_whole(const Site& site, const std::string& what) {
    ++program_.kept_whole[what];
    const OpTensors tensors = tensors_of(site);
    return add_with_rule(site, tensors,
                         graph::whole_rule(tensors.operand_dims, tensors.result_dims));
  }

  Leaves add_with_rule(const Site& site, const OpTensors& tensors, graph::Rule rule) {
    graph::Op op{site.name, graph::opcode_named(site.instruction.opcode), tensors.results,
                 std::move(rule)};
    if (op.opcode == graph::Opcode::unknown) op.spelling = site.instruction.opcode;
    op.is_heavy = traits(op.opcode).is_heavy;
    op.attributes =
        attributes_of(module_, site.instruction,
                      tensors.operand_dims.empty() ? 0 : tensors.operand_dims[0].size());
    const graph::OpId id = add_to_graph(std::move(op), flattened(site)).op;
    Leaves leaves;
    for (std::uint32_t r = 0; r < tensors.results.size(); ++r) leaves.push_back({id, r});
    return leaves;
  }

  // --- Batch normalisation -----------------------------------------------------------------------

  // A part of a normalisation, named after it: one of its sums, or element by element.
  Value add_part(const Site& site, const char* name, graph::NormalisationPart part,
                 const graph::TensorType& type, std::initializer_list<Value> operands) {
    using Part = graph::NormalisationPart;
    const bool is_sum = part == Part::sum || part == Part::squares || part == Part::products;
    const auto feature = static_cast<std::size_t>(site.attributes.integer("feature_index", 0));
    std::vector<Dims> dims;
    for (const Value operand : operands) dims.push_back(program_.graph.type_of(operand).dims);
    const bool is_full = type.dims == program_.graph.type_of(site.operand(0)[0]).dims;
    graph::Rule rule = is_sum    ? graph::feature_sum_rule(dims, feature)
                       : is_full ? graph::per_feature_rule(dims, type.dims, feature)
                                 : graph::elementwise_rule(dims, type.dims);
    graph::Op op{site.name + '/' + name,
                 graph::opcode_named(site.instruction.opcode),
                 {type},
                 std::move(rule)};
    if (const graph::Attributes held = attributes_of(module_, site.instruction, 0);
        const auto* const whole = held.find<graph::Normalisation>()) {
      const Dims& image = program_.graph.type_of(site.operand(0)[0]).dims;
      const Extent features = image[feature];
      op.attributes = graph::Normalisation{whole->epsilon, whole->feature, part,
                                           features == 0 ? 0 : element_count(image) / features};
    }
    return add_to_graph(std::move(op), {operands.begin(), operands.size()});
  }

  // y, mean, variance of x: the variance is the mean square less the square of the mean.
  Leaves add_batch_norm_training(const Site& site) {
    const Leaves in = flattened(site);
    const Value x = in[0], scale = in[1], offset = in[2];
    const std::vector<graph::TensorType> results = tensors_of(site).results;
    const graph::TensorType full = results[0], vector = results[1];
    using Part = graph::NormalisationPart;
    const Value sum = add_part(site, "sum", Part::sum, vector, {x});
    const Value squares = add_part(site, "squares", Part::squares, vector, {x});
    const Value mean = add_part(site, "mean", Part::mean, vector, {sum});
    const Value variance = add_part(site, "variance", Part::variance, vector, {squares, mean});
    return {add_part(site, "result", Part::normalised, full, {x, mean, variance, scale, offset}),
            mean, variance};
  }

  // The gradients of x, scale and offset, from x, scale, mean, variance and y's gradient.
  Leaves add_batch_norm_grad(const Site& site) {
    const Leaves in = flattened(site);
    const Value x = in[0], scale = in[1], mean = in[2], variance = in[3], gradient = in[4];
    const std::vector<graph::TensorType> results = tensors_of(site).results;
    const graph::TensorType full = results[0], vector = results[1];
    using Part = graph::NormalisationPart;
    const Value sum = add_part(site, "sum", Part::sum, vector, {gradient});
    const Value products = add_part(site, "products", Part::products, vector, {x, mean, gradient});
    const Value of_scale =
        add_part(site, "scale", Part::scale_gradient, vector, {products, variance});
    return {add_part(site, "result", Part::gradient, full,
                     {x, scale, mean, variance, gradient, sum, products}),
            of_scale, sum};
  }

  // --- Reducers ----------------------------------------------------------------------------------

  // Says which reducers were not recognised: their dims stay whole.
  void note_reducers() {
    std::map<std::string, std::size_t> unknown;
    for (const Computation& computation : module_.computations)
      for (const Instruction& instruction : computation.instructions) {
        const OpClass op_class = opcode_info(instruction.opcode)->op_class;
        if (op_class != OpClass::reduce) continue;
        const std::uint32_t id = instruction.called_as("to_apply")[0];
        if (id == missing_computation || reducer_of(module_.computations[id]) == Reduction::none)
          ++unknown[id == missing_computation ? "(missing)" : module_.computations[id].name];
      }
    for (const auto& [name, count] : unknown)
      program_.notes.push_back("reducer " + shown_name(name) + " is not one we know (" +
                               std::to_string(count) + " uses): the dims it reduces stay whole");
  }

  // --- Aliases -----------------------------------------------------------------------------------

  void add_aliases(const Computation& entry) {
    const Shape& result = entry.instructions[entry.root].shape;
    std::vector<char> used(program_.graph.outputs.size(), 0);
    for (const AliasEntry& alias : module_.aliases) {
      const auto number = static_cast<std::size_t>(alias.parameter);
      if (alias.parameter < 0 || number >= entry.parameters.size())
        module_.fail(alias.at, "input_output_alias names parameter " +
                                   std::to_string(alias.parameter) + " of " +
                                   std::to_string(entry.parameters.size()));
      const std::uint32_t parameter = entry.parameters[number];
      const std::size_t from =
          leaf_at(entry.instructions[parameter].shape, alias.parameter_index, alias.at);
      const std::size_t to = leaf_at(result, alias.output_index, alias.at);
      if (used[to]++ != 0) module_.fail(alias.at, "input_output_alias names one output twice");
      const Value source = program_.values[module_.entry][parameter][0][from];
      const Value output = program_.graph.outputs[to];
      if (program_.graph.type_of(source) != program_.graph.type_of(output))
        module_.fail(alias.at, "input_output_alias ties " +
                                   graph::to_string(program_.graph.type_of(source)) + " to " +
                                   graph::to_string(program_.graph.type_of(output)));
      program_.graph.aliases.push_back({source.op, output});
    }
  }
  // Which flattened leaf a path into a shape leads to.
  std::size_t leaf_at(const Shape& shape, const std::vector<std::int64_t>& path,
                      std::size_t at) const {
    const Shape* here = &shape;
    std::size_t leaf = 0;
    for (const std::int64_t step : path) {
      if (!here->is_tuple || step < 0 || static_cast<std::size_t>(step) >= here->elements.size())
        module_.fail(
            at, "input_output_alias names an element that " + to_string(shape) + " does not have");
      for (std::int64_t i = 0; i < step; ++i)
        leaf += here->elements[static_cast<std::size_t>(i)].leaf_count();
      here = &here->elements[static_cast<std::size_t>(step)];
    }
    if (here->is_tuple) module_.fail(at, "input_output_alias names a tuple; name the arrays in it");
    return leaf;
  }

  const Module& module_;
  const ImportOptions& options_;
  Program program_;
  std::map<Value, std::size_t> annotation_of_;  // its number in program_.annotations
  OwnOps* own_ = nullptr;                       // of the instruction at hand
  std::string marked_;                          // the part that the last marker began
  std::size_t markers_ = 0;                     // how many there were
  std::size_t leaves_ = 0;                      // of all values so far
  int depth_ = 0;
};

}  // namespace detail

// Throws InputError where the module can not be planned: unknown dims, aliases that do not fit.
inline Program import_module(const Module& module, const ImportOptions& options = {}) {
  return detail::Importer(module, options).run();
}

// Throws InputError, with the place of the instruction that the op comes from.
[[noreturn]] inline void fail_at_op(const Module& module, const Program& program, graph::OpId op,
                                    const std::string& message) {
  for (std::size_t c = 0; c < program.own_ops.size(); ++c)
    for (std::size_t i = 0; i < program.own_ops[c].size(); ++i)
      for (const OwnOps& own : program.own_ops[c][i])
        if (own.begin <= op && op < own.end)
          module.fail(module.computations[c].instructions[i].at, message);
  throw InputError(module.source, message);
}

}  // namespace tessera::io::hlo
