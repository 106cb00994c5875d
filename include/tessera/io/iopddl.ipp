// SPDX-License-Identifier: Apache-2.0
//
// The bodies of iopddl.hpp.
//
// Files reach hundreds of megabytes: the reader is RapidJSON's event parser in its iterative form,
// which neither builds a tree nor recurses.
#pragma once
#include "tessera/io/iopddl.hpp"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace tessera::io {

namespace detail {

// A list of lists of integers, flat, and where in the text each inner list begins.
struct NumberLists {
  std::vector<std::int64_t> numbers;
  std::vector<std::size_t> begin{0};
  std::vector<std::size_t> offsets;
  bool seen = false;

  std::size_t size() const noexcept { return offsets.size(); }
  std::span<const std::int64_t> operator[](std::size_t i) const noexcept {
    return {numbers.data() + begin[i], begin[i + 1] - begin[i]};
  }
};

// Where in the text the parser is.
enum class IopddlPlace : std::uint8_t {
  before,
  top,
  problem,
  name,
  nodes,
  edges,
  usage_limit,
  lists,
  unknown
};

// The part of the text that the parser's events have reported so far.
struct IopddlReading {
  std::string_view text;
  const rapidjson::MemoryStream& stream;
  const std::function<bool()>& stop;

  std::string name = {};
  NumberLists intervals = {}, node_costs = {}, usages = {}, edge_nodes = {}, edge_costs = {};
  std::optional<std::int64_t> usage_limit = {};
  bool saw_problem = false, saw_nodes = false, saw_edges = false;

  bool is_stopped = false;   // because `stop` said so
  std::string message = {};  // why the parse was stopped otherwise
  std::size_t offset = 0;    // where

