// SPDX-License-Identifier: Apache-2.0
//
// How a run ends that does not end well: the first failure is the run's, and it says where.
#pragma once
#include <exception>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/call.hpp"

namespace tessera::executor {

// A device's own exception, as the run reports it: "device 3: ...".
class DeviceError : public Error {
 public:
  DeviceError(Device device, const std::string& what, std::exception_ptr cause)
      : Error("device " + std::to_string(device) + ": " + what),
        device_(device),
        cause_(std::move(cause)) {}

  Device device() const noexcept { return device_; }
  const std::exception_ptr& cause() const noexcept { return cause_; }

 private:
  Device device_;
  std::exception_ptr cause_;
};

// The run was cancelled from outside.
class Cancelled : public Error {
 public:
  Cancelled() : Error("the run was cancelled") {}
};

// Thrown by the calls of a device that has to stop because another one failed, or because the run
// was cancelled.  Let it pass: the run reports the reason.
class Stopped : public Error {
 public:
  Stopped() : Error("the run was stopped elsewhere") {}
};

namespace detail {

struct DeviceException {
  Device device = -1;  // where it is that of one device
  std::exception_ptr exception;
};

// Nothing where there is no exception.  CommunicationError and Cancelled say all themselves; what a
// device threw becomes a DeviceError.
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
    throw DeviceError(failure.device, "an exception that is none of std's", failure.exception);
  }
}

// Whether it is one device's alone, and not something between devices.
inline bool is_own(const DeviceException& failure) {
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

}  // namespace detail

}  // namespace tessera::executor
