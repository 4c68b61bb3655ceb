#include "lathe/models/parts.h"

#include "lathe/ops/elementwise.h"

namespace lathe {

int64_t padded_vocabulary(int64_t vocab_size) {
  return Runtime::current().device.backend == Backend::cuda ? (vocab_size + 63) / 64 * 64 : vocab_size;
}

std::vector<Section> head_sections(const std::string& name, int64_t vocab_size) {
  std::vector<Section> sections = {{name, vocab_size}};
  if (int64_t padding = padded_vocabulary(vocab_size) - vocab_size) sections.push_back({"", padding});
  return sections;
}

TokenTable::TokenTable(const std::string& name, int64_t vocab_size, int64_t hidden_size, Init init)
    : weight(std::make_unique<DenseWeight>(Shape{padded_vocabulary(vocab_size), hidden_size},
                                           std::vector<Slice>{whole_matrix(name, vocab_size, hidden_size)}, init)) {}

Tensor add_to_residual(const Linear& linear, const Tensor& x, const Tensor& hidden, float dropout, Pass& pass,
                       int layer, int use) {
  if (dropout == 0) return linear(x, pass, &hidden);
  return add(hidden, pass.drop(linear(x, pass), dropout, layer, use));
}

}  // namespace lathe
