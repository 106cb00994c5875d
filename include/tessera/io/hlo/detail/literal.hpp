// SPDX-License-Identifier: Apache-2.0
//
// The values of constants: their grammar, the numbers they hold, and their text.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "tessera/core/inline.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// Passes over a constant's value, which must have the shape's structure.
Extract scan_literal(Scanner& scan, const Shape& shape);

// The numbers of an array's value, in the order of the text.  Nothing where the dump elided some.
// @pre scan_literal() has accepted the text
std::optional<graph::Literal> parse_literal(std::string_view text, ElementType element);

// The elements of a constant, in braces for each dim.
std::string literal_text(const graph::Literal& literal, const TensorType& type);

// The shortest decimal that reads back as the same number.
std::string number_text(double value);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/literal.ipp"
#endif
