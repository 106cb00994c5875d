// SPDX-License-Identifier: Apache-2.0
//
// How fast devices exchange data, beside memcpy, in one run, whatever carries the data.
//
// Bytes are those that the devices send, all together (executor/calls.hpp).  memcpy is called by
// every device, from a buffer to another one of its own, as many bytes as a device sends; both take
// turns, and medians are compared.  Reductions read what others send and combine it too, so they
// are slower; and small buffers measure how devices meet.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "tessera/executor/communicator.hpp"

namespace tessera::benchmarks {

using namespace tessera::executor;

using Clock = std::chrono::steady_clock;
inline constexpr int rounds = 9;

// What a device has: as many elements in one buffer as in the other.
struct Buffers {
  std::vector<float> in, out;
};

struct Contender {
  CallKind kind;
  std::function<void(Communicator&, Group, Buffers&)> run;
};

// Each with `in` or `out` as its largest buffer, and the other one's beginning.
inline std::vector<Contender> contenders() {
  const auto block = [](Group group, std::vector<float>& whole) {
    return std::span(whole).first(whole.size() / group.size());
  };
  return {
      {CallKind::all_gather,
       [=](Communicator& comm, Group group, Buffers& own) {
         comm.all_gather(group, block(group, own.in), std::span(own.out));
       }},
      {CallKind::reduce_scatter,
       [=](Communicator& comm, Group group, Buffers& own) {
         comm.reduce_scatter(group, Reduction::sum, own.in, block(group, own.out));
       }},
      {CallKind::all_reduce,
       [](Communicator& comm, Group group, Buffers& own) {
         comm.all_reduce(group, Reduction::sum, std::span(own.in));
       }},
      {CallKind::all_to_all,
       [](Communicator& comm, Group group, Buffers& own) {
         comm.all_to_all(group, own.in, std::span(own.out));
       }},
      {CallKind::broadcast,
       [](Communicator& comm, Group group, Buffers& own) {
         comm.broadcast(group, group.front(), std::span(own.in));
       }},
      {CallKind::permute,
       [](Communicator& comm, Group group, Buffers& own) {
         std::vector<Route> ring;
         for (std::size_t i = 0; i < group.size(); ++i)
           ring.push_back({group[i], group[(i + 1) % group.size()]});
         comm.permute(group, ring, own.in, std::span(own.out));
       }},
  };
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Measured {
  double bytes = 0;                   // sent in one call, by all devices
  double collective = 0, memcpy = 0;  // seconds
};

// Called on all devices; what comes back is right on the first.
inline Measured measure(Communicator& comm, const Contender& contender, std::size_t count) {
  std::vector<Device> group(static_cast<std::size_t>(comm.size()));
  std::iota(group.begin(), group.end(), 0);
  // Enough calls between two looks at the clock for its own time not to show.
  const int calls = static_cast<int>(std::clamp<std::size_t>((1U << 20U) / count, 1, 20));
  Buffers own{std::vector<float>(count, 1.0F), std::vector<float>(count, 2.0F)};
  const auto seconds_of = [&](const auto& one_call) {
    comm.barrier(group);
    const Clock::time_point begin = Clock::now();
    for (int call = 0; call < calls; ++call) one_call();
    comm.barrier(group);
    return std::chrono::duration<double>(Clock::now() - begin).count() / calls;
  };
  const Tally before = comm.traffic().of(contender.kind);
  contender.run(comm, group, own);
  const Tally after = comm.traffic().of(contender.kind);
  const std::uint64_t sent = after.sent - before.sent;
  // Of a broadcast, what the root sends is what the others copy.
  const std::uint64_t bytes = contender.kind != CallKind::broadcast ? sent
                              : comm.device() == 0                  ? 0
                                                   : after.message - before.message;
  std::vector<double> collective, memcpy;
  for (int round = 0; round < rounds; ++round) {
    collective.push_back(seconds_of([&] { contender.run(comm, group, own); }));
    memcpy.push_back(seconds_of([&] {
      for (std::uint64_t left = bytes; left > 0;) {
        const std::uint64_t now = std::min<std::uint64_t>(left, count * sizeof(float));
        std::memcpy(own.out.data(), own.in.data(), now);
        left -= now;
      }
    }));
  }
  std::vector<double> all_sent{static_cast<double>(sent)};
  comm.all_reduce(group, Reduction::sum, std::span(all_sent));
  return {all_sent[0], median(collective), median(memcpy)};
}

// All collectives in three sizes, as a table that the first device prints.  `what`: "2 threads".
inline void compare_with_memcpy(Communicator& comm, const char* what) {
  const bool prints = comm.device() == 0;
  if (prints)
    std::printf("%lld %s, float, %d rounds, medians\n\n%-15s %12s %12s %12s %14s\n",
                static_cast<long long>(comm.size()), what, rounds, "collective", "bytes/buffer",
                "us/call", "GB/s sent", "memcpy's GB/s x");
  for (const Contender& contender : contenders())
    for (const std::size_t block : {1U << 10U, 1U << 16U, 1U << 22U}) {
      const std::size_t count = block * static_cast<std::size_t>(comm.size());
      const Measured it = measure(comm, contender, count);
      if (!prints) continue;
      std::printf("%-15s %12zu %12.1f %12.2f %14.2f\n", to_string(contender.kind),
                  count * sizeof(float), it.collective * 1e6, it.bytes / it.collective * 1e-9,
                  it.memcpy / it.collective);
      std::fflush(stdout);
    }
}

}  // namespace tessera::benchmarks
