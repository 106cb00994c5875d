// SPDX-License-Identifier: Apache-2.0
//
// Verifies a certificate (detail/certificate/README.md has its format): replays every step on the
// problem as the steps before it left it, and adds up what they prove.
//
// Nothing here is shared with the solver but Problem.  Where the solver rounds, shares out and
// hurries, this code does the plain thing: a bound is the sum of every variable's and every table's
// minimum after the messages have been moved, and so on.  Single entries are 128-bit integers whose
// size is checked; totals are Boost.Multiprecision's, which have no end.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/certificate_line.hpp"
#include "tessera/solver/checked_problem.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

struct Verdict {
  bool is_valid = false;
  bool is_infeasible = false;  // no assignment exists at all; then lower_bound means nothing
  std::string lower_bound;     // no assignment costs less; decimal
  std::size_t line = 0;        // of the step at fault; 1 is the first
  std::string fault;           // what is wrong with it
};

namespace detail {

class CertificateChecker : CheckedProblem {
 public:
  using CheckedProblem::CheckedProblem;

  Verdict run(std::string_view text) {
    Verdict verdict;
    try {
      while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        ++line_;
        if (end == text.size()) throw CertificateFault("the line is cut off");
        step(CertificateLine(text.substr(0, end)));
        text.remove_prefix(end + 1);
      }
      if (!claimed_) throw CertificateFault("there is no claim: the certificate is cut off");
      verdict.is_valid = true;
      verdict.is_infeasible = is_infeasible_;
      verdict.lower_bound = proven_.str();
    } catch (const CertificateFault& fault) {
      verdict.line = line_;
      verdict.fault = fault.what();
    }
    return verdict;
  }

 private:
  struct Node {
    std::vector<char> is_left;  // of the component's variables, one after the other
    Total bound;                // what it was made with
    std::size_t line = 0;
  };

  static void fault(const std::string& what) { throw CertificateFault(what); }
  static void require(bool condition, const char* what) {
    if (!condition) throw CertificateFault(what);
  }

  // --- Steps -------------------------------------------------------------------------------------

  void step(CertificateLine line) {
    require(!claimed_, "there are lines after the claim");
    const std::string_view word = line.word();
    if (line_ == 1)
      begin(word, line);
    else if (word == "unsupported")
      lonely(line);
    else if (word == "dominated")
      dominated(line);
    else if (word == "profile")
      note_profile();
    else if (word == "over_capacity")
      crowded(line);
    else if (word == "subtract_minimum_usage")
      take_least();
    else if (word == "keep_rows")
      keep_rows(line);
    else if (word == "fix")
      fix(variable(line));
    else if (word == "merge")
      fold(line);
    else if (word == "separable")
      separate(line);
    else if (word == "eliminate")
      eliminate(variable(line));
    else if (word == "component")
      begin_component(line);
    else if (word == "subcomponent")
      begin_part(line);
    else if (word == "end_subcomponent")
      end_part();
    else if (word == "lower_bound")
      bound(line);
    else if (word == "bucket_elimination")
      minimise(line);
    else if (word == "reduced_cost_fixing")
      costly(line);
    else if (word == "tree")
      begin_tree();
    else if (word == "node")
      visit_node(line);
    else if (word == "branch")
      split(line);
    else if (word == "oversubscribed")
      overfull(line);
    else if (word == "claim")
      claim(line);
    else
      fault("'" + std::string(word.substr(0, 40)) + "' is no step");
    line.expect_end();
  }

  void begin(std::string_view word, CertificateLine& line) {
    require(word == "certificate", "this is not a certificate");
    const Wide version = line.number();
    if (version != 2)
      fault("the certificate has version " + tessera::to_string(version) +
            " of the format, but this program reads version 2; solve again to write a new one");
    require(line.word() == "scale", "expected the scale");
    const Wide scale = line.number();
    require(scale >= 0 && scale <= 40, "the scale is out of range");
    scale_ = static_cast<int>(scale);
    build();
  }

  std::uint32_t variable(CertificateLine& line) {
    const std::uint32_t w = line.index();
    require(w < variables_.size() && variables_[w].exists, "there is no such variable (any more)");
    require(variables_[w].component == component_, "the variable is not of this component");
    return w;
  }
  // The place of a value that is left.
  std::size_t value(CertificateLine& line, std::uint32_t w) { return place(w, line.index()); }
  std::size_t place(std::uint32_t w, std::uint32_t label) const {
    const Variable& here = variables_[w];
    const auto at = std::lower_bound(here.label.begin(), here.label.end(), label);
    const auto x = static_cast<std::size_t>(at - here.label.begin());
    require(at != here.label.end() && *at == label && here.is_left[x] != 0,
            "the variable has no such value (any more)");
    return x;
  }
  std::uint32_t row(CertificateLine& line) const {
    const std::uint32_t t = line.index();
    require(t < capacity_.size() && row_counts_[t] != 0, "there is no such row (any more)");
    return t;
  }

  // --- Values that go ----------------------------------------------------------------------------

