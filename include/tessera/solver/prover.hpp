// SPDX-License-Identifier: Apache-2.0
//
// Raises the lower bound of a component until it meets the incumbent.
//
//   root   Multipliers and messages ascend.  What the bound then shows to be unnecessary (reduced
//          costs) goes, and what is left is presolved again: values that are gone make new
//          infinities, those fold variables, and the next ascent starts from a smaller component.
//          Where few variables meet anywhere, they are minimised out instead (elimination.hpp).
//   parts  Where that falls apart, each part is proven by itself, and what they cost is added up.
//   tree   Branch and bound on what is left, best first with dives.  A node is a set of domains; it
//          is propagated, its ascent goes on from its parent's multipliers, values that can not be
//          part of anything cheaper go, and what is open is split.
//
// We branch on variables, not on single 0-1 columns: the columns of a variable sum to one, so
// setting one to 0 settles almost nothing while splitting its values settles half of them.
//
// Every bound that decides is exact (bound.hpp).  Along the way each relaxation is read as an
// assignment and offered.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/bound.hpp"
#include "tessera/solver/branching.hpp"
#include "tessera/solver/component.hpp"
#include "tessera/solver/descent.hpp"
#include "tessera/solver/elimination.hpp"
#include "tessera/solver/improver.hpp"
#include "tessera/solver/incumbent.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/presolve.hpp"
#include "tessera/solver/propagator.hpp"
#include "tessera/solver/reduce.hpp"
#include "tessera/solver/relaxation.hpp"
#include "tessera/solver/squeeze.hpp"

namespace tessera::solver {

template<class Int>
class Prover {
 public:
  // What it does is written to `proof`, if there is one; `step` is what it begins with there.
  // @pre everything outlives it
  Prover(const Component<Int>& component, Incumbent<Int>& incumbent, const Deadline& deadline,
         std::uint64_t seed, bool may_presolve, Proof* proof, const char* step = "component")
      : whole_(component),
        incumbent_(incumbent),
        deadline_(deadline),
        seed_(seed),
        may_presolve_(may_presolve),
        proof_(proof),
        ceiling_(easy_ceiling(component)) {
    if (proof_ != nullptr) {
      proof_->step(step);
      for (const Variable name : component.name) *proof_ << name;
      proof_->end();
    }
    Domains domains;
    for (const Int& cost : component.cost) domains.push_back(Arithmetic<Int>::is_finite(cost));
    if (proof_ != nullptr) explain_infinite(domains);
    begin_root(std::move(domains));
  }

  // Multipliers to begin with, by row of the component it was given.
  void begin_with(std::vector<double> lambda) {
    if (phase_ != Phase::root) return;
    constexpr int sweeps = 48;
    relaxation_->start_from(std::move(lambda), restart_step);
    relaxation_->approach(sweeps, [this] { return deadline_.is_over(); });
    work_ += sweeps * sweep_work(weights_->entries());
  }

  // Whether nothing cheaper than the incumbent exists.
  bool is_done() const noexcept { return phase_ == Phase::done; }
  std::uint64_t nodes() const noexcept { return nodes_; }
  // Kernel operations so far, which a caller may take for time.
  double work() const noexcept { return work_; }
  // Multipliers for the rows of the component it was given; better ones from time to time.
  const std::vector<double>& lambda() const noexcept { return lambda_; }
  // Before any tree; with parts, before the one at hand has a tree.
  bool is_at_root() const noexcept {
    if (phase_ != Phase::parts) return phase_ == Phase::root;
    return part_ == parts_.size() || !parts_[part_].prover || parts_[part_].prover->is_at_root();
  }

  // A little more: some sweeps, or a node of the tree.
  void advance() {
    switch (phase_) {
      case Phase::root: advance_root(); break;
      case Phase::parts: advance_parts(); break;
      case Phase::tree: advance_tree(); break;
      case Phase::done: break;
    }
  }

 private:
  enum class Phase : std::uint8_t { root, parts, tree, done };

