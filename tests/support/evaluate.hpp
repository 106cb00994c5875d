// SPDX-License-Identifier: Apache-2.0
// Runs a program on one device, in double, the plain way: the judge of what ops mean.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "tessera/graph.hpp"

namespace tessera_test {

using tessera::Dims;
using tessera::Extent;
using tessera::Reduction;
using tessera::graph::Opcode;

using Place = std::vector<Extent>;

struct Array {
  Dims dims;
  std::vector<double> data;

  explicit Array(const Dims& d = {}, double value = 0)
      : dims(d), data(static_cast<std::size_t>(element_count(d)), value) {}

  std::size_t index(const Place& at) const {
    Extent index = 0;
    for (std::size_t d = 0; d < dims.size(); ++d) index = index * dims[d] + at[d];
    return static_cast<std::size_t>(index);
  }
  double& operator()(const Place& at) { return data[index(at)]; }
  double operator()(const Place& at) const { return data[index(at)]; }
};

template<class Visit>
void for_each_place(const Dims& dims, Visit&& visit) {
  Place at(dims.size(), 0);
  for (Extent left = element_count(dims); left > 0; --left) {
    visit(std::as_const(at));
    for (std::size_t d = dims.size(); d-- > 0;) {
      if (++at[d] < dims[d]) break;
      at[d] = 0;
    }
  }
}

inline double combined(Reduction reduction, double a, double b) {
  switch (reduction) {
    case Reduction::sum: return a + b;
    case Reduction::product: return a * b;
    case Reduction::max: return std::max(a, b);
    case Reduction::min: return std::min(a, b);
    default: throw std::logic_error("evaluate: no such reduction");
  }
}

class Evaluator {
 public:
  explicit Evaluator(const tessera::graph::Graph& graph) : graph_(graph) {}

  // The values of all ops (of one result), from those of the parameters by name.
  std::vector<Array> run(const std::map<std::string, Array>& parameters) {
    values_.clear();
    for (tessera::graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const tessera::graph::Op& op = graph_.op(id);
      values_.push_back(op.is_parameter ? parameters.at(op.name) : run(op, id));
      if (values_.back().dims != op.results[0].dims)
        throw std::logic_error("evaluate: op '" + op.name + "' has another shape");
    }
    return values_;
  }

 private:
  using Op = tessera::graph::Op;
  using OpId = tessera::graph::OpId;

  const Array& in(OpId id, std::size_t i) const { return values_[graph_.operand(id, i).op]; }