  IopddlPlace place = IopddlPlace::before;
  std::vector<IopddlPlace> parents = {};
  std::string key = {};
  NumberLists* lists = nullptr;
  int depth = 0;             // inside the current lists
  std::size_t skipping = 0;  // depth inside an unknown value
  bool inside = false;       // the current object's brace is open
};

// Each of the functions below returns whether the parse goes on.

// Events for brackets come before the bracket is consumed, events for scalars after the scalar.
TESSERA_INLINE bool refuse(IopddlReading& reading, std::string why, std::size_t at) {
  reading.message = std::move(why);
  reading.offset = at;
  return false;
}

// Where the number or word that has just been consumed begins.
TESSERA_INLINE std::size_t begin_of_scalar(const IopddlReading& reading) {
  std::size_t at = reading.stream.Tell();
  const auto is_part = [&](char c) {
    return std::string_view(" \t\r\n,:[]{}").find(c) == std::string_view::npos;
  };
  while (at > 0 && is_part(reading.text[at - 1])) --at;
  return at;
}

TESSERA_INLINE std::string expectation(const IopddlReading& reading) {
  switch (reading.place) {
    case IopddlPlace::before: return "an object with the key \"problem\"";
    case IopddlPlace::name: return "a string for \"name\"";
    case IopddlPlace::usage_limit: return "an integer for \"usage_limit\"";
    case IopddlPlace::lists:
      return reading.depth == 2 ? "an integer in \"" + reading.key + "\""
                                : "a list of lists for \"" + reading.key + "\"";
    default: return "an object for \"" + reading.key + "\"";
  }
}

TESSERA_INLINE bool done_with_value(IopddlReading& reading) {
  if (reading.parents.empty()) return true;  // the end of the whole text
  reading.place = reading.parents.back();
  reading.parents.pop_back();
  reading.inside = true;
  return true;
}

// --- Values of unknown keys, which are skipped
// ----------------------------------------------------

TESSERA_INLINE bool skips_into(IopddlReading& reading) {
  if (reading.skipping == 0 && reading.place != IopddlPlace::unknown) return false;
  ++reading.skipping;
  return true;
}

TESSERA_INLINE bool skips_out(IopddlReading& reading) {
  if (reading.skipping == 0) return false;
  if (--reading.skipping == 0) done_with_value(reading);
  return true;
}

// --- Keys
// -----------------------------------------------------------------------------------------

TESSERA_INLINE bool refuse_repeated(IopddlReading& reading, std::string_view key) {
  return refuse(reading, "key \"" + std::string(key) + "\" is given twice",
                begin_of_scalar(reading));
}

TESSERA_INLINE bool enter(IopddlReading& reading, IopddlPlace place, std::string_view key,
                          bool* seen = nullptr) {
  if (seen != nullptr && *seen) return refuse_repeated(reading, key);
  if (place == IopddlPlace::usage_limit && reading.usage_limit)
    return refuse_repeated(reading, key);
  if (seen != nullptr) *seen = true;
  reading.parents.push_back(reading.place);
  reading.key = key;
  reading.inside = false;
  reading.place = place;
  return true;
}

TESSERA_INLINE bool enter_lists(IopddlReading& reading, NumberLists& lists, std::string_view key) {
  if (lists.seen) return refuse_repeated(reading, key);
  lists.seen = true;
  reading.lists = &lists;
  reading.depth = 0;
  return enter(reading, IopddlPlace::lists, key);
}

TESSERA_INLINE bool read_problem_key(IopddlReading& reading, std::string_view key) {
  if (key == "name") return enter(reading, IopddlPlace::name, key);
  if (key == "nodes") return enter(reading, IopddlPlace::nodes, key, &reading.saw_nodes);
  if (key == "edges") return enter(reading, IopddlPlace::edges, key, &reading.saw_edges);
  if (key == "usage_limit") return enter(reading, IopddlPlace::usage_limit, key);
  return enter(reading, IopddlPlace::unknown, key);
}

TESSERA_INLINE bool read_key(IopddlReading& reading, std::string_view key) {
  if (reading.skipping > 0) return true;
  switch (reading.place) {
    case IopddlPlace::top:
      if (key == "problem") return enter(reading, IopddlPlace::problem, key, &reading.saw_problem);
      return enter(reading, IopddlPlace::unknown, key);
    case IopddlPlace::problem: return read_problem_key(reading, key);
    case IopddlPlace::nodes:
      if (key == "intervals") return enter_lists(reading, reading.intervals, key);
      if (key == "costs") return enter_lists(reading, reading.node_costs, key);
      if (key == "usages") return enter_lists(reading, reading.usages, key);
      return enter(reading, IopddlPlace::unknown, key);
    case IopddlPlace::edges:
      if (key == "nodes") return enter_lists(reading, reading.edge_nodes, key);
      if (key == "costs") return enter_lists(reading, reading.edge_costs, key);
      return enter(reading, IopddlPlace::unknown, key);
    default: return true;
  }
}

// --- Scalars
// --------------------------------------------------------------------------------------

TESSERA_INLINE bool read_scalar(IopddlReading& reading, const char* what) {
  if (reading.skipping > 0) return true;
  if (reading.place == IopddlPlace::unknown) return done_with_value(reading);
  return refuse(reading, "expected " + expectation(reading) + ", found " + what,
                begin_of_scalar(reading));
}

TESSERA_INLINE bool read_number(IopddlReading& reading, std::int64_t value) {
  if (reading.skipping > 0) return true;
  if (reading.place == IopddlPlace::lists && reading.depth == 2) {
    reading.lists->numbers.push_back(value);
    return true;
  }
  if (reading.place != IopddlPlace::usage_limit) return read_scalar(reading, "a number");
  reading.usage_limit = value;
  return done_with_value(reading);
}

TESSERA_INLINE bool read_unsuitable_number(IopddlReading& reading) {
  if (reading.skipping > 0) return true;
  if (reading.place == IopddlPlace::unknown) return done_with_value(reading);
  const std::size_t begin = begin_of_scalar(reading);
  const std::string_view literal = reading.text.substr(begin, reading.stream.Tell() - begin);
  const bool is_integer = literal.find_first_of(".eE") == std::string_view::npos;
  return refuse(reading,
                excerpt(literal) + (is_integer ? " does not fit in 64 bits" : " is no integer"),
                begin);
}

TESSERA_INLINE bool read_string(IopddlReading& reading, std::string_view value) {
  if (reading.skipping > 0) return true;
  if (reading.place != IopddlPlace::name) return read_scalar(reading, "a string");
  reading.name = value;
  return done_with_value(reading);
}

// --- Brackets
// -------------------------------------------------------------------------------------

TESSERA_INLINE bool begin_object(IopddlReading& reading) {
  if (skips_into(reading)) return true;
  const IopddlPlace place = reading.place;
  if (place == IopddlPlace::before) {
    reading.place = IopddlPlace::top;
    return true;
  }
  const bool is_expected =
      !reading.inside &&
      (place == IopddlPlace::problem || place == IopddlPlace::nodes || place == IopddlPlace::edges);
  if (!is_expected)
    return refuse(reading, "expected " + expectation(reading) + ", found an object",
                  reading.stream.Tell());
  reading.inside = true;
  return true;
}

TESSERA_INLINE bool begin_list(IopddlReading& reading) {
  if (skips_into(reading)) return true;
  if (reading.place != IopddlPlace::lists || reading.depth == 2)
    return refuse(reading, "expected " + expectation(reading) + ", found a list",
                  reading.stream.Tell());
  if (++reading.depth == 2) reading.lists->offsets.push_back(reading.stream.Tell());
  return true;
}

TESSERA_INLINE bool end_list(IopddlReading& reading) {
  constexpr std::size_t interval = 256;
  if (skips_out(reading)) return true;
  if (--reading.depth != 1) return done_with_value(reading);
  reading.lists->begin.push_back(reading.lists->numbers.size());
  reading.is_stopped = reading.stop && reading.lists->size() % interval == 0 && reading.stop();
  return !reading.is_stopped;
}

// The events of RapidJSON's parser.
class IopddlHandler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, IopddlHandler> {
 public:
  explicit IopddlHandler(IopddlReading& reading) : reading_(reading) {}

