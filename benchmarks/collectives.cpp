// SPDX-License-Identifier: Apache-2.0
//
// collectives [DEVICES]: how fast the executor's threads exchange data, beside memcpy, in one run.
#include "collectives.hpp"

#include <cstdio>
#include <cstdlib>

#include "tessera/executor/threads.hpp"

int main(int argc, char** argv) {
  using namespace tessera;
  const Extent devices = argc > 1 ? std::atoi(argv[1]) : 2;
  if (devices < 2) {
    std::fprintf(stderr, "usage: collectives [DEVICES, 2 or more]\n");
    return 2;
  }
  executor::run_on_threads(devices, [](executor::Communicator& comm) {
    benchmarks::compare_with_memcpy(comm, "threads");
  });
}
