// SPDX-License-Identifier: Apache-2.0
//
// Exact search of one component: depth first, a bound at every node of the tree.
//
// We branch on variables, not on single 0-1 columns: the columns of a variable sum to one, so
// setting one to 0 settles almost nothing while choosing a value settles the whole row.
//
// A node of the tree is a set of domains.  It is propagated (forbidden pairs, usage), bounded
// (relaxation.hpp guides, bound.hpp proves), and stripped of every value whose reduced cost alone
// lifts the bound to the incumbent's cost.  The relaxation is also read as a solution and polished.
// What then is still open is split on the variable whose rounding costs the relaxation most.
//
// Open nodes wait on one stack that all threads share: the last one made is taken first.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "tessera/solver/bound.hpp"
#include "tessera/solver/component.hpp"
#include "tessera/solver/descent.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/relaxation.hpp"

namespace tessera::solver {

// Removes values that no neighbour allows or that can not fit.  False where a domain empties.
template<class Int>
class Propagator {
 public:
  explicit Propagator(const Component<Int>& component) : component_(component) {
    for (std::uint32_t e = 0; e < component.tables.size(); ++e) {
      const auto& table = component.tables[e];
      const std::size_t entries = std::size_t{component.value_count(table.u)} *
                                  component.value_count(table.v);
      const Int* cost = component.cost_of(table);
      if (!std::all_of(cost, cost + entries, Arithmetic<Int>::is_finite)) restrictive_.push_back(e);
    }
  }

  bool run(Domains& domains) const {
    for (bool changed = true; changed;) {
      changed = false;
      for (const std::uint32_t e : restrictive_)
        if (!match(component_.tables[e], domains, changed)) return false;
      if (!fit(domains, changed)) return false;
    }
    return true;
  }

 private:
  bool match(const typename Component<Int>::Table& table, Domains& domains, bool& changed) const {
    const std::uint32_t u = component_.first[table.u], v = component_.first[table.v];
    const std::uint32_t rows = component_.value_count(table.u);
    const std::uint32_t columns = component_.value_count(table.v);
    const Int* cost = component_.cost_of(table);
    std::vector<char> row_used(rows, 0), column_used(columns, 0);
    for (std::uint32_t x = 0; x < rows; ++x)
      for (std::uint32_t y = 0; y < columns; ++y)
        if (domains[u + x] != 0 && domains[v + y] != 0 &&
            Arithmetic<Int>::is_finite(cost[std::size_t{x} * columns + y]))
          row_used[x] = column_used[y] = 1;
    const auto keep = [&](std::uint32_t first, const std::vector<char>& used) {
      bool any = false;
      for (std::size_t x = 0; x < used.size(); ++x) {
        changed = changed || (domains[first + x] != 0 && used[x] == 0);
        domains[first + x] &= used[x];
        any = any || domains[first + x] != 0;
      }
      return any;
    };
    return keep(u, row_used) && keep(v, column_used);
  }

  bool fit(Domains& domains, bool& changed) const {
    if (component_.capacity.empty()) return true;
    // What is left when every variable uses as little as it can.
    std::vector<Usage> room = component_.capacity;
    std::vector<Usage> least(component_.items.size());
    for (std::uint32_t i = 0; i < component_.size(); ++i)
      for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
        const auto& item = component_.items[k];
        Usage fewest = std::numeric_limits<Usage>::max();
        for (std::uint32_t y = 0; y < component_.value_count(i); ++y)
          if (domains[component_.first[i] + y] != 0)
            fewest = std::min(fewest, component_.usages[item.usage + y]);
        least[k] = fewest;
        if (fewest == 0) continue;
        for (std::uint32_t row = item.begin; row < item.end; ++row) {
          if (room[row] < fewest) return false;
          room[row] -= fewest;
        }
      }
    for (std::uint32_t i = 0; i < component_.size(); ++i)
      for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
        const auto& item = component_.items[k];
        const Usage most = least[k] +
                           *std::min_element(room.begin() + item.begin, room.begin() + item.end);
        bool any = false;
        for (std::uint32_t y = 0; y < component_.value_count(i); ++y) {
          char& allowed = domains[component_.first[i] + y];
          if (allowed != 0 && component_.usages[item.usage + y] > most) {
            allowed = 0;
            changed = true;
          }
          any = any || allowed != 0;
        }
        if (!any) return false;
      }
    return true;
  }

  const Component<Int>& component_;
  std::vector<std::uint32_t> restrictive_;  // tables with forbidden pairs
};

