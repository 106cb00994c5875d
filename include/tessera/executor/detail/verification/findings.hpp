// SPDX-License-Identifier: Apache-2.0
//
// The counts and comparisons of devices in a verification, and reports made of them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::plan {
struct Plan;
}

namespace tessera::executor {
class Communicator;
struct CollectiveReport;
struct OutputReport;
struct StepPlace;
struct Tolerances;
struct VerifyOptions;
}  // namespace tessera::executor

namespace tessera::executor::detail {

// The counts and comparisons of one device; after share(), of all devices.
struct Findings {
  std::vector<std::int64_t> sums, largest;  // summed up over devices; the largest of all devices
  std::vector<double> differences;          // the largest of all devices

  void add(const std::vector<double>& more) {
    differences.insert(differences.end(), more.begin(), more.end());
  }
  // Called on all devices.  @pre they have as many of each
  void share(Communicator& comm);
};

// Compares the bytes of a collective with the plan's.  `payloads` is the sum over all devices and
// over so many runs.
CollectiveReport collective_report(const plan::Plan& plan, StepPlace place, Wide payloads,
                                   Extent moved, std::int64_t runs = 1);

// Of output i.  `differences`: by output, in the program's own types and then in double; below 0
// for an output that no device has, which is infinitely wrong.
OutputReport output_report(graph::Value value, std::size_t i,
                           const std::vector<double>& differences, const Tolerances& tolerances,
                           const VerifyOptions& options);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/verification/findings.ipp"
#endif
