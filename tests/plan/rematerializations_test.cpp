// SPDX-License-Identifier: Apache-2.0
//
// What runs again, against every choice there is; least cuts, against every cut.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tessera/models/catalogue.hpp"
#include "tessera/pipeline/layers.hpp"
#include "tessera/plan/detail/pipeline/rematerializations.hpp"
#include "tessera/plan/detail/rematerialization/min_cut.hpp"
#include "tessera/tessera.hpp"

namespace {

using namespace tessera;
using plan::Rematerialization, plan::detail::OpCosts, plan::detail::SavedValues;

TEST_CASE("the minimum cut is the least of all cuts, with the fewest on its side") {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const std::size_t count = 2 + random() % 6;
    struct Edge {
      std::size_t from, to;
      Wide capacity;
    };
    std::vector<Edge> edges;
    plan::detail::CutGraph cut;
    for (std::size_t node = 0; node < count; ++node) CHECK(cut.add_node() == node);
    for (std::size_t i = random() % 20; i-- > 0;) {
      edges.push_back({random() % count, random() % count, random() % 5});
      cut.add_edge(edges.back().from, edges.back().to, edges.back().capacity);
    }
    std::optional<Wide> least;
    int fewest = 0;
    for (std::size_t side = 0; side < std::size_t{1} << count; ++side) {
      const auto is_in = [&](std::size_t node) { return (side >> node & 1U) != 0; };
      if (!is_in(0) || is_in(1)) continue;
      Wide sum = 0;
      for (const Edge& edge : edges)
        if (is_in(edge.from) && !is_in(edge.to)) sum += edge.capacity;
      const int size = std::popcount(side);
      if (!least || sum < *least || (sum == *least && size < fewest)) {
        least = sum;
        fewest = size;
      }
    }
    const std::vector<char> side = plan::detail::min_cut(cut, 0, 1);
    Wide sum = 0;
    for (const Edge& edge : edges)
      if (side[edge.from] != 0 && side[edge.to] == 0) sum += edge.capacity;
    CHECK(to_string(sum) == to_string(*least));
    CHECK(std::count(side.begin(), side.end(), 1) == fewest);
  }
}

// All choices, by trying each set of what is in memory to run again, or very many where there are
// too many to try: what that reads and is not in memory runs again with it.
class EveryRematerialization {
 public:
  struct Point {
    Cost time = 0;
    Extent saved = 0;
  };

  EveryRematerialization(const pipeline::SpanProgram& span, const OpCosts& taken)
      : values_(span), taken_(taken) {
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
      if (values_.is_forward(id) && values_.can_be_saved(id) && values_.can_be_rematerialized(id) &&
          is_read_later(id))
        candidates_.push_back(id);
  }

  std::size_t candidates() const { return candidates_.size(); }
  bool tries_all() const { return candidates() <= 12; }

  template<class Visit>
  void for_each(std::mt19937& random, Visit&& visit) const {
    const std::size_t count = tries_all() ? std::size_t{1} << candidates() : 4096;
    for (std::size_t number = 0; number < count; ++number) {
      const std::size_t set = tries_all() ? number : random();
      std::vector<char> again(taken_.time.size(), 0);
      for (std::size_t i = 0; i < candidates(); ++i)
        if ((set >> i & 1U) != 0) again[candidates_[i]] = 1;
      visit(point_of(again));
    }
  }

 private:
  // By a backward op, through whatever forward ops.
  bool is_read_later(graph::OpId id) const {
    bool is_read = false;
    values_.span().graph.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
      is_read = is_read || values_.is_backward(reader) ||
                (values_.is_forward(reader) && is_read_later(reader));
    });
    return is_read;
  }

  Point point_of(const std::vector<char>& again) const {
    Point point;
    // By op: read where that costs nothing, and by what runs again.
    std::vector<char> is_read(again.size(), 0), is_rematerialized = again;
    const graph::Graph& graph = values_.span().graph;
    for (graph::OpId id = static_cast<graph::OpId>(again.size()); id-- > 0;) {
      const bool is_forward = values_.is_forward(id);
      const bool is_there = values_.can_be_saved(id);
      if (is_rematerialized[id] != 0) point.time += taken_.time[id];
      if (is_forward && is_there && is_read[id] != 0 && again[id] == 0)
        point.saved += taken_.bytes[id];
      const bool passes_on = is_forward && !is_there && is_read[id] != 0;
      if (!values_.is_backward(id) && is_rematerialized[id] == 0 && !passes_on) continue;
      for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
        const graph::OpId from = graph.operand(id, i).op;
        is_read[from] = 1;
        if (is_rematerialized[id] != 0 && values_.is_forward(from) && !values_.can_be_saved(from))
          is_rematerialized[from] = 1;
      }
    }
    return point;
  }

  SavedValues values_;
  const OpCosts& taken_;
  std::vector<graph::OpId> candidates_;
};

