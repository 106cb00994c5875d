// SPDX-License-Identifier: Apache-2.0
// Schedules: complete orders, the closed formulas, what is in flight, transfers, pictures.
#include <doctest/doctest.h>

#include <rapidjson/document.h>
#include <algorithm>

#include <map>
#include <string>

#include "support/random.hpp"
#include "tessera/pipeline/simulate.hpp"
#include "tessera/report/timeline.hpp"

namespace {
using namespace tessera;
using namespace tessera::pipeline;
using tessera_test::Random;

std::vector<ChunkTimes> equal_chunks(std::int64_t chunks, const ChunkTimes& times) {
  return std::vector<ChunkTimes>(static_cast<std::size_t>(chunks), times);
}

std::vector<Schedule> all_schedules(std::int64_t stages, std::int64_t microbatches) {
  std::vector<Schedule> list{gpipe(stages, microbatches), one_f_one_b(stages, microbatches),
                             eager_one_f_one_b(stages, microbatches),
                             zero_bubble(stages, microbatches)};
  if (microbatches % stages == 0) {
    list.push_back(interleaved(stages, microbatches, 2));
    list.push_back(interleaved(stages, microbatches, 3));
  }
  return list;
}

TEST_CASE("every stage runs every pass of its chunks once") {
  for (std::int64_t stages = 1; stages <= 5; ++stages)
    for (std::int64_t microbatches = 1; microbatches <= 10; ++microbatches)
      for (const Schedule& schedule : all_schedules(stages, microbatches)) {
        CAPTURE(to_string(schedule.kind));
        CAPTURE(stages);
        CAPTURE(microbatches);
        std::map<std::tuple<std::int64_t, std::int64_t, PassKind>, int> seen;
        for (std::size_t stage = 0; stage < schedule.orders.size(); ++stage)
          for (const Pass& pass : schedule.orders[stage]) {
            REQUIRE(schedule.stage_of(pass.chunk) == static_cast<std::int64_t>(stage));
            ++seen[{pass.chunk, pass.microbatch, pass.kind}];
          }
        const std::int64_t kinds = schedule.kind == ScheduleKind::zero_bubble ? 3 : 2;
        REQUIRE(static_cast<std::int64_t>(seen.size()) == schedule.chunks * microbatches * kinds);
        for (const auto& [pass, count] : seen) REQUIRE(count == 1);
      }
}

// --- Closed formulas: equal stages, free transfers -----------------------------------------------

TEST_CASE("GPipe and 1F1B: p - 1 gaps of a whole pass; idle over ideal is (p - 1) / m") {
  for (const std::int64_t p : {1, 2, 3, 4, 8, 13})
    for (const std::int64_t m : {1, 2, 3, 5, 8, 16, 64}) {
      CAPTURE(p);
      CAPTURE(m);
      const ChunkTimes times{.forward = 7, .input_backward = 8, .weight_backward = 5};
      const Timeline g = simulate(gpipe(p, m), equal_chunks(p, times));
      const Timeline f = simulate(one_f_one_b(p, m), equal_chunks(p, times));
      const Timeline e = simulate(eager_one_f_one_b(p, m), equal_chunks(p, times));
      CHECK(g.step_time == (m + p - 1) * 20);
      CHECK(f.step_time == (m + p - 1) * 20);
      CHECK(e.step_time == (m + p - 1) * 20);
      CHECK(f.idle * (m + p - 1) == f.total * (p - 1));
      CHECK(g.idle * m == (g.total - g.idle) * (p - 1));
      for (std::int64_t stage = 0; stage < p; ++stage) {
        CHECK(g.peak_in_flight[static_cast<std::size_t>(stage)] == m);
        CHECK(f.peak_in_flight[static_cast<std::size_t>(stage)] == std::min(m, p - stage));
        CHECK(f.peak_in_flight[static_cast<std::size_t>(stage)] ==
              in_flight(ScheduleKind::one_f_one_b, p - 1 - stage, m));
        CHECK(e.peak_in_flight[static_cast<std::size_t>(stage)] ==
              std::min(m, 2 * (p - stage) - 1));
        CHECK(e.peak_in_flight[static_cast<std::size_t>(stage)] ==
              in_flight(ScheduleKind::eager_one_f_one_b, p - 1 - stage, m));
      }
    }
}

// Equal stages, transfers of 2 each way.  1F1B's first stage has as many microbatches in flight as
// there are stages, so these share a wait for one to go all the way and back; the eager one has
// more.
TEST_CASE("1F1B waits for transfers over and over, eager 1F1B once") {
  for (const std::int64_t p : {1, 2, 3, 5, 8})
    for (const std::int64_t m : {2 * p, 3 * p, 9 * p}) {
      CAPTURE(p);
      CAPTURE(m);
      std::vector<ChunkTimes> chunks = equal_chunks(p, {.forward = 10,
                                                        .input_backward = 10,
                                                        .weight_backward = 10,
                                                        .send_forward = 2,
                                                        .send_backward = 2});
      chunks.front().send_backward = chunks.back().send_forward = 0;
      const Cost all_the_way = p * 30 + (p - 1) * 4;
      const auto more = [&](const auto& schedule) {
        return simulate(schedule(p, m + p), chunks).step_time -
               simulate(schedule(p, m), chunks).step_time;
      };
      CHECK(more(one_f_one_b) == all_the_way);
      CHECK(more(eager_one_f_one_b) == p * 30);
      CHECK(simulate(eager_one_f_one_b(p, m), chunks).step_time == all_the_way + (m - 1) * 30);
    }
}

TEST_CASE("interleaved: gaps of a chunk; idle over ideal is (p - 1) / (v m)") {
  for (const std::int64_t p : {1, 2, 3, 4, 8, 35})
    for (const std::int64_t v : {1, 2, 3, 4})
      for (const std::int64_t groups : {1, 2, 3, 8}) {
        const std::int64_t m = groups * p;
        CAPTURE(p);
        CAPTURE(v);
        CAPTURE(m);
        const ChunkTimes times{
            .forward = 7, .input_backward = 8, .weight_backward = 5, .bytes = 10};
        const Timeline t = simulate(interleaved(p, m, v), equal_chunks(p * v, times));
        CHECK(t.step_time == (v * m + p - 1) * 20);
        CHECK(t.idle * v * m == (t.total - t.idle) * (p - 1));
        // The first stage: 2 (p - 1) + (v - 1) p chunks in warm-up, and one more; Korthikanti's
        // factor 1 + (p - 1) / (p v) of a model's layers.
        if (groups > 1) CHECK(t.peak_in_flight[0] == 2 * (p - 1) + (v - 1) * p + 1);
        if (groups > 1) CHECK(t.peak_bytes[0] == 10 * (p * v + p - 1));
      }
}

TEST_CASE("zero bubble: gaps of forward and input backward less the weights', with 1F1B's memory") {
  for (const std::int64_t p : {1, 2, 3, 4, 8, 16})
    for (const std::int64_t rounds : {1, 2, 3, 8})
      for (const ChunkTimes& times :
           {ChunkTimes{.forward = 10, .input_backward = 10, .weight_backward = 10},
            ChunkTimes{.forward = 10, .input_backward = 12, .weight_backward = 7}}) {
        const std::int64_t m = rounds * p;
        CAPTURE(p);
        CAPTURE(m);
        const Timeline t = simulate(zero_bubble(p, m), equal_chunks(p, times));
        const Cost all = times.forward + times.input_backward + times.weight_backward;
        CHECK(t.step_time == m * all + (p - 1) * (all - 2 * times.weight_backward));
        for (const std::int64_t count : t.peak_in_flight) CHECK(count == p);
      }
}

// --- Unequal stages ------------------------------------------------------------------------------

std::vector<ChunkTimes> random_chunks(Random& random, std::int64_t chunks, Cost most_transfer) {
  std::vector<ChunkTimes> times;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const bool is_last = chunk + 1 == chunks;
    times.push_back({.forward = random.between(0, 50),
                     .input_backward = random.between(0, 50),
                     .weight_backward = random.between(0, 50),
                     .send_forward = is_last ? 0 : random.between(0, most_transfer),
                     .send_backward = chunk == 0 ? 0 : random.between(0, most_transfer),
                     .bytes = random.between(0, 100)});
  }
  return times;
}

