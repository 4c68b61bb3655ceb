#include <gtest/gtest.h>
#include <omp.h>

#include <cstring>

#include "lathe/base/error.h"
#include "lathe/ops/matmul_packed.h"
#include "lathe/ops/matmul_product.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

constexpr int64_t kMemory = 1 << 30;

Tensor noise(Shape shape, DType dtype, uint64_t seed) {
  Tensor tensor = Tensor::empty(shape);
  Random random(seed);
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = random.uniform(uint64_t(i)) - 0.5f;
  return converted(tensor, dtype);
}

std::vector<float> floats(const Tensor& tensor) {
  Tensor wide = converted(tensor, DType::f32);
  return {wide.data<float>(), wide.data<float>() + wide.elements()};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.data<std::byte>(), b.data<std::byte>(), size_t(a.bytes())) == 0;
}

/// Vectors that kernels are made for, and whether avx512 multiplies pairs of bf16 or widens them.
struct Vectors {
  Isa isa = lathe::isa();
  bool pairs = multiplies_pairs();
  std::string name() const { return text(isa_name(isa), pairs ? " in pairs" : ""); }
};

struct WithVectors {
  explicit WithVectors(Vectors wanted) { use(wanted); }
  ~WithVectors() { use(before); }
  static void use(Vectors vectors) {
    set_isa(vectors.isa);
    set_multiplies_pairs(vectors.pairs);
  }
  Vectors before;
};

struct WithThreads {
  explicit WithThreads(int threads) : before(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~WithThreads() { omp_set_num_threads(before); }
  int before;
};

std::vector<Vectors> all_vectors() {
  std::vector<Vectors> found;
  for (Vectors vectors : {Vectors{Isa::avx2, false}, Vectors{Isa::avx512, false}, Vectors{Isa::avx512, true}})
    if (isa_available(vectors.isa)) found.push_back(vectors);
  return found;
}

struct Extents {
  int64_t rows, columns, depth;
};

Tensor product_of(Extents e, DType dtype, bool a_across, bool b_across, bool add) {
  Tensor a = noise(a_across ? Shape{e.depth, e.rows} : Shape{e.rows, e.depth}, dtype, 1);
  Tensor b = noise(b_across ? Shape{e.depth, e.columns} : Shape{e.columns, e.depth}, dtype, 2);
  Tensor bias = noise({e.columns}, DType::f32, 3), residual = noise({e.rows, e.columns}, dtype, 4);
  Tensor out = noise({e.rows, e.columns}, add ? DType::f32 : dtype, 5);
  if (add)
    multiply({.a = {a, a_across}, .b = {b, b_across}, .add = true}, out);
  else
    multiply({.a = {a, a_across}, .b = {b, b_across}, .bias = bias, .residual = residual}, out);
  return out;
}

void expect_close(const Tensor& got, const Tensor& expected, int64_t depth, const std::string& what) {
  std::vector<float> a = floats(got), b = floats(expected);
  // f32 sums in another order; a bf16 result may round to either neighbour.
  float tolerance = got.dtype() == DType::bf16 ? 0.02f : 1e-6f * float(depth) + 1e-6f;
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], tolerance * (1 + std::abs(b[i]))) << what << " element " << i;
}

class EveryLayout : public ::testing::TestWithParam<Extents> {};

TEST_P(EveryLayout, AgreesWithPlainLoops) {
  Extents e = GetParam();
  Runtime runtime({}, kMemory);
  for (DType dtype : {DType::f32, DType::bf16})
    for (int layout = 0; layout < 8; ++layout) {
      auto run = [&] { return product_of(e, dtype, layout & 1, layout & 2, layout & 4); };
      Tensor expected = [&] {
        WithVectors plain({Isa::plain});
        return run();
      }();
      for (Vectors vectors : all_vectors()) {
        WithVectors with(vectors);
        expect_close(run(), expected, e.depth, text(vectors.name(), " ", name_of(dtype), " layout ", layout));
      }
    }
}

INSTANTIATE_TEST_SUITE_P(OddShapes, EveryLayout,
                         ::testing::Values(Extents{1, 1, 1}, Extents{1, 17, 3}, Extents{3, 1, 17}, Extents{17, 3, 1},
                                           Extents{2, 130, 31}, Extents{7, 70, 40}, Extents{14, 33, 64},
                                           Extents{29, 65, 37}, Extents{100, 99, 33}, Extents{5, 7, 0},
                                           Extents{16, 40, 3500}));

