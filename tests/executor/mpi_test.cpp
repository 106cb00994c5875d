// SPDX-License-Identifier: Apache-2.0
// mpirun -n 8 mpi_test SCENARIO: ranks as devices.
//
//   same    all results and byte counts are those of threads, bit for bit; and random steps
//   others  one thing goes wrong; what must be said of it stands in tests/CMakeLists.txt
#include <cstdio>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "executor/cases.hpp"
#include "tessera/executor/mpi.hpp"
#include "tessera/executor/threads.hpp"

using namespace tessera;
using namespace tessera::executor;
using namespace tessera_test;

namespace {

std::vector<Device> all_of(const MpiCommunicator& comm) {
  std::vector<Device> all(static_cast<std::size_t>(comm.size()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

template<class T>
void append(std::vector<std::uint8_t>& bytes, std::span<const T> data) {
  const auto* const begin = reinterpret_cast<const std::uint8_t*>(data.data());
  bytes.insert(bytes.end(), begin, begin + data.size_bytes());
}

// What one device has after collectives of every kind, and what it has counted.
struct Results {
  std::vector<std::uint8_t> bytes;
  std::size_t count = 0;
};

template<class C>
Results results_of(C& comm, const DynamicMesh& mesh) {
  Results results;
  for_each_case(mesh, comm.rank(), 2024,
                [&]<class T>(const Case& it, const std::vector<Device>& group) {
                  if ((it.seed >> 8U) % 4 != 0)
                    return;  // a fourth is enough, and ranks share few cores
                  const Buffer<T> out = run_case<T>(comm, it, group);
                  append(results.bytes, std::span<const T>(out.all()));
                  const Tally tally = comm.traffic().of(it.label);
                  append(results.bytes, std::span<const Tally>(&tally, 1));
                  ++results.count;
                });
  return results;
}

// Rank 0 gathers what all have, and runs threads to compare.
void compare_with_threads(MpiCommunicator& comm, const DynamicMesh& mesh) {
  const Results own = results_of(comm, mesh);
  if (comm.rank() != 0) return comm.send(0, 7, std::span(own.bytes));
  std::vector<Results> threads(static_cast<std::size_t>(comm.size()));
  run_on_threads(comm.size(), [&](ThreadCommunicator& thread) {
    threads[static_cast<std::size_t>(thread.rank())] = results_of(thread, mesh);
  });
  std::size_t count = 0;
  for (Device rank = 0; rank < comm.size(); ++rank) {
    const Results& expected = threads[static_cast<std::size_t>(rank)];
    std::vector<std::uint8_t> bytes(expected.bytes.size());
    if (rank == 0)
      bytes = own.bytes;
    else
      comm.receive(rank, 7, std::span(bytes));
    if (bytes != expected.bytes)
      throw std::runtime_error("rank " + std::to_string(rank) + " differs from the threads on " +
                               to_string(mesh));
    count += expected.count;
  }
  std::printf("mesh %s is as the threads: %zu results, bit for bit\n", to_string(mesh).c_str(),
              count);
}

void same(MpiCommunicator& comm) {
  compare_with_threads(comm, {2, 2, 2});
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (std::int64_t step = 0; step < 10; ++step) random_step(comm, {2, 4}, seed, step);
  // Letters that MPI does not pass on before they are asked for, many and out of order.
  const Device next = (comm.rank() + 1) % comm.size();
  const Device last = (comm.rank() + comm.size() - 1) % comm.size();
  std::vector<double> data(100'000);
  for (int tag = 0; tag < 8; ++tag) {
    std::fill(data.begin(), data.end(), static_cast<double>(tag + 10 * comm.rank()));
    comm.send(next, tag, std::span(data));
  }
  for (int tag = 7; tag > 0; --tag) {  // the last one is never asked for
    comm.receive(last, tag, std::span(data));
    if (data.front() != static_cast<double>(tag + 10 * last) || data.back() != data.front())
      throw std::runtime_error("a letter got lost");
  }
}

void fail(MpiCommunicator& comm, const std::string& scenario) {
  const std::vector<Device> all = all_of(comm);
  std::vector<float> ten(10), larger(10 * all.size());
  if (scenario == "exception" && comm.rank() == 2) throw std::out_of_range("no such layer");
  if (scenario == "mismatch" && comm.rank() == 1) comm.all_gather(all, ten, std::span(larger));
  if (scenario == "members" && comm.rank() == 0)
    comm.all_reduce(std::span(all).first(2), Reduction::sum, std::span(ten));
  if (scenario == "returned" && comm.rank() == 2) return;
  if (scenario == "circle") {
    std::vector<Device> pair{comm.rank(), (comm.rank() + 1) % comm.size()};
    std::sort(pair.begin(), pair.end());
    comm.all_reduce(pair, Reduction::sum, std::span(ten));
  }
  if (scenario == "letter" && comm.rank() == 3) comm.send(4, 1, std::span(larger));
  if (scenario == "letter" && comm.rank() == 4) comm.receive(3, 1, std::span(ten));
  if (scenario == "cancelled") return comm.receive((comm.rank() + 1) % 8, 1, std::span(ten));
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
      [&](MpiCommunicator& comm) { return scenario == "same" ? same(comm) : fail(comm, scenario); },
      MPI_COMM_WORLD, source.get_token());
}
