// SPDX-License-Identifier: Apache-2.0
//
// A training step of several microbatches on one device: the reference for a pipeline's run.
//
// The program is that of one microbatch.  Each microbatch goes through the forward and backward
// phases; then the update runs once, and reads the mean of everything that differs between
// microbatches.  A loss is a mean over its batch, so this is the step of all microbatches as one
// batch, where nothing else in the program depends on the size of the batch; the tests compare it
// with that.
//
// Devices make sums in single precision at least, as the plan counts their memory; the reference
// makes them in double.  A value that is no floating-point number is that of the last microbatch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/pipeline_program.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/pipeline/span_program.hpp"

namespace tessera::executor::detail {

// Adds up the values of the microbatches, or keeps the last one.
class MicrobatchMean {
 public:
  // Of elements of this type, added up as elements of `sum`: the same type, f32 or f64.
  MicrobatchMean(ElementType element, ElementType sum) : element_(element), sum_type_(sum) {}

  void add(const TensorView& part);
  // @pre something was added
  TensorPart mean() const;
  Extent byte_size() const { return static_cast<Extent>(sum_.tensor.byte_size()); }

 private:
  ElementType element_, sum_type_;
  TensorPart sum_;
  std::int64_t count_ = 0;
};

// The type in which devices add up: f32, or the element type where it is wider.
ElementType sum_type(ElementType element);

class StepOnOneDevice {
 public:
  // Throws InvalidArgument for programs that can not be cut into stages either.
  explicit StepOnOneDevice(const graph::Graph& graph);

  // In the order of the program's outputs, those of microbatches by their numbers.
  std::vector<StepOutput> outputs(std::int64_t microbatches) const;

  // A tensor for each of outputs().  Throws what interpret() throws.
  std::vector<Tensor> run(std::span<const std::vector<Tensor>> inputs) const;

  // The inputs of the next step: weights are updated, data stays.
  void advance(StepInputs& inputs, const std::vector<Tensor>& outputs) const;

 private:
  // Weights are those of the first microbatch.
  std::vector<Tensor> inputs_of(std::span<const std::vector<Tensor>> inputs, std::size_t m) const;
  bool is_of_update(std::size_t output) const;
  // The update as a program: its parameters are the weights, and then the means.
  void make_update();
  // Returns where each of them is in the update.
  std::map<graph::Value, graph::Value> add_update_parameters();
  std::vector<Tensor> update_inputs(const std::vector<Tensor>& inputs,
                                    const std::vector<MicrobatchMean>& sums) const;

  pipeline::SpanProgram span_;
  std::vector<graph::Value> means_;  // read afterwards
  graph::Graph update_;
  std::vector<graph::OpId> weights_;           // the update's first parameters
  std::vector<std::size_t> number_in_update_;  // by output of the program
};

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/microbatches.ipp"
#endif