TEST(MatmulKernels, AgreeWithPlainLoopsOverManyBlocks) {
  Runtime runtime({}, kMemory);
  Extents e{40, 5000, 1600};  // two blocks of depth in f32, and of columns
  for (Vectors vectors : all_vectors()) {
    WithVectors with(vectors);
    Tensor got = product_of(e, DType::f32, false, false, false);
    Tensor a = noise({e.rows, e.depth}, DType::f32, 1), b = noise({e.columns, e.depth}, DType::f32, 2);
    Tensor bias = noise({e.columns}, DType::f32, 3), residual = noise({e.rows, e.columns}, DType::f32, 4);
    for (int64_t at = 0; at < got.elements(); at += 997) {
      double sum = bias.data<float>()[at % e.columns] + residual.data<float>()[at];
      for (int64_t k = 0; k < e.depth; ++k)
        sum += double(a.data<float>()[at / e.columns * e.depth + k]) * b.data<float>()[at % e.columns * e.depth + k];
      ASSERT_NEAR(got.data<float>()[at], sum, 1e-4) << vectors.name();
    }
  }
}

TEST(MatmulKernels, GiveTheSameBitsForAnyNumberOfThreads) {
  Runtime runtime({}, kMemory);
  for (Vectors vectors : all_vectors())
    for (DType dtype : {DType::f32, DType::bf16})
      for (bool across : {false, true}) {
        WithVectors with(vectors);
        auto run = [&](int threads) {
          WithThreads use(threads);
          return product_of({150, 200, 333}, dtype, across, across, across);
        };
        Tensor one = run(1);
        EXPECT_TRUE(same_bits(one, run(2)) && same_bits(one, run(7))) << vectors.name() << " " << name_of(dtype);
      }
}

TEST(MatmulKernels, GiveARowTheSameBitsAloneAndInABatch) {
  Runtime runtime({}, kMemory);
  for (Vectors vectors : all_vectors())
    for (DType dtype : {DType::f32, DType::bf16}) {
      WithVectors with(vectors);
      Tensor x = noise({61, 3201}, dtype, 1), weight = noise({77, 3201}, dtype, 2);
      Tensor all = matmul(x, weight);
      for (int64_t count : {1, 2, 3, 5, 11, 20})
        EXPECT_TRUE(same_bits(matmul(x.rows(7, count), weight), all.rows(7, count))) << vectors.name() << " " << count;
    }
}

TEST(MatmulPacked, GivesTheBitsOfMatmul) {
  Runtime runtime({}, kMemory);
  std::vector<Vectors> each = all_vectors();
  each.push_back({Isa::plain});
  for (Vectors vectors : each)
    for (auto [dtype, e] : {std::pair(DType::f32, Extents{30, 77, 3201}), std::pair(DType::bf16, Extents{30, 77, 3201}),
                            std::pair(DType::bf16, Extents{300, 77, 201})}) {  // groups that widen what they meet
      WithVectors with(vectors);
      Tensor x = noise({e.rows, e.depth}, dtype, 1), weight = noise({e.columns, e.depth}, dtype, 2);
      Tensor bias = noise({e.columns}, DType::f32, 3), residual = noise({e.rows, e.columns}, dtype, 4);
      PackedMatrix packed = pack_matrix(weight);
      Tensor expected = matmul(x, weight, {&bias, &residual}), part = residual.rows(0, 1);
      EXPECT_TRUE(same_bits(matmul(x, packed, {&bias, &residual}), expected)) << vectors.name();
      EXPECT_TRUE(same_bits(matmul(x.rows(0, 1), packed, {&bias, &part}), expected.rows(0, 1))) << vectors.name();
    }
}

