#include "lathe/nn/stored.h"

#include <algorithm>
#include <utility>

#include "lathe/nn/normal.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/sum.h"

namespace lathe {

Slice whole_matrix(std::string name, int64_t rows, int64_t columns, bool transposed) {
  return {std::move(name), rows, columns, 0, rows, 0, columns, transposed, false};
}

Slice whole_vector(std::string name, int64_t elements) {
  return {std::move(name), elements, 1, 0, elements, 0, 1, false, true};
}

int64_t Stored::elements() const {
  int64_t elements = 0;
  for (const Slice& slice : slices) elements += slice.rows * slice.columns;
  return elements;
}

Parameter::Parameter(Shape shape, std::vector<Slice> of, Init begin, bool is_wide) : wide(is_wide) {
  slices = std::move(of);
  init = begin;
  value = Tensor::declare(shape);
  kept = value;
  value.make_leaf(this);
}

void Parameter::materialize_trained(DType compute) {
  PurposeScope scope(Purpose::weights);
  kept = Tensor::empty(kept.shape());
  bool same = (wide || compute == DType::f32) && !shard;
  Tensor whole = same ? kept : Tensor::declare(value.shape(), wide ? DType::f32 : compute);
  if (!shard) whole.storage().restore();
  whole.make_leaf(value.is_leaf() ? this : nullptr);
  value = whole;
}

void Parameter::materialize(DType compute, int64_t least_bytes) {
  PurposeScope scope(Purpose::weights);
  DType dtype = wide ? DType::f32 : compute;
  auto storage = std::make_shared<Storage>(std::max(value.elements() * size_of(dtype), least_bytes));
  storage->restore();
  value = Tensor::view(std::move(storage), 0, value.shape(), dtype);
  kept = value;
}

void Parameter::refresh() {
  if (!shard && value.shared_storage() != kept.shared_storage()) {
    Tensor to = value.detached();
    copy(kept, to);
  }
}

Tensor& Parameter::gradient_with_bytes() {
  PurposeScope scope(Purpose::gradients);
  if (!gradient) gradient = Tensor::empty(kept.shape());
  return gradient;
}

std::optional<GradientSlot> Parameter::slot() {
  PurposeScope scope(Purpose::gradients);
  if (shard && !whole_) whole_ = Tensor::empty(value.shape());
  return GradientSlot{shard ? whole_ : gradient_with_bytes(), std::exchange(written_, true)};
}

void Parameter::receive(const Tensor& arrived) {
  auto [into, add] = *slot();
  Tensor fitting = arrived.alias(into.shape());
  if (add)
    accumulate(fitting, into);
  else
    copy(fitting, into);
}

void Parameter::begin_step(int64_t micro_batches) {
  written_ = begun_ = finished_ = false;
  completed_ = 0;
  awaited_ = micro_batches * users;
  whole_ = Tensor();  // left where an exception ended the last step
  if (micro_batches == 1) gradient = Tensor();
}

void Parameter::complete() {
  ++completed_;
  if (completed_ % users == 0) scatter();
  if (completed_ == awaited_) finish_step();
}

/// Every micro-batch: the whole gradient must not outlive the backward of the blocks that use it.
void Parameter::scatter() {
  if (!whole_) return;
  PurposeScope scope(Purpose::gradients);
  Tensor part = begun_ ? Tensor::empty(kept.shape()) : gradient_with_bytes();
  shard->reduce_scatter(whole_, part).wait();
  if (std::exchange(begun_, true)) accumulate(part, gradient);
  whole_ = Tensor();
  written_ = false;
}

void Parameter::finish_step() {
  if (!trained() || std::exchange(finished_, true)) return;
  scatter();
  if (!(shard ? begun_ : written_)) fill(gradient_with_bytes(), 0);
  for (Communicator* ranks : sum_over) ranks->all_reduce(gradient).wait();
}

namespace {

void normal_plain(const Random& random, float deviation, const Slice& slice, Tensor& rows) {
  float* to = rows.data<float>();
#pragma omp parallel for schedule(static) if (rows.elements() > kParallelElements)
  for (int64_t i = 0; i < slice.rows; ++i)
    for (int64_t j = 0; j < slice.columns; ++j)
      to[i * slice.columns + j] =
          deviation * random.normal(uint64_t((slice.first_row + i) * slice.whole_columns + slice.first_column + j));
}

const bool provided = normal_kernel.provide(Isa::plain, normal_plain);

}  // namespace

void initialize(Parameter& parameter, const Random& random) {
  if (parameter.init.kind != Init::Kind::normal) {
    fill(parameter.kept, parameter.init.kind == Init::Kind::ones ? 1.0f : 0.0f);
    return;
  }
  int64_t row = 0;
  Tensor matrix = parameter.kept.alias(
      {parameter.kept.shape().rows() == 0 ? 0 : parameter.kept.elements() / parameter.slices.front().columns,
       parameter.slices.front().columns});
  for (const Slice& slice : parameter.slices) {
    Tensor rows = matrix.rows(row, slice.rows);
    normal_kernel({0, rows.bytes()}, random.fork(slice.name), parameter.init.deviation, slice, rows);
    row += slice.rows;
  }
  Tensor padding = matrix.rows(row, matrix.shape()[0] - row);
  if (padding.elements() > 0) fill(padding, 0);
}

}  // namespace lathe