template<class Int>
class Search {
 public:
  // What a search has found; costs are scaled, as the component's are.
  struct Outcome {
    std::optional<Choice> best;
    Wide cost = 0;   // of the best, when there is one
    Wide bound = 0;  // no choice is cheaper; meaningless when complete without a best
    bool is_complete = false;
    std::uint64_t nodes = 0;
  };

  // `unit` divides every total cost.  `report` is called, with the outcome so far, whenever the
  // incumbent improves and from time to time.
  Search(const Component<Int>& component, Wide unit, const Options& options,
         const Deadline& deadline, std::function<void(const Outcome&, bool)> report)
      : component_(component),
        propagator_(component),
        unit_(unit),
        options_(options),
        deadline_(deadline),
        report_(std::move(report)) {}

  Outcome run() {
    if (std::optional<Node> root = make_root()) open_.push_back(std::move(*root));
    const int threads = std::max(1, options_.threads);
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads; ++i) helpers.emplace_back([this] { work(); });
    work();
    for (std::thread& helper : helpers) helper.join();
    outcome_.is_complete = open_.empty();
    outcome_.bound = global_bound();
    return std::move(outcome_);
  }

 private:
  struct Node {
    Domains domains;
    Wide bound = 0;
    std::shared_ptr<const Guide> guide;  // the parent's, by the component's values
    std::uint32_t depth = 0;
  };

  // All values that are not forbidden; nothing where a variable has none.
  std::optional<Node> make_root() const {
    Node root;
    for (const Int& cost : component_.cost)
      root.domains.push_back(Arithmetic<Int>::is_finite(cost));
    for (std::uint32_t i = 0; i < component_.size(); ++i) {
      const auto begin = root.domains.begin() + component_.first[i];
      const auto end = root.domains.begin() + component_.first[i + 1];
      if (std::find(begin, end, 1) == end) return std::nullopt;
    }
    root.bound = easy_bound(component_);
    return root;
  }

  // --- The stack of open nodes, shared by the threads --------------------------------------------

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stopped_ || !open_.empty() || busy_.empty(); });
      if (stopped_ || open_.empty()) break;
      Node node = std::move(open_.back());
      open_.pop_back();
      if (closes(node.bound)) continue;
      if (deadline_.is_over() || outcome_.nodes >= options_.node_limit) {
        open_.push_back(std::move(node));  // still open: the bound must count it
        stopped_ = true;
        break;
      }
      ++outcome_.nodes;
      const auto mine = busy_.insert(node.bound);
      report_progress();
      lock.unlock();
      std::vector<Node> children = process(node);
      lock.lock();
      for (Node& child : children) open_.push_back(std::move(child));
      busy_.erase(mine);
      changed_.notify_all();
    }
    changed_.notify_all();
  }

  Wide global_bound() const {
    std::optional<Wide> least;
    const auto consider = [&](Wide bound) {
      if (!least || bound < *least) least = bound;
    };
    for (const Node& node : open_) consider(node.bound);
    for (Wide bound : busy_) consider(bound);
    if (outcome_.best) consider(outcome_.cost);
    return least.value_or(Wide(0));
  }

  void report_progress() {
    constexpr double interval = 1.0;
    const double now = deadline_.seconds();
    if (now < last_report_ + interval) return;
    last_report_ = now;
    outcome_.bound = global_bound();
    report_(outcome_, false);
  }

  // Whether a node of this bound can hold nothing cheaper than the incumbent.
  bool closes(Wide bound) const { return outcome_.best && bound + unit_ > outcome_.cost; }
  bool closes_locked(Wide bound) {
    const std::scoped_lock lock(mutex_);
    return closes(bound);
  }
  std::optional<Wide> incumbent_cost() {
    const std::scoped_lock lock(mutex_);
    return outcome_.best ? std::optional(outcome_.cost) : std::nullopt;
  }

  void offer(const Component<Int>& restricted, const std::vector<std::uint32_t>& kept,
             const Choice& choice) {
    const std::optional<Wide> cost = cost_of(restricted, choice);
    if (!cost) return;
    const std::scoped_lock lock(mutex_);
    if (outcome_.best && *cost >= outcome_.cost) return;
    Choice best(choice.size());
    for (std::uint32_t i = 0; i < choice.size(); ++i)
      best[i] = kept[restricted.first[i] + choice[i]] - component_.first[i];
    outcome_.best = std::move(best);
    outcome_.cost = *cost;
    outcome_.bound = global_bound();
    report_(outcome_, true);
  }

  // --- One node ----------------------------------------------------------------------------------

  std::vector<Node> process(Node& node) {
    const bool is_root = node.depth == 0;
    constexpr int max_rounds = 6;
    for (int round = 0; round < max_rounds; ++round) {
      if (!propagator_.run(node.domains)) return {};
      std::vector<std::uint32_t> kept;
      const Component<Int> restricted = restrict_to(component_, node.domains, kept);
      Relaxation<Int> relaxation(restricted);
      if (node.guide) load(relaxation, *node.guide, restricted, kept);
      const int steps = is_root && round == 0 ? 2000 : 40;
      const auto incumbent = incumbent_cost();
      const double target = incumbent ? static_cast<double>(*incumbent) : 1e300;
      relaxation.optimise(steps, target, [this] { return deadline_.is_over(); });
      const Bound<Int> bound =
          exact_bound(restricted, relaxation.rounded_forward(),
                      rounded_multipliers(restricted, relaxation.guide().lambda));
      node.bound = std::max(node.bound, bound.value);
      if (closes_locked(node.bound)) return {};
      const Choice rounded = round_to_choices(restricted, relaxation, kept, is_root);
      if (closes_locked(node.bound)) return {};
      node.guide = save(relaxation, restricted, kept);
      const std::size_t removed = remove_costly(node.domains, bound, kept);
      if (deadline_.is_over()) return reopened(node);
      const bool is_settled = kept.size() == component_.size();
      if (is_settled) return {};  // one value each: rounding has offered it
      if (removed * 8 < kept.size() - component_.size() || round + 1 == max_rounds) {
        if (removed > 0 && !propagator_.run(node.domains)) return {};
        return branch(node, restricted, bound, rounded, kept);
      }
    }
    return {};
  }

  // Time ran out before the node could be split: it goes back as it is.
  std::vector<Node> reopened(Node& node) {
    std::vector<Node> same;
    same.push_back(std::move(node));
    return same;
  }

  // A value whose own bound reaches the incumbent goes.
  std::size_t remove_costly(Domains& domains, const Bound<Int>& bound,
                            const std::vector<std::uint32_t>& kept) {
    const auto incumbent = incumbent_cost();
    if (!incumbent) return 0;
    std::size_t removed = 0;
    for (std::size_t x = 0; x < kept.size(); ++x)
      if (bound.value + bound.reduced_costs[x] + unit_ > *incumbent) {
        domains[kept[x]] = 0;
        ++removed;
      }
    return removed;
  }

  // --- Messages and multipliers go from a node to its children -----------------------------------

  static constexpr double unset = 0;

  std::shared_ptr<const Guide> save(const Relaxation<Int>& relaxation,
                                    const Component<Int>& restricted,
                                    const std::vector<std::uint32_t>& kept) const {
    auto whole = std::make_shared<Guide>();
    whole->lambda = relaxation.guide().lambda;
    copy_messages(relaxation.guide().forward, whole->forward, restricted, kept, true, true);
    copy_messages(relaxation.guide().backward, whole->backward, restricted, kept, false, true);
    return whole;
  }

  void load(Relaxation<Int>& relaxation, const Guide& whole, const Component<Int>& restricted,
            const std::vector<std::uint32_t>& kept) const {
    Guide& guide = relaxation.guide();
    guide.lambda = whole.lambda;
    copy_messages(whole.forward, guide.forward, restricted, kept, true, false);
    copy_messages(whole.backward, guide.backward, restricted, kept, false, false);
    relaxation.refresh_unary();
  }

  // Between messages by the restricted values and by the component's.
  void copy_messages(const std::vector<double>& from, std::vector<double>& to,
                     const Component<Int>& restricted, const std::vector<std::uint32_t>& kept,
                     bool is_forward, bool to_whole) const {
    std::size_t narrow = 0, wide = 0;
    for (const auto& table : restricted.tables) {
      const std::uint32_t w = is_forward ? table.v : table.u;
      const std::uint32_t width = component_.value_count(w);
      if (to_whole) to.resize(wide + width, unset);
      for (std::uint32_t y = 0; y < restricted.value_count(w); ++y) {
        const std::size_t at = wide + kept[restricted.first[w] + y] - component_.first[w];
        if (to_whole)
          to[at] = from[narrow + y];
        else
          to[narrow + y] = from[at];
      }
      narrow += restricted.value_count(w);
      wide += width;
    }
  }

  // --- Rounding ----------------------------------------------------------------------------------

  // Reads the relaxation as solutions, polishes and offers them.  Returns the plain reading, which
  // may use too much.
  Choice round_to_choices(const Component<Int>& restricted, Relaxation<Int>& relaxation,
                          const std::vector<std::uint32_t>& kept, bool thoroughly) {
    const Choice plain = decode(restricted, relaxation, false).value();
    const auto polish_and_offer = [&](Choice choice) {
      descend(restricted, choice);
      offer(restricted, kept, choice);
    };
    if (is_feasible(restricted, plain)) {
      polish_and_offer(plain);
      return plain;
    }
    // Dearer usage makes the reading fit more easily, and cost more.
    const std::vector<double> lambda = relaxation.guide().lambda;
    for (const double factor : {1.0, 1.05, 1.2, 1.6, 3.0}) {
      for (std::size_t row = 0; row < lambda.size(); ++row)
        relaxation.guide().lambda[row] = lambda[row] * factor;
      relaxation.refresh_unary();
      if (auto fitting = decode(restricted, relaxation, true)) polish_and_offer(*fitting);
      if (!thoroughly) break;
    }
    relaxation.guide().lambda = lambda;
    relaxation.refresh_unary();
    return plain;
  }

  bool is_feasible(const Component<Int>& restricted, const Choice& choice) const {
    Room<Int> room(restricted);
    for (std::uint32_t i = 0; i < restricted.size(); ++i) room.take(i, choice[i]);
    return room.is_within() && cost_of(restricted, choice).has_value();
  }

  // Variable by variable, the value that looks cheapest given those chosen before; where
  // `must_fit`, among those that leave room for the least that the rest needs.
  std::optional<Choice> decode(const Component<Int>& restricted, const Relaxation<Int>& relaxation,
                               bool must_fit) const {
    Choice choice(restricted.size(), 0);
    Room<Int> room(restricted);
    std::vector<std::uint32_t> thriftiest;
    if (must_fit) {
      thriftiest = thriftiest_values(restricted);
      for (std::uint32_t i = 0; i < restricted.size(); ++i) room.take(i, thriftiest[i]);
    }
    for (std::uint32_t i = 0; i < restricted.size(); ++i) {
      if (must_fit) room.give(i, thriftiest[i]);
      std::optional<std::uint32_t> best;
      double best_price = 0;
      for (std::uint32_t y = 0; y < restricted.value_count(i); ++y) {
        double price = relaxation.belief_from_above(i, y);
        for (const std::uint32_t e : restricted.lower[i]) {
          const auto& table = restricted.tables[e];
          const Int& pair = restricted.cost_of(
              table)[std::size_t{choice[table.u]} * restricted.value_count(i) + y];
          price += Arithmetic<Int>::is_finite(pair) ? static_cast<double>(pair) : 1e30;
        }
        if (best && price >= best_price) continue;
        if (must_fit && !room.fits(i, y)) continue;
        best = y;
        best_price = price;
      }
      if (!best) return std::nullopt;
      choice[i] = *best;
      if (must_fit) room.take(i, *best);
    }
    // The thriftiest values of all together may already be too much on some row.
    if (must_fit && !room.is_within()) return std::nullopt;
    return choice;
  }

  // For each variable, the value that uses least over all its rows.
  static std::vector<std::uint32_t> thriftiest_values(const Component<Int>& restricted) {
    std::vector<std::uint32_t> result(restricted.size(), 0);
    for (std::uint32_t i = 0; i < restricted.size(); ++i) {
      double least = 0;
      for (std::uint32_t y = 0; y < restricted.value_count(i); ++y) {
        double total = 0;
        for (std::uint32_t k = restricted.first_item[i]; k < restricted.first_item[i + 1]; ++k) {
          const auto& item = restricted.items[k];
          total += static_cast<double>(restricted.usages[item.usage + y]) * (item.end - item.begin);
        }
        if (y == 0 || total < least) {
          least = total;
          result[i] = y;
        }
      }
    }
    return result;
  }

  // --- Branching ---------------------------------------------------------------------------------

  std::vector<Node> branch(const Node& node, const Component<Int>& restricted,
                           const Bound<Int>& bound, const Choice& rounded,
                           const std::vector<std::uint32_t>& kept) const {
    const std::uint32_t i = branching_variable(restricted, bound, rounded, node.domains, kept);
    // Its values, cheapest first.
    std::vector<std::uint32_t> values;
    for (std::uint32_t x = restricted.first[i]; x < restricted.first[i + 1]; ++x)
      if (node.domains[kept[x]] != 0) values.push_back(x);
    std::stable_sort(values.begin(), values.end(), [&](std::uint32_t a, std::uint32_t b) {
      return bound.reduced_costs[a] < bound.reduced_costs[b];
    });
    constexpr std::size_t max_children = 6;
    std::vector<Node> children;
    const auto add_child = [&](std::size_t begin, std::size_t end) {
      Node child{node.domains, node.bound, node.guide, node.depth + 1};
      for (std::uint32_t x = restricted.first[i]; x < restricted.first[i + 1]; ++x)
        child.domains[kept[x]] = 0;
      for (std::size_t k = begin; k < end; ++k) child.domains[kept[values[k]]] = 1;
      child.bound = std::max<Wide>(child.bound, bound.value + bound.reduced_costs[values[begin]]);
      children.push_back(std::move(child));
    };
    if (values.size() > max_children) {
      add_child(values.size() / 2, values.size());
      add_child(0, values.size() / 2);
    } else {
      for (std::size_t k = values.size(); k-- > 0;) add_child(k, k + 1);
    }
    return children;  // the most promising last: it is on top of the stack
  }

  // Where the rounded solution departs from the relaxation; failing that, where values differ most
  // in how much scarce room they take; failing that, where they differ most in cost.
  std::uint32_t branching_variable(const Component<Int>& restricted, const Bound<Int>& bound,
                                   const Choice& rounded, const Domains& domains,
                                   const std::vector<std::uint32_t>& kept) const {
    std::uint32_t chosen = 0;
    bool any = false;
    Wide best_departure = -1, best_spread = -1;
    for (std::uint32_t i = 0; i < restricted.size(); ++i) {
      Wide least = -1, second = -1, most_usage = 0;
      std::size_t open = 0;
      for (std::uint32_t x = restricted.first[i]; x < restricted.first[i + 1]; ++x) {
        if (domains[kept[x]] == 0) continue;
        ++open;
        const Wide cost = bound.reduced_costs[x];
        if (least < 0 || cost < least) {
          second = least;
          least = cost;
        } else if (second < 0 || cost < second) {
          second = cost;
        }
      }
      if (open < 2) continue;
      for (std::uint32_t k = restricted.first_item[i]; k < restricted.first_item[i + 1]; ++k) {
        const auto& item = restricted.items[k];
        const auto usages = restricted.usages.begin() + static_cast<std::ptrdiff_t>(item.usage);
        const auto [low, high] = std::minmax_element(usages, usages + restricted.value_count(i));
        most_usage += Wide(*high - *low) * (item.end - item.begin);
      }
      const Wide departure = bound.reduced_costs[restricted.first[i] + rounded[i]];
      const Wide spread = restricted.items.empty() ? second : most_usage;
      if (!any || departure > best_departure ||
          (departure == best_departure && spread > best_spread)) {
        any = true;
        chosen = i;
        best_departure = departure;
        best_spread = spread;
      }
    }
    return chosen;
  }

  const Component<Int>& component_;
  Propagator<Int> propagator_;
  Wide unit_;
  const Options& options_;
  const Deadline& deadline_;
  std::function<void(const Outcome&, bool)> report_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::vector<Node> open_;
  std::multiset<Wide> busy_;  // bounds of the nodes being processed
  Outcome outcome_;
  bool stopped_ = false;
  double last_report_ = 0;
};

}  // namespace tessera::solver