  void remove(std::uint32_t w, std::size_t x) {
    variables_[w].is_left[x] = 0;
    if (--variables_[w].left == 0) nothing_is_left();
  }

  void lonely(CertificateLine& line) {
    const std::uint32_t w = variable(line);
    const std::size_t x = value(line, w);
    const std::uint32_t v = variable(line);
    if (v == w) {
      require(!is_allowed(variables_[w].cost[x]), "the value's own cost is finite");
    } else {
      const auto e = find_table(w, v);
      require(e.has_value(), "no table connects the two");
      for (std::size_t y = 0; y < variables_[v].cost.size(); ++y)
        require(variables_[v].is_left[y] == 0 || !is_allowed(variables_[v].cost[y]) ||
                    !is_allowed(entry(*e, w, x, y)),
                "the value has a partner");
    }
    remove(w, x);
  }

  void dominated(CertificateLine& line) {
    const std::uint32_t w = variable(line);
    const std::size_t x = value(line, w), y = value(line, w);
    require(x != y, "a value can not dominate itself");
    tidy_pieces(w);
    const Variable& here = variables_[w];
    for (const Piece& piece : here.pieces)
      require(piece.usage[y] <= piece.usage[x], "the other value uses more");
    require(is_allowed(here.cost[y]), "the other value is forbidden");
    if (is_allowed(here.cost[x])) {
      Wide worst = here.cost[y] - here.cost[x];
      bool has_partners = true, goes_with_all = true;
      for (const std::uint32_t e : here.tables) {
        const Variable& neighbour = variables_[other(e, w)];
        std::optional<Wide> most;
        for (std::size_t z = 0; z < neighbour.cost.size(); ++z) {
          if (neighbour.is_left[z] == 0 || !is_allowed(entry(e, w, x, z))) continue;
          goes_with_all = goes_with_all && is_allowed(entry(e, w, y, z));
          const Wide change = entry(e, w, y, z) - entry(e, w, x, z);
          if (!most || change > *most) most = change;
        }
        has_partners = has_partners && most.has_value();
        worst += most.value_or(0);
      }
      require(!has_partners || goes_with_all, "the other value does not go with all partners");
      require(!has_partners || worst <= 0, "the other value can cost more");
    }
    remove(w, x);
  }

  // --- Usage -------------------------------------------------------------------------------------

  template<class Visit>
  void for_each_in_scope(Visit&& visit) {
    if (component_ != 0) {
      for (const std::uint32_t w : scope_)
        if (variables_[w].exists) visit(w);
    } else {
      for (std::uint32_t w = 0; w < variables_.size(); ++w)
        if (variables_[w].exists) visit(w);
    }
  }
  Wide least_usage(const Variable& here, const Piece& piece) const {
    std::optional<Wide> least;
    for (std::size_t x = 0; x < piece.usage.size(); ++x)
      if (here.is_left[x] != 0 && (!least || piece.usage[x] < *least)) least = piece.usage[x];
    return least.value_or(0);
  }

  void note_profile() {
    std::vector<Wide> change(capacity_.size() + 1, 0);
    for_each_in_scope([&](std::uint32_t w) {
      tidy_pieces(w);
      for (Piece& piece : variables_[w].pieces) {
        piece.noted = least_usage(variables_[w], piece);
        change[piece.begin] += piece.noted;
        change[piece.end] -= piece.noted;
      }
    });
    profile_.assign(capacity_.size(), 0);
    Wide usage = 0;
    for (std::size_t t = 0; t < profile_.size(); ++t) profile_[t] = usage += change[t];
  }

  void crowded(CertificateLine& line) {
    const std::uint32_t w = variable(line);
    const std::size_t x = value(line, w);
    const std::uint32_t t = row(line);
    require(!profile_.empty(), "no profile has been noted");
    Wide usage = profile_[t];
    for (const Piece& piece : variables_[w].pieces)
      if (piece.begin <= t && t < piece.end) usage += piece.usage[x] - piece.noted;
    require(usage > capacity_[t], "the value fits");
    remove(w, x);
  }

  void overfull(CertificateLine& line) {
    const std::uint32_t t = row(line);
    require(!profile_.empty() && profile_[t] > capacity_[t], "the least of all fits");
    nothing_is_left();
  }

  void take_least() {
    structure_changes();
    profile_.clear();
    std::vector<Wide> change(capacity_.size() + 1, 0);
    for_each_in_scope([&](std::uint32_t w) {
      tidy_pieces(w);
      Variable& here = variables_[w];
      for (Piece& piece : here.pieces) {
        const Wide least = least_usage(here, piece);
        for (Wide& usage : piece.usage) usage -= least;
        change[piece.begin] += least;
        change[piece.end] -= least;
      }
      std::erase_if(here.pieces, [&](const Piece& piece) { return uses_nothing(here, piece); });
    });
    Wide usage = 0;
    for (std::size_t t = 0; t < capacity_.size(); ++t) {
      usage += change[t];
      capacity_[t] -= usage;
      if (usage != 0 && row_counts_[t] != 0 && capacity_[t] < 0) nothing_is_left();
    }
  }
  static bool uses_nothing(const Variable& here, const Piece& piece) {
    for (std::size_t x = 0; x < piece.usage.size(); ++x)
      if (here.is_left[x] != 0 && piece.usage[x] != 0) return false;
    return true;
  }

