// SPDX-License-Identifier: Apache-2.0
//
// Whether MPI's ranks get what threads get, bit for bit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tessera/executor/mpi.hpp"
#include "tessera/executor/threads.hpp"

namespace tessera_test {

// What a device has in the end, of any types, one after the other.
class Results {
 public:
  template<class T>
  void add(std::span<const T> values) {
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(values.data());
    bytes_.insert(bytes_.end(), begin, begin + values.size_bytes());
    ++count_;
  }
  // How often it was counted, and what.
  void add(const tessera::executor::Tally& tally) {
    const std::uint64_t numbers[] = {tally.calls, tally.message, tally.sent};
    add(std::span<const std::uint64_t>(numbers));
  }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  std::size_t count() const { return count_; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t count_ = 0;
};

// Calls results_of(communicator) on all ranks; rank 0 gathers what all have, and runs threads to
// compare.  Throws where they differ.  Returns how many results agreed on all devices, on rank 0.
template<class ResultsOf>
std::size_t compare_with_threads(tessera::executor::Communicator& comm, ResultsOf&& results_of) {
  using namespace tessera;
  constexpr executor::Tag tag = 4711;
  const Results own = results_of(comm);
  if (comm.device() != 0) {
    comm.send(0, tag, std::span(own.bytes()));
    return 0;
  }
  std::vector<Results> threads(static_cast<std::size_t>(comm.size()));
  executor::run_on_threads(comm.size(), [&](executor::Communicator& thread) {
    threads[static_cast<std::size_t>(thread.device())] = results_of(thread);
  });
  std::size_t count = 0;
  for (Device rank = 0; rank < comm.size(); ++rank) {
    const Results& expected = threads[static_cast<std::size_t>(rank)];
    std::vector<std::uint8_t> bytes = own.bytes();
    if (rank != 0) {
      bytes.resize(expected.bytes().size());
      comm.receive(rank, tag, std::span(bytes));
    }
    if (bytes != expected.bytes())
      throw std::runtime_error("rank " + std::to_string(rank) + " differs from the threads");
    count += expected.count();
  }
  return count;
}

}  // namespace tessera_test