  // What a round of presolve left, and the way back.
  struct Remainder {
    std::optional<Reduced<Int>> reduced;  // from the component before
    Component<Int> component;
    Wide constant = 0;  // what is certain by now
  };
  struct Part {
    Component<Int> component;
    std::vector<double> lambda;  // to begin with
    std::unique_ptr<Incumbent<Int>> incumbent;
    std::unique_ptr<Prover> prover;  // of the one at hand
  };
  struct Node {
    Domains domains;
    Wide bound = 0;
    std::shared_ptr<const Guide> guide;  // the parent's, by the component's values
    std::uint32_t depth = 0;
    std::uint32_t number = 0;  // in a certificate
  };

  const Component<Int>& component_after(std::size_t rounds) const {
    return rounds == 0 ? whole_ : remainders_[rounds - 1]->component;
  }
  const Component<Int>& component() const { return component_after(remainders_.size()); }
  Wide constant() const { return remainders_.empty() ? Wide(0) : remainders_.back()->constant; }
  // What costs more than anything can is not there at all.
  bool closes(Wide bound) const {
    return incumbent_.closes(bound + constant()) || bound + constant() > ceiling_;
  }
  std::optional<Wide> incumbent_cost() const {
    const auto cost = incumbent_.cost();
    return cost ? std::optional(*cost - constant()) : std::nullopt;
  }
  // Where the ascent aims.
  double target() const {
    const auto cost = incumbent_cost();
    return cost ? static_cast<double>(*cost) : 1e300;
  }

  void explain_infinite(const Domains& domains) const {
    for (std::uint32_t i = 0; i < component().size(); ++i)
      for (std::uint32_t x = component().first[i]; x < component().first[i + 1]; ++x)
        if (domains[x] == 0)
          (proof_->step("unsupported") << component().name[i] << component().label[x]
                                  << component().name[i])
              .end();
  }

  // --- Remainders --------------------------------------------------------------------------------

  void begin_root(Domains domains) {
    propagator_.emplace(component());
    if (!propagator_->run(domains, proof_)) {
      finish();
      return;
    }
    domains_ = std::move(domains);
    relax_domains();
    root_bound_ = bound_without_guide(restricted_);
    raise_root_bound();
    if (minimise_out(few_sweeps)) return;
    sweeps_ = 0;
    last_look_ = 0;
    phase_ = Phase::root;
  }

  // A relaxation of what the domains leave, with messages and multipliers at zero.
  void relax_domains() {
    relaxation_.reset();
    weights_.reset();
    restricted_ = restrict_to(component(), domains_, kept_);
    weights_.emplace(restricted_);
    relaxation_.emplace(*weights_, Pace{});
  }

  // Where nothing is short of room and few variables meet anywhere, all are minimised out one by
  // one, which ends the component.  Whether that takes no more than so many sweeps, and was done.
  bool minimise_out(double sweeps) {
    constexpr double most_bits = 22;  // of the entries of one function
    constexpr std::size_t most_room = std::size_t{1} << 25;
    if (!restricted_.capacity.empty() || restricted_.size() == 0) return false;
    Elimination<Int> elimination(*weights_);
    std::vector<std::uint32_t> everything(restricted_.size());
    std::iota(everything.begin(), everything.end(), 0U);
    RandomSource random(seed_);
    elimination.plan(everything, most_bits, random);
    if (elimination.held() > 0 || elimination.work() > sweeps * sweep_work(weights_->entries()) ||
        elimination.room() > most_room || !is_exact_in_double(restricted_, incumbent_.unit()))
      return false;
    Choice choice(restricted_.size(), 0);
    elimination.minimise(weights_->costs(), choice);
    work_ += elimination.work();
    if (proof_ != nullptr) {
      proof_->step("bucket_elimination");
      for (const std::uint32_t i : elimination.order()) *proof_ << restricted_.name[i];
      proof_->end();
    }
    offer(restricted_, kept_, choice);  // unless nothing is allowed
    if (const auto cost = cost_of(restricted_, choice)) root_bound_ = *cost;
    finish();
    return true;
  }