  Array run(const Op& op, OpId id) const {
    if (const auto found = unary.find(op.opcode); found != unary.end())
      return mapped(op, [&](std::size_t i) { return found->second(in(id, 0).data[i]); });
    if (const auto found = binary.find(op.opcode); found != binary.end())
      return mapped(
          op, [&](std::size_t i) { return found->second(in(id, 0).data[i], in(id, 1).data[i]); });
    const Dims& out = op.results[0].dims;
    Array result(out);
    const auto from = [&](auto&& place_of) {
      for_each_place(out, [&](const Place& at) { result(at) = in(id, 0)(place_of(at)); });
      return result;
    };
    const tessera::graph::Attributes& how = op.attributes;
    namespace g = tessera::graph;
    if (op.opcode == Opcode::constant) return constant(op, how.get<g::Literal>());
    if (op.opcode == Opcode::iota) {
      const auto dim = static_cast<std::size_t>(how.get<g::Dim>().dim);
      for_each_place(out, [&](const Place& at) { result(at) = static_cast<double>(at[dim]); });
      return result;
    }
    if (op.opcode == Opcode::compare)
      return mapped(op, [&](std::size_t i) {
        return compared(how.get<g::Comparison>().direction, in(id, 0).data[i], in(id, 1).data[i]);
      });
    if (op.opcode == Opcode::select)
      return mapped(op, [&](std::size_t i) {
        return in(id, 0).data[i] != 0 ? in(id, 1).data[i] : in(id, 2).data[i];
      });
    if (op.opcode == Opcode::convert) {
      const bool to_integer = is_integer(op.results[0].element);
      return mapped(op, [&](std::size_t i) {
        return to_integer ? std::trunc(in(id, 0).data[i]) : in(id, 0).data[i];
      });
    }
    if (op.opcode == Opcode::reshape)
      return mapped(op, [&](std::size_t i) { return in(id, 0).data[i]; });
    if (op.opcode == Opcode::broadcast)
      return from([&](const Place& at) {
        Place source;
        for (const Extent d : how.get<g::DimList>().dims)
          source.push_back(at[static_cast<std::size_t>(d)]);
        return source;
      });
    if (op.opcode == Opcode::transpose)
      return from([&](const Place& at) {
        Place source(at.size());
        const auto& dims = how.get<g::DimList>().dims;
        for (std::size_t d = 0; d < at.size(); ++d)
          source[static_cast<std::size_t>(dims[d])] = at[d];
        return source;
      });
    if (op.opcode == Opcode::reverse)
      return from([&](Place at) {
        for (const Extent dim : how.get<g::DimList>().dims) {
          const auto d = static_cast<std::size_t>(dim);
          at[d] = out[d] - 1 - at[d];
        }
        return at;
      });
    if (op.opcode == Opcode::slice)
      return from([&](Place at) {
        for (std::size_t d = 0; d < at.size(); ++d) {
          const g::SliceRange& range = how.get<g::Slicing>().ranges[d];
          at[d] = range.start + at[d] * range.stride;
        }
        return at;
      });
    if (op.opcode == Opcode::pad) return padded(op, id);
    if (op.opcode == Opcode::concatenate) {
      const auto dim = static_cast<std::size_t>(how.get<g::Dim>().dim);
      Extent begin = 0;
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
        for_each_place(in(id, i).dims, [&](Place at) {
          const double value = in(id, i)(at);
          at[dim] += begin;
          result(at) = value;
        });
        begin += in(id, i).dims[dim];
      }
      return result;
    }
    if (op.opcode == Opcode::dot) return product(op, id);
    if (op.opcode == Opcode::convolution) return convolved(op, id);
    if (op.opcode == Opcode::reduce) {
      const auto& reducing = how.get<g::Reducing>();
      std::fill(result.data.begin(), result.data.end(), in(id, 1).data[0]);
      for_each_place(in(id, 0).dims, [&](const Place& at) {
        Place to;
        for (std::size_t d = 0; d < at.size(); ++d)
          if (std::count(reducing.dims.begin(), reducing.dims.end(), static_cast<Extent>(d)) == 0)
            to.push_back(at[d]);
        result(to) = combined(reducing.reduction, result(to), in(id, 0)(at));
      });
      return result;
    }
    if (op.opcode == Opcode::reduce_window) {
      const auto& reducing = how.get<g::WindowReducing>();
      for_each_place(out, [&](const Place& at) {
        double value = in(id, 1).data[0];
        for_each_tap(reducing.window, at, in(id, 0).dims, [&](const Place& read) {
          value = combined(reducing.reduction, value, in(id, 0)(read));
        });
        result(at) = value;
      });
      return result;
    }
    if (op.opcode == Opcode::select_and_scatter) {
      const auto& scattering = how.get<g::WindowScattering>();
      std::fill(result.data.begin(), result.data.end(), in(id, 2).data[0]);
      for_each_place(in(id, 1).dims, [&](const Place& at) {
        Place chosen;
        for_each_tap(scattering.window, at, out, [&](const Place& read) {
          if (chosen.empty() ||
              compared(scattering.select, in(id, 0)(chosen), in(id, 0)(read)) == 0)
            chosen = read;
        });
        result(chosen) = combined(scattering.scatter, result(chosen), in(id, 1)(at));
      });
      return result;
    }
    if (op.opcode == Opcode::gather) return gathered(op, id);
    if (op.opcode == Opcode::scatter) return scattered(op, id);
    throw std::logic_error("evaluate: no such op: " + std::string(opcode_text(op)));
  }

  template<class At>
  static Array mapped(const Op& op, At&& at) {
    Array result(op.results[0].dims);
    for (std::size_t i = 0; i < result.data.size(); ++i) result.data[i] = at(i);
    return result;
  }
  static Array constant(const Op& op, const tessera::graph::Literal& literal) {
    return mapped(op, [&](std::size_t i) {
      return std::visit(
          [&](const auto& elements) {
            return static_cast<double>(elements[elements.size() == 1 ? 0 : i]);
          },
          literal.elements);
    });
  }
  static double compared(tessera::graph::Direction direction, double a, double b) {
    switch (direction) {
      case tessera::graph::Direction::eq: return a == b;
      case tessera::graph::Direction::ne: return a != b;
      case tessera::graph::Direction::ge: return a >= b;
      case tessera::graph::Direction::gt: return a > b;
      case tessera::graph::Direction::le: return a <= b;
      case tessera::graph::Direction::lt: return a < b;
    }
    return 0;
  }

