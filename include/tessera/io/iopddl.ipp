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

// Turns parser events into lists.  Any event may refuse: it then sets `message` and stops the
// parse.
class IopddlHandler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, IopddlHandler> {
 public:
  IopddlHandler(std::string_view text, const rapidjson::MemoryStream& stream,
                const std::function<bool()>& stop)
      : text_(text), stream_(stream), stop_(stop) {}

  std::string name;
  NumberLists intervals, node_costs, usages, edge_nodes, edge_costs;
  std::optional<std::int64_t> usage_limit;
  bool saw_problem = false, saw_nodes = false, saw_edges = false;
  bool is_stopped = false;  // because `stop` said so
  std::string message;      // why the parse was stopped otherwise
  std::size_t offset = 0;   // where

  bool Null() { return scalar("null"); }
  bool Bool(bool value) { return scalar(value ? "true" : "false"); }
  bool Int(int value) { return number(value); }
  bool Uint(unsigned value) { return number(value); }
  bool Int64(std::int64_t value) { return number(value); }
  bool Uint64(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return unsuitable_number();
    return number(static_cast<std::int64_t>(value));
  }
  bool Double(double) { return unsuitable_number(); }
  bool String(const char* value, rapidjson::SizeType length, bool) {
    if (skipping_ > 0) return true;
    if (place_ == Place::name) {
      name.assign(value, length);
      return done_with_value();
    }
    return scalar("a string");
  }

  bool Key(const char* value, rapidjson::SizeType length, bool) {
    if (skipping_ > 0) return true;
    const std::string_view key(value, length);
    switch (place_) {
      case Place::top: return enter(key == "problem" ? Place::problem : Place::unknown, key);
      case Place::problem:
        if (key == "name") return enter(Place::name, key);
        if (key == "nodes") return enter(Place::nodes, key);
        if (key == "edges") return enter(Place::edges, key);
        if (key == "usage_limit") return enter(Place::usage_limit, key);
        return enter(Place::unknown, key);
      case Place::nodes:
        if (key == "intervals") return enter_lists(intervals, key);
        if (key == "costs") return enter_lists(node_costs, key);
        if (key == "usages") return enter_lists(usages, key);
        return enter(Place::unknown, key);
      case Place::edges:
        if (key == "nodes") return enter_lists(edge_nodes, key);
        if (key == "costs") return enter_lists(edge_costs, key);
        return enter(Place::unknown, key);
      default: return true;
    }
  }

  bool StartObject() {
    if (skip_into()) return true;
    if (place_ == Place::before) return go(Place::top);
    const bool expected =
        !inside_ && (place_ == Place::problem || place_ == Place::nodes || place_ == Place::edges);
    if (!expected) return refuse("expected " + expectation() + ", found an object", stream_.Tell());
    inside_ = true;
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    if (skip_out()) return true;
    return done_with_value();
  }
  bool StartArray() {
    if (skip_into()) return true;
    if (place_ != Place::lists || depth_ == 2)
      return refuse("expected " + expectation() + ", found a list", stream_.Tell());
    if (++depth_ == 2) lists_->offsets.push_back(stream_.Tell());
    return true;
  }
  bool EndArray(rapidjson::SizeType) {
    if (skip_out()) return true;
    if (--depth_ == 1) {
      lists_->begin.push_back(lists_->numbers.size());
      constexpr std::size_t interval = 256;
      is_stopped = stop_ && lists_->size() % interval == 0 && stop_();
      return !is_stopped;
    }
    return done_with_value();
  }

 private:
  enum class Place : std::uint8_t {
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

  // Events for brackets come before the bracket is consumed, events for scalars after the scalar.
  bool refuse(std::string why, std::size_t at) {
    message = std::move(why);
    offset = at;
    return false;
  }
  // Where the number or word that has just been consumed begins.
  std::size_t begin_of_scalar() const {
    std::size_t at = stream_.Tell();
    const auto is_part = [&](char c) {
      return std::string_view(" \t\r\n,:[]{}").find(c) == std::string_view::npos;
    };
    while (at > 0 && is_part(text_[at - 1])) --at;
    return at;
  }
  bool go(Place place) {
    place_ = place;
    return true;
  }

  // --- Values of keys that we do not know are skipped, whatever they hold.
  bool skip_into() {
    if (skipping_ == 0 && place_ != Place::unknown) return false;
    ++skipping_;
    return true;
  }
  bool skip_out() {
    if (skipping_ == 0) return false;
    if (--skipping_ == 0) done_with_value();
    return true;
  }

