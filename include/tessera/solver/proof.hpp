// SPDX-License-Identifier: Apache-2.0
//
// Writes down why nothing cheaper exists, as it is found: a certificate, which check.hpp replays.
//
// A certificate is text, one step a line, and every step can be verified by itself on the problem
// as the steps before it left it.  Variables are the problem's nodes; an edge over three nodes or
// more adds one variable, after the nodes and in order of the edges, whose values are the
// combinations that the edge allows.  Values keep the numbers they had at first.  A row is a point
// of time at which some interval begins, in order.  Costs are multiplied by 2^scale.
//
//   certificate 1 scale S         the first line
//   lonely W X V                  value X of W goes: no value of V that is left goes with it
//                                 (V = W: its own cost is infinite)
//   dominated W X Y               value X of W goes: Y is as good whatever the others have
//   profile                       notes the least that every variable uses, row by row
//   crowded W X T                 value X of W goes: beside the noted least of all others it does
//                                 not fit on row T
//   least                         takes every variable's least usage off the rows' capacity
//   rows A-B C-D ...              only these rows matter from now on
//   fix W                         W has one value left: its costs and usages are certain
//   fold U V                      each value of U allows one value of V: V becomes a part of U
//   separate U V                  the table between U and V is a sum of two vectors
//   eliminate W                   W uses nothing and has two neighbours at most: minimised out
//   component W W ...             what follows is about these, which no table connects to others
//   bound B S | T:L ... | U V : M ... : M ... | ...
//                                 with multipliers L / 2^S for the rows T, and for each table the
//                                 messages by U's values and by V's, the component costs B at least
//   minimise W W ...              all that is left, in an order in which it is minimised out one by
//                                 one: what that costs bounds the component, whatever room there is
//   costly C W:X ...              each of these values goes: with it the last bound is C at least
//   part W W ...                  what follows is about these, which no table connects to others of
//                                 the component or part at hand
//   whole                         back to what the part was one of: what it costs at least is
//                                 certain, and its variables are settled
//   tree                          the nodes that follow are numbered from 0, the root
//   node I                        what follows is about node I
//   split W I J : X X ...         the node has two children: I, in which W has one of these values,
//                                 and J, in which it has another one
//   overfull T                    nothing is left: the noted least of all does not fit on row T
//   claim L / claim infeasible    the last line: no assignment costs less than L (not scaled)
//
// A component, or part, costs at least the least of all C, of the best bound of every node that was
// not split, and of what a node was made with that was never visited, rounded up to a whole
// 2^scale.  Where a variable has lost its last value, or where that is more than all the dearest
// values that it began with cost together, there is nothing that is feasible.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"

namespace tessera::solver {

class Proof {
 public:
  using Sink = std::function<void(std::string_view)>;

  explicit Proof(Sink sink) : sink_(std::move(sink)) {}
  Proof(const Proof&) = delete;
  Proof& operator=(const Proof&) = delete;
  ~Proof() { flush(); }

  // A step: its word, then its numbers; end() ends the line.
  Proof& step(std::string_view word) {
    text_ += word;
    return *this;
  }
  Proof& operator<<(std::string_view mark) {
    text_ += ' ';
    text_ += mark;
    return *this;
  }
  template<std::integral Integer>
  Proof& operator<<(Integer number) {
    text_ += ' ';
    text_ += std::to_string(number);
    return *this;
  }
  Proof& operator<<(Wide number) {
    text_ += ' ';
    text_ += tessera::to_string(number);
    return *this;
  }
  Proof& pair(std::uint64_t first, std::int64_t second) {
    text_ += ' ';
    text_ += std::to_string(first);
    text_ += ':';
    text_ += std::to_string(second);
    return *this;
  }
  void end() {
    text_ += '\n';
    constexpr std::size_t enough = 1 << 16;
    if (text_.size() > enough) flush();
  }

  // Runs of numbers, each as first-last.
  Proof& ranges(const std::vector<std::uint32_t>& numbers) {
    for (std::size_t i = 0; i < numbers.size();) {
      std::size_t last = i;
      while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
      text_ += ' ';
      text_ += std::to_string(numbers[i]);
      text_ += '-';
      text_ += std::to_string(numbers[last]);
      i = last + 1;
    }
    return *this;
  }

  void flush() {
    if (!text_.empty()) sink_(text_);
    text_.clear();
  }

 private:
  Sink sink_;
  std::string text_;
};

}  // namespace tessera::solver
