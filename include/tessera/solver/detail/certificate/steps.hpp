// SPDX-License-Identifier: Apache-2.0
//
// The table of steps: each keyword of the format, and the function that verifies it.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

#include "tessera/solver/detail/certificate/bucket_elimination.hpp"
#include "tessera/solver/detail/certificate/checker.hpp"
#include "tessera/solver/detail/certificate/components.hpp"
#include "tessera/solver/detail/certificate/line.hpp"
#include "tessera/solver/detail/certificate/lower_bounds.hpp"
#include "tessera/solver/detail/certificate/remove_values.hpp"
#include "tessera/solver/detail/certificate/remove_variables.hpp"
#include "tessera/solver/detail/certificate/tree.hpp"
#include "tessera/solver/detail/certificate/usage.hpp"

namespace tessera::solver::detail::certificate {

struct Step {
  std::string_view keyword;
  void (*verify)(Checker&, Line&);
};

inline constexpr Step steps[] = {
    {"unsupported", remove_unsupported},
    {"dominated", remove_dominated},
    {"profile", record_profile},
    {"over_capacity", remove_over_capacity},
    {"reduced_cost_fixing", remove_by_reduced_cost},
    {"subtract_minimum_usage", subtract_minimum_usage},
    {"keep_rows", keep_rows},
    {"oversubscribed", close_oversubscribed},
    {"fix", fix},
    {"merge", merge},
    {"separable", remove_separable},
    {"eliminate", eliminate},
    {"component", begin_component},
    {"subcomponent", begin_subcomponent},
    {"end_subcomponent", end_subcomponent},
    {"lower_bound", verify_lower_bound},
    {"bucket_elimination", verify_bucket_elimination},
    {"tree", begin_tree},
    {"node", visit_node},
    {"branch", branch},
    {"claim", verify_claim},
};

inline constexpr int format_version = 2;

// certificate 2 scale S: the first line.
inline void verify_header(Checker& checker, Line& line) {
  require(line.word() == "certificate", "this is not a certificate");
  const Wide version = line.number();
  if (version != format_version)
    throw Fault("the certificate has version " + tessera::to_string(version) +
                " of the format, but this program reads version " + std::to_string(format_version) +
                "; solve again to write a new one");
  require(line.word() == "scale", "expected the scale");
  const Wide scale = line.number();
  require(scale >= 0 && scale <= 40, "the scale is out of range");
  checker.scale = static_cast<unsigned>(scale);
}

inline void verify_step(Checker& checker, Line& line) {
  require(!checker.has_claim, "there are lines after the claim");
  const std::string_view keyword = line.word();
  const auto* const step = std::find_if(std::begin(steps), std::end(steps),
                                        [&](const Step& s) { return s.keyword == keyword; });
  if (step == std::end(steps))
    throw Fault("'" + std::string(keyword.substr(0, 40)) + "' is not a step");
  step->verify(checker, line);
}

// Verifies all lines of a certificate.
inline void verify_lines(Checker& checker, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    ++checker.line;
    require(end != std::string_view::npos, "the line is cut off");
    Line line(text.substr(0, end));
    checker.line == 1 ? verify_header(checker, line) : verify_step(checker, line);
    line.expect_end();
    text.remove_prefix(end + 1);
  }
  require(checker.has_claim, "there is no claim: the certificate is cut off");
}

}  // namespace tessera::solver::detail::certificate
