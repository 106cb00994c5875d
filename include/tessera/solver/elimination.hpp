// SPDX-License-Identifier: Apache-2.0
//
// Minimises over many variables at once, exactly, while a few of them stay as they are.
//
// Bucket elimination (Dechter, 1999): a variable's best value is a function of its neighbours', so
// it can be minimised out, which connects those.  Where that function would grow past a limit, one
// variable is held at its current value instead, and the rest falls apart: on programs, whose
// graphs are long and narrow, one to three in a hundred are enough.  Holding different ones each
// time, a few passes reach what no change of small parts can.
//
// In floating point: what comes out is a candidate, priced exactly by whoever takes it.  Where all
// sums are whole numbers that a double holds (component.hpp), it is the optimum as well.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/descent.hpp"
#include "tessera/solver/random.hpp"
#include "tessera/solver/weights.hpp"

namespace tessera::solver {

template<class Int>
class Elimination {
 public:
  // @pre the weights outlive it
  explicit Elimination(const Weights<Int>& weights)
      : weights_(weights),
        component_(weights.component()),
        links_(component_.size()),
        state_(component_.size(), State::outside),
        position_(component_.size(), 0),
        bits_(component_.size()) {
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      bits_[v] = std::log2(static_cast<double>(component_.value_count(v)));
  }

  // Chooses in which order to eliminate `free`, and which of them to hold so that no function has
  // more than 2^limit entries.  O(n d^2 log n) for n free variables of d neighbours each.
  void plan(std::span<const std::uint32_t> free, double limit, RandomSource& random) {
    for (const std::uint32_t v : planned_) state_[v] = State::outside;
    planned_.assign(free.begin(), free.end());
    link();
    order(limit, random);
    lay_out();
  }

  // Kernel operations that one minimise() takes.
  double work() const noexcept { return work_; }
  // Numbers that it keeps while it works.
  std::size_t room() const noexcept { return message_size_ + base_size_; }
  // The variables that are not held, in the order in which they are eliminated.
  std::vector<std::uint32_t> order() const {
    std::vector<std::uint32_t> order;
    for (const Bucket& bucket : buckets_) order.push_back(bucket.variable);
    return order;
  }
  // How many of the free variables are held.
  std::size_t held() const noexcept { return planned_.size() - buckets_.size(); }

  // Gives every variable that is not held its best value, all others being as `choice` says.
  // `unary` has the price of every value, padded as the weights are.  Ties keep the present value.
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
  enum class State : std::uint8_t { outside, free, held, eliminated };

  // Part of a bucket: rows over the bucket's variable, one for every combination of some of the
  // variables it is left with.
  struct Function {
    bool is_message = false;
    std::size_t id = 0;                // of the table, or of the bucket that sent it
    std::vector<std::size_t> strides;  // by the bucket's scope; 0 where it does not depend on it
  };
  struct Bucket {
    std::uint32_t variable = 0;
    std::vector<std::uint32_t> scope;  // what it is left with; the next to be eliminated first
    std::vector<Function> functions;
    std::size_t base = 0, message = 0;
    std::vector<std::size_t> message_strides;  // by scope: innermost is contiguous
  };

  // The free variables' graph.
  void link() {
    for (const std::uint32_t v : planned_) state_[v] = State::free;
    for (const std::uint32_t v : planned_) {
      links_[v].clear();
      for (const std::uint32_t e : component_.lower[v]) consider(v, component_.tables[e].u);
      for (const std::uint32_t e : component_.higher[v]) consider(v, component_.tables[e].v);
      std::sort(links_[v].begin(), links_[v].end());
    }
  }
  void consider(std::uint32_t v, std::uint32_t w) {
    if (state_[w] == State::free) links_[v].push_back(w);
  }

  double bits_of(std::uint32_t v) const {
    double bits = bits_[v];
    for (const std::uint32_t w : links_[v]) bits += bits_[w];
    return bits;
  }

  void order(double limit, RandomSource& random) {
    using Entry = std::pair<double, std::uint32_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    std::vector<double> key(component_.size(), 0);
    std::vector<double> noise(component_.size(), 0);
    const auto push = [&](std::uint32_t v) {
      key[v] = bits_of(v) + noise[v];
      queue.push({key[v], v});
    };
    for (const std::uint32_t v : planned_) {
      noise[v] = 0.5 * random.uniform();
      push(v);
    }
    buckets_.clear();
    // Held where many meet, and not the same ones every time.
    std::vector<double> taste(component_.size(), 0);
    for (const std::uint32_t v : planned_) taste[v] = std::exp(0.7 * random.normal());
    while (!queue.empty()) {
      const auto [bits, v] = queue.top();
      queue.pop();
      if (state_[v] != State::free || bits != key[v]) continue;
      if (bits_of(v) > limit && !links_[v].empty()) {
        const std::uint32_t w = most_connected(taste);
        hold(w);
        for (const std::uint32_t x : links_[w]) push(x);
        if (w != v) push(v);
        continue;
      }
      eliminate(v);
      for (const std::uint32_t w : links_[v]) push(w);
    }
  }

