// SPDX-License-Identifier: Apache-2.0
//
// A simulated step as a picture (SVG), and as a trace for chrome://tracing or Perfetto.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tessera/pipeline/simulate.hpp"

namespace tessera::report {
namespace detail {

// Forward, backward, input backward, weight backward.
inline const char* colour_of(pipeline::PassKind kind) {
  switch (kind) {
    case pipeline::PassKind::forward: return "#6fa8dc";
    case pipeline::PassKind::backward: return "#93c47d";
    case pipeline::PassKind::input_backward: return "#b6d7a8";
    case pipeline::PassKind::weight_backward: return "#f6b26b";
  }
  return "";
}

// Picoseconds as the microseconds that traces count in, exactly: "12.000345".
inline std::string microseconds_text(Cost picoseconds) {
  constexpr Cost unit = 1'000'000;
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%lld.%06lld", static_cast<long long>(picoseconds / unit),
                static_cast<long long>(picoseconds % unit));
  return buffer;
}

inline std::string decimal_text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2f", value);
  return buffer;
}

}  // namespace detail

// One lane for each stage, one box for each pass, with the number of its microbatch where there is
// room; later chunks of a stage are framed.  `width`: of the picture, in pixels.
inline std::string timeline_svg(const pipeline::Schedule& schedule,
                                const pipeline::Timeline& timeline, int width = 1200) {
  constexpr int lane = 28, box = 24, left = 80, top = 34, digit = 7;
  const int height = top + lane * static_cast<int>(timeline.stages.size()) + 6;
  const double scale = (width - left - 10) / std::max(1.0, static_cast<double>(timeline.step_time));
  char bubble[32];
  std::snprintf(bubble, sizeof bubble, "%.2f", 100 * timeline.bubble());
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(width) +
                    "\" height=\"" + std::to_string(height) +
                    "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" "
                    "height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"20\">" +
                    to_string(schedule.kind) + ", " + std::to_string(schedule.stages) +
                    " stages, " + std::to_string(schedule.microbatches) +
                    " microbatches: " + detail::microseconds_text(timeline.step_time) +
                    " us, bubble " + bubble + " %</text>\n";
  for (std::size_t stage = 0; stage < timeline.stages.size(); ++stage) {
    const int y = top + lane * static_cast<int>(stage);
    svg += "<text x=\"10\" y=\"" + std::to_string(y + 17) + "\">stage " + std::to_string(stage) +
           "</text>\n";
    for (const pipeline::Event& event : timeline.stages[stage]) {
      if (event.begin == event.end) continue;
      const double x = left + scale * static_cast<double>(event.begin);
      const double w = scale * static_cast<double>(event.end - event.begin);
      const bool is_first_chunk = event.pass.chunk < schedule.stages;
      svg += "<rect x=\"" + detail::decimal_text(x) + "\" y=\"" + std::to_string(y) +
             "\" width=\"" + detail::decimal_text(w) + "\" height=\"" + std::to_string(box) +
             "\" fill=\"" + detail::colour_of(event.pass.kind) + "\" stroke=\"" +
             (is_first_chunk ? "white" : "black") + "\" stroke-width=\"0.5\"/>\n";
      const std::string number = std::to_string(event.pass.microbatch);
      if (w > static_cast<double>(digit) * static_cast<double>(number.size() + 1))
        svg += "<text x=\"" + detail::decimal_text(x + w / 2) + "\" y=\"" + std::to_string(y + 16) +
               "\" text-anchor=\"middle\">" + number + "</text>\n";
    }
  }
  return svg + "</svg>\n";
}

// Times are taken as picoseconds.  Stages are the threads of one process, links those of another.
inline std::string chrome_trace(const pipeline::Schedule& schedule,
                                const pipeline::Timeline& timeline) {
  std::string events;
  const auto add = [&](const std::string& event) {
    events += (events.empty() ? "\n " : ",\n ") + event;
  };
  const auto name = [&](const char* what, int process, std::size_t thread,
                        const std::string& text) {
    add(std::string(R"({"ph": "M", "name": ")") + what + R"(", "pid": )" + std::to_string(process) +
        R"(, "tid": )" + std::to_string(thread) + R"(, "args": {"name": ")" + text + R"("}})");
  };
  const auto add_lane = [&](int process, std::size_t thread,
                            const std::vector<pipeline::Event>& lane) {
    for (const pipeline::Event& event : lane)
      add(std::string(R"({"ph": "X", "name": ")") + to_string(event.pass.kind) + ' ' +
          std::to_string(event.pass.microbatch) + R"(", "pid": )" + std::to_string(process) +
          R"(, "tid": )" + std::to_string(thread) + R"(, "ts": )" +
          detail::microseconds_text(event.begin) + R"(, "dur": )" +
          detail::microseconds_text(event.end - event.begin) + R"(, "args": {"microbatch": )" +
          std::to_string(event.pass.microbatch) + R"(, "chunk": )" +
          std::to_string(event.pass.chunk) + "}}");
  };
  name("process_name", 0, 0, "stages");
  name("process_name", 1, 0, "links");
  for (std::size_t stage = 0; stage < timeline.stages.size(); ++stage) {
    name("thread_name", 0, stage, "stage " + std::to_string(stage));
    add_lane(0, stage, timeline.stages[stage]);
  }
  const auto chunks = static_cast<std::size_t>(schedule.chunks);
  for (std::size_t link = 0; link < timeline.links.size(); ++link) {
    if (timeline.links[link].empty()) continue;
    const bool is_forward = link < chunks;
    const std::size_t from = link % chunks;
    name("thread_name", 1, link,
         "chunk " + std::to_string(from) + " to " +
             std::to_string(is_forward ? from + 1 : from - 1));
    add_lane(1, link, timeline.links[link]);
  }
  return "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [" + events + "\n]}\n";
}

}  // namespace tessera::report