  Array padded(const Op& op, OpId id) const {
    const auto& ranges = op.attributes.get<tessera::graph::Padding>().ranges;
    Array result(op.results[0].dims, in(id, 1).data[0]);
    for_each_place(in(id, 0).dims, [&](Place at) {
      const double value = in(id, 0)(at);
      for (std::size_t d = 0; d < at.size(); ++d) {
        at[d] = ranges[d].low + at[d] * (ranges[d].interior + 1);
        if (at[d] < 0 || at[d] >= result.dims[d]) return;
      }
      result(at) = value;
    });
    return result;
  }

  Array product(const Op& op, OpId id) const {
    const auto& dims = op.attributes.get<tessera::graph::DotDims>();
    const Array &a = in(id, 0), &b = in(id, 1);
    Array result(op.results[0].dims);
    Dims summed;
    for (const Extent d : dims.lhs_contracting)
      summed.push_back(a.dims[static_cast<std::size_t>(d)]);
    const auto has = [](const std::vector<Extent>& list, std::size_t d) {
      return std::count(list.begin(), list.end(), static_cast<Extent>(d)) != 0;
    };
    for_each_place(result.dims, [&](const Place& at) {
      Place left(a.dims.size()), right(b.dims.size());
      std::size_t next = 0;
      for (std::size_t i = 0; i < dims.lhs_batch.size(); ++i)
        left[static_cast<std::size_t>(dims.lhs_batch[i])] =
            right[static_cast<std::size_t>(dims.rhs_batch[i])] = at[next++];
      for (std::size_t d = 0; d < left.size(); ++d)
        if (!has(dims.lhs_batch, d) && !has(dims.lhs_contracting, d)) left[d] = at[next++];
      for (std::size_t d = 0; d < right.size(); ++d)
        if (!has(dims.rhs_batch, d) && !has(dims.rhs_contracting, d)) right[d] = at[next++];
      double sum = 0;
      for_each_place(summed, [&](const Place& k) {
        for (std::size_t i = 0; i < k.size(); ++i)
          left[static_cast<std::size_t>(dims.lhs_contracting[i])] =
              right[static_cast<std::size_t>(dims.rhs_contracting[i])] = k[i];
        sum += a(left) * b(right);
      });
      result(at) = sum;
    });
    return result;
  }

  // Calls visit(place read, taps) for all of a window's taps that fall on an element.
  template<class Visit>
  static void for_each_tap(const std::vector<tessera::graph::WindowDim>& window, const Place& at,
                           const Dims& read_dims, Visit&& visit) {
    Dims sizes;
    for (const auto& dim : window) sizes.push_back(dim.size);
    for_each_place(sizes, [&](const Place& taps) {
      Place read(at.size());
      for (std::size_t d = 0; d < at.size(); ++d) {
        const Extent spread = at[d] * window[d].stride - window[d].pad_low +
                              taps[d] * window[d].rhs_dilate;
        if (spread < 0 || spread % window[d].lhs_dilate != 0) return;
        read[d] = spread / window[d].lhs_dilate;
        if (read[d] >= read_dims[d]) return;
      }
      if constexpr (std::is_invocable_v<Visit, const Place&, const Place&>)
        visit(read, taps);
      else
        visit(read);
    });
  }