TEST(MatmulActivation, GivesTheBitsOfAProductActivatedAfterwards) {
  Runtime runtime({}, kMemory);
  std::vector<Vectors> each = all_vectors();
  each.push_back({Isa::plain});
  for (Vectors vectors : each)
    for (DType dtype : {DType::f32, DType::bf16})
      for (Extents e : {Extents{1, 130, 40}, Extents{30, 77, 1201}, Extents{3, 7, 0}, Extents{200, 96, 64}}) {
        WithVectors with(vectors);
        Tensor x = noise({e.rows, e.depth}, dtype, 1), weight = noise({e.columns, e.depth}, dtype, 2);
        Tensor bias = noise({e.columns}, DType::f32, 3);
        for (Activation activation : {Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
          Tensor expected = activate(matmul(x, weight, {.bias = &bias}), activation);
          Epilogue epilogue{.bias = &bias, .activation = activation};
          EXPECT_TRUE(same_bits(matmul(x, weight, epilogue), expected)) << vectors.name() << ' ' << e.rows;
          EXPECT_TRUE(same_bits(matmul(x, pack_matrix(weight), epilogue), expected)) << vectors.name() << ' ' << e.rows;
        }
      }
}

TEST(MatmulActivation, TakesNoResidual) {
  Runtime runtime({}, kMemory);
  Tensor residual = zeros({2, 3});
  EXPECT_THROW(matmul(zeros({2, 4}), zeros({3, 4}), {.residual = &residual, .activation = Activation::relu}), Error);
}

TEST(MatmulPacked, GivesRowsBack) {
  Runtime runtime({}, kMemory);
  std::vector<Vectors> each = all_vectors();
  each.push_back({Isa::plain});
  for (Vectors vectors : each)
    for (DType dtype : {DType::f32, DType::bf16}) {
      WithVectors with(vectors);
      Tensor weight = noise({77, 35}, dtype, 2), ids = Tensor::empty({2}, DType::i32);
      ids.data<int32_t>()[0] = 76, ids.data<int32_t>()[1] = 3;
      Tensor rows = packed_rows(pack_matrix(weight), ids);
      EXPECT_TRUE(same_bits(rows.rows(0, 1), weight.rows(76, 1)) && same_bits(rows.rows(1, 1), weight.rows(3, 1)));
    }
}

TEST(MatmulPacked, PacksInPlace) {
  Runtime runtime({}, kMemory);
  std::vector<Vectors> each = all_vectors();
  each.push_back({Isa::plain});
  for (Vectors vectors : each)
    for (DType dtype : {DType::f32, DType::bf16})
      for (const Shape& shape : {Shape{403, 3201}, Shape{5, 33}, Shape{64, 8}}) {  // the first in several pieces
        WithVectors with(vectors);
        Tensor weight = noise(shape, dtype, 2), expected = pack_matrix(weight).panels;
        auto storage = std::make_shared<Storage>(packed_bytes(shape, dtype));
        storage->restore();
        Tensor roomy = Tensor::view(storage, 0, shape, dtype);
        std::memcpy(roomy.data<std::byte>(), weight.data<std::byte>(), size_t(weight.bytes()));
        EXPECT_TRUE(same_bits(pack_in_place(roomy).panels, expected)) << vectors.name() << ' ' << shape;
      }
  EXPECT_THROW(pack_in_place(zeros({3, 5}).rows(0, 3).rows(2, 1)), InternalError);
}

TEST(MatmulGroups, MultipliesEachGroupByItsWeight) {
  Runtime runtime({}, kMemory);
  std::vector<Vectors> each = all_vectors();
  each.push_back({Isa::plain});
  for (Vectors vectors : each) {
    WithVectors with(vectors);
    Tensor x = noise({40, 19}, DType::f32, 1), weight = noise({3, 21, 19}, DType::f32, 2);
    Tensor offsets = Tensor::empty({4}, DType::i32);
    const int32_t ends[] = {0, 13, 13, 37};
    std::memcpy(offsets.data<int32_t>(), ends, sizeof ends);
    Tensor y = matmul_groups(x, weight, offsets);
    EXPECT_TRUE(same_bits(y.rows(0, 13), matmul(x.rows(0, 13), weight.rows(0, 1).alias({21, 19}))));
    EXPECT_TRUE(same_bits(y.rows(13, 24), matmul(x.rows(13, 24), weight.rows(2, 1).alias({21, 19}))));
    EXPECT_TRUE(same_bits(y.rows(37, 3), zeros({3, 21})));
  }
}

TEST(MatmulMeta, TakesTheBytesOfARealProduct) {
  auto use = [](Device device) {
    Runtime runtime(device, kMemory);
    for (Extents e : {Extents{17, 50257, 3}, Extents{3000, 3, 2000}, Extents{1, 33, 4000}})
      for (DType dtype : {DType::f32, DType::bf16}) {
        Tensor x = Tensor::empty({e.rows, e.depth}, dtype), weight = Tensor::empty({e.columns, e.depth}, dtype);
        matmul(x, weight);
        matmul(x, pack_matrix(weight), {.activation = Activation::gelu});
      }
    return std::pair(runtime.arena.use().peak, runtime.totals);
  };
  EXPECT_EQ(use({}), use(Device{}.as_meta()));
}

TEST(MatmulPacked, RefusesWhatItCannotPack) {
  Runtime runtime({}, kMemory);
  EXPECT_THROW(pack_matrix(zeros({3})), Error);
  EXPECT_THROW(matmul(zeros({2, 4}), pack_matrix(zeros({3, 5}))), Error);
}

}  // namespace
}  // namespace lathe