  // Presolves what `domains` leaves of the component.
  void presolve_again(const Domains& domains) {
    auto remainder = std::make_unique<Remainder>();
    remainder->reduced = make_reduced(component(), domains, proof_);
    Presolve<Int>(*remainder->reduced, deadline_).run();
    if (remainder->reduced->infeasible) {
      finish();
      return;
    }
    remainder->constant = constant() + remainder->reduced->constant;
    if (std::vector<Component<Int>> parts = components_of(*remainder->reduced); parts.size() > 1) {
      begin_parts(std::move(remainder), std::move(parts));
      return;
    }
    remainder->component = remainder_of(*remainder->reduced);
    std::vector<double> lambda = multipliers_of(remainder->component);
    relaxation_.reset();
    weights_.reset();
    remainders_.push_back(std::move(remainder));
    begin_root(Domains(component().total_values(), 1));
    start_from(std::move(lambda));
  }

  // The present multipliers of the rows that remain in what comes next: a good start there.
  std::vector<double> multipliers_of(const Component<Int>& next) const {
    std::vector<double> lambda;
    std::size_t at = 0;
    for (const std::uint32_t row : next.row_name) {
      while (component().row_name[at] != row) ++at;
      lambda.push_back(relaxation_->lambda()[at]);
    }
    return lambda;
  }
  void start_from(std::vector<double> lambda) {
    if (phase_ == Phase::root) relaxation_->start_from(std::move(lambda), restart_step);
  }

  // A choice of the present component as one of the first.
  Choice lifted(Choice choice) const {
    for (std::size_t r = remainders_.size(); r-- > 0;) {
      std::vector<Value> values(remainders_[r]->reduced->nodes.size(), 0);
      for (std::uint32_t i = 0; i < choice.size(); ++i)
        values[remainders_[r]->component.origin[i]] = choice[i];
      remainders_[r]->reduced->undo(values);
      values.resize(component_after(r).size());
      choice = std::move(values);
    }
    return choice;
  }
  // One of a restriction of the present component, as one of the first.
  void offer(const Component<Int>& restricted, const std::vector<std::uint32_t>& kept,
             const Choice& choice) {
    Choice whole(choice.size());
    for (std::uint32_t i = 0; i < choice.size(); ++i)
      whole[i] = kept[restricted.first[i] + choice[i]] - component().first[i];
    incumbent_.offer(lifted(std::move(whole)));
  }

  // Nothing cheaper than the incumbent is left.
  void finish() {
    phase_ = Phase::done;
    relaxation_.reset();
    weights_.reset();
    open_.clear();
    parts_.clear();
    if (const auto cost = incumbent_.cost()) incumbent_.raise_bound(*cost);
  }

  // --- Root --------------------------------------------------------------------------------------

  static constexpr int first_look = 24;
  static constexpr double few_sweeps = 20, many_sweeps = 2000;  // many: some nodes of a tree
  static constexpr double restart_step = 0.02;

  void advance_root() {
    if (restricted_.size() == 0) {
      offer(restricted_, kept_, {});
      root_bound_ = std::max<Wide>(root_bound_, 0);
      finish();
      return;
    }
    const double goal = target();
    constexpr int batch = 4;
    for (int i = 0; i < batch && !relaxation_->is_converged() && !deadline_.is_over(); ++i) {
      relaxation_->ascend(goal);
      ++sweeps_;
    }
    work_ += batch * sweep_work(weights_->entries());
    const bool is_ready = relaxation_->is_converged() || relaxation_->best() >= goal;
    // The first one is sooner where there is an incumbent, by which values could go.
    const int first = incumbent_.cost() ? first_look / 2 : first_look;
    if (sweeps_ < std::max(first, last_look_ + last_look_ / 2) && !is_ready) return;
    last_look_ = sweeps_;
    if (look_at_root() || !is_ready) return;
    leave_root();
  }