  Array convolved(const Op& op, OpId id) const {
    const auto& how = op.attributes.get<tessera::graph::Convolution>();
    const auto& dims = how.dims;
    const Array &input = in(id, 0), &kernel = in(id, 1);
    Array result(op.results[0].dims);
    const std::size_t space = how.window.size();
    Dims read_dims;
    for (const std::size_t d : dims.input_space) read_dims.push_back(input.dims[d]);
    for_each_place(result.dims, [&](const Place& at) {
      Place places;
      for (const std::size_t d : dims.output_space) places.push_back(at[d]);
      double sum = 0;
      for_each_tap(how.window, places, read_dims, [&](const Place& read, const Place& taps) {
        Place from(input.dims.size()), with(kernel.dims.size());
        for (std::size_t s = 0; s < space; ++s) {
          from[dims.input_space[s]] = read[s];
          with[dims.kernel_space[s]] = how.window[s].is_reversed ? how.window[s].size - 1 - taps[s]
                                                                 : taps[s];
        }
        // Of either kind of groups, each makes a run of the output's features.
        const Extent features = kernel.dims[dims.kernel_input];
        const Extent of_group = result.dims[dims.output_feature] /
                                (dims.feature_groups * dims.batch_groups);
        const Extent group = at[dims.output_feature] / of_group;
        const Extent feature_group = dims.feature_groups > 1 ? group : 0;
        const Extent batch_group = dims.batch_groups > 1 ? group : 0;
        from[dims.input_batch] = batch_group * result.dims[dims.output_batch] +
                                 at[dims.output_batch];
        with[dims.kernel_output] = at[dims.output_feature];
        for (Extent f = 0; f < features; ++f) {
          from[dims.input_feature] = feature_group * features + f;
          with[dims.kernel_input] = f;
          sum += input(from) * kernel(with);
        }
      });
      result(at) = sum;
    });
    return result;
  }

  // Lookups of rows, and their opposite; what else gathers may be is not for us.
  Array gathered(const Op& op, OpId id) const {
    const Array &table = in(id, 0), &indices = in(id, 1);
    Array result(op.results[0].dims);
    for_each_place(result.dims,
                   [&](const Place& at) { result(at) = table(row_place(table, indices, at)); });
    return result;
  }
  Array scattered(const Op&, OpId id) const {
    Array result = in(id, 0);
    const Array &indices = in(id, 1), &rows = in(id, 2);
    for_each_place(rows.dims,
                   [&](const Place& at) { result(row_place(result, indices, at)) += rows(at); });
    return result;
  }
  static Place row_place(const Array& table, const Array& indices, const Place& at) {
    const auto split = at.begin() + static_cast<std::ptrdiff_t>(indices.dims.size());
    const auto row = static_cast<Extent>(indices(Place(at.begin(), split)));
    Place place{std::clamp<Extent>(row, 0, table.dims[0] - 1)};
    place.insert(place.end(), split, at.end());
    return place;
  }

  inline static const std::map<Opcode, double (*)(double)> unary = {
      {Opcode::negate, [](double x) { return -x; }},
      {Opcode::exponential, [](double x) { return std::exp(x); }},
      {Opcode::log, [](double x) { return std::log(x); }},
      {Opcode::tanh, [](double x) { return std::tanh(x); }},
      {Opcode::sqrt, [](double x) { return std::sqrt(x); }},
      {Opcode::rsqrt, [](double x) { return 1 / std::sqrt(x); }},
      {Opcode::logistic, [](double x) { return 1 / (1 + std::exp(-x)); }},
      {Opcode::sine, [](double x) { return std::sin(x); }},
      {Opcode::cosine, [](double x) { return std::cos(x); }},
  };
  inline static const std::map<Opcode, double (*)(double, double)> binary = {
      {Opcode::add, [](double a, double b) { return a + b; }},
      {Opcode::subtract, [](double a, double b) { return a - b; }},
      {Opcode::multiply, [](double a, double b) { return a * b; }},
      {Opcode::divide, [](double a, double b) { return a / b; }},
      {Opcode::maximum, [](double a, double b) { return std::max(a, b); }},
      {Opcode::minimum, [](double a, double b) { return std::min(a, b); }},
      {Opcode::power, [](double a, double b) { return std::pow(a, b); }},
  };

  const tessera::graph::Graph& graph_;
  std::vector<Array> values_;
};

// Random values for every parameter: those of whole numbers lie below `classes`.
inline std::map<std::string, Array> random_parameters(const tessera::graph::Graph& graph,
                                                      Random& random, std::int64_t classes = 4) {
  std::map<std::string, Array> parameters;
  for (tessera::graph::OpId id = 0; id < graph.op_count(); ++id) {
    const tessera::graph::Op& op = graph.op(id);
    if (!op.is_parameter) continue;
    Array array(op.results[0].dims);
    const bool is_number = is_floating(op.results[0].element);
    for (double& value : array.data)
      value = is_number ? static_cast<double>(random.between(-1000, 1000)) / 1000
                        : static_cast<double>(random.between(0, classes - 1));
    parameters.emplace(op.name, std::move(array));
  }
  return parameters;
}

}  // namespace tessera_test