  // Leaving rows out only allows more, so any may go: a bound of what is left is one of all.
  void keep_rows(CertificateLine& line) {
    structure_changes();
    std::vector<char> kept(capacity_.size(), 0);
    while (!line.at_end()) {
      const std::uint32_t first = line.index();
      line.expect('-');
      const std::uint32_t last = line.index();
      require(first <= last && last < capacity_.size(), "there are no such rows");
      std::fill(kept.begin() + first, kept.begin() + last + 1, 1);
    }
    for (std::size_t t = 0; t < capacity_.size(); ++t)
      row_counts_[t] = row_counts_[t] != 0 && kept[t] != 0;
    count_rows();
    for_each_in_scope([&](std::uint32_t w) {
      std::erase_if(variables_[w].pieces, [&](const Piece& piece) { return !matters(piece); });
    });
    profile_.clear();
  }

  // --- Variables that go -------------------------------------------------------------------------

  void fix(std::uint32_t w) {
    structure_changes();
    require(variables_[w].left <= 1, "the variable has more than one value");
    if (variables_[w].left == 0) return;
    tidy_values(w);
    tidy_pieces(w);
    Variable& here = variables_[w];
    if (!is_allowed(here.cost[0])) {
      nothing_is_left();
      return;
    }
    constant_ += here.cost[0];
    for (const Piece& piece : here.pieces)
      for (std::uint32_t t = piece.begin; t < piece.end; ++t) {
        capacity_[t] -= piece.usage[0];
        if (row_counts_[t] != 0 && capacity_[t] < 0) nothing_is_left();
      }
    for (const std::uint32_t e : std::vector<std::uint32_t>(here.tables)) {
      Variable& neighbour = variables_[other(e, w)];
      for (std::size_t y = 0; y < neighbour.cost.size(); ++y)
        neighbour.cost[y] = sum(neighbour.cost[y], entry(e, w, 0, y));
      drop_table(e);
    }
    retire(w);
  }
  void retire(std::uint32_t w) {
    variables_[w].exists = false;
    // What it was noted with is now taken off the capacity, or nothing.
    if (!profile_.empty())
      for (const Piece& piece : variables_[w].pieces)
        for (std::uint32_t t = piece.begin; t < piece.end && piece.noted != 0; ++t)
          profile_[t] -= piece.noted;
    variables_[w].pieces = {};
  }

  void fold(CertificateLine& line) {
    structure_changes();
    const std::uint32_t u = variable(line), v = variable(line);
    require(u != v, "a variable can not be a part of itself");
    const auto e = find_table(u, v);
    require(e.has_value(), "no table connects the two");
    tidy_values(u);
    tidy_values(v);
    std::vector<std::size_t> image;
    for (std::size_t x = 0; x < variables_[u].cost.size(); ++x) {
      std::optional<std::size_t> only;
      for (std::size_t y = 0; y < variables_[v].cost.size(); ++y) {
        if (!is_allowed(entry(*e, u, x, y))) continue;
        require(!only, "a value allows more than one of the other variable");
        only = y;
      }
      require(only.has_value(), "a value allows none of the other variable");
      image.push_back(*only);
      Wide& cost = variables_[u].cost[x];
      cost = sum(cost, sum(variables_[v].cost[*only], entry(*e, u, x, *only)));
    }
    drop_table(*e);
    for (const std::uint32_t moving : std::vector<std::uint32_t>(variables_[v].tables)) {
      const std::uint32_t w = other(moving, v);
      std::vector<Wide> cost;
      for (const std::size_t y : image)
        for (std::size_t z = 0; z < variables_[w].cost.size(); ++z)
          cost.push_back(entry(moving, v, y, z));
      drop_table(moving);
      add_table(u, w, std::move(cost));
    }
    Variable& here = variables_[u];
    for (const Piece& piece : variables_[v].pieces) {
      Piece moved{piece.begin, piece.end, {}, 0};
      for (const std::size_t y : image) moved.usage.push_back(piece.usage[y]);
      here.pieces.push_back(std::move(moved));
      here.overlap = true;
    }
    profile_.clear();  // pieces that are cut up lose what was noted
    retire(v);
  }

  void separate(CertificateLine& line) {
    structure_changes();
    const std::uint32_t u = variable(line), v = variable(line);
    const auto e = u == v ? std::nullopt : find_table(u, v);
    require(e.has_value(), "no table connects the two");
    tidy_values(u);
    tidy_values(v);
    if (variables_[u].left == 0 || variables_[v].left == 0) return;
    const Wide corner = entry(*e, u, 0, 0);
    for (std::size_t x = 0; x < variables_[u].cost.size(); ++x)
      for (std::size_t y = 0; y < variables_[v].cost.size(); ++y) {
        require(is_allowed(entry(*e, u, x, y)), "the table forbids something");
        require(entry(*e, u, x, y) - entry(*e, u, x, 0) == entry(*e, u, 0, y) - corner,
                "the table is no sum of two vectors");
      }
    for (std::size_t x = 0; x < variables_[u].cost.size(); ++x)
      variables_[u].cost[x] = sum(variables_[u].cost[x], entry(*e, u, x, 0));
    for (std::size_t y = 0; y < variables_[v].cost.size(); ++y)
      variables_[v].cost[y] = sum(variables_[v].cost[y], entry(*e, u, 0, y) - corner);
    drop_table(*e);
  }

