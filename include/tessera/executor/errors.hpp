// SPDX-License-Identifier: Apache-2.0
//
// How a run fails.  The first failure of any device is the failure of the run.
#pragma once
#include <exception>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::executor {

/// A program that can not be executed: an op without a kernel, or an element type without storage.
class Unsupported : public Error {
 public:
  using Error::Error;
};

/// The devices disagree on what they call, or wait for each other in a cycle.
class CommunicationError : public Error {
 public:
  using Error::Error;
};

/// An exception that one device threw, as the run reports it: "device 3: ...".
class DeviceError : public Error {
 public:
  DeviceError(Device device, const std::string& what, std::exception_ptr cause)
      : Error("device " + std::to_string(device) + ": " + what),
        device_(device),
        cause_(std::move(cause)) {}

  Device device() const noexcept { return device_; }
  /// The exception itself.
  const std::exception_ptr& cause() const noexcept { return cause_; }

 private:
  Device device_;
  std::exception_ptr cause_;
};

/// The run was cancelled from outside.
class Cancelled : public Error {
 public:
  Cancelled() : Error("the run was cancelled") {}
};

/// Thrown by the calls of a device that has to stop because another device failed, or because the
/// run was cancelled.  Do not handle it: the run itself reports the reason.
class Stopped : public Error {
 public:
  Stopped() : Error("the run was stopped elsewhere") {}
};

}  // namespace tessera::executor