  std::uint32_t most_connected(const std::vector<double>& taste) const {
    std::uint32_t chosen = planned_[0];
    double most = -1;
    for (const std::uint32_t v : planned_) {
      if (state_[v] != State::free) continue;
      const double score = static_cast<double>(links_[v].size()) * taste[v];
      if (score > most) {
        most = score;
        chosen = v;
      }
    }
    return chosen;
  }

  void unlink(std::uint32_t from, std::uint32_t v) {
    auto& list = links_[from];
    list.erase(std::lower_bound(list.begin(), list.end(), v));
  }
  void hold(std::uint32_t v) {
    state_[v] = State::held;
    for (const std::uint32_t w : links_[v]) unlink(w, v);
  }
  void eliminate(std::uint32_t v) {
    state_[v] = State::eliminated;
    position_[v] = static_cast<std::uint32_t>(buckets_.size());
    buckets_.push_back({v, links_[v], {}, 0, 0, {}});
    for (const std::uint32_t w : links_[v]) {
      unlink(w, v);
      merged_.clear();
      std::set_union(links_[w].begin(), links_[w].end(), links_[v].begin(), links_[v].end(),
                     std::back_inserter(merged_));
      merged_.erase(std::lower_bound(merged_.begin(), merged_.end(), w));
      links_[w] = merged_;
    }
  }

  // Places every function, now that it is known which variables are held.
  void lay_out() {
    message_size_ = base_size_ = 0;
    work_ = 0;
    for (Bucket& bucket : buckets_) {
      std::erase_if(bucket.scope, [&](std::uint32_t w) { return state_[w] == State::held; });
      std::sort(bucket.scope.begin(), bucket.scope.end(),
                [&](std::uint32_t a, std::uint32_t b) { return position_[a] < position_[b]; });
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
      if (!bucket.scope.empty()) hand_on(b);
    }
  }

  void add_tables(Bucket& bucket) {
    const std::uint32_t v = bucket.variable;
    const auto add = [&](std::uint32_t e, std::uint32_t w) {
      if (state_[w] != State::eliminated || position_[w] < position_[v]) return;
      Function function{false, e, std::vector<std::size_t>(bucket.scope.size(), 0)};
      function.strides[index_in(bucket.scope, w)] = weights_.stride(v);
      bucket.functions.push_back(std::move(function));
    };
    for (const std::uint32_t e : component_.lower[v]) add(e, component_.tables[e].u);
    for (const std::uint32_t e : component_.higher[v]) add(e, component_.tables[e].v);
  }

  // A bucket's message belongs to the first of its scope that will be eliminated.
  void hand_on(std::size_t b) {
    const Bucket& sender = buckets_[b];
    Bucket& receiver = buckets_[position_[sender.scope[0]]];
    Function function{true, b, std::vector<std::size_t>(receiver.scope.size(), 0)};
    for (std::size_t i = 1; i < sender.scope.size(); ++i)
      function.strides[index_in(receiver.scope, sender.scope[i])] = sender.message_strides[i];
    receiver.functions.push_back(std::move(function));
  }

  std::size_t index_in(const std::vector<std::uint32_t>& scope, std::uint32_t w) const {
    return static_cast<std::size_t>(std::find(scope.begin(), scope.end(), w) - scope.begin());
  }

  // The price of the bucket's values, and what those say that stay as they are.
  void load_base(const Bucket& bucket, const std::vector<double>& unary, const Choice& choice) {
    const std::uint32_t v = bucket.variable;
    const std::size_t width = weights_.stride(v);
    double* base = bases_.data() + bucket.base;
    std::copy_n(unary.data() + weights_.value_at(v), width, base);
    const auto add = [&](std::uint32_t e, std::uint32_t w) {
      if (state_[w] == State::eliminated) return;
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
  void send(const Bucket& bucket) {
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

  const Weights<Int>& weights_;
  const Component<Int>& component_;
  std::vector<std::uint32_t> planned_;
  std::vector<std::vector<std::uint32_t>> links_;
  std::vector<State> state_;
  std::vector<std::uint32_t> position_;  // in the order of elimination
  std::vector<double> bits_;             // log2 of the number of values
  std::vector<Bucket> buckets_;          // in the order of elimination
  std::size_t message_size_ = 0, base_size_ = 0;
  double work_ = 0;

  std::vector<double> messages_, bases_, sum_;
  std::vector<std::uint32_t> merged_, digits_;
  std::vector<Rows> inner_, outer_;
  std::vector<const double*> rows_;
};

}  // namespace tessera::solver