  void eliminate(std::uint32_t w) {
    structure_changes();
    if (variables_[w].left == 0) return;
    tidy_values(w);
    tidy_pieces(w);
    Variable& here = variables_[w];
    for (const Piece& piece : here.pieces)
      require(uses_nothing(here, piece), "the variable uses something");
    const std::vector<std::uint32_t> tables = here.tables;
    require(tables.size() <= 2, "the variable has more than two neighbours");
    if (tables.empty()) {
      const Wide least = *std::min_element(here.cost.begin(), here.cost.end());
      if (is_allowed(least))
        constant_ += least;
      else
        nothing_is_left();
    } else {
      const std::uint32_t a = other(tables[0], w), b = other(tables.back(), w);
      const std::size_t a_size = variables_[a].cost.size();
      const std::size_t b_size = tables.size() == 1 ? 1 : variables_[b].cost.size();
      std::vector<Wide> result(a_size * b_size, forbidden);
      for (std::size_t x = 0; x < here.cost.size(); ++x)
        for (std::size_t y = 0; y < a_size; ++y) {
          const Wide first = sum(here.cost[x], entry(tables[0], w, x, y));
          if (!is_allowed(first)) continue;
          for (std::size_t z = 0; z < b_size; ++z) {
            const Wide total = tables.size() == 1 ? first : sum(first, entry(tables[1], w, x, z));
            result[y * b_size + z] = std::min(result[y * b_size + z], total);
          }
        }
      for (const std::uint32_t e : tables) drop_table(e);
      if (tables.size() == 1) {
        for (std::size_t y = 0; y < a_size; ++y)
          variables_[a].cost[y] = sum(variables_[a].cost[y], result[y]);
      } else {
        add_table(a, b, std::move(result));
      }
    }
    retire(w);
  }

  // --- Components and their bounds ---------------------------------------------------------------

  Total scaled(const Total& unscaled) const { return unscaled << static_cast<unsigned>(scale_); }

  void begin_component(CertificateLine& line) {
    end_component();
    // Every component has all the room that presolve has left: what another one needs at least is
    // only proven of what its bounds have left of it.
    if (component_ == 0) {
      presolved_rows_ = row_counts_;
      presolved_capacity_ = capacity_;
    } else {
      row_counts_ = presolved_rows_;
      capacity_ = presolved_capacity_;
    }
    count_rows();
    read_scope(line, 0);
  }

  // A component, or a part of one, of variables that were of `from`.
  void read_scope(CertificateLine& line, std::uint32_t from) {
    component_ = ++last_component_;
    scope_.clear();
    while (!line.at_end()) {
      const std::uint32_t w = line.index();
      require(w < variables_.size() && variables_[w].exists,
              "there is no such variable (any more)");
      require(variables_[w].component == from, "the variable is in two components");
      variables_[w].component = component_;
      scope_.push_back(w);
    }
    for (const std::uint32_t w : scope_)
      for (const std::uint32_t e : variables_[w].tables)
        require(variables_[other(e, w)].component == component_,
                "a table leads out of the component");
    settled_constant_ = constant_;
    ceiling_ = ceiling_of_scope();
    best_.reset();
    floor_.reset();
    has_bound_ = is_empty_ = in_tree_ = false;
    open_.clear();
    profile_.clear();
  }

  // No choice of what is left of what is at hand costs more.
  Total ceiling_of_scope() const {
    Total total = 0;
    for (const std::uint32_t w : scope_) {
      total += dearest(variables_[w]);
      for (const std::uint32_t e : variables_[w].tables)
        if (tables_[e].u == w) total += dearest(tables_[e]);
    }
    return total;
  }
  static Total dearest(const Variable& here) {
    std::optional<Wide> most;
    for (std::size_t x = 0; x < here.cost.size(); ++x)
      if (here.is_left[x] != 0 && is_allowed(here.cost[x]))
        most = std::max(most.value_or(here.cost[x]), here.cost[x]);
    return Total(most.value_or(0));
  }
  Total dearest(const Table& table) const {
    const Variable &u = variables_[table.u], &v = variables_[table.v];
    std::optional<Wide> most;
    for (std::size_t x = 0; x < u.cost.size(); ++x)
      for (std::size_t y = 0; y < v.cost.size() && u.is_left[x] != 0; ++y) {
        const Wide cost = table.cost[x * v.cost.size() + y];
        if (v.is_left[y] != 0 && is_allowed(cost)) most = std::max(most.value_or(cost), cost);
      }
    return Total(most.value_or(0));
  }

