// SPDX-License-Identifier: Apache-2.0
//
// Training steps of known networks, by size or by name.
#pragma once
#include "tessera/models/catalogue.hpp"
#include "tessera/models/gpt.hpp"
#include "tessera/models/llama.hpp"
#include "tessera/models/mlp.hpp"
#include "tessera/models/moe.hpp"
#include "tessera/models/step.hpp"
#include "tessera/models/unet.hpp"
#include "tessera/models/wide_resnet.hpp"
