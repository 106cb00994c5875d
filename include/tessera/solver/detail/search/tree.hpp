// SPDX-License-Identifier: Apache-2.0
//
// Branch and bound on what the root leaves of a component, best first with dives.
//
// A node is a set of domains.  It is propagated, its ascent goes on from its parent's multipliers,
// values that can not be part of anything cheaper go, and what is open is split.
//
// We branch on variables, not on single 0-1 columns: the columns of a variable sum to one, so
// setting one to 0 settles almost nothing while splitting its values settles half of them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/propagator.hpp"
#include "tessera/solver/detail/search/branching.hpp"
#include "tessera/solver/detail/search/dual_points.hpp"
#include "tessera/solver/detail/search/proof_state.hpp"

namespace tessera::solver::detail {

struct TreeNode {
  Domains domains;
  Wide bound = 0;
  std::shared_ptr<const DualPoint> point;  // the parent's, by the component's values
  std::uint32_t depth = 0;
  std::uint32_t number = 0;  // in a certificate
};

// Whether the messages of so many numbers are kept with every open node; where not, they are found
// again.
inline bool keeps_messages(std::size_t message_count) {
  constexpr std::size_t limit = 50'000;
  return message_count <= limit;
}
// The numbers in all messages of a component.
inline std::size_t message_count_of(const Component& component) {
  std::size_t count = 0;
  for (const Component::Table& table : component.tables)
    count += component.value_count(table.u) + component.value_count(table.v);
  return count;
}

class TreePhase {
 public:
  // Of the present component.  @pre both outlive it
  TreePhase(ProofState& state, const Propagator& propagator, TreeNode root)
      : state_(state),
        propagator_(propagator),
        component_(component_of(state)),
        message_count_(message_count_of(component_)) {
    if (state_.proof != nullptr) state_.proof->step("tree").end();
    push(std::move(root));
  }

  // One node more.  False where nothing cheaper than the incumbent is left.
  [[gnu::cold]] bool advance() {
    if (!next_) {
      if (open_.empty() || closes(state_, open_.front().bound)) return false;
      next_ = pop();
    }
    TreeNode node = std::move(*next_);
    next_.reset();
    if (closes(state_, node.bound)) return true;
    ++state_.nodes;
    if (state_.proof != nullptr) (state_.proof->step("node") << node.number).end();
    std::vector<TreeNode> children = process(node);
    if (!children.empty()) take_children(children);
    raise_tree_bound();
    return true;
  }

 private:
  // Open nodes, a heap by bound; the node to dive into comes first.
  static bool is_worse(const TreeNode& a, const TreeNode& b) {
    return a.bound != b.bound ? a.bound > b.bound : a.depth < b.depth;
  }
  [[gnu::cold]] void push(TreeNode node) {
    open_.push_back(std::move(node));
    std::push_heap(open_.begin(), open_.end(), is_worse);
  }
  [[gnu::cold]] TreeNode pop() {
    std::pop_heap(open_.begin(), open_.end(), is_worse);
    TreeNode node = std::move(open_.back());
    open_.pop_back();
    return node;
  }

  // Dives while the nearest child is about as good as the best that waits.
  [[gnu::cold]] void take_children(std::vector<TreeNode>& children) {
    TreeNode nearest = std::move(children.back());
    children.pop_back();
    for (TreeNode& child : children) push(std::move(child));
    const auto cost = incumbent_cost(state_);
    const Wide best = open_.empty() ? nearest.bound : open_.front().bound;
    const bool is_near = !cost || (nearest.bound - best) * 4 < *cost - best;
    if (is_near || open_bytes() > open_bytes_limit)
      next_ = std::move(nearest);
    else
      push(std::move(nearest));
  }

  // About the memory of the open nodes.  Past the limit the tree is searched in depth, where few
  // are open.
  static constexpr std::size_t open_bytes_limit = std::size_t{1} << 29;
  std::size_t open_bytes() const {
    const std::size_t messages = keeps_messages(message_count_) ? message_count_ : 0;
    // Two children share their parent's dual point.
    return open_.size() * (component_.total_values() +
                           sizeof(double) * (component_.capacity.size() + messages) / 2);
  }

  void raise_tree_bound() {
    std::optional<Wide> least;
    if (!open_.empty()) least = open_.front().bound;
    if (next_ && (!least || next_->bound < *least)) least = next_->bound;
    if (least) raise_bound(state_, *least);
  }