  // What the component's fixed and eliminated variables have cost so far.
  Total component_constant() const { return scaled(constant_ - settled_constant_); }

  void lower_floor(const Total& to, std::size_t line) {
    if (floor_ && to >= *floor_) return;
    floor_ = to;
    floor_line_ = line;
  }

  void end_component() {
    if (component_ == 0) return;
    while (!outer_.empty()) end_part();
    const std::optional<Total> least = least_of_scope();
    if (!least) {
      is_infeasible_ = true;
      return;
    }
    least_line_ = floor_line_;
    components_total_ += *least;
  }

  // What is left of the component, or part, at hand costs at least, in whole costs: it can not lie
  // between two of them.  None where nothing was ever left that could cost anything, or where all
  // would cost more than anything can.
  std::optional<Total> least_of_scope() {
    finish_node();
    for (const auto& [number, node] : open_) lower_floor(node.bound, node.line);
    if (!floor_ || *floor_ > ceiling_ << static_cast<unsigned>(scale_)) return std::nullopt;
    Total whole = (*floor_ - component_constant()) >> static_cast<unsigned>(scale_);
    if (scaled(whole) < *floor_ - component_constant()) ++whole;
    return whole;
  }

  // --- Parts -------------------------------------------------------------------------------------

  // What a component, or a part, is when one of its own parts begins.
  struct Scope {
    std::uint32_t component = 0;
    std::vector<std::uint32_t> variables;
    Total settled_constant, ceiling;
    std::optional<Total> best, floor;
    std::size_t best_line = 0, floor_line = 0;
    std::vector<char> row_counts;
    std::vector<Wide> capacity;
  };

  // Like a component, every part has all the room that there is.
  void begin_part(CertificateLine& line) {
    require(component_ != 0 && !in_tree_, "a part needs a component that has no tree yet");
    require(!is_empty_, "there is nothing left to have parts");
    outer_.push_back({component_, std::move(scope_), settled_constant_, ceiling_, best_, floor_,
                      best_line_, floor_line_, row_counts_, capacity_});
    read_scope(line, outer_.back().component);
  }

  void end_part() {
    require(!outer_.empty(), "there is no part at hand");
    const std::optional<Total> least = least_of_scope();
    Scope scope = std::move(outer_.back());
    outer_.pop_back();
    component_ = scope.component;
    scope_ = std::move(scope.variables);
    // What the part's variables cost at least is certain now, as if they had been fixed.
    std::erase_if(scope_, [&](std::uint32_t w) {
      return !variables_[w].exists || variables_[w].component != component_;
    });
    settled_constant_ = scope.settled_constant;
    ceiling_ = scope.ceiling;
    best_ = scope.best;
    best_line_ = scope.best_line;
    floor_ = scope.floor;
    floor_line_ = scope.floor_line;
    row_counts_ = std::move(scope.row_counts);
    capacity_ = std::move(scope.capacity);
    count_rows();
    has_bound_ = is_empty_ = in_tree_ = in_node_ = false;
    open_.clear();
    profile_.clear();
    if (!least) {
      nothing_is_left();
      return;
    }
    constant_ += *least;
    if (scope_.empty() && (!best_ || component_constant() > *best_)) {
      best_ = component_constant();
      best_line_ = line_;
    }
  }

  // The node at hand, or the component before its tree, is done with: what is left of it costs what
  // its best bound says.
  void finish_node() {
    if (is_empty_ || (in_tree_ && !in_node_)) return;
    require(best_.has_value(), "nothing bounds what is left");
    lower_floor(*best_, best_line_);
    in_node_ = false;
  }

  void nothing_is_left() {
    is_empty_ = true;
    if (component_ == 0) is_infeasible_ = true;
  }

  void structure_changes() {
    require(!in_tree_, "the problem can not change its shape inside the tree");
    has_bound_ = false;
  }

  void bound(CertificateLine& line) {
    require(component_ != 0, "a bound needs a component");
    const Wide claimed = line.number();
    const Wide shift = line.number();
    require(shift >= 0 && shift <= 100, "the multipliers' shift is out of range");
    line.expect('|');
    std::vector<Total> before = read_multipliers(line);
    Total total = -refund(static_cast<unsigned>(shift));
    for (const std::uint32_t w : scope_)
      if (variables_[w].exists) price(variables_[w], before, static_cast<unsigned>(shift), w);
    while (line.take('|')) read_messages(line);
    for (const std::uint32_t w : scope_)
      if (variables_[w].exists) add_least(variables_[w], total);
    for (const std::uint32_t w : scope_)
      for (const std::uint32_t e : variables_[w].tables)
        if (tables_[e].u == w) add_least(tables_[e], e, total);
    messages_.clear();
    if (!is_empty_) require(total >= Total(claimed), "the component can cost less");
    bound_ = total;
    has_bound_ = true;
    const Total with_constant = total + component_constant();
    if (best_ && with_constant <= *best_) return;
    best_ = with_constant;
    best_line_ = line_;
  }

