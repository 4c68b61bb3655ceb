#include "lathe/adapters/lora.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/ops/elementwise.h"

namespace lathe {
namespace {

/// The parts of the layer's weight that files know as `name`, in the order of its rows.
std::vector<Slice> slices_of(const Linear& linear, const std::string& name) {
  Inventory inventory;
  linear.weight->list(inventory);
  std::vector<Slice> found;
  for (const Stored* stored : inventory.stored)
    for (const Slice& slice : stored->slices)
      if (slice.name == name + ".weight") found.push_back(slice);
  if (found.empty()) throw InternalError(text("no section of this layer is called ", name));
  return found;
}

int64_t rows_of(const std::vector<Slice>& slices) {
  int64_t rows = 0;
  for (const Slice& slice : slices) rows += slice.rows;
  return rows;
}

DenseWeight down_of(const Linear& linear, const Lora::Options& o) {
  Slice slice = slices_of(linear, o.name).front();
  float deviation = 1 / std::sqrt(3 * float(slice.whole_columns));  // as uniform numbers within 1 / sqrt(in) have
  return {{o.rank, slice.columns},
          {{o.name + ".lora_A.weight", o.rank, slice.whole_columns, 0, o.rank, slice.first_column, slice.columns}},
          Init::normal(deviation)};
}

DenseWeight up_of(const Linear& linear, const Lora::Options& o) {
  std::vector<Slice> slices = slices_of(linear, o.name);
  for (Slice& slice : slices)
    slice = {o.name + ".lora_B.weight", slice.whole_rows, o.rank, slice.first_row, slice.rows, 0, o.rank};
  return {{rows_of(slices), o.rank}, slices, Init::zeros()};
}

}  // namespace

Lora::Lora(const Linear& linear, const Options& options)
    : down_(down_of(linear, options)), up_(up_of(linear, options)), scale_(options.scale) {
  if (linear.split() == Split::none || !linear.ranks()) return;
  DenseWeight& whole = linear.split() == Split::out ? down_ : up_;  // every rank has it, and another gradient
  whole.parameter.sum_over.push_back(linear.ranks());
}

Tensor Lora::apply(const Tensor& x, Tensor y, int64_t first, Pass&) const {
  Tensor narrow = scale(down_.multiply(x, {}), scale_);
  return add_columns(std::move(y), up_.multiply(narrow, {}), first);
}

void Lora::list(Inventory& inventory) {
  down_.list(inventory);
  up_.list(inventory);
}

void add_lora(Linear& linear, const Lora::Options& options) {
  const std::vector<Section>& sections = linear.sections();
  auto of_name = [&](const Section& section) { return section.name == options.name; };
  auto first = std::find_if(sections.begin(), sections.end(), of_name);
  linear.inner.push_back({size_t(first - sections.begin()), std::make_unique<Lora>(linear, options)});
}

}  // namespace lathe
