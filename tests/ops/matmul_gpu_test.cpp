#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "lathe/base/error.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/ops/matmul_packed.h"
#include "lathe/ops/matmul_product.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/transfer.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

constexpr int64_t kMemory = int64_t{1} << 30;

template <class T>
Tensor uploaded(Shape shape, const std::vector<T>& values) {
  Tensor tensor = Tensor::empty(shape, dtype_of<T>());
  upload(std::span<const T>(values), tensor);
  return tensor;
}

/// Random values on the current Runtime; the same on every device.
Tensor noise(Shape shape, DType dtype, uint64_t seed) {
  Random random(seed);
  auto make = [&]<class T>(Element<T>) {
    std::vector<T> values;
    for (int64_t i = 0; i < shape.elements(); ++i) values.push_back(T(random.uniform(uint64_t(i)) - 0.5f));
    return uploaded(shape, values);
  };
  return visit_floating(dtype, make);
}

std::vector<std::byte> bytes_in(const Tensor& tensor) {
  std::vector<std::byte> bytes(size_t(tensor.bytes()));
  download(tensor, bytes);
  return bytes;
}

std::vector<float> floats(const Tensor& tensor) {
  std::vector<std::byte> bytes = bytes_in(tensor);
  return visit_floating(tensor.dtype(), [&]<class T>(Element<T>) {
    const T* values = reinterpret_cast<const T*>(bytes.data());
    return std::vector<float>(values, values + tensor.elements());
  });
}

struct Extents {
  int64_t rows, columns, depth;
};

class GpuMatmul : public testing::Test {
 protected:
  void SetUp() override {
    if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
    setenv("LATHE_CACHE", cache.path().c_str(), 1);
  }
  void TearDown() override { unsetenv("LATHE_CACHE"); }
  TemporaryDirectory cache;

  /// What `work` makes on a GPU against what it makes on this CPU. f32 sums are taken in another order; a bf16 result
  /// may round to a neighbour, and its bias is rounded before.
  static void expect_agreement(const std::function<Tensor()>& work, int64_t depth, const std::string& what) {
    auto on = [&](Backend backend) {
      Runtime runtime({backend}, kMemory);
      Tensor result = work();
      return std::pair(floats(result), result.dtype());
    };
    auto [expected, dtype] = on(Backend::cpu);
    auto [got, same] = on(Backend::cuda);
    ASSERT_EQ(got.size(), expected.size());
    float tolerance = dtype == DType::f32 ? 3e-7f * float(depth) + 2e-6f : 0.01f;
    size_t wrong = 0, at = 0;
    for (size_t i = 0; i < got.size(); ++i)
      if (!(std::abs(got[i] - expected[i]) <= tolerance * (1 + std::abs(expected[i]))) && wrong++ == 0) at = i;
    EXPECT_EQ(wrong, 0u) << what << ": " << wrong << " of " << got.size() << " differ, the first at " << at << ": "
                         << got[at] << " for " << expected[at];
  }
};

Tensor product_of(Extents e, DType dtype, bool a_across, bool b_across, bool add, bool bias, bool residual) {
  DType out_dtype = add ? DType::f32 : dtype;
  Tensor a = noise(a_across ? Shape{e.depth, e.rows} : Shape{e.rows, e.depth}, dtype, 1);
  Tensor b = noise(b_across ? Shape{e.depth, e.columns} : Shape{e.columns, e.depth}, dtype, 2);
  Tensor out = noise({e.rows, e.columns}, out_dtype, 5);
  Product product{.a = {a, a_across}, .b = {b, b_across}, .add = add};
  if (bias) product.bias = noise({e.columns}, DType::f32, 3);
  if (residual) product.residual = noise({e.rows, e.columns}, out_dtype, 4);
  multiply(product, out);
  return out;
}

TEST_F(GpuMatmul, AgreesInEveryLayoutAndType) {
  for (Extents e : {Extents{1, 1, 1}, Extents{1, 17, 3}, Extents{3, 1, 17}, Extents{17, 3, 1}, Extents{100, 99, 33},
                    Extents{5, 7, 0}, Extents{128, 64, 256}, Extents{130, 200, 72}, Extents{66, 50257, 24}})
    for (DType dtype : {DType::f32, DType::bf16})
      for (int layout = 0; layout < 32; ++layout) {
        if (e.columns > 5000 && layout % 4 != 0 && layout % 4 != 3) continue;
        expect_agreement(
            [&] { return product_of(e, dtype, layout & 1, layout & 2, layout & 4, layout & 8, layout & 16); }, e.depth,
            text(e.rows, "x", e.columns, "x", e.depth, " ", name_of(dtype), " layout ", layout));
      }
}

TEST_F(GpuMatmul, AgreesForFewRows) {
  for (int64_t rows : {1, 2, 5, 8, 9, 15, 16, 17, 31, 32, 33, 64})
    for (Extents e :
         {Extents{rows, 1, 8}, Extents{rows, 17, 40}, Extents{rows, 130, 768}, Extents{rows, 100, 520},
          Extents{rows, 48, 5632}, Extents{rows, 2048, 256}, Extents{rows, 21, 2048}, Extents{rows, 2307, 1032}})
      for (int what = 0; what < 8; ++what)
        expect_agreement([&] { return product_of(e, DType::bf16, false, false, what & 1, what & 2, what & 4); },
                         e.depth, text(e.rows, "x", e.columns, "x", e.depth, " few rows ", what));
}