TEST_CASE("property: GPipe takes each direction's sum and m - 1 times its slowest station") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t p = random.between(1, 7), m = random.between(1, 20);
    const std::vector<ChunkTimes> times = random_chunks(random, p, 80);
    Cost sum = 0, forward = 0, backward = 0;
    for (const ChunkTimes& t : times) {
      const Cost back = t.input_backward + t.weight_backward;
      sum += t.forward + back + t.send_forward + t.send_backward;
      forward = std::max({forward, t.forward, t.send_forward});
      backward = std::max({backward, back, t.send_backward});
    }
    CHECK(simulate(gpipe(p, m), times).step_time == sum + (m - 1) * (forward + backward));
  }
}

// Stages are chosen by sum + (m - 1) * slowest.  With backward passes twice as long as forward
// ones, as they are, no step was seen to take longer; with any lengths, some take a little longer.
TEST_CASE("property: 1F1B with free transfers takes about what stages are chosen by") {
  int longer = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t p = random.between(1, 9), m = random.between(1, 30);
    std::vector<ChunkTimes> times = random_chunks(random, p, 0);
    const bool is_usual = seed % 2 == 0;
    Cost sum = 0, slowest = 0;
    for (ChunkTimes& t : times) {
      if (is_usual) t.input_backward = t.weight_backward = t.forward;
      const Cost all = t.forward + t.input_backward + t.weight_backward;
      sum += all;
      slowest = std::max(slowest, all);
    }
    const Cost chosen_by = sum + (m - 1) * slowest;
    const Cost step = simulate(one_f_one_b(p, m), times).step_time;
    if (is_usual) CHECK(step <= chosen_by);
    CHECK(20 * step <= 21 * chosen_by);
    longer += step > chosen_by;
  }
  CHECK(longer < 20);
}