  // Prefix sums of the multipliers, by row.
  std::vector<Total> read_multipliers(CertificateLine& line) {
    multipliers_.clear();
    while (!line.at_end() && !line.is_next('|')) {
      const std::uint32_t t = row(line);
      line.expect(':');
      const Wide numerator = line.number();
      require(numerator >= 0, "a multiplier is negative");
      require(multipliers_.empty() || multipliers_.back().first < t, "rows are out of order");
      multipliers_.push_back({t, numerator});
    }
    std::vector<Total> before;
    if (multipliers_.empty()) return before;
    before.resize(capacity_.size() + 1);
    std::size_t next = 0;
    for (std::size_t t = 0; t < capacity_.size(); ++t) {
      before[t + 1] = before[t];
      if (next < multipliers_.size() && multipliers_[next].first == t)
        before[t + 1] += Total(multipliers_[next++].second);
    }
    return before;
  }
  // What the multipliers refund, rounded up.
  Total refund(unsigned shift) const {
    Total total = 0;
    for (const auto& [t, numerator] : multipliers_) total += Total(capacity_[t]) * Total(numerator);
    const Total unit = Total(1) << shift;
    Total quotient = total / unit;
    if (total > 0 && quotient * unit != total) ++quotient;
    return quotient;
  }

  // Starts reduced_cost with each value's cost and the price of its usage, rounded down.
  void price(Variable& here, const std::vector<Total>& before, unsigned shift, std::uint32_t w) {
    tidy_pieces(w);
    here.reduced_cost.assign(here.cost.size(), std::nullopt);
    for (std::size_t x = 0; x < here.cost.size(); ++x)
      if (here.is_left[x] != 0 && is_allowed(here.cost[x]))
        here.reduced_cost[x] = scaled(Total(here.cost[x]));
    if (before.empty()) return;
    std::vector<Total> usage_price(here.cost.size(), 0);
    for (const Piece& piece : here.pieces) {
      const Total rate = before[piece.end] - before[piece.begin];
      if (rate == 0) continue;
      for (std::size_t x = 0; x < here.cost.size(); ++x)
        if (here.is_left[x] != 0) usage_price[x] += rate * Total(piece.usage[x]);
    }
    for (std::size_t x = 0; x < here.cost.size(); ++x)
      if (here.reduced_cost[x]) *here.reduced_cost[x] += usage_price[x] >> shift;
  }

  // Messages of one table: moved from the table to its ends.  Values that have gone have none.
  void read_messages(CertificateLine& line) {
    const std::uint32_t u = variable(line), v = variable(line);
    const auto e = u == v ? std::nullopt : find_table(u, v);
    require(e.has_value(), "no table connects the two");
    require(!messages_.contains(*e), "a table has messages twice");
    auto& [to_u, to_v] = messages_[*e];
    for (const auto& [w, message] : {std::pair(u, &to_u), std::pair(v, &to_v)}) {
      line.expect(':');
      Variable& here = variables_[w];
      message->assign(here.cost.size(), 0);
      for (std::size_t x = 0; x < here.cost.size(); ++x) {
        if (here.is_left[x] == 0) continue;
        const Wide moved = line.number();
        (*message)[x] = moved;
        if (here.reduced_cost[x]) *here.reduced_cost[x] += Total(moved);
      }
    }
    if (tables_[*e].u != u) std::swap(to_u, to_v);
  }

  void add_least(Variable& here, Total& total) {
    std::optional<Total> least;
    for (std::size_t x = 0; x < here.cost.size(); ++x)
      if (here.is_left[x] != 0 && here.reduced_cost[x] &&
          (!least || *here.reduced_cost[x] < *least))
        least = here.reduced_cost[x];
    if (!least) {
      nothing_is_left();
      return;
    }
    total += *least;
    for (std::optional<Total>& cost : here.reduced_cost)
      if (cost) *cost -= *least;
  }

  // A table's least entry, and what each value of its ends adds to that at least.
  void add_least(const Table& table, std::uint32_t e, Total& total) {
    Variable &u = variables_[table.u], &v = variables_[table.v];
    const auto found = messages_.find(e);
    const std::vector<Wide>* to_u = found == messages_.end() ? nullptr : &found->second.first;
    const std::vector<Wide>* to_v = found == messages_.end() ? nullptr : &found->second.second;
    const std::size_t columns = v.cost.size();
    // Larger than any entry can be, whatever the messages: those have a limit.
    constexpr Wide absent = Wide(1) << 126;
    std::vector<Wide> row_least(u.cost.size(), absent), column_least(columns, absent);
    Wide least = absent;
    const Wide unit = Wide(1) << scale_;
    for (std::size_t x = 0; x < u.cost.size(); ++x) {
      if (u.is_left[x] == 0) continue;
      for (std::size_t y = 0; y < columns; ++y) {
        const Wide cost = table.cost[x * columns + y];
        if (v.is_left[y] == 0 || !is_allowed(cost)) continue;
        Wide here = cost * unit;
        if (to_u != nullptr) here -= (*to_u)[x] + (*to_v)[y];
        row_least[x] = std::min(row_least[x], here);
        column_least[y] = std::min(column_least[y], here);
      }
      least = std::min(least, row_least[x]);
    }
    if (least == absent) {
      nothing_is_left();
      return;
    }
    total += Total(least);
    const auto add = [&](Variable& end, const std::vector<Wide>& end_least) {
      for (std::size_t x = 0; x < end.cost.size(); ++x) {
        if (end_least[x] == absent) end.reduced_cost[x].reset();
        if (end.reduced_cost[x]) *end.reduced_cost[x] += Total(end_least[x] - least);
      }
    };
    add(u, row_least);
    add(v, column_least);
  }