TEST_F(GpuMatmul, AgreesWhereBytesAreNotAligned) {
  for (int64_t rows : {4, 100})
    for (DType dtype : {DType::f32, DType::bf16})
      expect_agreement(
          [&] {
            Tensor x = noise({rows + 1, 64}, dtype, 1).alias({(rows + 1) * 64}).rows(1, rows * 64).alias({rows, 64});
            Tensor weight = noise({31, 64}, dtype, 2).alias({31 * 64}).rows(3, 30 * 64).alias({30, 64});
            return matmul(x, weight);
          },
          64, text(rows, " rows ", name_of(dtype)));
}

/// A text must not depend on the batch it was made in.
TEST_F(GpuMatmul, GivesARowTheSameBitsAloneAndWithOthers) {
  Runtime runtime({Backend::cuda}, kMemory);
  for (int64_t depth : {2048, 1544, 5632, 776}) {
    Tensor x = noise({32, depth}, DType::bf16, 1);
    PackedMatrix weight = pack_matrix(noise({250, depth}, DType::bf16, 2));
    std::vector<std::byte> all = bytes_in(matmul(x, weight));
    for (int64_t count : {1, 2, 7, 8, 9, 16, 17, 31}) {
      std::vector<std::byte> some = bytes_in(matmul(x.rows(0, count), weight));
      EXPECT_EQ(std::memcmp(some.data(), all.data(), some.size()), 0) << count << " of depth " << depth;
    }
  }
}

TEST_F(GpuMatmul, GivesTheSameBitsEveryTime) {
  Runtime runtime({Backend::cuda}, kMemory);
  MeasureProducts measuring;
  for (DType dtype : {DType::f32, DType::bf16})
    for (Extents e : {Extents{64, 80, 20000}, Extents{300, 4000, 512}, Extents{768, 768, 4096}, Extents{8, 2048, 2048}})
      for (bool across : {false, true}) {
        auto run = [&] { return bytes_in(product_of(e, dtype, across, across, false, true, false)); };
        std::vector<std::byte> once = run();  // measures; the others find the choice
        for (int again = 0; again < 3; ++again)
          EXPECT_EQ(run(), once) << e.rows << "x" << e.columns << "x" << e.depth << " " << name_of(dtype);
      }
}

TEST_F(GpuMatmul, MeasuresAndKeepsAlgorithms) {
  Extents e{192, 320, 448};
  {
    MeasureProducts measuring;
    for (bool add : {false, true})
      expect_agreement([&] { return product_of(e, DType::bf16, true, true, add, false, !add); }, e.depth, "measured");
    expect_agreement([&] { return product_of(e, DType::bf16, true, true, true, false, false); }, e.depth, "added");
  }
  EXPECT_NE(used_product_choices().find("192 x 320 x 448 bf16 bf16 -> bf16, a across, b across, residual"),
            std::string::npos);
  EXPECT_EQ(cache.entries(), 1);
}

Tensor group_product(bool over_depth, bool b_across, bool add, DType dtype, const std::vector<int32_t>& ends) {
  int64_t groups = int64_t(ends.size()) - 1, rows = 200, in = 72, out = 90;
  Tensor offsets = uploaded({groups + 1}, ends);
  if (over_depth) {
    Tensor result = noise({groups, in, out}, DType::f32, 5);
    multiply_groups({.a = {noise({rows, in}, dtype, 1), true}, .b = {noise({rows, out}, dtype, 2), true}, .add = add},
                    offsets, result);
    return result;
  }
  Tensor result = noise({rows, out}, dtype, 5);
  Tensor b = noise(b_across ? Shape{groups, in, out} : Shape{groups, out, in}, dtype, 2);
  multiply_groups({.a = {noise({rows, in}, dtype, 1)}, .b = {b, b_across}}, offsets, result);
  return result;
}

TEST_F(GpuMatmul, MultipliesEachGroupByItsWeight) {
  const std::vector<std::vector<int32_t>> divisions = {
      {0, 13, 13, 200}, {5, 70, 134, 135, 190}, {0, 0, 0}, {0, 200}, {200, 200}};
  for (const auto& ends : divisions)
    for (DType dtype : {DType::f32, DType::bf16})
      for (int kind = 0; kind < 4; ++kind)
        expect_agreement([&] { return group_product(kind & 2, kind & 1, kind & 1, dtype, ends); }, 200,
                         text(ends.size(), " ends, kind ", kind, " ", name_of(dtype)));
}

TEST_F(GpuMatmul, ReadsRowsOfAPackedMatrix) {
  for (DType dtype : {DType::f32, DType::bf16})
    for (int64_t depth : {64, 33})
      expect_agreement(
          [&] {
            auto storage = std::make_shared<Storage>(packed_bytes({70, depth}, dtype));
            storage->restore();
            Tensor weight = Tensor::view(storage, 0, {70, depth}, dtype), values = noise({70, depth}, dtype, 1);
            upload(Bytes(bytes_in(values)), weight);
            PackedMatrix packed = pack_in_place(weight);
            Tensor rows = packed_rows(packed, uploaded({3}, std::vector<int32_t>{69, 0, 5}));
            return matmul(rows, packed);
          },
          depth, text(name_of(dtype), " ", depth));
}

TEST_F(GpuMatmul, IsPlannedToTheByte) {
  auto use = [](Device device) {
    Runtime runtime(device, kMemory);
    for (Extents e : {Extents{17, 50257, 3}, Extents{3000, 3, 2000}, Extents{1, 40, 4000}})
      for (DType dtype : {DType::f32, DType::bf16}) {
        Tensor x = Tensor::empty({e.rows, e.depth}, dtype), weight = Tensor::empty({e.columns, e.depth}, dtype);
        matmul(x, weight);
        matmul(x, pack_matrix(weight));
      }
    return std::pair(runtime.arena.use().peak, runtime.totals);
  };
  Device gpu{Backend::cuda};
  EXPECT_EQ(use(gpu), use(gpu.as_meta()));
}

}  // namespace
}  // namespace lathe
