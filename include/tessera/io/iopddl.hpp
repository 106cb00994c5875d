// SPDX-License-Identifier: Apache-2.0
//
// Problems as JSON, in the format of Google's IOPDDL contest (ASPLOS 2025), both ways.
//
//   {"problem": {"name": ..., "nodes": {"intervals": [[lo, hi], ...], "costs": [[...], ...],
//                "usages": [[...], ...]}, "edges": {"nodes": [[i, j], ...], "costs": [[...], ...]},
//                "usage_limit": ...}}
//
// Keys may come in any order, so everything is read first and checked after.  A cost of 10^18 or
// more is the format's infinity.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::io {

/// A cost of the format that is at least this is infinite.
inline constexpr Cost iopddl_infinity = 1'000'000'000'000'000'000;

/// Thrown when reading was asked to stop.
struct ReadingStopped : Error {
  ReadingStopped() : Error("reading was stopped") {}
};

/// Reads a problem.  `source` is the name of the text in errors.  `stop`, if given, is asked now
/// and then whether to stop.
/// @throws InputError, with line and column; ReadingStopped
/// O(text)
solver::Problem read_iopddl(std::string_view text, const std::string& source,
                            const std::function<bool()>& stop = {});

/// In canonical form: one line, keys in the order above.  O(size of the problem)
std::string write_iopddl(const solver::Problem& problem);

}  // namespace tessera::io

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/iopddl.ipp"
#endif