  bool Null() { return read_scalar(reading_, "null"); }
  bool Bool(bool value) { return read_scalar(reading_, value ? "true" : "false"); }
  bool Int(int value) { return read_number(reading_, value); }
  bool Uint(unsigned value) { return read_number(reading_, value); }
  bool Int64(std::int64_t value) { return read_number(reading_, value); }
  bool Uint64(std::uint64_t value) {
    const bool fits = value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return fits ? read_number(reading_, static_cast<std::int64_t>(value))
                : read_unsuitable_number(reading_);
  }
  bool Double(double) { return read_unsuitable_number(reading_); }
  bool String(const char* value, rapidjson::SizeType length, bool) {
    return read_string(reading_, {value, length});
  }
  bool Key(const char* value, rapidjson::SizeType length, bool) {
    return read_key(reading_, {value, length});
  }
  bool StartObject() { return begin_object(reading_); }
  bool EndObject(rapidjson::SizeType) { return skips_out(reading_) || done_with_value(reading_); }
  bool StartArray() { return begin_list(reading_); }
  bool EndArray(rapidjson::SizeType) { return end_list(reading_); }

 private:
  IopddlReading& reading_;
};

// Checks the lists against each other, and makes a problem of them.
class IopddlBuilder {
 public:
  IopddlBuilder(const std::string& source, std::string_view text, const IopddlReading& read)
      : source_(source), text_(text), read_(read) {}

  solver::Problem build() const {
    if (!read_.saw_problem) throw InputError(source_, "lacks the key \"problem\"");
    require_key(read_.intervals, "nodes", "intervals");
    require_key(read_.node_costs, "nodes", "costs");
    require_key(read_.usages, "nodes", "usages");
    require_key(read_.edge_nodes, "edges", "nodes");
    require_key(read_.edge_costs, "edges", "costs");
    same_length(read_.intervals, "intervals", read_.node_costs, "costs");
    same_length(read_.usages, "usages", read_.node_costs, "costs");
    same_length(read_.edge_nodes, "edges' nodes", read_.edge_costs, "costs");

    solver::Problem problem;
    problem.name = read_.name;
    problem.usage_limit = read_.usage_limit;
    if (problem.usage_limit && *problem.usage_limit < 0)
      throw InputError(source_, "the usage limit is negative");
    problem.reserve(read_.node_costs.size(), read_.node_costs.numbers.size(),
                    read_.edge_costs.size());
    for (std::size_t v = 0; v < read_.node_costs.size(); ++v) add_node(problem, v);
    for (std::size_t e = 0; e < read_.edge_nodes.size(); ++e) add_edge(problem, e);
    return problem;
  }

 private:
  [[noreturn]] void fail(const NumberLists& lists, std::size_t i, const std::string& why) const {
    throw InputError(source_, position_of(text_, lists.offsets[i]), why);
  }
  void require_key(const NumberLists& lists, const char* parent, const char* key) const {
    if (!lists.seen)
      throw InputError(source_, std::string("\"") + parent + "\" lacks the key \"" + key + "\"");
  }
  void same_length(const NumberLists& a, const char* a_name, const NumberLists& b,
                   const char* b_name) const {
    if (a.size() != b.size())
      throw InputError(source_, std::to_string(a.size()) + " " + a_name + " but " +
                                    std::to_string(b.size()) + " " + b_name);
  }

  static std::vector<Cost> costs_of(std::span<const std::int64_t> numbers) {
    std::vector<Cost> costs(numbers.begin(), numbers.end());
    for (Cost& cost : costs)
      if (cost >= iopddl_infinity) cost = infinite;
    return costs;
  }

  void add_node(solver::Problem& problem, std::size_t v) const {
    const auto interval = read_.intervals[v];
    if (interval.size() != 2)
      fail(read_.intervals, v,
           "the interval of node " + std::to_string(v) + " has " + std::to_string(interval.size()) +
               " numbers instead of 2");
    if (interval[0] < 0)
      fail(read_.intervals, v, "the interval of node " + std::to_string(v) + " begins before 0");
    try {
      problem.add_node(costs_of(read_.node_costs[v]), read_.usages[v], {interval[0], interval[1]});
    } catch (const InvalidArgument& error) {
      fail(read_.usages, v, error.what());
    }
  }

