// SPDX-License-Identifier: Apache-2.0
//
// Finds good messages and multipliers, in floating point: a guide, never a proof (bound.hpp
// proves).
//
// Messages by TRW-S sweeps in the component's order (Kolmogorov, PAMI 2006).  Multipliers by a
// subgradient step after every sweep, with the messages kept warm.  What matters most is the
// gradient: the usage of a soft minimum of the beliefs, smoothed over many steps, moves the bound
// far better than the usage of a rounded solution does.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tessera/solver/component.hpp"

namespace tessera::solver {

// Messages by table, multipliers by row; indexed by the values of some component.
struct Guide {
  std::vector<double> forward;   // from u to v, by v's values, table after table
  std::vector<double> backward;  // from v to u, by u's values
  std::vector<double> lambda;
};

template<class Int>
class Relaxation {
 public:
  explicit Relaxation(const Component<Int>& component) : component_(component) {
    std::size_t forward = 0, backward = 0;
    for (const auto& table : component.tables) {
      forward_at_.push_back(forward);
      backward_at_.push_back(backward);
      forward += component.value_count(table.v);
      backward += component.value_count(table.u);
    }
    guide_.forward.assign(forward, 0);
    guide_.backward.assign(backward, 0);
    guide_.lambda.assign(component.capacity.size(), 0);
    copy_costs();
  }

  Guide& guide() noexcept { return guide_; }
  const Guide& guide() const noexcept { return guide_; }

  // Improves messages and multipliers for at most `steps` sweeps.  Stops when the bound reaches
  // `target` (an incumbent's cost, or infinity), stalls, or `stop()` says so.
  // @post the guide is the best one seen
  template<class Stop>
  double optimise(int steps, double target, Stop&& stop) {
    const bool has_rows = !component_.capacity.empty();
    double best = -1e300, step_size = 0.1;
    int since_best = 0;
    std::vector<double> best_lambda = guide_.lambda;
    std::vector<double> direction(guide_.lambda.size(), 0), gradient;
    for (int step = 0; step < steps && !stop(); ++step) {
      const double bound = sweep() - dot(guide_.lambda, component_.capacity);
      const double scale = std::max(1.0, std::abs(bound));
      if (bound > best + 1e-7 * scale) {
        since_best = 0;
      } else {
        ++since_best;
      }
      if (bound > best) {
        best = bound;
        best_lambda = guide_.lambda;
      }
      if (best >= target) break;
      if (!has_rows) {
        if (since_best >= 3) break;
        continue;
      }
      constexpr int patience = 20;
      if (since_best > patience) {
        step_size *= 0.7;
        if (step_size < 1e-4) break;
        guide_.lambda = best_lambda;
        std::fill(direction.begin(), direction.end(), 0);
        since_best = 0;
        refresh_unary();
        continue;
      }
      const double gap = std::max(std::min(target, best + 0.1 * std::abs(best) + 1) - best, 1e-9);
      gradient = usage_excess(gap);
      constexpr double momentum = 0.9;
      double norm = 0;
      for (std::size_t t = 0; t < direction.size(); ++t) {
        direction[t] = momentum * direction[t] + (1 - momentum) * gradient[t];
        if (guide_.lambda[t] == 0 && direction[t] < 0) direction[t] = 0;
        norm += direction[t] * direction[t];
      }
      if (norm == 0) {
        // Nothing is short of room and nothing is overpaid: only messages are left to improve.
        if (since_best >= 3) break;
        continue;
      }
      const double length = step_size * gap / norm;
      for (std::size_t t = 0; t < direction.size(); ++t)
        guide_.lambda[t] = std::max(0.0, guide_.lambda[t] + length * direction[t]);
      refresh_unary();
    }
    if (has_rows) {
      guide_.lambda = best_lambda;
      refresh_unary();
    }
    sweep_forward();
    return best;
  }