  // Takes stock: an exact bound, an assignment, new multipliers.  Whether that ended the root.
  bool look_at_root() {
    const Wide before = root_bound_;
    const Bound<Int> bound = bound_root();
    const bool is_better = bound.value > before;  // and so in the certificate
    if (!closes(root_bound_)) round_and_offer(restricted_, *weights_, *relaxation_, kept_, true);
    if (!closes(root_bound_) && (!is_better || thin_out(bound))) return false;
    finish();
    return true;
  }

  // Where many values can not be part of anything cheaper they go at once, and the ascent goes on
  // over the rest: the sooner, the cheaper its sweeps.  False where nothing cheaper is left.
  bool thin_out(const Bound<Int>& bound) {
    constexpr std::size_t worthwhile = 4;  // a fourth
    const std::vector<std::uint32_t> costly = costly_values(bound, kept_);
    if (costly.size() * worthwhile < kept_.size() - restricted_.size()) return true;
    remove(domains_, costly);
    if (!propagator_->run(domains_, proof_)) return false;
    Guide guide = widened(*relaxation_, restricted_, kept_);
    guide.lambda = relaxation_->best_lambda();
    const double step = relaxation_->step();
    relax_domains();
    load(*relaxation_, guide, restricted_, kept_);
    relaxation_->start_from(guide.lambda, step);
    return true;
  }

  Bound<Int> bound_root(bool is_needed = false) {
    if (remainders_.empty()) lambda_ = relaxation_->lambda();
    Bound<Int> bound = bound_of(restricted_, *relaxation_, root_bound_, is_needed);
    work_ += sweep_work(weights_->entries());
    root_bound_ = std::max(root_bound_, bound.value);
    raise_root_bound();
    return bound;
  }
  void raise_root_bound() { incumbent_.raise_bound(bounded_by_incumbent(root_bound_)); }
  Wide bounded_by_incumbent(Wide bound) const {
    const Wide total = bound + constant();
    const auto cost = incumbent_.cost();
    return cost ? std::min(*cost, total) : total;
  }

  // The ascent has converged: what is unnecessary goes, and either it starts again on what is left
  // or the tree begins.
  void leave_root() {
    relaxation_->settle();
    const Bound<Int> bound = bound_root(true);
    const std::size_t before = kept_.size() - restricted_.size();
    const std::size_t removed = remove_costly(domains_, bound, kept_);
    if (closes(root_bound_) || !propagator_->run(domains_, proof_)) {
      finish();
      return;
    }
    if (may_presolve_ && removed * 20 > before) {
      presolve_again(domains_);
      return;
    }
    if (!minimise_out(many_sweeps)) begin_tree();
  }

  // --- Parts -------------------------------------------------------------------------------------

  // The remainder that fell apart is none of remainders_: the parts are what comes after it.
  void begin_parts(std::unique_ptr<Remainder> remainder, std::vector<Component<Int>> parts) {
    phase_ = Phase::parts;
    divided_ = std::move(remainder);
    for (Component<Int>& part : parts) {
      std::vector<double> lambda = multipliers_of(part);
      parts_.push_back({std::move(part), std::move(lambda), nullptr, nullptr});
    }
    relaxation_.reset();
    weights_.reset();
    part_ = 0;
    settled_ = 0;
  }

  // One part after the other, the smallest first, as a certificate has it.
  void advance_parts() {
    if (part_ == parts_.size()) {
      offer_parts();
      finish();
      return;
    }
    Part& part = parts_[part_];
    if (!part.prover) {
      part.incumbent = std::make_unique<Incumbent<Int>>(
          part.component, incumbent_.unit(), easy_bound(part.component), nullptr, limit_of_part());
      part.prover = std::make_unique<Prover>(part.component, *part.incumbent, deadline_, seed_,
                                             may_presolve_, proof_, "subcomponent");
      part.prover->start_from(part.lambda);
    }
    const double work = part.prover->work();
    const std::uint64_t nodes = part.prover->nodes();
    part.prover->advance();
    work_ += part.prover->work() - work;
    nodes_ += part.prover->nodes() - nodes;
    if (part_ + 1 == parts_.size())
      incumbent_.raise_bound(bounded_by_incumbent(divided_->constant - constant() + settled_ +
                                                  part.incumbent->bound()));
    if (!part.prover->is_done()) return;
    if (proof_ != nullptr) proof_->step("end_subcomponent").end();
    part.prover.reset();
    ++part_;
    if (part.incumbent->best_below(std::nullopt))
      settled_ += *part.incumbent->cost();
    else
      finish();  // nothing of use is left of this part, and so of all
  }

