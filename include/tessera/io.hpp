// SPDX-License-Identifier: Apache-2.0
//
// HLO text, IOPDDL JSON, plans as JSON and as HLO.
#pragma once
#include "tessera/io/file.hpp"
#include "tessera/io/hlo_annotations.hpp"
#include "tessera/io/hlo_attribute_access.hpp"
#include "tessera/io/hlo_attributes.hpp"
#include "tessera/io/hlo_emit.hpp"
#include "tessera/io/hlo_import.hpp"
#include "tessera/io/hlo_meaning.hpp"
#include "tessera/io/hlo_module.hpp"
#include "tessera/io/hlo_opcodes.hpp"
#include "tessera/io/hlo_parser.hpp"
#include "tessera/io/hlo_rules.hpp"
#include "tessera/io/hlo_scanner.hpp"
#include "tessera/io/hlo_shapes.hpp"
#include "tessera/io/hlo_write.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/io/plan_json.hpp"