  // The forward messages as integers that the bound's arithmetic can hold.
  std::vector<Int> rounded_forward() const {
    const double most = std::ldexp(1.0, Arithmetic<Int>::headroom_bits - 1);
    std::vector<Int> result;
    result.reserve(guide_.forward.size());
    for (const double message : guide_.forward)
      result.push_back(static_cast<Int>(std::clamp(std::floor(message), -most, most)));
    return result;
  }

  // What value y of variable v seems to cost, its neighbours' messages included.
  double belief(std::uint32_t v, std::uint32_t y) const {
    double total = unary_[component_.first[v] + y];
    for (const std::uint32_t e : component_.lower[v]) total += guide_.forward[forward_at_[e] + y];
    for (const std::uint32_t e : component_.higher[v])
      total += guide_.backward[backward_at_[e] + y];
    return total;
  }
  // As belief, from own cost and the tables to higher numbers only: what a decoder that has chosen
  // all lower numbers adds the tables to those to.
  double belief_from_above(std::uint32_t v, std::uint32_t y) const {
    double total = unary_[component_.first[v] + y];
    for (const std::uint32_t e : component_.higher[v])
      total += guide_.backward[backward_at_[e] + y];
    return total;
  }

  // Copies the multipliers into the unary costs; call after changing guide().lambda.
  void refresh_unary() {
    std::vector<double> before(component_.capacity.size() + 1, 0);
    for (std::size_t row = 0; row < component_.capacity.size(); ++row)
      before[row + 1] = before[row] + guide_.lambda[row];
    unary_ = costs_;
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k) {
        const auto& item = component_.items[k];
        const double price = before[item.end] - before[item.begin];
        if (price == 0) continue;
        for (std::uint32_t y = 0; y < component_.value_count(v); ++y)
          unary_[component_.first[v] + y] += price *
                                             static_cast<double>(component_.usages[item.usage + y]);
      }
  }

 private:
  static constexpr double huge = 1e30;  // stands for infinity: finite, so that sums stay numbers

  static double dot(const std::vector<double>& a, const std::vector<Usage>& b) {
    double total = 0;
    for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * static_cast<double>(b[i]);
    return total;
  }

  static double to_double(const Int& cost) {
    return Arithmetic<Int>::is_finite(cost) ? static_cast<double>(cost) : huge;
  }

  // Tables in both orientations: every message is then a sum of rows and a minimum over them.
  void copy_costs() {
    for (const Int& cost : component_.cost) costs_.push_back(to_double(cost));
    tables_.reserve(component_.tables_cost.size());
    for (const Int& cost : component_.tables_cost) tables_.push_back(to_double(cost));
    transposed_.resize(tables_.size());
    for (const auto& table : component_.tables) {
      const std::size_t rows = component_.value_count(table.u);
      const std::size_t columns = component_.value_count(table.v);
      for (std::size_t x = 0; x < rows; ++x)
        for (std::size_t y = 0; y < columns; ++y)
          transposed_[table.cost + y * rows + x] = tables_[table.cost + x * columns + y];
    }
    unary_ = costs_;
  }

  // out[y] = min over x of in[x] + table[x][y], less the least of them, which is returned.
  static double send(const double* in, std::size_t rows, const double* table, std::size_t columns,
                     double* out) {
    for (std::size_t y = 0; y < columns; ++y) out[y] = in[0] + table[y];
    for (std::size_t x = 1; x < rows; ++x) {
      const double from = in[x];
      const double* row = table + x * columns;
      for (std::size_t y = 0; y < columns; ++y) out[y] = std::min(out[y], from + row[y]);
    }
    const double least = *std::min_element(out, out + columns);
    for (std::size_t y = 0; y < columns; ++y) out[y] -= least;
    return least;
  }