  // What the part at hand may cost to be of use: what the incumbent leaves beside the others.
  std::optional<Wide> limit_of_part() const {
    const auto cost = incumbent_.cost();
    if (!cost) return std::nullopt;
    Wide others = divided_->constant + settled_;
    for (std::size_t p = part_ + 1; p < parts_.size(); ++p)
      others += easy_bound(parts_[p].component);
    return *cost - others;
  }

  // The parts' best choices together.
  void offer_parts() {
    std::vector<Value> values(divided_->reduced->nodes.size(), 0);
    for (const Part& part : parts_) {
      const Choice choice = *part.incumbent->best_below(std::nullopt);
      for (std::uint32_t i = 0; i < choice.size(); ++i)
        values[part.component.origin[i]] = choice[i];
    }
    divided_->reduced->undo(values);
    values.resize(component().size());
    incumbent_.offer(lifted(std::move(values)));
  }

  // --- Tree --------------------------------------------------------------------------------------

  void begin_tree() {
    phase_ = Phase::tree;
    if (proof_ != nullptr) proof_->step("tree").end();
    message_count_ = 0;
    for (const auto& table : component().tables)
      message_count_ += component().value_count(table.u) + component().value_count(table.v);
    Node root;
    root.domains = std::move(domains_);
    root.bound = root_bound_;
    root.guide = save(*relaxation_, restricted_, kept_);
    relaxation_.reset();
    weights_.reset();
    open_.clear();
    push(std::move(root));
  }

  // Open nodes, a heap by bound; the node to dive into comes first.
  static bool is_worse(const Node& a, const Node& b) {
    return a.bound != b.bound ? a.bound > b.bound : a.depth < b.depth;
  }
  void push(Node node) {
    open_.push_back(std::move(node));
    std::push_heap(open_.begin(), open_.end(), is_worse);
  }
  Node pop() {
    std::pop_heap(open_.begin(), open_.end(), is_worse);
    Node node = std::move(open_.back());
    open_.pop_back();
    return node;
  }

  void advance_tree() {
    if (!next_) {
      if (open_.empty() || closes(open_.front().bound)) {
        finish();
        return;
      }
      next_ = pop();
    }
    Node node = std::move(*next_);
    next_.reset();
    if (closes(node.bound)) return;
    ++nodes_;
    if (proof_ != nullptr) (proof_->step("node") << node.number).end();
    std::vector<Node> children = process(node);
    if (children.empty()) {
      raise_tree_bound();
      return;
    }
    // Dive while the nearest child is about as good as the best that waits.
    Node nearest = std::move(children.back());
    children.pop_back();
    for (Node& child : children) push(std::move(child));
    const auto cost = incumbent_cost();
    const Wide best = open_.empty() ? nearest.bound : open_.front().bound;
    const bool is_near = !cost || (nearest.bound - best) * 4 < *cost - best;
    if (is_near || open_bytes() > open_bytes_limit)
      next_ = std::move(nearest);
    else
      push(std::move(nearest));
    raise_tree_bound();
  }

  // About what the open nodes take.  Past the limit the tree is searched in depth, where few are
  // open.
  static constexpr std::size_t messages_limit =
      50'000;  // more of them are not kept, but found again
  static constexpr std::size_t open_bytes_limit = std::size_t{1} << 29;
  bool keeps_messages() const { return message_count_ <= messages_limit; }
  std::size_t open_bytes() const {
    const std::size_t messages = keeps_messages() ? message_count_ : 0;
    // Two children share their parent's guide.
    return open_.size() * (component().total_values() +
                           sizeof(double) * (component().capacity.size() + messages) / 2);
  }

