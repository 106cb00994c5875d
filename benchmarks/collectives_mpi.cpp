// SPDX-License-Identifier: Apache-2.0
//
// mpirun -n DEVICES collectives-mpi: how fast MPI's ranks exchange data, beside memcpy, in one run.
#include "collectives.hpp"
#include "tessera/executor/mpi.hpp"

int main(int argc, char** argv) {
  using namespace tessera;
  const executor::MpiSession session(argc, argv);
  executor::run_on_ranks([](executor::Communicator& comm) {
    benchmarks::compare_with_memcpy(comm, "ranks of MPI");
  });
}
