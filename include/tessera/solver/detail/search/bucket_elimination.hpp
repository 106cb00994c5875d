// SPDX-License-Identifier: Apache-2.0
//
// Bucket elimination: minimises over many variables at once, exactly, while a few of them stay as
// they are.
//
// A variable's best value is a function of its neighbours' (Dechter, 1999), so it can be minimised
// out, which connects those.  The plan (elimination_order.hpp) says in which order, and which
// variables keep their value.  Here the messages of its buckets are laid out and computed.
//
// In floating point: the result is a candidate, whose exact cost is computed by the caller.  Where
// all sums are whole numbers that a double holds (component.hpp), it is the optimum as well.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/weights.hpp"
#include "tessera/solver/detail/search/elimination_order.hpp"

namespace tessera::solver::detail {

class BucketElimination {
 public:
  // @pre the weights outlive it
  explicit BucketElimination(const Weights& weights)
      : weights_(weights), component_(weights.component()), order_(component_) {}

  // Chooses in which order to eliminate `free`, and which of them to condition on so that no
  // function has more than 2^limit entries.  O(n d^2 log n) for n free variables of d neighbours.
  void plan(std::span<const std::uint32_t> free, double limit, RandomSource& random) {
    planned_ = free.size();
    buckets_.clear();
    for (EliminationOrder::Step& step : order_.plan(free, limit, random)) {
      buckets_.emplace_back();
      buckets_.back().variable = step.variable;
      buckets_.back().scope = std::move(step.scope);
    }
    lay_out();
  }

  // Kernel operations that one minimise() takes.
  double work() const noexcept { return work_; }
  // Numbers that it keeps while it works.
  std::size_t memory() const noexcept { return message_size_ + base_size_; }
  // The eliminated variables, in order.
  std::vector<std::uint32_t> order() const {
    std::vector<std::uint32_t> order;
    for (const Bucket& bucket : buckets_) order.push_back(bucket.variable);
    return order;
  }
  // How many of the free variables keep their value.
  std::size_t conditioned() const noexcept { return planned_ - buckets_.size(); }

  // Gives every eliminated variable its best value, with all others as in `choice`.  `unary` has
  // the price of every value, padded as the weights are.  Ties keep the present value.
  void minimise(const std::vector<double>& unary, Choice& choice) {
    messages_.resize(message_size_);
    bases_.resize(base_size_);
    for (Bucket& bucket : buckets_) {
      load_base(bucket, unary, choice);
      send(bucket);
    }
    for (std::size_t b = buckets_.size(); b-- > 0;) choose(buckets_[b], choice);
  }

 private:
  // Part of a bucket: rows over the bucket's variable, one for every combination of some of the
  // variables it is left with.
  struct Function {
    bool is_message = false;
    std::size_t id = 0;                // of the table, or of the bucket that sent it
    std::vector<std::size_t> strides;  // by the bucket's scope; 0 where it does not depend on it
  };
  struct Bucket {
    std::uint32_t variable = 0;
    std::vector<std::uint32_t> scope;  // its neighbours then; the next to be eliminated first
    std::vector<Function> functions;
    std::size_t base = 0, message = 0;
    std::vector<std::size_t> message_strides;  // by scope: innermost is contiguous
  };

  // Places every function.
  [[gnu::noinline]] void lay_out() {
    message_size_ = base_size_ = 0;
    work_ = 0;
    for (Bucket& bucket : buckets_) {
      bucket.base = base_size_;
      base_size_ += weights_.stride(bucket.variable);
    }
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      Bucket& bucket = buckets_[b];
      add_tables(bucket);
      bucket.message = message_size_;
      std::size_t stride = 1;
      for (const std::uint32_t w : bucket.scope) {
        bucket.message_strides.push_back(stride);
        stride = stride == 1 ? weights_.stride(w) : stride * component_.value_count(w);
      }
      message_size_ += bucket.scope.empty() ? 0 : stride;
      work_ += static_cast<double>(stride * weights_.stride(bucket.variable)) *
               static_cast<double>(bucket.functions.size() + 1);
      if (!bucket.scope.empty()) pass_message(b);
    }
  }

  void add_tables(Bucket& bucket) {
    const std::uint32_t v = bucket.variable;
    const auto add = [&](std::uint32_t e, std::uint32_t w) {
      if (!order_.is_eliminated(w) || order_.position(w) < order_.position(v)) return;
      Function function{false, e, std::vector<std::size_t>(bucket.scope.size(), 0)};
      function.strides[index_in(bucket.scope, w)] = weights_.stride(v);
      bucket.functions.push_back(std::move(function));
    };
    for (const std::uint32_t e : component_.lower[v]) add(e, component_.tables[e].u);
    for (const std::uint32_t e : component_.higher[v]) add(e, component_.tables[e].v);
  }

  // A bucket's message belongs to the first of its scope that will be eliminated.
  void pass_message(std::size_t b) {
    const Bucket& sender = buckets_[b];
    Bucket& receiver = buckets_[order_.position(sender.scope[0])];
    Function function{true, b, std::vector<std::size_t>(receiver.scope.size(), 0)};
    for (std::size_t i = 1; i < sender.scope.size(); ++i)
      function.strides[index_in(receiver.scope, sender.scope[i])] = sender.message_strides[i];
    receiver.functions.push_back(std::move(function));
  }