  void raise_tree_bound() {
    std::optional<Wide> least;
    if (!open_.empty()) least = open_.front().bound;
    if (next_ && (!least || next_->bound < *least)) least = next_->bound;
    if (least) incumbent_.raise_bound(bounded_by_incumbent(*least));
  }

  std::vector<Node> process(Node& node) {
    constexpr int max_rounds = 4, sweeps_a_round = 200;  // fewer leave many more nodes
    for (int round = 0;; ++round) {
      if (!propagator_->run(node.domains, proof_)) return {};
      std::vector<std::uint32_t> kept;
      const Component<Int> restricted = restrict_to(component(), node.domains, kept);
      const Weights<Int> weights(restricted);
      Relaxation<Int> relaxation(weights, Pace{0.1, 0.9, 0.7, 10, 1e-4, 4});
      load(relaxation, *node.guide, restricted, kept);
      relaxation.optimise(sweeps_a_round, target(), [this] { return deadline_.is_over(); });
      work_ += sweeps_a_round * sweep_work(weights.entries());
      const Bound<Int> bound = bound_of(restricted, relaxation, node.bound, true);
      node.bound = std::max(node.bound, bound.value);
      if (closes(node.bound)) return {};
      const Choice rounded =
          round_and_offer(restricted, weights, relaxation, kept, node.depth % 4 == 0);
      if (closes(node.bound)) return {};
      node.guide = save(relaxation, restricted, kept);
      const std::size_t removed = remove_costly(node.domains, bound, kept);
      if (deadline_.is_over()) return reopened(node);
      if (kept.size() == component().size()) {  // one value each, and it was offered
        node.bound = std::max(node.bound, bound_without_guide(restricted));
        return {};
      }
      if (removed * 8 < kept.size() - component().size() || round + 1 >= max_rounds) {
        if (removed > 0 && !propagator_->run(node.domains, proof_)) return {};
        // What has one value each is only to be priced: once more around.
        if (!is_settled(node.domains))
          return branch(node, restricted, relaxation, bound, rounded, kept);
      }
    }
  }
  bool is_settled(const Domains& domains) const {
    const auto left = std::count(domains.begin(), domains.end(), 1);
    return static_cast<std::size_t>(left) == component().size();
  }

  // Time ran out before the node could be split: it goes back as it is.
  std::vector<Node> reopened(Node& node) {
    std::vector<Node> same;
    same.push_back(std::move(node));
    return same;
  }

  // A value whose own bound reaches the incumbent goes.
  std::size_t remove_costly(Domains& domains, const Bound<Int>& bound,
                            const std::vector<std::uint32_t>& kept) const {
    const std::vector<std::uint32_t> costly = costly_values(bound, kept);
    remove(domains, costly);
    return costly.size();
  }
  void remove(Domains& domains, const std::vector<std::uint32_t>& costly) const {
    for (const std::uint32_t x : costly) domains[x] = 0;
    if (proof_ != nullptr && !costly.empty()) write_costly(limit_of_use(), costly);
  }
  std::vector<std::uint32_t> costly_values(const Bound<Int>& bound,
                                           const std::vector<std::uint32_t>& kept) const {
    std::vector<std::uint32_t> costly;
    const Wide limit = limit_of_use();
    for (std::size_t x = 0; x < kept.size(); ++x)
      if (bound.value + bound.reduced_costs[x] >= limit) costly.push_back(kept[x]);
    return costly;
  }
  // What costs as much can not be cheaper than the incumbent, or can not be there at all.
  Wide limit_of_use() const {
    const auto incumbent = incumbent_cost();
    return incumbent ? *incumbent - incumbent_.unit() + 1 : ceiling_ - constant() + 1;
  }
  void write_costly(Wide limit, const std::vector<std::uint32_t>& costly) const {
    proof_->step("reduced_cost_fixing") << limit;
    std::uint32_t i = 0;
    for (const std::uint32_t x : costly) {
      while (component().first[i + 1] <= x) ++i;
      proof_->pair(component().name[i], component().label[x]);
    }
    proof_->end();
  }

