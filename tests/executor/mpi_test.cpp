// SPDX-License-Identifier: Apache-2.0
// mpirun -n 8 mpi_test SCENARIO: ranks as devices.
//
//   same    all results and byte counts are those of threads, bit for bit; and random steps
//   others  one thing goes wrong; what must be said of it stands in tests/CMakeLists.txt
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "executor/as_threads.hpp"
#include "executor/cases.hpp"
#include "tessera/executor/mpi.hpp"

using namespace tessera;
using namespace tessera::executor;
using namespace tessera_test;

namespace {

std::vector<Device> all_of(const Communicator& comm) {
  std::vector<Device> all(static_cast<std::size_t>(comm.size()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// What one device has after collectives of every kind, and what it has counted.
template<class C>
Results results_of(C& comm, const DynamicMesh& mesh) {
  Results results;
  for_each_case(mesh, comm.device(), 2024,
                [&]<class T>(const Case& it, const std::vector<Device>& group) {
                  // A fourth of them is enough, since ranks share few cores.
                  if ((it.seed >> 8U) % 4 != 0) return;
                  const Buffer<T> out = run_case<T>(comm, it, group);
                  results.add(std::span<const T>(out.all()));
                  results.add(comm.traffic().of(it.label));
                });
  return results;
}

void same(Communicator& comm) {
  const DynamicMesh mesh{2, 2, 2};
  const std::size_t count =
      compare_with_threads(comm, [&](auto& own) { return results_of(own, mesh); });
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (std::int64_t step = 0; step < 10; ++step) random_step(comm, {2, 4}, seed, step);
  // Many messages out of order, which MPI does not pass on before they are received.
  const Device next = (comm.device() + 1) % comm.size();
  const Device last = (comm.device() + comm.size() - 1) % comm.size();
  std::vector<double> data(100'000);
  for (int tag = 0; tag < 8; ++tag) {
    std::fill(data.begin(), data.end(), static_cast<double>(tag + 10 * comm.device()));
    comm.send(next, tag, std::span(data));
  }
  for (int tag = 7; tag > 0; --tag) {  // the last one is never asked for
    comm.receive(last, tag, std::span(data));
    if (data.front() != static_cast<double>(tag + 10 * last) || data.back() != data.front())
      throw std::runtime_error("a message got lost");
  }
  comm.barrier(all_of(comm));  // all is well everywhere: the test looks for this line
  if (comm.device() == 0) std::printf("as the threads: %zu results, bit for bit\n", count);
}

void fail(Communicator& comm, const std::string& scenario) {
  const std::vector<Device> all = all_of(comm);
  std::vector<float> ten(10), larger(10 * all.size());
  if (scenario == "exception" && comm.device() == 2) throw std::out_of_range("no such layer");
  if (scenario == "mismatch" && comm.device() == 1) comm.all_gather(all, ten, std::span(larger));
  if (scenario == "members" && comm.device() == 0)
    comm.all_reduce(std::span(all).first(2), Reduction::sum, std::span(ten));
  if (scenario == "returned" && comm.device() == 2) return;
  if (scenario == "cycle") {
    std::vector<Device> pair{comm.device(), (comm.device() + 1) % comm.size()};
    std::sort(pair.begin(), pair.end());
    comm.all_reduce(pair, Reduction::sum, std::span(ten));
  }
  if (scenario == "message" && comm.device() == 3) comm.send(4, 1, std::span(larger));
  if (scenario == "message" && comm.device() == 4) comm.receive(3, 1, std::span(ten));
  if (scenario == "cancelled") return comm.receive((comm.device() + 1) % 8, 1, std::span(ten));
  comm.all_reduce(all, Reduction::sum, std::span(ten));
}

}  // namespace

int main(int argc, char** argv) {
  const MpiSession session(argc, argv);
  const std::string scenario = argc > 1 ? argv[1] : "same";
  std::stop_source source;
  std::jthread canceller;
  if (scenario == "cancelled")
    canceller = std::jthread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      source.request_stop();
    });
  run_on_ranks(
      [&](Communicator& comm) { return scenario == "same" ? same(comm) : fail(comm, scenario); },
      MPI_COMM_WORLD, source.get_token());
}