  void costly(CertificateLine& line) {
    require(has_bound_, "there is no bound that still holds");
    const Total limit(line.number());
    while (!line.at_end()) {
      const std::uint32_t w = variable(line);
      line.expect(':');
      const std::size_t x = value(line, w);
      const std::optional<Total>& above = variables_[w].reduced_cost[x];
      require(!above || bound_ + *above >= limit, "a value can cost less");
      remove(w, x);
    }
    lower_floor(limit + component_constant(), line_);
  }

  // --- Minimising out ----------------------------------------------------------------------------

  // The least of something for every combination of values of some variables, the last of which
  // changes fastest.
  struct Function {
    std::vector<std::uint32_t> scope;
    std::vector<Wide> least;
  };

  void minimise(CertificateLine& line) {
    require(component_ != 0, "a bound needs a component");
    std::vector<Function> functions;
    std::set<std::uint32_t> waiting;
    for (const std::uint32_t w : scope_) {
      if (!variables_[w].exists) continue;
      waiting.insert(w);
      functions.push_back({{w}, variables_[w].cost});
      for (std::size_t x = 0; x < variables_[w].cost.size(); ++x)
        if (variables_[w].is_left[x] == 0) functions.back().least[x] = forbidden;
      for (const std::uint32_t e : variables_[w].tables)
        if (tables_[e].u == w) functions.push_back({{w, tables_[e].v}, tables_[e].cost});
    }
    Total total = 0;
    while (!line.at_end()) {
      const std::uint32_t w = variable(line);
      require(waiting.erase(w) == 1, "the variable is minimised out twice");
      Function out = minimised_out(w, functions);
      if (!out.scope.empty())
        functions.push_back(std::move(out));
      else if (!is_allowed(out.least[0]))
        return nothing_is_left();
      else
        total += Total(out.least[0]);
    }
    require(waiting.empty(), "a variable is not minimised out");
    const Total with_constant = scaled(total) + component_constant();
    if (best_ && with_constant <= *best_) return;
    best_ = with_constant;
    best_line_ = line_;
  }

