// SPDX-License-Identifier: Apache-2.0
//
// What custom-calls do, by their targets.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace tessera::io::hlo {

// What a custom-call does, as far as sharding goes.
enum class CustomCall : std::uint8_t {
  identity,       // the operand itself
  elementwise,    // all operands and the result have the same dims
  last_dim,       // along the last dim, which stays whole (softmax, normalisation)
  last_two_dims,  // on matrices, which stay whole (decompositions)
  marker,         // the operands themselves, tuples too; a layer begins or ends here
};

using CustomCalls = std::map<std::string, CustomCall, std::less<>>;  // by target

// Targets known from dumps.
inline CustomCalls known_custom_calls() {
  return {
      {"Sharding", CustomCall::identity},
      {"LayoutConstraint", CustomCall::identity},
      {"MoveToDevice", CustomCall::identity},
      {"MoveToHost", CustomCall::identity},
      {"annotate_device_placement", CustomCall::identity},
      {"AwsNeuronTransferWithStaticRing", CustomCall::identity},
      {"AwsNeuronGelu", CustomCall::elementwise},
      {"AwsNeuronGeluBackward", CustomCall::elementwise},
      {"AwsNeuronGeluApprxTanh", CustomCall::elementwise},
      {"AwsNeuronGeluApprxTanhBackward", CustomCall::elementwise},
      {"AwsNeuronSilu", CustomCall::elementwise},
      {"AwsNeuronSiluBackward", CustomCall::elementwise},
      {"AwsNeuronRmsNorm", CustomCall::last_dim},
      {"AwsNeuronSoftmax", CustomCall::last_dim},
      {"AwsNeuronSoftmaxBackward", CustomCall::last_dim},
      {"TopK", CustomCall::last_dim},
      {"Eigh", CustomCall::last_two_dims},
      {"Qr", CustomCall::last_two_dims},
      {"pipeline_marker", CustomCall::marker},
  };
}

}  // namespace tessera::io::hlo