  std::size_t index_in(const std::vector<std::uint32_t>& scope, std::uint32_t w) const {
    return static_cast<std::size_t>(std::find(scope.begin(), scope.end(), w) - scope.begin());
  }

  // The price of the bucket's values, with the tables to variables that keep their value.
  void load_base(const Bucket& bucket, const std::vector<double>& unary, const Choice& choice) {
    const std::uint32_t v = bucket.variable;
    const std::size_t width = weights_.stride(v);
    double* base = bases_.data() + bucket.base;
    std::copy_n(unary.data() + weights_.value_at(v), width, base);
    const auto add = [&](std::uint32_t e, std::uint32_t w) {
      if (order_.is_eliminated(w)) return;
      const double* row = weights_.towards(v, e, choice[w]);
      for (std::size_t y = 0; y < width; ++y) base[y] += row[y];
    };
    for (const std::uint32_t e : component_.lower[v]) add(e, component_.tables[e].u);
    for (const std::uint32_t e : component_.higher[v]) add(e, component_.tables[e].v);
  }

  const double* rows_of(const Bucket& bucket, const Function& function) const {
    if (function.is_message) return messages_.data() + buckets_[function.id].message;
    const auto e = static_cast<std::uint32_t>(function.id);
    return weights_.towards(bucket.variable, e, 0);
  }

  // The least over the bucket's variable, for every combination of its scope.
  [[gnu::noinline]] void send(const Bucket& bucket) {
    if (bucket.scope.empty()) return;
    const std::size_t width = weights_.stride(bucket.variable);
    // Those that change with the innermost variable of the scope, then the others.
    inner_.clear();
    outer_.clear();
    for (const Function& function : bucket.functions)
      (function.strides[0] != 0 ? inner_ : outer_)
          .push_back({&function, rows_of(bucket, function)});
    const std::uint32_t innermost = component_.value_count(bucket.scope[0]);
    const std::size_t padding = weights_.stride(bucket.scope[0]);
    digits_.assign(bucket.scope.size(), 0);
    double* out = messages_.data() + bucket.message;
    sum_.resize(width);
    rows_.resize(inner_.size());
    while (true) {
      std::copy_n(bases_.data() + bucket.base, width, sum_.data());
      for (const Rows& rows : outer_)
        for (std::size_t y = 0; y < width; ++y) sum_[y] += rows.at[y];
      for (std::uint32_t x = 0; x < innermost; ++x) {
        for (std::size_t i = 0; i < inner_.size(); ++i)
          rows_[i] = inner_[i].at + x * inner_[i].function->strides[0];
        out[x] = kernels::minimum_of_sum(sum_.data(), rows_.data(), rows_.size(), width);
      }
      std::fill(out + innermost, out + padding, kernels::huge);
      out += padding;
      if (!advance(bucket)) return;
    }
  }

  // To the next combination of the outer variables of the scope.  False after the last.
  bool advance(const Bucket& bucket) {
    for (std::size_t i = 1; i < bucket.scope.size(); ++i) {
      const std::uint32_t count = component_.value_count(bucket.scope[i]);
      const bool wraps = ++digits_[i] == count;
      const auto move = [&](std::vector<Rows>& list) {
        for (Rows& rows : list) {
          const std::size_t stride = rows.function->strides[i];
          rows.at = wraps ? rows.at - stride * (count - 1) : rows.at + stride;
        }
      };
      move(inner_);
      move(outer_);
      if (!wraps) return true;
      digits_[i] = 0;
    }
    return false;
  }

  void choose(const Bucket& bucket, Choice& choice) {
    const std::uint32_t v = bucket.variable;
    const std::size_t width = weights_.stride(v);
    double* sum = bases_.data() + bucket.base;
    for (const Function& function : bucket.functions) {
      const double* row = rows_of(bucket, function);
      for (std::size_t i = 0; i < bucket.scope.size(); ++i)
        row += function.strides[i] * choice[bucket.scope[i]];
      for (std::size_t y = 0; y < width; ++y) sum[y] += row[y];
    }
    // Only among its values: where all of them are forbidden several times, padding looks cheaper.
    const double* best = std::min_element(sum, sum + component_.value_count(v));
    if (sum[choice[v]] > *best) choice[v] = static_cast<std::uint32_t>(best - sum);
  }

  struct Rows {
    const Function* function;
    const double* at;
  };

  const Weights& weights_;
  const Component& component_;
  EliminationOrder order_;
  std::size_t planned_ = 0;
  std::vector<Bucket> buckets_;  // in the order of elimination
  std::size_t message_size_ = 0, base_size_ = 0;
  double work_ = 0;

  std::vector<double> messages_, bases_, sum_;
  std::vector<std::uint32_t> digits_;
  std::vector<Rows> inner_, outer_;
  std::vector<const double*> rows_;
};

}  // namespace tessera::solver::detail
