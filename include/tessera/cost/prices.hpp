// SPDX-License-Identifier: Apache-2.0
//
// All that planning asks of a cost model, behind one interface.
//
//   const std::shared_ptr<const cost::Prices> prices =
//   cost::prices_of(cost::Alpa::with_defaults(2));
//
// Users write a cost model as a plain type (CostModel, in model.hpp).  The planner is compiled once
// and not once for each such type, so it knows this interface only; plan() and its like convert.
// Answers are remembered where they are asked for often (resharding.hpp), so a virtual call is not
// to be measured.
#pragma once
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "tessera/core/inline.hpp"
#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/model.hpp"

namespace tessera::cost {

/// The prices of collectives and of work.  Prices are integers in the model's own unit.
class Prices {
 public:
  virtual ~Prices() = default;

  /// The price of one collective step over `axis`, which has `devices` devices.
  virtual Cost price(StepKind kind, Axis axis, Extent devices, const Message& message) const = 0;
  /// How many of the model's units make one as people write it: a power of ten.
  virtual Cost denominator() const = 0;
  /// The name of the unit that people write.
  virtual std::string_view unit() const = 0;
  /// Whether heavy ops must use every mesh axis they can, since work has no price.
  virtual bool spreads_heavy_ops() const = 0;
  /// Whether work has a price.
  virtual bool prices_work() const = 0;
  /// The price of the work of one device for an op; 0 where work has no price.
  virtual Cost work_price(const Work& work) const = 0;
  /// For how many mesh axes there are prices; nothing where they do not depend on the axis.
  virtual std::optional<std::size_t> axis_count() const = 0;
  /// The device, under a model of real ones, where prices are times; else null.
  virtual const Accelerator* device() const = 0;
};

namespace detail {

template<CostModel Model>
class PricesOf final : public Prices {
 public:
  explicit PricesOf(const Model& model) : model_(model) {}

  Cost price(StepKind kind, Axis axis, Extent devices, const Message& message) const override {
    return model_.price(kind, axis, devices, message);
  }
  Cost denominator() const override { return model_.denominator(); }
  std::string_view unit() const override { return model_.unit(); }
  bool spreads_heavy_ops() const override { return model_.spreads_heavy_ops(); }
  bool prices_work() const override { return PricesWork<Model>; }
  Cost work_price(const Work& work) const override {
    if constexpr (PricesWork<Model>) return model_.work_price(work);
    return static_cast<void>(work), 0;
  }
  std::optional<std::size_t> axis_count() const override {
    if constexpr (requires { model_.axis_count(); }) return model_.axis_count();
    return std::nullopt;
  }
  const Accelerator* device() const override {
    if constexpr (requires {
                    { model_.device() } -> std::same_as<const Accelerator&>;
                  })
      return &model_.device();
    return nullptr;
  }

 private:
  Model model_;
};

}  // namespace detail

/// The prices of a model, which is copied.
template<CostModel Model>
  requires(!std::derived_from<Model, Prices>)
std::shared_ptr<const Prices> prices_of(const Model& model) {
  return std::make_shared<const detail::PricesOf<Model>>(model);
}

/// The same prices, without a copy.  They must outlive the result.
inline std::shared_ptr<const Prices> prices_of(const Prices& prices) {
  return {std::shared_ptr<const Prices>(), &prices};
}

/// Throws InvalidArgument where the model has no coefficients for some axis of the mesh.
void check_axis_count(const Prices& prices, const DynamicMesh& mesh);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/prices.ipp"
#endif
