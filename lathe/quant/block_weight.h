#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "lathe/nn/module.h"
#include "lathe/nn/weight.h"
#include "lathe/quant/block_product.h"

namespace lathe {

/// A weight in blocks as GGUF files have them, for use alone: no expansion in memory. What is stored is u8 [rows, bytes
/// of a row], one tensor for each run of rows in one format: a file's bytes, whole blocks of rows of its tensors.
class BlockWeight : public Weight {
 public:
  /// Rows of a weight and their format; slices as a Stored has them.
  struct Rows {
    const BlockFormat* format;
    std::vector<Slice> slices;
    int64_t padding = 0;  ///< rows of zeros behind them
  };
  /// Throws Error when a row is not whole blocks.
  BlockWeight(int64_t in, const std::vector<Rows>& rows);

  int64_t out() const override { return out_; }
  int64_t in() const override { return in_; }
  Tensor multiply(const Tensor& x, const Epilogue& epilogue) const override;
  Tensor multiply_normed(const Tensor& x, const InputNorm& norm, const NormedEpilogue& epilogue) const override;
  Tensor rows(const Tensor& ids) const override;
  Tensor dequantize() const override;
  int64_t granule(int axis) const override;
  void materialize(DType compute) override;
  void prepare() override;
  void list(Inventory& inventory) override;

 private:
  struct Part {
    const BlockFormat* format;
    Stored codes;
  };
  int64_t in_, out_ = 0;
  DType compute_ = DType::f32;
  std::deque<Part> parts_;
  std::vector<BlockMatrix> matrices_;  ///< what products read; packed once prepared
};

/// The block format in which a tensor will be loaded, by its name in the model; null for any other.
using FormatOf = std::function<const BlockFormat*(const std::string& name)>;

/// Puts a BlockWeight in place of each dense weight of a declared model all of whose tensors come in block formats;
/// returns how many. Others stay as they are.
int use_blocks(Model& model, const FormatOf& format_of);

}  // namespace lathe