  // The sum of all minima; of single values, what they cost.
  Wide bound_without_guide(const Component<Int>& restricted) const {
    const Wide bound = easy_bound(restricted);
    if (proof_ != nullptr) (proof_->step("lower_bound") << bound << 0 << "|").end();
    return bound;
  }

  // The bound of a relaxation.  A certificate is told of it where it is better than what is known,
  // or where values are to go by it.
  Bound<Int> bound_of(const Component<Int>& restricted, const Relaxation<Int>& relaxation,
                      Wide known, bool is_needed = false) const {
    const Multipliers multipliers = rounded_multipliers(restricted, relaxation.lambda());
    Messages<Int> messages;
    Bound<Int> bound = exact_bound(restricted, relaxation.rounded_forward(), multipliers,
                                   proof_ != nullptr ? &messages : nullptr);
    if (proof_ != nullptr && (is_needed || bound.value > known))
      write_bound(*proof_, restricted, multipliers, messages, bound.value);
    return bound;
  }

  // --- Messages and multipliers go from a node to its children -----------------------------------

  std::shared_ptr<const Guide> save(const Relaxation<Int>& relaxation,
                                    const Component<Int>& restricted,
                                    const std::vector<std::uint32_t>& kept) const {
    return std::make_shared<Guide>(keeps_messages() ? widened(relaxation, restricted, kept)
                                                    : Guide{{}, {}, relaxation.lambda()});
  }
  Guide widened(const Relaxation<Int>& relaxation, const Component<Int>& restricted,
                const std::vector<std::uint32_t>& kept) const {
    const Guide narrow = relaxation.guide();
    Guide wide{{}, {}, narrow.lambda};
    widen(narrow.forward, wide.forward, restricted, kept, &Component<Int>::Table::v);
    widen(narrow.backward, wide.backward, restricted, kept, &Component<Int>::Table::u);
    return wide;
  }
  void load(Relaxation<Int>& relaxation, const Guide& wide, const Component<Int>& restricted,
            const std::vector<std::uint32_t>& kept) const {
    if (wide.forward.empty()) {
      relaxation.set_lambda(wide.lambda);
      return;
    }
    Guide narrow{{}, {}, wide.lambda};
    narrow_down(wide.forward, narrow.forward, restricted, kept, &Component<Int>::Table::v);
    narrow_down(wide.backward, narrow.backward, restricted, kept, &Component<Int>::Table::u);
    relaxation.set_guide(narrow);
  }

  using End = std::uint32_t Component<Int>::Table::*;

  // Messages by the restricted values, as messages by the component's.
  void widen(const std::vector<double>& from, std::vector<double>& to,
             const Component<Int>& restricted, const std::vector<std::uint32_t>& kept,
             End end) const {
    std::size_t at = 0;
    for (const auto& table : restricted.tables) {
      const std::uint32_t w = table.*end;
      const std::size_t begin = to.size();
      to.resize(begin + component().value_count(w), 0);
      for (std::uint32_t y = 0; y < restricted.value_count(w); ++y)
        to[begin + kept[restricted.first[w] + y] - component().first[w]] = from[at++];
    }
  }
  void narrow_down(const std::vector<double>& from, std::vector<double>& to,
                   const Component<Int>& restricted, const std::vector<std::uint32_t>& kept,
                   End end) const {
    std::size_t begin = 0;
    for (const auto& table : restricted.tables) {
      const std::uint32_t w = table.*end;
      for (std::uint32_t y = 0; y < restricted.value_count(w); ++y)
        to.push_back(from[begin + kept[restricted.first[w] + y] - component().first[w]]);
      begin += component().value_count(w);
    }
  }

  // --- Rounding ----------------------------------------------------------------------------------

