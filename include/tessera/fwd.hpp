// SPDX-License-Identifier: Apache-2.0
//
// Forward declarations of the types that users name most, for headers that only mention them.
#pragma once
#include <cstdint>

namespace tessera {

class Error;

template<std::int64_t... Extents>
class Mesh;
class DynamicMesh;
class AxisSet;
class DynamicSharding;

namespace graph {
enum class ElementType : std::uint8_t;
enum class Opcode : std::uint8_t;
struct TensorType;
struct Value;
struct Op;
class Attributes;
class Graph;
class Tensor;
class Builder;
struct Optimizer;
}  // namespace graph

namespace cost {
struct Cluster;
class Alpa;
class ClusterModel;
class Prices;
}  // namespace cost

namespace strategy {
struct Strategy;
struct Annotation;
}  // namespace strategy

namespace solver {
class Problem;
struct Options;
struct Result;
struct Verdict;
}  // namespace solver

namespace plan {
struct Options;
struct Plan;
struct PipelineOptions;
struct PipelinePlan;
}  // namespace plan

namespace executor {
class Tensor;
}  // namespace executor

namespace io::hlo {
struct Module;
struct Program;
}  // namespace io::hlo

}  // namespace tessera
