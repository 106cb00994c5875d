// SPDX-License-Identifier: Apache-2.0
//
// The bodies of custom_calls.hpp.
#pragma once
#include "tessera/io/hlo/custom_calls.hpp"

namespace tessera::io::hlo {

TESSERA_INLINE CustomCalls known_custom_calls() {
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