OpCosts random_taken(std::size_t ops, std::mt19937& random) {
  OpCosts taken;
  for (std::size_t i = 0; i < ops; ++i) {
    taken.time.push_back(random() % 4 == 0 ? 0 : random() % 1000);
    taken.bytes.push_back(random() % 1000);
    taken.least.push_back(taken.bytes.back() / 2);
  }
  return taken;
}

// Returns how many could run again.
std::size_t check_rematerializations(const pipeline::SpanProgram& span, std::mt19937& random) {
  const OpCosts taken = random_taken(span.graph.op_count(), random);
  const EveryRematerialization every(span, taken);
  const std::vector<Rematerialization> rematerializations =
      plan::detail::rematerializations_of(SavedValues(span), taken);
  CHECK(rematerializations.front().ops.empty());
  CHECK(rematerializations.front().time == 0);
  CHECK(rematerializations.front().restored == 0);
  for (std::size_t i = 1; i < rematerializations.size(); ++i) {
    CHECK(rematerializations[i].time >= rematerializations[i - 1].time);
    CHECK(rematerializations[i].saved < rematerializations[i - 1].saved);
    CHECK(rematerializations[i].restored > 0);
    CHECK(rematerializations[i].least_saved <= rematerializations[i].saved);
    CHECK(&plan::detail::rematerialization_at_rate_of(rematerializations, rematerializations, i) ==
          &rematerializations[i]);
  }
  std::vector<char> is_met(rematerializations.size(), 0);
  bool all_above = true;
  every.for_each(random, [&](const EveryRematerialization::Point& point) {
    for (std::size_t i = 0; i < rematerializations.size(); ++i) {
      const Rematerialization& it = rematerializations[i];
      if (point.time == it.time && point.saved == it.saved) is_met[i] = 1;
      if (i == 0) continue;
      const Wide time = rematerializations[i - 1].saved - it.saved,
                 byte = it.time - rematerializations[i - 1].time;
      all_above = all_above &&
                  point.time * time + point.saved * byte >= it.time * time + it.saved * byte;
    }
    const Rematerialization& last = rematerializations.back();
    all_above = all_above && (point.saved > last.saved ||
                              (point.saved == last.saved && point.time >= last.time));
  });
  CHECK(all_above);
  if (every.tries_all()) CHECK(std::count(is_met.begin(), is_met.end(), 0) == 0);
  return every.candidates();
}

TEST_CASE("what runs again is the best of all there is, at every rate") {
  struct Spans {
    const char* model;
    std::size_t layers, candidates;  // of a span; at least so many ops that could run again
  };
  for (const Spans& spans :
       {Spans{"mlp:layers=6,width=12,classes=5,batch=8", 4, 3},
        Spans{"gpt:layers=2,hidden=8,heads=2,seq=4,vocab=12,batch=4", 1, 13}}) {
    CAPTURE(std::string(spans.model));
    const graph::Graph graph = models::build(spans.model);
    const pipeline::Layers layers = *pipeline::named_layers(graph);
    const pipeline::LayeredProgram program(graph, layers);
    for (std::size_t layer = 0; layer < 2; ++layer) {
      const pipeline::SpanProgram span = program.span(layer, layer + spans.layers - 1);
      for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(layer);
        CAPTURE(seed);
        std::mt19937 random(seed);
        CHECK(check_rematerializations(span, random) >= spans.candidates);
      }
    }
  }
}

// What is given to run again does so, whether it is worth it or not.
TEST_CASE("what is asked to run again is priced as asked") {
  const graph::Graph graph = models::build("gpt:layers=3,hidden=8,heads=2,seq=4,vocab=12,batch=4");
  const pipeline::Layers layers = *pipeline::named_layers(graph);
  const pipeline::LayeredProgram program(graph, layers);
  const pipeline::SpanProgram span = program.span(1, 1);
  std::mt19937 random(1);
  const OpCosts taken = random_taken(span.graph.op_count(), random);
  const SavedValues values(span);
  std::vector<char> all(span.graph.op_count(), 0);
  Cost time = 0;
  for (graph::OpId id = 0; id < all.size(); ++id) {
    if (!values.is_forward(id) || span.graph.op(id).is_parameter) continue;
    all[id] = 1;
    time += taken.time[id];
  }
  const Rematerialization rematerialization =
      plan::detail::given_rematerialization(values, taken, all);
  CHECK(rematerialization.time == time);
  Extent given = 0;  // a layer's input is all that it saves
  for (graph::OpId id = 0; id < all.size(); ++id)
    if (values.is_forward(id) && span.graph.op(id).is_parameter) given += taken.bytes[id];
  CHECK(rematerialization.saved == given);
}

}  // namespace
