// SPDX-License-Identifier: Apache-2.0
//
// A made-up program over a mesh, from which generate_problem.cpp makes its 0-1 programs.
//
// The contest's instances are real programs, and it shows: a node has as many strategies as there
// are ways to lay its tensor over two or three mesh axes, a table holds the few prices of the
// collectives in between, usages are a tensor's bytes divided by axes, and a follower's table is
// infinite but for one finite entry a row.  Numbers drawn at random have none of this, so this
// file invents programs rather than numbers.
//
// Here are the parts of a program; training_step.hpp puts them together.
//
//   op       has factors (index variables); a choice gives each mesh axis one of them, or none
//   tensor   each of its dims is a factor of the op that makes it; axes on other factors copy it
//   operand  an edge that prices resharding from what its producer chose to what its user wants
//   tie      an edge that forbids all but one choice of the follower for each of its leader's
//
// A node is tied to one earlier node at most; other ties repeat what those say.  So a choice for
// each root gives one for every node, and a finite assignment exists whatever the rest looks like.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/core/random.hpp"

namespace tessera::benchmarks {

using solver::NodeId;
using solver::Usage;

inline constexpr std::int8_t none = -1;
inline constexpr std::size_t max_axes = 3;

// For each mesh axis a factor of an op, or a dim of a tensor, or none.
using Axes = std::array<std::int8_t, max_axes>;
using Dims = std::vector<std::int64_t>;    // sizes
using Factors = std::vector<std::int8_t>;  // the factor that each dim of a tensor is

// How an op is run: what each axis splits, and one of several ways otherwise alike that trade
// memory for time.
struct Choice {
  Axes factors{};
  std::uint16_t variant = 0;

  friend bool operator==(const Choice&, const Choice&) = default;
};
using Choices = std::shared_ptr<const std::vector<Choice>>;

// What distinguishes one family of programs from another.
struct Character {
  std::vector<std::int64_t> mesh;
  bool has_ties = true;        // off: followers choose for themselves, and nothing is infinite
  double across_layers = 0;    // the share of roots that are tied to the first layer's
  double followers = 1;        // the share of elementwise ops that are tied to their operand
  bool has_moments = true;     // two more tensors per weight, as Adam keeps them
  std::size_t aliases = 2;     // of what the program leaves behind; never live
  bool has_batch = false;      // activations have one dim more
  double scalars = 0;          // how many elementwise ops also take a constant with one strategy
  double zero_usage = 0;       // the share of elementwise ops that use nothing
  double reordered = 0.04;     // the share of followers that list their strategies otherwise
  double reversed = 0;         // the share of edges that list their user first
  double repeated = 0.02;      // the share of operands that are used twice
  double joined = 0;           // the share of elementwise ops that take a second, recent tensor
  double redundant = 0.2;      // the share of ties said again where others imply them
  std::size_t wide_every = 0;  // layers from one op with hundreds of strategies to the next
  std::uint16_t variants = 1;  // by which those have more than others
};

class Program {
 public:
  struct Node {
    Choices choices;
    std::vector<Cost> costs;
    std::vector<Usage> usages;
    Factors dims;  // of the op, for each dim of its result
    Dims sizes;    // of the result, unsplit
    std::int64_t bytes = 0;
    solver::Interval interval;
    NodeId root = 0;                       // what decides for this one
    std::vector<std::uint32_t> from_root;  // this one's choice, for each of the root's
  };
  struct Edge {
    NodeId from, to;
    Factors wanted;                     // the user's factor for each dim of the producer
    std::vector<std::uint32_t> forced;  // ties only: the follower's choice for each of from's
  };

  Program(Character character, std::uint64_t seed)
      : character_(std::move(character)), seed_(seed) {}