// What stages are chosen by where transfers are not free: under 1F1B each counts with the stage
// that it leads to, under the eager one as a station of its own.  Where gradients take as long as
// what they are of, as they do, no step was seen to take longer; else some eager ones take a little
// longer.
TEST_CASE("property: 1F1B and eager 1F1B take no longer than what stages are chosen by") {
  int longer = 0, shorter = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t p = random.between(1, 9), m = random.between(1, 40);
    std::vector<ChunkTimes> times = random_chunks(random, p, seed % 3 == 0 ? 150 : 30);
    const bool is_usual = seed % 2 == 0;
    Cost sum = 0, slowest_with_wait = 0, slowest = 0;
    for (std::size_t i = 0; i < times.size(); ++i) {
      if (is_usual && i > 0) times[i].send_backward = times[i - 1].send_forward;
      times[i].input_backward = times[i].weight_backward = times[i].forward;
      const Cost work = 3 * times[i].forward;
      const Cost hop = i == 0 ? 0 : times[i - 1].send_forward + times[i].send_backward;
      sum += work + hop;
      slowest_with_wait = std::max(slowest_with_wait, work + hop);
      slowest = std::max({slowest, work, hop});
    }
    const Cost step = simulate(one_f_one_b(p, m), times).step_time;
    const Cost eager = simulate(eager_one_f_one_b(p, m), times).step_time;
    CHECK(step <= sum + (m - 1) * slowest_with_wait);
    const Cost chosen_by = sum + (m - 1) * slowest;
    if (is_usual) CHECK(eager <= chosen_by);
    CHECK(20 * eager <= 21 * chosen_by);
    longer += eager > chosen_by;
    shorter += eager < step;
  }
  CHECK(longer < 20);
  CHECK(shorter > 1000);
}

// What holds of any timeline: passes of a stage do not overlap, nothing begins before what it needs
// has arrived, links carry one transfer at a time, and no stage is done sooner than its work is.
void check_timeline(const Schedule& schedule, const std::vector<ChunkTimes>& times,
                    const Timeline& timeline) {
  std::map<std::tuple<std::int64_t, std::int64_t, PassKind>, Event> passes;
  for (const std::vector<Event>& lane : timeline.stages)
    for (std::size_t i = 0; i < lane.size(); ++i) {
      if (i > 0) REQUIRE(lane[i].begin >= lane[i - 1].end);
      passes[{lane[i].pass.chunk, lane[i].pass.microbatch, lane[i].pass.kind}] = lane[i];
    }
  for (const std::vector<Event>& lane : timeline.links)
    for (std::size_t i = 1; i < lane.size(); ++i) REQUIRE(lane[i].begin >= lane[i - 1].end);
  const PassKind back = schedule.kind == ScheduleKind::zero_bubble ? PassKind::input_backward
                                                                   : PassKind::backward;
  for (const auto& [key, event] : passes) {
    const auto [chunk, m, kind] = key;
    const auto at = static_cast<std::size_t>(chunk);
    if (kind == PassKind::forward && chunk > 0)
      REQUIRE(event.begin >= passes.at({chunk - 1, m, kind}).end + times[at - 1].send_forward);
    if (kind == back && chunk + 1 < schedule.chunks)
      REQUIRE(event.begin >= passes.at({chunk + 1, m, kind}).end + times[at + 1].send_backward);
    if (kind == back) REQUIRE(event.begin >= passes.at({chunk, m, PassKind::forward}).end);
    if (kind == PassKind::weight_backward)
      REQUIRE(event.begin >= passes.at({chunk, m, PassKind::input_backward}).end);
    REQUIRE(event.end <= timeline.step_time);
  }
}

