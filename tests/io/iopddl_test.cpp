// SPDX-License-Identifier: Apache-2.0
// IOPDDL JSON: what is valid is read and written back equal; what is not is refused where it is
// wrong.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "support/problems.hpp"
#include "tessera/io/iopddl.hpp"

namespace {
using namespace tessera_test;

// The body of "problem", with room for what a test wants to change.
std::string text_of(const std::string& nodes, const std::string& edges,
                    const std::string& rest = R"(, "usage_limit": 50)") {
  return R"({"problem": {"name": "t", "nodes": {)" + nodes + R"(}, "edges": {)" + edges + "}" +
         rest + "}}";
}
const std::string two_nodes =
    R"("intervals": [[0, 4], [2, 6]], "costs": [[1, 2], [3]], "usages": [[5, 6], [7]])";
const std::string no_edges = R"("nodes": [], "costs": [])";

bool equal(const Problem& a, const Problem& b) {
  if (a.name != b.name || a.usage_limit != b.usage_limit || a.node_count() != b.node_count() ||
      a.edge_count() != b.edge_count())
    return false;
  for (NodeId v = 0; v < a.node_count(); ++v)
    if (a.interval(v) != b.interval(v) || !std::ranges::equal(a.costs(v), b.costs(v)) ||
        !std::ranges::equal(a.usages(v), b.usages(v)))
      return false;
  for (EdgeId e = 0; e < a.edge_count(); ++e)
    if (!std::ranges::equal(a.edge_nodes(e), b.edge_nodes(e)) ||
        !std::ranges::equal(a.edge_costs(e), b.edge_costs(e)))
      return false;
  return true;
}

TEST_CASE("property: a problem that is written is read back equal") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Problem problem = random_problem(seed);
    problem.name = "quotes \" and \\ and \n lines";
    CHECK(equal(problem, io::read_iopddl(io::write_iopddl(problem), "text")));
  }
}

TEST_CASE("valid texts of every kind") {
  for (const std::string& text :
       {text_of(two_nodes, no_edges), text_of(two_nodes, no_edges, ""),
        text_of(R"("intervals": [], "costs": [], "usages": [])", no_edges),
        text_of(R"("intervals": [[0,0]], "costs": [[1]], "usages": [[9]])", no_edges),
        text_of(R"("intervals": [[5,5]], "costs": [[1]], "usages": [[9]])", no_edges),
        text_of(two_nodes, R"("nodes": [[0,1],[0,1]], "costs": [[1,2],[3,4]])"),
        text_of(two_nodes, R"("nodes": [[1,0]], "costs": [[1,2]])"),
        text_of(two_nodes, R"("nodes": [[0]], "costs": [[1,2]])"),
        text_of(two_nodes, R"("nodes": [[0,0]], "costs": [[1,2,3,4]])"),
        text_of(two_nodes, R"("nodes": [[0,1]], "costs": [[1000000000000000000,-2]])"),
        "\xef\xbb\xbf" + text_of(two_nodes, no_edges),  // a byte order mark
        // Keys in any order; unknown ones, however deep, are passed over.
        std::string(R"({"extra":{"a":[[1,{"b":null}],"x"]},"problem":{"usage_limit":0,"edges":)"
                    R"({"costs":[],"nodes":[]},"more":1.5,"nodes":{"usages":[[0]],"costs":[[1]],)"
                    R"("intervals":[[0,1]]},"name":"n"}})")}) {
    CAPTURE(text);
    CHECK_NOTHROW(io::read_iopddl(text, "text"));
  }
}

TEST_CASE("a cost of 10^18 or more is infinity, a reversed edge is transposed by its own order") {
  const Problem problem = io::read_iopddl(
      text_of(two_nodes, R"("nodes": [[1,0]], "costs": [[1000000000000000000, 7]])"), "text");
  CHECK(problem.edge_costs(0)[0] == infinite);
  CHECK(problem.edge_costs(0)[1] == 7);
  CHECK(problem.edge_nodes(0)[0] == 1);
}

