#include "lathe/ops/likeliest.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/base/error.h"
#include "lathe/tensor/sum.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

std::vector<float> likeliest_of(const std::vector<float>& logits, int64_t rows, int64_t columns, DType dtype) {
  Runtime runtime({}, 1 << 24);
  Tensor values = tensor_of({rows, int64_t(logits.size()) / rows}, logits);
  Tensor rounded = Tensor::empty(values.shape(), dtype), ids = Tensor::empty({rows}, DType::i32);
  copy(values, rounded);
  likeliest(rounded, columns, ids);
  return values_of(ids);
}

TEST(Likeliest, IsTheFirstOfTheHighest) {
  for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    EXPECT_EQ(likeliest_of({1, 3, 3, 2, -1, -2, -1, -3}, 2, 4, dtype), (std::vector<float>{1, 0}));
    std::vector<float> many(5000, -2);
    many[4321] = many[4999] = -1;
    EXPECT_EQ(likeliest_of(many, 1, 5000, dtype), std::vector<float>{4321});
  }
}

TEST(Likeliest, DoesNotLookBehindTheVocabulary) {
  EXPECT_EQ(likeliest_of({1, 2, 9, NAN}, 1, 2, DType::f32), std::vector<float>{1});
}

TEST(Likeliest, SaysWhereLogitsAreNoNumbers) {
  EXPECT_EQ(likeliest_of({1, NAN, 2, 1, INFINITY, 2, 1, -INFINITY, 2}, 3, 3, DType::f32),
            (std::vector<float>{-1, -1, 2}));
}

TEST(Likeliest, RejectsShapesThatDoNotFit) { EXPECT_THROW(likeliest_of({1, 2}, 1, 3, DType::f32), Error); }

}  // namespace
}  // namespace lathe
