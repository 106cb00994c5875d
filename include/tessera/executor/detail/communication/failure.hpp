// SPDX-License-Identifier: Apache-2.0
//
// The first failure of a run, and how it is reported (errors.hpp).
#pragma once
#include <exception>
#include <string>

#include "tessera/executor/errors.hpp"

namespace tessera::executor::detail {

struct DeviceException {
  Device device = -1;  // the device that threw it; -1 where it concerns several devices
  std::exception_ptr exception;
};

// Does nothing where there is no exception.  CommunicationError and Cancelled are complete
// messages; any other exception of a device becomes a DeviceError.
inline void rethrow(const DeviceException& failure) {
  if (!failure.exception) return;
  if (failure.device < 0) std::rethrow_exception(failure.exception);
  try {
    std::rethrow_exception(failure.exception);
  } catch (const CommunicationError&) {
    throw;
  } catch (const std::exception& error) {
    throw DeviceError(failure.device, error.what(), failure.exception);
  } catch (...) {
    throw DeviceError(failure.device, "an exception that does not derive from std::exception",
                      failure.exception);
  }
}

// Whether it concerns one device only, and not the communication between devices.
inline bool is_of_one_device(const DeviceException& failure) {
  try {
    rethrow(failure);
  } catch (const DeviceError&) {
    return true;
  } catch (...) {
  }
  return false;
}
// @pre there is an exception
inline std::string text_of(const DeviceException& failure) {
  try {
    rethrow(failure);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace tessera::executor::detail