  // Reads the relaxation as an assignment, makes it fit, polishes and offers it.  Returns the plain
  // reading, which may use too much.
  Choice round_and_offer(const Component<Int>& restricted, const Weights<Int>& weights,
                         Relaxation<Int>& relaxation, const std::vector<std::uint32_t>& kept,
                         bool thoroughly) {
    const Choice plain = relaxation.decode();
    Choice choice = plain;
    const bool fits = Standing<Int>::is_within(restricted, choice);
    if (!fits && !thoroughly) return plain;
    if (!fits) {
      Improver<Int> improver(weights, seed_ + nodes_);
      improver.set_limit(rounding_limit);
      const bool repaired =
          improver.repair(choice, relaxation.lambda(), [this] { return deadline_.is_over(); });
      work_ += improver.work();
      if (!repaired && !squeeze(restricted, relaxation, choice)) return plain;
    }
    if (!cost_of(restricted, choice)) return plain;
    descend(restricted, choice);
    offer(restricted, kept, choice);
    return plain;
  }
  static constexpr double rounding_limit = 10;

  // --- Branching ---------------------------------------------------------------------------------

  std::vector<Node> branch(const Node& node, const Component<Int>& restricted,
                           const Relaxation<Int>& relaxation, const Bound<Int>& bound,
                           const Choice& rounded, const std::vector<std::uint32_t>& kept) {
    Domains open;
    for (const std::uint32_t x : kept) open.push_back(node.domains[x]);
    const auto cost = incumbent_cost();
    const Split split = choose_split(OpenNode<Int>{restricted, relaxation, bound, rounded, open,
                                                   cost ? *cost - bound.value : Wide(0)});
    std::vector<Node> children;
    for (const auto* side : {&split.first, &split.second}) {
      Node child{node.domains, node.bound, node.guide, node.depth + 1};
      for (const auto* either : {&split.first, &split.second})
        for (const std::uint32_t x : *either) child.domains[kept[x]] = either == side;
      Wide least = bound.reduced_costs[side->front()];
      for (const std::uint32_t x : *side) least = std::min<Wide>(least, bound.reduced_costs[x]);
      child.bound = std::max<Wide>(child.bound, bound.value + least);
      children.push_back(std::move(child));
    }
    number_children(children, component().name[split.variable], split.first, kept);
    if (children[0].bound <= children[1].bound) std::swap(children[0], children[1]);
    return children;  // the most promising last
  }
  void number_children(std::vector<Node>& children, Variable name,
                       const std::vector<std::uint32_t>& first,
                       const std::vector<std::uint32_t>& kept) {
    for (Node& child : children) child.number = ++last_number_;
    if (proof_ == nullptr) return;
    proof_->step("branch") << name << children[0].number << children[1].number << ":";
    for (const std::uint32_t x : first) *proof_ << component().label[kept[x]];
    proof_->end();
  }

  const Component<Int>& whole_;
  Incumbent<Int>& incumbent_;
  const Deadline& deadline_;
  std::uint64_t seed_;
  bool may_presolve_;
  Proof* proof_;
  Wide ceiling_;  // no choice costs more
  Phase phase_ = Phase::root;
  std::vector<std::unique_ptr<Remainder>> remainders_;
  std::vector<double> lambda_;
  std::uint64_t nodes_ = 0;
  double work_ = 0;

  // Root.
  std::optional<Propagator<Int>> propagator_;  // of the present component; the tree's as well
  Domains domains_;
  Component<Int> restricted_;
  std::vector<std::uint32_t> kept_;
  std::optional<Weights<Int>> weights_;
  std::optional<Relaxation<Int>> relaxation_;
  Wide root_bound_ = 0;
  int sweeps_ = 0, last_look_ = 0;

  // Parts.
  std::unique_ptr<Remainder> divided_;
  std::vector<Part> parts_;
  std::size_t part_ = 0;  // the one at hand
  Wide settled_ = 0;      // what those before it cost

  // Tree.
  std::vector<Node> open_;
  std::optional<Node> next_;
  std::uint32_t last_number_ = 0;  // of a node
  std::size_t message_count_ = 0;  // of numbers in all messages of the component
};

}  // namespace tessera::solver