  bool enter(Place place, std::string_view key) {
    bool* const seen = place == Place::problem ? &saw_problem
                       : place == Place::nodes ? &saw_nodes
                       : place == Place::edges ? &saw_edges
                                               : nullptr;
    const bool again = (seen != nullptr && *seen) ||
                       (place == Place::usage_limit && usage_limit.has_value());
    if (again) return refuse("key \"" + std::string(key) + "\" is given twice", begin_of_scalar());
    if (seen != nullptr) *seen = true;
    parents_.push_back(place_);
    key_ = key;
    inside_ = false;
    return go(place);
  }
  bool enter_lists(NumberLists& lists, std::string_view key) {
    if (lists.seen)
      return refuse("key \"" + std::string(key) + "\" is given twice", begin_of_scalar());
    lists.seen = true;
    lists_ = &lists;
    depth_ = 0;
    return enter(Place::lists, key);
  }
  bool done_with_value() {
    if (parents_.empty()) return true;  // the end of the whole text
    place_ = parents_.back();
    parents_.pop_back();
    inside_ = true;
    return true;
  }

  std::string expectation() const {
    switch (place_) {
      case Place::before: return "an object with the key \"problem\"";
      case Place::name: return "a string for \"name\"";
      case Place::usage_limit: return "an integer for \"usage_limit\"";
      case Place::lists:
        return depth_ == 2 ? "an integer in \"" + key_ + "\""
                           : "a list of lists for \"" + key_ + "\"";
      default: return "an object for \"" + key_ + "\"";
    }
  }
  bool scalar(const char* what) {
    if (skipping_ > 0) return true;
    if (place_ == Place::unknown) return done_with_value();
    return refuse("expected " + expectation() + ", found " + what, begin_of_scalar());
  }
  bool number(std::int64_t value) {
    if (skipping_ > 0) return true;
    if (place_ == Place::lists && depth_ == 2) {
      lists_->numbers.push_back(value);
      return true;
    }
    if (place_ == Place::usage_limit) {
      usage_limit = value;
      return done_with_value();
    }
    return scalar("a number");
  }
  bool unsuitable_number() {
    if (skipping_ > 0) return true;
    if (place_ == Place::unknown) return done_with_value();
    const std::size_t begin = begin_of_scalar();
    const std::string_view literal = text_.substr(begin, stream_.Tell() - begin);
    const bool is_integer = literal.find_first_of(".eE") == std::string_view::npos;
    return refuse(excerpt(literal) + (is_integer ? " does not fit in 64 bits" : " is no integer"),
                  begin);
  }

  std::string_view text_;
  const rapidjson::MemoryStream& stream_;
  const std::function<bool()>& stop_;
  Place place_ = Place::before;
  std::vector<Place> parents_;
  std::string key_;
  NumberLists* lists_ = nullptr;
  int depth_ = 0;             // inside the current lists
  std::size_t skipping_ = 0;  // depth inside an unknown value
  bool inside_ = false;       // the current object's brace is open
};

// What the lists must satisfy among themselves, then the problem they make.
class IopddlBuilder {
 public:
  IopddlBuilder(const std::string& source, std::string_view text, const IopddlHandler& read)
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
  const IopddlHandler& read_;
};

}  // namespace detail

TESSERA_INLINE solver::Problem read_iopddl(std::string_view text, const std::string& source,
                                           const std::function<bool()>& stop) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  rapidjson::MemoryStream stream(text.data(), text.size());
  detail::IopddlHandler handler(text, stream, stop);
  rapidjson::Reader reader;
  constexpr unsigned flags = rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  const auto result = reader.Parse<flags>(stream, handler);
  if (handler.is_stopped) throw ReadingStopped();
  if (result.Code() == rapidjson::kParseErrorTermination)
    throw InputError(source, position_of(text, handler.offset), handler.message);
  if (result.IsError())
    throw InputError(source, position_of(text, result.Offset()),
                     std::string("not JSON: ") + rapidjson::GetParseError_En(result.Code()));
  // The parser takes a NUL byte for the end.
  if (stream.Tell() != text.size())
    throw InputError(source, position_of(text, stream.Tell()), "not JSON: a NUL byte");
  return detail::IopddlBuilder(source, text, handler).build();
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