TEST_CASE("property: whatever the times, nothing runs before it can") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::int64_t p = random.between(1, 6), m = p * random.between(1, 4);
    for (const Schedule& schedule : all_schedules(p, m)) {
      CAPTURE(to_string(schedule.kind));
      const std::vector<ChunkTimes> times = random_chunks(random, schedule.chunks, 30);
      check_timeline(schedule, times, simulate(schedule, times));
    }
  }
}

// --- Misuse --------------------------------------------------------------------------------------

TEST_CASE("invalid schedules are refused by name") {
  CHECK_THROWS_WITH(gpipe(0, 1), "schedule: the number of stages is 0; it must be at least 1");
  CHECK_THROWS_WITH(one_f_one_b(2, 0),
                    "schedule: the number of microbatches is 0; it must be at least 1");
  CHECK_THROWS_WITH(
      interleaved(4, 6, 2),
      "interleaved schedule: 6 microbatches are no multiple of 4 stages; change one of the "
      "two numbers");
  CHECK_THROWS_WITH(
      simulate(gpipe(2, 1), equal_chunks(1, {})),
      "simulate: 1 chunk times were given for a schedule of 2 chunks; give one for each chunk");
  CHECK_THROWS_WITH(simulate(gpipe(1, 1), equal_chunks(1, {.forward = -1})),
                    "simulate: chunk 0 has a negative time or size");
  Schedule stuck = gpipe(2, 1);
  std::swap(stuck.orders[1][0], stuck.orders[1][1]);
  CHECK_THROWS_WITH(simulate(stuck, equal_chunks(2, {})),
                    "simulate: the schedule deadlocks: stage 0 waits for ever for backward of "
                    "microbatch 0, chunk 0");
}

// --- Reports -------------------------------------------------------------------------------------

TEST_CASE("a trace is JSON that has every pass and every transfer once, at its time") {
  const Schedule schedule = one_f_one_b(3, 4);
  const Timeline timeline =
      simulate(schedule, equal_chunks(3, {.forward = 1'000'001, .input_backward = 2'000'000}));
  rapidjson::Document trace;
  REQUIRE(!trace.Parse(report::chrome_trace(schedule, timeline).c_str()).HasParseError());
  std::size_t passes = 0, transfers = 0;
  double end = 0;
  for (const auto& event : trace["traceEvents"].GetArray()) {
    if (std::string(event["ph"].GetString()) != "X") continue;
    ++(event["pid"].GetInt() == 0 ? passes : transfers);
    end = std::max(end, event["ts"].GetDouble() + event["dur"].GetDouble());
  }
  CHECK(passes == 3 * 4 * 2);
  CHECK(transfers == 2 * 4 * 2);
  CHECK(end == doctest::Approx(6 * 3.000001));
}

TEST_CASE("a picture has a box for every pass") {
  const Schedule schedule = zero_bubble(3, 4);
  const Timeline timeline = simulate(
      schedule, equal_chunks(3, {.forward = 10, .input_backward = 10, .weight_backward = 10}));
  const std::string svg = report::timeline_svg(schedule, timeline);
  std::size_t boxes = 0;
  for (std::size_t at = 0; (at = svg.find("<rect x=", at)) != std::string::npos; ++at) ++boxes;
  CHECK(boxes == 3 * 4 * 3);
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find("zero-bubble, 3 stages, 4 microbatches: 0.000140 us, bubble 14.29 %") !=
        std::string::npos);
}

}  // namespace