  void load_beliefs(std::uint32_t v) {
    const std::uint32_t width = component_.value_count(v);
    belief_.resize(width);
    const double* unary = unary_.data() + component_.first[v];
    for (std::uint32_t y = 0; y < width; ++y) belief_[y] = unary[y];
    for (const std::uint32_t e : component_.lower[v])
      for (std::uint32_t y = 0; y < width; ++y) belief_[y] += guide_.forward[forward_at_[e] + y];
    for (const std::uint32_t e : component_.higher[v])
      for (std::uint32_t y = 0; y < width; ++y) belief_[y] += guide_.backward[backward_at_[e] + y];
  }

  double weight_of(std::uint32_t v) const {
    const std::size_t most =
        std::max({component_.lower[v].size(), component_.higher[v].size(), std::size_t{1}});
    return 1.0 / static_cast<double>(most);
  }

  void sweep_forward() {
    for (std::uint32_t v = 0; v < component_.size(); ++v) {
      if (component_.higher[v].empty()) continue;
      load_beliefs(v);
      const double weight = weight_of(v);
      for (const std::uint32_t e : component_.higher[v]) {
        const auto& table = component_.tables[e];
        scratch_.resize(belief_.size());
        for (std::size_t x = 0; x < belief_.size(); ++x)
          scratch_[x] = weight * belief_[x] - guide_.backward[backward_at_[e] + x];
        send(scratch_.data(), scratch_.size(), tables_.data() + table.cost,
             component_.value_count(table.v), guide_.forward.data() + forward_at_[e]);
      }
    }
  }

  // A forward and a backward pass.  Returns the bound, without the multipliers' refund.
  double sweep() {
    sweep_forward();
    double bound = 0;
    for (auto v = static_cast<std::uint32_t>(component_.size()); v-- > 0;) {
      load_beliefs(v);
      const double weight = weight_of(v);
      const double least = *std::min_element(belief_.begin(), belief_.end());
      bound += (1 - weight * static_cast<double>(component_.lower[v].size())) * least;
      for (const std::uint32_t e : component_.lower[v]) {
        const auto& table = component_.tables[e];
        scratch_.resize(belief_.size());
        for (std::size_t y = 0; y < belief_.size(); ++y)
          scratch_[y] = weight * belief_[y] - guide_.forward[forward_at_[e] + y];
        bound += send(scratch_.data(), scratch_.size(), transposed_.data() + table.cost,
                      component_.value_count(table.u), guide_.backward.data() + backward_at_[e]);
      }
    }
    return bound;
  }

  // How much more than its capacity each row uses when every variable takes a soft minimum of its
  // beliefs.  The temperature follows the gap: the nearer the optimum, the harder the minimum.
  std::vector<double> usage_excess(double gap) {
    std::vector<double> change(component_.capacity.size() + 1, 0);
    const double temperature =
        std::max(0.3 * gap / static_cast<double>(component_.size() + 1), 1e-9);
    for (std::uint32_t v = 0; v < component_.size(); ++v) {
      if (component_.first_item[v] == component_.first_item[v + 1]) continue;
      load_beliefs(v);
      const double least = *std::min_element(belief_.begin(), belief_.end());
      double total = 0;
      for (double& b : belief_) total += b = std::exp((least - b) / temperature);
      for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k) {
        const auto& item = component_.items[k];
        double expected = 0;
        for (std::size_t y = 0; y < belief_.size(); ++y)
          expected += belief_[y] * static_cast<double>(component_.usages[item.usage + y]);
        change[item.begin] += expected / total;
        change[item.end] -= expected / total;
      }
    }
    double usage = 0;
    for (std::size_t row = 0; row < component_.capacity.size(); ++row) {
      usage += change[row];
      change[row] = usage - static_cast<double>(component_.capacity[row]);
    }
    change.pop_back();
    return change;
  }

  const Component<Int>& component_;
  std::vector<std::size_t> forward_at_, backward_at_;
  std::vector<double> costs_, unary_, tables_, transposed_;
  std::vector<double> belief_, scratch_;
  Guide guide_;
};

}  // namespace tessera::solver