  // Bounds a node and splits it.  Returns its children, the most promising last; none where nothing
  // cheaper is left in it.
  [[gnu::cold]] std::vector<TreeNode> process(TreeNode& node) {
    constexpr int max_rounds = 4, sweeps_a_round = 200;  // fewer leave many more nodes
    for (int round = 0;; ++round) {
      if (!propagator_.run(node.domains, state_.proof)) return {};
      std::vector<std::uint32_t> kept;
      const Component restricted = restrict_to(component_, node.domains, kept);
      const Weights weights(restricted);
      Relaxation relaxation(weights, AscentOptions{0.1, 0.9, 0.7, 10, 1e-4, 4});
      const Restriction restriction{component_, restricted, kept};
      load(restriction, *node.point, relaxation);
      relaxation.optimise(sweeps_a_round, target_of(state_),
                          [this] { return state_.deadline.is_over(); });
      state_.work += sweeps_a_round * sweep_work(weights.entries());
      const Bound bound = bound_of(state_, restricted, relaxation, node.bound, true);
      node.bound = std::max(node.bound, bound.value);
      if (closes(state_, node.bound)) return {};
      const Choice rounded =
          round_and_offer(state_, weights, relaxation, kept, node.depth % 4 == 0);
      if (closes(state_, node.bound)) return {};
      save(restriction, relaxation, node);
      const std::size_t removed = remove_costly(state_, node.domains, bound, kept);
      if (state_.deadline.is_over()) return reopened(node);
      if (kept.size() == component_.size()) {  // one value each, and it was offered
        node.bound = std::max(node.bound, bound_without_messages(state_, restricted));
        return {};
      }
      if (removed * 8 >= kept.size() - component_.size() && round + 1 < max_rounds) continue;
      if (removed > 0 && !propagator_.run(node.domains, state_.proof)) return {};
      // A node of one value each is only to be priced: once more around.
      if (!is_settled(node.domains)) return branch(node, restriction, relaxation, bound, rounded);
    }
  }

  [[gnu::cold]] void save(const Restriction& restriction, const Relaxation& relaxation,
                          TreeNode& node) const {
    node.point = std::make_shared<DualPoint>(keeps_messages(message_count_)
                                                 ? widened(restriction, relaxation.point())
                                                 : DualPoint{{}, {}, relaxation.lambda()});
  }
  bool is_settled(const Domains& domains) const {
    const auto left = std::count(domains.begin(), domains.end(), 1);
    return static_cast<std::size_t>(left) == component_.size();
  }

  // Time ran out before the node could be split: it goes back as it is.
  static std::vector<TreeNode> reopened(TreeNode& node) {
    std::vector<TreeNode> same;
    same.push_back(std::move(node));
    return same;
  }

  [[gnu::cold]] std::vector<TreeNode> branch(const TreeNode& node, const Restriction& of,
                                             const Relaxation& relaxation, const Bound& bound,
                                             const Choice& rounded) {
    Domains open;
    for (const std::uint32_t x : of.kept) open.push_back(node.domains[x]);
    const auto cost = incumbent_cost(state_);
    const Split split = choose_split(
        {of.restricted, relaxation, bound, rounded, open, cost ? *cost - bound.value : Wide(0)});
    std::vector<TreeNode> children;
    for (const auto* side : {&split.first, &split.second}) {
      TreeNode child{node.domains, node.bound, node.point, node.depth + 1};
      for (const auto* either : {&split.first, &split.second})
        for (const std::uint32_t x : *either) child.domains[of.kept[x]] = either == side;
      Wide least = bound.reduced_costs[side->front()];
      for (const std::uint32_t x : *side) least = std::min(least, bound.reduced_costs[x]);
      child.bound = std::max(child.bound, bound.value + least);
      children.push_back(std::move(child));
    }
    number_children(children, split, of.kept);
    if (children[0].bound <= children[1].bound) std::swap(children[0], children[1]);
    return children;
  }
  [[gnu::cold]] void number_children(std::vector<TreeNode>& children, const Split& split,
                                     const std::vector<std::uint32_t>& kept) {
    for (TreeNode& child : children) child.number = ++last_number_;
    if (state_.proof == nullptr) return;
    state_.proof->step("branch") << component_.name[split.variable] << children[0].number
                                 << children[1].number << ":";
    for (const std::uint32_t x : split.first) *state_.proof << component_.label[kept[x]];
    state_.proof->end();
  }

  ProofState& state_;
  const Propagator& propagator_;
  const Component& component_;
  std::vector<TreeNode> open_;
  std::optional<TreeNode> next_;
  std::uint32_t last_number_ = 0;  // of a node
  std::size_t message_count_;      // of numbers in all messages of the component
};

}  // namespace tessera::solver::detail