  // The functions that depend on a variable, which are taken out, as one that does not.
  Function minimised_out(std::uint32_t w, std::vector<Function>& functions) {
    std::vector<Function> own;
    std::erase_if(functions, [&](Function& function) {
      const auto& scope = function.scope;
      if (std::find(scope.begin(), scope.end(), w) == scope.end()) return false;
      own.push_back(std::move(function));
      return true;
    });
    Function out;
    for (const Function& function : own)
      for (const std::uint32_t v : function.scope)
        if (v != w && std::find(out.scope.begin(), out.scope.end(), v) == out.scope.end())
          out.scope.push_back(v);
    constexpr std::size_t most = std::size_t{1} << 24;
    std::size_t size = 1;
    for (const std::uint32_t v : out.scope) {
      size *= variables_[v].cost.size();
      require(size <= most, "too many variables meet to be minimised out");
    }
    out.least.assign(size, forbidden);
    // Where each function is, as the scope's values count up; w's value counts fastest.
    std::vector<std::uint32_t> digits = out.scope;
    digits.push_back(w);
    std::vector<std::vector<std::size_t>> strides;
    for (const Function& function : own) strides.push_back(strides_of(function, digits));
    std::vector<std::size_t> at(own.size(), 0), value(digits.size(), 0);
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t x = 0; x < variables_[w].cost.size(); ++x) {
        Wide cost = 0;
        for (std::size_t f = 0; f < own.size(); ++f) cost = sum(cost, own[f].least[at[f]]);
        out.least[i] = std::min(out.least[i], cost);
        for (std::size_t d = digits.size(); d-- > 0;) {
          const bool wraps = ++value[d] == variables_[digits[d]].cost.size();
          for (std::size_t f = 0; f < own.size(); ++f)
            at[f] = wraps ? at[f] - strides[f][d] * (value[d] - 1) : at[f] + strides[f][d];
          if (!wraps) break;
          value[d] = 0;
        }
      }
    return out;
  }
  std::vector<std::size_t> strides_of(const Function& function,
                                      const std::vector<std::uint32_t>& digits) const {
    std::vector<std::size_t> strides(digits.size(), 0);
    std::size_t stride = 1;
    for (std::size_t i = function.scope.size(); i-- > 0;) {
      const auto found = std::find(digits.begin(), digits.end(), function.scope[i]);
      strides[static_cast<std::size_t>(found - digits.begin())] += stride;
      stride *= variables_[function.scope[i]].cost.size();
    }
    return strides;
  }

  // --- The tree ----------------------------------------------------------------------------------

  void begin_tree() {
    require(component_ != 0 && !in_tree_, "a tree needs a component, and there is one only");
    if (!is_empty_) {
      require(best_.has_value(), "nothing bounds what is left");
      open_[0] = {flags(), *best_, line_};
    }
    in_tree_ = is_empty_ = true;
    in_node_ = has_bound_ = false;
    profile_.clear();
  }

  std::vector<char> flags() const {
    std::vector<char> result;
    for (const std::uint32_t w : scope_)
      result.insert(result.end(), variables_[w].is_left.begin(), variables_[w].is_left.end());
    return result;
  }

  void visit_node(CertificateLine& line) {
    require(in_tree_, "there is no tree");
    finish_node();
    const auto found = open_.find(line.index());
    require(found != open_.end(), "there is no such node that is open");
    auto flag = found->second.is_left.begin();
    for (const std::uint32_t w : scope_) {
      Variable& here = variables_[w];
      const auto end = flag + static_cast<std::ptrdiff_t>(here.is_left.size());
      here.is_left.assign(flag, end);
      here.left = static_cast<std::size_t>(std::count(here.is_left.begin(), here.is_left.end(), 1));
      flag = end;
    }
    best_ = found->second.bound;
    best_line_ = found->second.line;
    open_.erase(found);
    in_node_ = true;
    is_empty_ = has_bound_ = false;
    profile_.clear();
  }

  void split(CertificateLine& line) {
    require(in_node_ && !is_empty_, "there is no node to split");
    const std::uint32_t w = variable(line);
    const std::uint32_t first = line.index(), second = line.index();
    require(first != second && !open_.contains(first) && !open_.contains(second),
            "a node's number is taken");
    line.expect(':');
    Variable& here = variables_[w];
    const std::vector<char> before = here.is_left;
    std::vector<char> chosen(before.size(), 0);
    while (!line.at_end()) chosen[value(line, w)] = 1;
    for (const bool is_first : {true, false}) {
      std::optional<Total> least;
      for (std::size_t x = 0; x < before.size(); ++x) {
        here.is_left[x] = before[x] != 0 && (chosen[x] != 0) == is_first;
        if (here.is_left[x] == 0 || !has_bound_ || !here.reduced_cost[x]) continue;
        if (!least || *here.reduced_cost[x] < *least) least = here.reduced_cost[x];
      }
      Total bound = *best_;
      if (least) bound = std::max<Total>(bound, bound_ + *least + component_constant());
      open_[is_first ? first : second] = {flags(), bound, line_};
    }
    here.is_left = before;
    in_node_ = false;
    is_empty_ = true;
  }

  // --- The claim ---------------------------------------------------------------------------------

  void claim(CertificateLine& line) {
    end_component();
    component_ = 0;
    claimed_ = true;
    if (!is_infeasible_)
      for (const Variable& here : variables_)
        require(!here.exists || here.component != 0, "a variable is in no component");
    proven_ = constant_ + components_total_;
    if (std::string_view text = CertificateLine(line).word(); text == "infeasible") {
      line.word();
      require(is_infeasible_, "the steps leave something that is feasible");
      return;
    }
    const Total claimed(line.number());
    if (is_infeasible_ || claimed <= proven_) return;
    fault("it claims " + claimed.str() + ", but the steps prove no more than " + proven_.str() +
          " (what is least was left on line " + std::to_string(least_line_.value_or(0)) + ")");
  }

  std::size_t line_ = 0;
  int scale_ = 0;
  bool claimed_ = false;
  std::vector<Wide> profile_;
  std::vector<char> presolved_rows_;      // the same before the first component
  std::vector<Wide> presolved_capacity_;  // likewise
  Total constant_ = 0, components_total_ = 0, proven_ = 0;

  // The component at hand; 0 before the first.
  std::uint32_t component_ = 0, last_component_ = 0;
  std::vector<std::uint32_t> scope_;
  std::vector<Scope> outer_;  // what it is a part of, the component itself first
  Total settled_constant_ = 0;
  bool is_empty_ = false;      // nothing is left of the node, or of the component before its tree
  std::optional<Total> best_;  // bound of the same, with the component's constant
  std::size_t best_line_ = 0;
  std::optional<Total> floor_;  // of what has been done with
  Total ceiling_;               // of all that can be chosen
  std::size_t floor_line_ = 0;
  std::optional<std::size_t> least_line_;
  bool has_bound_ = false;  // whether bound_ and the reduced costs hold
  Total bound_ = 0;
  std::vector<std::pair<std::uint32_t, Wide>> multipliers_;
  std::map<std::uint32_t, std::pair<std::vector<Wide>, std::vector<Wide>>> messages_;

  bool in_tree_ = false, in_node_ = false;
  std::map<std::uint32_t, Node> open_;
};

}  // namespace detail

// Whether the certificate proves what it claims.  Time like the solver's that wrote it.
inline Verdict check_certificate(const Problem& problem, std::string_view certificate) {
  return detail::CertificateChecker(problem).run(certificate);
}

}  // namespace tessera::solver
