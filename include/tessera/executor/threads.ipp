// SPDX-License-Identifier: Apache-2.0
//
// Starting and joining the devices' threads.
#pragma once
#include "tessera/executor/threads.hpp"

#include <exception>
#include <thread>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/communication/thread_transport.hpp"

namespace tessera::executor {

namespace detail {

inline Traffic run_device(Fabric& fabric, Device device,
                          const std::function<void(Communicator&)>& body) {
  ThreadTransport transport(fabric, device);
  Communicator communicator(transport);
  try {
    body(communicator);
    fabric.leave(device);
  } catch (const Stopped&) {
  } catch (...) {
    fabric.stop(device, std::current_exception());
  }
  return communicator.traffic();
}

}  // namespace detail

TESSERA_INLINE std::vector<Traffic> run_on_threads(Extent devices,
                                                   const std::function<void(Communicator&)>& body,
                                                   std::stop_token stop) {
  if (devices < 1)
    throw InvalidArgument("a run needs at least one device, and was asked for " +
                          std::to_string(devices));
  detail::Fabric fabric(devices);
  std::vector<Traffic> traffic(static_cast<std::size_t>(devices));
  {
    const std::stop_callback on_stop(
        stop, [&] { fabric.stop(-1, std::make_exception_ptr(Cancelled())); });
    std::vector<std::jthread> threads;
    try {
      for (Device device = 0; device < devices; ++device)
        threads.emplace_back([&, device] {
          traffic[static_cast<std::size_t>(device)] = detail::run_device(fabric, device, body);
        });
    } catch (...) {  // no more threads can be started
      fabric.stop(-1, std::current_exception());
    }
  }
  detail::rethrow(fabric.failure());
  return traffic;
}

}  // namespace tessera::executor
