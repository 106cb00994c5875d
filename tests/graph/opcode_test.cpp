// SPDX-License-Identifier: Apache-2.0
#include "tessera/graph/opcode.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tessera/graph/builder.hpp"
#include "tessera/graph/ops.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;

TEST_CASE("an opcode is found by its text, and no other text is one") {
  for (std::size_t i = 0; i < opcode_count; ++i) {
    const auto opcode = static_cast<Opcode>(i);
    CAPTURE(std::string(to_string(opcode)));
    CHECK(opcode_named(to_string(opcode)) == opcode);
    CHECK(opcode_named(std::string(to_string(opcode)) + "-x") == Opcode::unknown);
  }
  for (const char* text : {"ad", "addd", "zzz", "A", "-", "while_loop"})
    CHECK(opcode_named(text) == Opcode::unknown);
}

TEST_CASE("an op of an unknown opcode keeps its text") {
  Op op{"x", Opcode::unknown, {{f32, {}}}, source_rule({})};
  CHECK(opcode_text(op) == "unknown");
  op.spelling = "magic";
  CHECK(opcode_text(op) == "magic");
  op.opcode = Opcode::dynamic_slice;
  CHECK(opcode_text(op) == "dynamic-slice");
}

TEST_CASE("traits that exclude each other are not said of one opcode") {
  for (std::size_t i = 0; i < opcode_count; ++i) {
    const OpcodeTraits& it = traits(static_cast<Opcode>(i));
    CAPTURE(std::string(it.name));
    CHECK(it.is_elementwise + it.is_view + it.repeats + it.relocates + it.reduces + it.is_heavy <=
          1);
    CHECK((!it.is_matrix_product || it.is_heavy));
    CHECK((!it.selects || it.is_elementwise));
    CHECK((it.combines == Reduction::none || it.is_elementwise));
  }
}

TEST_CASE("a result has the shape that its family says") {
  CHECK(transpose_shape({2, 3, 5}, std::vector<Extent>{2, 0, 1}) == Dims{5, 2, 3});
  CHECK(slice_shape(std::vector<SliceRange>{{1, 6, 2}, {0, 0, 1}}) == Dims{3, 0});
  CHECK(pad_shape({4, 0}, std::vector<PaddingRange>{{1, -2, 1}, {2, 0, 5}}) == Dims{6, 2});
  CHECK(reduce_shape({2, 3, 5}, std::vector<Extent>{1}) == Dims{2, 5});
  CHECK(dot_shape({7, 2, 3}, {7, 3, 5}, {{2}, {1}, {0}, {0}}) == Dims{7, 2, 5});
  CHECK(reduce_window_shape({8, 5}, std::vector<WindowDim>{{2, 2}, {}}) == Dims{4, 5});
  CHECK(gather_shape({4, 6, 2}, {{1, 3}, {0}, {0, 1}, {1, 9, 8}, {}, {}, 2}) == Dims{4, 9, 6, 8});
  CHECK(gather_shape({4}, {{1}, {0}, {0}, {1, 9}, {}, {}, 1}) == Dims{4, 9});
}
}  // namespace
