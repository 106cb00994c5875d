// SPDX-License-Identifier: Apache-2.0
//
// collectives [DEVICES]: how fast the executor's threads exchange data, beside memcpy, in one run.
//
// Bytes are those that the devices send, all together (executor/traffic.hpp).  memcpy is called by
// as many threads as there are devices, each from a buffer to another one of its own, as many bytes
// as a device sends; both take turns, and medians are compared.  Reductions read what others send
// and combine it too, so they are slower; and small buffers measure how devices meet.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "tessera/executor/threads.hpp"

namespace {

using namespace tessera;
using namespace tessera::executor;

using Clock = std::chrono::steady_clock;
constexpr int rounds = 15;

// What a device has: as many elements in one buffer as in the other.
struct Buffers {
  std::vector<float> in, out;
};

struct Contender {
  CallKind kind;
  std::function<void(ThreadCommunicator&, Group, Buffers&)> run;
};

// Each with `in` or `out` as its largest buffer, and the other one's beginning.
const std::vector<Contender>& contenders() {
  const auto block = [](Group group, std::vector<float>& whole) {
    return std::span(whole).first(whole.size() / group.size());
  };
  static const std::vector<Contender> all{
      {CallKind::all_gather,
       [=](ThreadCommunicator& comm, Group group, Buffers& own) {
         comm.all_gather(group, block(group, own.in), std::span(own.out));
       }},
      {CallKind::reduce_scatter,
       [=](ThreadCommunicator& comm, Group group, Buffers& own) {
         comm.reduce_scatter(group, Reduction::sum, own.in, block(group, own.out));
       }},
      {CallKind::all_reduce,
       [](ThreadCommunicator& comm, Group group, Buffers& own) {
         comm.all_reduce(group, Reduction::sum, std::span(own.in));
       }},
      {CallKind::all_to_all,
       [](ThreadCommunicator& comm, Group group, Buffers& own) {
         comm.all_to_all(group, own.in, std::span(own.out));
       }},
      {CallKind::broadcast,
       [](ThreadCommunicator& comm, Group group, Buffers& own) {
         comm.broadcast(group, group.front(), std::span(own.in));
       }},
      {CallKind::permute,
       [](ThreadCommunicator& comm, Group group, Buffers& own) {
         std::vector<SourceTarget> ring;
         for (std::size_t i = 0; i < group.size(); ++i)
           ring.push_back({group[i], group[(i + 1) % group.size()]});
         comm.permute(group, ring, own.in, std::span(own.out));
       }},
  };
  return all;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Measured {
  double bytes = 0;                   // sent in one call, by all devices
  double collective = 0, memcpy = 0;  // seconds
};

Measured measure(Extent devices, const Contender& contender, std::size_t count) {
  std::vector<Device> group(static_cast<std::size_t>(devices));
  std::iota(group.begin(), group.end(), 0);
  // Enough calls between two looks at the clock to make its own time and one meeting small.
  const int calls = static_cast<int>(std::clamp<std::size_t>((1U << 22U) / count, 1, 200));
  std::vector<double> collective, memcpy;
  const std::vector<Traffic> traffic = run_on_threads(devices, [&](ThreadCommunicator& comm) {
    Buffers own{std::vector<float>(count, 1.0F), std::vector<float>(count, 2.0F)};
    const auto seconds_of = [&](const auto& one_call) {
      comm.barrier(group);
      const Clock::time_point begin = Clock::now();
      for (int call = 0; call < calls; ++call) one_call();
      comm.barrier(group);
      return std::chrono::duration<double>(Clock::now() - begin).count() / calls;
    };
    contender.run(comm, group, own);
    const Tally once = comm.traffic().of(contender.kind);
    // Of a broadcast, what the root sends is what the others copy.
    const std::size_t bytes =
        contender.kind == CallKind::broadcast ? (comm.rank() == 0 ? 0 : once.message) : once.sent;
    for (int round = 0; round < rounds; ++round) {
      const double ours = seconds_of([&] { contender.run(comm, group, own); });
      const double plain = seconds_of([&] {
        for (std::size_t left = bytes; left > 0;) {
          const std::size_t now = std::min(left, count * sizeof(float));
          std::memcpy(own.out.data(), own.in.data(), now);
          left -= now;
        }
      });
      if (comm.rank() != 0) continue;
      collective.push_back(ours);
      memcpy.push_back(plain);
    }
  });
  double bytes = 0;
  for (const Traffic& one : traffic) {
    const Tally tally = one.of(contender.kind);
    bytes += static_cast<double>(tally.sent) / static_cast<double>(tally.calls);
  }
  return {bytes, median(collective), median(memcpy)};
}

}  // namespace

int main(int argc, char** argv) {
  const Extent devices = argc > 1 ? std::atoi(argv[1]) : 2;
  if (devices < 2) {
    std::fprintf(stderr, "usage: collectives [DEVICES, 2 or more]\n");
    return 2;
  }
  std::printf("%lld threads, float, %d rounds, medians\n\n%-15s %12s %12s %12s %14s\n",
              static_cast<long long>(devices), rounds, "collective", "bytes/buffer", "us/call",
              "GB/s sent", "memcpy's GB/s x");
  for (const Contender& contender : contenders())
    for (const std::size_t count :
         {std::size_t{1} << 10U, std::size_t{1} << 16U, std::size_t{1} << 22U}) {
      const Measured it = measure(devices, contender, count * static_cast<std::size_t>(devices));
      std::printf("%-15s %12zu %12.1f %12.2f %14.2f\n", to_string(contender.kind),
                  count * static_cast<std::size_t>(devices) * sizeof(float), it.collective * 1e6,
                  it.bytes / it.collective * 1e-9, it.memcpy / it.collective);
    }
}