  void add_edge(solver::Problem& problem, std::size_t e) const {
    std::vector<solver::NodeId> nodes;
    for (const std::int64_t v : read_.edge_nodes[e]) {
      if (v < 0 || v >= static_cast<std::int64_t>(problem.node_count()))
        fail(read_.edge_nodes, e,
             "edge " + std::to_string(e) + " names node " + std::to_string(v) + ", but there are " +
                 std::to_string(problem.node_count()) + " nodes");
      nodes.push_back(static_cast<solver::NodeId>(v));
    }
    try {
      problem.add_edge(nodes, costs_of(read_.edge_costs[e]));
    } catch (const InvalidArgument& error) {
      fail(read_.edge_costs, e, error.what());
    }
  }

  const std::string& source_;
  std::string_view text_;
  const IopddlReading& read_;
};

}  // namespace detail

TESSERA_INLINE solver::Problem read_iopddl(std::string_view text, const std::string& source,
                                           const std::function<bool()>& stop) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  rapidjson::MemoryStream stream(text.data(), text.size());
  detail::IopddlReading reading{text, stream, stop};
  detail::IopddlHandler handler(reading);
  rapidjson::Reader reader;
  constexpr unsigned flags = rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  const auto result = reader.Parse<flags>(stream, handler);
  if (reading.is_stopped) throw ReadingStopped();
  if (result.Code() == rapidjson::kParseErrorTermination)
    throw InputError(source, position_of(text, reading.offset), reading.message);
  if (result.IsError())
    throw InputError(source, position_of(text, result.Offset()),
                     std::string("not JSON: ") + rapidjson::GetParseError_En(result.Code()));
  // The parser takes a NUL byte for the end.
  if (stream.Tell() != text.size())
    throw InputError(source, position_of(text, stream.Tell()), "not JSON: a NUL byte");
  return detail::IopddlBuilder(source, text, reading).build();
}

namespace detail {

class IopddlWriter {
 public:
  explicit IopddlWriter(const solver::Problem& problem) : problem_(problem) {}

  std::string run() {
    writer_.StartObject();
    writer_.Key("problem");
    writer_.StartObject();
    writer_.Key("name");
    writer_.String(problem_.name.data(), static_cast<rapidjson::SizeType>(problem_.name.size()));
    put_nodes();
    put_edges();
    if (problem_.usage_limit) {
      writer_.Key("usage_limit");
      writer_.Int64(*problem_.usage_limit);
    }
    writer_.EndObject();
    writer_.EndObject();
    return buffer_.GetString();
  }

 private:
  void put_nodes() {
    writer_.Key("nodes");
    writer_.StartObject();
    put_list("intervals", problem_.node_count(), [&](solver::NodeId v) {
      writer_.StartArray();
      writer_.Int64(problem_.interval(v).begin);
      writer_.Int64(problem_.interval(v).end);
      writer_.EndArray();
    });
    put_list("costs", problem_.node_count(),
             [&](solver::NodeId v) { put_costs(problem_.costs(v)); });
    put_list("usages", problem_.node_count(), [&](solver::NodeId v) {
      writer_.StartArray();
      for (const solver::Usage usage : problem_.usages(v)) writer_.Int64(usage);
      writer_.EndArray();
    });
    writer_.EndObject();
  }

  void put_edges() {
    writer_.Key("edges");
    writer_.StartObject();
    put_list("nodes", problem_.edge_count(), [&](solver::EdgeId e) {
      writer_.StartArray();
      for (const solver::NodeId v : problem_.edge_nodes(e)) writer_.Uint(v);
      writer_.EndArray();
    });
    put_list("costs", problem_.edge_count(),
             [&](solver::EdgeId e) { put_costs(problem_.edge_costs(e)); });
    writer_.EndObject();
  }

  template<class Put>
  void put_list(const char* key, std::size_t count, Put&& put) {
    writer_.Key(key);
    writer_.StartArray();
    for (std::size_t i = 0; i < count; ++i) put(static_cast<std::uint32_t>(i));
    writer_.EndArray();
  }

  void put_costs(std::span<const Cost> costs) {
    writer_.StartArray();
    for (const Cost cost : costs) writer_.Int64(is_finite(cost) ? cost : iopddl_infinity);
    writer_.EndArray();
  }

  const solver::Problem& problem_;
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

}  // namespace detail

TESSERA_INLINE std::string write_iopddl(const solver::Problem& problem) {
  return detail::IopddlWriter(problem).run();
}

}  // namespace tessera::io
