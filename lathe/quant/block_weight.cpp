#include "lathe/quant/block_weight.h"

#include <algorithm>
#include <numeric>

#include "lathe/base/error.h"

namespace lathe {
namespace {

int64_t rows_of(const std::vector<Slice>& slices) {
  return std::accumulate(slices.begin(), slices.end(), int64_t{0},
                         [](int64_t rows, const Slice& slice) { return rows + slice.rows; });
}

}  // namespace

BlockWeight::BlockWeight(int64_t in, const std::vector<Rows>& all) : in_(in) {
  for (const Rows& rows : all) {
    Part& part = parts_.emplace_back(Part{rows.format, {}});
    part.codes.slices = rows.slices;
    int64_t count = rows_of(rows.slices) + rows.padding;
    part.codes.value = part.codes.kept = Tensor::declare({count, bytes_of_row(*rows.format, in)}, DType::u8);
    out_ += count;
  }
}

Tensor BlockWeight::multiply(const Tensor& x, const Epilogue& epilogue) const {
  return multiply_blocks(x, matrices_, epilogue);
}

Tensor BlockWeight::multiply_normed(const Tensor& x, const InputNorm& norm, const NormedEpilogue& epilogue) const {
  return multiply_blocks_normed(x, norm, matrices_, epilogue);
}

Tensor BlockWeight::rows(const Tensor& ids) const { return block_rows(matrices_, ids, compute_); }

Tensor BlockWeight::dequantize() const { return dequantized(matrices_, compute_); }

int64_t BlockWeight::granule(int axis) const {
  int64_t granule = 1;
  if (axis == 1)
    for (const Part& part : parts_) granule = std::max(granule, part.format->elements);
  return granule;
}

void BlockWeight::materialize(DType compute) {
  PurposeScope scope(Purpose::weights);
  compute_ = compute;
  matrices_.clear();
  for (Part& part : parts_) {
    Shape shape = part.codes.value.shape(), whole = {shape[0], in_};
    auto storage = std::make_shared<Storage>(std::max(shape.elements(), packed_bytes(*part.format, whole)));
    storage->restore();
    part.codes.value = part.codes.kept = Tensor::view(std::move(storage), 0, shape, DType::u8);
    matrices_.push_back({part.format, part.codes.value, whole});
  }
}

void BlockWeight::prepare() {
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (matrices_[i].packed) continue;
    matrices_[i] = pack_in_place(*parts_[i].format, parts_[i].codes.value);
    parts_[i].codes.value = parts_[i].codes.kept = Tensor::declare(parts_[i].codes.value.shape(), DType::u8);
  }
}

void BlockWeight::list(Inventory& inventory) {
  inventory.add(*this);
  for (Part& part : parts_) inventory.add(part.codes);
}

namespace {

/// Runs of slices in one format; none where a tensor has another type.
std::vector<BlockWeight::Rows> runs_of(const Parameter& dense, const FormatOf& format_of) {
  std::vector<BlockWeight::Rows> runs;
  if (dense.value.shape().rank() != 2) return {};
  for (const Slice& slice : dense.slices) {
    const BlockFormat* format = format_of(slice.name);
    if (!format || slice.columns % format->elements != 0) return {};
    if (runs.empty() || runs.back().format != format) runs.push_back({format, {}});
    runs.back().slices.push_back(slice);
  }
  int64_t rows = rows_of(dense.slices);
  if (!runs.empty()) runs.back().padding = dense.value.shape()[0] - rows;
  return runs;
}

}  // namespace

int use_blocks(Model& model, const FormatOf& format_of) {
  int used = 0;
  for (std::unique_ptr<Weight>* holder : model.inventory().holders) {
    auto* dense = dynamic_cast<DenseWeight*>(holder->get());
    if (!dense) continue;
    std::vector<BlockWeight::Rows> runs = runs_of(dense->parameter, format_of);
    if (runs.empty()) continue;
    *holder = std::make_unique<BlockWeight>(dense->in(), runs);
    ++used;
  }
  return used;
}

}  // namespace lathe
