// SPDX-License-Identifier: Apache-2.0
//
// The elements of the picture, and the events of the trace.
#pragma once
#include "tessera/report/timeline.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <vector>

#include "tessera/core/cost.hpp"

namespace tessera::report {
namespace detail {

TESSERA_INLINE const char* colour_of(pipeline::PassKind kind) {
  switch (kind) {
    case pipeline::PassKind::forward: return "#6fa8dc";
    case pipeline::PassKind::backward: return "#93c47d";
    case pipeline::PassKind::input_backward: return "#b6d7a8";
    case pipeline::PassKind::weight_backward: return "#f6b26b";
  }
  return "";
}

// Picoseconds in the microseconds that traces use, exactly: "12.000345".
TESSERA_INLINE std::string microseconds_text(Cost picoseconds) {
  constexpr Cost unit = 1'000'000;
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%lld.%06lld", static_cast<long long>(picoseconds / unit),
                static_cast<long long>(picoseconds % unit));
  return buffer;
}

TESSERA_INLINE std::string decimal_text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2f", value);
  return buffer;
}

// --- The picture ---------------------------------------------------------------------------------

// In pixels.
struct Picture {
  static constexpr int lane = 28, box = 24, left = 80, top = 34, digit = 7;
  int width = 0, height = 0;
  double per_picosecond = 0;
};

TESSERA_INLINE std::string svg_title(const pipeline::Schedule& schedule,
                                     const pipeline::Timeline& timeline) {
  return std::string(to_string(schedule.kind)) + ", " + std::to_string(schedule.stages) +
         " stages, " + std::to_string(schedule.microbatches) +
         " microbatches: " + microseconds_text(timeline.step_time) + " us, bubble " +
         decimal_text(100 * timeline.bubble()) + " %";
}

TESSERA_INLINE std::string svg_begin(const Picture& picture, const std::string& title) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(picture.width) +
         "\" height=\"" + std::to_string(picture.height) +
         "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" "
         "height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"20\">" +
         title + "</text>\n";
}

// The box of a pass, and its number if that fits.
TESSERA_INLINE std::string svg_pass(const Picture& picture, const pipeline::Event& event, int y,
                                    bool is_first_chunk) {
  const double x = Picture::left + picture.per_picosecond * static_cast<double>(event.begin);
  const double width = picture.per_picosecond * static_cast<double>(event.end - event.begin);
  std::string svg = "<rect x=\"" + decimal_text(x) + "\" y=\"" + std::to_string(y) + "\" width=\"" +
                    decimal_text(width) + "\" height=\"" + std::to_string(Picture::box) +
                    "\" fill=\"" + colour_of(event.pass.kind) + "\" stroke=\"" +
                    (is_first_chunk ? "white" : "black") + "\" stroke-width=\"0.5\"/>\n";
  const std::string number = std::to_string(event.pass.microbatch);
  if (width > static_cast<double>(Picture::digit) * static_cast<double>(number.size() + 1))
    svg += "<text x=\"" + decimal_text(x + width / 2) + "\" y=\"" + std::to_string(y + 16) +
           "\" text-anchor=\"middle\">" + number + "</text>\n";
  return svg;
}

TESSERA_INLINE std::string svg_stage(const Picture& picture, const pipeline::Schedule& schedule,
                                     const pipeline::Timeline& timeline, std::size_t stage) {
  const int y = Picture::top + Picture::lane * static_cast<int>(stage);
  std::string svg = "<text x=\"10\" y=\"" + std::to_string(y + 17) + "\">stage " +
                    std::to_string(stage) + "</text>\n";
  for (const pipeline::Event& event : timeline.stages[stage])
    if (event.begin != event.end)
      svg += svg_pass(picture, event, y, event.pass.chunk < schedule.stages);
  return svg;
}

// --- The trace -----------------------------------------------------------------------------------

// A thread of the trace.
struct Lane {
  int process = 0;
  std::size_t thread = 0;

  std::string text() const {
    return R"(", "pid": )" + std::to_string(process) + R"(, "tid": )" + std::to_string(thread);
  }
};

// Gives a process or thread its name; what is "process_name" or "thread_name".
TESSERA_INLINE std::string name_event(const char* what, Lane lane, const std::string& name) {
  return std::string(R"({"ph": "M", "name": ")") + what + lane.text() + R"(, "args": {"name": ")" +
         name + R"("}})";
}

TESSERA_INLINE std::string pass_event(Lane lane, const pipeline::Event& event) {
  return std::string(R"({"ph": "X", "name": ")") + to_string(event.pass.kind) + ' ' +
         std::to_string(event.pass.microbatch) + lane.text() + R"(, "ts": )" +
         microseconds_text(event.begin) + R"(, "dur": )" +
         microseconds_text(event.end - event.begin) + R"(, "args": {"microbatch": )" +
         std::to_string(event.pass.microbatch) + R"(, "chunk": )" +
         std::to_string(event.pass.chunk) + "}}";
}

TESSERA_INLINE void add_lane(Lane lane, const std::string& name,
                             const std::vector<pipeline::Event>& passes,
                             std::vector<std::string>& events) {
  events.push_back(name_event("thread_name", lane, name));
  for (const pipeline::Event& event : passes) events.push_back(pass_event(lane, event));
}

// "chunk 0 to 1": activations go to the next chunk, their adjoints to the previous one.
TESSERA_INLINE std::string link_name(std::size_t link, std::size_t chunks) {
  const bool is_forward = link < chunks;
  const std::size_t from = link % chunks;
  return "chunk " + std::to_string(from) + " to " +
         std::to_string(is_forward ? from + 1 : from - 1);
}

}  // namespace detail

TESSERA_INLINE std::string timeline_svg(const pipeline::Schedule& schedule,
                                        const pipeline::Timeline& timeline, int width) {
  using detail::Picture;
  const Picture picture{
      width, Picture::top + Picture::lane * static_cast<int>(timeline.stages.size()) + 6,
      (width - Picture::left - 10) / std::max(1.0, static_cast<double>(timeline.step_time))};
  std::string svg = detail::svg_begin(picture, detail::svg_title(schedule, timeline));
  for (std::size_t stage = 0; stage < timeline.stages.size(); ++stage)
    svg += detail::svg_stage(picture, schedule, timeline, stage);
  return svg + "</svg>\n";
}

TESSERA_INLINE std::string chrome_trace(const pipeline::Schedule& schedule,
                                        const pipeline::Timeline& timeline) {
  std::vector<std::string> events{detail::name_event("process_name", {0, 0}, "stages"),
                                  detail::name_event("process_name", {1, 0}, "links")};
  for (std::size_t stage = 0; stage < timeline.stages.size(); ++stage)
    detail::add_lane({0, stage}, "stage " + std::to_string(stage), timeline.stages[stage], events);
  const auto chunks = static_cast<std::size_t>(schedule.chunks);
  for (std::size_t link = 0; link < timeline.links.size(); ++link)
    if (!timeline.links[link].empty())
      detail::add_lane({1, link}, detail::link_name(link, chunks), timeline.links[link], events);
  std::string text;
  for (const std::string& event : events) text += (text.empty() ? "\n " : ",\n ") + event;
  return "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [" + text + "\n]}\n";
}

}  // namespace tessera::report
