// SPDX-License-Identifier: Apache-2.0
//
// HLO text, IOPDDL JSON, plans as JSON and as HLO.
#pragma once
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/annotations.hpp"
#include "tessera/io/hlo/custom_calls.hpp"
#include "tessera/io/hlo/emit.hpp"
#include "tessera/io/hlo/emit_stages.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/io/hlo/writer.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/io/pipeline_json.hpp"
#include "tessera/io/plan_json.hpp"
#include "tessera/io/price_store.hpp"
#include "tessera/io/xla_request.hpp"
