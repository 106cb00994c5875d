// SPDX-License-Identifier: Apache-2.0
// The path of an op's scope, from the metadata that frameworks write.
#include "tessera/io/hlo/detail/scopes.hpp"

#include <doctest/doctest.h>

namespace {
using tessera::io::hlo::detail::quoted_in;
using tessera::io::hlo::detail::scope_in;

TEST_CASE("a scope is the path of op_name without the names of transformations") {
  CHECK(scope_in("jit(step)/jit(main)/transpose(jvp(block3))/mlp/dot_general") == "block3/mlp");
  CHECK(scope_in("jit(step)/jit(main)/block3/dot_general") == "block3");
  CHECK(scope_in("jit(f(x))/jvp(a/b)/dot") == "a/b");
  CHECK(scope_in("jit(step)/transpose(jvp(block3))") == "block3");
  CHECK(scope_in("aten__mm2") == "");
  CHECK(scope_in("jit(step)/jit(main") == "");
  CHECK(scope_in("") == "");
  CHECK(scope_in("))((//") == "");
  CHECK(quoted_in(R"({op_type="dot" op_name="a/b" source_file="f.py"})", "op_name") == "a/b");
  CHECK(quoted_in(R"({op_type="op_name=\"no\"" op_name="yes"})", "op_name") == "yes");
  CHECK(quoted_in(R"({my_op_name="no"})", "op_name") == "");
  CHECK(quoted_in(R"({op_name="never closed)", "op_name") == "");
}

}  // namespace
