// SPDX-License-Identifier: Apache-2.0
//
// Calls and deadlocks as text.
#pragma once
#include "tessera/executor/detail/communication/call.hpp"

#include "tessera/core/text.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE std::string to_string(const Call& call) {
  std::string text = executor::to_string(call.kind);
  if (call.kind != CallKind::barrier)
    text += " of " + std::to_string(call.count) + ' ' + std::string(to_string(call.element));
  if (call.reduction != Reduction::none)
    text += std::string(" by ") + tessera::to_string(call.reduction);
  if (call.kind == CallKind::broadcast || call.kind == CallKind::receive) text += " from ";
  if (call.kind == CallKind::send) text += " to ";
  if (call.partner >= 0) text += std::to_string(call.partner);
  if (call.tag >= 0) text += " tagged " + std::to_string(call.tag);
  if (call.kind == CallKind::permute) {
    constexpr char digits[] = "0123456789abcdef";  // the routes themselves do not fit in a line
    text += " by routes #";
    for (int shift = 12; shift >= 0; shift -= 4) text += digits[call.routes >> shift & 15U];
  }
  if (!call.group.view().empty()) text += " in {" + std::string(call.group.view()) + '}';
  if (!call.label.view().empty()) text += " (" + std::string(call.label.view()) + ')';
  return text;
}

TESSERA_INLINE std::string mismatch_text(Device a, const Call& of_a, Device b, const Call& of_b) {
  if (b < a) return mismatch_text(b, of_b, a, of_a);
  const bool is_message = of_a.kind == CallKind::send || of_b.kind == CallKind::send;
  return "mismatched calls: device " + std::to_string(a) + " calls " + to_string(of_a) +
         ", device " + std::to_string(b) + " calls " + to_string(of_b) +
         (is_message ? "; what is received must be what was sent"
                     : "; all members of a group must make the same calls in the same order");
}

TESSERA_INLINE std::string deadlock_text(std::vector<Wait> waits, bool has_last_returned) {
  // A cycle has no first device.  It is told from its smallest device on, so that all devices that
  // find it report the same text.
  if (!has_last_returned)
    std::rotate(waits.begin(),
                std::min_element(waits.begin(), waits.end(),
                                 [](const Wait& a, const Wait& b) { return a.device < b.device; }),
                waits.end());
  std::string text = "deadlock: " + joined(waits, "; ", [](const Wait& wait) {
                       return "device " + std::to_string(wait.device) + " waits for device " +
                              std::to_string(wait.awaited) + " in " + to_string(wait.call);
                     });
  if (has_last_returned)
    text += "; device " + std::to_string(waits.back().awaited) + " has returned";
  return text;
}

}  // namespace tessera::executor::detail
