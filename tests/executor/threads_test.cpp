// SPDX-License-Identifier: Apache-2.0
// Threads as devices: every collective against plain loops, bytes against their formulas, and every
// way that a run can go wrong ends with an error that names it.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "executor/cases.hpp"
#include "support/random.hpp"
#include "tessera/executor/threads.hpp"

using namespace tessera;
using namespace tessera::executor;
using namespace tessera_test;

namespace {

static_assert(Element<float> && Element<bool> && Element<std::complex<double>>);
static_assert(!Element<char*> && !Element<const float> && !Element<long double>);
static_assert(bytes_in_group(CallKind::all_reduce, 4, 12) == 72);
static_assert(bytes_in_group(CallKind::all_to_all, 4, 64) == 48);

std::vector<Device> devices_up_to(Device n) {
  std::vector<Device> devices(static_cast<std::size_t>(n));
  std::iota(devices.begin(), devices.end(), 0);
  return devices;
}

// The error of a run; "" where there was none.
std::string error_of(Device devices, const std::function<void(Communicator&)>& body,
                     std::stop_token stop = {}) {
  try {
    run_on_threads(devices, body, std::move(stop));
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void sleep_for(std::int64_t microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

// --- What comes out ------------------------------------------------------------------------------

TEST_CASE("every collective over every axis set gives what plain loops give, bit for bit") {
  for (const DynamicMesh& mesh : executor_meshes()) {
    CAPTURE(to_string(mesh));
    const std::uint64_t seed = 100 + static_cast<std::uint64_t>(mesh.device_count());
    const std::vector<Traffic> traffic =
        run_on_threads(mesh.device_count(), [&](Communicator& comm) {
          for_each_case(mesh, comm.device(), seed,
                        [&]<class T>(const Case& it, const std::vector<Device>& group) {
                          const Buffer<T> out = run_case<T>(comm, it, group);
                          if (!same_bits(out, expected_of<T>(it, group, comm.device())))
                            throw std::runtime_error("wrong: " + it.label);
                        });
        });
    std::array<Tally, call_kinds> by_kind{};
    int wrong = 0, cases = 0;
    std::string first_wrong;
    const auto expect = [&](bool holds, const std::string& label) {
      ++cases;
      if (!holds && wrong++ == 0) first_wrong = label;
    };
    for (Device device = 0; device < mesh.device_count(); ++device)
      for_each_case(
          mesh, device, seed, [&]<class T>(const Case& it, const std::vector<Device>& group) {
            const Tally expected = expected_tally<T>(it, group, device);
            expect(traffic[static_cast<std::size_t>(device)].of(it.label) == expected, it.label);
            if (device == 0) by_kind[static_cast<std::size_t>(it.kind)] += expected;
            if (device != group[0] || it.kind == CallKind::permute) return;
            Wide sent = 0;
            for (const Device member : group)
              sent += traffic[static_cast<std::size_t>(member)].of(it.label).sent;
            expect(sent ==
                       bytes_in_group(it.kind, static_cast<Extent>(group.size()), expected.message),
                   it.label);
          });
    INFO(first_wrong);
    CHECK(wrong == 0);
    CHECK(cases > 1000);
    for (std::size_t kind = 0; kind < call_kinds; ++kind)
      CHECK(traffic[0].of(static_cast<CallKind>(kind)) == by_kind[kind]);
  }
}

TEST_CASE("a sum is the group's order, whatever the timing: reversed groups differ, runs do not") {
  const auto sum_in = [](std::vector<Device> group, std::uint64_t delays) {
    float result = 0;
    run_on_threads(4, [&](Communicator& comm) {
      Random random(delays + static_cast<std::uint64_t>(comm.device()));
      sleep_for(random.between(0, 300));
      float values[] = {1e8F, 1.0F, -1e8F, 1.0F};
      float own[1] = {values[comm.device()]};
      comm.all_reduce(group, Reduction::sum, std::span<float>(own));
      if (comm.device() == 3) result = own[0];
    });
    return result;
  };
  for (std::uint64_t delays = 0; delays < 20; ++delays) {
    CHECK(sum_in({0, 1, 2, 3}, delays) == 1.0F);  // 1e8 + 1 is 1e8
    CHECK(sum_in({0, 2, 1, 3}, delays) == 2.0F);
  }
}

TEST_CASE("an all-gather may have its operand in its result; NaN wins in max and min") {
  run_on_threads(3, [](Communicator& comm) {
    const std::vector<Device> all = devices_up_to(3);
    std::vector<int> whole(6, -1);
    const auto own = static_cast<std::size_t>(comm.device());
    whole[2 * own] = whole[2 * own + 1] = static_cast<int>(own);
    comm.all_gather(all, std::span<const int>(whole).subspan(2 * own, 2), std::span(whole));
    if (whole != std::vector<int>{0, 0, 1, 1, 2, 2}) throw std::runtime_error("not gathered");
    std::vector<double> values{comm.device() == 1 ? std::nan("") : 1.0, 2.0};
    comm.all_reduce(all, comm.device() < 9 ? Reduction::max : Reduction::min, std::span(values));
    if (!std::isnan(values[0]) || values[1] != 2.0) throw std::runtime_error("NaN was lost");
  });
}

TEST_CASE("messages with one tag arrive in order, tags apart, and sending never waits") {
  const std::vector<Traffic> traffic = run_on_threads(4, [](Communicator& comm) {
    const Device next = (comm.device() + 1) % 4, last = (comm.device() + 3) % 4;
    for (int i = 0; i < 50; ++i) {
      std::vector<std::int64_t> data(static_cast<std::size_t>(i), i + 1000 * comm.device());
      comm.send(next, i % 3, std::span(data), "ring");
    }
    for (const int tag : {2, 0, 1})
      for (int i = tag; i < 50; i += 3) {
        std::vector<std::int64_t> data(static_cast<std::size_t>(i));
        comm.receive(last, tag, std::span(data), "ring");
        for (const std::int64_t x : data)
          if (x != i + 1000 * last) throw std::runtime_error("out of order");
      }
  });
  for (const Traffic& one : traffic) {
    CHECK(one.of(CallKind::send) == Tally{50, 1225 * 8, 1225 * 8});
    CHECK(one.of(CallKind::receive) == Tally{50, 0, 0});
    CHECK(one.of("ring").calls == 100);
  }
}

TEST_CASE("more devices than cores by far") {
  const auto n = static_cast<Device>(96);
  const std::vector<Device> all = devices_up_to(n);
  std::atomic<int> right{0};
  run_on_threads(n, [&](Communicator& comm) {
    for (int round = 0; round < 10; ++round) {
      std::vector<std::int32_t> x(100, static_cast<std::int32_t>(comm.device()) + round);
      comm.all_reduce(all, Reduction::sum, std::span(x));
      if (x[99] == 96 * 95 / 2 + 96 * round) ++right;
      comm.barrier(all);
    }
  });
  CHECK(right == 960);
}

// --- What one device can check alone -------------------------------------------------------------

TEST_CASE("a device's own mistakes are named") {
  const std::vector<Device> pair{0, 1};
  std::vector<float> four(4);
  const auto error = [&](auto body) {
    return error_of(2, [&](Communicator& comm) {
      if (comm.device() != 1) return;
      std::vector<float> three(3), six(6);
      body(comm, std::span<float>(three), std::span<float>(six));
    });
  };
  using Floats = std::span<float>;
  CHECK(error([&](auto& comm, Floats three, Floats) { comm.all_gather(pair, three, three); }) ==
        "device 1: all-gather of 3 f32 in {0,1}: its result has 3 elements instead of 6");
  CHECK(error([&](auto& comm, Floats three, Floats) {
          comm.reduce_scatter(pair, Reduction::sum, three, three);
        }) ==
        "device 1: reduce-scatter of 3 f32 by sum in {0,1}: its operand has 3 elements instead of "
        "6");
  CHECK(error([&](auto& comm, Floats three, Floats six) {
          comm.all_to_all(pair, three, six.first(3), "moe");
        }) ==
        "device 1: all-to-all of 3 f32 in {0,1} (moe): 3 elements can not be divided into 2 equal "
        "blocks; pad the buffer");
  CHECK(error([&](auto& comm, Floats three, Floats) {
          comm.all_reduce(pair, Reduction::logical_or, three);
        }) == "device 1: all-reduce of 3 f32 by or in {0,1}: f32 has no such reduction");
  CHECK(error([&](auto& comm, Floats three, Floats) {
          comm.all_reduce(std::vector<Device>{0, 2}, Reduction::sum, three);
        }) == "device 1: all-reduce of 3 f32 by sum in {0,2}: device 2 does not exist");
  CHECK(error([&](auto& comm, Floats three, Floats) {
          comm.all_reduce(std::vector<Device>{0, 0}, Reduction::sum, three);
        }) == "device 1: all-reduce of 3 f32 by sum in {0,0}: device 0 is in the group twice");
  CHECK(error([&](auto& comm, Floats three, Floats) {
          comm.broadcast(std::vector<Device>{0}, 0, three);
        }) ==
        "device 1: broadcast of 3 f32 from 0 in {0}: device 1 calls, but is not in the group");
  CHECK(error([&](auto& comm, Floats three, Floats) { comm.broadcast(pair, 7, three); }) ==
        "device 1: broadcast of 3 f32 from 7 in {0,1}: the root is not in the group");
  CHECK(error([&](auto& comm, Floats three, Floats) { comm.send(1, 0, three); }) ==
        "device 1: send of 3 f32 to 1 tagged 0: device 1 is not another one of 2");
  CHECK(error([&](auto& comm, Floats three, Floats) { comm.send(0, -3, three); }) ==
        "device 1: send of 3 f32 to 0: a tag is 0 or more");
  const std::vector<Route> twice{{0, 1}, {1, 1}}, out{{0, 3}};
  CHECK(error([&](auto& comm, Floats three, Floats six) {
          comm.permute(pair, twice, three, six.first(3));
        }).ends_with("at 1 -> 1 a device is a source or a target for the second time"));
  CHECK(error([&](auto& comm, Floats three, Floats six) {
          comm.permute(pair, out, three, six.first(3));
        }).ends_with("0 -> 3 leads out of the group"));
  CHECK(error_of(0, [](Communicator&) {}) ==
        "a run needs at least one device, and was asked for 0");
}

// --- What devices must agree on ------------------------------------------------------------------

TEST_CASE("calls that do not match are named, both of them") {
  struct Mismatch {
    const char* what;
    std::function<void(Communicator&)> zero, others;
    const char *call_of_zero, *call_of_others;
  };
  const std::vector<Device> all{0, 1, 2}, mixed{1, 0, 2}, pair{0, 1};
  const auto buffer = [](std::size_t count) { return std::vector<float>(count); };
  const auto sum = [&](const std::vector<Device>& group, std::size_t count, const char* label) {
    return [&group, count, label](Communicator& comm) {
      std::vector<float> x(count);
      comm.all_reduce(group, Reduction::sum, std::span(x), label);
    };
  };
  const auto permute = [&](Route arrow) {
    return [&, arrow](Communicator& comm) {
      auto x = buffer(2), y = buffer(2);
      comm.permute(all, std::vector{arrow}, x, std::span(y));
    };
  };
  const auto from = [&](Device root) {
    return [&, root](Communicator& comm) {
      auto x = buffer(2);
      comm.broadcast(all, root, std::span(x));
    };
  };
  const std::vector<Mismatch> mismatches{
      {"kind", sum(all, 6, ""),
       [&](Communicator& comm) {
         auto x = buffer(6), y = buffer(6);
         comm.all_to_all(all, x, std::span(y));
       },
       "all-reduce of 6 f32 by sum in {0,1,2}", "all-to-all of 6 f32 in {0,1,2}"},
      {"barrier", [&](Communicator& comm) { comm.barrier(all); }, sum(all, 6, ""),
       "barrier in {0,1,2}", "all-reduce of 6 f32 by sum in {0,1,2}"},
      {"order",
       [&](Communicator& comm) {
         sum(all, 6, "first")(comm);
         sum(all, 6, "second")(comm);
       },
       [&](Communicator& comm) {
         sum(all, 6, "second")(comm);
         sum(all, 6, "first")(comm);
       },
       "all-reduce of 6 f32 by sum in {0,1,2} (first)",
       "all-reduce of 6 f32 by sum in {0,1,2} (second)"},
      {"size", sum(all, 6, ""), sum(all, 7, ""), "all-reduce of 6 f32", "all-reduce of 7 f32"},
      {"reduction", sum(all, 6, ""),
       [&](Communicator& comm) {
         auto x = buffer(6);
         comm.all_reduce(all, Reduction::max, std::span(x));
       },
       "all-reduce of 6 f32 by sum", "all-reduce of 6 f32 by max"},
      {"element type", sum(all, 6, ""),
       [&](Communicator& comm) {
         std::vector<std::int32_t> x(6);
         comm.all_reduce(all, Reduction::sum, std::span(x));
       },
       "all-reduce of 6 f32 by sum", "all-reduce of 6 s32 by sum"},
      {"members", sum(pair, 6, ""), sum(all, 6, ""), "all-reduce of 6 f32 by sum in {0,1}",
       "all-reduce of 6 f32 by sum in {0,1,2}"},
      {"order of members", sum(all, 6, ""), sum(mixed, 6, ""),
       "all-reduce of 6 f32 by sum in {0,1,2}", "all-reduce of 6 f32 by sum in {1,0,2}"},
      {"root", from(0), from(1), "broadcast of 2 f32 from 0 in {0,1,2}",
       "broadcast of 2 f32 from 1 in {0,1,2}"},
      {"routes", permute({0, 1}), permute({0, 2}), "permute of 2 f32 by routes #",
       "permute of 2 f32 by routes #"},
  };
  for (const Mismatch& mismatch : mismatches) {
    CAPTURE(mismatch.what);
    for (int repeat = 0; repeat < 20; ++repeat) {
      const std::string error = error_of(3, [&](Communicator& comm) {
        if (repeat % 3 == static_cast<int>(comm.device())) sleep_for(100);
        (comm.device() == 0 ? mismatch.zero : mismatch.others)(comm);
      });
      INFO(error);
      const std::string zero = std::string("device 0 calls ") + mismatch.call_of_zero;
      const std::string one = std::string("device 1 calls ") + mismatch.call_of_others;
      const std::string zero_waits = std::string(" in ") + mismatch.call_of_zero;
      const std::string other_waits = std::string(" in ") + mismatch.call_of_others;
      const bool is_named = error.find(zero) != error.npos && error.find(one) != error.npos;
      // Different groups do not meet: each waits for the other.
      const bool is_deadlock = error.starts_with("deadlock: device 0 waits for device 1") &&
                               error.find(zero_waits) != error.npos &&
                               error.find(other_waits) != error.npos;
      const bool has_other_groups = std::string(mismatch.what).find("members") != std::string::npos;
      CHECK((has_other_groups ? is_deadlock : is_named));
    }
  }
}

TEST_CASE("a message that is not what is received is named") {
  CHECK(error_of(2,
                 [](Communicator& comm) {
                   std::vector<float> three(3), four(4);
                   if (comm.device() == 0) comm.send(1, 5, std::span(three), "x");
                   if (comm.device() == 1) comm.receive(0, 5, std::span(four));
                 }) ==
        "mismatched calls: device 0 calls send of 3 f32 to 1 tagged 5 (x), device 1 calls receive "
        "of 4 f32 from 0 tagged 5; what is received must be what was sent");
}

TEST_CASE("who waits for whom is said when nobody can go on") {
  const std::vector<Device> all{0, 1, 2};
  std::vector<float> data(2);
  const auto in_cycle = [](Communicator& comm) {
    std::vector<float> x(2);
    comm.receive((comm.device() + 1) % 3, 4, std::span(x));
    comm.send((comm.device() + 2) % 3, 4, std::span(x));
  };
  CHECK(error_of(3, in_cycle) ==
        "deadlock: device 0 waits for device 1 in receive of 2 f32 from 1 tagged 4; device 1 waits "
        "for device 2 in receive of 2 f32 from 2 tagged 4; device 2 waits for device 0 in receive "
        "of 2 f32 from 0 tagged 4");
  CHECK(error_of(3,
                 [&](Communicator& comm) {
                   std::vector<float> x(2);
                   if (comm.device() == 2) return comm.send(1, 1, std::span(x));
                   if (comm.device() == 1) comm.receive(2, 1, std::span(x));
                   comm.all_reduce(all, Reduction::sum, std::span(x), "loss");
                 }) ==
        "deadlock: device 0 waits for device 2 in all-reduce of 2 f32 by sum in {0,1,2} (loss); "
        "device 2 has returned");
  // The wrong tag, and a device that waits for those in fault.
  CHECK(error_of(3,
                 [&](Communicator& comm) {
                   std::vector<float> x(2);
                   if (comm.device() == 0) comm.receive(1, 9, std::span(x));
                   if (comm.device() == 1) comm.receive(2, 1, std::span(x));
                   if (comm.device() == 2) comm.send(1, 2, std::span(x));
                 }) ==
        "deadlock: device 1 waits for device 2 in receive of 2 f32 from 2 tagged 1; device 2 has "
        "returned");
}

// --- Failures and cancellation -------------------------------------------------------------------

TEST_CASE("what a device throws stops all, and arrives with its number and itself") {
  const std::vector<Device> all = devices_up_to(4);
  const auto body = [&](Communicator& comm) {
    std::vector<float> x(10);
    for (int i = 0;; ++i) {
      if (comm.device() == 2 && i == 5) throw std::out_of_range("no such layer");
      comm.all_reduce(all, Reduction::sum, std::span(x));
      if (comm.device() == 0) comm.receive(2, 0, std::span(x));
      if (comm.device() == 2) comm.send(0, 0, std::span(x));
    }
  };
  try {
    run_on_threads(4, body);
    FAIL("it went through");
  } catch (const DeviceError& error) {
    CHECK(error.what() == std::string("device 2: no such layer"));
    CHECK(error.device() == 2);
    CHECK_THROWS_AS(std::rethrow_exception(error.cause()), std::out_of_range);
  }
  CHECK(error_of(1, [](Communicator&) { throw 7; }) ==
        "device 0: an exception that does not derive from std::exception");
}

TEST_CASE("a run can be cancelled before, in the middle, and too late") {
  const std::vector<Device> all = devices_up_to(3);
  const auto forever = [&](Communicator& comm) {
    std::vector<float> x(10);
    for (;;) comm.all_reduce(all, Reduction::sum, std::span(x));
  };
  std::stop_source before;
  before.request_stop();
  CHECK_THROWS_AS(run_on_threads(3, forever, before.get_token()), Cancelled);
  for (int delay : {0, 100, 1000, 5000}) {
    std::stop_source source;
    std::jthread canceller([&] {
      sleep_for(delay);
      source.request_stop();
    });
    CHECK(error_of(3, forever, source.get_token()) == "the run was cancelled");
  }
  std::stop_source waiting;
  const auto waits = [&](Communicator& comm) {
    std::vector<float> x(10);
    if (comm.device() != 0) return comm.receive(0, 1, std::span(x));
    sleep_for(2000);
    waiting.request_stop();
    comm.send(1, 1, std::span(x));
  };
  CHECK_THROWS_AS(run_on_threads(3, waits, waiting.get_token()), Cancelled);
  std::stop_source late;
  run_on_threads(
      3, [&](Communicator& comm) { comm.barrier(all); }, late.get_token());
  late.request_stop();
}

// --- A thousand random runs ----------------------------------------------------------------------

// What is made to go wrong.
enum class Fault { none, exception, skipped, repeated, resized, returned, cancelled };

struct RandomRun {
  explicit RandomRun(std::uint64_t its_seed) : seed(its_seed) {
    Random random(seed);
    mesh = random.pick(executor_meshes());
    steps = random.between(1, 12);
    // Nothing in half of the runs.
    fault = static_cast<Fault>(random.once_in(2) ? 0 : random.between(1, 6));
    device = random.between(0, mesh.device_count() - 1);
    step = random.between(0, steps - 1);
    delay = random.between(0, 400);
  }

  void operator()(Communicator& comm) const {
    Random delays(seed ^ static_cast<std::uint64_t>(comm.device() + 1));
    for (std::int64_t i = 0; i < steps; ++i) {
      if (delays.once_in(4)) sleep_for(delays.between(0, 100));
      const bool is_here = comm.device() == device && i == step;
      if (is_here && fault == Fault::exception) throw std::runtime_error("injected");
      if (is_here && fault == Fault::returned) return;
      if (is_here && fault == Fault::skipped) continue;
      random_step(comm, mesh, seed, i, is_here && fault == Fault::resized);
      if (is_here && fault == Fault::repeated) random_step(comm, mesh, seed, i);
    }
  }

  std::uint64_t seed;
  DynamicMesh mesh;
  std::int64_t steps = 0, step = 0, delay = 0;
  Fault fault = Fault::none;
  Device device = 0;
};

// The run's error is one that its fault allows.
bool is_expected(const RandomRun& run, const std::string& error) {
  const bool is_between_devices = error.starts_with("mismatched calls: ") ||
                                  error.starts_with("deadlock: ");
  switch (run.fault) {
    case Fault::none: return error.empty();
    case Fault::exception: return error == "device " + std::to_string(run.device) + ": injected";
    case Fault::cancelled: return error.empty() || error == "the run was cancelled";
    // Where the group of the step is the device alone, or one more message is left, no device sees
    // it.
    case Fault::skipped:
    case Fault::repeated:
    case Fault::resized: return error.empty() || is_between_devices;
    case Fault::returned: return error.empty() || is_between_devices;
  }
  return false;
}

TEST_CASE("stress: a thousand random runs with exceptions, mismatches and delays, and no hang") {
  std::atomic<std::uint64_t> current{0};
  // A hang would end with nothing but a time-out: this says which seed it was.
  const std::jthread watchdog([&](const std::stop_token& stop) {
    std::uint64_t seen = ~std::uint64_t{0};
    for (int idle = 0; !stop.stop_requested(); ++idle) {
      if (current.load() != seen) idle = 0;
      seen = current.load();
      if (idle > 6000) {
        std::fprintf(stderr, "stress: the run with seed %llu hangs\n",
                     static_cast<unsigned long long>(seen));
        std::abort();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  std::array<int, 7> runs{}, failed{};
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    current.store(seed);
    const RandomRun run(seed);
    std::stop_source source;
    std::jthread canceller;
    if (run.fault == Fault::cancelled)
      canceller = std::jthread([&] {
        sleep_for(run.delay);
        source.request_stop();
      });
    const std::string error = error_of(run.mesh.device_count(), run, source.get_token());
    INFO(error);
    CHECK(is_expected(run, error));
    ++runs[static_cast<std::size_t>(run.fault)];
    failed[static_cast<std::size_t>(run.fault)] += error.empty() ? 0 : 1;
  }
  // Faults are seen, and often enough.
  for (std::size_t fault = 1; fault < runs.size(); ++fault) {
    CAPTURE(fault);
    CHECK(runs[fault] > 40);
    CHECK(2 * failed[fault] > runs[fault]);
  }
}

}  // namespace