TEST_CASE("malformed texts are refused, with line, column and reason") {
  const std::string deep(200'000, '[');
  const std::pair<std::string, const char*> cases[] = {
      {"", "not JSON"},
      {"nonsense", "not JSON"},
      {"{", "not JSON"},
      {"[]", "found a list"},
      {"{}", "lacks the key \"problem\""},
      {"3", "found a number"},
      {R"({"problem": 3})", "expected an object for \"problem\""},
      {R"({"problem": {}})", "\"nodes\" lacks the key \"intervals\""},
      {R"({"problem": {"nodes": []}})", "expected an object for \"nodes\""},
      {R"({"problem": {}, "problem": {}})", "key \"problem\" is given twice"},
      {text_of(two_nodes + R"(, "costs": [])", no_edges), "key \"costs\" is given twice"},
      {text_of(two_nodes, R"("nodes": [])"), "\"edges\" lacks the key \"costs\""},
      {text_of(R"("intervals": [[0,1]], "costs": [[1],[2]], "usages": [[1],[2]])", no_edges),
       "1 intervals but 2 costs"},
      {text_of(R"("intervals": [[0,1],[0,1]], "costs": [[1],[2]], "usages": [[1]])", no_edges),
       "1 usages but 2 costs"},
      {text_of(R"("intervals": [[0,1]], "costs": [[1,2]], "usages": [[1]])", no_edges),
       "node 0 has 2 costs but 1 usages"},
      {text_of(R"("intervals": [[0,1]], "costs": [[]], "usages": [[]])", no_edges),
       "node 0 has no strategies"},
      {text_of(R"("intervals": [[0,1]], "costs": [[1]], "usages": [[-1]])", no_edges),
       "negative usage"},
      {text_of(R"("intervals": [[30]], "costs": [[1]], "usages": [[1]])", no_edges),
       "has 1 numbers instead of 2"},
      {text_of(R"("intervals": [[1,2,3]], "costs": [[1]], "usages": [[1]])", no_edges),
       "has 3 numbers instead of 2"},
      {text_of(R"("intervals": [[-1,2]], "costs": [[1]], "usages": [[1]])", no_edges),
       "begins before 0"},
      {text_of(two_nodes, R"("nodes": [[0,7]], "costs": [[1]])"), "edge 0 names node 7"},
      {text_of(two_nodes, R"("nodes": [[0,-1]], "costs": [[1]])"), "edge 0 names node -1"},
      {text_of(two_nodes, R"("nodes": [[0,1]], "costs": [[1,2,3]])"),
       "3 costs where its nodes' strategies need 2"},
      {text_of(two_nodes, R"("nodes": [[]], "costs": [[1]])"), "edge 0 has no nodes"},
      {text_of(two_nodes, R"("nodes": [[0,1]], "costs": [])"), "1 edges' nodes but 0 costs"},
      {text_of(two_nodes, no_edges, R"(, "usage_limit": "50")"), "found a string"},
      {text_of(two_nodes, no_edges, R"(, "usage_limit": 1.5)"), "'1.5' is no integer"},
      {text_of(two_nodes, no_edges, R"(, "usage_limit": null)"), "found null"},
      {text_of(two_nodes, no_edges, R"(, "usage_limit": -1)"), "usage limit is negative"},
      {text_of(two_nodes, no_edges, R"(, "usage_limit": 1, "usage_limit": 2)"), "given twice"},
      {text_of(R"("intervals": [[0,1]], "costs": [[9223372036854775808]], "usages": [[1]])",
               no_edges),
       "'9223372036854775808' does not fit in 64 bits"},
      {text_of(R"("intervals": [[0,1]], "costs": [[-9223372036854775809]], "usages": [[1]])",
               no_edges),
       "'-9223372036854775809' does not fit in 64 bits"},
      {text_of(
           R"("intervals": [[0,1]], "costs": [[123456789012345678901234567890]], "usages": [[1]])",
           no_edges),
       "does not fit in 64 bits"},
      {text_of(R"("intervals": [[0,1]], "costs": [[1e3]], "usages": [[1]])", no_edges),
       "'1e3' is no integer"},
      {text_of(R"("intervals": [[0,1]], "costs": [[[1]]], "usages": [[1]])", no_edges),
       "expected an integer in \"costs\", found a list"},
      {text_of(R"("intervals": [[0,1]], "costs": [1], "usages": [[1]])", no_edges),
       "expected a list of lists for \"costs\", found a number"},
      {text_of(R"("intervals": [[0,1]], "costs": [[true]], "usages": [[1]])", no_edges),
       "found true"},
      {text_of(R"("intervals": [[0,1]], "costs": [["a"]], "usages": [[1]])", no_edges),
       "found a string"},
      {text_of(R"("intervals": [[0,1]], "costs": [[{}]], "usages": [[1]])", no_edges),
       "found an object"},
      {text_of(two_nodes, no_edges).substr(0, 60), "not JSON"},
      {text_of(two_nodes, no_edges) + "x", "not JSON"},
      {text_of(two_nodes, no_edges) + std::string(1, '\0'), "not JSON: a NUL byte"},
      {text_of(two_nodes, no_edges) + std::string("\0 x", 3), "not JSON: a NUL byte"},
      {"{\"problem\": {\"name\": \"a\xff\"}}", "not JSON: Invalid encoding"},
      {R"({"problem": {"nodes": {"costs": )" + deep, "found a list"},
      {R"({"problem": {"name": )" + deep, "expected a string for \"name\""},
      {deep, "found a list"},
  };
  for (const auto& test : cases) {
    const std::string& text = test.first;
    CAPTURE(text.substr(0, 200));
    try {
      io::read_iopddl(text, "problem.json");
      FAIL("accepted");
    } catch (const InputError& error) {
      const std::string message = error.what();
      CAPTURE(message);
      CHECK(message.starts_with("problem.json:"));
      CHECK(message.find(test.second) != std::string::npos);
      CHECK(message.size() < 300);
    }
  }
}

TEST_CASE("the position is that of the list at fault") {
  const std::string text =
      "{\"problem\": {\"name\": \"t\",\n \"nodes\": {\"intervals\": [[0, 1],\n  [0]],\n"
      " \"costs\": [[1], [1]], \"usages\": [[1], [1]]}, \"edges\": {\"nodes\": [], \"costs\": "
      "[]}}}";
  try {
    io::read_iopddl(text, "p");
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).starts_with("p:3:3: the interval of node 1"));
  }
}

TEST_CASE("ten megabytes on one line, and deep nesting where nothing is expected, are no trouble") {
  std::string text = R"({"skip": )" + std::string(1'000'000, '[') + std::string(1'000'000, ']') +
                     R"(, "problem": {"name": "t", "nodes": {"intervals": [)";
  constexpr int nodes = 300'000;
  const auto repeat = [&](const char* entry) {
    for (int v = 0; v < nodes; ++v) {
      if (v > 0) text += ',';
      text += entry;
    }
    text += ']';
  };
  repeat("[0,1000000000]");
  text += R"(, "costs": [)";
  repeat("[1,2]");
  text += R"(, "usages": [)";
  repeat("[3,4]");
  text += R"(}, "edges": {"nodes": [], "costs": []}}})";
  CHECK(text.size() > 7'000'000);
  CHECK(io::read_iopddl(text, "t").node_count() == nodes);
}

}  // namespace
