#include "lathe/ops/embedding.h"

#include <gtest/gtest.h>

#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;

std::vector<int32_t> many_ids(int32_t count, int32_t vocabulary) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < count; ++i) ids.push_back((i * i) % vocabulary);
  return ids;
}

TEST(Embedding, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return embedding(x[1], x[0]); };
  check_op("embedding", {{{11, 19}}, ids_input({3, 0, 3, 10, 3})}, op);
  check_op("embedding", {{{97, 70}}, ids_input(many_ids(700, 97))}, op, kParallel);
}

TEST(EmbeddingSum, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return embedding_sum(x[2], x[0], x[3], x[1]); };
  check_op("embedding_sum", {{{11, 19}}, {{4, 19}}, ids_input({3, 0, 3, 10}), ids_input({0, 1, 2, 0})}, op);
  check_op("embedding_sum", {{{97, 70}}, {{50, 70}}, ids_input(many_ids(700, 97)), ids_input(many_ids(700, 50))}, op,
           kParallel);
}

TEST(Embedding, RejectsIdsAndTablesOfOtherTypes) {
  Runtime runtime({}, 1 << 20);
  Tensor ids = Tensor::empty({3}, DType::i32), table = Tensor::empty({5, 4});
  EXPECT_THROW(embedding(Tensor::empty({3}), table), Error);
  EXPECT_THROW(embedding(ids, Tensor::empty({5, 4}, DType::i8)), Error);
  EXPECT_THROW(embedding_sum(ids, table, Tensor::empty({2}, DType::i32), table), Error);
  EXPECT_THROW(embedding_sum(ids, table, ids, Tensor::empty({5, 3})), Error);
}

}  // namespace
}  // namespace lathe
