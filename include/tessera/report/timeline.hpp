// SPDX-License-Identifier: Apache-2.0
//
// A simulated step as a picture (SVG), and as a trace for chrome://tracing or Perfetto.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/simulate.hpp"

namespace tessera::report {

/// A step as an SVG picture: one lane per stage and one box per pass, with the number of its
/// microbatch if it fits; boxes of a stage's later chunks have a black frame.
/// @param width of the picture, in pixels
std::string timeline_svg(const pipeline::Schedule& schedule, const pipeline::Timeline& timeline,
                         int width = 1200);

/// A step as a JSON trace for chrome://tracing or Perfetto.  Times are picoseconds.  Stages are the
/// threads of process 0, links those of process 1.
std::string chrome_trace(const pipeline::Schedule& schedule, const pipeline::Timeline& timeline);

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/timeline.ipp"
#endif
