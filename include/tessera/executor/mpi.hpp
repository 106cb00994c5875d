// SPDX-License-Identifier: Apache-2.0
//
// Devices that are MPI ranks: the same collectives as threads.hpp, with results that are bit for
// bit the same.
//
//   int main(int argc, char** argv) {
//     const executor::MpiSession session(argc, argv);
//     executor::run_on_ranks([&](executor::Communicator& comm) { ... });
//   }
//   mpirun -n 8 ./program
//
// MPI only carries bytes from rank to rank.  A failure ends the whole run: its message is printed,
// and MPI ends all ranks.  Bodies stand in this header even under TESSERA_SEPARATE_COMPILATION,
// since a library that is compiled once can not depend on an MPI installation.
#pragma once
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>

#include "tessera/executor/communicator.hpp"
#include "tessera/executor/detail/communication/failure.hpp"
#include "tessera/executor/detail/communication/mpi_transport.hpp"
#include "tessera/executor/errors.hpp"

namespace tessera::executor {

/// MPI is initialised from here to the end of the scope.
class MpiSession {
 public:
  MpiSession(int& argc, char**& argv) { MPI_Init(&argc, &argv); }
  MpiSession() { MPI_Init(nullptr, nullptr); }
  ~MpiSession() { MPI_Finalize(); }
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
};

namespace detail {

[[noreturn]] inline void abort_run(MPI_Comm comm, const DeviceException& failure) {
  // An error of the communication is found by several devices: the others leave the first one time
  // to report it for all.
  constexpr Device most = 10;
  if (!is_of_one_device(failure))
    std::this_thread::sleep_for(std::chrono::milliseconds(100) * std::min(failure.device, most));
  std::fprintf(stderr, "%s\n", text_of(failure).c_str());
  std::fflush(nullptr);
  MPI_Abort(comm, EXIT_FAILURE);
  std::abort();
}

}  // namespace detail

/// Runs `body` on every rank of `comm`, and returns what this device's calls moved once all have
/// ended.  Called by all ranks, within an MpiSession or between MPI_Init and MPI_Finalize.
///
/// When a device fails, or when `stop` is requested on its rank, the message of the exception (as
/// in threads.hpp) is printed to stderr, and all ranks are ended by MPI_Abort.
inline Traffic run_on_ranks(const std::function<void(Communicator&)>& body,
                            MPI_Comm comm = MPI_COMM_WORLD, std::stop_token stop = {}) {
  MPI_Comm own = MPI_COMM_NULL;
  MPI_Comm_dup(comm, &own);
  Traffic traffic;
  {
    detail::MpiTransport transport(own, std::move(stop));
    Communicator communicator(transport);
    try {
      body(communicator);
      transport.leave();
    } catch (...) {
      detail::abort_run(own, {transport.device(), std::current_exception()});
    }
    traffic = communicator.traffic();
  }
  MPI_Comm_free(&own);
  return traffic;
}

}  // namespace tessera::executor
