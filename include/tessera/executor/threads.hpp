// SPDX-License-Identifier: Apache-2.0
//
// Devices that are threads of one process.
//
//   const std::vector<executor::Traffic> traffic = executor::run_on_threads(
//       mesh.device_count(), [&](executor::Communicator& comm) { ... });
//
// In a collective every member posts its call and where its data is, and reads the others' data
// where it lies.
//
// When a device fails, all others are stopped at their next call, or in the call they wait in.
// There is one exception: where all members of a group have met, they finish the call, since some
// may be reading the others' data.
//
// A deadlock is detected and does not hang.  When all devices wait or have returned, and nothing
// that any of them waits for has happened, the last device to wait reports which device waits for
// which other one, and in which call.
#pragma once
#include <functional>
#include <stop_token>
#include <vector>

#include "tessera/executor/communicator.hpp"
#include "tessera/executor/errors.hpp"

namespace tessera::executor {

/// Runs `body` on `devices` threads, one for each device, and returns what each device's calls
/// moved once all have ended.
///
/// Throws for the device that failed first, after all others have been stopped: CommunicationError,
/// DeviceError for an exception of `body`, or Cancelled when `stop` was requested before all had
/// ended.  A device that makes no calls notices neither until its next call.  @pre devices >= 1
std::vector<Traffic> run_on_threads(Extent devices, const std::function<void(Communicator&)>& body,
                                    std::stop_token stop = {});

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/threads.ipp"
#endif