  const Character& character() const { return character_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Edge>& edges() const { return edges_; }
  const Dims& sizes(NodeId v) const { return nodes_[v].sizes; }

  // From here on roots are named `first_role` and so on.  Those of one name look alike, whatever
  // layer they are of, and are tied to the first of them where the family says so.
  void begin_layer(std::size_t first_role) { role_ = first_role; }

  // --- Tensors that the program is given ------------------------------------------------------
  NodeId parameter(const Dims& sizes) {
    const NodeId id = root(sizes, identity(sizes.size()), 1);
    nodes_[id].interval = {0, time_ + 1};
    return id;
  }
  // What belongs to a parameter and is laid out as it: a moment of the optimizer.
  NodeId state_of(NodeId parameter) {
    const NodeId id = follower(parameter);
    nodes_[id].interval.begin = 0;
    return id;
  }
  NodeId scalar() {
    Node node;
    node.choices = std::make_shared<const std::vector<Choice>>(1, Choice{all_none(), 0});
    return add(std::move(node));
  }

  // --- Ops --------------------------------------------------------------------------------------
  // What has one entry for each of its operand's, and is split as that is.
  NodeId elementwise(NodeId operand) {
    RandomSource random = random_for(nodes_.size(), 1);
    const bool is_tied = random.uniform() < character_.followers;
    const NodeId id = is_tied ? follower(operand) : freed(operand);
    if (random.uniform() < 0.2) charge_for_copies(id, random);
    if (random.uniform() < character_.zero_usage)
      std::fill(nodes_[id].usages.begin(), nodes_[id].usages.end(), 0);
    if (!is_tied) use(operand, id, nodes_[id].dims);
    return id;
  }
  // `dims[i]` says which dim of the user the operand's i-th is.
  void operand(NodeId from, NodeId to, const std::vector<std::int8_t>& dims) {
    Factors wanted;
    for (const std::int8_t dim : dims)
      wanted.push_back(nodes_[to].dims[static_cast<std::size_t>(dim)]);
    use(from, to, wanted);
  }
  // An operand of the same shape.  Where both have one root they are as good as tied; that is said
  // again now and then.
  void operand(NodeId from, NodeId to) {
    if (nodes_[from].root != nodes_[to].root) return use(from, to, nodes_[to].dims);
    extend(from, to);
    RandomSource random = random_for(edges_.size(), 3);
    if (is_same(from, to) && random.uniform() < character_.redundant) tie(from, to);
  }
  void takes_scalar(NodeId scalar, NodeId user) { use(scalar, user, {}); }

  // Sums all dims but one away; what is left is split as it was.
  NodeId reduction(NodeId from, std::int8_t kept, std::int64_t size) {
    RandomSource random = random_for(role_, 2);
    Node node;
    node.sizes = {size};
    node.choices = choices_of(node.sizes, 1, random);
    node.dims = {0};
    const NodeId id = add(std::move(node));
    ++role_;
    const std::int8_t factor = nodes_[from].dims[static_cast<std::size_t>(kept)];
    std::vector<std::uint32_t> forced;
    for (const Choice& choice : *nodes_[from].choices) {
      Choice image{all_none(), 0};
      for (std::size_t a = 0; a < mesh_size(); ++a)
        if (choice.factors[a] == factor) image.factors[a] = 0;
      forced.push_back(index_of(image, *nodes_[id].choices));
    }
    if (character_.has_ties) {
      lead(from, id, forced);
      edges_.push_back({from, id, {}, std::move(forced)});
      extend(from, id);
    } else {
      Factors wanted(nodes_[from].dims.size(), none);
      wanted[static_cast<std::size_t>(kept)] = 0;
      use(from, id, wanted);
    }
    return id;
  }

  // A contraction: `a` and `b` say which factor each dim of an operand is, `result` which those of
  // the result are.  Heavy work must be split over as many axes as can be.
  struct Contraction {
    Dims factor_sizes;
    Factors a, b, result;
  };
  NodeId product(NodeId a, NodeId b, const Contraction& shape, std::uint16_t variants = 1) {
    const NodeId id = root(shape.factor_sizes, shape.result, variants);
    charge_for_sums(id);
    use(a, id, shape.a);
    use(b, id, shape.b);
    return id;
  }

  // The same entries under other dims, paid for as a resharding: `wanted[i]` is the new dim that
  // the operand's i-th becomes, or none.
  NodeId reshape(NodeId from, const Dims& sizes, const Factors& wanted) {
    const NodeId id = root(sizes, identity(sizes.size()), 1);
    use(from, id, wanted);
    return id;
  }

  // What only stands for another tensor: never live.
  NodeId alias(NodeId of) {
    const NodeId id = follower(of);
    nodes_[id].interval = {0, 0};
    return id;
  }
  void lives_to_the_end(NodeId id) { kept_.push_back(id); }
  void end() {
    for (const NodeId id : kept_) nodes_[id].interval.end = time_;
  }

  // --- Prices -----------------------------------------------------------------------------------
  Cost price(const Edge& edge, std::uint32_t from_choice, std::uint32_t to_choice) const {
    if (!edge.forced.empty()) return edge.forced[from_choice] == to_choice ? 0 : infinite;
    if (edge.wanted.empty()) return 0;
    const Node& from = nodes_[edge.from];
    const Axes have = layout((*from.choices)[from_choice], from.dims);
    const Axes want = layout((*nodes_[edge.to].choices)[to_choice], edge.wanted);
    return reshard(from.bytes, have, want);
  }

 private:
  std::size_t mesh_size() const { return character_.mesh.size(); }
  static Axes all_none() { return {none, none, none}; }
  static Factors identity(std::size_t rank) {
    Factors result(rank);
    for (std::size_t i = 0; i < rank; ++i) result[i] = static_cast<std::int8_t>(i);
    return result;
  }
  // Depends on what is asked about and not on what was asked before, so that layers look alike.
  RandomSource random_for(std::uint64_t what, std::uint64_t purpose) const {
    return RandomSource(mix_bits(seed_ + 0x9e3779b97f4a7c15U * (4 * what + purpose + 1)));
  }

  NodeId add(Node node) {
    const auto id = static_cast<NodeId>(nodes_.size());
    const std::size_t count = node.choices->size();
    constexpr std::int64_t element_bytes = 4;
    node.bytes = element_bytes;
    for (const std::int64_t size : node.sizes) node.bytes *= size;
    node.root = id;
    node.from_root.resize(count);
    for (std::uint32_t s = 0; s < count; ++s) node.from_root[s] = s;
    node.costs.assign(count, 0);
    for (const Choice& choice : *node.choices) node.usages.push_back(usage(node, choice));
    node.interval = {time_, time_ + 1};
    ++time_;
    nodes_.push_back(std::move(node));
    return id;
  }

  Choices choices_of(const Dims& factor_sizes, std::uint16_t variants, RandomSource& random) const {
    std::vector<Choice> result;
    std::size_t combinations = 1;
    for (std::size_t a = 0; a < mesh_size(); ++a) combinations *= factor_sizes.size() + 1;
    for (std::size_t code = 0; code < combinations; ++code) {
      Choice choice{all_none(), 0};
      Dims left = factor_sizes;
      bool divides = true;
      std::size_t rest = code;
      for (std::size_t a = 0; a < mesh_size(); ++a) {
        const std::size_t f = rest % (factor_sizes.size() + 1);
        rest /= factor_sizes.size() + 1;
        if (f == factor_sizes.size()) continue;
        choice.factors[a] = static_cast<std::int8_t>(f);
        divides = divides && left[f] % character_.mesh[a] == 0;
        left[f] /= character_.mesh[a];
      }
      for (choice.variant = 0; divides && choice.variant < variants; ++choice.variant)
        result.push_back(choice);
    }
    shuffle(result, random);
    return std::make_shared<const std::vector<Choice>>(std::move(result));
  }
  static void shuffle(std::vector<Choice>& choices, RandomSource& random) {
    for (std::size_t i = choices.size(); i > 1; --i)
      std::swap(choices[i - 1], choices[random.below(i)]);
  }
  static std::uint32_t index_of(const Choice& choice, const std::vector<Choice>& choices) {
    const auto at = std::find(choices.begin(), choices.end(), choice);
    return static_cast<std::uint32_t>(at - choices.begin());
  }

  // A node that decides for itself, or together with the first layer's of the same name.
  NodeId root(const Dims& factor_sizes, const Factors& dims, std::uint16_t variants) {
    RandomSource random = random_for(role_, 2);
    Node node;
    node.choices = choices_of(factor_sizes, variants, random);
    node.dims = dims;
    for (const std::int8_t factor : dims)
      node.sizes.push_back(factor_sizes[static_cast<std::size_t>(factor)]);
    const NodeId id = add(std::move(node));
    const std::size_t role = role_++;
    const NodeId first = first_of_role_.try_emplace(role, id).first->second;
    if (first != id && character_.has_ties && random.uniform() < character_.across_layers &&
        is_same(first, id)) {
      lead(first, id, correspondence(first, id));
      tie(first, id);
    }
    return id;
  }

  NodeId copy_of(NodeId leader) {
    Node node;
    node.choices = nodes_[leader].choices;
    node.dims = nodes_[leader].dims;
    node.sizes = nodes_[leader].sizes;
    RandomSource random = random_for(nodes_.size(), 0);
    if (random.uniform() < character_.reordered) {
      std::vector<Choice> reordered = *node.choices;
      shuffle(reordered, random);
      node.choices = std::make_shared<const std::vector<Choice>>(std::move(reordered));
    }
    return add(std::move(node));
  }
  NodeId follower(NodeId leader) {
    const NodeId id = copy_of(leader);
    extend(leader, id);
    if (!character_.has_ties) return id;
    lead(leader, id, correspondence(leader, id));
    tie(leader, id);
    return id;
  }
  // Shaped as its operand, but with choices of its own: those of the result's dims alone.
  NodeId freed(NodeId operand) {
    const Node& from = nodes_[operand];
    RandomSource random = random_for(nodes_.size(), 0);
    std::vector<Choice> kept;
    for (const Choice& choice : *from.choices) {
      Choice image{layout(choice, from.dims), 0};
      if (index_of(image, kept) == kept.size()) kept.push_back(image);
    }
    shuffle(kept, random);
    Node node;
    node.choices = std::make_shared<const std::vector<Choice>>(std::move(kept));
    node.dims = identity(from.dims.size());
    node.sizes = from.sizes;
    return add(std::move(node));
  }

  bool is_same(NodeId a, NodeId b) const {
    return nodes_[a].choices == nodes_[b].choices ||
           (nodes_[a].choices->size() == nodes_[b].choices->size() &&
            nodes_[a].dims == nodes_[b].dims &&
            std::is_permutation(nodes_[a].choices->begin(), nodes_[a].choices->end(),
                                nodes_[b].choices->begin()));
  }
  std::vector<std::uint32_t> correspondence(NodeId from, NodeId to) const {
    std::vector<std::uint32_t> result;
    for (const Choice& choice : *nodes_[from].choices)
      result.push_back(index_of(choice, *nodes_[to].choices));
    return result;
  }
  void lead(NodeId leader, NodeId id, const std::vector<std::uint32_t>& forced) {
    nodes_[id].root = nodes_[leader].root;
    nodes_[id].from_root.clear();
    for (const std::uint32_t s : nodes_[leader].from_root)
      nodes_[id].from_root.push_back(forced[s]);
  }
  void tie(NodeId from, NodeId to) { edges_.push_back({from, to, {}, correspondence(from, to)}); }

  void use(NodeId from, NodeId to, const Factors& wanted) {
    edges_.push_back({from, to, wanted, {}});
    extend(from, to);
    RandomSource random = random_for(edges_.size(), 3);
    if (random.uniform() < character_.repeated) edges_.push_back({from, to, wanted, {}});
  }
  void extend(NodeId from, NodeId to) {
    std::int64_t& end = nodes_[from].interval.end;
    end = std::max(end, nodes_[to].interval.begin + 1);
  }

  // The dim that each axis splits, of a tensor whose dims are these factors.
  Axes layout(const Choice& choice, const Factors& dims) const {
    Axes result = all_none();
    for (std::size_t a = 0; a < mesh_size(); ++a)
      for (std::size_t d = 0; d < dims.size(); ++d)
        if (choice.factors[a] != none && dims[d] == choice.factors[a])
          result[a] = static_cast<std::int8_t>(d);
    return result;
  }
  std::int64_t split_of(const Axes& axes) const {
    std::int64_t result = 1;
    for (std::size_t a = 0; a < mesh_size(); ++a)
      if (axes[a] != none) result *= character_.mesh[a];
    return result;
  }
  Usage usage(const Node& node, const Choice& choice) const {
    const std::int64_t share = node.bytes / split_of(layout(choice, node.dims));
    return share + share / 16 * choice.variant;
  }

  static constexpr Cost latency = 1;
  // What moves is paid by the byte, and slicing is free.  In whichever order leaves tensors small.
  Cost reshard(std::int64_t bytes, const Axes& have, const Axes& want) const {
    std::int64_t local = bytes / split_of(have);
    for (std::size_t a = 0; a < mesh_size(); ++a)
      if (have[a] == none && want[a] != none) local /= character_.mesh[a];
    Cost cost = 0;
    for (std::size_t a = 0; a < mesh_size(); ++a)
      if (have[a] != none && want[a] != none && have[a] != want[a])
        cost += latency + moved(local, a);
    for (std::size_t a = 0; a < mesh_size(); ++a)
      if (have[a] != none && want[a] == none) {
        local *= character_.mesh[a];
        cost += latency + moved(local, a);
      }
    return cost;
  }
  std::int64_t moved(std::int64_t bytes, std::size_t axis) const {
    return bytes / character_.mesh[axis] * (character_.mesh[axis] - 1);
  }

  // Work that several devices do alike costs a little.
  void charge_for_copies(NodeId id, RandomSource& random) {
    Node& node = nodes_[id];
    const Cost unit = Cost{2} << random.below(6);
    std::int64_t most = 1;
    for (const Choice& choice : *node.choices)
      most = std::max(most, split_of(layout(choice, node.dims)));
    for (std::size_t s = 0; s < node.costs.size(); ++s) {
      const std::int64_t split = split_of(layout((*node.choices)[s], node.dims));
      node.costs[s] += split == most ? 0 : split > 1 ? unit : unit + unit / 2;
    }
  }
  // Partial sums are added up over the axes that split what is summed; axes must not lie idle.
  void charge_for_sums(NodeId id) {
    Node& node = nodes_[id];
    std::int64_t most = 1;
    for (const Choice& choice : *node.choices) most = std::max(most, split_of(choice.factors));
    for (std::size_t s = 0; s < node.costs.size(); ++s) {
      const Choice& choice = (*node.choices)[s];
      if (character_.has_ties && split_of(choice.factors) < most) {
        node.costs[s] = infinite;
        continue;
      }
      const Axes axes = layout(choice, node.dims);
      const std::int64_t local = node.bytes / split_of(axes);
      // Without infinities, idle devices are only dear.
      node.costs[s] = node.bytes * (most / split_of(choice.factors) - 1);
      for (std::size_t a = 0; a < mesh_size(); ++a)
        if (choice.factors[a] != none && axes[a] == none)
          node.costs[s] += latency + 2 * moved(local, a);
      node.costs[s] += node.bytes / 64 / (choice.variant + 1);
    }
  }

  Character character_;
  std::uint64_t seed_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<NodeId> kept_;
  std::map<std::size_t, NodeId> first_of_role_;
  std::size_t role_ = 0;
  std::int64_t time_ = 0;
};

}  // namespace tessera::benchmarks
